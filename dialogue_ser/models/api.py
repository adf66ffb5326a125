"""What every dialogue system gives back, declares and is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
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


class DialogueSystem(nn.Module):
    """Base of every registered system: ``forward(batch, return_attention=False) -> Output``.

    A subclass sets ``name`` (``build_model`` then sets the one that was asked for), ``Config`` (frozen dataclass of its
    options) and is built as ``System(config, inputs, n_scores)`` where ``inputs`` maps modality → InputSpec. The task
    turns scores into log-probabilities or values (:mod:`dialogue_ser.tasks`); a system that needs to know their meaning
    overrides :meth:`take_task`.
    The traits decide which invariants (docs/equations.md) the property tests hold it to.
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
