"""The frozen batch of padded, speaker-indexed dialogues that every system reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dialogue_ser.tensors import LabelBT, RealTurnBT, SpeakerBT, TurnsB


@dataclass(frozen=True, kw_only=True)
class DialogueBatch:
    """Dialogues padded to the longest one; nothing in it may be changed in place.

    Who plans on the host what a GPU is to do asks ``speaker_host``, ``n_turns_host`` or :meth:`on_host`: also after
    :meth:`to` they give the tensors on the CPU. Reading from a GPU would wait for everything it has yet to do.

    Args:
        features: per modality float ``[B,T,D]`` (vectors), float ``[B,T,L,D]`` (frames) or int64 ``[B,T,L]`` (tokens).
        lengths: for frames and tokens, valid frames per turn, int64 ``[B,T]`` (0 on padding).
        is_present: per modality, bool ``[B,T]``: True where the turn has that modality.
        speaker: dialogue-local party ids in order of first appearance, −1 on padding.
        n_turns: real turns per dialogue.
        label: class index, −100 on padding and on unlabelled turns.
        is_real_turn: True on turns that exist.
        utterance_ids: ids per dialogue, real turns only.
        label_distribution: soft labels ``[B,T,C]``, or None.
        value: gold values of dimensions ``[B,T,S]``, NaN where a turn has none and on padding; None of classes.
        moved: kept by :meth:`to`, not to be given: tensors on another device, each with the one on the CPU it is of.
            They are found by identity, so a tensor that was put in later never gets another one's values.
    """

    features: Mapping[str, Tensor]
    is_present: Mapping[str, Tensor]
    speaker: SpeakerBT
    n_turns: TurnsB
    label: LabelBT
    is_real_turn: RealTurnBT
    utterance_ids: tuple[tuple[str, ...], ...]
    lengths: Mapping[str, Tensor] = field(default_factory=dict)
    label_distribution: Tensor | None = None
    value: Tensor | None = None
    moved: tuple[tuple[Tensor, Tensor], ...] = field(default=(), repr=False)

    @property
    def n_dialogues(self) -> int:
        """B."""
        return int(self.n_turns.shape[0])

    @property
    def speaker_host(self) -> SpeakerBT:
        """``speaker`` on the CPU."""
        return self.on_host(self.speaker)

    @property
    def n_turns_host(self) -> TurnsB:
        """``n_turns`` on the CPU."""
        return self.on_host(self.n_turns)

    def on_host(self, tensor: Tensor) -> Tensor:
        """A tensor of this batch on the CPU: itself, what :meth:`to` moved, or else a copy (waits for the device)."""
        original = self._original(tensor)
        return tensor.cpu() if original is None else original

    def to(self, device: torch.device | str) -> "DialogueBatch":
        """A new batch on another device (non-blocking from pinned memory)."""
        device = torch.device(device)
        if device.type == "cpu":  # blocking: values that are still on their way would be read
            return replace(self._map(self.on_host), moved=())
        copy = self._map(lambda tensor: tensor.to(device, non_blocking=True))
        originals = [self._original(tensor) for tensor in self._small_tensors()]
        pairs = zip(copy._small_tensors(), originals, strict=True)
        return replace(copy, moved=tuple((tensor, original) for tensor, original in pairs if original is not None))

    def pin_memory(self) -> "DialogueBatch":
        """A new batch in page-locked memory; DataLoader calls it."""
        return self._map(Tensor.pin_memory)

    def _original(self, tensor: Tensor) -> Tensor | None:
        """The tensor on the CPU that has the same values, if it is known."""
        if tensor.device.type == "cpu":
            return tensor
        return next((original for copy, original in self.moved if copy is tensor), None)

    def _small_tensors(self) -> list[Tensor]:
        """All but the features, which nobody plans by and which would keep much memory."""
        targets = [target for target in (self.label_distribution, self.value) if target is not None]
        small = [self.speaker, self.n_turns, self.label, self.is_real_turn, *targets]
        return [*small, *self.is_present.values(), *self.lengths.values()]

    def _map(self, function: Callable[[Tensor], Tensor]) -> "DialogueBatch":
        return replace(
            self,
            features={name: function(value) for name, value in self.features.items()},
            is_present={name: function(value) for name, value in self.is_present.items()},
            lengths={name: function(value) for name, value in self.lengths.items()},
            speaker=function(self.speaker),
            n_turns=function(self.n_turns),
            label=function(self.label),
            is_real_turn=function(self.is_real_turn),
            label_distribution=None if self.label_distribution is None else function(self.label_distribution),
            value=None if self.value is None else function(self.value),
        )
