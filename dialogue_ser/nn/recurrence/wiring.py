"""Which cell of a dialogue recurrence reads what: all that tells EmotionRNN's loop from DialogueRNN's.

Every system of this family walks over the turns of a dialogue with the same parts (docs/equations.md): a global
state g that reads the turn and the speaker's previous states; a context, attention over the earlier g; per party one
or more states ("planes") that are moved by one cell when the party speaks and by another, if any, when it listens; and
a chain of emotion states that reads the outcome and feeds nothing back.
"""

from dataclasses import dataclass
from typing import Literal

Source = Literal["x", "g", "context", "speaker"]
Listeners = Literal["update", "hold"]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One of the states that every party carries.

    Args:
        name: as the equations call it.
        speaker: what the cell reads that moves it when its party speaks: x, g of this turn, context.
        listener: what the cell reads that moves it when another party speaks, ``speaker`` being the new state of who
            speaks; None = held.
    """

    name: str
    speaker: tuple[Source, ...]
    listener: tuple[Source, ...] | None


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """The planes of a party and what the emotion chain reads.

    Args:
        planes: in the order in which the global cell reads them, after x.
        emotion: ``g``, ``x`` or names of planes (the speaker's state after its turn).
        feeds_dropped_emotion: the emotion after dropout is what the next turn's cell reads.
    """

    planes: tuple[Plane, ...]
    emotion: tuple[str, ...]
    feeds_dropped_emotion: bool = False

    @property
    def updates_listeners(self) -> bool:
        """Whoever listens changes its state."""
        return any(plane.listener is not None for plane in self.planes)

    @property
    def cells(self) -> dict[str, tuple[Source, ...]]:
        """Name of every party cell → what it reads; speakers' first."""
        speakers = {f"speaker.{plane.name}": plane.speaker for plane in self.planes}
        return speakers | {f"listener.{plane.name}": plane.listener for plane in self.planes if plane.listener}

    def readers(self, source: Source) -> tuple[str, ...]:
        """Names of the party cells that read something."""
        return tuple(name for name, sources in self.cells.items() if source in sources)

    @property
    def planes_felt(self) -> tuple[int, ...]:
        """Indices of the planes that the emotion chain reads."""
        return tuple(j for j, plane in enumerate(self.planes) if plane.name in self.emotion)


def emotion_rnn(listeners: Listeners = "update") -> Wiring:
    """EmotionRNN, equations (1) to (7): a self state moved by [g; x], an inter-speaker state moved by [g; context].

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
    """DialogueRNN (docs/equations.md): one party state moved by [x; context]; listeners hold, or read [x; who speaks].

    >>> dialogue_rnn("update").readers("speaker")
    ('listener.party',)
    """
    listener: tuple[Source, ...] | None = ("x", "speaker") if listeners == "update" else None
    party = Plane(name="party", speaker=("x", "context"), listener=listener)
    return Wiring(planes=(party,), emotion=("party",), feeds_dropped_emotion=True)
