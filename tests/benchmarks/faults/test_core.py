"""The campaign itself: outcomes, limits, and going on after an interruption. Its faults here are made up."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import campaign
from benchmarks.faults.core import damage, oracle
from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.record import Tried, WorkFolder, failures_of, summary_of, write_result
from benchmarks.faults.core.schedule import run_cases
from benchmarks.faults.trained import TABLE, write_corpus
from dialogue_ser.errors import ConfigError

MADE_UP = """
import os, signal, time
from benchmarks.faults.core.case import Failed, Family, Outcome

def prepare(material):
    (material / "given").write_text("42")

def attack(case):
    assert (case.material / "given").read_text() == "42"
    with open(os.environ["TRIED_FILE"], "a") as file:
        file.write(f"{case.number}\\n")
    if case.number == 1:
        raise Failed("silently wrong")
    case.note(f"number {case.number}")
    if case.number == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    if case.number == 3:
        time.sleep(60)
    if case.number == 4:
        bytearray(3_000_000_000)
    return Outcome("refused", f"drawn {case.rng.integers(1000)}")

FAMILY = Family(name="made-up", fault="f", one_try="t", survives="s", quick=3, full=6, prepare=prepare, attack=attack,
                seconds=2.0, gigabytes=0.5)
"""


def case(folder: Path, number: int = 0, family: str = "made-up", seed: int = 1) -> Case:
    return Case(family, number, seed, folder, folder)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Six cases of a made-up family, in a campaign that is interrupted and goes on."""
    folder = tmp_path_factory.mktemp("campaign")
    (folder / "made_up_faults.py").write_text(MADE_UP)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("TRIED_FILE", str(folder / "tried"))
        import made_up_faults

        families: dict[str, tuple[Family, str]] = {"made-up": (made_up_faults.FAMILY, "made_up_faults")}
        patch.setattr("benchmarks.faults.core.record._revision", lambda: "abc")
        first = run_cases(
            WorkFolder(folder / "w", seed=1, is_quick=True), families, {"made-up": range(2)}, workers=2, warm=False
        )
        with (folder / "w" / "outcomes.jsonl").open("a") as file:
            file.write('{"family": "made-up", "case": 5, "ho')  # a kill while a line is written
        work = WorkFolder(folder / "w", seed=1, is_quick=True)
        outcomes = run_cases(work, families, {"made-up": range(6)}, workers=3, warm=False)
        with pytest.raises(ValueError, match=r"holds another campaign \(seed 1 there, 2 now\)"):
            WorkFolder(folder / "w", seed=2, is_quick=True)
    attacked = sorted(int(line) for line in (folder / "tried").read_text().split())
    return {"first": first, "all": {t.case: t for t in outcomes}, "attacked": attacked, "work": work, "folder": folder}


def test_a_campaign_goes_on_where_it_was(tried: dict) -> None:
    assert len(tried["first"]) == 2
    assert sorted(tried["all"]) == [0, 1, 2, 3, 4, 5]
    assert tried["attacked"] == [0, 1, 2, 3, 4, 5], "no case was tried twice, and the cut line did no harm"
    assert len(tried["work"].known()) == 6


def test_wrong_results_crashes_hanging_and_hunger_for_memory_are_failures(tried: dict) -> None:
    found = tried["all"]
    assert found[0].how == found[5].how == "refused"
    assert (found[1].how, found[1].what) == ("failed", "silently wrong")
    assert found[2].how == found[3].how == "failed"
    assert found[2].what.startswith("number 2: the process ended with status -11")
    assert found[3].what == "number 3: it did not end within 2 s"
    assert found[4].how == "failed"
    assert "MemoryError" in found[4].what


def test_the_result_counts_tries_and_names_failures(tried: dict, tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(tried["folder"]))
    import made_up_faults

    outcomes = list(tried["all"].values())
    rows = summary_of(outcomes, {"made-up": made_up_faults.FAMILY})
    assert (rows[0]["tries"], rows[0]["survived"], rows[0]["refused"], rows[0]["failed"]) == (6, 2, 2, 4)
    assert rows[0]["worst_seconds"] >= 2.0
    write_result(tmp_path / "faults.json", rows, outcomes, tried["work"], "c")
    result = json.loads((tmp_path / "faults.json").read_text())
    assert result["n_failures"] == len(result["failures"]) == 4
    assert {"seed", "versions", "protocol", "command", "revision", "is_quick"} <= result.keys()
    assert [found["case"] for found in failures_of(outcomes)] == [1, 2, 3, 4]


def test_a_case_draws_by_seed_family_and_number_only(tmp_path: Path) -> None:
    drawn = [
        case(tmp_path, *given).rng.integers(1 << 30)
        for given in ((3, "a", 1), (3, "a", 1), (4, "a", 1), (3, "b", 1), (3, "a", 2))
    ]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 4


@pytest.mark.parametrize("make", [damage.flip_bit, damage.flip_header_bit, damage.cut, *damage.BLOCKS])
def test_damage_says_which_bytes_it_may_have_changed(make) -> None:
    content = bytes(range(256)) * 8
    for seed in range(20):
        done = make(content, np.random.default_rng(seed))
        assert done.content[: done.first] == content[: done.first]
        if not done.moves:
            assert len(done.content) == len(content)
            assert done.content[done.last :] == content[done.last :]
        assert make(content, np.random.default_rng(seed)) == done


@pytest.mark.parametrize(
    ("message", "problem"),
    [("", "says nothing"), ("two\nlines", "no clear line"), ("bell \x07", "no clear line"),
     ("x" * 9999, "no clear line")],
)  # fmt: skip
def test_an_error_without_a_clear_sentence_is_a_failure(message: str, problem: str) -> None:
    def fails() -> None:
        raise ConfigError(message)

    with pytest.raises(Failed, match=problem):
        oracle.answer(fails)


@pytest.mark.parametrize(
    ("raised", "said"),
    [(Failed("silently wrong"), "bit 3: silently wrong"),
     (SystemExit(1), r"bit 3: traceback: SystemExit at test_core\.py:\d+: 1")],
)  # fmt: skip
def test_a_failure_names_the_fault_and_the_line_that_raised(raised: BaseException, said: str) -> None:
    with pytest.raises(Failed, match=f"^{said}$"), oracle.failures_name("bit 3"):
        raise raised


def test_a_flood_of_errors_is_a_failure() -> None:
    def fails() -> None:
        raise ConfigError(*(f"row {number}: wrong" for number in range(100)))

    with pytest.raises(Failed, match="100 errors are listed"):
        oracle.answer(fails)


@pytest.mark.parametrize(
    ("printed", "status", "problem"),
    [("Traceback (most recent call last)", 2, "traceback"), ("error: x", 1, "exit status 1"),
     ("oh", 2, "says nothing")],
)  # fmt: skip
def test_a_command_that_ends_badly_is_a_failure(printed: str, status: int, problem: str, monkeypatch) -> None:
    import sys

    def main(tokens: object) -> int:
        print(printed, file=sys.stderr)
        return status

    monkeypatch.setattr("dialogue_ser.cli.main.main", main)
    with pytest.raises(Failed, match=problem):
        oracle.command(["data", "check"])


@pytest.mark.parametrize(
    ("found", "problem"),
    [({"a": [1, 2]}, "b: is missing"), ({"a": [1], "b": 0}, "1 items in place of 2"),
     ({"a": [1, 3], "b": 0}, "a: 1: 3"), ({"a": [1, 2], "b": 0, "c": 1}, "c: should not be there")],
)  # fmt: skip
def test_the_first_difference_is_named(found: object, problem: str) -> None:
    with pytest.raises(Failed, match=problem):
        oracle.require_equal(found, {"a": [1, 2], "b": 0})


@pytest.mark.parametrize(
    ("flags", "message"),
    [(["--only", "flip"], "invalid choice"), (["--case", "3"], "needs one family"),
     (["--cases", "0"], "give 1 or more"), (["--record", "--only", "media"], "whole campaigns only")],
)  # fmt: skip
def test_wrong_flags_of_the_campaign_are_refused_in_one_line(flags: list[str], message: str, capsys) -> None:
    with pytest.raises(SystemExit, match="2"):
        campaign.main(flags)
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_corpus_of_the_runs_has_the_labels_and_values_that_they_need(tmp_path: Path) -> None:
    from dialogue_ser.corpus.readers import read_corpus

    write_corpus(tmp_path)
    corpus = read_corpus("table", tmp_path / TABLE, columns={"targets": ["valence", "arousal"]})
    assert corpus.dimensions == ("valence", "arousal")
    assert {split: len(dialogues) for split, dialogues in corpus.splits.items()} == {"train": 16, "dev": 5, "test": 4}


def test_every_family_has_cases_and_says_when_it_survives() -> None:
    assert list(campaign.FAMILIES) == ["kills", "signals", "flips", "media", "tables", "configs", "stores", "runs"]
    full = {name: family.full for name, (family, _) in campaign.FAMILIES.items()}
    assert full["kills"] == 200
    assert (full["flips"], full["media"], full["tables"], full["configs"]) == (2000, 2000, 500, 200)
    for family, module in campaign.FAMILIES.values():
        assert 0 < family.quick <= family.full
        assert "Survived:" in (__import__(module, fromlist=["FAMILY"]).__doc__ or "")


def test_a_recorded_outcome_is_read_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.faults.core.record._revision", lambda: "abc")
    work = WorkFolder(tmp_path, seed=1, is_quick=False)
    one = Tried("media", 3, "equal", "x → y", 0.5)
    work.add(one)
    assert work.known() == {("media", 3): one}
    assert Outcome("equal", "x").how in ("equal",)
