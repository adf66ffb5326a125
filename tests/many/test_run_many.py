"""Many jobs: finished ones are not repeated, failed ones stop nobody, and a killed call is continued."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.many.engines import Processes
from dialogue_ser.many.jobs import Job, record_path
from dialogue_ser.many.run_many import failures, run_many

SCRIPT = Path(__file__).with_name("slow_jobs.py")


def counts_of(folder: Path) -> dict[str, list[int]]:
    return {
        file.name: [int(line.split()[0]) for line in file.read_text().splitlines()] for file in folder.glob("*.txt")
    }


def start(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), "2"], stderr=subprocess.PIPE, text=True)


def wait_for(condition, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_finished_job_is_not_repeated_unless_its_settings_or_its_results_are_gone(tmp_path):
    import slow_jobs

    jobs = slow_jobs.counting(tmp_path, 2, seconds=0)
    first = run_many(jobs, tmp_path)
    assert [one.value for one in first.values()] == [{"sum": 66}] * 2
    for job in jobs:
        Path(job.payload["file"]).unlink()
    again = run_many(jobs, tmp_path)
    assert [one.value for one in again.values()] == [{"sum": 66}] * 2
    assert counts_of(tmp_path) == {}
    changed = Job(key="count/0", target=jobs[0].target, payload=jobs[0].payload, fingerprint="b")
    lost = Job(
        key="count/1", target=jobs[1].target, payload=jobs[1].payload, fingerprint="a", is_complete=lambda: False
    )
    run_many([changed, lost], tmp_path)
    assert set(counts_of(tmp_path)) == {"0.txt", "1.txt"}


@pytest.mark.parametrize("damage", ["", "{", "[1]", '{"key": "count/0", "status": "finished"}', '{"key": "other"}'])
def test_a_damaged_record_counts_as_none(tmp_path, damage):
    import slow_jobs

    job = slow_jobs.counting(tmp_path, 1, seconds=0)[0]
    path = record_path(tmp_path, job.key)
    path.parent.mkdir()
    path.write_text(damage)
    assert run_many([job], tmp_path)["count/0"].value == {"sum": 66}
    assert json.loads(path.read_text())["status"] == "finished"


def test_a_job_that_fails_stops_nobody_and_is_named_with_its_reason(tmp_path):
    import slow_jobs

    kinds = ("user", "bug", "killed", "exit")
    bad = [Job(key=kind, target="slow_jobs:fail", payload={"kind": kind}, fingerprint="a") for kind in kinds]
    jobs = [*bad, Job(key="absent", target="slow_jobs:nothing", payload={}, fingerprint="a")]
    outcomes = run_many([*jobs, *slow_jobs.counting(tmp_path, 1, seconds=0)], tmp_path, Processes(3))
    reasons = failures(outcomes)
    assert set(reasons) == {*kinds, "absent"}
    assert reasons["user"] == "file.yaml row 3: too bad\nfile.yaml row 4: worse"
    assert "ZeroDivisionError: by nothing" in reasons["bug"]
    assert "ended by signal 9" in reasons["killed"]
    assert [key for key, one in outcomes.items() if one.is_lost] == ["killed", "exit"]
    assert "this is said before the end" in reasons["killed"]
    assert "ended with status 3" in reasons["exit"]
    assert "nothing" in reasons["absent"]
    assert outcomes["count/0"].status == "finished"
    assert list(outcomes) == [*kinds, "absent", "count/0"]


def test_in_this_process_the_exception_of_a_job_can_be_raised(tmp_path):
    jobs = [Job(key="a", target="slow_jobs:fail", payload={"kind": "user"}, fingerprint="a")]
    with pytest.raises(ConfigError, match="row 4: worse"):
        run_many(jobs, tmp_path, raises=True)
    assert failures(run_many(jobs, tmp_path)) == {"a": "file.yaml row 3: too bad\nfile.yaml row 4: worse"}


def test_two_jobs_with_one_key_are_refused(tmp_path):
    job = Job(key="a", target="slow_jobs:fail", payload={}, fingerprint="a")
    with pytest.raises(ValueError, match="same key"):
        run_many([job, job], tmp_path)


def test_killed_three_times_the_work_goes_on_and_nothing_is_done_twice(tmp_path):
    children = set()
    for steps in (3, 12, 20):
        parent = start(tmp_path)
        wait_for(lambda steps=steps: sum(map(len, counts_of(tmp_path).values())) >= steps)
        parent.kill()
        parent.communicate()
        written = [line.split() for file in tmp_path.glob("*.txt") for line in file.read_text().splitlines()]
        children |= {int(line[1]) for line in written if len(line) == 2}
        wait_for(lambda numbers=frozenset(children): not any(map(is_alive, numbers)), 30)
    last = start(tmp_path)
    _, said = last.communicate(timeout=60)
    assert last.returncode == 0
    assert "[4/4]" in said
    assert counts_of(tmp_path) == {f"{number}.txt": list(range(12)) for number in range(4)}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_children_and_the_parent(tmp_path, number, status):
    parent = start(tmp_path)
    wait_for(lambda: len(counts_of(tmp_path)) == 2)
    children = {int(file.read_text().split()[1]) for file in tmp_path.glob("*.txt")}
    os.kill(parent.pid, number)
    parent.communicate(timeout=60)
    assert parent.returncode == status
    assert not any(map(is_alive, children))
