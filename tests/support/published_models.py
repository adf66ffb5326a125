"""Made-up files of published models: a plain forward pass gives log-probabilities and norms of gradients.

A plain forward pass is a function of the published tensors and one dialogue. It follows the published equations in the
simplest way, turn by turn. `golden_tensors` runs it, and `differences` compares the system of the library with it.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from benchmarks.golden import Row, check_file

Forward = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Tensor]
"""A function of the published tensors and of one dialogue: `speaker` `[T]` and, per modality, `[T, D]`. It returns
log-probabilities `[T, C]`."""


def random_state(shapes: Mapping[str, tuple[int, ...]], seed: int = 0, scale: float = 0.5) -> dict[str, Tensor]:
    """Random float64 tensors under published names."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: scale * torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()
    }


def rnn_shapes(
    prefix: str, kind: str, in_dim: int, hidden: int, layers: int = 1, *, bidirectional: bool = True
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the parameters of torch's LSTM or GRU."""
    cls = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
    rnn = cls(in_dim, hidden, layers, bidirectional=bidirectional)
    return {f"{prefix}{name}": tuple(value.shape) for name, value in rnn.state_dict().items()}


def linear_shapes(prefix: str, in_dim: int, out_dim: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a linear layer."""
    return {f"{prefix}weight": (out_dim, in_dim), f"{prefix}bias": (out_dim,)}


def linear(state: Mapping[str, Tensor], prefix: str, x: Tensor) -> Tensor:
    """W x + b of the layer with this prefix."""
    return x @ state[f"{prefix}weight"].T + state[f"{prefix}bias"]


def run_rnn(state: Mapping[str, Tensor], prefix: str, kind: str, x_TD: Tensor) -> Tensor:
    """A recurrence in both directions over one sequence, cell by cell."""
    layer = 0
    while f"{prefix}weight_ih_l{layer}" in state:
        halves = []
        for suffix, order in (("", range(len(x_TD))), ("_reverse", range(len(x_TD) - 1, -1, -1))):
            if f"{prefix}weight_ih_l{layer}{suffix}" not in state:
                continue
            w, u, b, c = (
                state[f"{prefix}{n}_l{layer}{suffix}"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            h = cell = w.new_zeros(u.shape[1])
            outputs: dict[int, Tensor] = {}
            for t in order:
                h, cell = _step(kind, w @ x_TD[t] + b, u @ h + c, h, cell)
                outputs[t] = h
            halves.append(torch.stack([outputs[t] for t in range(len(x_TD))]))
        x_TD = torch.cat(halves, dim=-1)
        layer += 1
    return x_TD


def _step(kind: str, given: Tensor, kept: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    if kind == "gru":
        (r, z, n), (r_h, z_h, n_h) = given.chunk(3), kept.chunk(3)
        z = torch.sigmoid(z + z_h)
        return (1 - z) * torch.tanh(n + torch.sigmoid(r + r_h) * n_h) + z * h, cell
    i, f, g, o = (given + kept).chunk(4)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def golden_tensors(
    forward: Forward,
    state: Mapping[str, Tensor],
    dims: Mapping[str, int],
    speakers: tuple[str, ...] = ("abbac", "a", "abab"),
    n_classes: int = 3,
) -> dict[str, Tensor]:
    """The content of a golden file: inputs, weights, and the outputs and norms of the plain forward pass."""
    generator = torch.Generator().manual_seed(7)
    longest = max(map(len, speakers))
    inputs = {name: torch.zeros(len(speakers), longest, size, dtype=torch.float64) for name, size in dims.items()}
    speaker, label = (torch.full((len(speakers), longest), value) for value in (-1, -100))
    leaves = {name: value.clone().requires_grad_() for name, value in state.items()}
    n_turns, found = sum(map(len, speakers)), []
    for b, names in enumerate(speakers):
        n = len(names)
        speaker[b, :n] = torch.tensor([ord(name) - ord("a") for name in names])
        label[b, :n] = torch.arange(n) % n_classes
        for values in inputs.values():
            values[b, :n] = torch.randn(n, values.shape[2], generator=generator, dtype=torch.float64)
        log_probs_TC = forward(leaves, {"speaker": speaker[b, :n], **{k: v[b, :n] for k, v in inputs.items()}})
        (-log_probs_TC.gather(1, label[b, :n, None]).sum() / n_turns).backward()
        found.append(log_probs_TC.detach())
    norms = {name: leaf.new_zeros(()) if leaf.grad is None else leaf.grad.norm() for name, leaf in leaves.items()}
    lengths = torch.tensor([len(names) for names in speakers])
    return {
        **{f"state/{name}": value.clone() for name, value in state.items()},
        **{f"input/{name}": value for name, value in inputs.items()},
        "input/speaker": speaker,
        "input/label": label,
        "input/lengths": lengths,
        "alone/log_probs": torch.cat(found),
        **{f"alone/grad_norm_nll/{name}": value for name, value in norms.items()},
    }


def save_golden(
    folder: Path, name: str, system: str, settings: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> Path:
    """Write a golden file, and return the path of its JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors"
    )
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"system": system, "name": name, "settings": dict(settings)}))
    return path


def check(
    folder: Path,
    system: str,
    settings: Mapping[str, Any],
    forward: Forward,
    shapes: Mapping[str, tuple[int, ...]],
    dims: Mapping[str, int],
    **more: Any,
) -> Row:
    """The row that `benchmarks.golden` makes of a system with random weights, against its plain forward pass."""
    tensors = golden_tensors(forward, random_state(shapes), dims, **more)
    return check_file(save_golden(folder, "made-up", system, settings, tensors))
