import json
from pathlib import Path

import pytest

from benchmarks.page_tables import memory_tables
from benchmarks.results_files import read_result
from benchmarks.speed import long_dialogues


def test_a_command_that_fails_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"predict absent new\.csv ended with status 2"):
        long_dialogues.peak_bytes(["predict", "absent", "new.csv"], tmp_path)


def test_the_peak_is_that_of_the_command_and_not_of_the_process_that_starts_it(tmp_path: Path) -> None:
    held = bytearray(b"x") * 400_000_000  # this process is larger than the command
    peak = long_dialogues.peak_bytes(["--version"], tmp_path)
    assert 5e6 < peak < 300e6 < len(held)


def test_all_dialogues_of_a_corpus_have_the_same_turns(tmp_path: Path) -> None:
    long_dialogues.write_corpus(tmp_path, 7)
    rows = [line.split(",", 2) for line in (tmp_path / "turns.csv").read_text().splitlines()[1:]]
    assert [sum(split == name for split, _, _ in rows) for name in ("train", "dev", "test")] == [7, 7, 7]
    said = [[turn for _, dialogue, turn in rows if dialogue == f"d{d}"] for d in range(3)]
    assert said == [said[0]] * 3


def test_the_table_is_drawn_from_a_result(tmp_path: Path) -> None:
    result = {
        "turns": [20, 2000],
        "rows": [{"command": "train", "megabytes": {"20": 700, "2000": 1500}}],
        "versions": {"torch": "2"},
        "command": "c",
    }
    (tmp_path / "long-dialogues.json").write_text(json.dumps(result))
    assert "| train | 700 | 1,500 |" in memory_tables.long_dialogues(tmp_path)


def test_the_recorded_memory_grows_less_than_the_turns_and_attention_adds_less_than_half() -> None:
    result = read_result(long_dialogues.RESULTS, "long-dialogues.json")
    peaks = {row["command"]: row["megabytes"] for row in result["rows"]}
    assert peaks.keys() == long_dialogues.COMMANDS.keys()
    small, large = str(result["turns"][-2]), str(result["turns"][-1])
    assert all(row[large] <= 2.0 * row[small] for row in peaks.values())
    with_attention, without = (peaks[name] for name in list(long_dialogues.COMMANDS)[:2])
    assert all(with_attention[n] <= 1.5 * without[n] for n in without)
