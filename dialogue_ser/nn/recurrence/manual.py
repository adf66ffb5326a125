"""The recurrence as one autograd node with a backward written by hand: the engine of every dialogue RNN here.

Autograd would keep a node for each of some forty small operations a step, and multiply out every weight's gradient at
every step. Here forward writes the activations of all rows into one buffer per cell, and backward

1. turns those buffers into slopes, for all rows at once (:func:`dialogue_ser.nn.gru.cells.gru_slopes`);
2. walks back: a step multiplies slopes by the gradient that reached it and sends the result on with a few products;
3. forms each weight's gradient with one product over all rows of the batch.

Tensors carry the direction K first; party states carry Z = K·J, the planes J of a direction side by side. Rows are
packed turns (N), pool rows (R, see :mod:`dialogue_ser.nn.recurrence.layout`) or listener updates (L). Gates are
ordered as in :mod:`dialogue_ser.nn.gru.cells`. The same mathematics as :meth:`DialogueRecurrence.loop`, which stays
as the readable engine; the tests hold both to a plain reference. Long because forward and backward of one node must
be read side by side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dialogue_ser.nn.gru.cells import DropoutMasks, Gates, Slopes, split_by_step
from dialogue_ser.nn.recurrence.history import AttentionGradients, MatchingHistory, SimpleHistory
from dialogue_ser.nn.recurrence.layout import PackedLayout, Step
from dialogue_ser.nn.recurrence.wiring import Source, Wiring


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that is no tensor to differentiate.

    Args:
        wiring: which cell reads what.
        layout: the batch.
        attention: kind.
        masks: dropout multipliers.
    """

    wiring: Wiring
    layout: PackedLayout
    attention: str
    masks: DropoutMasks


class Weights(NamedTuple):
    """The tensors that the steps multiply with; :class:`DialogueRecurrence` holds them in this very shape.

    Args:
        start_global: g before the first turn ``[K, 1, G]``.
        start_party: states of everybody before the first turn ``[Z, 1, P]``.
        global_bias_m: of GRU_G ``[K, G]``; its other biases are already in its input gates.
        from_party: speaker's states → its own ``[r|z|m]``, then → ``[n|r|z]`` of g ``[Z, P, 3P + 3G]``.
        from_global: g → its own ``[r|z|m]``, then → ``[n|r|z]`` of every cell that reads g ``[K, G, 3G + 3P·readers]``.
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
    from_context: Tensor | None
    speaker_bias_m: Tensor
    from_listener: Tensor | None
    listener_bias_m: Tensor | None
    from_heard: Tensor | None
    attention_weight: Tensor | None
    attention_bias: Tensor | None


class Columns:
    """Where each party cell's ``[n|r|z]`` stands in the joined products with g and with the context.

    Attributes:
        of: source → cell → its columns.
        widths: source → widths of all columns, in order; g's own come first.
        read_by: role → cell → what it reads of those: source and place among the cells that read it.
    """

    def __init__(self, wiring: Wiring, global_dim: int, party_dim: int) -> None:
        width = 3 * party_dim
        own: dict[Source, int] = {"g": 3 * global_dim, "context": 0}
        self.of: dict[str, dict[str, slice]] = {
            source: {
                cell: slice(first + i * width, first + (i + 1) * width) for i, cell in enumerate(wiring.readers(source))
            }
            for source, first in own.items()
        }
        self.widths = {source: [first] * bool(first) + [width] * len(self.of[source]) for source, first in own.items()}
        self.read_by: dict[str, dict[str, list[tuple[str, int]]]] = {"speaker": {}, "listener": {}}
        for cell in wiring.cells:
            places = [(source, list(cells).index(cell)) for source, cells in self.of.items() if cell in cells]
            self.read_by[cell.split(".")[0]][cell] = places


class Forward:
    """The steps from first to last, keeping what backward needs.

    Args:
        settings: what is computed.
        x_gates: ``global`` and every party cell → ``[n|r|z]`` from x and from the bias ``[K, N, 3H]``.
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
        like, sizes = x_gates["global"], [step.n_active for step in layout.steps]
        heard_sizes = [step.n_listeners for step in layout.steps]
        self.sizes, self.heard_sizes = sizes, heard_sizes
        self.g = like.new_empty(self.n_directions, layout.n_rows, self.global_dim)
        self.pool = like.new_empty(n_z, layout.n_states, self.party_dim)
        written = [size for pair in zip(sizes, heard_sizes, strict=True) for size in pair]
        start, *states = torch.split(self.pool, [1, *written], dim=1)
        start.copy_(weights.start_party)
        self.g_of, self.speaker_of, self.listener_of = torch.split(self.g, sizes, dim=1), states[::2], states[1::2]
        self.global_gates = Gates(weights.global_bias_m, sizes)
        self.speaker_gates = Gates(weights.speaker_bias_m, sizes)
        self.given = {cell: torch.split(gates, sizes, dim=1) for cell, gates in x_gates.items()}
        if weights.listener_bias_m is not None:
            self.listener_gates = Gates(weights.listener_bias_m, heard_sizes)
            # what listeners hear, once a turn, however many of them there are
            self.said = like.new_empty(n_z, layout.n_rows, 3 * self.party_dim)
            self.said_of = torch.split(self.said, sizes, dim=1)
        masks = settings.masks
        self.global_masks = split_by_step(masks.global_KNG, sizes)
        self.speaker_masks = split_by_step(masks.speaker_ZNP, sizes)
        self.listener_masks = split_by_step(masks.listener_ZLP, heard_sizes)
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

    def advance(self, t: int, step: Step) -> None:
        """One turn of every dialogue still running."""
        weights, n = self.weights, step.n_active
        taken = self.pool.flatten(0, 1).index_select(0, step.source).view(len(self.pool), -1, self.party_dim)
        speaker = taken[:, :n]
        own, to_global = torch.bmm(speaker, weights.from_party).tensor_split((3 * self.party_dim,), dim=2)
        # (1) global state, from the speaker's previous states
        _sum_into(self.global_gates.inputs[t], [self.given["global"][t], *self.by_plane(to_global).unbind(1)])
        self.global_gates.state[t].add_(self.g_gates[:, :n])
        g = self.g_of[t]
        self.global_gates.advance(t, self.g_before[:, :n], g, self.global_masks[t])
        self.g_before = g
        # (2) context from strictly past global states
        context = self.history.read(n)
        self.contexts.append(context)
        self.history.write(g)
        products = self._products(g, context)
        # the speaker's states
        self._input_gates("speaker", self.by_plane(self.speaker_gates.inputs[t]), t, products)
        self.speaker_gates.state[t].add_(own)
        self.speaker_gates.advance(t, speaker, self.speaker_of[t], self.speaker_masks[t])
        if weights.from_listener is not None and step.n_listeners:
            self._listen(t, step, products, taken[:, n:])

    def _products(self, g: Tensor, context: Tensor | None) -> dict[str, Sequence[Tensor]]:
        """Everything g and the context are multiplied with, cell by cell; g's own gates are kept for the next turn."""
        weights = self.weights
        self.g_gates, *of_cells = torch.split(torch.bmm(g, weights.from_global), self.columns.widths["g"], dim=2)
        products: dict[str, Sequence[Tensor]] = {"g": of_cells}
        if context is not None and weights.from_context is not None:
            joined = torch.bmm(context, weights.from_context)
            products["context"] = torch.split(joined, self.columns.widths["context"], dim=2)
        return products

    def _input_gates(self, role: str, gates_KJNG: Tensor, t: int, products: Mapping[str, Sequence[Tensor]]) -> None:
        """Write ``[n|r|z]`` of the speakers' or the listeners' cells, one row per turn."""
        for (cell, sources), gates in zip(self.columns.read_by[role].items(), gates_KJNG.unbind(1), strict=True):
            parts = [products[source][i] for source, i in sources if source in products]
            _sum_into(gates, [self.given[cell][t], *parts])

    def _listen(self, t: int, step: Step, products: Mapping[str, Sequence[Tensor]], listener: Tensor) -> None:
        """Listeners hear the turn of their dialogue."""
        weights, said, gates = self.weights, self.said_of[t], self.listener_gates
        assert weights.from_listener is not None
        self._input_gates("listener", self.by_plane(said), t, products)
        if weights.from_heard is not None:
            said += torch.bmm(self.speaker_of[t], weights.from_heard)
        heard = self.said.flatten(0, 1).index_select(0, step.heard)
        gates.inputs[t].copy_(heard.view_as(gates.inputs[t]))
        gates.state[t].add_(torch.bmm(listener, weights.from_listener))
        gates.advance(t, listener, self.listener_of[t], self.listener_masks[t])

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
        self.global_slopes = Slopes(forward.global_gates, self.g_before, masks.global_KNG, forward.sizes)
        self.speaker_before = pool.index_select(0, layout.speaker_source).view(n_z, -1, size)
        self.speaker_slopes = Slopes(forward.speaker_gates, self.speaker_before, masks.speaker_ZNP, forward.sizes)
        # gradients of every cell's input gates, one row per turn; right once their step is undone
        self.d_inputs = {"global": self.global_slopes.inputs, **self._of_planes("speaker", self.speaker_slopes.inputs)}
        if weights.from_listener is not None:
            self.listener_before = pool.index_select(0, layout.listener_source).view(n_z, -1, size)
            self.listener_slopes = Slopes(
                forward.listener_gates, self.listener_before, masks.listener_ZLP, forward.heard_sizes
            )
            self.d_said = pool.new_zeros(n_z, layout.n_rows, 3 * size)
            self.d_said_of = torch.split(self.d_said, forward.sizes, dim=1)
            self.d_inputs |= self._of_planes("listener", self.d_said)
        self.d_inputs_of = {cell: torch.split(gates, forward.sizes, dim=1) for cell, gates in self.d_inputs.items()}
        self.d_taken = pool.new_zeros(n_z, layout.n_states, size)  # of the state each update read
        written = [size for pair in zip(forward.sizes, forward.heard_sizes, strict=True) for size in pair]
        taken = torch.split(self.d_taken, [1, *written], dim=1)
        self.d_speaker_of, self.d_listener_of = taken[1::2], taken[2::2]
        self.d_g_before = forward.g.new_zeros(forward.n_directions, layout.n_dialogues, forward.global_dim)
        self.back = _Back(weights, forward.columns, forward.n_directions)
        forward.history.start_backward(forward.g_of)

    def _of_planes(self, role: str, gates: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.forward.columns.read_by[role], self.forward.by_plane(gates).unbind(1), strict=True))

    def step_back(self, t: int) -> None:
        """Undo turn t."""
        forward, step = self.forward, self.forward.settings.layout.steps[t]
        n = step.n_active
        d_states = self._asked(step)
        if self.back.from_listener is not None and step.n_listeners:
            self._unlisten(t, step, d_states)
        self.speaker_slopes.step_back(t, d_states[:, :n])
        self._undo_global(t, n)
        self.speaker_slopes.write_gradient_before(t, self.back.from_speaker, out=self.d_speaker_of[t])
        through_g = torch.bmm(self.global_slopes.inputs_at[t], self.back.from_party_to_global)
        by_plane = through_g.view(forward.n_directions, n, forward.n_planes, -1).transpose(1, 2)
        forward.by_plane(self.d_speaker_of[t]).add_(by_plane)

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

    def _unlisten(self, t: int, step: Step, d_states: Tensor) -> None:
        """Through the listeners' cells, to their states before and to what they heard."""
        n, slopes = step.n_active, self.listener_slopes
        assert self.back.from_listener is not None
        slopes.step_back(t, d_states[:, n:])
        slopes.write_gradient_before(t, self.back.from_listener, out=self.d_listener_of[t])
        self.d_said.flatten(0, 1).index_add_(0, step.heard, slopes.inputs_at[t].flatten(0, 1))
        if self.back.from_heard is not None:
            d_states[:, :n] += torch.bmm(self.d_said_of[t], self.back.from_heard)

    def _undo_global(self, t: int, n: int) -> None:
        """Through g, which its own turn reads, the next turn, and all later contexts."""
        forward, history = self.forward, self.forward.history
        # first what later turns ask of g_t, then what this one asks of the past
        later = history.backward_write(t)
        d_g = self.d_g_before[:, :n] if later is None else self.d_g_before[:, :n] + later
        if self.d_g is not None:
            d_g = d_g + self.d_g[:, forward.settings.layout.steps[t].rows]
        for cell, weight in self.back.from_global.items():
            d_g = d_g + torch.bmm(self.d_inputs_of[cell][t], weight)
        if forward.contexts[t] is not None:
            asked = [torch.bmm(self.d_inputs_of[cell][t], weight) for cell, weight in self.back.from_context.items()]
            history.backward_read(t, asked[0] if len(asked) == 1 else asked[0] + asked[1])
        self.global_slopes.step_back(t, d_g)
        self.global_slopes.write_gradient_before(t, self.back.from_g, out=self.d_g_before[:, :n])

    def gradients(self) -> tuple[list[Tensor], Tensor | None, Weights]:
        """Of the products with x, of the queries and of the weights: one product per weight, over all rows."""
        forward, weights, size = self.forward, self.forward.weights, self.forward.party_dim
        layout = forward.settings.layout
        attention: AttentionGradients = forward.history.gradients()
        d_party = torch.empty_like(weights.from_party)
        torch.bmm(self.speaker_before.mT, self.speaker_slopes.state, out=d_party[..., : 3 * size])
        both_planes = forward.by_plane(self.speaker_before).transpose(1, 2).flatten(2)  # [K, N, J·P]
        to_global = torch.bmm(both_planes.mT, self.d_inputs["global"])
        d_party[..., 3 * size :] = to_global.view(len(d_party), size, -1)
        starts = layout.is_start.to(self.d_taken.dtype).repeat_interleave(forward.n_planes, dim=0)
        d_weights = Weights(
            start_global=self.d_g_before.sum(1, keepdim=True),
            start_party=torch.bmm(starts[:, None], self.d_taken),
            global_bias_m=self.global_slopes.m.sum(1),
            from_party=d_party,
            from_global=self._d_from_global(),
            from_context=self._d_from_context(),
            speaker_bias_m=self.speaker_slopes.m.sum(1),
            from_listener=None,
            listener_bias_m=None,
            from_heard=None,
            attention_weight=attention.weight_KG1,
            attention_bias=attention.bias_K1,
        )
        if weights.from_listener is not None:
            d_weights = d_weights._replace(
                from_listener=torch.bmm(self.listener_before.mT, self.listener_slopes.state),
                listener_bias_m=self.listener_slopes.m.sum(1),
            )
        if weights.from_heard is not None:
            heard = forward.pool.flatten(0, 1).index_select(0, layout.speaker_state).view_as(self.speaker_before)
            d_weights = d_weights._replace(from_heard=torch.bmm(heard.mT, self.d_said))
        return [self.d_inputs[cell] for cell in forward.x_gates], attention.queries_KNG, d_weights

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


class _Back:
    """The weights that gradients go back through, transposed views cut once."""

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
        for t, step in enumerate(settings.layout.steps):
            forward.advance(t, step)
        ctx.kept = forward
        ctx.set_materialize_grads(False)
        # not g itself: an output knows its node, and a node that keeps its output is never freed
        return forward.g.detach(), forward.felt()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_g: Tensor | None, d_felt: Tensor | None) -> tuple[Any, ...]:
        """Gradients of everything that went in, in the same order."""
        backward = Backward(ctx.kept, d_g, d_felt)
        for t in range(len(ctx.kept.settings.layout.steps) - 1, -1, -1):
            backward.step_back(t)
        d_x_gates, d_queries, d_weights = backward.gradients()
        return (None, None, d_queries, *d_x_gates, *d_weights)


def _sum_into(out: Tensor, parts: Sequence[Tensor]) -> None:
    """Write a sum; the first turn of a dialogue has no context, so one part may be all."""
    if len(parts) == 1:
        out.copy_(parts[0])
        return
    torch.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        out += part


def _known(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor
