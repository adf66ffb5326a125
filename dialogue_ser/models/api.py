"""The base class of every dialogue system, and the types that its methods return."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.loaders import loader_of, read_tensors
from dialogue_ser.tasks.base import Task
from dialogue_ser.tensors import ScoresBTS


@dataclass(frozen=True)
class Output:
    """The output of a system for a batch.

    Args:
        scores_BTS: unnormalised log-probabilities of classes, or values of dimensions. The task turns them into
            predictions. They are finite everywhere and have no meaning on padding.
        attention: attention weights by name, e.g. ``forward`` ``[B,T,T]``: row t has the weights that turn t gives to
            the turns in the columns, and 0 for a turn that it does not see. Empty unless ``return_attention`` was set.
        auxiliary: what the system's own auxiliary losses need, by name, e.g. the scores of a second head. Predictions
            do not need it. Empty in eval mode.
    """

    scores_BTS: ScoresBTS
    attention: Mapping[str, Tensor]
    auxiliary: Mapping[str, Tensor] = field(default_factory=dict)


TurnStream = Callable[[DialogueBatch], Tensor]
"""A function for one dialogue that is still going on. Call it once per turn, in order.

Its argument is the next turn, as a batch of one dialogue with one turn. A speaker must keep the same id in ``speaker``
over the whole dialogue. The function returns the scores ``[S]`` of the turn. They are equal to the scores that
``forward`` gives for this turn in the whole dialogue."""


@runtime_checkable
class AttendingEncoder(Protocol):
    """The interface of an object that shows the attention inside the utterances of one modality.

    A ``TrainedEncoder`` has these attributes too.
    """

    @property
    def attention_stride(self) -> int:
        """Number of frames or tokens that one step of an attention map stands for."""
        ...

    @property
    def attention_names(self) -> tuple[str, ...]:
        """Names of the heads, in their order; empty = the heads are numbered."""
        ...

    def attention_maps(
        self,
        values_NL: Shaped[Tensor, "row length *feature"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> list[Float[Tensor, "head step seen"]]:
        """For each row, the attention maps of all heads."""
        ...


MainLoss = Callable[[ScoresBTS, DialogueBatch], tuple[Tensor, Tensor]]
"""The configured loss of scores ``[B, T, S]``: its numerator and its denominator, two single numbers."""


@runtime_checkable
class BranchedSystem(Protocol):
    """The interface of a system whose branches can start from runs on one modality each (``training.begin_from``)."""

    branch_model: str
    """Name of the model that these runs trained."""

    @property
    def has_branches(self) -> bool:
        """Whether the options give it branches."""
        ...

    def take_branch(self, modality: str, weights: Mapping[str, Tensor]) -> None:
        """Load the trained weights of one branch; a RuntimeError says what does not fit."""
        ...


class DialogueSystem(nn.Module):
    """The base class of every registered system: ``forward(batch, return_attention=False) -> Output``.

    A subclass sets ``name`` and ``Config``, the frozen dataclass of its options. ``build_model`` replaces ``name`` by
    the name under which the system was found. A system is built as ``System(config, inputs, n_scores)``, where
    ``inputs`` maps modality → InputSpec. The task turns scores into log-probabilities or values
    (:mod:`dialogue_ser.tasks`). A system that needs to know the meaning of its scores overrides :meth:`take_task`.

    A system can have auxiliary losses of its own, e.g. of a second head. Training then minimises

        main loss + Σ weight · (Σ numerator / Σ count)

    where the inner sums go over all accumulated batches and all processes. The system names the terms in
    :attr:`auxiliary_weights`, counts in :meth:`auxiliary_counts` and computes the numerators in
    :meth:`auxiliary_numerators` from the tensors that its ``forward`` put into ``Output.auxiliary``.

    The traits decide which invariants of docs/equations.md the tests check for the system.

    Attributes:
        speaker_aware: the scores may depend on who speaks.
        speaker_equivariant: other ids for the same speakers do not change the scores.
        causal: the scores of a turn do not depend on later turns.
        bidirectional_recurrence: a recurrence also reads the dialogue backwards.
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

    @classmethod
    def load_published(
        cls, tensors: Mapping[str, Tensor] | str | Path, settings: Mapping[str, Any]
    ) -> "DialogueSystem":
        """Build the system that computes the numbers of its published implementation.

        Args:
            tensors: the ``state_dict`` of the published model, under its published names, or a safetensors file of it.
            settings: the settings with which it was built, under the published names (docs/models.md).

        Returns:
            The system in eval mode, in the precision of the tensors.

        Raises:
            ConfigError: no published weights are known for this system, or a setting cannot be represented.
            CheckpointError: the file cannot be read, or tensors are unknown, missing or of another shape; the error
                names all of them.
        """
        if isinstance(tensors, str | Path):
            tensors = read_tensors(Path(tensors))
        system, values = loader_of(cls.name)(tensors, settings)
        dtype = next(value.dtype for value in values.values() if value.is_floating_point())
        system.to(dtype).load_state_dict(values)
        return system.eval()  # type: ignore[return-value]

    def take_task(self, task: Task) -> None:
        """Set the task, which says what the scores mean; ``build_model`` calls this once, after building the system."""
        self.task = task

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Scores of every turn."""
        raise NotImplementedError

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        """Name of an auxiliary loss → its weight, from the options; empty = the system has none.

        It is read once, when training begins. A term with weight 0 is left out.
        """
        return {}

    def auxiliary_counts(self, batch: DialogueBatch) -> Mapping[str, float]:
        """Name of an auxiliary loss → its denominator in a batch, e.g. the number of turns that it is about.

        A loss that is not named here is divided by the denominator of the main loss.

        Args:
            batch: a batch on the CPU.
        """
        return {}

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        """Name of an auxiliary loss → its sum over a batch, a single number with a gradient, at least in float32.

        Args:
            output: what ``forward`` returned for this batch in training mode.
            batch: the same batch on the device. Read its small tensors with ``batch.on_host``, so that nothing waits.
            loss: the configured main loss, for the scores of a further head of the same task.
        """
        return {}

    def attending_encoders(self) -> Mapping[str, AttendingEncoder]:
        """For each modality, an object that shows the system's own attention inside utterances.

        The encoders of its ``TurnEncoder`` are not part of this mapping; they show their attention themselves.
        """
        return {}

    def stream(self) -> TurnStream:
        """A stream over one dialogue that is still going on. A causal system overrides this method.

        Raises:
            ConfigError: the system is not causal, so it needs the later turns too.
        """
        can_be_causal = "causal" in self.Config.__dataclass_fields__
        remedy = "train it with --model.options.causal true" if can_be_causal else "use predict on the whole dialogue"
        raise ConfigError(f"model {self.name}: cannot label turn by turn, because it reads whole dialogues; {remedy}")


def stream_of_single_turns(system: DialogueSystem) -> TurnStream:
    """A stream for a system that reads every turn without its neighbours, so nothing is kept between the turns."""

    def score_turn(batch: DialogueBatch) -> Tensor:
        return system(batch).scores_BTS[0, 0]  # type: ignore[no-any-return]

    return score_turn
