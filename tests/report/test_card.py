from pathlib import Path

import pandas as pd
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


HOSTILE = ["<script>alert(1)</script>", "![x](http://h/y.png)", "a | b\n# c"]


def test_words_of_the_corpus_have_no_meaning_in_markdown_or_html(run_dir: Path) -> None:
    """Labels, split names, corpus, modalities and the name of the run; the front matter keeps their values."""
    path = run_dir / "predictions.parquet"
    frame = pd.read_parquet(path)
    labels = sorted(name.removeprefix("p_") for name in frame.columns if name.startswith("p_"))
    new = dict(zip(labels, [*HOSTILE, *labels[len(HOSTILE) :]], strict=True))
    frame = frame.rename(columns={f"p_{old}": f"p_{name}" for old, name in new.items()})
    for column in ("gold", "predicted"):
        frame[column] = frame[column].map(new)
    frame.to_parquet(path)
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    config["name"] = config["data"]["reader"] = HOSTILE[0]
    config["features"][HOSTILE[1]] = {"encoder": HOSTILE[0]}
    (run_dir / "config.yaml").write_text(yaml.safe_dump(config))
    evaluate_run(run_dir, floors=(), n_resamples=20)
    card = model_card(run_dir)
    assert "<" not in card.replace("<!--", "")
    _, front, body = card.split("---\n", 2)
    assert "&lt;script&gt;" in body
    assert "![x]" not in body
    assert "\n# c" not in card
    values = yaml.safe_load(front)
    assert (values["datasets"], values["model-index"][0]["name"]) == ([HOSTILE[0]], HOSTILE[0])
    assert HOSTILE[1] in values["tags"]
