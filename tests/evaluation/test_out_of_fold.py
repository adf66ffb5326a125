import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.corpus.cut import make_folds
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.evaluation import out_of_fold as module
from dialogue_ser.evaluation.out_of_fold import cross_fit, utterance_features
from dialogue_ser.features.files.precomputed import Precomputed
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import with_checksum
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.run import Run

TRAINING = Path(__file__).parents[1] / "training"


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.syspath_prepend(str(TRAINING))
    import tiny

    return tiny


def config_of(tiny, tiny_text_model) -> RunConfig:
    return tiny.tiny_config(
        **{
            "features": {"text": {"encoder": "transformer", "options": {"model": str(tiny_text_model)}}},
            "model": {"name": "utterance", "options": {}},
            "training.epochs": 1,
            "training.ema_decay": 0.0,
        }
    )


@pytest.fixture
def config(tiny, tiny_text_model) -> RunConfig:
    return config_of(tiny, tiny_text_model)


@pytest.fixture(scope="module")
def fitted(tiny_text_model, tmp_path_factory) -> Path:
    """A folder with vectors.parquet of two folds, made once; copy it before you change it."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TRAINING))
        patch.setenv("DIALOGUE_SER_CACHE", str(folder / "cache"))
        import tiny

        cross_fit(config_of(tiny, tiny_text_model), folder / "vectors.parquet", n_folds=2, progress=False)
    return folder


@pytest.fixture
def copied(fitted, tmp_path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(fitted, tmp_path / "copied"))


def read(file: Path, dialogues) -> dict[str, np.ndarray]:
    return dict(Precomputed(path=str(file), modality="text").encode(dialogues))


def test_every_utterance_gets_the_vector_of_the_right_model_and_precomputed_reads_it(tiny, config, copied):
    made = (copied / "vectors.parquet").read_bytes()
    found = cross_fit(config, copied / "vectors.parquet", n_folds=2, progress=False)
    assert found.file.read_bytes() == made
    corpus = tiny.read_tiny()
    everything = [dialogue for some in corpus.splits.values() for dialogue in some]
    rows = read(found.file, everything)
    assert set(rows) == {turn.id for turn in utterances(everything) if turn.text is not None}
    assert (found.n_rows, found.dim) == (len(rows), 8)
    folds = make_folds("cross-fit", corpus.split("train"), config.seed, 2)
    fold_of = {turn: fold.name for fold in folds for turn in fold.test}
    work = copied / "vectors.folds"
    models = {name: Run.load(work / name, trust_code=True).classifier() for name in ("fold-0", "fold-1", "all")}
    for dialogue in (*corpus.split("train")[:4], corpus.split("dev")[0], corpus.split("test")[0]):
        own = fold_of.get(dialogue.utterances[0].id, "all")
        given = {name: utterance_features(model, [dialogue], "vectors") for name, model in models.items()}
        for key, row in given[own].items():
            np.testing.assert_allclose(rows[key], row, atol=1e-5)
        for other in set(models) - {own}:
            assert not all(np.allclose(rows[key], row, atol=1e-5) for key, row in given[other].items())
    manifest = json.loads(found.manifest.read_text())
    assert [part["name"] for part in manifest["parts"]] == ["fold-0", "fold-1", "all"]
    assert manifest["sha256"] == module.file_sha256(found.file)
    assert manifest["config"]["features"]["text"]["encoder"] == "transformer"


def test_log_probabilities_can_be_had_too_and_nothing_is_trained_again(tiny, config, copied, monkeypatch):
    work = copied / "vectors.folds"
    before = {path: path.read_bytes() for path in work.rglob("model.safetensors")}
    assert len(before) == 3
    first = cross_fit(config, copied / "v.safetensors", n_folds=2, work=work, progress=False)
    both = cross_fit(config, copied / "both.parquet", n_folds=2, content="both", work=work, progress=False)
    assert {path: path.read_bytes() for path in before} == before
    assert both.dim == first.dim + len(tiny.LABELS)
    dev = tiny.read_tiny().split("dev")
    vectors, wide = read(first.file, dev), read(both.file, dev)
    for key, row in wide.items():
        np.testing.assert_allclose(row[: first.dim], vectors[key], atol=1e-6)
        np.testing.assert_allclose(np.exp(row[first.dim :]).sum(), 1.0, atol=1e-5)
    monkeypatch.setattr(module, "utterance_features", lambda *_: pytest.fail("what is encoded is encoded again"))
    again = cross_fit(config, copied / "again.parquet", n_folds=2, content="both", work=work, progress=False)
    assert again.file.read_bytes() == both.file.read_bytes()


def test_the_model_of_a_fold_that_somebody_changed_cannot_bring_code_into_the_work(tiny, tmp_path, monkeypatch):
    config = tiny.tiny_config(**{"training.epochs": 1})
    (tmp_path / "hostile.py").write_text("from pathlib import Path\nPath('imported').touch()\n")
    monkeypatch.chdir(tmp_path)
    cross_fit(config, tmp_path / "v.parquet", n_folds=2, content="log-probs", progress=False)
    model = tmp_path / "v.folds" / "fold-1" / "model" / "config.json"
    model.write_text(model.read_text().replace("tiny:letters", "hostile:letters"))
    values = json.loads(model.read_text())
    model.write_text(json.dumps(with_checksum(values)))
    (tmp_path / "v.folds" / "fold-1" / "rows.json").unlink()
    with pytest.raises(CheckpointError, match=r"features\.text\.encoder: 'hostile:letters' is code"):
        cross_fit(config, tmp_path / "v.parquet", n_folds=2, content="log-probs", progress=False)
    assert not (tmp_path / "imported").exists()


KILLED = """
from pathlib import Path
import tiny
from dialogue_ser.evaluation.out_of_fold import cross_fit
from dialogue_ser.training.config.files import load_config
tiny.signal_at(4, "KILL")
cross_fit(load_config(Path({config!r}), trust_code=True), Path({out!r}), n_folds=2, progress=False)
"""


def test_a_killed_fold_is_resumed_to_the_same_bytes(config, tmp_path, warm_process):
    from dialogue_ser.training.config.files import dump_config
    from dialogue_ser.training.config.overrides import apply_overrides

    config = apply_overrides(config, {"training.epochs": 2, "training.checkpoint_every_steps": 1})
    whole = cross_fit(config, tmp_path / "whole" / "v.parquet", n_folds=2, progress=False)
    (tmp_path / "config.yaml").write_text(dump_config(config))
    out = tmp_path / "killed" / "v.parquet"
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(config=str(tmp_path / "config.yaml"), out=str(out)))
    done = warm_process.run([script], [TRAINING])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not out.exists()
    assert (out.parent / "v.folds" / "fold-0" / "checkpoints").is_dir()
    again = cross_fit(config, out, n_folds=2, progress=False)
    assert again.file.read_bytes() == whole.file.read_bytes()


def test_what_does_not_fit_is_refused_before_anything_is_trained(config, tmp_path):
    with pytest.raises(ConfigError, match=r"1 fold\(s\)(.|\n)*must end in .parquet or .safetensors(.|\n)*'logits'"):
        cross_fit(config, tmp_path / "x.csv", n_folds=1, content="logits")
    several = replace(config, training=replace(config.training, ensemble=3))
    with pytest.raises(
        ConfigError, match="3 members have a vector each, but only one can be stored; use --content log-probs"
    ):
        cross_fit(several, tmp_path / "x.parquet", n_folds=2)
    assert list(tmp_path.iterdir()) == []


def test_runs_under_other_settings_are_not_taken_for_its_own(config, copied):
    from dialogue_ser.training.config.overrides import apply_overrides

    other = apply_overrides(config, {"optimizer.learning_rate": 0.5})
    with pytest.raises(ConfigError, match=r"optimizer.learning_rate: the run has 0.02, now 0.5"):
        cross_fit(other, copied / "vectors.parquet", n_folds=2, progress=False)


def test_a_regressions_models_say_values_and_no_log_probabilities(config, tmp_path):
    rated = apply_overrides(config, {"task": "regression", "data.targets": ["valence"]})
    with pytest.raises(ConfigError, match="content 'log-probs' of a regression is none of vectors, values, both"):
        cross_fit(rated, tmp_path / "f.parquet", content="log-probs")
    with pytest.raises(ConfigError, match="content 'values' of a classification is none of vectors, log-probs, both"):
        cross_fit(config, tmp_path / "f.parquet", content="values")
    assert not list(tmp_path.iterdir())


def test_values_of_a_regression_are_features_in_the_units_of_the_annotation(tiny):
    task = Regression(("valence", "arousal"), centres=(3.0, 100.0), scales=(1.0, 20.0))
    corpus = tiny.read_tiny()
    pipeline = FeaturePipeline.build("text", "minilm", {}).fit(corpus.split("train"))
    system = build_model("utterance", {}, {"text": pipeline.spec}, task.n_scores, task).eval()
    classifier = DialogueClassifier(system, task, {"text": pipeline})
    dialogue = corpus.split("dev")[0]
    table = classifier.predict([dialogue]).set_index("utterance_id")[["predicted_valence", "predicted_arousal"]]
    rows = utterance_features(classifier, [dialogue], "values")
    assert rows
    for key, row in rows.items():
        np.testing.assert_allclose(row, table.loc[key].to_numpy(), rtol=1e-5)
    [wide] = {len(row) for row in utterance_features(classifier, [dialogue], "both").values()}
    assert wide > 2
