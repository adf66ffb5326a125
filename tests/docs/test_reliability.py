"""docs/reliability.md names what exists, and its table is the recorded campaign."""

import inspect
import re
import shlex
from pathlib import Path

import pytest

from benchmarks.faults import campaign
from benchmarks.page_tables import fault_tables
from benchmarks.results_files import read_result
from benchmarks.tables import PAGES, RESULTS
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.store.shards import move_to_quarantine

PAGE = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")


def test_every_command_of_the_page_is_one_of_the_campaign() -> None:
    commands = re.findall(r"^ {4}python -m benchmarks\.faults(.*)$", PAGE, re.MULTILINE)
    assert len(commands) == 3
    for line in commands:
        campaign.parse(shlex.split(line, comments=True))


def test_flags_of_the_page_exist(tmp_path: Path) -> None:
    from dialogue_ser.cli.commands.reproduce import reproduce
    from dialogue_ser.cli.run_arguments import parse_train

    flags = set(re.findall(r"`(--[\w.-]+)", PAGE))
    assert {"--allow-mismatch", "--trust_code", "--data.on_bad"} <= flags
    of_reproduce = {f"--{name}" for name in inspect.signature(reproduce).parameters}
    for flag in flags - {"--only"} - of_reproduce:
        value = {"--data.on_bad": ["mask"]}.get(flag, [])
        parse_train(["--preset", "quickstart", flag, *value])
    with pytest.raises(ConfigError, match="unknown flag --nosuch"):
        parse_train(["--preset", "quickstart", "--nosuch", "1"])


def test_broken_files_of_the_store_lie_where_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    move_to_quarantine(tmp_path, ["x"])
    assert [path.parent.name for path in tmp_path.rglob("*-x")] == ["quarantine"]
    assert "`quarantine/`" in PAGE


def test_the_table_of_the_page_is_a_whole_campaign_of_every_family() -> None:
    assert "docs/reliability.md" in PAGES
    result = read_result(RESULTS, "faults.json")
    families = {name: family for name, (family, _) in campaign.FAMILIES.items()}
    assert [row["family"] for row in result["rows"]] == list(families)
    for row in result["rows"]:
        family = families[row["family"]]
        assert row["tries"] == (family.quick if result["is_quick"] else family.full)
        assert row["survived"] + row["failed"] == row["tries"]
    assert result["n_failures"] == sum(row["failed"] for row in result["rows"])
    assert fault_tables.faults(RESULTS).strip() in PAGE


def test_failures_stand_on_the_page_with_the_way_to_repeat_them(tmp_path: Path) -> None:
    result = dict(read_result(RESULTS, "faults.json"))
    result |= {"n_failures": 1, "failures": [{"family": "media", "case": 7, "what": "a | b"}]}
    import json

    (tmp_path / "faults.json").write_text(json.dumps(result))
    table = fault_tables.faults(tmp_path)
    assert "1 try did not survive" in table
    assert "- `--only media --case 7`: a / b" in table
