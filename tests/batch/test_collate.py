"""Batches have every turn once, under its own id, also if features are missing."""

import numpy as np
import pytest
import torch

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import CorpusError, FeatureError
from dialogue_ser.features.core.api import FeatureTable, InputSpec

LABELS = LabelSet("emotion", ("neutral", "joy"))


def _dialogue(name: str, speakers: str, label: str | None = "joy", **fields: object) -> Dialogue:
    turns = (
        Utterance(id=f"{name}_utt{2 * t + 1}", speaker=speaker, label=label, **fields)  # type: ignore[arg-type]
        for t, speaker in enumerate(speakers)
    )
    return Dialogue(name, tuple(turns))


def _vectors(*dialogues: Dialogue, dim: int = 2) -> FeatureTable:
    ids = [turn.id for dialogue in dialogues for turn in dialogue]
    rows = {utterance: np.full(dim, 1.0 + i, dtype=np.float32) for i, utterance in enumerate(ids)}
    return FeatureTable(InputSpec(kind="vector", dim=dim), rows)


def test_turns_are_found_by_id_and_padding_is_marked() -> None:
    dialogues = [_dialogue("train/dia0", "xyx"), _dialogue("train/dia7", "z", label=None)]
    batch = collate(dialogues, {"text": _vectors(*dialogues)}, LABELS)
    assert batch.speaker.tolist() == [[0, 1, 0], [0, -1, -1]]
    assert batch.label.tolist() == [[1, 1, 1], [-100, -100, -100]]
    assert batch.n_turns.tolist() == [3, 1]
    assert batch.is_real_turn.tolist() == [[True, True, True], [True, False, False]]
    assert batch.utterance_ids[1] == ("train/dia7_utt1",)
    assert batch.features["text"][1, 0].tolist() == [4.0, 4.0]
    assert batch.features["text"][1, 1:].abs().sum() == 0


def test_speakers_are_numbered_in_order_of_first_appearance_in_each_dialogue() -> None:
    dialogues = [_dialogue("a", "zxzyx"), _dialogue("b", "xz")]
    assert collate(dialogues, {}, LABELS).speaker.tolist() == [[0, 1, 0, 2, 1], [0, 1, -1, -1, -1]]


def test_a_turn_without_features_is_absent_but_stays() -> None:
    dialogue = _dialogue("a", "xyx")
    table = _vectors(dialogue)
    rows = {key: row for key, row in table.rows.items() if key != "a_utt3"}
    batch = collate([dialogue], {"audio": FeatureTable(table.spec, rows)}, LABELS)
    assert batch.is_present["audio"].tolist() == [[True, False, True]]
    assert batch.features["audio"][0, 1].tolist() == [0.0, 0.0]
    assert batch.label.tolist() == [[1, 1, 1]]


def test_tokens_and_frames_are_padded_with_their_lengths() -> None:
    dialogue = _dialogue("a", "xy")
    tokens = FeatureTable(
        InputSpec(kind="tokens", dim=9, encoder="textcnn"), {"a_utt1": np.array([5, 6, 7]), "a_utt3": np.array([8])}
    )
    frames = FeatureTable(InputSpec(kind="frames", dim=2), {"a_utt3": np.ones((4, 2), dtype=np.float32)})
    batch = collate([dialogue], {"text": tokens, "audio": frames}, LABELS)
    assert batch.features["text"].tolist() == [[[5, 6, 7], [8, 0, 0]]]
    assert batch.features["text"].dtype == torch.int64
    assert batch.lengths["text"].tolist() == [[3, 1]]
    assert batch.features["audio"].shape == (1, 2, 4, 2)
    assert batch.lengths["audio"].tolist() == [[0, 4]]


def test_votes_become_distributions_and_turns_without_votes_have_none() -> None:
    voted = _dialogue("a", "x", votes={"joy": 3, "neutral": 1})
    batch = collate([voted, _dialogue("b", "x")], {}, LABELS)
    assert batch.label_distribution is not None
    assert batch.label_distribution.tolist() == [[[0.25, 0.75]], [[0.0, 0.0]]]
    assert collate([_dialogue("b", "x")], {}, LABELS).label_distribution is None


def test_sentiments_are_numbers_and_a_batch_without_any_has_none() -> None:
    dialogues = [_dialogue("a", "xy", sentiment="negative"), _dialogue("b", "x"), _dialogue("c", "x", label=None)]
    batch = collate(dialogues, {}, LABELS)
    assert batch.sentiment is not None
    assert batch.sentiment.tolist() == [[0, 0], [2, -100], [-100, -100]]  # joy is positive
    assert collate(dialogues[2:], {}, LABELS).sentiment is None


def test_a_row_of_another_size_is_refused_by_name() -> None:
    dialogue = _dialogue("a", "xy")
    rows = {**_vectors(dialogue).rows, "a_utt3": np.zeros(5, dtype=np.float32)}
    with pytest.raises(FeatureError, match=r"a_utt3: text features have shape \(5,\), expected \(2,\)"):
        collate([dialogue], {"text": FeatureTable(InputSpec(kind="vector", dim=2), rows)}, LABELS)


def test_an_unknown_label_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(CorpusError, match="did you mean 'joy'"):
        collate([_dialogue("a", "x", label="joyy")], {}, LABELS)
