import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.features.files.precomputed import Precomputed


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a corpus of two dialogues, the first with a gap, and its features in the layout of conv-emotion."""
    monkeypatch.chdir(tmp_path)
    lines = ["train,d0,0,A,Hello there", "train,d0,2,B,Oh my", "dev,d1,0,A,Never"]
    header = "split,dialogue,turn,speaker,text,label"
    (tmp_path / "turns.csv").write_text("\n".join([header, *(f"{line},calm" for line in lines)]) + "\n")
    audio = {0: [np.full(3, 1.0), np.full(3, 2.0)], 1: [np.full(3, 3.0)]}
    text = {0: [np.full(2, 4.0), np.full(2, 5.0)], 1: [np.full(2, 6.0)]}
    sentences = {0: ["hello there.", "oh my!"], 1: ["never"]}
    save(tmp_path / "raw.pkl", ({0: ["a", "b"], 1: ["c"]}, {0: [[1], [0]], 1: [[1]]}, {0: [0, 0], 1: [0]}, text, audio,
                                sentences, [0], [1], {0: [0, 0], 1: [0]}))  # fmt: skip
    return tmp_path


def save(path, value):
    path.write_bytes(pickle.dumps(value, protocol=2))


def turns(here):
    corpus = read_corpus("table", here / "turns.csv")
    return [dialogue for dialogues in corpus.splits.values() for dialogue in dialogues]


@pytest.mark.parametrize("ending", ["parquet", "safetensors"])
def test_precomputed_reads_the_converted_file(here, cli, ending):
    status, out, err = cli(
        "convert-pickle", "raw.pkl", f"{{modality}}.{ending}", "--reader", "table", "--path", "turns.csv"
    )
    assert (status, err) == (0, "")
    assert "conv-emotion MELD; 3 rows, 3 with an utterance id" in out
    assert f"audio.{ending}: audio, 3 utterances of 3 features" in out
    dialogues = turns(here)
    found = Precomputed(path=f"audio.{ending}").encode(dialogues)
    expected = {turn.id: [float(i)] * 3 for i, turn in enumerate(utterances(dialogues), start=1)}
    assert {key: row.tolist() for key, row in found.items()} == expected


COSMIC = """
import pickle, sys
from dialogue_ser.cli.main import main
import numpy as np
texts = {0: ["Hey."], 1: ["Hey.", "Yeah."], 2: ["Yeah."], 3: ["Hey."], 4: ["Hey.", "Yeah."], 5: ["Yeah."]}
rows = {key: [np.array([key, i], float) for i in range(len(value))] for key, value in texts.items()}
labels = {key: [len(text) for text in value] for key, value in texts.items()}
speakers = {key: [[1, 0]] * len(value) for key, value in texts.items()}
pickle.dump((speakers, labels, labels, rows, rows, rows, rows, texts, {2, 1, 0}, {5}, {4, 3}), open("cosmic.pkl", "wb"))
main(["convert-pickle", "cosmic.pkl", "cosmic.parquet", "--modality", "text1", "--reader", "table", "--path", "c.csv"])
"""


def test_dialogues_in_sets_are_placed_by_their_numbers_whatever_order_sets_have(here):
    splits = ["train", "train", "train", "dev", "dev", "test"]
    texts = [["Hey."], ["Hey.", "Yeah."], ["Yeah."], ["Hey."], ["Hey.", "Yeah."], ["Yeah."]]
    lines = [f"{s},d{d},A,{text},{len(text)}" for d, s in enumerate(splits) for text in texts[d]]
    (here / "c.csv").write_text("\n".join(["split,dialogue,speaker,text,label", *lines]) + "\n")
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", COSMIC], env=environment, check=True, capture_output=True, text=True)
    assert "COSMIC MELD; 8 rows, 8 with an utterance id" in done.stdout
    dialogues = [one for found in read_corpus("table", here / "c.csv").splits.values() for one in found]
    found = Precomputed(path="cosmic.parquet").encode(dialogues)
    expected = {turn.id: [d, i] for d, dialogue in enumerate(dialogues) for i, turn in enumerate(dialogue)}
    assert {key: row.tolist() for key, row in found.items()} == expected


def test_frames_are_written_to_safetensors_only(here, cli):
    ids = [turn.id for turn in utterances(turns(here))]
    save(here / "frames.pkl", {key: np.ones((i + 1, 4), np.float32) for i, key in enumerate(ids)})
    common = ("convert-pickle", "frames.pkl")
    status, _, err = cli(*common, "frames.parquet", "--keys", "utterance")
    assert (status, "write .safetensors" in err) == (2, True)
    assert cli(*common, "frames.safetensors", "--keys", "utterance")[0] == 0
    found = Precomputed(path="frames.safetensors", kind="frames").encode(turns(here))
    assert [len(found[key]) for key in ids] == [1, 2, 3]


def test_rows_that_match_no_utterance_are_an_error_or_left_out(here, cli):
    text = (here / "turns.csv").read_text()
    (here / "turns.csv").write_text(text.replace("Oh my", "Something new"))
    command = (
        "convert-pickle",
        "raw.pkl",
        "a.parquet",
        "--modality",
        "audio",
        "--reader",
        "table",
        "--path",
        "turns.csv",
    )
    status, _, err = cli(*command)
    assert status == 2
    assert "train dialogue 0 row 1 'oh my!': not in" in err
    assert "1 of 3 rows match no utterance; --on-bad mask leaves them out" in err
    assert not (here / "a.parquet").exists()
    status, out, _ = cli(*command, "--on-bad", "mask")
    assert status == 0
    assert "left out: train dialogue 0 row 1" in out
    assert "2 with an utterance id" in out


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_a_malicious_pickle_is_refused_and_nothing_is_written(here, cli):
    save(here / "evil.pkl", {"u": Payload(here / "executed")})
    status, _, err = cli("convert-pickle", "evil.pkl", "out.parquet")
    assert status == 2
    assert "evil.pkl: the pickle asks for posix.system" in err
    assert not (here / "executed").exists()
    assert not (here / "out.parquet").exists()


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["raw.pkl", "out.csv"], "unknown ending '.csv'"),
        (["raw.pkl", "no/where.parquet"], "does not exist; create it"),
        (["nothing.pkl", "out.parquet"], "no such file"),
        (["raw.pkl", "out.parquet"], "the pickle has text, audio; choose one with --modality"),
        (["raw.pkl", "out.parquet", "--modality", "txt"], "did you mean 'text'"),
        (["raw.pkl", "out.parquet", "--reader", "table", "--id-pattern", "{key}"], "leave --id-pattern out"),
        (["raw.pkl", "out.parquet", "--memory-gb", "-1"], "must be at least 0"),
        (["raw.pkl", "out.parquet", "--memory-gb", "1e300"], "at most"),
    ],
)
def test_what_cannot_work_is_a_clear_error(here, cli, tokens, message):
    status, _, err = cli("convert-pickle", *tokens)
    assert status == 2
    assert message in err


@pytest.mark.parametrize("out", ["features.parquet", "{modality}.parquet", "link.parquet"])
def test_the_pickle_is_never_overwritten(here, cli, out):
    save(here / "features.parquet", {"a": [1.0, 2.0]})
    (here / "link.parquet").symlink_to("features.parquet")
    before = (here / "features.parquet").read_bytes()
    status, _, err = cli("convert-pickle", "features.parquet", out)
    assert (status, "is the pickle itself" in err) == (2, True)
    assert (here / "features.parquet").read_bytes() == before


def test_if_one_modality_cannot_be_written_none_is(here, cli):
    audio, text = {0: [[1.0], [2.0]]}, {0: [[1.0], [2.0, 3.0]]}
    save(here / "uneven.pkl", ({0: ["a", "b"]}, audio, text))
    status, _, err = cli("convert-pickle", "uneven.pkl", "{modality}.parquet", "--layout", "ids,audio,text")
    assert (status, "text has rows of different sizes" in err) == (2, True)
    assert not (here / "audio.parquet").exists()
