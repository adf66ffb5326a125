"""What every dialogue system gives back, declares and is built from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
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


TurnReader = Callable[[DialogueBatch], Tensor]
"""Takes the next turn, a batch of one dialogue of one turn whose ``speaker`` keeps its id over the dialogue, and gives
its class log-probabilities ``[C]``: those that the whole dialogue would get at that turn."""


def check_options(model: str, config: object) -> None:
    """Check the numbers of a system's options by their names: ``…_dim`` at least 1, ``…dropout`` in [0, 1).

    Args:
        model: registered name, for messages.
        config: the options; a ``projection`` holds sizes too.

    Raises:
        ConfigError: every option that is out of range.
    """
    assert is_dataclass(config)
    found = {field.name: getattr(config, field.name) for field in fields(config)}
    sizes = {name: value for name, value in found.items() if name.endswith("_dim")}
    sizes |= {f"projection.{modality}": size for modality, size in found.get("projection", {}).items()}
    shares = {name: value for name, value in found.items() if name.endswith("dropout")}
    where = f"model {model}: model.options"
    problems = [f"{where}.{name}: found {value}, expected at least 1" for name, value in sizes.items() if value < 1]
    problems += [
        f"{where}.{name}: found {value}, expected at least 0 and below 1"
        for name, value in shares.items()
        if not 0 <= value < 1
    ]
    if problems:
        raise ConfigError(*problems)


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

    def stream(self) -> TurnReader:
        """A reader of one dialogue that is still going on; a causal system with steps of its own overrides it.

        Raises:
            ConfigError: the system cannot label a turn before it knows the later ones.
        """
        mend = (
            "train it with --model.options.causal true" if "causal" in self.Config.__dataclass_fields__ else "predict"
        )
        raise ConfigError(f"model {self.name}: cannot label turn by turn, it reads whole dialogues; {mend}")
