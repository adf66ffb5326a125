"""The recurrence as one autograd node with a backward written by hand: the engine of every dialogue RNN here.

Autograd would keep a node for each of some forty small operations a step, and multiply out every weight's gradient at
every step. Here forward writes the activations of all rows into one buffer per cell, and backward

1. turns those buffers into slopes, for all rows at once (:func:`dialogue_ser.nn.cells.gru_slopes`);
2. walks back: a step multiplies slopes by the gradient that reached it and sends the result on with a few products;
3. forms each weight's gradient with one product over all rows of the batch.

Tensors carry the direction K first; party states carry Z = K·J, the planes J of a direction side by side. Rows are packed
turns (N), pool rows (R, see :mod:`dialogue_ser.nn.layout`) or listener updates (L). Gates are ordered as in
:mod:`dialogue_ser.nn.cells`. The same mathematics as :meth:`DialogueRecurrence.loop`, which stays as the readable engine; the
tests hold both to a plain reference. Long because forward and backward of one node must be read side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.cells import DropoutMasks, gru_, gru_slopes
from dialogue_ser.nn.history import AttentionGradients, MatchingHistory, SimpleHistory
from dialogue_ser.nn.layout import PackedLayout, Step
from dialogue_ser.nn.wiring import Source, Wiring


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that is no tensor to differentiate.

    Args:
        wiring: which cell reads what.
        layout: the batch.
        attention: kind.
        masks: dropout multipliers, or None.
    """

    wiring: Wiring
    layout: PackedLayout
    attention: str
    masks: DropoutMasks | None


class Weights(NamedTuple):
    """The tensors that the steps multiply with; :class:`DialogueRecurrence` holds them in this very shape.

    Args:
        start_global: g before the first turn ``[K, 1, G]``.
        start_party: states of everybody before the first turn ``[Z, 1, P]``.
        global_bias_m: of GRU_G ``[K, G]``; its other biases are already in its input gates.
        from_party: speaker's states → its own ``[r|z|m]``, then → ``[n|r|z]`` of g ``[Z, P, 3P + 3G]``.
        from_global: g → its own ``[r|z|m]``, then → ``[n|r|z]`` of every cell that reads g ``[K, G, 3G + 3P·readers]``.
        global_product_bias: added to that product: biases of cells that do not read x ``[K, 3G + 3P·readers]``, or None.
        from_context: context → ``[n|r|z]`` of every cell that reads it ``[K, G, 3P·readers]``, or None.
        speaker_bias_m: ``[Z, P]``.
        from_listener: listener's states → their own ``[r|z|m]`` ``[Z, P, 3P]``; None where listeners hold.
        listener_bias_m: ``[Z, P]``, or None.
        from_heard: new state of who speaks → ``[n|r|z]`` of the listeners' cells ``[Z, P, 3P]``, or None.
        attention_weight: of simple attention ``[K, G, 1]``, or None.
        attention_bias: ``[K, 1]``, or None.
    """

    start_global: Tensor
    start_party: Tensor
    global_bias_m: Tensor
    from_party: Tensor
    from_global: Tensor
    global_product_bias: Tensor | None
    from_context: Tensor | None
    speaker_bias_m: Tensor
    from_listener: Tensor | None
    listener_bias_m: Tensor | None
    from_heard: Tensor | None
    attention_weight: Tensor | None
    attention_bias: Tensor | None


class Columns:
    """Where each party cell's ``[n|r|z]`` stands in the joined products with g and with the context."""

    def __init__(self, wiring: Wiring, global_dim: int, party_dim: int) -> None:
        self.wiring, width = wiring, 3 * party_dim
        own = {"g": 3 * global_dim, "context": 0}
        self.of: dict[Source, dict[str, slice]] = {
            source: {
                cell: slice(first + i * width, first + (i + 1) * width)
                for i, cell in enumerate(wiring.readers(source))  # type: ignore[arg-type]
            }
            for source, first in own.items()
        }  # type: ignore[assignment]


class Forward:
    """The steps from first to last, keeping what backward needs.

    Args:
        settings: what is computed.
        x_gates: cell → ``[n|r|z]`` from x, bias included ``[K, N, 3H]``: ``global`` and every party cell that reads x.
        queries: what each turn asks with ``[K, N, G]``, or None.
        weights: what the steps multiply with.
    """

    def __init__(
        self, settings: Settings, x_gates: Mapping[str, Tensor], queries: Tensor | None, weights: Weights
    ) -> None:
        self.settings, self.x_gates, self.weights = settings, x_gates, weights
        layout, planes = settings.layout, settings.wiring.planes
        self.n_planes, self.planes = len(planes), planes
        self.n_directions, _, self.global_dim = weights.start_global.shape
        n_z, _, self.party_dim = weights.start_party.shape
        self.columns = Columns(settings.wiring, self.global_dim, self.party_dim)
        n_rows, like = layout.n_rows, x_gates["global"]
        self.g = like.new_empty(self.n_directions, n_rows, self.global_dim)
        self.pool = like.new_empty(n_z, layout.n_states, self.party_dim)
        self.pool[:, :1] = weights.start_party
        self.global_gates = _gates(weights.global_bias_m, n_rows)
        self.speaker_gates = _gates(weights.speaker_bias_m, n_rows)
        if weights.listener_bias_m is not None:
            self.listener_gates = _gates(weights.listener_bias_m, layout.n_listener_updates)
            # what listeners hear, once a turn, however many of them there are
            self.said = like.new_empty(n_z, n_rows, 3 * self.party_dim)
        self.contexts: list[Tensor | None] = []
        self.history: SimpleHistory | MatchingHistory = (
            SimpleHistory(settings.attention, weights.attention_weight, weights.attention_bias)
            if weights.attention_weight is not None
            else MatchingHistory(settings.attention, _known(queries), layout)
        )
        self.g_before = weights.start_global.expand(-1, layout.n_dialogues, -1)
        self.g_gates = torch.bmm(self.g_before, weights.from_global[..., : 3 * self.global_dim])

    def by_plane(self, tensor_ZRH: Tensor) -> Tensor:
        """``[Z, R, H]`` as ``[K, J, R, H]``."""
        return tensor_ZRH.view(self.n_directions, self.n_planes, *tensor_ZRH.shape[1:])

    def advance(self, step: Step) -> None:
        """One turn of every dialogue still running."""
        weights, masks, n, size = self.weights, self.settings.masks, step.n_active, self.global_dim
        taken = self.pool.flatten(0, 1).index_select(0, step.source).view(len(self.pool), -1, self.party_dim)
        speaker, listener = taken[:, :n], taken[:, n:]
        products = torch.bmm(speaker, weights.from_party)
        # (1) global state, from the speaker's previous states
        gates, g = self.global_gates[:, step.rows], self.g[:, step.rows]
        to_global = self.by_plane(products[..., 3 * self.party_dim :]).unbind(1)
        _sum_into(gates[..., : 3 * size], [self.x_gates["global"][:, step.rows], *to_global])
        gates[..., size:] += self.g_gates[:, :n]
        gru_(gates, self.g_before[:, :n], g, None if masks is None else masks.global_KNG[:, step.rows])
        self.g_before = g
        # (2) context from strictly past global states
        context = self.history.read(n)
        self.contexts.append(context)
        self.history.write(g)
        given = self._products(g, context)
        # the speaker's states
        gates = self.speaker_gates[:, step.rows]
        self._input_gates("speaker", self.by_plane(gates), step, given)
        gates[..., self.party_dim :] += products[..., : 3 * self.party_dim]
        states = self.pool[:, step.states]
        gru_(gates, speaker, states[:, :n], None if masks is None else masks.speaker_ZNP[:, step.rows])
        if weights.from_listener is not None and step.n_listeners:
            self._listen(step, given, listener, states)

    def _products(self, g: Tensor, context: Tensor | None) -> dict[str, Tensor]:
        """Everything g and the context are multiplied with, joined; g's own gates are kept for the next turn."""
        weights = self.weights
        if weights.global_product_bias is None:
            given = {"g": torch.bmm(g, weights.from_global)}
        else:
            given = {"g": torch.baddbmm(weights.global_product_bias[:, None], g, weights.from_global)}
        self.g_gates = given["g"][..., : 3 * self.global_dim]
        if context is not None and weights.from_context is not None:
            given["context"] = torch.bmm(context, weights.from_context)
        return given

    def _input_gates(self, role: str, gates_KJNG: Tensor, step: Step, given: Mapping[str, Tensor]) -> None:
        """Write ``[n|r|z]`` of the speakers' or the listeners' cells, one row per turn."""
        for j, plane in enumerate(self.planes):
            cell = f"{role}.{plane.name}"
            parts = []
            for source in self.settings.wiring.cells[cell]:
                if source == "x":
                    parts.append(self.x_gates[cell][:, step.rows])
                elif source in given:
                    parts.append(given[source][..., self.columns.of[source][cell]])
            _sum_into(gates_KJNG[:, j, :, : 3 * self.party_dim], parts)

    def _listen(self, step: Step, given: Mapping[str, Tensor], listener: Tensor, states: Tensor) -> None:
        """Listeners hear the turn of their dialogue."""
        weights, masks, n, size = self.weights, self.settings.masks, step.n_active, self.party_dim
        assert weights.from_listener is not None
        said = self.said[:, step.rows]
        self._input_gates("listener", self.by_plane(said), step, given)
        if weights.from_heard is not None:
            said += torch.bmm(states[:, :n], weights.from_heard)
        gates = self.listener_gates[:, step.drawn]
        heard = self.said.flatten(0, 1).index_select(0, step.heard)
        gates[..., : 3 * size] = heard.view(*gates.shape[:2], -1)
        gates[..., size:] += torch.bmm(listener, weights.from_listener)
        gru_(gates, listener, states[:, n:], None if masks is None else masks.listener_ZLP[:, step.drawn])

    def felt(self) -> Tensor:
        """The speakers' states after their turns, of the planes that the emotion chain reads ``[K, F, N, P]``."""
        states = self.pool.flatten(0, 1).index_select(0, self.settings.layout.speaker_state)
        by_plane = self.by_plane(states.view(len(self.pool), -1, self.party_dim))
        return torch.stack([by_plane[:, j] for j in self.settings.wiring.planes_felt], dim=1)


class Backward:
    """The same steps from the last to the first.

    Args:
        forward: what happened.
        d_g: gradient of all g from outside ``[K, N, G]``, or None.
        d_felt: gradient of the felt states ``[K, F, N, P]``, or None.
    """

    def __init__(self, forward: Forward, d_g: Tensor | None, d_felt: Tensor | None) -> None:
        self.forward, self.d_g, self.d_felt, weights = forward, d_g, d_felt, forward.weights
        layout, masks = forward.settings.layout, forward.settings.masks
        pool, n_z, size = forward.pool.flatten(0, 1), len(forward.pool), forward.party_dim
        start = weights.start_global.expand(-1, layout.n_dialogues, -1)
        self.g_before = torch.cat([start, forward.g.index_select(1, layout.previous_row)], dim=1)
        self.speaker_before = pool.index_select(0, layout.speaker_source).view(n_z, -1, size)
        self.global_slopes = gru_slopes(forward.global_gates, self.g_before, masks and masks.global_KNG)
        self.speaker_slopes = gru_slopes(forward.speaker_gates, self.speaker_before, masks and masks.speaker_ZNP)
        if weights.from_listener is not None:
            self.listener_before = pool.index_select(0, layout.listener_source).view(n_z, -1, size)
            self.listener_slopes = gru_slopes(
                forward.listener_gates, self.listener_before, masks and masks.listener_ZLP
            )
            self.d_said = pool.new_zeros(n_z, layout.n_rows, 3 * size)
        self.d_taken = pool.new_zeros(n_z, layout.n_states, size)  # of the state each update read
        self.d_g_before = forward.g.new_zeros(forward.n_directions, layout.n_dialogues, forward.global_dim)
        forward.history.start_backward([forward.g[:, step.rows] for step in layout.steps])

    def step_back(self, t: int) -> None:
        """Undo turn t."""
        forward, step = self.forward, self.forward.settings.layout.steps[t]
        weights, n, size = forward.weights, step.n_active, forward.party_dim
        d_states = self._asked(step)
        if weights.from_listener is not None and step.n_listeners:
            self._unlisten(step, d_states)
        slopes = self.speaker_slopes[:, step.rows]
        slopes.unflatten(-1, (5, size)).mul_(d_states[:, :n, None])
        d_global_gates = self._undo_global(t, step)
        own = weights.from_party[..., : 3 * size].transpose(1, 2)
        d_before = torch.baddbmm(slopes[..., 4 * size :], slopes[..., size : 4 * size], own)
        to_global = weights.from_party[..., 3 * size :].reshape(forward.n_directions, forward.n_planes * size, -1)
        through_g = torch.bmm(d_global_gates, to_global.transpose(1, 2))
        torch.add(
            forward.by_plane(d_before),
            through_g.view(forward.n_directions, n, forward.n_planes, size).transpose(1, 2),
            out=forward.by_plane(self.d_taken)[:, :, step.states.start : step.states.start + n],
        )

    def _asked(self, step: Step) -> Tensor:
        """What later updates and the emotions ask of the states a step wrote."""
        forward, d_taken = self.forward, self.d_taken.flatten(0, 1)
        d_states = d_taken.index_select(0, step.reader)
        if step.read_twice.shape[0]:
            d_states.index_add_(0, step.read_twice, d_taken.index_select(0, step.second_reader))
        d_states = d_states.view(len(forward.pool), -1, forward.party_dim)
        if self.d_felt is not None:
            by_plane = forward.by_plane(d_states)
            for i, j in enumerate(forward.settings.wiring.planes_felt):
                by_plane[:, j, : step.n_active] += self.d_felt[:, i, step.rows]
        return d_states

    def _unlisten(self, step: Step, d_states: Tensor) -> None:
        """Through the listeners' cells, to their states before and to what they heard."""
        weights, n, size = self.forward.weights, step.n_active, self.forward.party_dim
        assert weights.from_listener is not None
        slopes = self.listener_slopes[:, step.drawn]
        slopes.unflatten(-1, (5, size)).mul_(d_states[:, n:, None])
        own = weights.from_listener.transpose(1, 2)
        self.d_taken[:, step.states][:, n:] = torch.baddbmm(slopes[..., 4 * size :], slopes[..., size : 4 * size], own)
        self.d_said.flatten(0, 1).index_add_(0, step.heard, slopes[..., : 3 * size].flatten(0, 1))
        if weights.from_heard is not None:
            d_states[:, :n] += torch.bmm(self.d_said[:, step.rows], weights.from_heard.transpose(1, 2))

    def _undo_global(self, t: int, step: Step) -> Tensor:
        """Through g, which its own turn reads, the next turn, and all later contexts; gives its input gates' gradient."""
        forward, weights, n, size = self.forward, self.forward.weights, step.n_active, self.forward.global_dim
        d_g = self.d_g_before[:, :n]
        if self.d_g is not None:
            d_g = d_g + self.d_g[:, step.rows]
        # first what later turns ask of g_t, then what this one asks of the past
        later = forward.history.backward_write(t)
        if later is not None:
            d_g = d_g + later
        for cell, columns in forward.columns.of["g"].items():
            d_g = torch.baddbmm(d_g, self._input_gates(cell)[:, step.rows], weights.from_global[..., columns].mT)
        if forward.contexts[t] is not None and weights.from_context is not None:
            d_context = torch.zeros_like(d_g)
            for cell, columns in forward.columns.of["context"].items():
                gates = self._input_gates(cell)[:, step.rows]
                d_context = torch.baddbmm(d_context, gates, weights.from_context[..., columns].mT)
            forward.history.backward_read(t, d_context)
        slopes = self.global_slopes[:, step.rows]
        slopes.unflatten(-1, (5, size)).mul_(d_g[:, :, None])
        own = weights.from_global[..., : 3 * size].mT
        self.d_g_before[:, :n] = torch.baddbmm(slopes[..., 4 * size :], slopes[..., size : 4 * size], own)
        return slopes[..., : 3 * size]

    def _input_gates(self, cell: str) -> Tensor:
        """Gradient of a cell's ``[n|r|z]``, one row per turn ``[K, N, 3H]``; right once its step is undone."""
        if cell == "global":
            return self.global_slopes[..., : 3 * self.forward.global_dim]
        role, plane = cell.split(".")
        j = [known.name for known in self.forward.planes].index(plane)
        gates = self.speaker_slopes if role == "speaker" else self.d_said
        return self.forward.by_plane(gates)[:, j, :, : 3 * self.forward.party_dim]

    def gradients(self) -> tuple[list[Tensor], Tensor | None, Weights]:
        """Of the products with x, of the queries and of the weights: one product per weight, over all rows."""
        forward, weights, size_g, size = self.forward, self.forward.weights, self.forward.global_dim, self.forward.party_dim
        layout = forward.settings.layout
        attention: AttentionGradients = forward.history.gradients()
        own_slopes = self.speaker_slopes[..., size : 4 * size]
        d_party = torch.empty_like(weights.from_party)
        torch.bmm(self.speaker_before.mT, own_slopes, out=d_party[..., : 3 * size])
        both_planes = forward.by_plane(self.speaker_before).transpose(1, 2).flatten(2)  # [K, N, J·P]
        to_global = torch.bmm(both_planes.mT, self._input_gates("global"))
        d_party[..., 3 * size :] = to_global.view(len(d_party), size, -1)
        starts = layout.is_start.to(self.d_taken.dtype).repeat_interleave(forward.n_planes, dim=0)
        d_weights = Weights(
            start_global=self.d_g_before.sum(1, keepdim=True),
            start_party=torch.bmm(starts[:, None], self.d_taken),
            global_bias_m=self.global_slopes[..., 3 * size_g : 4 * size_g].sum(1),
            from_party=d_party,
            from_global=self._d_from_global(),
            global_product_bias=self._d_product_bias(),
            from_context=self._d_from_context(),
            speaker_bias_m=self.speaker_slopes[..., 3 * size : 4 * size].sum(1),
            from_listener=None,
            listener_bias_m=None,
            from_heard=None,
            attention_weight=attention.weight_KG1,
            attention_bias=attention.bias_K1,
        )
        if weights.from_listener is not None:
            slopes = self.listener_slopes
            d_weights = d_weights._replace(
                from_listener=torch.bmm(self.listener_before.mT, slopes[..., size : 4 * size]),
                listener_bias_m=slopes[..., 3 * size : 4 * size].sum(1),
            )
        if weights.from_heard is not None:
            heard = forward.pool.flatten(0, 1).index_select(0, layout.speaker_state).view_as(self.speaker_before)
            d_weights = d_weights._replace(from_heard=torch.bmm(heard.mT, self.d_said))
        return [self._input_gates(cell) for cell in forward.x_gates], attention.queries_KNG, d_weights

    def _d_from_global(self) -> Tensor:
        forward, size = self.forward, self.forward.global_dim
        gradient = torch.empty_like(forward.weights.from_global)
        own = self.global_slopes[..., size : 4 * size]
        torch.bmm(self.g_before.mT, own, out=gradient[..., : 3 * size])
        for cell, columns in forward.columns.of["g"].items():
            torch.bmm(forward.g.mT, self._input_gates(cell), out=gradient[..., columns])
        return gradient

    def _d_product_bias(self) -> Tensor | None:
        if self.forward.weights.global_product_bias is None:
            return None
        gradient = torch.zeros_like(self.forward.weights.global_product_bias)
        for cell, columns in self.forward.columns.of["g"].items():
            gradient[:, columns] = self._input_gates(cell).sum(1)
        return gradient

    def _d_from_context(self) -> Tensor | None:
        forward = self.forward
        if forward.weights.from_context is None:
            return None
        contexts = [context for context in forward.contexts if context is not None]
        if not contexts:
            return torch.zeros_like(forward.weights.from_context)
        gradient = torch.empty_like(forward.weights.from_context)
        context = torch.cat(contexts, dim=1)
        for cell, columns in forward.columns.of["context"].items():  # the first turn of a dialogue has no context
            later = self._input_gates(cell)[:, -context.shape[1] :]
            torch.bmm(context.mT, later, out=gradient[..., columns])
        return gradient


class ManualRecurrence(torch.autograd.Function):
    """``apply(settings, cells, queries, *x_gates, *weights) -> (g [K, N, G], felt [K, F, N, P])``.

    Args:
        settings: what is computed.
        cells: names of the cells that ``x_gates`` belong to, in order.
        queries: of matching attention, or None.
        x_gates: see :class:`Forward`.
        weights: the fields of :class:`Weights`, in order.
    """

    @staticmethod
    def forward(
        ctx: Any, settings: Settings, cells: Sequence[str], queries: Tensor | None, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Global states, and the speakers' felt states after their turns."""
        x_gates = dict(zip(cells, tensors, strict=False))
        forward = Forward(settings, x_gates, queries, Weights(*tensors[len(cells) :]))  # type: ignore[arg-type]
        for step in settings.layout.steps:
            forward.advance(step)
        ctx.kept = forward
        ctx.set_materialize_grads(False)
        return forward.g, forward.felt()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_g: Tensor | None, d_felt: Tensor | None) -> tuple[Any, ...]:
        """Gradients of everything that went in, in the same order."""
        backward = Backward(ctx.kept, d_g, d_felt)
        for t in range(len(ctx.kept.settings.layout.steps) - 1, -1, -1):
            backward.step_back(t)
        d_x_gates, d_queries, d_weights = backward.gradients()
        return (None, None, d_queries, *d_x_gates, *d_weights)


def _gates(bias_m_ZH: Tensor, n_rows: int) -> Tensor:
    """A buffer of pre-activations ``[Z, rows, 4H]`` in which only the bias of m stands."""
    n_z, size = bias_m_ZH.shape
    gates = bias_m_ZH.new_empty(n_z, n_rows, 4 * size)
    gates[..., 3 * size :] = bias_m_ZH[:, None]
    return gates


def _sum_into(out: Tensor, parts: Sequence[Tensor]) -> None:
    """Write a sum; a cell that reads nothing yet (no context before the first turn) gets zeros."""
    if len(parts) >= 2:
        torch.add(parts[0], parts[1], out=out)
        for part in parts[2:]:
            out += part
    elif parts:
        out.copy_(parts[0])
    else:
        out.zero_()


def _known(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
