import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from sklearn.metrics import f1_score

from dialogue_ser.errors import ConfigError, DialogueSerError, MissingDataError
from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.evaluation.selection import PeekWarning
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.report.card import model_card


def test_scores_json_holds_every_labelled_split_as_returned(run_dir: Path) -> None:
    result = evaluate_run(run_dir, n_resamples=200)
    assert json.loads((run_dir / "scores.json").read_text()) == result
    assert list(result["splits"]) == ["train", "dev", "test"]
    frame = pd.read_parquet(run_dir / "predictions.parquet")
    test = frame[(frame["split"] == "test") & frame["gold"].notna()]
    expected = f1_score(test["gold"], test["predicted"], average="weighted")
    value = result["splits"]["test"]
    assert value["scores"]["weighted_f1"] == pytest.approx(expected)
    assert value["counts"]["labelled"] == len(test) == value["counts"]["turns"] - 1
    headline = value["intervals"]["weighted_f1"]
    assert headline["low"] < headline["estimate"] < headline["high"]
    assert result["masked"] == {"audio": 3}
    assert result["protocol"] == "dev"


def test_floors_stand_beside_dev_and_test_but_not_train(run_dir: Path) -> None:
    result = evaluate_run(run_dir, n_resamples=200)
    assert result["splits"]["train"]["floors"] == {}
    floors = result["splits"]["test"]["floors"]
    assert list(floors) == ["majority", "tfidf-logistic"]
    lead = floors["majority"]["difference"]
    own = result["splits"]["test"]["scores"]["weighted_f1"]
    assert lead["estimate"] == pytest.approx(own - floors["majority"]["weighted_f1"])
    assert lead["low"] > 0


def test_micro_f1_without_the_classes_that_the_configuration_leaves_out(run_dir: Path) -> None:
    path = run_dir / "config.yaml"
    config = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**config, "data": {**config["data"], "leave_out": ["neutral"]}}))
    result = evaluate_run(run_dir, floors=(), n_resamples=50)
    assert result["leave_out"] == ["neutral"]
    frame = pd.read_parquet(run_dir / "predictions.parquet")
    test = frame[(frame["split"] == "test") & frame["gold"].notna()]
    kept = sorted(set(result["labels"]) - {"neutral"})
    expected = f1_score(test["gold"], test["predicted"], average="micro", labels=kept)
    assert result["splits"]["test"]["scores"]["micro_f1"] == pytest.approx(expected)
    interval = result["splits"]["test"]["intervals"]["micro_f1"]
    assert interval["estimate"] == pytest.approx(expected)
    assert interval["low"] < expected < interval["high"]
    path.write_text(yaml.safe_dump({**config, "data": {**config["data"], "leave_out": ["neutrl"]}}))
    with pytest.raises(ConfigError, match=r"data\.leave_out: unknown label 'neutrl'; did you mean 'neutral'"):
        evaluate_run(run_dir, floors=(), n_resamples=50)


def test_only_the_splits_asked_for_are_scored(run_dir: Path) -> None:
    assert list(evaluate_run(run_dir, splits=["test"], floors=(), n_resamples=50)["splits"]) == ["test"]


def test_evaluating_twice_writes_the_same_bytes(run_dir: Path) -> None:
    evaluate_run(run_dir, n_resamples=100)
    first = (run_dir / "scores.json").read_bytes()
    evaluate_run(run_dir, n_resamples=100)
    assert (run_dir / "scores.json").read_bytes() == first


def test_a_run_without_transcripts_keeps_its_scores_and_says_which_floor_is_missing(run_dir: Path) -> None:
    path = run_dir / "predictions.parquet"
    pd.read_parquet(path).assign(text=None).to_parquet(path)
    result = evaluate_run(run_dir, n_resamples=50)
    assert list(result["splits"]["test"]["floors"]) == ["majority"]
    assert "needs transcripts" in result["notes"][-1]


def test_an_unlabelled_test_split_is_left_out_and_refused_when_asked_for(run_dir: Path) -> None:
    path = run_dir / "predictions.parquet"
    frame = pd.read_parquet(path)
    frame["gold"] = frame["gold"].astype(object).where(frame["split"] != "test", None)
    frame.to_parquet(path)
    assert list(evaluate_run(run_dir, floors=(), n_resamples=50)["splits"]) == ["train", "dev"]
    with pytest.raises(DialogueSerError, match="no gold label"):
        evaluate_run(run_dir, splits=["test"])


def test_a_checkpoint_that_was_not_best_on_dev_is_refused_and_nothing_written(run_dir: Path) -> None:
    path = run_dir / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[-1]["best_epoch"] = 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DialogueSerError, match="not chosen on dev"):
        evaluate_run(run_dir)
    assert not (run_dir / "scores.json").exists()


def test_a_run_that_keeps_its_last_epoch_chose_none_and_is_evaluated(run_dir: Path) -> None:
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    config["training"]["keep"] = "last"
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    path = run_dir / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    dev = {line["epoch"]: line["dev"]["weighted_f1"] for line in lines if line["kind"] == "epoch"}
    lines[-1]["best_epoch"] = min(dev, key=lambda epoch: dev[epoch])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert set(evaluate_run(run_dir, floors=(), n_resamples=20)["splits"]) == {"train", "dev", "test"}
    assert "no split chose it" in model_card(run_dir)


def test_a_run_that_chose_on_test_is_named_legacy_test_peek_with_a_warning(
    tmp_path: Path, write_run: Callable[..., Path]
) -> None:
    run = write_run(tmp_path / "peek", dev="test")
    with pytest.warns(PeekWarning, match="too high"):
        result = evaluate_run(run, floors=(), n_resamples=50)
    assert result["protocol"] == "legacy-test-peek"


def test_unknown_splits_and_floors_are_named_with_the_nearest_one(run_dir: Path) -> None:
    with pytest.raises(DialogueSerError, match="did you mean 'test'"):
        evaluate_run(run_dir, splits=["tests"])
    with pytest.raises(ConfigError, match="did you mean 'majority'"):
        evaluate_run(run_dir, floors=["majorty"])


def test_a_folder_without_predictions_is_refused(run_dir: Path) -> None:
    (run_dir / "predictions.parquet").unlink()
    with pytest.raises(MissingDataError, match=r"predictions\.parquet"):
        evaluate_run(run_dir)


def test_predictions_alone_are_enough(run_dir: Path) -> None:
    for name in ("config.yaml", "metrics.jsonl", "environment.json", "attention.safetensors"):
        (run_dir / name).unlink()
    assert evaluate_run(run_dir, n_resamples=50)["run"] == "demo"


def test_the_configs_own_split_names_are_used(run_dir: Path) -> None:
    frame = pd.read_parquet(run_dir / "predictions.parquet").replace({"split": {"train": "fold1", "dev": "fold2"}})
    frame.to_parquet(run_dir / "predictions.parquet")
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    config["data"] |= {"train": "fold1", "dev": "fold2"}
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    result = evaluate_run(run_dir, n_resamples=50)
    assert not [note for note in result["notes"] if note.startswith("floor")]
    assert result["splits"]["fold1"]["floors"] == {}
    assert set(result["splits"]["fold2"]["floors"]) == {"majority", "tfidf-logistic"}


def test_a_split_that_lacks_a_class_has_its_note(run_dir: Path) -> None:
    frame = pd.read_parquet(run_dir / "predictions.parquet")
    result = evaluate_run(run_dir, floors=(), n_resamples=50)
    present = {split: set(turns["gold"].dropna()) for split, turns in frame.groupby("split")}
    lacking = {split: set(result["labels"]) - labels for split, labels in present.items()}
    assert {split for split, absent in lacking.items() if absent} == {"dev"}
    [note] = result["notes"]
    uar, n = result["splits"]["dev"]["scores"]["uar"], len(result["labels"])
    assert note.startswith("split dev has no turn of disgust: ")
    assert f"(UA {uar:.3f}; {uar * n / (n - 1):.3f} over the classes that occur" in note


def test_a_regression_is_scored_per_dimension_with_its_own_floors(value_run_dir: Path) -> None:
    result = evaluate_run(value_run_dir, n_resamples=200)
    assert json.loads((value_run_dir / "scores.json").read_text()) == result
    assert (result["task"], result["dimensions"]) == ("regression", ["valence", "arousal"])
    assert "labels" not in result
    assert result["notes"] == []
    frame = pd.read_parquet(value_run_dir / "predictions.parquet")
    test = frame[frame["split"] == "test"]
    value = result["splits"]["test"]
    for name in result["dimensions"]:
        gold, said = test[f"gold_{name}"], test[f"predicted_{name}"]
        own = value["scores"]["per_dimension"][name]
        assert own["n"] == gold.notna().sum() < len(test)
        assert own["mae"] == pytest.approx((gold - said).abs().mean())
        assert own["pearson_r"] == pytest.approx(gold.corr(said))
    assert value["counts"]["labelled"] == test[["gold_valence", "gold_arousal"]].notna().any(axis=1).sum()
    headline = value["intervals"]["ccc"]
    assert headline["low"] < headline["estimate"] < headline["high"]
    floors = value["floors"]
    assert list(floors) == ["mean", "tfidf-ridge"]
    assert (floors["mean"]["ccc"], floors["mean"]["pearson_r"]) == (0.0, 0.0)
    assert floors["tfidf-ridge"]["ccc"] > 0.1  # words tell the emotion, and that its values
    lead = floors["tfidf-ridge"]["difference"]
    assert lead["estimate"] == pytest.approx(value["scores"]["ccc"] - floors["tfidf-ridge"]["ccc"])
    assert lead["low"] > 0
    assert result["splits"]["train"]["floors"] == {}


def test_a_floor_of_the_other_kind_of_task_is_refused(run_dir: Path, value_run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="unknown floor 'majority'"):
        evaluate_run(value_run_dir, floors=["majority"])
    with pytest.raises(ConfigError, match="unknown floor 'tfidf-ridge'"):
        evaluate_run(run_dir, floors=["tfidf-ridge"])


def test_a_checkpoint_of_a_regression_is_held_to_the_lowest_error_where_that_chose(value_run_dir: Path) -> None:
    path, config_path = value_run_dir / "metrics.jsonl", value_run_dir / "config.yaml"
    config = yaml.safe_load(config_path.read_text())
    config["training"]["select"] = "mae"
    config_path.write_text(yaml.safe_dump(config))
    assert evaluate_run(value_run_dir, floors=(), n_resamples=20)["protocol"] == "dev"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    worst = max((line for line in lines if line["kind"] == "epoch"), key=lambda line: line["dev"]["mae"])
    lines[-1]["best_epoch"] = worst["epoch"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DialogueSerError, match=rf"its checkpoint is epoch {worst['epoch']} with dev mae"):
        evaluate_run(value_run_dir)


OWN = """
from pathlib import Path

Path("imported").touch()


def misses(gold, predicted):
    return float((gold != predicted).sum())
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module that writes a file when it is imported."""
    (tmp_path / "traced_metrics.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "traced_metrics", raising=False)
    return tmp_path


def _name_metrics(run_dir: Path, *names: str) -> None:
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    (run_dir / "config.yaml").write_text(yaml.safe_dump({**config, "metrics": list(names)}))


def test_a_metric_that_is_asked_for_is_scored_with_an_interval(run_dir: Path, own: Path) -> None:
    result = evaluate_run(run_dir, floors=(), n_resamples=20, metrics=["traced_metrics:misses"])
    frame = pd.read_parquet(run_dir / "predictions.parquet")
    for name, split in result["splits"].items():
        turns = frame[(frame["split"] == name) & frame["gold"].notna()]
        assert split["scores"]["misses"] == (turns["gold"] != turns["predicted"]).sum()
        assert split["intervals"]["misses"]["low"] < split["scores"]["misses"] < split["intervals"]["misses"]["high"]


def test_code_that_config_yaml_names_is_refused_before_an_import_and_named(run_dir: Path, own: Path) -> None:
    _name_metrics(run_dir, "uar", "traced_metrics:misses", "nowhere:one")
    with pytest.raises(ConfigError) as refused:
        evaluate_run(run_dir, floors=(), n_resamples=20)
    module, config = own / "traced_metrics.py", run_dir / "config.yaml"
    assert refused.value.problems == (
        f"{config}: metrics[1]: 'traced_metrics:misses' is code ({module}), and a file may not run code",
        f"{config}: metrics[2]: 'nowhere:one' is code, and a file may not run code",
        "add --trust_code if you trust this code, or name the metrics to compute: "
        "--metrics uar,traced_metrics:misses,nowhere:one",
    )
    assert not (own / "imported").exists()


@pytest.mark.parametrize("trust", [{"trust_code": True}, {"metrics": ["traced_metrics:misses"]}])
def test_code_that_config_yaml_names_is_run_if_it_is_trusted_or_asked_for(run_dir: Path, own: Path, trust) -> None:
    _name_metrics(run_dir, "traced_metrics:misses")
    result = evaluate_run(run_dir, floors=(), n_resamples=20, **trust)
    assert "misses" in result["splits"]["test"]["scores"]
    assert (own / "imported").exists()


def test_metrics_that_config_yaml_names_by_name_are_scored_where_they_are_known(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METRICS, "registered", {})
    METRICS.register("misses")(lambda gold, predicted: float((gold != predicted).sum()))
    _name_metrics(run_dir, "misses", "defined_in_a_script")
    result = evaluate_run(run_dir, floors=(), n_resamples=20)
    assert result["splits"]["test"]["scores"]["misses"] > 0
    (note,) = (note for note in result["notes"] if note.startswith("metric"))
    assert note.startswith("metric defined_in_a_script left out: it is not known here")


def test_a_metric_that_cannot_be_had_is_refused_where_it_is_asked_for(run_dir: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'weighted_f1'"):
        evaluate_run(run_dir, metrics=["weightedf1"])
    with pytest.raises(ConfigError, match="is one of regression, but the task is classification"):
        evaluate_run(run_dir, metrics=["ccc"])
    assert not (run_dir / "scores.json").exists()


def test_a_metric_that_is_not_defined_is_noted(run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "undefined_metric.py").write_text("def never(gold, predicted):\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = evaluate_run(run_dir, floors=(), n_resamples=20, metrics=["undefined_metric:never"])
    assert result["splits"]["test"]["scores"]["never"] is None
    assert any(note.startswith("metric never is not defined on train, dev, test") for note in result["notes"])
