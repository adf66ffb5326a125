"""The bundled sample corpus has the properties that its README states."""

import csv
import importlib.util
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
SPLITS = ("train", "dev", "test")
MELD_HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
LABELS = {"neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"}


def load_script_module() -> ModuleType:
    sys.path.insert(0, str(SAMPLE))
    try:
        spec = importlib.util.spec_from_file_location("sample_make_sample", SAMPLE / "make_sample.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SAMPLE))
    return module


make_sample = load_script_module()


def rows(split: str) -> list[dict[str, str]]:
    with (SAMPLE / f"{split}_sent_emo.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def clip(split: str, row: dict[str, str]) -> Path:
    return SAMPLE / "audio" / split / f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}.ogg"


def seconds(time: str) -> float:
    hours, minutes, rest = time.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(rest.replace(",", "."))


def by_dialogue(split: str) -> dict[str, list[dict[str, str]]]:
    dialogues: dict[str, list[dict[str, str]]] = {}
    for row in rows(split):
        dialogues.setdefault(row["Dialogue_ID"], []).append(row)
    return dialogues


def test_there_are_sixty_twelve_and_twelve_dialogues() -> None:
    assert [len(by_dialogue(split)) for split in SPLITS] == [60, 12, 12]


@pytest.mark.parametrize("split", SPLITS)
def test_columns_are_those_of_meld_in_their_order(split: str) -> None:
    header = (SAMPLE / f"{split}_sent_emo.csv").read_text(encoding="utf-8").partition("\n")[0]
    assert header == MELD_HEADER


@pytest.mark.parametrize("split", SPLITS)
def test_every_emotion_occurs_at_least_six_times_and_neutral_most(split: str) -> None:
    counts = Counter(row["Emotion"] for row in rows(split))
    assert set(counts) == LABELS
    assert min(counts.values()) >= 6
    assert counts.most_common(1)[0][0] == "neutral"


def test_the_rarest_emotion_has_at_least_four_percent() -> None:
    counts = Counter(row["Emotion"] for split in SPLITS for row in rows(split))
    assert min(counts.values()) >= 0.04 * counts.total()


@pytest.mark.parametrize("split", SPLITS)
def test_dialogues_have_four_to_ten_turns_of_two_to_five_people(split: str) -> None:
    for dialogue in by_dialogue(split).values():
        assert 4 <= len(dialogue) <= 10
        assert 2 <= len({row["Speaker"] for row in dialogue}) <= 5


@pytest.mark.parametrize("split", SPLITS)
def test_ids_are_unique_and_count_up_from_zero(split: str) -> None:
    assert [row["Sr No."] for row in rows(split)] == [str(i + 1) for i in range(len(rows(split)))]
    dialogues = by_dialogue(split)
    assert list(dialogues) == [str(i) for i in range(len(dialogues))]
    for dialogue in dialogues.values():
        assert [row["Utterance_ID"] for row in dialogue] == [str(i) for i in range(len(dialogue))]


@pytest.mark.parametrize("split", SPLITS)
def test_the_csv_has_the_turns_of_the_script(split: str) -> None:
    expected = [
        (str(number), turn.text, turn.speaker, turn.emotion, turn.sentiment)
        for number, scene in enumerate(make_sample.read_script(split))
        for turn in scene.turns
    ]
    columns = ("Dialogue_ID", "Utterance", "Speaker", "Emotion", "Sentiment")
    assert [tuple(row[column] for column in columns) for row in rows(split)] == expected


@pytest.mark.parametrize("split", SPLITS)
def test_sentiment_follows_from_emotion(split: str) -> None:
    negative = {"fear", "sadness", "disgust", "anger"}
    for row in rows(split):
        if row["Emotion"] == "surprise":
            assert row["Sentiment"] in {"positive", "negative"}
        else:
            expected = (
                "negative" if row["Emotion"] in negative else {"joy": "positive", "neutral": "neutral"}[row["Emotion"]]
            )
            assert row["Sentiment"] == expected


def test_no_line_of_more_than_three_words_is_shared_between_splits() -> None:
    spoken = {split: {row["Utterance"].lower() for row in rows(split)} for split in SPLITS}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        assert [text for text in spoken[one] & spoken[other] if len(text.split()) > 3] == []


@pytest.mark.parametrize("split", SPLITS)
def test_every_utterance_has_a_clip_that_can_be_heard_and_no_clip_is_left_over(split: str) -> None:
    clips = {clip(split, row): row for row in rows(split)}
    assert set((SAMPLE / "audio" / split).iterdir()) == set(clips)
    for path, row in clips.items():
        samples, rate_hz = soundfile.read(path, dtype="float32")
        assert rate_hz == 16000, path
        assert samples.ndim == 1, path
        assert samples.size > 0.3 * rate_hz, path
        assert np.isfinite(samples).all(), path
        assert np.sqrt(np.mean(samples**2)) > 0.003, path
        assert np.abs(samples).max() <= 1.0, path
        assert seconds(row["EndTime"]) - seconds(row["StartTime"]) == pytest.approx(samples.size / rate_hz, abs=0.0021)


def test_scenes_of_one_setting_never_overlap_in_time() -> None:
    spans: dict[str, list[tuple[float, float]]] = {}
    for split in SPLITS:
        for row in rows(split):
            spans.setdefault(row["Episode"], []).append((seconds(row["StartTime"]), seconds(row["EndTime"])))
    assert len(spans) == 12
    for times in spans.values():
        assert all(earlier[1] < later[0] for earlier, later in pairwise(times))


def test_audio_takes_at_most_eight_megabytes() -> None:
    assert sum(path.stat().st_size for path in (SAMPLE / "audio").rglob("*.ogg")) <= 8_000_000


def test_everyone_in_the_script_has_a_voice_and_no_two_sound_alike() -> None:
    voices = make_sample.read_voices()
    assert {row["Speaker"] for split in SPLITS for row in rows(split)} == set(voices)
    assert len({(voice.voice, voice.pitch) for voice in voices.values()}) == len(voices)


def test_readme_shows_the_counts_of_the_script() -> None:
    assert make_sample.counts_table() in (SAMPLE / "README.md").read_text(encoding="utf-8")


def test_the_error_about_a_bad_script_names_all_bad_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script").mkdir()
    lines = ["# Moon: far away", "Nora (neutral): Fine.", "Nora (joyful): Yes!", "No one says this"]
    (tmp_path / "script" / "train.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(make_sample, "HERE", tmp_path)
    with pytest.raises(ValueError, match=r"line 1:.*\n.*line 3:.*\n.*line 4:"):
        make_sample.read_script("train")


def test_the_ogg_checksum_equals_the_one_that_libsndfile_writes(tmp_path: Path) -> None:
    speech = sys.modules["sample_speech"]
    path = tmp_path / "tone.ogg"
    soundfile.write(path, 0.1 * np.sin(np.arange(16000) / 8), 16000, format="OGG", subtype="OPUS")
    page = bytearray(path.read_bytes())
    end = 27 + page[26] + sum(page[27 : 27 + page[26]])
    written = int.from_bytes(page[22:26], "little")
    page[22:26] = bytes(4)
    assert speech.ogg_checksum(page[:end]) == written
