"""What every dialogue system gives back, declares and is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args, get_origin, get_type_hints, runtime_checkable

from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError, unknown_name
from dialogue_ser.features.api import InputSpec
from dialogue_ser.tasks.base import Task
from dialogue_ser.tensors import ScoresBTS


@dataclass(frozen=True)
class Output:
    """What a system says of a batch.

    Args:
        scores_BTS: what the task reads: unnormalised log-probabilities of classes, or values of dimensions; finite
            everywhere, meaningless on padding.
        attention: named attention weights, e.g. ``forward`` ``[B,T,T]`` (row: turn that looks, column: turn looked at;
            zero where nothing is seen); empty unless the system was asked for them.
    """

    scores_BTS: ScoresBTS
    attention: Mapping[str, Tensor]


_PLAIN: Mapping[Any, tuple[Any, str]] = {
    int: (int, "a whole number"), float: (int | float, "a number"), bool: (bool, "true or false")
}  # fmt: skip

TurnReader = Callable[[DialogueBatch], Tensor]
"""Takes the next turn, a batch of one dialogue of one turn whose ``speaker`` keeps its id over the dialogue, and gives
its scores ``[S]``: those that the whole dialogue would get at that turn."""


@runtime_checkable
class AttentionReader(Protocol):
    """Shows what is looked at inside utterances of one modality; what is called so in a TrainedEncoder."""

    @property
    def attention_stride(self) -> int:
        """Frames or tokens per step of a map."""
        ...

    @property
    def attention_names(self) -> tuple[str, ...]:
        """What the heads are called; empty = by their numbers."""
        ...

    def attention_maps(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head step seen"]]:
        """One map of all heads per row."""
        ...


def check_options(model: str, config: object) -> None:
    """Check a system's options: choices and plain types by their hints, ranges by their names.

    ``…_dim`` must be at least 1, ``…dropout`` in [0, 1).

    Args:
        model: registered name, for messages.
        config: the options; a ``projection`` holds sizes too.

    Raises:
        ConfigError: every option that is no choice (names the nearest), of another type or out of range.
    """
    assert is_dataclass(config)
    where = f"model {model}: model.options"
    problems = _unfit(where, config)
    if problems:
        raise ConfigError(*problems)
    found = {field.name: getattr(config, field.name) for field in fields(config)}
    sizes = {name: value for name, value in found.items() if name.endswith("_dim")}
    sizes |= {f"projection.{modality}": size for modality, size in found.get("projection", {}).items()}
    shares = {name: value for name, value in found.items() if name.endswith("dropout")}
    problems = [f"{where}.{name}: found {value}, expected at least 1" for name, value in sizes.items() if value < 1]
    problems += [
        f"{where}.{name}: found {value}, expected at least 0 and below 1"
        for name, value in shares.items()
        if not 0 <= value < 1
    ]
    if problems:
        raise ConfigError(*problems)


def _unfit(where: str, config: object) -> list[str]:
    """Options that are none of their Literal's choices, or no number or switch where one is wanted."""
    problems = []
    values = {name: (hint, getattr(config, name, None)) for name, hint in get_type_hints(type(config)).items()}
    for name, (hint, value) in list(values.items()):
        if get_origin(hint) is dict and isinstance(value, Mapping):
            values |= {f"{name}.{key}": (get_args(hint)[1], item) for key, item in value.items()}
        elif get_origin(hint) is dict:
            problems.append(f"{where}.{name}: found {value!r}, expected a mapping")
    for name, (hint, value) in values.items():
        if get_origin(hint) is Literal and value not in get_args(hint):
            problems.append(f"{where}.{name}: {unknown_name('choice', str(value), get_args(hint))}")
        elif hint in _PLAIN and not (isinstance(value, _PLAIN[hint][0]) and (hint is bool) == isinstance(value, bool)):
            problems.append(f"{where}.{name}: found {value!r}, expected {_PLAIN[hint][1]}")
    return problems


class DialogueSystem(nn.Module):
    """Base of every registered system: ``forward(batch, return_attention=False) -> Output``.

    A subclass sets ``name`` (``build_model`` then sets the one that was asked for), ``Config`` (frozen dataclass of its
    options) and is built as ``System(config, inputs, n_scores)`` where ``inputs`` maps modality → InputSpec. The task
    turns scores into log-probabilities or values (:mod:`dialogue_ser.tasks`); a system that needs to know their meaning
    overrides :meth:`take_task`.
    The traits decide which invariants (EQUATIONS.md B) the property tests hold it to.
    """

    name: str
    Config: ClassVar[type[Any]]

    speaker_aware: bool
    speaker_equivariant: bool
    causal: bool
    bidirectional_recurrence: bool

    def __init__(self, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__()
        self.inputs = dict(inputs)
        self.n_scores = n_scores
        self.task: Task | None = None

    def take_task(self, task: Task) -> None:
        """Learns what its scores mean; ``build_model`` calls it once, right after the system was made."""
        self.task = task

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn."""
        raise NotImplementedError

    def attention_readers(self) -> Mapping[str, AttentionReader]:
        """Modality → what shows where inside an utterance the system looks, beside its ``TurnEncoder``'s encoders."""
        return {}

    def stream(self) -> TurnReader:
        """A reader of one dialogue that is still going on; a causal system with steps of its own overrides it.

        Raises:
            ConfigError: the system cannot label a turn before it knows the later ones.
        """
        mend = (
            "train it with --model.options.causal true" if "causal" in self.Config.__dataclass_fields__ else "predict"
        )
        raise ConfigError(f"model {self.name}: cannot label turn by turn, it reads whole dialogues; {mend}")
