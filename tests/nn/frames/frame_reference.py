"""Systems over frames as plain loops over the rows, after E1 in docs/equations.md; slow but easy to read."""

import math

import torch
from torch import Tensor, nn


def batch_norm(rows: list[Tensor], weight: Tensor, bias: Tensor, statistics: tuple[Tensor, Tensor] | None, eps: float):
    """Normalise every feature with the mean and variance of all frames of all rows, or with given ones."""
    if statistics is None:
        everything = torch.cat(rows)
        mean = sum(everything) / len(everything)
        statistics = mean, sum((frame - mean) ** 2 for frame in everything) / len(everything)
    mean, variance = statistics
    return [torch.stack([weight * (frame - mean) / torch.sqrt(variance + eps) + bias for frame in row]) for row in rows]


def gru(cell: nn.GRU, row: Tensor, keep: Tensor | None = None, suffix: str = "") -> Tensor:
    """The equations of torch.nn.GRU; only the state before its weights is multiplied with ``keep``."""
    weight_x, weight_h, bias_x, bias_h = (
        getattr(cell, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h, states = torch.zeros(cell.hidden_size, dtype=row.dtype), []
    for x in row.flip(0) if suffix else row:
        seen = h if keep is None else h * keep
        (r_x, z_x, n_x), (r_h, z_h, n_h) = (weight_x @ x + bias_x).chunk(3), (weight_h @ seen + bias_h).chunk(3)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        h = (1 - z) * torch.tanh(n_x + r * n_h) + z * h
        states.append(h)
    return torch.stack(states[::-1] if suffix else states)


def self_attention(row: Tensor, weight: Tensor, bias: float) -> Tensor:
    """l_t = Σ_t' softmax_t'(x_tᵀ W x_t' + b) x_t'."""
    attended = []
    for x in row:
        logits = [x @ weight @ other + bias for other in row]
        largest = max(float(logit.detach()) for logit in logits)
        shares = [torch.exp(logit - largest) for logit in logits]
        attended.append(sum(share * other for share, other in zip(shares, row, strict=True)) / sum(shares))
    return torch.stack(attended)


def resample(row: Tensor, length: int) -> Tensor:
    """Linear interpolation between the middles of the frames, which have equal parts of the duration."""
    n, found = len(row), []
    for t in range(length):
        place = min(max((t + 0.5) * n / length - 0.5, 0.0), n - 1.0)
        low = math.floor(place)
        high = min(low + 1, n - 1)
        found.append((1 - (place - low)) * row[low] + (place - low) * row[high])
    return torch.stack(found)


def fusion(audio: Tensor, text: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, n_heads: int) -> Tensor:
    """The heads of one row: attention over the audio, with the text at the length of the audio as values."""
    q, k, v = audio @ query.T, audio @ key.T, resample(text, len(audio)) @ value.T
    heads = []
    for one_q, one_k, one_v in zip(q.chunk(n_heads, 1), k.chunk(n_heads, 1), v.chunk(n_heads, 1), strict=True):
        logits = one_q @ one_k.T / math.sqrt(one_q.shape[1])
        heads.append(torch.softmax(logits, dim=1) @ one_v)
    return torch.cat(heads, dim=1) @ out.T


def fast_gelu(x: Tensor) -> Tensor:
    """max(0, min(1, (1.702 x + 1) / 2)) · x of one number."""
    gate = (1.702 * x + 1) / 2
    if gate <= 0:
        return 0.0 * x
    return x if gate >= 1 else gate * x
