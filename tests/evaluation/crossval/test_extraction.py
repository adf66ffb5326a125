import os
import subprocess
import sys

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.evaluation.crossval.extraction import extract, worker_memory_bytes
from dialogue_ser.features.store import engines
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline


def test_features_are_made_once_and_counted(tmp_path, write_nemo):
    dialogues = read_corpus("nemo", write_nemo(tmp_path / "nemo", n_each=1)).split("all")
    store, told = FeatureStore(tmp_path / "store"), []

    def again():
        options = {"feature_set": "eGeMAPSv02", "processes": 1}
        pipelines = {"audio": FeaturePipeline.build("audio", "opensmile", options)}
        return extract(
            pipelines, dialogues, store, lambda modality: lambda done, total: told.append((modality, done, total))
        )

    first, second = again()["audio"], again()["audio"]
    assert (first.utterances, first.encoded, second.encoded) == (24, 24, 0)
    assert told[-1] == ("audio", 24, 24)
    assert first.seconds > 0
    assert first.peak_memory_bytes > 1e7
    assert first.to_dict()["encoded"] == 24


def test_memory_of_workers_that_have_ended_since_is_counted(tmp_path, write_nemo, monkeypatch):
    monkeypatch.setattr(engines, "_MIN_UTTERANCES_PER_WORKER", 12)
    dialogues = read_corpus("nemo", write_nemo(tmp_path / "nemo", n_each=1)).split("all")
    pipelines = {"audio": FeaturePipeline.build("audio", "opensmile", {"processes": 2})}
    found = extract(pipelines, dialogues, FeatureStore(tmp_path / "store"))["audio"]
    assert found.encoded == 24
    assert found.worker_memory_bytes > 2e7


def test_memory_of_worker_processes_is_that_of_living_children():
    before = worker_memory_bytes()
    code = "import sys; x = bytearray(50_000_000); print('ready', flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    grown = worker_memory_bytes() - before
    child.communicate("")
    assert grown > 50e6
    assert worker_memory_bytes(os.getpid()) < before + 50e6
