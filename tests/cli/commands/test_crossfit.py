import json

import pytest

from dialogue_ser.cli.commands.crossfit import crossfit


def test_features_are_written_and_the_output_says_how_to_use_them(tiny_text_model, sample, tmp_path, capsys):
    out = tmp_path / "v.parquet"
    config = tmp_path / "c.yaml"
    config.write_text(
        json.dumps(
            {
                "data": {"reader": "sample"},
                "features": {"text": {"encoder": "transformer", "options": {"model": str(tiny_text_model)}}},
                "model": {"name": "utterance"},
                "training": {"epochs": 1, "device": "cpu"},
            }
        )
    )
    status = crossfit(["--config", str(config), "--folds=2", "--out", str(out), "--work", str(tmp_path / "w")])
    said = capsys.readouterr().out
    assert status == 0
    assert f"features: {out}" in said
    assert "--features.text.encoder precomputed" in said
    assert json.loads((tmp_path / "v.manifest.json").read_text())["n_folds"] == 2
    assert sorted(path.name for path in (tmp_path / "w").iterdir()) == [".lock", "all", "fold-0", "fold-1"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--preset", "quickstart"], "--out FILE is missing"),
        (["--preset", "quickstart", "--out", "f.parquet", "--folds", "x"], "--folds: found 'x'"),
        (["--preset", "quickstart", "--out"], "--out: a value is missing"),
        (["--resume", "runs/x", "--out", "f.parquet", "--preset", "quickstart"], "not needed|no run to resume|resume"),
    ],
)
def test_flags_that_do_not_fit_are_refused(flags, complaint):
    with pytest.raises(ValueError, match=complaint):
        crossfit(flags)


def test_help_names_its_flags(capsys):
    assert crossfit(["--help"]) == 0
    assert "--folds" in capsys.readouterr().out
