"""DialogueBatch, the input of every dialogue system: dialogues padded to one length."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from dialogue_ser.tensors import LabelBT, RealTurnBT, SpeakerBT, TurnsB


@dataclass(frozen=True, kw_only=True)
class DialogueBatch:
    """Dialogues padded to the longest one. Do not change its tensors in place.

    Use ``speaker_host``, ``n_turns_host`` or :meth:`on_host` for computations on the CPU. They return the tensors on
    the CPU, also after :meth:`to`. Reading a tensor from a GPU would wait until the GPU has finished all its work.

    Args:
        features: modality → float ``[B,T,D]`` (vectors), float ``[B,T,L,D]`` (frames) or int64 ``[B,T,L]`` (tokens).
        lengths: modality with frames or tokens → their number per turn, int64 ``[B,T]`` (0 on padding).
        is_present: modality → bool ``[B,T]``: True where the turn has it.
        speaker: number of the party who speaks. Parties are numbered per dialogue in the order in which they first
            speak; −1 on padding.
        n_turns: number of real turns per dialogue.
        label: class index, −100 on padding and on turns without a label.
        is_real_turn: True on real turns, False on padding.
        utterance_ids: ids of the real turns, per dialogue.
        label_distribution: soft labels ``[B,T,C]``, or None.
        sentiment: sentiment of the turns, int64 ``[B,T]``: 0 negative, 1 neutral, 2 positive, −100 on padding and where
            it is not known. None if it is known of no turn.
        value: gold values of dimensions ``[B,T,S]``, NaN on padding and where a turn has no value. None in a
            classification.
        host_copies: pairs of a tensor on another device and the same tensor on the CPU. Only :meth:`to` sets them. They
            are found by identity, so a tensor that replaces another one later never gets the values of the old one.
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
    sentiment: Tensor | None = None
    host_copies: tuple[tuple[Tensor, Tensor], ...] = field(default=(), repr=False)

    @property
    def n_dialogues(self) -> int:
        """B, the number of dialogues."""
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
        """A tensor of this batch on the CPU. A new copy, which waits for the device, is made only if none is known."""
        original = self._original(tensor)
        return tensor.cpu() if original is None else original

    def to(self, device: torch.device | str) -> "DialogueBatch":
        """A new batch on another device; the copy does not block if the memory is pinned."""
        device = torch.device(device)
        if device.type == "cpu":  # blocking, because the CPU could read values before they arrive
            return replace(self._map(self.on_host), host_copies=())
        copy = self._map(lambda tensor: tensor.to(device, non_blocking=True))
        originals = [self._original(tensor) for tensor in self._small_tensors()]
        pairs = zip(copy._small_tensors(), originals, strict=True)
        return replace(
            copy, host_copies=tuple((tensor, original) for tensor, original in pairs if original is not None)
        )

    def pin_memory(self) -> "DialogueBatch":
        """A new batch in page-locked memory; torch's DataLoader calls this."""
        return self._map(Tensor.pin_memory)

    def _original(self, tensor: Tensor) -> Tensor | None:
        """The tensor on the CPU with the same values, if one is known."""
        if tensor.device.type == "cpu":
            return tensor
        return next((original for copy, original in self.host_copies if copy is tensor), None)

    def _small_tensors(self) -> list[Tensor]:
        """All tensors but the features, which no plan needs and which would use much memory."""
        optional = (self.label_distribution, self.value, self.sentiment)
        targets = [target for target in optional if target is not None]
        small = [self.speaker, self.n_turns, self.label, self.is_real_turn, *targets]
        return [*small, *self.is_present.values(), *self.lengths.values()]

    def _map(self, function: Callable[[Tensor], Tensor]) -> "DialogueBatch":
        """A new batch with a function applied to every tensor."""
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
            sentiment=None if self.sentiment is None else function(self.sentiment),
        )
