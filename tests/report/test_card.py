from pathlib import Path

import yaml

from dialogue_ser.evaluation.run import evaluate_run
from dialogue_ser.report.card import model_card


def test_the_front_matter_is_yaml_with_the_test_scores(run_dir: Path) -> None:
    scores = evaluate_run(run_dir, n_resamples=100)["splits"]["test"]["scores"]
    _, front, body = model_card(run_dir).split("---\n", 2)
    values = yaml.safe_load(front)
    assert values["library_name"] == "dialogue-ser"
    result = values["model-index"][0]["results"][0]
    assert result["dataset"]["split"] == "test"
    assert {m["type"]: m["value"] for m in result["metrics"]}["weighted_f1"] == round(scores["weighted_f1"], 4)
    assert "tfidf-logistic" in body


def test_the_limits_name_rarely_found_classes_and_masked_turns(run_dir: Path) -> None:
    scores = evaluate_run(run_dir, n_resamples=100)["splits"]["test"]["scores"]
    card = model_card(run_dir)
    weak = [label for label, value in scores["per_class"].items() if value["f1"] < 0.3]
    assert weak
    assert all(f"{label} (F1" in card for label in weak)
    assert "3 turns of all splits had no usable audio" in card


def test_a_card_needs_nothing_but_predictions(run_dir: Path) -> None:
    for name in ("config.yaml", "metrics.jsonl", "environment.json", "attention.safetensors"):
        (run_dir / name).unlink()
    assert "| test |" in model_card(run_dir)
