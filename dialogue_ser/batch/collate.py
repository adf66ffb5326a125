"""Build one padded DialogueBatch from dialogues and feature tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet
from dialogue_ser.corpus.sentiment import SENTIMENTS, sentiment_of
from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import FeatureTable
from dialogue_ser.tasks import as_task
from dialogue_ser.tasks.base import Task
from dialogue_ser.tensors import IGNORED_LABEL, PAD_SPEAKER

_NUMBER_OF_SENTIMENT = {sentiment: number for number, sentiment in enumerate(SENTIMENTS)}


def collate(
    dialogues: Sequence[Dialogue],
    tables: Mapping[str, FeatureTable],
    task: Task | LabelSet,
    *,
    dtype: torch.dtype = torch.float32,
) -> DialogueBatch:
    """Build one batch, padded to the longest dialogue. Features are found by utterance id, never by position.

    Args:
        dialogues: one or more dialogues.
        tables: modality → feature table. A turn without a row in the table is absent in this modality.
        task: makes the targets; a label set means the classification of its labels.
        dtype: type of vectors and frames.

    Raises:
        FeatureError: a row does not have the shape of its table; the error names the utterance.
        CorpusError: a label is not in the label set.
    """
    assert dialogues, "a batch needs at least one dialogue"
    shape = (len(dialogues), max(len(dialogue) for dialogue in dialogues))
    speaker = np.full(shape, PAD_SPEAKER, dtype=np.int64)
    is_real = np.zeros(shape, dtype=np.bool_)
    sentiment = np.full(shape, IGNORED_LABEL, dtype=np.int64)
    for b, dialogue in enumerate(dialogues):
        party = {name: index for index, name in enumerate(dialogue.speakers)}
        for t, turn in enumerate(dialogue):
            is_real[b, t] = True
            speaker[b, t] = party[turn.speaker]
            sentiment[b, t] = _NUMBER_OF_SENTIMENT.get(sentiment_of(turn) or "", IGNORED_LABEL)
    targets = as_task(task).batch_targets(dialogues, shape)
    features, is_present, lengths = {}, {}, {}
    for modality, table in tables.items():
        values, present, n_frames = _pad_modality(dialogues, shape, modality, table)
        features[modality] = values if table.spec.kind == "tokens" else values.to(dtype)
        is_present[modality] = present
        if n_frames is not None:
            lengths[modality] = n_frames
    return DialogueBatch(
        features=features,
        is_present=is_present,
        lengths=lengths,
        speaker=torch.from_numpy(speaker),
        n_turns=torch.tensor([len(dialogue) for dialogue in dialogues]),
        is_real_turn=torch.from_numpy(is_real),
        utterance_ids=tuple(tuple(turn.id for turn in dialogue) for dialogue in dialogues),
        sentiment=torch.from_numpy(sentiment) if (sentiment != IGNORED_LABEL).any() else None,
        **{name: torch.from_numpy(values) for name, values in targets.items()},  # type: ignore[arg-type]
    )


def _pad_modality(
    dialogues: Sequence[Dialogue], shape: tuple[int, int], modality: str, table: FeatureTable
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The values of one modality padded with zeros, where turns have it, and frames per turn (None for vectors)."""
    spec = table.spec
    found = {
        (b, t): table.rows[turn.id]
        for b, dialogue in enumerate(dialogues)
        for t, turn in enumerate(dialogue)
        if turn.id in table.rows
    }
    longest = max((len(row) for row in found.values()), default=1)
    row_shape = {"vector": (spec.dim,), "frames": (longest, spec.dim), "tokens": (longest,)}[spec.kind]
    values: NDArray[Any] = np.zeros((*shape, *row_shape), dtype=np.int64 if spec.kind == "tokens" else np.float32)
    present = np.zeros(shape, dtype=np.bool_)
    n_frames = np.zeros(shape, dtype=np.int64)
    for (b, t), row in found.items():
        expected = row_shape if spec.kind == "vector" else (len(row), *row_shape[1:])
        if row.shape != expected:
            turn = dialogues[b].utterances[t]
            raise FeatureError(
                f"{turn.id}: {modality} features have shape {row.shape}, expected {expected}; encode the whole corpus "
                "again with one encoder"
            )
        present[b, t] = True
        n_frames[b, t] = len(row)
        if spec.kind == "vector":
            values[b, t] = row
        else:
            values[b, t, : len(row)] = row
    lengths = None if spec.kind == "vector" else torch.from_numpy(n_frames)
    return torch.from_numpy(values), torch.from_numpy(present), lengths
