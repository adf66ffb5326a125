"""The recurrence as one autograd node with a hand-written backward: the default engine of every dialogue RNN here.

Autograd alone would keep a node for each of about forty small operations per step, and it would compute a product for
each weight's gradient at every step. Here forward writes the activations of all rows into one buffer per cell. Backward
then has three parts:

1. It turns these buffers into slopes, for all rows at once (:class:`dialogue_ser.nn.gru.cells.Slopes`).
2. It goes through the steps from the last to the first. A step multiplies its slopes by the gradient that arrives and
   passes the result on with a few products.
3. It computes each weight's gradient with one product over all rows of the batch.

The first axis of a tensor is the direction K. For party states it is Z = K·J: for each direction, the planes J side by
side. Rows are packed turns (N), rows of the state table (R, see :mod:`dialogue_ser.nn.recurrence.layout`) or listener
updates (L). A name that ends in ``_at`` is a sequence with one entry per step. Gates have the order of
:mod:`dialogue_ser.nn.gru.cells`. :meth:`DialogueRecurrence.autograd_loop` is the readable engine for the same
mathematics, and the tests compare both with a plain reference.

Long because one reads the forward and the backward of one node side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.gru.cells import DropoutMasks, Gates, Slopes, split_by_step
from dialogue_ser.nn.recurrence.history import AttentionGradients, MatchingHistory, SimpleHistory
from dialogue_ser.nn.recurrence.layout import PackedLayout, Step
from dialogue_ser.nn.recurrence.wiring import CellInput, Wiring


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the node computes, apart from the tensors that receive gradients.

    Args:
        wiring: which cell reads what.
        layout: layout of the batch.
        attention: kind of attention over past global states.
        masks: dropout multipliers.
    """

    wiring: Wiring
    layout: PackedLayout
    attention: str
    masks: DropoutMasks


class Weights(NamedTuple):
    """The tensors that the steps multiply with. :class:`DialogueRecurrence` stores them in exactly this form.

    Args:
        start_global: g before the first turn ``[K, 1, G]``.
        start_party: states of all parties before the first turn ``[Z, 1, P]``.
        global_bias_m: bias of m of the global cell ``[K, G]``. Its other biases are already in its input gates.
        from_party: from a speaker's states to its own ``[r|z|m]`` and then to ``[n|r|z]`` of g ``[Z, P, 3P + 3G]``.
        from_global: from g to its own ``[r|z|m]`` and then to ``[n|r|z]`` of every cell that reads g
            ``[K, G, 3G + 3P·(number of these cells)]``.
        from_context: from the context to ``[n|r|z]`` of every cell that reads it
            ``[K, G, 3P·(number of these cells)]``, or None.
        speaker_bias_m: bias of m of the speakers' cells ``[Z, P]``.
        from_listener: from a listener's states to their own ``[r|z|m]`` ``[Z, P, 3P]``. None if listeners keep their
            states.
        listener_bias_m: bias of m of the listeners' cells ``[Z, P]``, or None.
        from_heard: from the new state of the speaker to ``[n|r|z]`` of the listeners' cells ``[Z, P, 3P]``, or None.
        attention_weight: weight of simple attention ``[K, G, 1]``, or None.
        attention_bias: bias of simple attention ``[K, 1]``, or None.
    """

    start_global: Tensor
    start_party: Tensor
    global_bias_m: Tensor
    from_party: Tensor
    from_global: Tensor
    from_context: Tensor | None
    speaker_bias_m: Tensor
    from_listener: Tensor | None
    listener_bias_m: Tensor | None
    from_heard: Tensor | None
    attention_weight: Tensor | None
    attention_bias: Tensor | None


class Columns:
    """The columns of each party cell's ``[n|r|z]`` in the joined products with g and with the context.

    Attributes:
        of: cell input (g or context) → cell → its columns.
        widths: cell input → widths of all columns, in order. The columns of g's own gates come first.
        products_read: role → cell → the products that it reads: cell input, and number of the cell among those that
            read it.
    """

    def __init__(self, wiring: Wiring, global_dim: int, party_dim: int) -> None:
        width = 3 * party_dim
        own_width: dict[CellInput, int] = {"g": 3 * global_dim, "context": 0}
        self.of: dict[str, dict[str, slice]] = {
            cell_input: {
                cell: slice(first + i * width, first + (i + 1) * width)
                for i, cell in enumerate(wiring.cells_that_read(cell_input))
            }
            for cell_input, first in own_width.items()
        }
        self.widths = {
            cell_input: [first] * bool(first) + [width] * len(self.of[cell_input])
            for cell_input, first in own_width.items()
        }
        self.products_read: dict[str, dict[str, list[tuple[str, int]]]] = {"speaker": {}, "listener": {}}
        for cell in wiring.cells:
            read = [(cell_input, list(cells).index(cell)) for cell_input, cells in self.of.items() if cell in cells]
            self.products_read[cell.split(".")[0]][cell] = read


class Forward:
    """The steps from the first to the last. The object keeps what backward needs.

    Args:
        settings: what is computed.
        x_gates: ``global`` and every party cell → ``[n|r|z]`` from x and from the bias ``[K, N, 3H]``.
        queries: queries of matching attention, one per turn ``[K, N, G]``, or None.
        weights: tensors that the steps multiply with.
    """

    def __init__(
        self, settings: Settings, x_gates: Mapping[str, Tensor], queries: Tensor | None, weights: Weights
    ) -> None:
        self.settings, self.x_gates, self.weights = settings, x_gates, weights
        layout, masks, like = settings.layout, settings.masks, x_gates["global"]
        self.n_planes = len(settings.wiring.planes)
        self.n_directions, _, self.global_dim = weights.start_global.shape
        n_z, _, self.party_dim = weights.start_party.shape
        self.columns = Columns(settings.wiring, self.global_dim, self.party_dim)
        self.rows_per_step = rows_per_step = [step.n_active for step in layout.steps]
        self.listeners_per_step = [step.n_listeners for step in layout.steps]
        self.g = like.new_empty(self.n_directions, layout.n_rows, self.global_dim)
        self.state_table = like.new_empty(n_z, layout.n_states, self.party_dim)
        start, self.speaker_at, self.listener_at = self.cut_state_table(self.state_table)
        start.copy_(weights.start_party)
        self.g_at = torch.split(self.g, rows_per_step, dim=1)
        self.global_gates = Gates(weights.global_bias_m, rows_per_step)
        self.speaker_gates = Gates(weights.speaker_bias_m, rows_per_step)
        self.x_gates_at = {cell: torch.split(gates, rows_per_step, dim=1) for cell, gates in x_gates.items()}
        if weights.listener_bias_m is not None:
            self.listener_gates = Gates(weights.listener_bias_m, self.listeners_per_step)
            # All listeners of a turn read the same, so their input gates are computed once per turn.
            self.listener_inputs = like.new_empty(n_z, layout.n_rows, 3 * self.party_dim)
            self.listener_inputs_at = torch.split(self.listener_inputs, rows_per_step, dim=1)
        self.global_masks = split_by_step(masks.global_KNG, rows_per_step)
        self.speaker_masks = split_by_step(masks.speaker_ZNP, rows_per_step)
        self.listener_masks = split_by_step(masks.listener_ZLP, self.listeners_per_step)
        self.contexts: list[Tensor | None] = []
        self.history = _history(settings, queries, weights)
        self.g_before = weights.start_global.expand(-1, layout.n_dialogues, -1)
        self.g_gates = torch.bmm(self.g_before, weights.from_global[..., : 3 * self.global_dim])

    def cut_state_table(self, table_ZRP: Tensor) -> tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]:
        """Return the views of row 0, of each step's speakers and of each step's listeners."""
        sizes = [size for pair in zip(self.rows_per_step, self.listeners_per_step, strict=True) for size in pair]
        start, *parts = torch.split(table_ZRP, [1, *sizes], dim=1)
        return start, parts[::2], parts[1::2]

    def by_plane(self, tensor_ZRH: Tensor) -> Tensor:
        """Return ``[Z, R, H]`` as ``[K, J, R, H]``."""
        return tensor_ZRH.view(self.n_directions, self.n_planes, *tensor_ZRH.shape[1:])

    def advance(self, t: int, step: Step) -> None:
        """Compute one turn of every active dialogue."""
        weights, n = self.weights, step.n_active
        flat_states = self.state_table.flatten(0, 1)
        before = flat_states.index_select(0, step.states_before).view(len(self.state_table), -1, self.party_dim)
        speaker = before[:, :n]
        to_speaker, to_global = torch.bmm(speaker, weights.from_party).tensor_split((3 * self.party_dim,), dim=2)
        # (1) global state, from the speaker's previous states
        _sum_into(self.global_gates.inputs[t], [self.x_gates_at["global"][t], *self.by_plane(to_global).unbind(1)])
        self.global_gates.state[t].add_(self.g_gates[:, :n])
        g = self.g_at[t]
        self.global_gates.advance(t, self.g_before[:, :n], g, self.global_masks[t])
        self.g_before = g
        # (2) context from strictly earlier global states
        context = self.history.read(n)
        self.contexts.append(context)
        self.history.write(g)
        products = self._products(g, context)
        # (3), (5) states of the speaker
        self._write_input_gates("speaker", self.by_plane(self.speaker_gates.inputs[t]), t, products)
        self.speaker_gates.state[t].add_(to_speaker)
        self.speaker_gates.advance(t, speaker, self.speaker_at[t], self.speaker_masks[t])
        # (4), (6) states of the listeners
        if weights.from_listener is not None and step.n_listeners:
            self._update_listeners(t, step, products, before[:, n:])

    def _products(self, g: Tensor, context: Tensor | None) -> dict[str, Sequence[Tensor]]:
        """Return the products with g and with the context, one per cell. Keep g's own gates for the next turn."""
        weights = self.weights
        self.g_gates, *of_cells = torch.split(torch.bmm(g, weights.from_global), self.columns.widths["g"], dim=2)
        products: dict[str, Sequence[Tensor]] = {"g": of_cells}
        if context is not None and weights.from_context is not None:
            joined = torch.bmm(context, weights.from_context)
            products["context"] = torch.split(joined, self.columns.widths["context"], dim=2)
        return products

    def _write_input_gates(
        self, role: str, gates_KJNG: Tensor, t: int, products: Mapping[str, Sequence[Tensor]]
    ) -> None:
        """Write ``[n|r|z]`` of the speakers' or the listeners' cells, one row per turn."""
        for (cell, read), gates in zip(self.columns.products_read[role].items(), gates_KJNG.unbind(1), strict=True):
            parts = [products[cell_input][i] for cell_input, i in read if cell_input in products]
            _sum_into(gates, [self.x_gates_at[cell][t], *parts])

    def _update_listeners(self, t: int, step: Step, products: Mapping[str, Sequence[Tensor]], listener: Tensor) -> None:
        """Compute the new states of the listeners. Each listener reads the input gates of its dialogue's turn."""
        weights, inputs, gates = self.weights, self.listener_inputs_at[t], self.listener_gates
        assert weights.from_listener is not None
        self._write_input_gates("listener", self.by_plane(inputs), t, products)
        if weights.from_heard is not None:
            inputs += torch.bmm(self.speaker_at[t], weights.from_heard)
        of_listeners = self.listener_inputs.flatten(0, 1).index_select(0, step.turn_of_listener)
        gates.inputs[t].copy_(of_listeners.view_as(gates.inputs[t]))
        gates.state[t].add_(torch.bmm(listener, weights.from_listener))
        gates.advance(t, listener, self.listener_at[t], self.listener_masks[t])

    def emotion_inputs(self) -> Tensor:
        """Return the speakers' new states, of the planes that the emotion chain reads ``[K, F, N, P]``."""
        states = self.state_table.flatten(0, 1).index_select(0, self.settings.layout.speaker_states_after)
        by_plane = self.by_plane(states.view(len(self.state_table), -1, self.party_dim))
        return torch.stack([by_plane[:, j] for j in self.settings.wiring.emotion_planes], dim=1)


def _history(settings: Settings, queries: Tensor | None, weights: Weights) -> SimpleHistory | MatchingHistory:
    if weights.attention_weight is not None:
        return SimpleHistory(settings.attention, weights.attention_weight, weights.attention_bias)
    assert queries is not None
    return MatchingHistory(settings.attention, queries, settings.layout)


class Backward:
    """The same steps from the last to the first.

    Args:
        forward: the steps of forward and what they kept.
        d_g: gradient of all g from outside the loop ``[K, N, G]``, or None.
        d_emotion_inputs: gradient of the speakers' states that the emotion chain reads ``[K, F, N, P]``, or None.
    """

    def __init__(self, forward: Forward, d_g: Tensor | None, d_emotion_inputs: Tensor | None) -> None:
        self.forward, self.d_g, self.d_emotion_inputs = forward, d_g, d_emotion_inputs
        weights, layout, masks = forward.weights, forward.settings.layout, forward.settings.masks
        rows_per_step, flat_states = forward.rows_per_step, forward.state_table.flatten(0, 1)
        n_z, size = len(forward.state_table), forward.party_dim
        start = weights.start_global.expand(-1, layout.n_dialogues, -1)
        self.g_before = torch.cat([start, forward.g.index_select(1, layout.previous_row)], dim=1)
        self.global_slopes = Slopes(forward.global_gates, self.g_before, masks.global_KNG, rows_per_step)
        self.speaker_before = flat_states.index_select(0, layout.speaker_states_before).view(n_z, -1, size)
        self.speaker_slopes = Slopes(forward.speaker_gates, self.speaker_before, masks.speaker_ZNP, rows_per_step)
        # Gradients of every cell's input gates, one row per turn. They are valid after step_back of their step.
        self.d_inputs = {"global": self.global_slopes.inputs, **self._by_cell("speaker", self.speaker_slopes.inputs)}
        if weights.from_listener is not None:
            self.listener_before = flat_states.index_select(0, layout.listener_states_before).view(n_z, -1, size)
            self.listener_slopes = Slopes(
                forward.listener_gates, self.listener_before, masks.listener_ZLP, forward.listeners_per_step
            )
            self.d_listener_inputs = flat_states.new_zeros(n_z, layout.n_rows, 3 * size)
            self.d_listener_inputs_at = torch.split(self.d_listener_inputs, rows_per_step, dim=1)
            self.d_inputs |= self._by_cell("listener", self.d_listener_inputs)
        self.d_inputs_at = {cell: torch.split(gates, rows_per_step, dim=1) for cell, gates in self.d_inputs.items()}
        # For each row of the state table: gradient of the state that the update of this row used.
        self.d_states_before = flat_states.new_zeros(n_z, layout.n_states, size)
        _, self.d_speaker_before_at, self.d_listener_before_at = forward.cut_state_table(self.d_states_before)
        self.d_g_before = forward.g.new_zeros(forward.n_directions, layout.n_dialogues, forward.global_dim)
        self.transposed = _TransposedWeights(weights, forward.columns, forward.n_directions)
        forward.history.start_backward(forward.g_at)

    def _by_cell(self, role: str, gates: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.forward.columns.products_read[role], self.forward.by_plane(gates).unbind(1), strict=True))

    def step_back(self, t: int) -> None:
        """Compute the gradients of turn t."""
        forward, step = self.forward, self.forward.settings.layout.steps[t]
        n = step.n_active
        d_states = self._gradient_of_new_states(step)
        if self.transposed.from_listener is not None and step.n_listeners:
            self._step_back_listeners(t, step, d_states)
        self.speaker_slopes.step_back(t, d_states[:, :n])
        self._step_back_global(t, n)
        self.speaker_slopes.write_gradient_before(t, self.transposed.from_speaker, out=self.d_speaker_before_at[t])
        through_g = torch.bmm(self.global_slopes.inputs_at[t], self.transposed.from_party_to_global)
        by_plane = through_g.view(forward.n_directions, n, forward.n_planes, -1).transpose(1, 2)
        forward.by_plane(self.d_speaker_before_at[t]).add_(by_plane)

    def _gradient_of_new_states(self, step: Step) -> Tensor:
        """Return the gradient of the states that a step wrote, from the updates and the emotion chain that use them."""
        forward, d_before = self.forward, self.d_states_before.flatten(0, 1)
        d_states = d_before.index_select(0, step.first_use)
        if step.used_twice.shape[0]:
            d_states.index_add_(0, step.used_twice, d_before.index_select(0, step.second_use))
        d_states = d_states.view(len(forward.state_table), -1, forward.party_dim)
        if self.d_emotion_inputs is not None:
            by_plane = forward.by_plane(d_states)
            for i, j in enumerate(forward.settings.wiring.emotion_planes):
                by_plane[:, j, : step.n_active] += self.d_emotion_inputs[:, i, step.rows]
        return d_states

    def _step_back_listeners(self, t: int, step: Step, d_states: Tensor) -> None:
        """Go back through the listeners' cells, to the listeners' states before and to the turns they listened to."""
        n, slopes = step.n_active, self.listener_slopes
        assert self.transposed.from_listener is not None
        slopes.step_back(t, d_states[:, n:])
        slopes.write_gradient_before(t, self.transposed.from_listener, out=self.d_listener_before_at[t])
        d_inputs = slopes.inputs_at[t].flatten(0, 1)
        self.d_listener_inputs.flatten(0, 1).index_add_(0, step.turn_of_listener, d_inputs)
        if self.transposed.from_heard is not None:
            d_states[:, :n] += torch.bmm(self.d_listener_inputs_at[t], self.transposed.from_heard)

    def _step_back_global(self, t: int, n: int) -> None:
        """Go back through g, which is read by its own turn, by the next turn and by all later contexts."""
        forward, history = self.forward, self.forward.history
        # backward_write comes first: it must not see the context of this turn, which does not read g_t.
        from_later_contexts = history.backward_write(t)
        d_g = self.d_g_before[:, :n]
        if from_later_contexts is not None:
            d_g = d_g + from_later_contexts
        if self.d_g is not None:
            d_g = d_g + self.d_g[:, forward.settings.layout.steps[t].rows]
        for cell, weight in self.transposed.from_global.items():
            d_g = d_g + torch.bmm(self.d_inputs_at[cell][t], weight)
        if forward.contexts[t] is not None:
            of_cells = self.transposed.from_context.items()
            d_context = (torch.bmm(self.d_inputs_at[cell][t], weight) for cell, weight in of_cells)
            history.backward_read(t, reduce(torch.add, d_context))
        self.global_slopes.step_back(t, d_g)
        self.global_slopes.write_gradient_before(t, self.transposed.from_g, out=self.d_g_before[:, :n])

    def gradients(self) -> tuple[list[Tensor], Tensor | None, Weights]:
        """Return the gradients of the products with x, of the queries and of the weights.

        The gradient of a weight is one product over all rows.
        """
        forward, layout = self.forward, self.forward.settings.layout
        attention: AttentionGradients = forward.history.gradients()
        starts = layout.is_from_start.to(self.d_states_before.dtype).repeat_interleave(forward.n_planes, dim=0)
        d_weights = Weights(
            start_global=self.d_g_before.sum(1, keepdim=True),
            start_party=torch.bmm(starts[:, None], self.d_states_before),
            global_bias_m=self.global_slopes.m.sum(1),
            from_party=self._d_from_party(),
            from_global=self._d_from_global(),
            from_context=self._d_from_context(),
            speaker_bias_m=self.speaker_slopes.m.sum(1),
            from_listener=None,
            listener_bias_m=None,
            from_heard=None,
            attention_weight=attention.weight_KG1,
            attention_bias=attention.bias_K1,
        )
        if forward.weights.from_listener is not None:
            d_weights = d_weights._replace(
                from_listener=torch.bmm(self.listener_before.mT, self.listener_slopes.state),
                listener_bias_m=self.listener_slopes.m.sum(1),
            )
        if forward.weights.from_heard is not None:
            speaker_after = forward.state_table.flatten(0, 1).index_select(0, layout.speaker_states_after)
            speaker_after = speaker_after.view_as(self.speaker_before)
            d_weights = d_weights._replace(from_heard=torch.bmm(speaker_after.mT, self.d_listener_inputs))
        return [self.d_inputs[cell] for cell in forward.x_gates], attention.queries_KNG, d_weights

    def _d_from_party(self) -> Tensor:
        forward, size = self.forward, self.forward.party_dim
        gradient = torch.empty_like(forward.weights.from_party)
        torch.bmm(self.speaker_before.mT, self.speaker_slopes.state, out=gradient[..., : 3 * size])
        all_planes = forward.by_plane(self.speaker_before).transpose(1, 2).flatten(2)  # [K, N, J·P]
        to_global = torch.bmm(all_planes.mT, self.d_inputs["global"])
        gradient[..., 3 * size :] = to_global.view(len(gradient), size, -1)
        return gradient

    def _d_from_global(self) -> Tensor:
        forward = self.forward
        gradient = torch.empty_like(forward.weights.from_global)
        torch.bmm(self.g_before.mT, self.global_slopes.state, out=gradient[..., : 3 * forward.global_dim])
        for cell, columns in forward.columns.of["g"].items():
            torch.bmm(forward.g.mT, self.d_inputs[cell], out=gradient[..., columns])
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
            torch.bmm(context.mT, self.d_inputs[cell][:, -context.shape[1] :], out=gradient[..., columns])
        return gradient


class _TransposedWeights:
    """Transposed views of the weights that gradients go back through. They are made once per batch."""

    def __init__(self, weights: Weights, columns: Columns, n_directions: int) -> None:
        n_z, size, _ = weights.from_party.shape
        self.from_speaker = weights.from_party[..., : 3 * size].mT
        to_global = weights.from_party[..., 3 * size :]
        self.from_party_to_global = to_global.reshape(n_directions, n_z // n_directions * size, -1).mT
        self.from_g = weights.from_global[..., : columns.widths["g"][0]].mT
        self.from_global = {cell: weights.from_global[..., own].mT for cell, own in columns.of["g"].items()}
        self.from_context: dict[str, Tensor] = {}
        if weights.from_context is not None:
            self.from_context = {cell: weights.from_context[..., own].mT for cell, own in columns.of["context"].items()}
        self.from_listener = None if weights.from_listener is None else weights.from_listener.mT
        self.from_heard = None if weights.from_heard is None else weights.from_heard.mT


class ManualRecurrence(torch.autograd.Function):
    """``apply(settings, cells, queries, *x_gates, *weights) -> (g [K, N, G], emotion inputs [K, F, N, P])``.

    Args:
        settings: what is computed.
        cells: names of the cells that ``x_gates`` belong to, in order.
        queries: queries of matching attention, or None.
        x_gates: products with x, see :class:`Forward`.
        weights: the fields of :class:`Weights`, in order.
    """

    @staticmethod
    def forward(
        ctx: Any, settings: Settings, cells: Sequence[str], queries: Tensor | None, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return the global states, and the speakers' states that the emotion chain reads."""
        x_gates = dict(zip(cells, tensors, strict=False))
        forward = Forward(settings, x_gates, queries, Weights(*tensors[len(cells) :]))  # type: ignore[arg-type]
        for t, step in enumerate(settings.layout.steps):
            forward.advance(t, step)
        ctx.kept = forward
        ctx.set_materialize_grads(False)
        # g is detached because an output refers to its node: a node that keeps its own output would never be freed.
        return forward.g.detach(), forward.emotion_inputs()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_g: Tensor | None, d_emotion_inputs: Tensor | None) -> tuple[Any, ...]:
        """Return the gradients of all arguments, in the same order."""
        backward = Backward(ctx.kept, d_g, d_emotion_inputs)
        for t in range(len(ctx.kept.settings.layout.steps) - 1, -1, -1):
            backward.step_back(t)
        d_x_gates, d_queries, d_weights = backward.gradients()
        return (None, None, d_queries, *d_x_gates, *d_weights)


def _sum_into(out: Tensor, parts: Sequence[Tensor]) -> None:
    """Write the sum of the parts to ``out``. One part is possible: the first turn of a dialogue has no context."""
    if len(parts) == 1:
        out.copy_(parts[0])
        return
    torch.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        out += part
