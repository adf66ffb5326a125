"""Several processes learn what one process learns, and end together."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.run import train

HERE = Path(__file__).parents[1]
SEVERAL = HERE.parent / "support" / "several.py"
RANKS = runpy.run_path(str(HERE / "ranks.py"))
EVERY_CASE = [*RANKS["CASES"], *RANKS["VALUE_CASES"]]


@pytest.fixture(scope="module")
def outcomes(warm_process, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same steps and runs with whole batches, with accumulated batches, and in two processes."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {"DIALOGUE_SER_CACHE": str(folder / "cache")}
    for name, launcher, sizes in (("one", [], (8, 1)), ("ranks", [SEVERAL], (8, 1))):
        done = warm_process.run([*launcher, HERE / "ranks.py", folder / name, *sizes], [HERE], environment)
        assert done.returncode == 0, done.stderr
        assert '"statuses": [0, 0]' in done.stdout or not launcher, done.stderr
    RANKS["learn"](folder / "accumulated", 4, 2)
    return folder


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("other", ["accumulated", "ranks"])
def test_accumulated_batches_and_ranks_give_the_gradient_of_the_whole_batch(outcomes, other):
    one, several = load_file(outcomes / "one"), load_file(outcomes / other)
    assert int(load_file(outcomes / "ranks")["n_ranks"]) == 2
    for name in one.keys() - {"n_ranks"}:
        assert one[name].dtype == torch.float64
        torch.testing.assert_close(one[name], several[name], rtol=0, atol=1e-10, msg=name)


@pytest.mark.parametrize("case", EVERY_CASE)
def test_two_processes_have_the_losses_of_one_with_every_loss_and_option(outcomes, case):
    of_one, of_two = (lines(outcomes / f"{name}.runs" / case) for name in ("one", "ranks"))
    assert [row["kind"] for row in of_one] == [row["kind"] for row in of_two]
    assert len(of_one) > 4
    for one, two in zip(of_one, of_two, strict=True):
        for key in {"loss", "grad_norm", "train_loss", "dev_loss"} & one.keys():
            assert one[key] == pytest.approx(two[key], abs=2e-5), (case, key)
        for name, value in one.get("auxiliary", {}).items():
            assert value == pytest.approx(two["auxiliary"][name], abs=2e-5), (case, name)
        for split, scores in one.get("scores", {}).items():
            assert scores == pytest.approx(two["scores"][split], abs=1e-5), (case, split)
    environment = json.loads((outcomes / "ranks.runs" / case / "environment.json").read_text())
    assert environment["n_ranks"] == 2


def contents(folder: Path) -> tuple[list[dict], bytes]:
    taken = ("seconds", "peak_memory_bytes")
    return [{key: value for key, value in row.items() if key not in taken} for row in lines(folder)], (
        folder / "model" / "model.safetensors"
    ).read_bytes()


def test_a_killed_process_ends_the_others_and_the_run_resumes_with_the_same_bits(
    script: Callable, tmp_path: Path, tiny
) -> None:
    settings = ["--set", "training.checkpoint_every_steps=2"]

    def several(out: Path, *arguments: object, only: tuple[int, str] | None = None) -> tuple[dict, str]:
        flags = [] if only is None else ["--only", *only]
        done = script(SEVERAL, *flags, HERE / "tiny.py", out, *arguments, *settings)
        return json.loads(done.stdout.splitlines()[-1]), done.stderr

    assert several(tmp_path / "whole")[0]["statuses"] == [0, 0]
    for rank in (0, 1):
        out = tmp_path / f"killed{rank}"
        ended, said = several(out, only=(rank, "--kill-at 7"))
        assert ended["statuses"][rank] == -9
        assert ended["statuses"][1 - rank] not in (0, -14), said
        assert ended["seconds"] < 30
        assert f"process {1 - rank} of 2: another process of this run has ended" in said
    assert several(tmp_path / "killed0", "--resume")[0]["statuses"] == [0, 0]
    assert contents(tmp_path / "killed0") == contents(tmp_path / "whole")
    config = tiny.tiny_config(**{"training.checkpoint_every_steps": 2})
    with pytest.raises(ConfigError, match="number of processes: the run has 2, now 1"):
        train(config, tmp_path / "killed1", resume=True)
    assert train(config, tmp_path / "killed1", resume=True, allow_mismatch=True).best_epoch
