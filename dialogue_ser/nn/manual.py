"""The recurrence as one autograd node with a backward written by hand.

Autograd would keep a node for each of some fifty small operations a step and multiply out every weight's gradient at
every step. Here forward keeps only what backward needs, and backward collects the gradients of all pre-activations and
forms each weight's gradient with one product over all rows of the batch. Same mathematics as
:meth:`EmotionRecurrence.loop`, which stays as the readable engine; the tests hold both to the plain reference.

Shapes are those of :mod:`dialogue_ser.nn.recurrence`, with direction K and plane J (self, inter) flattened to one
leading axis Z = K·J. Long because forward and backward of one node must be read side by side.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.cells import GRUStep, gru_forward
from dialogue_ser.nn.history import MatchingHistory, SimpleHistory, grow
from dialogue_ser.nn.layout import PackedLayout, Step


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What does not carry a gradient.

    Args:
        layout: plan of the batch.
        attention: kind; every one but ``concat`` is supported.
        global_KNH: dropout multipliers of g, or None.
        speaker_ZNH: of the speakers' states, or None.
        listener_ZNH: of the listeners' states, or None.
    """

    layout: PackedLayout
    attention: str
    global_KNH: Tensor | None
    speaker_ZNH: Tensor | None
    listener_ZNH: Tensor | None


class Inputs(NamedTuple):
    """What carries a gradient, in the order in which gradients go back; G gates are 3·size, r, z, n.

    Args:
        x_global: products of x for (1), ``[K, N, G]``.
        x_self: products of x for (3) and (4), ``[K, N, cells·G]``.
        queries: what each turn asks the history with ``[K, N, H]``; None for simple attention.
        g_0: global state before the first turn ``[K, B, H]``.
        g_gates_0: its product with GRU_G's hidden weight ``[K, B, G]``.
        party_0: states before the first turn ``[Z, 1, H]``.
        from_party: hidden weights of (3), (5), then the weights of (1) on S and I ``[Z, H, G + G]``.
        speaker_bias: ``[Z, 1, G]``.
        from_global: hidden weight of (1), then the weights of (3)–(6) on g ``[K, H, G + 2·cells·G]``.
        bias_global: ``[K, 1, G + 2·cells·G]``.
        from_context: weights of (5) and (6) on a ``[K, H, cells·G]``.
        listener_weight: hidden weights of (4), (6) ``[Z, H, G]``; None where listeners hold.
        listener_bias: ``[Z, 1, G]``, or None.
        attention_weight: of simple attention ``[K, H, 1]``, or None.
        attention_bias: ``[K, 1]``, or None.
    """

    x_global: Tensor
    x_self: Tensor
    queries: Tensor | None
    g_0: Tensor
    g_gates_0: Tensor
    party_0: Tensor
    from_party: Tensor
    speaker_bias: Tensor
    from_global: Tensor
    bias_global: Tensor
    from_context: Tensor
    listener_weight: Tensor | None
    listener_bias: Tensor | None
    attention_weight: Tensor | None
    attention_bias: Tensor | None


@dataclass(frozen=True)
class Kept:
    """One step, as backward finds it."""

    step: Step
    source: Tensor  # flat pool rows of speakers and listeners
    n_pool: int
    heard: Tensor | None  # flat turn rows of the listeners
    g: Tensor
    context: Tensor | None
    speaker: Tensor
    global_gru: GRUStep
    speaker_gru: GRUStep
    listener_gru: GRUStep | None

    @property
    def rows(self) -> slice:
        """Packed rows of this step."""
        return slice(self.step.first_row, self.step.first_row + self.step.n_active)

    @property
    def drawn(self) -> slice:
        """Rows of the listeners' dropout multipliers."""
        return slice(self.step.first_listener, self.step.first_listener + self.step.n_listeners)


@dataclass
class Collected:
    """Gradients of pre-activations, one entry a step, last step first."""

    party: list[Tensor] = field(default_factory=list)  # of products with the speakers' states
    shared: list[Tensor] = field(default_factory=list)  # of products with g
    inputs: list[Tensor] = field(default_factory=list)  # of the input gates of (3)–(6)
    listener: list[Tensor] = field(default_factory=list)  # of the listeners' hidden gates
    query: list[Tensor] = field(default_factory=list)


class Forward:
    """(1)–(6) step by step, keeping what backward needs."""

    def __init__(self, settings: Settings, inputs: Inputs) -> None:
        self.settings, self.inputs = settings, inputs
        self.n_directions, _, self.size_g = inputs.g_0.shape
        self.size_p = inputs.party_0.shape[2]
        self.history: SimpleHistory | MatchingHistory = (
            MatchingHistory(settings.attention)
            if inputs.attention_weight is None
            else SimpleHistory(settings.attention, inputs.attention_weight, inputs.attention_bias)
        )
        self.kept: list[Kept] = []
        self.g, self.g_gates, self.pool = inputs.g_0, inputs.g_gates_0, inputs.party_0

    def advance(self, step: Step) -> None:
        """One turn of every dialogue still running."""
        given, n, gates = self.inputs, step.n_active, 3 * self.size_p
        rows = slice(step.first_row, step.first_row + n)
        source, n_pool = _flat(self.pool, step.source), self.pool.shape[1]
        taken = _take(self.pool, source, n + step.n_listeners)
        speaker, listener = taken[:, :n], taken[:, n:]
        products = torch.bmm(speaker, given.from_party)
        to_g = products[..., gates:].view(self.n_directions, 2, n, -1)
        gates_x = given.x_global[:, rows] + to_g[:, 0] + to_g[:, 1]
        self.g, global_gru = gru_forward(gates_x, self.g_gates[:, :n], self.g[:, :n])  # (1)
        if self.settings.global_KNH is not None:
            self.g = self.g * self.settings.global_KNH[:, rows]
        context = self.history.read(n, None if given.queries is None else given.queries[:, rows])  # (2)
        self.history.write(self.g)
        inputs = self._input_gates(rows, n, context)
        speaker, speaker_gru = gru_forward(  # (3), (5)
            inputs[..., :gates], products[..., :gates] + given.speaker_bias, speaker
        )
        if self.settings.speaker_ZNH is not None:
            speaker = speaker * self.settings.speaker_ZNH[:, rows]
        listener, heard, listener_gru = self._listen(step, inputs[..., gates:], listener)
        self.pool = torch.cat([speaker, listener], dim=1)
        self.kept.append(
            Kept(step, source, n_pool, heard, self.g, context, speaker, global_gru, speaker_gru, listener_gru)
        )

    def _input_gates(self, rows: slice, n: int, context: Tensor | None) -> Tensor:
        """Input gates of (3)–(6) ``[Z, n, cells·G]``, and GRU_G's hidden gates for the next turn on the way."""
        given = self.inputs
        products = torch.baddbmm(given.bias_global, self.g, given.from_global)
        self.g_gates = products[..., : 3 * self.size_g]
        inputs = products[..., 3 * self.size_g :].view(self.n_directions, n, 2, -1).transpose(1, 2).contiguous()
        inputs[:, 0] += given.x_self[:, rows]
        if context is not None:
            inputs[:, 1] += torch.bmm(context, given.from_context)
        return inputs.flatten(0, 1)

    def _listen(self, step: Step, gates_x: Tensor, listener: Tensor) -> tuple[Tensor, Tensor | None, GRUStep | None]:
        """(4), (6) for whoever listens and will be read again."""
        weight, bias = self.inputs.listener_weight, self.inputs.listener_bias
        if weight is None or bias is None or not step.n_listeners:
            return listener, None, None
        heard = _flat(gates_x, step.heard)
        heard_gates = _take(gates_x.contiguous(), heard, step.n_listeners)
        listener, kept = gru_forward(heard_gates, torch.baddbmm(bias, listener, weight), listener)
        if self.settings.listener_ZNH is not None:
            drawn = slice(step.first_listener, step.first_listener + step.n_listeners)
            listener = listener * self.settings.listener_ZNH[:, drawn]
        return listener, heard, kept


class Backward:
    """The same steps from the last to the first."""

    def __init__(self, forward: Forward, d_g_all: Tensor, d_s_all: Tensor) -> None:
        self.forward, self.d_g_all, self.d_s_all = forward, d_g_all, d_s_all
        self.collected = Collected()
        given, kept = forward.inputs, forward.kept
        self.to_party, self.to_global = given.from_party.transpose(1, 2), given.from_global.transpose(1, 2)
        self.to_context = given.from_context.transpose(1, 2)
        self.to_listener = None if given.listener_weight is None else given.listener_weight.transpose(1, 2)
        forward.history.start_backward([step.g for step in kept])
        last, size = kept[-1], forward.size_p
        n_rows = last.step.n_active + last.step.n_listeners
        # what the turns after the current one ask of: the pool, g directly, g through its hidden gates
        self.d_pool = d_g_all.new_zeros(2 * forward.n_directions, n_rows, size)
        self.d_g = d_g_all.new_zeros(forward.n_directions, 0, forward.size_g)
        self.d_g_gates = d_g_all.new_zeros(forward.n_directions, 0, 3 * forward.size_g)

    def step_back(self, t: int) -> None:
        """Undo turn t."""
        kept, settings, n_directions = self.forward.kept[t], self.forward.settings, self.forward.n_directions
        n = kept.step.n_active
        d_speaker, d_listener = self.d_pool[:, :n], self.d_pool[:, n:]
        d_speaker[::2] += self.d_s_all[:, kept.rows]
        if settings.speaker_ZNH is not None:
            d_speaker = d_speaker * settings.speaker_ZNH[:, kept.rows]
        d_inputs, d_speaker_gates, d_speaker = kept.speaker_gru.backward(d_speaker)  # (3), (5)
        if self.to_listener is not None:
            d_heard, d_listener = self._unlisten(kept, d_inputs, d_listener)  # (4), (6)
            d_inputs = torch.cat([d_inputs, d_heard], dim=-1)
        d_inputs = d_inputs.view(n_directions, 2, n, -1)
        d_global_gates = self._undo_global(t, kept, d_inputs)  # (2), (1)
        d_party = torch.cat([d_speaker_gates, d_global_gates.repeat_interleave(2, dim=0)], dim=-1)
        d_speaker = torch.baddbmm(d_speaker, d_party, self.to_party)
        d_taken = torch.cat([d_speaker, d_listener], dim=1)
        d_pool = d_taken.new_zeros(2 * n_directions * kept.n_pool, self.forward.size_p)
        self.d_pool = d_pool.index_add_(0, kept.source, d_taken.flatten(0, 1)).view(2 * n_directions, kept.n_pool, -1)
        self.collected.party.append(d_party)
        self.collected.inputs.append(d_inputs)

    def _unlisten(self, kept: Kept, like: Tensor, d_listener: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the listeners' input gates, summed per turn they heard, and of their states before."""
        d_heard = torch.zeros_like(like)
        if kept.listener_gru is None or kept.heard is None or self.to_listener is None:
            return d_heard, d_listener
        if self.forward.settings.listener_ZNH is not None:
            d_listener = d_listener * self.forward.settings.listener_ZNH[:, kept.drawn]
        d_gates_x, d_gates_h, d_listener = kept.listener_gru.backward(d_listener)
        d_heard.view(-1, d_heard.shape[-1]).index_add_(0, kept.heard, d_gates_x.flatten(0, 1))
        self.collected.listener.append(d_gates_h)
        return d_heard, torch.baddbmm(d_listener, d_gates_h, self.to_listener)

    def _undo_global(self, t: int, kept: Kept, d_inputs: Tensor) -> Tensor:
        """Gradient of GRU_G's input gates: g is read by its own turn, by the next, and by all later contexts."""
        n, history = kept.step.n_active, self.forward.history
        later = history.backward_write(t)  # first what later turns ask of g_t, then what this one asks of the past
        d_query = None
        if kept.context is not None:
            d_query = history.backward_read(t, torch.bmm(d_inputs[:, 1], self.to_context))
        if self.forward.inputs.queries is not None:
            self.collected.query.append(torch.zeros_like(kept.g) if d_query is None else d_query)
        through_inputs = d_inputs.transpose(1, 2).reshape(self.forward.n_directions, n, -1)
        d_products = torch.cat([grow(self.d_g_gates, n), through_inputs], dim=-1)
        d_g = torch.baddbmm(self.d_g_all[:, kept.rows] + grow(self.d_g, n), d_products, self.to_global)
        if later is not None:
            d_g += later
        if self.forward.settings.global_KNH is not None:
            d_g *= self.forward.settings.global_KNH[:, kept.rows]
        d_gates_x, self.d_g_gates, self.d_g = kept.global_gru.backward(d_g)
        self.collected.shared.append(d_products)
        return d_gates_x

    def gradients(self) -> Inputs:
        """Of everything that went in: one product per weight, over all rows of the batch."""
        forward, kept, size = self.forward, self.forward.kept, 3 * self.forward.size_p
        d_party, d_shared = (torch.cat(part[::-1], dim=1) for part in (self.collected.party, self.collected.shared))
        d_inputs = torch.cat(self.collected.inputs[::-1], dim=2)
        n_first = kept[0].step.n_active  # the first turn of a dialogue has no context
        contexts = [step.context for step in kept if step.context is not None]
        d_listener = torch.cat(self.collected.listener[::-1], dim=1) if self.collected.listener else None
        listened = [step.listener_gru.h for step in kept if step.listener_gru is not None]
        given = forward.inputs
        gradients = Inputs(
            x_global=d_party[::2, :, size:],
            x_self=d_inputs[:, 0],
            queries=torch.cat(self.collected.query[::-1], dim=1) if self.collected.query else None,
            g_0=self.d_g,
            g_gates_0=self.d_g_gates,
            party_0=self.d_pool,
            from_party=_over_rows([step.speaker_gru.h for step in kept], d_party, given.from_party),
            speaker_bias=d_party[..., :size].sum(1, keepdim=True),
            from_global=_over_rows([step.g for step in kept], d_shared, given.from_global),
            bias_global=d_shared.sum(1, keepdim=True),
            from_context=_over_rows(contexts, d_inputs[:, 1, n_first:], given.from_context),
            listener_weight=None,
            listener_bias=None,
            attention_weight=None,
            attention_bias=None,
        )
        if given.listener_weight is not None and given.listener_bias is not None:
            d_bias = torch.zeros_like(given.listener_bias) if d_listener is None else d_listener.sum(1, keepdim=True)
            d_weight = _over_rows(listened, d_listener, given.listener_weight)
            gradients = gradients._replace(listener_weight=d_weight, listener_bias=d_bias)
        if isinstance(forward.history, SimpleHistory):
            d_weight, d_bias_1 = forward.history.d_weight, forward.history.d_bias
            gradients = gradients._replace(
                attention_weight=d_weight, attention_bias=None if given.attention_bias is None else d_bias_1
            )
        return gradients


class ManualRecurrence(torch.autograd.Function):
    """``apply(settings, *inputs) -> (g_KNH, s_KNH)``: (1)–(6) of EQUATIONS.md A over a packed batch."""

    @staticmethod
    def forward(ctx: Any, settings: Settings, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
        """Global states, and the speakers' self states after their turns."""
        forward = Forward(settings, Inputs(*tensors))  # type: ignore[arg-type]
        for step in settings.layout.steps:
            forward.advance(step)
        ctx.kept_forward = forward
        g_KNH = torch.cat([step.g for step in forward.kept], dim=1)
        return g_KNH, torch.cat([step.speaker[::2] for step in forward.kept], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_g_KNH: Tensor, d_s_KNH: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of everything that went in, in the same order."""
        backward = Backward(ctx.kept_forward, d_g_KNH, d_s_KNH)
        for t in range(len(ctx.kept_forward.kept) - 1, -1, -1):
            backward.step_back(t)
        return (None, *backward.gradients())


def _flat(pool_ZRH: Tensor, rows_KR: Tensor) -> Tensor:
    """Positions in the flattened ``[Z·R]`` of rows of each direction: both planes take the same."""
    n_z, n_rows = pool_ZRH.shape[:2]
    rows_ZR = rows_KR.repeat_interleave(n_z // rows_KR.shape[0], dim=0)
    return (rows_ZR + torch.arange(n_z, device=rows_KR.device)[:, None] * n_rows).flatten()


def _take(pool_ZRH: Tensor, rows: Tensor, n_rows: int) -> Tensor:
    return pool_ZRH.flatten(0, 1).index_select(0, rows).view(pool_ZRH.shape[0], n_rows, -1)


def _over_rows(rows: list[Tensor], d_rows: Tensor | None, weight: Tensor) -> Tensor:
    """A weight's gradient from everything it was multiplied with; zeros where that is nothing."""
    if d_rows is None or not rows:
        return torch.zeros_like(weight)
    return torch.bmm(torch.cat(rows, dim=1).transpose(1, 2), d_rows)
