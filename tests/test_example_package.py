"""tests/example_package, installed: each of its encoders is found, trained with, saved, loaded and predicted with."""

import csv
import importlib
import json
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from dialogue_ser.cli.main import main
from dialogue_ser.encoders import build_input, find_trained
from dialogue_ser.errors import CheckpointError, ConfigError, FeatureError, TrainingError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.features.registry import ENCODERS as NAMED
from dialogue_ser.features.registry import build_encoder, list_encoders, register_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import with_checksum
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.training.config.run_config import (
    DataConfig,
    FeatureConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)
from dialogue_ser.training.run import Run, train

PACKAGE = Path(__file__).with_name("example_package")
MODULES = ("example_encoders", "example_encoders.frozen", "example_encoders.trained", "example_encoders.decorated")
ON_LETTERS = {"frames": "example-letters"}
#: encoder → its options: by entry point, by decorator, by plain name; frozen and trained.
ENCODERS = {
    "example-punctuation": {"marks": "!?."},
    "example-echo": {},
    "example-letters": {},
    "example-decorated": {},
    "example_encoders.frozen:punctuation": {},
    "example_encoders.frozen:Echo": {"marks": "!"},
    "example-strongest": {**ON_LETTERS, "out_dim": 12},
    "example-words": {"min_count": 1, "out_dim": 4},
    "example-decorated-trained": {"frames": "example-punctuation"},
    "example_encoders.trained:Strongest": {"frames": "example_encoders.frozen:Letters"},
}


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package as pip would leave it: its files in a folder on the path, its entry points beside them."""
    site = tmp_path / "site"
    shutil.copytree(PACKAGE / "example_encoders", site / "example_encoders")
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    metadata = site / "example_encoders-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{n} = {t}\n" for n, t in points.items()) for group, points in groups.items()]
    (metadata / "entry_points.txt").write_text("".join(lines))
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(NAMED.registered, clear=True):
        yield site
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Sixteen dialogues in which anger shouts."""
    path = tmp_path / "turns.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "dialogue", "speaker", "text", "label"])
        for number in range(16):
            split = "train" if number < 8 else "dev" if number < 12 else "test"
            for turn in range(3):
                shouts = (number + turn) % 2 == 0
                writer.writerow([split, f"d{number}", "Ann", "no!" if shouts else "yes", "anger" if shouts else "calm"])
    return path


def run_with(encoder: str, options: dict, table: Path, out: Path) -> Run:
    config = RunConfig(
        data=DataConfig(reader="table", path=str(table)),
        features={"text": FeatureConfig(encoder=encoder, options=options)},
        model=ModelConfig(name="bigru", options={"hidden_dim": 4, "dropout": 0.0}),
        optimizer=OptimizerConfig(learning_rate=0.1),
        training=TrainingConfig(epochs=16, batch_size=4, device="cpu"),
    )
    return train(config, out, progress=False)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_each_way_trains_saves_loads_and_predicts(encoder, table, tmp_path):
    importlib.import_module("example_encoders.decorated")
    run_with(encoder, ENCODERS[encoder], table, tmp_path / "run")
    predictions = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    wanted = predictions[predictions["split"] == "test"]
    assert (wanted["predicted"] == wanted["gold"]).all(), "the marks give the label away"
    needs_trust = ":" in encoder
    if needs_trust:
        with pytest.raises(CheckpointError, match=r"(?s)encoder: .* is code.*trust_code=True"):
            DialogueClassifier.from_pretrained(tmp_path / "run" / "model")
    classifier = DialogueClassifier.from_pretrained(tmp_path / "run" / "model", trust_code=needs_trust)
    for _, dialogue in wanted.groupby("dialogue_id"):
        found = classifier.predict_proba(list(zip(dialogue["speaker"], dialogue["text"], strict=True)))
        np.testing.assert_allclose(found, dialogue[["p_anger", "p_calm"]].to_numpy(), atol=1e-5)


def test_installed_encoders_are_listed_without_being_imported_and_suggested(capsys):
    names = {info.name for info in list_encoders() if info.origin == "entry point"}
    assert {"example-punctuation", "example-strongest"} <= names
    assert "example_encoders" not in sys.modules
    assert main(["encoders"]) == 0
    assert "example-words" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="did you mean 'example-letters'"):
        build_encoder("example-leters", "text")


def test_a_model_folder_never_imports_a_trained_encoder_by_itself(table, tmp_path):
    """Also where only the shapes of the inputs name it."""
    run_with("example-words", ENCODERS["example-words"], table, tmp_path / "run")
    path = tmp_path / "run" / "model" / "config.json"
    config = json.loads(path.read_text())
    config["inputs"]["text"]["encoder"] = "hostile:Encoder"
    path.write_text(json.dumps(with_checksum(config)))
    (tmp_path / "hostile.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    with pytest.raises(CheckpointError, match=r"inputs\.text\.encoder: 'hostile:Encoder' is code"):
        DialogueClassifier.from_pretrained(tmp_path / "run" / "model")
    assert not (tmp_path / "executed").exists()


def test_a_changed_fingerprint_is_refused_when_the_model_is_loaded(site, table, tmp_path):
    run_with("example-echo", {}, table, tmp_path / "run")
    source = site / "example_encoders" / "frozen.py"
    source.write_text(source.read_text().replace('weights="1.0"', 'weights="2.0"'))
    for name in MODULES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    message = r"'example-echo' is not the one the model was trained with: weights was '1\.0' and is '2\.0'; install"
    with pytest.raises(FeatureError, match=message):
        DialogueClassifier.from_pretrained(tmp_path / "run" / "model")


def test_a_fingerprint_that_changes_between_fit_and_use_is_refused(table, tmp_path):
    from dialogue_ser.corpus.readers.table import read_table

    corpus, store = read_table(table, "emotion"), FeatureStore(tmp_path / "store")
    pipeline = FeaturePipeline.build("text", "example-echo").fit(corpus.split("train"), store)
    pipeline.table(corpus.split("dev"), store)
    pipeline._extractor.inner.weights = "2.0"
    with pytest.raises(FeatureError, match=r"weights was '1\.0' and is '2\.0'"):
        pipeline.table(corpus.split("dev"), store)
    with pytest.raises(FeatureError, match=r"weights was '1\.0' and is '2\.0'"):
        pipeline.state()


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        (lambda n: np.zeros((n, 2, 2)), r"returned an array of shape \(2, 2, 2\); return one row per utterance"),
        (lambda n: np.zeros((n - 1, 2)), r"got 2 utterances and returned an array of shape \(1, 2\)"),
        (lambda n: np.full((n, 2), np.nan), r"'bad', train/\S+: has 2 of 2 values that are NaN or infinite"),
        (lambda n: np.full((n, 2), -np.inf), r"'bad', train/\S+: has 2 of 2 values that are NaN or infinite"),
    ],
    ids=["three axes", "one row too few", "NaN", "infinite"],
)
def test_bad_output_of_a_frozen_encoder_ends_the_run_before_training(table, tmp_path, rows, complaint):
    register_encoder("bad", modality="text")(lambda texts: rows(len(texts)))  # two texts are different
    with pytest.raises(FeatureError, match=complaint):
        run_with("bad", {}, table, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def _trained(**parts):
    """A trained encoder with some of its parts replaced."""
    importlib.import_module("example_encoders.trained")
    base = sys.modules["example_encoders.trained"].WordSum
    return type("Broken", (base,), parts)


@pytest.mark.parametrize(
    ("encode", "complaint"),
    [
        (
            lambda self, ids, *_: self.words(ids),
            r"gave an array of shape \(\d+, \d, 8\); it must give one vec",
        ),
        (lambda self, ids, *_: self.words(ids).sum(1)[:, :3], r"gave an array of shape \((\d+), 3\).*: \(\1, 8\)"),
    ],
)
def test_a_trained_encoder_that_gives_the_wrong_shape_is_named(table, tmp_path, encode, complaint):
    register_encoder("broken")(_trained(encode_rows=encode))
    with pytest.raises(FeatureError, match="trained encoder .*Broken: encode_rows was given .*" + complaint):
        run_with("broken", {"min_count": 1}, table, tmp_path / "run")


def test_a_trained_encoder_that_gives_nan_stops_the_run_and_names_the_turns(table, tmp_path):
    register_encoder("nan")(_trained(encode_rows=lambda self, ids, *_: self.words(ids).sum(1) / 0 * 0))
    with pytest.raises(TrainingError, match=r"step 1: the loss is not finite \(outputs are not finite: train/d"):
        run_with("nan", {"min_count": 1}, table, tmp_path / "run")


def test_a_trained_encoder_that_lacks_parts_is_told_all_of_them():
    from dialogue_ser.encoders import TrainedEncoder

    register_encoder("bare")(type("Bare", (TrainedEncoder,), {}))
    with pytest.raises(ConfigError, match=r"no Config(.|\n)*front_end.*words(.|\n)*no encode_rows"):
        find_trained("bare")
    register_encoder("sizeless")(_trained(__init__=lambda self, config, dim: TrainedEncoder.__init__(self)))
    with pytest.raises(ConfigError, match="'sizeless': sets no out_dim"):
        build_input(InputSpec(kind="tokens", dim=5, encoder="sizeless"))


def test_options_of_trained_encoders_are_checked_and_suggested(table, tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'out_dim'"):
        FeaturePipeline.build("text", "example-words", {"outdim": 3})
    with pytest.raises(ConfigError, match="reads frames; name a frozen encoder"):
        FeaturePipeline.build("text", "example-strongest")
    with pytest.raises(ConfigError, match="'example-words' is trained with the model"):
        FeaturePipeline.build("text", "example-strongest", {"frames": "example-words"})


def test_the_librarys_own_names_cannot_be_taken():
    with pytest.raises(ConfigError, match="is taken"):
        register_encoder("hf-audio")
