"""MELD: the facts of docs/data.md on the real files, and faults in small files."""

import re
from collections import Counter
from pathlib import Path

import pytest

from dialogue_ser.cli.main import main
from dialogue_ser.corpus.download.locate import find_data, sample_folder
from dialogue_ser.corpus.parsing.files import read_rows
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.readers.meld import KNOWN_BAD_CLIPS, read_meld
from dialogue_ser.corpus.schema import Corpus, utterances
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError
from dialogue_ser.media.decode import decode
from dialogue_ser.media.hashing import content_hash

try:
    MELD: Path | None = find_data("meld")
except MissingDataError:
    MELD = None
needs_meld = pytest.mark.skipif(MELD is None, reason="MELD is not on this machine (dialogue-ser data download meld)")

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def meld() -> Corpus:
    return read_corpus("meld")


def by_split(corpus: Corpus, of) -> tuple:
    return tuple(of(corpus.splits[split]) for split in SPLITS)


def turns_of(corpus: Corpus, split: str) -> dict:
    return {turn.id: turn for turn in utterances(corpus.splits[split])}


# --- the real files ---------------------------------------------------------------------------------------------


@needs_meld
def test_meld_files_are_the_published_ones():
    sums = dict(reversed(line.split()) for line in (MELD / "SHA256SUMS").read_text().splitlines())
    for split in SPLITS:
        assert content_hash(MELD / f"{split}_sent_emo.csv") == sums[f"{split}_sent_emo.csv"]


@needs_meld
def test_meld_counts_dialogues_utterances_and_speakers(meld):
    assert by_split(meld, len) == (1038, 114, 280)
    assert by_split(meld, lambda dialogues: len(list(utterances(dialogues)))) == (9989, 1109, 2610)
    assert by_split(meld, lambda dialogues: len({turn.speaker for turn in utterances(dialogues)})) == (260, 47, 100)


@needs_meld
def test_meld_train_dialogue_60_does_not_exist(meld):
    numbers = {int(dialogue.id.removeprefix("train/dia")) for dialogue in meld.split("train")}
    assert set(range(1039)) - numbers == {60}


@needs_meld
def test_meld_emotions_are_counted_and_ordered_as_published(meld):
    assert meld.label_set.labels == ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
    counts = {
        label: by_split(meld, lambda dialogues, label=label: sum(t.label == label for t in utterances(dialogues)))
        for label in meld.label_set
    }
    assert counts == {
        "neutral": (4710, 470, 1256),
        "joy": (1743, 163, 402),
        "surprise": (1205, 150, 281),
        "anger": (1109, 153, 345),
        "sadness": (683, 111, 208),
        "disgust": (271, 22, 68),
        "fear": (268, 40, 50),
    }


@needs_meld
def test_meld_sentiment_is_a_second_label_set_on_the_same_turns(meld):
    sentiment = read_corpus("meld", labels="sentiment")
    assert sentiment.label_set.labels == ("neutral", "positive", "negative")
    counts = [Counter(turn.label for turn in utterances(sentiment.splits[split])) for split in SPLITS]
    assert [count["neutral"] for count in counts] == [4710, 470, 1256]
    assert [count["positive"] for count in counts] == [2334, 233, 521]
    assert [count["negative"] for count in counts] == [2945, 406, 833]
    assert turns_of(sentiment, "test").keys() == turns_of(meld, "test").keys()
    assert sentiment.fingerprint() != meld.fingerprint()


@needs_meld
def test_meld_ids_have_gaps_and_give_a_warning(meld):
    def gaps(dialogues):
        numbers = [[int(turn.id.split("_utt")[1]) for turn in dialogue] for dialogue in dialogues]
        return sum(found != list(range(len(found))) for found in numbers)

    assert by_split(meld, gaps) == (72, 2, 2)
    starts = [int(dialogue.utterances[0].id.split("_utt")[1]) for dialogue in meld.split("train")]
    assert Counter(starts) == {0: 1028, 1: 10}
    for split, n in zip(SPLITS, (72, 2, 2), strict=True):
        assert any(warning.startswith(f"{split}: utterance ids have gaps in {n} ") for warning in meld.warnings)


@needs_meld
def test_meld_serial_numbers_repeat_and_are_not_used(meld):
    serials = [row.values["Sr No."] for row in read_rows(MELD / "train_sent_emo.csv")]
    assert len(set(serials)) < len(serials)
    assert len(turns_of(meld, "train")) == len(serials)


@needs_meld
def test_meld_dialogue_sizes(meld):
    everything = [dialogue for split in SPLITS for dialogue in meld.split(split)]
    assert max(len(dialogue.speakers) for dialogue in everything) == 9
    assert by_split(meld, lambda dialogues: max(map(len, dialogues))) == (24, 23, 33)
    assert by_split(meld, lambda dialogues: sum(len(dialogue) == 1 for dialogue in dialogues)) == (70, 6, 12)


@needs_meld
def test_meld_lines_end_in_crlf_and_quotes_are_curly(meld):
    for split in SPLITS:
        data = (MELD / f"{split}_sent_emo.csv").read_bytes()
        assert data.count(b"\r\n") == data.count(b"\n") > 0
        assert not any("\r" in (turn.text or "") for turn in utterances(meld.splits[split]))
    assert any("’" in (turn.text or "") for turn in utterances(meld.split("train")))


@needs_meld
def test_meld_times_have_comma_decimals_and_two_spellings_of_hours(meld):
    written = [row.values["StartTime"] for row in read_rows(MELD / "test_sent_emo.csv")]
    assert {time.split(":")[0] for time in written} == {"0", "00"}
    assert all("," in time for time in written)
    test = turns_of(meld, "test")
    assert test["test/dia0_utt0"].start_seconds == 14 * 60 + 38.127
    assert test["test/dia1_utt0"].start_seconds == 10 * 60 + 44.769  # written 0:10:44,769


@needs_meld
def test_meld_odd_spans_are_kept_and_give_warnings(meld):
    test = turns_of(meld, "test")

    def length(name: str) -> float:
        return test[f"test/{name}"].end_seconds - test[f"test/{name}"].start_seconds

    assert length("dia155_utt3") == 0
    assert round(length("dia38_utt4")) == 305
    assert round(length("dia220_utt0")) == 235
    assert any("zero length" in warning and "test/dia155_utt3" in warning for warning in meld.warnings)
    assert any("test/dia38_utt4: 305 s, test/dia220_utt0: 235 s" in warning for warning in meld.warnings)


@needs_meld
def test_meld_clips_and_rows_have_only_the_known_differences(meld):
    """The Praat tables were computed from the clips, so their file names tell which clips exist."""
    differences = {}
    for split in SPLITS:
        clips = {
            f"{split}/{row.values['filename'].removesuffix('.wav')}"
            for row in read_rows(MELD / "praat" / f"meld_{split}_audio_features.csv")
        }
        rows = set(turns_of(meld, split))
        differences[split] = (len(clips), rows - clips, clips - rows)
    assert differences == {
        "train": (9988, {"train/dia125_utt3"}, set()),
        "dev": (1112, {"dev/dia110_utt7"}, {f"dev/dia{n}" for n in ("49_utt4", "49_utt5", "66_utt9", "66_utt10")}),
        "test": (
            2615,
            set(),
            {f"test/dia{n}" for n in ("93_utt5", "93_utt6", "93_utt7", "108_utt1", "108_utt2")},
        ),
    }
    missing = {name for name, fault in KNOWN_BAD_CLIPS.items() if fault.endswith("the published archive")}
    assert missing == {"train/dia125_utt3", "dev/dia110_utt7"}


@needs_meld
def test_meld_clips_that_are_known_to_be_bad_are_turns_and_the_lengths_are_right(meld):
    durations = {
        f"{split}/{row.values['filename'].removesuffix('.wav')}": float(row.values["duration"])
        for split in SPLITS
        for row in read_rows(MELD / "praat" / f"meld_{split}_audio_features.csv")
    }
    assert KNOWN_BAD_CLIPS.keys() <= {turn.id for split in SPLITS for turn in turns_of(meld, split).values()}
    for name, fault in KNOWN_BAD_CLIPS.items():
        seconds = re.match(r"([\d.]+) s", fault)
        assert seconds is None or abs(float(seconds[1]) - durations[name]) < 0.5


@needs_meld
def test_meld_has_two_dialogues_whose_texts_are_in_two_splits(meld):
    shown = " ".join(warning for warning in meld.warnings if "same texts" in warning)
    assert "test/dia63 = train/dia19, 2 turns" in shown
    assert "test/dia148 = dev/dia55, 1 turn" in shown


@needs_meld
def test_meld_praat_rows_without_pitch_or_rate():
    found = []
    for split in SPLITS:
        rows = read_rows(MELD / "praat" / f"meld_{split}_audio_features.csv").rows
        found.append(tuple(sum(row.values[name] == "" for row in rows) for name in ("avg_pitch", "articulation_rate")))
    assert found == [(77, 370), (12, 43), (26, 117)]


@needs_meld
def test_meld_speakers_are_kept_as_written(meld):
    speakers = {split: {turn.speaker for turn in utterances(meld.splits[split])} for split in SPLITS}
    assert all("All" in speakers[split] for split in SPLITS)
    assert all(any(" and " in name for name in speakers[split]) for split in SPLITS)
    assert {"Phoebe Sr", "Phoebe Sr."} <= speakers["train"]
    assert len(speakers["test"] - speakers["train"]) == 31


@needs_meld
def test_meld_repeated_rows_are_kept():
    rows = read_rows(MELD / "train_sent_emo.csv").rows
    columns = ("Utterance", "Speaker", "Season", "Episode", "StartTime", "EndTime")
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault(tuple(row.values[column] for column in columns), []).append(row)
    repeated = [group for group in groups.values() if len(group) > 1]
    assert sum(map(len, repeated)) == 20
    assert {row.values["Dialogue_ID"] for group in repeated for row in group} == {"312", "376", "698", "725"}
    assert sum(len({row.values["Emotion"] for row in group}) > 1 for group in repeated) == 5


@needs_meld
def test_meld_has_eight_near_duplicates_of_test_in_train():
    columns = ("Utterance", "Speaker", "Season", "Episode")
    keys = {
        split: [tuple(row.values[column] for column in columns) for row in read_rows(MELD / f"{split}_sent_emo.csv")]
        for split in ("train", "test")
    }
    assert sum(keys["train"].count(key) for key in keys["test"]) == 8


@needs_meld
def test_meld_dialogues_keep_the_order_of_the_file(meld):
    dialogue = meld.split("train")[0]
    assert [turn.id for turn in dialogue][:2] == ["train/dia0_utt0", "train/dia0_utt1"]
    assert dialogue.speakers == ("Chandler", "The Interviewer")
    assert dialogue.utterances[0].origin == "train_sent_emo.csv row 2"


@needs_meld
def test_meld_reads_a_subset_of_splits():
    assert set(read_corpus("meld", splits=["dev"]).splits) == {"dev"}


# --- small files ------------------------------------------------------------------------------------------------


def row(dialogue: int, number: int, text: str = "Hi.", label: str = "joy", start: str = "0:00:01,5") -> str:
    return f'{number},"{text}",Ross,{label},positive,{dialogue},{number},1,1,"{start}","00:00:02,000"'


def write(folder: Path, split: str, *rows: str, encoding: str = "utf-8") -> Path:
    (folder / f"{split}_sent_emo.csv").write_bytes("\r\n".join([HEADER, *rows, ""]).encode(encoding))
    return folder


def problems(*arguments, **options) -> tuple[str, ...]:
    with pytest.raises(CorpusError) as caught:
        read_corpus(*arguments, **options)
    return caught.value.problems


def test_one_error_names_all_bad_rows_of_all_files(tmp_path):
    write(tmp_path, "train", row(0, 0, label="joyfull"), row(0, 1), row(0, 1), row(0, 2, start="soon"))
    write(tmp_path, "dev", row(0, 0).replace("0,0,1,1", "0,x,1,1"), row(0, 1, label="angr"))
    text = "\n".join(problems("meld", tmp_path, splits=["train", "dev"]))
    for sentence in (
        "train_sent_emo.csv row 2 (train/dia0_utt0): unknown emotion label 'joyfull'; did you mean",
        "train_sent_emo.csv row 4 (train/dia0_utt1): id 'train/dia0_utt1' is also the id of train_sent_emo.csv row 3",
        "train_sent_emo.csv row 5: StartTime: 'soon' is not a time",
        "dev_sent_emo.csv row 2: Dialogue_ID and Utterance_ID must be whole numbers; correct 'x'",
        "dev_sent_emo.csv row 3 (dev/dia0_utt1): unknown emotion label 'angr'; did you mean 'anger'",
    ):
        assert sentence in text


def test_older_cp1252_copies_name_the_bytes_and_can_be_read(tmp_path):
    write(tmp_path, "train", row(0, 0, "fine"), row(0, 1, "he’s … — ‘so’"), encoding="cp1252")
    (problem,) = problems("meld", tmp_path, splits=["train"])
    assert problem.startswith("train_sent_emo.csv: 5 bytes in 1 row are not UTF-8 (row 3: \\x92 \\x85 \\x97 \\x91)")
    assert "encoding='cp1252'" in problem
    read = read_corpus("meld", tmp_path, splits=["train"], encoding="cp1252")
    assert read.split("train")[0].utterances[1].text == "he’s … — ‘so’"


def test_texts_that_look_like_missing_values_are_texts(tmp_path):
    write(tmp_path, "train", *(row(0, n, text) for n, text in enumerate(["NA", "None", "null", "nan"])))
    read = read_corpus("meld", tmp_path, splits=["train"])
    assert [turn.text for turn in read.split("train")[0]] == ["NA", "None", "null", "nan"]


def test_rows_of_a_dialogue_belong_together_even_if_they_are_not_neighbours(tmp_path):
    write(tmp_path, "train", row(0, 0), row(7, 0), row(0, 5))
    read = read_corpus("meld", tmp_path, splits=["train"])
    assert [[turn.id for turn in dialogue] for dialogue in read.split("train")] == [
        ["train/dia0_utt0", "train/dia0_utt5"],
        ["train/dia7_utt0"],
    ]


def test_missing_files_columns_splits_and_label_sets_are_named(tmp_path):
    write(tmp_path, "train", row(0, 0))
    with pytest.raises(MissingDataError, match=r"dev_sent_emo\.csv, test_sent_emo\.csv missing; get them with"):
        read_meld(tmp_path)
    with pytest.raises(ConfigError, match="unknown split 'tets'; did you mean 'test'"):
        read_meld(tmp_path, splits=["tets"])
    with pytest.raises(ConfigError, match="unknown label set 'emotions'; did you mean 'emotion'"):
        read_meld(tmp_path, labels="emotions")
    (tmp_path / "train_sent_emo.csv").write_text("Utterance,Speaker\nhi,Ross\n")
    assert len(problems("meld", tmp_path, splits=["train"])) == 6


def test_a_file_with_a_header_only_is_an_empty_split(tmp_path):
    write(tmp_path, "train")
    assert "train_sent_emo.csv: has a header but no record" in problems("meld", tmp_path, splits=["train"])[0]


@pytest.mark.parametrize(
    "clip",
    ["train/{}.wav", "train_splits/{}.mp4", "train_{}.flac", "train/{}.opus", "train/{}.ogg", "train_{}.mp3"],
)
def test_clips_are_found_in_every_published_layout(tmp_path, clip):
    write(tmp_path, "train", row(0, 0), row(0, 1))
    for name in ("dia0_utt0", "dia0_utt1", "dia9_utt9"):  # dia9_utt9 has no row and is ignored
        file = tmp_path / "clips" / clip.format(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    read = read_corpus("meld", tmp_path, splits=["train"], audio="clips")
    found = [turn.audio.path for turn in utterances(read.split("train"))]
    assert found == [tmp_path / "clips" / clip.format(name) for name in ("dia0_utt0", "dia0_utt1")]
    assert read_corpus("meld", tmp_path, splits=["train"], audio=str(tmp_path / "clips")).splits == read.splits


def test_missing_clips_are_all_named_or_masked_and_counted(tmp_path):
    write(tmp_path, "train", row(125, 2), row(125, 3), row(126, 0))
    write(tmp_path, "dev", row(110, 6), row(110, 7))
    for clip in ("train/dia125_utt2.wav", "dev/dia110_utt6.wav"):
        (tmp_path / "clips" / clip).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / clip).touch()
    found = problems("meld", tmp_path, splits=["train", "dev"], audio="clips")
    assert [re.search(r"\((.*?)\)", problem)[1] for problem in found] == [
        "train/dia125_utt3",
        "train/dia126_utt0",
        "dev/dia110_utt7",
    ]
    assert "broken in the published archive" in found[0]
    assert "published" not in found[1]
    assert "absent from the published archive" in found[2]
    masked = read_corpus("meld", tmp_path, splits=["train", "dev"], audio="clips", on_bad="mask")
    assert [turn.audio is None for turn in utterances(masked.split("train"))] == [False, True, True]
    assert "train: 2 turns have no clip and are masked (train/dia125_utt3, train/dia126_utt0)" in masked.warnings


def test_a_folder_without_any_clip_is_a_wrong_folder_even_when_masking(tmp_path):
    write(tmp_path, "train", row(0, 0), row(0, 1))
    (problem,) = problems("meld", tmp_path, splits=["train"], audio="nowhere", on_bad="mask")
    assert "holds no clip of split 'train', e.g. train/dia0_utt0.wav" in problem


# --- the bundled sample -----------------------------------------------------------------------------------------


def test_sample_corpus_is_read_with_its_speech():
    folder = sample_folder()
    sample = read_corpus("sample")
    assert sample.name == "sample"
    assert sum(map(len, sample.splits.values())) >= 80
    assert all(2 <= len(dialogue.speakers) <= 5 for split in SPLITS for dialogue in sample.split(split))
    for split in SPLITS:
        for turn in utterances(sample.split(split)):
            assert turn.audio is not None
            assert turn.audio.path.is_relative_to(folder / "audio" / split)
    assert {turn.label for turn in utterances(sample.split("train"))} == set(sample.label_set)
    assert decode(sample.split("dev")[0].utterances[0].audio.path).duration_seconds > 0.2


def test_the_error_about_a_missing_sample_names_no_download_because_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="missing; give the folder that holds them"):
        read_corpus("sample", tmp_path)


def test_shared_classes_call_joy_happiness(sample):
    before = Counter(turn.label for turn in utterances(read_corpus("sample", sample).split("train")))
    corpus = read_corpus("sample", sample, "shared-7")
    assert Counter(turn.label for turn in utterances(corpus.split("train"))) == {
        "happiness" if label == "joy" else label: count for label, count in before.items()
    }
    assert corpus.label_set.labels == ("anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")


def test_clips_that_are_known_to_be_bad_are_used_and_named_once_and_their_errors_say_so(tmp_path, capsys):
    write(tmp_path, "train", row(125, 2), row(125, 3), row(485, 0))
    (tmp_path / "clips" / "train_splits").mkdir(parents=True)
    for name in ("dia125_utt2", "dia125_utt3", "dia485_utt0"):
        (tmp_path / "clips" / "train_splits" / f"{name}.mp4").touch()
    read = read_corpus("meld", tmp_path, splits=["train"], audio="clips")
    (warning,) = [warning for warning in read.warnings if "known to be bad" in warning]
    assert warning.startswith("train: 2 clips are known to be bad")
    assert "train/dia125_utt3: broken in the published archive; train/dia485_utt0: 26 s for three words" in warning
    bare = read_corpus("meld", tmp_path, splits=["train"], audio="clips", on_bad="mask")
    assert bare.fingerprint() == read.fingerprint()

    command = ["data", "check", "--reader", "meld", "--path", str(tmp_path)]
    assert main([*command, "--options", "{splits: [train], audio: clips}"]) == 2
    errors = capsys.readouterr().err.splitlines()
    known = [line for line in errors if "known bad clip of MELD" in line]
    assert [line.partition(")")[0].rpartition("(")[2] for line in known] == ["train/dia125_utt3", "train/dia485_utt0"]
    assert all("--data.on_bad mask sets it aside" in line for line in known)
    assert len(errors) > len(known)


def test_ids_of_thousands_of_digits_are_one_line(tmp_path):
    write(tmp_path, "train", row(0, 0), row("9" * 5000, 1))
    (problem,) = problems("meld", tmp_path, splits=["train"])
    assert problem.startswith("train_sent_emo.csv row 3: Dialogue_ID and Utterance_ID must be whole numbers")
