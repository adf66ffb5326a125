"""docs/wandb.md names what exists: flags, names of the history, the file of a sweep, and the recorded table."""

import re
from pathlib import Path

import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from benchmarks.results_files import read_result
from benchmarks.tables import PAGES, RESULTS
from benchmarks.wandb_faults.__main__ import FILE, KINDS, render
from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.training.record.mirror import process
from dialogue_ser.training.record.mirror.content import history_of
from dialogue_ser.training.record.mirror.messages import ORPHAN_SECONDS

PAGE = (Path(__file__).parents[2] / "docs" / "wandb.md").read_text(encoding="utf-8")


def test_flags_of_the_page_exist() -> None:
    flags = set(re.findall(r"`(--wandb\.\w+)", PAGE))
    assert {"--wandb.mode", "--wandb.texts", "--wandb.model", "--wandb.tags", "--wandb.job_type"} <= flags
    values = {"--wandb.mode": "offline", "--wandb.texts": "true", "--wandb.model": "false", "--wandb.tags": "[a]"}
    parse_train(["--preset", "quickstart", *(part for flag in flags for part in (flag, values.get(flag, "x")))])


def test_names_of_the_history_are_those_that_are_logged() -> None:
    step = {"kind": "step", "epoch": 1, "step": 1, "loss": 1.0, "grad_norm": 1.0, "learning_rate": 1.0}
    epoch = {
        "kind": "epoch", "epoch": 1, "step": 1, "seconds": 1.0, "train_loss": 1.0, "dev_loss": 1.0,
        "dev": {"weighted_f1": 0.5},
    }  # fmt: skip
    logged = history_of(step) | history_of(epoch)
    for name in ("train/loss", "train/grad_norm", "train/learning_rate", "dev/loss", "dev/weighted_f1",
                 "epoch/train_loss", "epoch/seconds", "step", "epoch"):  # fmt: skip
        assert name in logged
        assert f"`{name}`" in PAGE


def test_the_sweep_of_the_page_can_be_trained() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    sweep = yaml.safe_load(text)
    drawn = {"optimizer.learning_rate": 1e-04, "model": {"options": {"dropout": 0.3}}}
    assert drawn.keys() == sweep["parameters"].keys()
    words = [word for word in sweep["command"] if not word.startswith("${")]
    assert words[:2] == ["dialogue-ser", "train"]
    tokens = create_sweep_command_args({"args": {name: {"value": value} for name, value in drawn.items()}})["args"]
    config = parse_train([*words[2:], *tokens]).config
    assert (config.optimizer.learning_rate, config.model.options["dropout"]) == (1e-04, 0.3)


def test_the_table_of_the_page_is_recorded_and_has_every_kind() -> None:
    assert "docs/wandb.md" in PAGES
    result = read_result(RESULTS, FILE)
    assert [row["kind"] for row in result["rows"]] == list(KINDS)
    assert all(row["same_metrics"] and not row["processes_left"] for row in result["rows"])
    assert render(result).strip() in PAGE


def test_seconds_of_the_page_are_those_of_the_code() -> None:
    assert process.GRACE_SECONDS < 10
    assert process.MOST_SECONDS == {"online": 300.0, "offline": 60.0}
    assert max(ORPHAN_SECONDS, process.MOST_STOP_SECONDS) == 15
