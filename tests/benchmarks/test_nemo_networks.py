"""The benchmark of networks on nEMO does what it says at reduced size; the one number asserted is of text alone."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import nemo_networks
from benchmarks.nemo import TARGETS
from benchmarks.page_tables import encoder_tables
from dialogue_ser.cli.main import main
from dialogue_ser.report.readme import RENDERERS
from dialogue_ser.training.config.presets import preset_names


def test_every_preset_of_a_network_on_nemo_is_a_row_and_its_folders_are_apart():
    networks = {name for name in preset_names() if name.startswith("nemo-")} - set(TARGETS)
    assert {row.preset for row in nemo_networks.ROWS if not row.is_text} == networks
    assert len({row.key for row in nemo_networks.ROWS}) == len(nemo_networks.ROWS)


@pytest.fixture
def _commands_run_here(monkeypatch):
    """The command lines of rows are run in this process, which has imported all they need."""

    def run(command, **_):
        assert command[:3] == [sys.executable, "-m", "dialogue_ser.cli.main"]
        assert main(command[3:]) == 0

    monkeypatch.setattr(nemo_networks, "subprocess", SimpleNamespace(run=run, STDOUT=subprocess.STDOUT))


@pytest.mark.usefixtures("_commands_run_here")
def test_rows_run_once_and_stand_beside_the_better_svm_of_their_kind(tmp_path, write_nemo, monkeypatch, capsys):
    corpus = write_nemo(tmp_path / "nemo", n_each=1)
    small = {"data.path": str(corpus), "training.epochs": "1", "features.audio.options.units": "4"}
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nemo_networks, "RESULTS", tmp_path)
    rows = [nemo_networks.Row(key=row.key, what=row.what, preset=row.preset, flags={**small, **row.flags})
            for row in nemo_networks.ROWS[:2]]  # fmt: skip
    monkeypatch.setattr(nemo_networks, "ROWS", tuple(rows))
    floors = [{"uses_unlabelled_test_recordings": kind, "pooled": {"ua": ua}}
              for kind, ua in ((False, 0.1), (False, 0.3), (True, 0.5))]  # fmt: skip
    (tmp_path / "nemo.json").write_text(json.dumps({"rows": floors}))
    arguments = ["--workers", "1", "--precision", "no", "--out", str(tmp_path / "out"), "--record"]
    assert nemo_networks.main(arguments) == 0
    result = json.loads((tmp_path / "nemo-networks.json").read_text())
    assert [row["uses_unlabelled_test_recordings"] for row in result["rows"]] == [False, True]
    assert [len(row["folds"]) for row in result["rows"]] == [4, 4]
    assert encoder_tables.best_floors({"rows": floors}) == {False: 0.3, True: 0.5}
    gaps = [f"{row['pooled']['ua'] - floor:+.3f}" for row, floor in zip(result["rows"], (0.3, 0.5), strict=True)]
    table = RENDERERS["nemo-networks"](tmp_path)
    assert all(f"| {gap} |" in table for gap in gaps)
    assert table in capsys.readouterr().out
    written = (tmp_path / "out" / rows[0].key / "scores.json").stat().st_mtime_ns
    assert nemo_networks.main(arguments) == 0
    assert (tmp_path / "out" / rows[0].key / "scores.json").stat().st_mtime_ns == written


def test_a_text_that_tells_emotions_apart_is_refused():
    row = next(row for row in nemo_networks.ROWS if row.is_text)
    with pytest.raises(ValueError, match=r"text: pooled UA 0\.210 of text alone is above 0\.2"):
        nemo_networks.entry(row, {"pooled": {"uar": 0.21}})


def test_nemos_sentences_alone_tell_nothing(nemo: Path, tmp_path):
    """Sentences are shared by all emotions; a system that reads them and knows more has seen the labels."""
    row = next(row for row in nemo_networks.ROWS if row.is_text)
    flags = [f"--{name}={value}" for name, value in row.flags.items()]
    command = ["crossval", "--preset", row.preset, *flags, f"--data.path={nemo}", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert (scores["pooled"]["n"], list(scores["config"]["features"])) == (1057, ["text"])
    assert scores["pooled"]["uar"] <= nemo_networks.TEXT_LIMIT
