"""Attention over past global states with a backward written by hand, one turn at a time (equation (2)).

Both kinds are driven the same way: ``read`` gives the context of a turn, ``write`` takes in its g; backward goes the
other way round with ``backward_write`` (what all later reads ask of g_t) and ``backward_read`` (note what a_t asks of
the earlier ones). Nobody scatters gradients to the past: what a state is asked for is fetched when its turn comes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dialogue_ser.nn.recurrence.layout import PackedLayout


class AttentionGradients(NamedTuple):
    """Of what attention was given; None where it has no such thing."""

    queries_KNG: Tensor | None
    weight_KG1: Tensor | None
    bias_K1: Tensor | None


class SimpleHistory:
    """Running simple attention, forward and backward O(1) a turn.

    With tanh the logits lie in [−1, 1] and the sums need no scale; without it they are kept relative to the largest
    logit so far.
    """

    def __init__(self, kind: str, weight_KG1: Tensor, bias_K1: Tensor | None) -> None:
        self.is_bounded, self.weight, self.bias = kind == "simple", weight_KG1, bias_K1
        self.logits: list[Tensor] = []
        self.shares: list[Tensor] = []  # e^(logit − scale)
        self.sums: list[tuple[Tensor, Tensor]] = []  # numerator and denominator after turn t
        self.scales: list[Tensor] = []  # the largest logit so far; none where bounded
        self.reads: list[Tensor | None] = []

    def read(self, n_active: int) -> Tensor | None:
        """a_t of the dialogues still running, or None before the first turn."""
        context = None
        if self.sums:
            numerator, denominator = self.sums[-1]
            context = numerator[:, :n_active] / denominator[:, :n_active]
        self.reads.append(context)
        return context

    def write(self, g: Tensor) -> None:
        """Take in g_t."""
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
        """Begin from the last turn; sums over later reads are kept relative to that turn's scale."""
        self.g = g
        first = g[0]
        self.pull, self.level = torch.zeros_like(first), first.new_zeros(*first.shape[:2], 1)
        self.d_logits: list[Tensor] = []

    def backward_write(self, t: int) -> Tensor | None:
        """Gradient that all later reads give g_t."""
        g, share, n = self.g[t], self.shares[t], self.g[t].shape[1]
        pull = self.pull[:, :n]
        d_logit = (g * pull).sum(-1, keepdim=True).sub_(self.level[:, :n]).mul_(share)
        if self.is_bounded:
            d_logit -= d_logit * self.logits[t].square()
        self.d_logits.append(d_logit)
        return torch.addcmul(torch.bmm(d_logit, self.weight.transpose(1, 2)), share, pull)

    def backward_read(self, t: int, d_context: Tensor) -> None:
        """Note what a_t asks of the earlier states, in the scale of turn t − 1."""
        context = self.reads[t]
        assert context is not None
        n = context.shape[1]
        if not self.is_bounded:  # later sums are relative to the scale after this turn, never below the one before
            shrink = (self.scales[t - 1][:, :n] - self.scales[t]).exp_()
            self.pull[:, :n] *= shrink
            self.level[:, :n] *= shrink
        pull = d_context / self.sums[t - 1][1][:, :n]
        self.pull[:, :n] += pull
        self.level[:, :n] += (context * pull).sum(-1, keepdim=True)

    def gradients(self) -> AttentionGradients:
        """One product over all rows of the batch."""
        d_logits = torch.cat(self.d_logits[::-1], dim=1)
        d_weight = torch.bmm(torch.cat(list(self.g), dim=1).transpose(1, 2), d_logits)
        return AttentionGradients(None, d_weight, d_logits.sum(1) if self.is_bounded else None)


class MatchingHistory:
    """Attention whose logits are products of the query with every earlier state (dot and general kinds).

    Memory and queries lie dialogue by dialogue, ``[B·K, T, G]``, so that the dialogues still running are the first rows
    and their past is one slice: nothing is copied when the history grows.
    """

    def __init__(self, kind: str, queries_KNG: Tensor, layout: PackedLayout) -> None:
        self.has_tanh, self.layout = kind == "general2-tanh", layout
        self.n_directions, n_turns = queries_KNG.shape[0], len(layout.steps)
        rows = layout.n_dialogues * self.n_directions
        self.size = queries_KNG.shape[-1]
        self.memory = queries_KNG.new_zeros(rows, n_turns, self.size)
        # what a later turn hands back to a state: its context's gradient, and its query by the logit's gradient
        self.handed = queries_KNG.new_zeros(rows, n_turns, 2, self.size)
        dialogue, step = layout.place_of_row
        by_dialogue = self.handed.view(-1, self.n_directions, n_turns, 2, self.size)
        by_dialogue[dialogue, :, step, 1] = queries_KNG.transpose(0, 1)
        self.reads: list[tuple[Tensor, Tensor] | None] = []
        self.n_written = 0

    def _rows(self, n_active: int, t: int) -> Tensor:
        return self.memory[: n_active * self.n_directions, :t]

    def read(self, n_active: int) -> Tensor | None:
        """a_t of the dialogues still running, or None before the first turn."""
        t = self.n_written
        if t == 0:
            self.reads.append(None)
            return None
        memory = self._rows(n_active, t)
        query = self.handed[: len(memory), t, 1]
        logits = torch.bmm(query[:, None], memory.mT)  # [rows, 1, t]: far faster than a column
        if self.has_tanh:
            logits.tanh_()
        weights = torch.softmax(logits, dim=-1)
        self.reads.append((weights, logits))
        context = torch.bmm(weights, memory)
        return context.view(n_active, self.n_directions, self.size).transpose(0, 1)

    def write(self, g: Tensor) -> None:
        """Take in g_t."""
        n = g.shape[1]
        memory = self.memory.view(-1, self.n_directions, *self.memory.shape[1:])
        memory[:n, :, self.n_written] = g.transpose(0, 1)
        self.n_written += 1

    def start_backward(self, _g: Sequence[Tensor]) -> None:
        """Begin with nothing asked of any state."""
        rows, n_turns = self.memory.shape[:2]
        # weight and logit gradient of every pair (state, later turn)
        self.asked = self.memory.new_zeros(rows, n_turns, n_turns, 2)

    def backward_write(self, t: int) -> Tensor | None:
        """Gradient that all later reads give g_t."""
        if t + 1 == self.n_written:
            return None
        n, n_later = self.layout.steps[t].n_active, self.layout.steps[t + 1].n_active * self.n_directions
        asked = self.asked[:n_later, t, t + 1 :].reshape(n_later, 1, -1)
        handed = self.handed[:n_later, t + 1 :].flatten(1, 2)
        later = torch.bmm(asked, handed).view(-1, self.n_directions, self.size).transpose(0, 1)
        return grow(later, n)

    def backward_read(self, t: int, d_context: Tensor) -> None:
        """Note what a_t asks of the earlier states."""
        read = self.reads[t]
        assert read is not None
        weights, logits = read
        memory = self._rows(d_context.shape[1], t)
        n = len(memory)
        self.handed[:n, t, 0].view(-1, self.n_directions, self.size).copy_(d_context.transpose(0, 1))
        d_weights = torch.bmm(self.handed[:n, t, :1], memory.mT)
        d_logits = weights * (d_weights - (weights * d_weights).sum(-1, keepdim=True))
        if self.has_tanh:
            d_logits -= d_logits * logits.square()
        self.asked[:n, :t, t] = torch.stack([weights[:, 0], d_logits[:, 0]], dim=2)

    def gradients(self) -> AttentionGradients:
        """The queries', by one product over all dialogues."""
        dialogue, step = self.layout.place_of_row
        d_queries = torch.bmm(self.asked[..., 1].transpose(1, 2), self.memory)
        rows = d_queries.view(-1, self.n_directions, *d_queries.shape[1:])[dialogue, :, step]
        return AttentionGradients(rows.transpose(0, 1), None, None)


def grow(rows: Tensor, n: int) -> Tensor:
    """Zero rows behind, for dialogues that had ended."""
    missing = n - rows.shape[1]
    return torch.cat([rows, rows.new_zeros(rows.shape[0], missing, rows.shape[2])], dim=1) if missing else rows
