"""A dialogue recurrence that reads one turn at a time, for a dialogue that is still going on (``causal``)."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from dialogue_ser.nn.attention import RunningMean
from dialogue_ser.nn.gru.cells import gru
from dialogue_ser.nn.recurrence.commonsense import CommonsenseRecurrence
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.party_columns import ColumnStep
from dialogue_ser.nn.recurrence.turn import turn


class RecurrenceStream:
    """Read one dialogue forwards, turn by turn. The results equal those of the whole dialogue.

    A turn costs O(number of parties). The context costs O(1) with simple attention and O(number of turns so far · G)
    with matching attention. The parties need not be known in advance: a party that has not spoken yet has the state of
    the bystander (see :mod:`dialogue_ser.nn.recurrence.layout`).

    Args:
        recurrence: a recurrence with the forward direction only. Dropout is not applied.
    """

    def __init__(self, recurrence: DialogueRecurrence) -> None:
        assert recurrence.n_directions == 1, "only a causal recurrence (bidirectional=False) can be a stream"
        self._recurrence = recurrence
        self._cells = recurrence.cells()
        self._g: Tensor = recurrence.initial_global
        self._e: Tensor = recurrence.initial_emotion
        self._history: RunningMean | list[Tensor] | None = None
        self._states: dict[int, Tensor] = {}  # party that has spoken → its states [J, 1, P]
        self._bystander = self._cells.weights.start_party

    @torch.no_grad()
    def step(self, x_D: Float[Tensor, " feature"], party: int) -> Float[Tensor, " hidden"]:
        """Read the next turn and return its emotion state e.

        Args:
            x_D: fused vector of the utterance.
            party: number of the speaker. Any number is allowed; one speaker always has the same number.
        """
        recurrence, x_KND = self._recurrence, x_D[None, None]
        others = [other for other in self._states if other != party]
        speaker = self._states.get(party, self._bystander)
        listener = torch.cat([*(self._states[other] for other in others), self._bystander], dim=1)
        n_planes, n_listeners = listener.shape[:2]
        turn_of_listener = torch.arange(n_planes, device=x_D.device).repeat_interleave(n_listeners)
        inputs = recurrence.inputs(x_KND)
        after = turn(self._cells, inputs, self._g, self._history, speaker, listener, turn_of_listener)
        self._g, self._history = after.g, after.history
        *others_after, self._bystander = torch.split(after.listener, 1, dim=1)
        self._states = {party: after.speaker, **dict(zip(others, others_after, strict=True))}
        speaker_KFNP = after.speaker[list(recurrence.wiring.emotion_planes)][None]
        gates_x = recurrence.emotion_gates(x_KND, after.g, speaker_KFNP)
        self._e = gru(gates_x, recurrence.emotion_state_gates(self._e), self._e)  # (7)
        return self._e[0, 0]


class CommonsenseStream:
    """The recurrence for one dialogue that is still going on.

    It gives the same numbers as :class:`CommonsenseRecurrence` on the whole dialogue. The parties need not be known in
    advance. Dropout is not applied.

    Args:
        recurrence: a recurrence with the forward direction only.
    """

    def __init__(self, recurrence: CommonsenseRecurrence) -> None:
        assert recurrence.n_directions == 1, "only a causal recurrence (bidirectional=False) can be a stream"
        self._recurrence = recurrence
        self._states = recurrence.start(1)
        self._e = self._states.g.new_zeros(1, 1, recurrence.emotion_dim)
        self._column: dict[int, int] = {}

    @torch.no_grad()
    def step(self, given: Mapping[str, Tensor], party: int) -> Float[Tensor, " hidden"]:
        """Read the next turn and return its emotion state e.

        Args:
            given: ``u``, the vector ``[D]`` of the turn, and the vectors of knowledge by their names.
            party: number of the speaker. Any number is allowed; one speaker always has the same number.
        """
        recurrence, device = self._recurrence, self._e.device
        n_columns, before = 1 + len(self._column), self._column.get(party, 0)
        after = self._column.setdefault(party, n_columns)
        read, write = (torch.tensor([column], device=device) for column in (before, after))
        columns = ColumnStep(1, n_columns, 1 + len(self._column), read, write)
        gates, query = recurrence.known_gates({name: value[None, None] for name, value in given.items()})
        self._states, spoken = recurrence.turn(gates, query, self._states, columns)
        cell = recurrence.cell("emotion")
        gates_x = torch.baddbmm(gates["emotion"], spoken, cell.from_states)
        self._e = cell.step(gates_x, self._e)
        return self._e[0, 0]
