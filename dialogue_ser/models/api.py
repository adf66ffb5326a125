"""What every dialogue system gives back, declares and is built from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.features.api import InputSpec
from dialogue_ser.tensors import LogProbsBTC


@dataclass(frozen=True)
class Output:
    """What a system says of a batch.

    Args:
        log_probs_BTC: class log-probabilities; finite everywhere, meaningless on padding.
        attention: named attention weights, e.g. ``forward`` ``[B,T,T]`` (row: turn that looks, column: turn looked at;
            zero where nothing is seen); empty unless the system was asked for them.
    """

    log_probs_BTC: LogProbsBTC
    attention: Mapping[str, Tensor]


class DialogueSystem(nn.Module):
    """Base of every registered system: ``forward(batch, return_attention=False) -> Output``.

    A subclass sets ``name``, ``Config`` (frozen dataclass of its options) and is built as
    ``System(config, inputs, n_classes)`` where ``inputs`` maps modality → InputSpec.
    The traits decide which invariants (EQUATIONS.md B) the property tests hold it to.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Any]]

    speaker_aware: bool
    speaker_equivariant: bool
    causal: bool
    bidirectional_recurrence: bool

    def __init__(self, inputs: Mapping[str, InputSpec], n_classes: int) -> None:
        super().__init__()
        self.inputs = dict(inputs)
        self.n_classes = n_classes

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        """Log-probabilities of every turn."""
        raise NotImplementedError
