"""The wiring of a dialogue recurrence: which cell reads what.

EmotionRNN and DialogueRNN have the same loop and differ only in their wiring. Every system of this family reads a
dialogue turn by turn and has the same parts (docs/equations.md):

- a global state g, whose cell reads the turn and the states that the speaker had before it;
- a context, which is attention over the earlier global states;
- one or more states per party, called *planes*. One cell updates a plane when its party speaks. Another cell, if there
  is one, updates it when its party listens;
- a chain of emotion states, whose cell reads the results of the turn. No other cell reads an emotion state.
"""

from dataclasses import dataclass
from typing import Literal

CellInput = Literal["x", "g", "context", "speaker"]
Listeners = Literal["update", "hold"]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One of the states that every party has.

    Args:
        name: name of the state, as in the equations.
        speaker: inputs of the cell that updates the state when its party speaks: x, g of this turn, or the context.
        listener: inputs of the cell that updates the state when another party speaks. The input ``speaker`` is the
            new state of the party that speaks. None: a listener keeps its state.
    """

    name: str
    speaker: tuple[CellInput, ...]
    listener: tuple[CellInput, ...] | None


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """The planes of a party and the inputs of the emotion chain.

    Args:
        planes: the planes, in the order in which the global cell reads them after x.
        emotion: inputs of the emotion cell: ``g``, ``x`` or names of planes. The name of a plane means the speaker's
            state after its turn.
        feeds_dropped_emotion: True: the emotion cell of the next turn reads the emotion state after dropout. False: it
            reads the state without dropout.
    """

    planes: tuple[Plane, ...]
    emotion: tuple[str, ...]
    feeds_dropped_emotion: bool = False

    @property
    def updates_listeners(self) -> bool:
        """Whether the states of listeners change."""
        return any(plane.listener is not None for plane in self.planes)

    @property
    def cells(self) -> dict[str, tuple[CellInput, ...]]:
        """Name of every party cell → its inputs. The cells for speakers come first."""
        speakers = {f"speaker.{plane.name}": plane.speaker for plane in self.planes}
        return speakers | {f"listener.{plane.name}": plane.listener for plane in self.planes if plane.listener}

    def cells_that_read(self, cell_input: CellInput) -> tuple[str, ...]:
        """Return the names of the party cells that have this input."""
        return tuple(cell for cell, inputs in self.cells.items() if cell_input in inputs)

    @property
    def emotion_planes(self) -> tuple[int, ...]:
        """Indices of the planes that the emotion chain reads."""
        return tuple(j for j, plane in enumerate(self.planes) if plane.name in self.emotion)


def emotion_rnn(listeners: Listeners = "update") -> Wiring:
    """Return the wiring of EmotionRNN, equations (1) to (7).

    A party has a self state, whose cells read [g; x], and an inter-speaker state, whose cells read [g; context].

    >>> emotion_rnn("hold").cells
    {'speaker.self': ('g', 'x'), 'speaker.inter': ('g', 'context')}
    """
    updates = listeners == "update"
    return Wiring(
        planes=(
            Plane(name="self", speaker=("g", "x"), listener=("g", "x") if updates else None),
            Plane(name="inter", speaker=("g", "context"), listener=("g", "context") if updates else None),
        ),
        emotion=("g", "x", "self"),
    )


def dialogue_rnn(listeners: Listeners = "hold") -> Wiring:
    """Return the wiring of DialogueRNN (docs/equations.md, "DialogueRNN").

    A party has one state. The speaker's cell reads [x; context]. Listeners keep their states, or their cell reads
    [x; new state of the speaker].

    >>> dialogue_rnn("update").cells_that_read("speaker")
    ('listener.party',)
    """
    listener: tuple[CellInput, ...] | None = ("x", "speaker") if listeners == "update" else None
    party = Plane(name="party", speaker=("x", "context"), listener=listener)
    return Wiring(planes=(party,), emotion=("party",), feeds_dropped_emotion=True)
