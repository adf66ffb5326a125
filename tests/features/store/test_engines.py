import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dialogue_ser.errors import FeatureError, MediaError
from dialogue_ser.features.core.bad_clips import BadClipsError
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store import engines
from dialogue_ser.features.store.engines import InProcess, WorkerProcesses, engine_for
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.work_units import encode_all, split_into_units
from dialogue_ser.many import cores


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(left[key].tobytes() == right[key].tobytes() for key in left)


def table(tmp_path, encoder, dialogues, engine=None):
    return FeatureStore(tmp_path, engine=engine, chunk_utterances=4).table(encoder, dialogues, progress=False)


def test_worker_processes_give_the_same_bits_as_one_process(tmp_path, dialogue):
    talks = [dialogue(["oh my god", f"no {'really ' * n}", "yes", None], name=f"d{n}") for n in range(9)]
    encoder = build_encoder("minilm", "text", {"pooling": "mean+max"})  # padded batches; workers import no transformers
    alone = table(tmp_path / "alone", encoder, talks)
    assert len(alone) == 27
    assert same(table(tmp_path / "workers", encoder, talks, WorkerProcesses(2)), alone)


def test_workers_and_their_helpers_import_nothing_from_the_working_folder(tmp_path, dialogue):
    script = """
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.engines import WorkerProcesses, collect_rows
from dialogue_ser.features.store.work_units import split_into_units
talks = [TALKS]
encoder = build_encoder("mine:lengths", "text")
units = split_into_units(encoder, talks, {turn.id for talk in talks for turn in talk})
print(sum(len(rows) for _, rows in collect_rows(WorkerProcesses(2).outcomes(encoder, units))))
"""
    for name in ("joblib", "numpy", "multiprocessing", "torch", "cloudpickle", "resource"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\nraise SystemExit(9)\n")
    (tmp_path / "mine.py").write_text(
        "import numpy\ndef lengths(texts): return numpy.array([[len(t)] for t in texts])\n"
    )
    talk = "Dialogue('train/d', (Utterance(id='train/d_0', speaker='a', text='hello'),))"
    command = [sys.executable, "-P", "-c", script.replace("TALKS", talk)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "1", done.stderr
    assert not (tmp_path / "was_run").exists()


def workers_of(engine) -> int:
    return engine.workers if isinstance(engine, WorkerProcesses) else 0


def test_opensmile_gets_a_process_per_core_where_there_is_enough_to_do(monkeypatch, dialogue, spoken):
    monkeypatch.setattr(cores, "_cpu_count", lambda: 8)
    encoder = build_encoder("opensmile", "audio")
    assert [workers_of(engine_for(encoder, n)) for n in (1, 127, 128, 200, 1000)] == [0, 0, 2, 3, 8]
    assert workers_of(engine_for(build_encoder("opensmile", "audio", {"processes": 3}), 1000)) == 3
    for other in (build_encoder("opensmile", "audio", {"processes": 1}), build_encoder("logmel", "audio")):
        assert isinstance(engine_for(other, 1000), InProcess)
    talks = [dialogue(["oh"] * 10, name=f"d{n}") for n in range(10)]
    wanted = {turn.id for talk in talks for turn in talk}
    assert max(len(unit.wanted) for unit in split_into_units(encoder, talks, wanted)) <= 25, (
        "all workers have something to do"
    )


@pytest.mark.parametrize("stored", [True, False])
def test_opensmile_gives_the_same_rows_from_worker_processes(tmp_path, spoken, monkeypatch, stored):
    talks = [spoken([0.3 + 0.01 * n, 0.25], volume=0.1 * (n + 1), name=f"d{n}") for n in range(3)]
    alone = dict(build_encoder("opensmile", "audio", {"processes": 1}).encode(talks))
    encoder = build_encoder("opensmile", "audio", {"processes": 2})
    monkeypatch.setattr(encoder.inner, "encode", lambda dialogues: pytest.fail("encoded in this process"))
    monkeypatch.setattr(engines, "_MIN_UTTERANCES_PER_WORKER", 3)
    rows = table(tmp_path, encoder, talks) if stored else encode_all(encoder, talks)
    assert list(rows) == list(alone)
    assert same(rows, alone)
    if not stored:  # the store's own error: test_worker_processes_report_bad_clips_as_one_process_does
        talks[1].utterances[0].audio.path.unlink()
        with pytest.raises(MediaError, match=r"d1_utt0\): .*no such file(.|\n)*on_bad mask"):
            encode_all(encoder, talks)


def test_worker_processes_report_bad_clips_as_one_process_does(tmp_path, spoken):
    talk = spoken([0.3, 0.4, 0.5, 0.02, 0.6, 0.7])
    talk.utterances[1].audio.path.unlink()
    encoder = build_encoder("opensmile", "audio", {"processes": 1})
    with pytest.raises(MediaError) as alone:
        table(tmp_path / "alone", encoder, [talk])
    with pytest.raises(MediaError) as workers:
        table(tmp_path / "workers", encoder, [talk], WorkerProcesses(2))
    assert len(alone.value.problems) == 3
    assert sorted(workers.value.problems[:2]) == sorted(alone.value.problems[:2])
    assert workers.value.problems[2] == alone.value.problems[2], "how to mend it comes last"
    masked = build_encoder("opensmile", "audio", {"processes": 1}, on_bad="mask")
    calls: list[tuple[int, int]] = []
    store = FeatureStore(tmp_path / "workers", engine=WorkerProcesses(2))
    rows = store.table(masked, [talk], progress=lambda done, total: calls.append((done, total)))
    assert len(rows) == 4
    assert calls[-1] == (2, 2), "the good clips were stored although others were bad"


def test_errors_survive_the_way_between_processes():
    error = BadClipsError({"a": np.ones(2)}, "row 1: bad", "row 2: bad")
    again = pickle.loads(pickle.dumps(error))
    assert again.problems == error.problems
    assert again.rows["a"].tolist() == [1, 1]


DYING = r"""
import os

def dying(texts):
    if "die" in texts:
        os._exit(3)
    return [[float(len(text))] for text in texts]

def waiting(texts):
    os.write(1, f"working {os.getpid()}\n".encode())  # in one piece: the other worker writes there too
    import threading
    threading.Event().wait()
"""

REFUSING = """
import os
from dialogue_ser.errors import FeatureError

def refuse(texts):
    raise FeatureError(f"no layer [7], says the encoder of process {os.getpid()}")
"""


def test_an_error_in_a_worker_is_the_error_of_the_call(tmp_path, dialogue, monkeypatch):
    (tmp_path / "refusing_encoder.py").write_text(REFUSING)
    monkeypatch.chdir(tmp_path)
    encoder = build_encoder("refusing_encoder:refuse", "text")
    with pytest.raises(FeatureError, match=r"no layer \[7\]") as caught:
        table(tmp_path / "s", encoder, [dialogue(["oh my"])], WorkerProcesses(1))
    assert f"of process {os.getpid()}" not in str(caught.value), "it was raised in a worker"


def test_a_worker_that_dies_is_one_clear_error_and_what_was_finished_stays(tmp_path, dialogue, monkeypatch):
    (tmp_path / "dying_encoder.py").write_text(DYING)
    monkeypatch.chdir(tmp_path)
    encoder = build_encoder("dying_encoder:dying", "text")
    store = FeatureStore(tmp_path / "s", engine=WorkerProcesses(1), chunk_utterances=1)
    with pytest.raises(FeatureError, match="worker process died"):
        store.table(encoder, [dialogue([text], name=text) for text in ("a", "b", "c", "d", "die")], progress=False)
    assert sum(entry.n_utterances for entry in store.entries()) >= 1


MAIN = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # also if the test suite ignores this signal
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.store.engines import WorkerProcesses
from dialogue_ser.features.registry import build_encoder
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.work_units import encode_all, split_into_units
from dialogue_ser.many import cores
talks = [Dialogue(f"d{i}", (Utterance(id=f"d{i}", speaker="s", text=str(i)),)) for i in range(4)]
store = FeatureStore("store", engine=WorkerProcesses(2), chunk_utterances=1)
store.table(build_encoder("waiting_encoder:waiting", "text"), talks, progress=False)
"""


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_neither_ctrl_c_nor_a_kill_leaves_orphans(tmp_path, way):
    (tmp_path / "waiting_encoder.py").write_text(DYING)
    (tmp_path / "main.py").write_text(MAIN)
    process = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    workers: set[int] = set()
    try:
        workers = {int(process.stdout.readline().split()[1]) for _ in range(2)}
        if way == signal.SIGINT:
            os.killpg(process.pid, way)  # as the terminal does
    finally:
        if way == signal.SIGKILL or len(workers) < 2:
            process.kill()
    assert len(workers) == 2
    process.wait(timeout=30)
    process.stdout.close()
    deadline = time.monotonic() + 20
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, "workers outlived their parent"
        os.sched_yield()


def is_running(pid: int) -> bool:
    """False for a process that is gone, or dead and only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
