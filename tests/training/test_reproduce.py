"""A run can be made again from its directory, and everything that differs is listed before and after."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from dialogue_ser.corpus.protocols import FOLDS
from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.runs.checksums import with_checksum, with_checksum_line
from dialogue_ser.runs.same_bits import compare_runs
from dialogue_ser.training.average_runs import average_runs
from dialogue_ser.training.reproduce import read_recorded, reproduce
from dialogue_ser.training.run import train

SMALL = {"training.epochs": 1}


@pytest.fixture
def finished(tiny, tmp_path: Path) -> Path:
    return train(tiny.tiny_config(**SMALL), tmp_path / "run").folder


def again(folder: Path, out: Path, **options: object) -> dict[str, int]:
    """Make a run again; return how many values of each kind differ."""
    reproduce(read_recorded(folder, trust_code=True), out, **options)
    return {part.name: part.different for part in compare_runs(folder, out)}


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
    }


def edit_environment(folder: Path, **values: object) -> None:
    path = folder / "environment.json"
    environment = json.loads(path.read_text()) | values
    del environment["sha256"]
    path.write_text(json.dumps(with_checksum(environment)))


def test_a_run_has_the_same_bits_again_and_its_directory_is_only_read(finished, tmp_path):
    before, said = contents(finished), []
    found = again(finished, tmp_path / "again", announce=said.append)
    assert set(found) == {"steps", "epochs", "summary", "weights", "predictions"}
    assert not any(found.values())
    assert said == [[]]
    assert not any(again(finished, tmp_path / "again", resume=True, announce=said.append).values())
    assert said == [[], []], "a finished repetition is compared once more"
    assert contents(finished) == before


def test_a_resumed_run_and_a_regression_have_the_same_bits_again(tiny, tmp_path):
    two_epochs = {"training.epochs": 2}
    folder = train(tiny.value_config(**two_epochs), tmp_path / "run").folder
    lines = (folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(b"".join(lines[:-1]))
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    shutil.rmtree(newest)
    train(tiny.value_config(**two_epochs), folder, resume=True)
    assert newest.is_dir(), "the second epoch was trained again"
    assert not any(again(folder, tmp_path / "again").values())


def test_each_member_of_an_ensemble_is_compared(tiny, tmp_path):
    folder = train(tiny.tiny_config(**{**SMALL, "training.ensemble": 2}), tmp_path / "run").folder
    found = again(folder, tmp_path / "again")
    assert {"weights", "predictions", "member 1: steps", "member 2: weights"} <= set(found)
    assert not any(found.values())
    shutil.rmtree(tmp_path / "again" / "members" / "2")
    missing = {part.name: part for part in compare_runs(folder, tmp_path / "again")}["member 2: steps"]
    assert missing.different == missing.compared > 0


def test_a_fold_has_the_same_bits_again_and_the_whole_cross_validation_names_it(tiny, tmp_path):
    assert "cross-fit" in FOLDS
    flags = {"training.epochs": 1, "data.cut.protocol": "k-fold-speakers", "data.cut.n_folds": 3}
    out = tmp_path / "cv"
    cross_validate(tiny.tiny_config(**flags), out)
    fold = sorted((out / "folds").iterdir())[1]
    assert not any(again(fold, tmp_path / "again").values())
    with pytest.raises(DialogueSerError, match=r"is a cross-validation; name one of its folds, e\.g\. .*/folds/"):
        read_recorded(out)


def test_differences_are_listed_before_the_training_and_found_after_it(finished, tmp_path, tiny):
    environment = json.loads((finished / "environment.json").read_text())
    edit_environment(finished, packages=environment["packages"] | {"numpy": "0.9"}, cpu="another", git_revision="abc")
    said = []
    assert not any(again(finished, tmp_path / "again", announce=said.extend).values())
    assert [one.partition(":")[0] for one in said] == ["version of numpy", "revision of the code", "processor"]
    config = yaml.safe_load((finished / "config.yaml").read_text())
    config["optimizer"]["learning_rate"] = 0.021
    (finished / "config.yaml").write_text(with_checksum_line(yaml.safe_dump(config)))
    with pytest.raises(ConfigError, match="its settings are not those that the run started with"):
        again(finished, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    found = again(finished, tmp_path / "other", allow_mismatch=True)
    assert found["steps"]
    assert found["weights"]


def test_another_corpus_is_refused_before_anything_is_written(finished, tmp_path):
    edit_environment(finished, corpus_fingerprint="of another corpus")
    with pytest.raises(ConfigError, match=r"the corpus is not that of the run .* --data_path"):
        again(finished, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_number_of_threads_is_the_recorded_one(finished, tmp_path):
    before = torch.get_num_threads()
    try:
        edit_environment(finished, threads=3)
        again(finished, tmp_path / "again")
        assert read_recorded(tmp_path / "again", trust_code=True).threads == 3
        edit_environment(finished, threads=2)
        again(finished, tmp_path / "one", threads=1)
        assert read_recorded(tmp_path / "one", trust_code=True).threads == 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ConfigError, match="--threads: found 0, expected at least 1"):
        again(finished, tmp_path / "none", threads=0)


def test_runs_that_cannot_be_made_again_say_why(finished, tiny, tmp_path):
    recorded = read_recorded(finished, trust_code=True)
    for out in (finished, finished / "inside"):
        with pytest.raises(ConfigError, match="lies in the folder of the run"):
            reproduce(recorded, out)
    two = replace(recorded, environment={**recorded.environment, "n_ranks": 2})
    with pytest.raises(ConfigError, match=r"had 2 processes, and here is 1.*torchrun --nproc_per_node 2"):
        reproduce(two, tmp_path / "again")
    with pytest.raises(ConfigError, match="tiny:read_tiny"):
        read_recorded(finished)
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    average = average_runs([finished, copy], tmp_path / "average", trust_code=True)
    with pytest.raises(DialogueSerError, match=r"is an average of finished runs.*members/1"):
        read_recorded(average, trust_code=True)
    (copy / "model" / "config.json").unlink()
    with pytest.raises(DialogueSerError, match="the predictions or the model of the run are missing or damaged"):
        read_recorded(copy, trust_code=True)
    (copy / "metrics.jsonl").write_text("")
    with pytest.raises(DialogueSerError, match=r"the run is not finished.*--resume"):
        read_recorded(copy, trust_code=True)
    (copy / "config.yaml").unlink()
    with pytest.raises(DialogueSerError, match="is no run directory"):
        read_recorded(copy)
