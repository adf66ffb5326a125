import json
from pathlib import Path

import pytest

from benchmarks import tables
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.report.readme import RENDERERS


@pytest.mark.parametrize("content", [{"rows": []}, {"ratios": {}, "is_quick": True}])
def test_tables_of_the_recurrence_want_a_full_run_of_this_version(content: object, tmp_path: Path) -> None:
    (tmp_path / "recurrence.json").write_text(json.dumps(content))
    with pytest.raises(DialogueSerError, match="--record"):
        RENDERERS["recurrence-ratios"](tmp_path)


@pytest.mark.parametrize(
    ("value", "goal", "wanted", "met"),
    [(8.1, 8, "≥ 8", "yes"), (7.9, 8, "≥ 8", "no"), (1.2, -1.25, "≤ 1.25", "yes"), (1.3, -1.25, "≤ 1.25", "no"),
     (3.0, 0, "–", "–"), (None, -2, "≤ 2", "–")],
)  # fmt: skip
def test_a_goal_is_met_or_not(value: float | None, goal: float, wanted: str, met: str) -> None:
    row = tables._goal("words", value, goal)
    assert (row["goal"], row["met"]) == (wanted, met)


def test_every_marker_of_the_pages_has_a_renderer_or_a_file() -> None:
    import re

    for page in tables.PAGES:
        for name in re.findall(r"<!-- table:([\w.-]+) -->", (tables.ROOT / page).read_text()):
            assert name in RENDERERS or (tables.RESULTS / f"{name}.json").is_file(), f"{page}: {name}"


def test_a_killed_sweep_is_told_in_sentences_and_one_table(tmp_path: Path) -> None:
    assert "Not measured yet" in RENDERERS["killed-sweep"](tmp_path)
    kills = [{"trials_ended": n, "processes": 3, "seconds_until_they_ended": n / 10} for n in (3, 8)]
    grid = {"points": 6, "ways": [{"way": "2 workers", "seconds": 61.2, "trials_per_minute": 5.9}]}
    result = {"kills": kills, "trials": 30, "grid": grid, "command": "python -m x"}
    (tmp_path / "killed-sweep.json").write_text(json.dumps(result))
    text = RENDERERS["killed-sweep"](tmp_path)
    assert "30 trials was killed 2 times (SIGKILL for a trial and then for the command, after 3, 8 trials)" in text
    assert "gone after at most 0.8 s" in text
    assert "| 2 workers | 61 | 5.9 |" in text
