"""EmotionRNN's recurrence one turn at a time, for a dialogue that is still going on (EQUATIONS.md A, ``causal``)."""

import torch
from jaxtyping import Float
from torch import Tensor

from dialogue_ser.nn.recurrence import EmotionRecurrence
from dialogue_ser.nn.turn import SELF, turn


class RecurrenceStream:
    """One dialogue, read forwards turn by turn; gives what the whole dialogue would give at that turn.

    A turn costs O(parties), and O(1) (simple attention) or O(turns so far · G) (matching) for the context. Who will
    speak later need not be known: whoever has not spoken yet shares the bystander's state.

    Args:
        recurrence: forward-only; dropout is not applied.
    """

    def __init__(self, recurrence: EmotionRecurrence) -> None:
        assert recurrence.n_directions == 1, "only a causal recurrence can stream"
        self._recurrence = recurrence
        self._cells = recurrence.cells()
        self._state = recurrence.start(1)
        self._e_LBE = recurrence.initial_emotion[0].expand(1, 1, -1).contiguous()
        self._row_of: dict[int, int] = {}  # party that has spoken → its row in the pool
        self._bystander_row = 0

    @torch.no_grad()
    def step(self, x_D: Float[Tensor, " feature"], party: int) -> Float[Tensor, " hidden"]:
        """The emotion state e of the next turn.

        Args:
            x_D: the fused utterance.
            party: who speaks; any number, the same for the same person.
        """
        others = [other for other in self._row_of if other != party]
        rows = [self._row_of.get(party, self._bystander_row), *(self._row_of[other] for other in others)]
        source_KR = torch.tensor([[*rows, self._bystander_row]], device=x_D.device)
        heard_KL = torch.zeros(1, len(others) + 1, dtype=torch.int64, device=x_D.device)
        x_KND = x_D[None, None]
        inputs = self._recurrence.inputs(x_KND)
        self._state = turn(self._cells, self._recurrence.attention, self._state, inputs, source_KR, heard_KL)
        self._row_of = {party: 0, **{other: row for row, other in enumerate(others, start=1)}}
        self._bystander_row = len(others) + 1
        s_KNH = self._state.pool_KJRH[:, SELF, :1]
        x_LBD = torch.cat([self._state.g_KNH, x_KND, s_KNH], dim=-1)
        e_TBE, self._e_LBE = self._recurrence.emotion[0](x_LBD, self._e_LBE)  # (7)
        e_E: Tensor = e_TBE[0, 0]
        return e_E
