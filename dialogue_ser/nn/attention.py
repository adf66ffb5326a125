"""Attention over the past states of a dialogue, with simple and matching kinds (docs/equations.md)."""

import math
from functools import partial
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

AttentionKind = Literal["simple", "simple-linear", "dot", "general", "general2", "general2-tanh", "concat"]
ATTENTION_KINDS: tuple[str, ...] = get_args(AttentionKind)
ALIASES = {"matching": "general"}
LONG_HISTORY = 64
"""Number of states from which autograd computes the weights again in backward, so that its memory does not grow with
the square of the number of turns."""


def masked_softmax(
    logits: Float[Tensor, "*batch memory"], is_visible: Bool[Tensor, "*batch memory"]
) -> Float[Tensor, "*batch memory"]:
    """Softmax over the visible entries. All other entries get exactly 0, also if no entry is visible; none gets NaN.

    >>> masked_softmax(torch.zeros(2, 3), torch.tensor([[True, True, False], [False, False, False]])).tolist()
    [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    """
    lowest = torch.finfo(logits.dtype).min
    weights = torch.softmax(logits.masked_fill(~is_visible, lowest), dim=-1)
    return weights.masked_fill(~is_visible, 0.0)


class RunningMean(NamedTuple):
    """The weighted mean of all states so far, as a fraction. Simple attention needs nothing else of the history.

    Args:
        numerator: Σ e^{u−m} g, the sum over the states g, each with its logit u.
        denominator: Σ e^{u−m}.
        largest: m, the largest logit so far. It keeps the exponentials from becoming too large for a float.
    """

    numerator: Tensor
    denominator: Tensor
    largest: Tensor


def uniform_weight(*shape: int, fan_in: int) -> nn.Parameter:
    """Return a new weight, uniform in ±1/√fan_in."""
    bound = 1 / math.sqrt(fan_in)
    return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))


class HistoryAttention(nn.Module):
    """a_t = Attention(g_1 … g_{t−1} | x_t), for all directions at once; a_1 = 0 (equation (2)).

    `queries` does the work that depends on x alone, before the loop over the turns. In the loop, `read` computes the
    context from the history and `write` adds a state to the history. Simple kinds keep a running mean, so a turn costs
    O(1). Matching kinds keep all states.

    Args:
        kind: one of ATTENTION_KINDS, or ``matching``, which is the same as ``general``. Of the simple kinds, simple has
            a tanh and a bias and simple-linear has neither. general2 and general2-tanh have a bias.
        memory_dim: number of units of g.
        query_dim: number of features of x.
        n_directions: 1 or 2; each direction has its own weights.
        concat_dim: number of units inside the kind concat; None = ``memory_dim``.
    """

    def __init__(
        self, kind: str, memory_dim: int, query_dim: int, n_directions: int, *, concat_dim: int | None = None
    ) -> None:
        super().__init__()
        self.kind = ALIASES.get(kind, kind)
        assert self.kind in ATTENTION_KINDS, kind
        self.is_simple = self.kind.startswith("simple")
        self.n_directions = n_directions
        weight = partial(uniform_weight, n_directions)
        if self.is_simple:
            self.weight = weight(memory_dim, 1, fan_in=memory_dim)
            if self.kind == "simple":
                self.bias = weight(1, fan_in=memory_dim)
        elif self.kind == "concat":
            inner_dim = memory_dim if concat_dim is None else concat_dim
            self.weight_memory = weight(memory_dim, inner_dim, fan_in=memory_dim + query_dim)
            self.weight_query = weight(query_dim, inner_dim, fan_in=memory_dim + query_dim)
            self.score = weight(inner_dim, 1, fan_in=inner_dim)
        elif self.kind == "dot":
            assert memory_dim == query_dim, "dot attention needs g and x of the same size"
        else:
            self.weight = weight(query_dim, memory_dim, fan_in=query_dim)
            if self.kind.startswith("general2"):
                self.bias = weight(memory_dim, fan_in=query_dim)

    def queries(self, x_KND: Float[Tensor, "direction row feature"]) -> Tensor | None:
        """The queries of all turns; None for simple kinds, which have no queries."""
        if self.is_simple:
            return None
        if self.kind == "dot":
            return x_KND
        if self.kind == "concat":
            return torch.bmm(x_KND, self.weight_query)
        query_KNH = torch.bmm(x_KND, self.weight)
        return query_KNH + self.bias[:, None] if self.kind.startswith("general2") else query_KNH

    def logits(self, memory_KNTH: Tensor, query_KNH: Tensor | None) -> Float[Tensor, "direction row memory"]:
        """The weights before the softmax: for each of N queries, one number per state in the memory."""
        if self.is_simple:
            logits = torch.einsum("knth,kho->knt", memory_KNTH, self.weight)
            return torch.tanh(logits + self.bias[:, None]) if self.kind == "simple" else logits
        assert query_KNH is not None
        if self.kind == "concat":
            mixed = torch.tanh(torch.einsum("knth,khj->kntj", memory_KNTH, self.weight_memory) + query_KNH[:, :, None])
            return torch.einsum("kntj,kjo->knt", mixed, self.score)
        logits = (memory_KNTH @ query_KNH[..., None])[..., 0]
        return torch.tanh(logits) if self.kind == "general2-tanh" else logits

    def read(
        self, history: "RunningMean | list[Tensor] | None", query_KNH: Tensor | None, n_active: int
    ) -> Tensor | None:
        """The context a_t ``[directions, n_active, H]`` of the dialogues that have a turn t; None at the first turn."""
        if history is None:
            return None
        if isinstance(history, RunningMean):
            return history.numerator[:, :n_active] / history.denominator[:, :n_active]
        if not torch.is_grad_enabled() or len(history) < LONG_HISTORY:
            return self._mean_of_states(query_KNH, n_active, *history)
        # Autograd would keep a copy of the whole history for every turn. Backward computes the copy again.
        context_KNH: Tensor = checkpoint(
            self._mean_of_states, query_KNH, n_active, *history, use_reentrant=False, preserve_rng_state=False
        )
        return context_KNH

    def _mean_of_states(self, query_KNH: Tensor | None, n_active: int, *history: Tensor) -> Tensor:
        """The mean of the earlier states, weighted for a query."""
        memory_KNTH = torch.stack([state[:, :n_active] for state in history], dim=2)
        weights_KNT = torch.softmax(self.logits(memory_KNTH, query_KNH), dim=-1)
        return (weights_KNT[:, :, None] @ memory_KNTH)[:, :, 0]

    def write(self, history: "RunningMean | list[Tensor] | None", g_KNH: Tensor) -> "RunningMean | list[Tensor]":
        """The history with one more state; it leaves out the dialogues that have ended."""
        if not self.is_simple:
            assert history is None or isinstance(history, list)
            return [*(history or []), g_KNH]
        logit = self.logits(g_KNH[:, :, None], None)  # [K, n, 1]
        assert history is None or isinstance(history, RunningMean)
        if history is None:
            return RunningMean(g_KNH, torch.ones_like(logit), logit)
        n_active = g_KNH.shape[1]
        numerator, denominator, largest = (part[:, :n_active] for part in history)
        new_largest = torch.maximum(largest, logit)
        keep, add = torch.exp(largest - new_largest), torch.exp(logit - new_largest)
        return RunningMean(keep * numerator + add * g_KNH, keep * denominator + add, new_largest)

    def weights(
        self, g_KBTH: Tensor, x_KBTD: Tensor, n_turns_B: Tensor
    ) -> Float[Tensor, "direction batch turn memory"]:
        """The weights α of every turn over the earlier turns, in reading order; the same ones that the loop uses."""
        n_directions, n_dialogues, n_turns, _ = g_KBTH.shape
        query_KNH = self.queries(x_KBTD.flatten(1, 2))
        query_KBTH = None if query_KNH is None else query_KNH.view(n_directions, n_dialogues, n_turns, -1)
        logits = self._logits_of_all_turns(g_KBTH, query_KBTH)
        turn = torch.arange(n_turns, device=n_turns_B.device)
        is_past = turn[:, None] > turn[None, :]
        is_visible = is_past & (turn[:, None] < n_turns_B[:, None, None])
        return masked_softmax(logits, is_visible.expand(n_directions, -1, -1, -1))

    def _logits_of_all_turns(
        self, g_KBTH: Tensor, query_KBTH: Tensor | None
    ) -> Float[Tensor, "direction batch turn memory"]:
        """The weights of every turn over all turns before the softmax, without a copy of the states for each turn."""
        n_turns = g_KBTH.shape[2]
        if query_KBTH is None:
            return self.logits(g_KBTH, None)[:, :, None].expand(-1, -1, n_turns, -1)
        if self.kind == "concat":
            of_turns = [self.logits(g_KBTH, query_KBH) for query_KBH in query_KBTH.unbind(2)]
            return torch.stack(of_turns, dim=2)
        logits = query_KBTH @ g_KBTH.mT
        return torch.tanh(logits) if self.kind == "general2-tanh" else logits
