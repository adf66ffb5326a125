"""The frozen batch of padded, speaker-indexed dialogues that every system reads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dialogue_ser.tensors import LabelBT, RealTurnBT, SpeakerBT, TurnsB


@dataclass(frozen=True, kw_only=True)
class DialogueBatch:
    """Dialogues padded to the longest one; nothing in it may be changed in place.

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

    @property
    def n_dialogues(self) -> int:
        """B."""
        return int(self.n_turns.shape[0])

    def to(self, device: torch.device | str) -> "DialogueBatch":
        """A new batch on another device (non-blocking from pinned memory)."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return self._map(move)

    def pin_memory(self) -> "DialogueBatch":
        """A new batch in page-locked memory; DataLoader calls it."""
        return self._map(Tensor.pin_memory)

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
        )
