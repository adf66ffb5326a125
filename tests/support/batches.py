"""Batches of random vectors, for the tests of the systems."""

from collections.abc import Mapping, Sequence

import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.features.core.api import InputSpec


def random_batch(
    inputs: Mapping[str, InputSpec],
    n_turns: Sequence[int] = (4, 1, 7),
    n_speakers: int = 3,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> DialogueBatch:
    """A batch of dialogues with random vectors and random speakers."""
    generator, n_turns_B = torch.Generator().manual_seed(seed), torch.tensor(n_turns)
    is_real_BT = torch.arange(max(n_turns)) < n_turns_B[:, None]
    speaker_BT = torch.randint(0, n_speakers, is_real_BT.shape, generator=generator)
    features = {
        name: torch.randn(*is_real_BT.shape, spec.dim, generator=generator, dtype=dtype) * is_real_BT[..., None]
        for name, spec in inputs.items()
    }
    return DialogueBatch(
        features=features,
        is_present=dict.fromkeys(inputs, is_real_BT),
        speaker=torch.where(is_real_BT, speaker_BT, -1),
        n_turns=n_turns_B,
        label=torch.where(is_real_BT, torch.arange(max(n_turns)) % 3, -100),
        is_real_turn=is_real_BT,
        utterance_ids=tuple(tuple(f"test/dia{b}_utt{t}" for t in range(n)) for b, n in enumerate(n_turns)),
    )


def alone_of(batch: DialogueBatch) -> list[DialogueBatch]:
    """Each dialogue of a batch as a batch of its own, without padding."""
    return [
        DialogueBatch(
            features={name: value[b : b + 1, :n] for name, value in batch.features.items()},
            is_present={name: value[b : b + 1, :n] for name, value in batch.is_present.items()},
            speaker=batch.speaker[b : b + 1, :n],
            n_turns=batch.n_turns[b : b + 1],
            label=batch.label[b : b + 1, :n],
            is_real_turn=batch.is_real_turn[b : b + 1, :n],
            utterance_ids=batch.utterance_ids[b : b + 1],
        )
        for b, n in enumerate(batch.n_turns.tolist())
    ]
