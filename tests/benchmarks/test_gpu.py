import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.gpu import run
from benchmarks.gpu.parts import MOST_SECONDS, PARTS, Part
from benchmarks.gpu.process import run_limited
from benchmarks.gpu.record import LOG, RECORD, read_record

ROOT = Path(__file__).parents[2]
WRITES = "import json, sys; open(sys.argv[1], 'w').write(json.dumps({'headline': 'all well'})); print('said')"
HANGS = "import sys, time\ndef stands_here():\n    time.sleep(600)\nprint('begun', flush=True)\nstands_here()"
FAILS = "raise RuntimeError('no such kernel')"


def part(name: str, code: str, *, seconds: float = 60, needs_cuda: str | None = None) -> Part:
    """A part that runs a line of Python, which gets the file for its result."""
    return Part(
        name=name,
        what="made up",
        arguments=lambda device, is_quick, result: ["-c", code, str(result)],
        seconds=seconds,
        needs_cuda=needs_cuda,
    )


def rows(folder: Path) -> dict[str, dict]:
    return {row["name"]: row for row in read_record(folder / RECORD) if row["kind"] == "part"}


def test_a_part_that_hangs_is_stopped_and_the_next_one_runs(tmp_path: Path, capsys) -> None:
    parts = [part("hangs", HANGS, seconds=2.0), part("writes", WRITES)]
    assert run.main(["--out", str(tmp_path)], parts) == 1
    found = rows(tmp_path)
    assert found["hangs"]["status"] == "timed out"
    assert found["hangs"]["seconds"] < 20
    assert "in stands_here" in found["hangs"]["tail"], "the record tells where it stood"
    assert (found["writes"]["status"], found["writes"]["headline"]) == ("ok", "all well")
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[-3:-1]] == [
        ["hangs", "timed"], ["writes", "ok"]
    ]  # fmt: skip


def test_a_failed_part_gives_its_error_and_the_exit_status(tmp_path: Path, capsys) -> None:
    assert run.main(["--out", str(tmp_path)], [part("fails", FAILS), part("writes", WRITES)]) == 1
    found = rows(tmp_path)
    assert "RuntimeError: no such kernel" in found["fails"]["tail"]
    assert "RuntimeError: no such kernel" in capsys.readouterr().out
    assert found["writes"]["status"] == "ok"
    assert read_record(tmp_path / RECORD)[-1]["counts"] == {"ok": 1, "skipped": 0, "failed": 1, "timed out": 0}


def test_all_well_is_exit_status_0(tmp_path: Path) -> None:
    assert run.main(["--out", str(tmp_path)], [part("writes", WRITES)]) == 0
    assert "said" in (tmp_path / LOG).read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([RECORD, LOG])


def test_a_part_without_a_result_has_failed(tmp_path: Path) -> None:
    assert run.main(["--out", str(tmp_path)], [part("silent", "pass")]) == 1
    assert rows(tmp_path)["silent"]["why"] == "it left no result"


def test_what_needs_a_gpu_is_not_called_ok_on_a_cpu(tmp_path: Path) -> None:
    parts = [part("kernels", WRITES, needs_cuda="an interpreter ran")]
    assert run.main(["--device", "cpu", "--out", str(tmp_path)], parts) == 0
    found = rows(tmp_path)["kernels"]
    assert (found["status"], found["why"]) == ("skipped", "needs CUDA: an interpreter ran")
    assert run.main(["--device", "cuda", "--out", str(tmp_path)], parts) == 0
    assert rows(tmp_path)["kernels"]["status"] == "ok"


def test_a_result_written_before_the_limit_is_kept(tmp_path: Path) -> None:
    assert run.main(["--out", str(tmp_path)], [part("cut", f"{WRITES}\n{HANGS}", seconds=3.0)]) == 1
    found = rows(tmp_path)["cut"]
    assert (found["status"], found["result"]) == ("timed out", {"headline": "all well"})


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_finished_parts_outlive_a_run_that_is_killed(how: signal.Signals, tmp_path: Path) -> None:
    script = f"""
from benchmarks.gpu import run
from tests_of_gpu import part
raise SystemExit(run.main(["--out", {str(tmp_path)!r}], [part("writes", {WRITES!r}), part("hangs", {HANGS!r})]))
"""
    loader = tmp_path / "tests_of_gpu.py"
    loader.symlink_to(__file__)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"writes")
        _wait_for(lambda: b"begun" in (tmp_path / LOG).read_bytes())
        process.send_signal(how)
    record = read_record(tmp_path / RECORD)
    assert [row["name"] for row in record if row["kind"] == "part"] == ["writes"]
    if how == signal.SIGTERM:
        assert process.returncode == 128 + how
        assert record[-1]["not_begun_or_interrupted"] == ["hangs"]


def _wait_for(is_so) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it did not come"


def test_what_a_stopped_child_started_ends_with_it(tmp_path: Path) -> None:
    grandchild = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    ended = run_limited([sys.executable, "-c", child], seconds=3.0, log=tmp_path / "log", cwd=tmp_path, environment={})
    assert ended.status is None
    pid = int(ended.tail.split()[0])
    _wait_for(lambda: not _is_alive(pid))


def _is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_line_cut_in_the_middle_does_not_spoil_the_record(tmp_path: Path) -> None:
    path = tmp_path / RECORD
    path.write_text(json.dumps({"kind": "run"}) + "\n" + '{"kind": "pa')
    assert read_record(path) == [{"kind": "run"}]


def test_the_limits_together_are_eight_minutes_at_most() -> None:
    assert sum(own.seconds for own in PARTS) <= MOST_SECONDS
    assert len({own.name for own in PARTS}) == len(PARTS)


@pytest.mark.parametrize("own", PARTS, ids=lambda own: own.name)
def test_every_part_names_a_module_that_exists(own: Part, tmp_path: Path) -> None:
    arguments = own.arguments("cpu", True, tmp_path / "result.json")
    assert arguments[0] == "-m"
    assert (ROOT / arguments[1].replace(".", "/")).with_suffix(".py").is_file()
    assert {"cpu", "--quick", str(tmp_path / "result.json")} <= set(arguments)


def test_only_named_parts_run_and_a_wrong_name_is_refused(tmp_path: Path, capsys) -> None:
    parts = [part("one", FAILS), part("two", WRITES)]
    assert run.main(["--out", str(tmp_path), "--parts", "two"], parts) == 0
    assert list(rows(tmp_path)) == ["two"]
    with pytest.raises(SystemExit):
        run.main(["--parts", "three"], parts)
    assert "three" in capsys.readouterr().err


def test_a_try_does_not_land_among_the_recorded_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OUT", raising=False)
    assert run.parse([], PARTS).out == run.RESULTS
    assert run.parse(["--device", "cpu"], PARTS).out == run.TRIED
    monkeypatch.setenv("OUT", "/elsewhere")
    assert run.parse([], PARTS).out == Path("/elsewhere")
