"""Attention over past global states, turn by turn, with a hand-written backward (equation (2)).

Both classes have the same methods. In forward, ``read`` returns the context of a turn and ``write`` adds its g. In
backward the turns come in reverse order: ``backward_write`` returns the gradient that all later contexts give to g_t,
and ``backward_read`` records what the context of turn t contributes to the gradients of earlier states. No gradient is
scattered to the past. The gradient of a state is collected when its turn comes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dialogue_ser.nn.recurrence.layout import PackedLayout

#: Number of turns that backward treats together (:class:`MatchingHistory`). Most corpora have shorter dialogues.
BLOCK_TURNS = 64


class AttentionGradients(NamedTuple):
    """Gradients of the arguments of attention. None: this kind of attention has no such argument."""

    queries_KNG: Tensor | None
    weight_KG1: Tensor | None
    bias_K1: Tensor | None


class SimpleHistory:
    """Simple attention with running sums. Forward and backward cost O(1) per turn.

    With tanh the logits lie in [−1, 1], and the sums need no scale. Without tanh the sums are divided by e^scale, where
    the scale is the largest logit so far.
    """

    def __init__(self, kind: str, weight_KG1: Tensor, bias_K1: Tensor | None) -> None:
        self.is_bounded, self.weight, self.bias = kind == "simple", weight_KG1, bias_K1
        self.logits: list[Tensor] = []
        self.shares: list[Tensor] = []  # e^(logit − scale)
        self.sums: list[tuple[Tensor, Tensor]] = []  # numerator and denominator after turn t
        self.scales: list[Tensor] = []  # the largest logit so far; empty if the logits are bounded
        self.contexts: list[Tensor | None] = []

    def read(self, n_active: int) -> Tensor | None:
        """Return the context a_t of the active dialogues, or None at the first turn."""
        context = None
        if self.sums:
            numerator, denominator = self.sums[-1]
            context = numerator[:, :n_active] / denominator[:, :n_active]
        self.contexts.append(context)
        return context

    def write(self, g: Tensor) -> None:
        """Add g_t to the history."""
        if self.is_bounded:
            assert self.bias is not None
            logit = torch.baddbmm(self.bias[:, None], g, self.weight).tanh_()
            share = logit.exp()
        else:
            logit = torch.bmm(g, self.weight)
            before = self.scales[-1][:, : g.shape[1]] if self.scales else logit
            largest = torch.maximum(before, logit)
            keep = (before - largest).exp_()
            share = (logit - largest).exp_()
            self.scales.append(largest)
        self.logits.append(logit)
        self.shares.append(share)
        if not self.sums:
            self.sums.append((share * g, share))
            return
        numerator, denominator = (part[:, : g.shape[1]] for part in self.sums[-1])
        if not self.is_bounded:
            numerator, denominator = keep * numerator, keep * denominator
        self.sums.append((torch.addcmul(numerator, share, g), denominator + share))

    def start_backward(self, g: Sequence[Tensor]) -> None:
        """Prepare for backward, which begins at the last turn.

        Two sums over all later turns t are kept, divided by the same scale as the sums of forward:
        ``d_sum`` = Σ d_a_t / denominator and ``product_sum`` = Σ a_t · d_a_t / denominator, where d_a_t is the gradient
        of the context a_t.
        """
        self.g = g
        first = g[0]
        self.d_sum, self.product_sum = torch.zeros_like(first), first.new_zeros(*first.shape[:2], 1)
        self.d_logits: list[Tensor] = []

    def backward_write(self, t: int) -> Tensor | None:
        """Return the gradient that all later contexts give to g_t."""
        g, share, n = self.g[t], self.shares[t], self.g[t].shape[1]
        d_sum = self.d_sum[:, :n]
        d_logit = (g * d_sum).sum(-1, keepdim=True).sub_(self.product_sum[:, :n]).mul_(share)
        if self.is_bounded:
            d_logit -= d_logit * self.logits[t].square()
        self.d_logits.append(d_logit)
        return torch.addcmul(torch.bmm(d_logit, self.weight.transpose(1, 2)), share, d_sum)

    def backward_read(self, t: int, d_context: Tensor) -> None:
        """Add the gradient of the context a_t to the sums, with the scale of turn t − 1."""
        context = self.contexts[t]
        assert context is not None
        n = context.shape[1]
        if not self.is_bounded:  # the sums have the scale after turn t, which is never below the one before
            shrink = (self.scales[t - 1][:, :n] - self.scales[t]).exp_()
            self.d_sum[:, :n] *= shrink
            self.product_sum[:, :n] *= shrink
        quotient = d_context / self.sums[t - 1][1][:, :n]
        self.d_sum[:, :n] += quotient
        self.product_sum[:, :n] += (context * quotient).sum(-1, keepdim=True)

    def gradients(self) -> AttentionGradients:
        """Return the gradients of weight and bias, from one product over all rows of the batch."""
        d_logits = torch.cat(self.d_logits[::-1], dim=1)
        d_weight = torch.bmm(torch.cat(list(self.g), dim=1).transpose(1, 2), d_logits)
        return AttentionGradients(None, d_weight, d_logits.sum(1) if self.is_bounded else None)


class MatchingHistory:
    """Attention whose logits are products of the query with every earlier state (the dot and general kinds).

    Memory and queries are stored dialogue by dialogue, ``[B·K, T, G]``. The active dialogues are the first rows, and
    their past is one slice, so nothing is copied when the history grows.

    The memory that this needs grows with the number of turns, not with its square. The weights of the first BLOCK_TURNS
    turns are kept for backward. Those of later turns are computed again there. Backward treats BLOCK_TURNS turns
    together: it keeps what these turns give to each other and to earlier states, and adds it up before it goes on to
    the turns before them.
    """

    def __init__(self, kind: str, queries_KNG: Tensor, layout: PackedLayout) -> None:
        self.has_tanh, self.layout = kind == "general2-tanh", layout
        self.n_directions, n_turns = queries_KNG.shape[0], len(layout.steps)
        rows = layout.n_dialogues * self.n_directions
        self.size = queries_KNG.shape[-1]
        self.memory = queries_KNG.new_zeros(rows, n_turns, self.size)
        # The two vectors of each turn that the gradients of earlier states are sums of: the gradient of its context
        # (index 0, known in backward only) and its query (index 1).
        self.turn_vectors = queries_KNG.new_zeros(rows, n_turns, 2, self.size)
        dialogue, step = layout.dialogue_and_step
        by_dialogue = self.turn_vectors.view(-1, self.n_directions, n_turns, 2, self.size)
        by_dialogue[dialogue, :, step, 1] = queries_KNG.transpose(0, 1)
        self.kept_weights: list[tuple[Tensor, Tensor]] = []  # of the turns 1 … BLOCK_TURNS − 1
        self.n_written = 0

    def _weights_and_logits(self, t: int, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of turn t over the earlier states, and their logits, ``[rows, 1, t]``."""
        query = self.turn_vectors[: len(memory), t, 1]
        logits = torch.bmm(query[:, None], memory.mT)  # [rows, 1, t] is much faster than [rows, t, 1]
        if self.has_tanh:
            logits.tanh_()
        return torch.softmax(logits, dim=-1), logits

    def _memory_before(self, t: int, n_active: int) -> Tensor:
        return self.memory[: n_active * self.n_directions, :t]

    def read(self, n_active: int) -> Tensor | None:
        """Return the context a_t of the active dialogues, or None at the first turn."""
        t = self.n_written
        if t == 0:
            return None
        memory = self._memory_before(t, n_active)
        weights, logits = self._weights_and_logits(t, memory)
        if t < BLOCK_TURNS:
            self.kept_weights.append((weights, logits))
        context = torch.bmm(weights, memory)
        return context.view(n_active, self.n_directions, self.size).transpose(0, 1)

    def write(self, g: Tensor) -> None:
        """Add g_t to the history."""
        n = g.shape[1]
        memory = self.memory.view(-1, self.n_directions, *self.memory.shape[1:])
        memory[:n, :, self.n_written] = g.transpose(0, 1)
        self.n_written += 1

    def start_backward(self, _g: Sequence[Tensor]) -> None:
        """Prepare for backward, which begins at the last turn."""
        self.d_queries = torch.zeros_like(self.memory)
        # For every state: the gradient that it gets from the blocks of turns that backward has finished.
        self.d_memory = torch.zeros_like(self.memory) if self.n_written > BLOCK_TURNS else None
        self._open_block((self.n_written - 1) // BLOCK_TURNS * BLOCK_TURNS)

    def _open_block(self, first: int) -> None:
        self.first, self.end = first, min(first + BLOCK_TURNS, self.n_written)
        rows = self.layout.steps[first].n_active * self.n_directions
        # For every state and every turn of the block: the factors of the two vectors of that turn, which are the weight
        # of the state and the gradient of its logit.
        self.factors = self.memory.new_zeros(rows, self.end, self.end - first, 2)

    def _close_block(self) -> None:
        """Compute the gradients of the queries of the block, and what its turns give to the states before it."""
        rows, first, end = len(self.factors), self.first, self.end
        self.d_queries[:rows, first:end] = torch.bmm(self.factors[..., 1].transpose(1, 2), self.memory[:rows, :end])
        if first:
            assert self.d_memory is not None
            vectors = self.turn_vectors[:rows, first:end].flatten(1, 2)
            self.d_memory[:rows, :first] += torch.bmm(self.factors[:, :first].flatten(2), vectors)

    def backward_write(self, t: int) -> Tensor | None:
        """Return the gradient that all later contexts give to g_t."""
        if t + 1 == self.n_written:
            return None
        if t < self.first:
            self._close_block()
            self._open_block(self.first - BLOCK_TURNS)
        n, n_later = self.layout.steps[t].n_active, self.layout.steps[t + 1].n_active
        rows = n_later * self.n_directions
        gradient = None if self.d_memory is None else self.d_memory[:rows, t : t + 1]
        if t + 1 < self.end:
            factors = self.factors[:rows, t, t + 1 - self.first :].reshape(rows, 1, -1)
            of_block = torch.bmm(factors, self.turn_vectors[:rows, t + 1 : self.end].flatten(1, 2))
            gradient = of_block if gradient is None else gradient + of_block
        assert gradient is not None
        return _with_zero_rows(gradient.view(n_later, self.n_directions, self.size).transpose(0, 1), n)

    def backward_read(self, t: int, d_context: Tensor) -> None:
        """Record what the context a_t contributes to the gradients of the earlier states."""
        memory = self._memory_before(t, d_context.shape[1])
        n = len(memory)
        weights, logits = self.kept_weights[t - 1] if t < BLOCK_TURNS else self._weights_and_logits(t, memory)
        self.turn_vectors[:n, t, 0].view(-1, self.n_directions, self.size).copy_(d_context.transpose(0, 1))
        d_weights = torch.bmm(self.turn_vectors[:n, t, :1], memory.mT)
        d_logits = weights * (d_weights - (weights * d_weights).sum(-1, keepdim=True))
        if self.has_tanh:
            d_logits -= d_logits * logits.square()
        self.factors[:n, :t, t - self.first] = torch.stack([weights[:, 0], d_logits[:, 0]], dim=2)

    def gradients(self) -> AttentionGradients:
        """Return the gradient of the queries, from one product over all dialogues for each block of turns."""
        self._close_block()
        dialogue, step = self.layout.dialogue_and_step
        rows = self.d_queries.view(-1, self.n_directions, *self.d_queries.shape[1:])[dialogue, :, step]
        return AttentionGradients(rows.transpose(0, 1), None, None)


def _with_zero_rows(rows: Tensor, n: int) -> Tensor:
    """Append zero rows, for the dialogues that have no later turn, until there are n rows."""
    missing = n - rows.shape[1]
    return torch.cat([rows, rows.new_zeros(rows.shape[0], missing, rows.shape[2])], dim=1) if missing else rows
