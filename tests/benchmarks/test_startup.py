import json
from pathlib import Path

import pytest

from benchmarks import startup
from benchmarks.page_tables import startup_tables
from benchmarks.results_files import read_result


def test_a_process_is_timed_by_clock_and_processor_in_its_checkout(tmp_path: Path) -> None:
    (tmp_path / "marked.py").write_text("sum(range(2_000_000))")
    found = startup.timed(["-m", "marked"], tmp_path, tmp_path)
    assert found.keys() == {"wall", "cpu"}
    assert found["cpu"] > 0
    assert found["wall"] > 0


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"-c raise SystemExit\(3\) in .* ended with status 3"):
        startup.timed(["-c", "raise SystemExit(3)"], tmp_path, tmp_path)


def test_processes_use_the_checkout_they_are_given_and_the_environment_they_had(monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("SOMETHING", "kept")
    environment = startup.child_environment(Path("/old"), threads=2)
    assert (environment["PYTHONPATH"], environment["OMP_NUM_THREADS"]) == ("/old", "2")
    assert environment["SOMETHING"] == "kept"


def test_tables_are_drawn_from_a_result(tmp_path: Path) -> None:
    runs = {
        "before": startup.summary([{"wall": 8.0, "cpu": 6.0, "n": 100}, {"wall": 10.0, "cpu": 7.0, "n": 100}]),
        "after": startup.summary([{"wall": 4.0, "cpu": 2.0, "n": 100}]),
    }
    result = {
        "commands": [{"command": "predict", **runs}],
        "encoding": [{"threads": 2, **runs}],
        "machine": {"line": "box", "load_average_before": 0.5, "load_average_after": 1.0},
        "versions": {"torch": "2", "transformers": "5"},
        "revisions": {"before": "aaa", "after": "bbb"},
        "command": "c",
    }
    (tmp_path / "startup.json").write_text(json.dumps(result))
    commands = startup_tables.commands(tmp_path)
    assert "| `predict` | 6.00 (6.50) | 2.00 (2.00) | 8.00 (9.00) | 4.00 (4.00) |" in commands
    assert "least of 1 runs" in commands
    assert "| 2 | 100 | 17 | 50 | 12 | 25 |" in startup_tables.encoding(tmp_path)


def test_the_record_says_which_revisions_were_compared() -> None:
    result = read_result(startup.RESULTS, "startup.json")
    assert result["revisions"].keys() == {"before", "after"}
    assert [row["command"] for row in result["commands"]] == list(startup.COMMANDS)
