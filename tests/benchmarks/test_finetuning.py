"""The benchmark of fine-tuning does what it says at reduced size; no number of it is asserted."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Dialogues of each split.
N_DIALOGUES = {"train": 6, "dev": 3, "test": 3}


def write_few_dialogues(sample: Path, folder: Path) -> Path:
    """Write the first dialogues of the sample in its own layout, without sound."""
    folder.mkdir()
    for split, most in N_DIALOGUES.items():
        with (sample / f"{split}_sent_emo.csv").open(encoding="utf-8", newline="") as file:
            heading, *rows = csv.reader(file)
        names = list(dict.fromkeys(row[heading.index("Dialogue_ID")] for row in rows))[:most]
        with (folder / f"{split}_sent_emo.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([heading, *(row for row in rows if row[heading.index("Dialogue_ID")] in names)])
    return folder


@pytest.fixture
def finetuning(monkeypatch, tmp_path, sample):
    """The benchmark with every preset at reduced size on a few dialogues, its runs made in this process."""
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "cache"))
    from benchmarks import finetuning, training
    from dialogue_ser.training.config import presets
    from dialogue_ser.training.dry_run.smoke import smoke_config

    load, corpus = presets.load_preset, write_few_dialogues(sample, tmp_path / "corpus")

    def load_small(name):
        small = smoke_config(load(name), "dialogues", tmp_path / "nets")
        return replace(small, data=replace(small.data, path=str(corpus), options={"audio": None}))

    monkeypatch.setattr(presets, "load_preset", load_small)

    def train_here(systems, seeds, out, workers):
        for seed in seeds:
            for system in systems:
                training.train_one(system, seed, out)

    monkeypatch.setattr(finetuning, "train_all", train_here)
    return finetuning


def test_it_runs_from_training_to_the_table(finetuning, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(finetuning, "MOST_SEEDS", {"end-to-end": 1})
    monkeypatch.setattr(finetuning, "FOLDS", 2)
    chosen = ["finetuned", "end-to-end", "cross-fitted", "cross-fitted-frozen"]
    out = tmp_path / "runs"
    assert finetuning.main(["--seeds", "2", "--systems", *chosen, "--precision", "no", "--out", str(out)]) == 0
    result = json.loads((out / "finetuning.json").read_text())
    assert [row["key"] for row in result["systems"]] == chosen
    assert [row["seeds"] for row in result["systems"]] == [[1, 2], [1], [1, 2], [1, 2]]
    assert [row["test"]["weighted_f1"]["n"] for row in result["systems"]] == [2, 1, 2, 2]
    assert [row["precision"] for row in result["systems"]] == ["no"] * 4
    assert result["cross_fit"]["folds"] == 2
    assert result["cross_fit"]["minutes"] > 0
    assert "| TextMatching on cross-fitted vectors |" in capsys.readouterr().out
    written = (out / "finetuned.parquet").stat().st_mtime_ns
    assert finetuning.main(["--seeds", "2", "--systems", *chosen, "--precision", "no", "--out", str(out)]) == 0
    assert (out / "finetuned.parquet").stat().st_mtime_ns == written, "what is finished is not done again"


def test_rows_that_are_not_run_again_stay_as_they_were_recorded(finetuning, monkeypatch, tmp_path):
    monkeypatch.setattr(finetuning, "RESULTS", tmp_path)
    for key in ("finetuned", "gru-attention"):
        arguments = [
            "--systems",
            key,
            "--precision",
            "no",
            "--workers",
            "1",
            "--out",
            str(tmp_path / "runs"),
            "--record",
        ]
        assert finetuning.main(arguments) == 0
    rows = json.loads((tmp_path / "finetuning.json").read_text())["systems"]
    assert [row["key"] for row in rows] == ["gru-attention", "finetuned"]  # in the table's order
    assert ["--systems finetuned" in row["command"] for row in rows] == [False, True]


def test_every_row_names_a_preset_and_its_precision(finetuning):
    from dialogue_ser.training.config.presets import preset_names

    rows = finetuning.systems(Path("runs"), "bf16")
    assert {row.preset for row in rows} <= set(preset_names())
    assert [row.key for row in rows if row.overrides.get("training.precision") != "bf16"] == [
        "cross-fitted",
        "cross-fitted-frozen",
    ]
    assert set(finetuning.MOST_SEEDS) <= {row.key for row in rows}
