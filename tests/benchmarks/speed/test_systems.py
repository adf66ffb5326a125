import json
from pathlib import Path

import pytest

from benchmarks.page_tables.speed_tables import epoch_rows
from benchmarks.speed import systems
from dialogue_ser.models import MODELS, resolve_options
from dialogue_ser.report.readme import RENDERERS


def test_every_dialogue_system_is_timed_at_the_same_width():
    alone = {"utterance", "fusion-attention", "late-fusion"}  # they read every turn by itself
    assert set(systems.WIDTHS) == {entry.name for entry in MODELS.entries()} - alone
    for name, options in systems.WIDTHS.items():
        assert set(options.values()) == {systems.WIDTH}
        resolve_options(name, options)


def test_a_system_may_take_twice_the_reference_or_a_third_of_its_published_code():
    assert (systems.goal_of("bigru"), systems.goal_of("dialogue-crn")) == (2.0, 2.0)
    assert systems.goal_of("sdt") == pytest.approx(8.0)


@pytest.mark.usefixtures("meld")
def test_the_table_follows_from_the_measured_seconds(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setattr(systems, "RESULTS", tmp_path)
    monkeypatch.setattr(systems, "FEATURES", {"sound": ("meld-audio", {"audio": 8})})
    monkeypatch.setattr(systems, "WIDTHS", {name: systems.WIDTHS[name] for name in ("emotion-rnn", "bigru")})
    assert systems.main(["--batches", "1", "--repeats", "1", "--systems", "bigru"]) == 0
    assert "bigru" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        systems.main(["--batches", "1", "--record"])
    rows = [{"system": "emotion-rnn", "seconds": 4.0}, {"system": "sdt", "seconds": 36.0}]
    epoch = {
        "features": "text", "n_dialogues": 2, "n_turns": 9, "input_dims": {"text": 5},
        "systems": [{**row, "n_parameters": 7, "goal": systems.goal_of(row["system"])} for row in rows],
    }  # fmt: skip
    result = {
        "reference": "emotion-rnn", "published_times_of_reference": {"sdt": 24.0}, "width": 128, "batch_size": 30,
        "threads": 1, "repeats": 3, "machine": {"platform": "here"}, "versions": {"torch": "2"}, "command": "go",
        "epochs": [epoch],
    }  # fmt: skip
    first, second = epoch_rows(result, epoch)
    assert (first["÷ emotion-rnn"], first["met"], first["published code"]) == ("1.00", "yes", "–")
    assert (second["÷ emotion-rnn"], second["goal"], second["met"], second["published code"]) == (
        "9.00", "≤ 8.0", "no", "24.0",
    )  # fmt: skip
    (tmp_path / "systems-speed.json").write_text(json.dumps(result))
    assert "| sdt | 7 | 36.0 | 9.00 | ≤ 8.0 | no | 24.0 |" in RENDERERS["systems-speed"](tmp_path)
