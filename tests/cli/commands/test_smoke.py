"""Every preset runs at reduced size by the command line, and it begins or scores as tests/numbers.json recorded it."""

import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dialogue_ser.cli.main import main
from dialogue_ser.training.config.presets import load_preset, preset_names

#: Presets that name a protocol are cross-validated, the others trained.
CROSSVAL = [name for name in preset_names() if load_preset(name).data.cut.protocol != "none"]
COST = r"full size: ([\d.]+) M parameters, ([\d.]+) M multiply-adds an utterance, (\d+) MiB"
RECORDED = json.loads((Path(__file__).parents[2] / "numbers.json").read_text(encoding="utf-8"))["presets"]


@dataclass(frozen=True)
class Reduced:
    """What ``--smoke`` made of a preset.

    Args:
        name: of the preset.
        status: of the command.
        text: its standard output.
        err: its standard error.
        scores: the content of scores.json.
        steps: the results of the optimizer steps.
    """

    name: str
    status: int
    text: str
    err: str
    scores: dict[str, Any]
    steps: Sequence[Any]


@pytest.fixture(scope="module")
def _no_data(tmp_path_factory, shared_store):
    """A machine without corpora and without a hub. All presets share one feature store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIALOGUE_SER_CACHE", str(shared_store))
        patch.setenv("DIALOGUE_SER_DATA", str(tmp_path_factory.getbasetemp() / "none"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@contextmanager
def no_pages() -> Iterator[None]:
    """Reports are not written, which would take longer than all the rest."""
    with pytest.MonkeyPatch.context() as patch:
        for writer in ("page.write_report", "crossval_page.write_crossval_report"):
            patch.setattr(f"dialogue_ser.report.{writer}", lambda run: run / "report.html")
        yield


@pytest.fixture(scope="module", params=preset_names())
def reduced(request, _no_data, record_numbers, tmp_path_factory) -> Reduced:
    """One run of a preset, for all claims about it."""
    name, out, err = request.param, io.StringIO(), io.StringIO()
    folder = tmp_path_factory.mktemp("smoke") / "run"
    command = ["crossval" if name in CROSSVAL else "train", "--preset", name, "--smoke", "--out", str(folder)]
    with (
        record_numbers.few_turns(name),
        record_numbers.noting_steps() as steps,
        no_pages(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        status = main(command)
    assert status == 0, err.getvalue()
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return Reduced(name, status, out.getvalue(), err.getvalue(), scores, steps)


def unexpected(err: str) -> list[str]:
    """Return the lines except the expected ones about classes that a split of the small corpus lacks."""
    return [line for line in err.splitlines() if not re.match(r"split (dev|test) has no turn of ", line)]


def test_every_preset_runs_at_reduced_size_and_says_what_a_network_costs_in_full(reduced: Reduced):
    assert (reduced.status, unexpected(reduced.err)) == (0, [])
    costs = re.findall(COST, reduced.text)
    assert len(costs) == (load_preset(reduced.name).crossval.estimator == "none")
    assert all(float(number) > 0 for cost in costs for number in cost)
    test = reduced.scores["pooled"] if reduced.name in CROSSVAL else reduced.scores["splits"]["test"]["scores"]
    assert test["n"] > 0


def test_the_first_step_of_every_preset_or_what_its_estimator_scores_is_what_it_was(reduced: Reduced, record_numbers):
    now = (
        record_numbers.numbers_of_step(reduced.steps[0])
        if reduced.steps
        else record_numbers.numbers_of_scores(reduced.scores, load_preset(reduced.name).task)
    )
    assert record_numbers.is_close(now, RECORDED[reduced.name]), f"{now}, recorded {RECORDED[reduced.name]}"


@pytest.mark.usefixtures("_no_data")
def test_a_smoke_run_without_out_leaves_the_current_folder_alone(cli, tmp_path, monkeypatch, record_numbers):
    monkeypatch.chdir(tmp_path)
    with record_numbers.few_turns("meld-text"):
        status, text, _ = cli("train", "--preset", "meld-textcnn", "--smoke")
    assert status == 0
    assert "smoke-meld-textcnn" in text
    assert not list(tmp_path.iterdir())


def test_smoke_does_not_resume_a_run(cli, run):
    status, _, err = cli("train", "--resume", run, "--smoke")
    assert (status, "leave --resume out" in err) == (2, True)
