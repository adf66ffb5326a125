import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import soundfile

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.features.audio.frames import AcousticFrames
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.augmented import add_variants

# Writes every text that it encodes to a file. HANG_AT makes it wait, so that the test can kill it.
RECORDER = r"""
import os, threading
from pathlib import Path

def lengths(texts):
    with Path("encoded.txt").open("a") as file:
        file.writelines(f"{text}\n" for text in texts)
    if "HANG_AT" in os.environ and len(Path("encoded.txt").read_text().splitlines()) >= int(os.environ["HANG_AT"]):
        print("hanging", flush=True)
        threading.Event().wait()
    return [[float(len(text)), 1.0] for text in texts]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with an encoder and a corpus of 40 different texts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recorder.py").write_text(RECORDER)
    turns = [f"train,d{i // 4},{'AB'[i % 2]},{'x' * i}y{i},calm" for i in range(40)]
    (tmp_path / "turns.csv").write_text("\n".join(["split,dialogue,speaker,text,label", *turns]) + "\n")
    return tmp_path


COMMAND = ["features", "encode", "--encoder", "recorder:lengths", "--reader", "table", "--path", "turns.csv"]


def test_encoding_continues_after_a_kill_and_only_the_last_chunk_is_encoded_twice(here, cli):
    process = subprocess.Popen(
        [sys.executable, "-m", "dialogue_ser.cli.main", *COMMAND, "--chunk", "8"],
        env={**os.environ, "HANG_AT": "20", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "hanging\n"
    process.kill()
    process.communicate()
    before = (here / "encoded.txt").read_text().splitlines()
    (entry,) = FeatureStore().entries()
    assert (len(before), entry.n_utterances) == (24, 16)
    status, out, err = cli(*COMMAND, "--chunk", "8")
    assert (status, err) == (0, "")
    assert "40 utterances; 24 encoded now" in out
    n_times = Counter((here / "encoded.txt").read_text().splitlines())
    assert {text for text, times in n_times.items() if times > 1} == set(before[16:])
    assert len(n_times) == 40
    assert FeatureStore().verify() == ()
    status, out, _ = cli(*COMMAND)
    assert "40 utterances; 0 encoded now" in out


def test_workers_give_the_same_store(here, cli):
    status, out, err = cli(*COMMAND, "--workers", 2, "--store", here / "two")
    assert (status, err) == (0, "")
    assert "40 encoded" in out
    (entry,) = FeatureStore(here / "two").entries()
    assert entry.n_utterances == 40
    cli(*COMMAND, "--store", here / "one")
    assert [e.digest for e in FeatureStore(here / "one").entries()] == [entry.digest]


def test_a_run_file_names_corpus_and_encoders(here, cli):
    (here / "run.yaml").write_text(
        json.dumps(
            {
                "data": {"reader": "table", "path": "turns.csv"},
                "features": {"text": {"encoder": "recorder:lengths"}, "words": {"encoder": "textcnn"}},
            }
        )
    )
    status, out, err = cli("features", "encode", "--config", "run.yaml")
    assert (status, out) == (2, "")
    assert "run.yaml: features.text.encoder: 'recorder:lengths' is code" in err
    status, out, err = cli("features", "encode", "--config", "run.yaml", "--trust_code")
    assert (status, err) == (0, "")
    assert "text: recorder:lengths" in out
    assert "words: textcnn is trained with the model" in out
    status, out, _ = cli(*COMMAND)
    assert "0 encoded" in out, "the run and the encoder's name share one entry"


def test_augmented_copies_of_a_runs_training_turns_are_encoded_too(here, cli):
    rng = np.random.default_rng(0)
    rows = [f"{split},{split}{i},A,{split}{i}.wav,calm" for split in ("train", "dev") for i in range(2)]
    for row in rows:
        soundfile.write(row.split(",")[3], 0.1 * rng.standard_normal(4000), 16000)
    (here / "clips.csv").write_text("\n".join(["split,dialogue,speaker,audio,label", *rows]) + "\n")
    augment = {"copies": 2, "noise_snr_db": [5, 30]}
    config = {
        "data": {"reader": "table", "path": "clips.csv"},
        "features": {"audio": {"encoder": "mfcc39", "augment": augment}},
    }
    (here / "run.yaml").write_text(json.dumps(config))
    assert "8 utterances; 8 encoded" in cli("features", "encode", "--config", "run.yaml")[1]
    assert "2 utterances; 0 encoded" in cli("features", "encode", "--config", "run.yaml", "--splits", "dev")[1]
    run = apply_overrides(RunConfig(), config)
    pipelines = {"audio": FeaturePipeline.build("audio", "mfcc39")}
    dialogues = read_corpus("table", "clips.csv").split("train")
    pipelines["audio"].fit(dialogues, FeatureStore())
    tables = {"audio": pipelines["audio"].table(dialogues, FeatureStore())}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AcousticFrames, "encode", lambda self, dialogues: pytest.fail("encoded again"))
        found = add_variants(run, pipelines, tables, dialogues, FeatureStore())
    assert len(found["audio"].rows) == 6


def test_another_reader_than_that_of_the_file_uses_its_own_defaults(here, cli):
    """It does not get the path and the labels that the file sets for its own reader."""
    config = {
        "data": {"reader": "table", "path": "turns.csv", "labels": "mood"},
        "features": {"text": {"encoder": "recorder:lengths"}},
    }
    (here / "run.yaml").write_text(json.dumps(config))
    tokens = ("features", "encode", "--config", "run.yaml", "--trust_code", "--reader")
    assert cli(*tokens, "sample", "--splits", "dev")[0] == 0
    assert cli(*tokens, "table")[0] == 0


def test_only_the_given_splits_are_encoded(here, cli):
    (here / "turns.csv").write_text("split,dialogue,speaker,text,label\ntrain,a,A,one,calm\ndev,b,B,two,calm\n")
    status, out, _ = cli(*COMMAND, "--splits", "dev, dev")
    assert (status, "1 utterances; 1 encoded" in out) == (0, True)
    assert "have no features" not in out
    assert (here / "encoded.txt").read_text() == "two\n"


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--reader", "sample"], "give exactly one of --encoder, --preset and --config; found none"),
        (["--encoder", "minilm", "--preset", "quickstart"], "found --encoder and --preset"),
        (["--encoder", "minlm"], "did you mean 'minilm'"),
        (["--encoder", "opensmile", "--reader", "sample", "--splits", "trian"], "did you mean 'train'"),
        (["--encoder", "opensmile", "--workers", "-2"], "must be at least 0"),
        (["--encoder", "opensmile", "--chunk", "0"], "must be at least 1"),
        (["--encoder", "opensmile", "--address", "auto"], "need --engine ray"),
        (["--preset", "quickstart", "--modality", "text"], "need --encoder"),
        (["--encoder", "textcnn"], "is trained with the model, so it has no features to store"),
        (["--encoder", "opensmile", "--reader", "sample", "--store", ""], "found '' as its folder"),
        (["--encoder", "opensmile", "--encoder_options", "[1]"], "found '[1]', expected a mapping such as {a: 1}"),
    ],
)
def test_flags_that_cannot_work_are_an_error_before_anything_is_encoded(cli, tokens, message):
    status, _, err = cli("features", "encode", *tokens)
    assert status == 2
    assert message in err
