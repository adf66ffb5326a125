import shutil
import subprocess
import sys
import threading

import pytest
from filelock import FileLock

from dialogue_ser.errors import ConfigError
from dialogue_ser.runs.lock import LOCK_FILE, refuse_if_locked, run_lock

HOLDER = """
import sys, time
from pathlib import Path
from dialogue_ser.runs.lock import run_lock

with run_lock(Path(sys.argv[1])):
    (Path(sys.argv[1]) / "config.yaml").write_text("{}")
    print("locked", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of ``tmp_path / "run"``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "run"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"locked\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_run_directory_that_another_process_writes_is_refused(holder, tmp_path) -> None:
    run = tmp_path / "run"
    with pytest.raises(ConfigError, match=r"run: another process is writing in this run directory; wait .* --out"):
        refuse_if_locked(run)
    with pytest.raises(ConfigError, match="another process is writing"), run_lock(run):
        pytest.fail("two processes hold one lock")


def test_the_lock_of_a_dead_process_is_taken_over(holder, tmp_path) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / LOCK_FILE).is_file()
    refuse_if_locked(tmp_path / "run")
    with run_lock(tmp_path / "run"):
        pass


def test_a_folder_in_which_nothing_was_written_is_removed_with_the_parents_it_needed(tmp_path) -> None:
    with run_lock(tmp_path / "runs" / "mine"):
        assert (tmp_path / "runs" / "mine").is_dir()
    assert list(tmp_path.iterdir()) == []
    with run_lock(tmp_path / "runs" / "mine"):
        (tmp_path / "runs" / "mine" / "config.yaml").write_text("{}")
    assert (tmp_path / "runs" / "mine" / "config.yaml").is_file()


def test_a_folder_without_a_lock_file_is_free(tmp_path) -> None:
    refuse_if_locked(tmp_path)
    refuse_if_locked(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_only_looks_at_the_lock_disturbs_nobody(tmp_path) -> None:
    with run_lock(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").write_text("{}")
    look = FileLock(tmp_path / "run" / LOCK_FILE, thread_local=False)  # the timer releases it in its own thread
    look.acquire()
    timer = threading.Timer(0.2, look.release)
    timer.start()
    with run_lock(tmp_path / "run"):
        assert not look.is_locked
    timer.join()


def test_a_folder_that_was_deleted_meanwhile_is_no_error(tmp_path) -> None:
    with run_lock(tmp_path / "run"):
        shutil.rmtree(tmp_path / "run")
    assert not (tmp_path / "run").exists()
