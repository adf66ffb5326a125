"""A dialogue recurrence one turn at a time, for a dialogue that is still going on (``causal``)."""

import torch
from jaxtyping import Float
from torch import Tensor

from dialogue_ser.nn.attention import Running
from dialogue_ser.nn.gru.cells import gru
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.turn import turn


class RecurrenceStream:
    """One dialogue, read forwards turn by turn; gives what the whole dialogue would give at that turn.

    A turn costs O(parties), and O(1) (simple attention) or O(turns so far · G) (matching) for the context. Who will
    speak later need not be known: whoever has not spoken yet shares the bystander's state.

    Args:
        recurrence: forward-only; dropout is not applied.
    """

    def __init__(self, recurrence: DialogueRecurrence) -> None:
        assert recurrence.n_directions == 1, "only a causal recurrence can stream"
        self._recurrence = recurrence
        self._cells = recurrence.cells()
        self._g: Tensor = recurrence.initial_global
        self._e: Tensor = recurrence.initial_emotion
        self._history: Running | list[Tensor] | None = None
        self._states: dict[int, Tensor] = {}  # party that has spoken → its states [J, 1, P]
        self._bystander = self._cells.weights.start_party

    @torch.no_grad()
    def step(self, x_D: Float[Tensor, " feature"], party: int) -> Float[Tensor, " hidden"]:
        """The emotion state e of the next turn.

        Args:
            x_D: the fused utterance.
            party: who speaks; any number, the same for the same person.
        """
        recurrence, x_KND = self._recurrence, x_D[None, None]
        others = [other for other in self._states if other != party]
        speaker = self._states.get(party, self._bystander)
        listener = torch.cat([*(self._states[other] for other in others), self._bystander], dim=1)
        n_planes, n_listeners = listener.shape[:2]
        heard = torch.arange(n_planes, device=x_D.device).repeat_interleave(n_listeners)
        inputs = recurrence.inputs(x_KND)
        after = turn(self._cells, inputs, self._g, self._history, speaker, listener, heard)
        self._g, self._history = after.g, after.history
        *moved, self._bystander = torch.split(after.listener, 1, dim=1)
        self._states = {party: after.speaker, **dict(zip(others, moved, strict=True))}
        felt = after.speaker[list(recurrence.wiring.planes_felt)][None]
        gates_x = recurrence.emotion_gates(x_KND, after.g, felt)
        self._e = gru(gates_x, recurrence.emotion_state_gates(self._e), self._e)  # (7)
        return self._e[0, 0]
