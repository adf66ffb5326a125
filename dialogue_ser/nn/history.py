"""Attention over past states with a backward written by hand, one turn at a time (EQUATIONS.md C)."""

import torch
from torch import Tensor


class SimpleHistory:
    """Running simple attention, forward and backward O(1) a turn; sums are scaled by the largest logit so far."""

    def __init__(self, kind: str, weight_KH1: Tensor, bias_K1: Tensor | None) -> None:
        self.has_tanh, self.weight, self.bias = kind == "simple", weight_KH1, bias_K1
        self.steps: list[tuple[Tensor, Tensor, Tensor]] = []  # (numerator, denominator, largest) before turn t
        self.logits: list[Tensor] = []
        self.reads: list[Tensor | None] = []

    def read(self, n_active: int, _query: Tensor | None) -> Tensor | None:
        """a_t of the dialogues still running, or None before the first turn."""
        context = None
        if self.steps:
            numerator, denominator, _ = self.steps[-1]
            context = numerator[:, :n_active] / denominator[:, :n_active]
        self.reads.append(context)
        return context

    def write(self, g: Tensor) -> None:
        """Take in g_t."""
        logit = torch.bmm(g, self.weight)
        if self.has_tanh:
            assert self.bias is not None
            logit = (logit + self.bias[:, None]).tanh_()
        self.logits.append(logit)
        if not self.steps:
            self.steps.append((g, torch.ones_like(logit), logit))
            return
        numerator, denominator, largest = (part[:, : g.shape[1]] for part in self.steps[-1])
        new = torch.maximum(largest, logit)
        keep, add = (largest - new).exp_(), (logit - new).exp_()
        self.steps.append((torch.addcmul(keep * numerator, add, g), torch.addcmul(add, keep, denominator), new))

    def start_backward(self, g: list[Tensor]) -> None:
        """Begin from the last turn; sums over later reads are kept relative to that turn's largest logit."""
        self.g = g
        self.d_weight, self.d_bias = torch.zeros_like(self.weight), torch.zeros_like(self.weight[:, :1, 0])
        self.later: tuple[Tensor, Tensor, Tensor] | None = None

    def backward_write(self, t: int) -> Tensor | None:
        """Gradient that all later reads give g_t."""
        if self.later is None:
            return None
        pull, level, scale = self.later
        g, logit = self.g[t], self.logits[t]
        n = pull.shape[1]  # dialogues that read after t
        weight = (logit[:, :n] - scale).exp_()  # ≤ 1
        d_logit = weight * ((g[:, :n] * pull).sum(-1, keepdim=True) - level)
        if self.has_tanh:
            d_logit = d_logit * (1 - logit[:, :n].square())
            self.d_bias += d_logit.sum(1)
        self.d_weight += torch.bmm(g[:, :n].transpose(1, 2), d_logit)
        return grow(torch.addcmul(d_logit @ self.weight.transpose(1, 2), weight, pull), g.shape[1])

    def backward_read(self, t: int, d_context: Tensor) -> Tensor | None:
        """Note what a_t asks of the earlier states; simple attention has no query."""
        context = self.reads[t]
        if context is None:
            return None
        n = context.shape[1]
        _, denominator, largest = (part[:, :n] for part in self.steps[t - 1])
        pull = d_context / denominator
        level = (context * pull).sum(-1, keepdim=True)
        if self.later is not None:
            pull_later, level_later, scale = self.later
            running = pull_later.shape[1]
            shrink = (largest[:, :running] - scale).exp_()  # ≤ 1: the largest logit never falls
            pull[:, :running] += shrink * pull_later
            level[:, :running] += shrink * level_later
        self.later = pull, level, largest
        return None


class MatchingHistory:
    """Attention whose logits are products of the query with every earlier state (dot and general kinds)."""

    def __init__(self, kind: str) -> None:
        self.has_tanh = kind == "general2-tanh"
        self.g: list[Tensor] = []
        self.reads: list[tuple[Tensor, Tensor, Tensor] | None] = []

    def _memory(self, n_active: int, t: int) -> Tensor:
        return torch.stack([g[:, :n_active] for g in self.g[:t]], dim=2)

    def read(self, n_active: int, query: Tensor | None) -> Tensor | None:
        """a_t of the dialogues still running, or None before the first turn."""
        if not self.g:
            self.reads.append(None)
            return None
        assert query is not None
        memory = self._memory(n_active, len(self.g))
        logits = (memory @ query[..., None])[..., 0]
        if self.has_tanh:
            logits = logits.tanh_()
        weights = torch.softmax(logits, dim=-1)
        self.reads.append((weights, logits, query))
        return (weights[:, :, None] @ memory)[:, :, 0]

    def write(self, g: Tensor) -> None:
        """Take in g_t."""
        self.g.append(g)

    def start_backward(self, g: list[Tensor]) -> None:
        """Begin with no gradient on any state."""
        self.d_g: list[Tensor] = [torch.zeros_like(state) for state in g]

    def backward_write(self, t: int) -> Tensor | None:
        """Gradient that all later reads gave g_t."""
        return self.d_g[t]

    def backward_read(self, t: int, d_context: Tensor) -> Tensor | None:
        """Hand the gradient of a_t to the earlier states; gives that of the query."""
        read = self.reads[t]
        if read is None:
            return None
        weights, logits, query = read
        n = weights.shape[1]
        memory = self._memory(n, t)
        d_weights = (memory @ d_context[..., None])[..., 0]
        d_logits = weights * (d_weights - (weights * d_weights).sum(-1, keepdim=True))
        if self.has_tanh:
            d_logits = d_logits * (1 - logits.square())
        d_memory = weights[..., None] * d_context[:, :, None] + d_logits[..., None] * query[:, :, None]
        for i, part in enumerate(d_memory.unbind(2)):
            self.d_g[i][:, :n] += part
        return (d_logits[:, :, None] @ memory)[:, :, 0]


def grow(rows: Tensor, n: int) -> Tensor:
    """Zero rows behind, for dialogues that had ended."""
    missing = n - rows.shape[1]
    return torch.cat([rows, rows.new_zeros(rows.shape[0], missing, rows.shape[2])], dim=1) if missing else rows
