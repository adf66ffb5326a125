"""Numbers are what they were when tests/numbers.json was recorded (``python -m tests.record_numbers``).

Those of presets are compared where presets are run: in cli/commands/test_smoke.py.

With one thread torch repeats itself on one processor to the last bit. Another processor sums in another order, and
float32 then differs by about 1e-6 of a loss; training carries that on. The bounds below are a hundred times that, and
far below what another seed, another order of dialogues or another gradient does (the last test).
"""

import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.training.config.presets import load_preset, preset_names

RECORDED = json.loads(Path(__file__).with_name("numbers.json").read_text(encoding="utf-8"))
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "results" / "nemo.json"
PROBABILITY = 1e-4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the tiny networks."""
    return tmp_path_factory.mktemp("numbers")


@pytest.fixture(scope="module")
def store(shared_store: Path) -> FeatureStore:
    return FeatureStore(shared_store)


def test_the_numbers_of_every_preset_are_recorded():
    new = sorted(set(preset_names()) ^ set(RECORDED["presets"]))
    assert not new, f"{', '.join(new)}: record new presets by python -m tests.record_numbers"


@pytest.mark.parametrize("name", RECORDED["meld"])
def test_the_first_step_on_meld_is_what_it_was(name, record_numbers: ModuleType, meld, store):
    now, recorded = record_numbers.first_step(load_preset(name), store), RECORDED["meld"][name]
    assert record_numbers.is_close(now, recorded), f"{name}: {now}, recorded {recorded}"


def test_the_predictions_of_a_short_run_are_what_they_were(record_numbers: ModuleType, tmp_path, store):
    now, recorded = record_numbers.short_run(tmp_path, store), RECORDED["short_run"]
    assert list(now) == list(recorded)
    np.testing.assert_allclose([*now.values()], [*recorded.values()], rtol=0, atol=PROBABILITY)


def test_ua_of_an_svm_on_a_few_clips_of_nemo_is_what_it_was(record_numbers: ModuleType, nemo, tmp_path, store):
    now = record_numbers.nemo_svm(record_numbers.few_clips(tmp_path / "nemo", nemo), store)
    assert record_numbers.is_close(now, RECORDED["nemo_few"]), now


@pytest.mark.skipif(not os.environ.get("DIALOGUE_SER_ALL_NUMBERS"), reason="a minute; set DIALOGUE_SER_ALL_NUMBERS=1")
def test_ua_of_an_svm_on_nemo_is_the_recorded_benchmark(record_numbers: ModuleType, nemo, store):
    rows = {row["preset"]: row for row in json.loads(BENCHMARK.read_text(encoding="utf-8"))["rows"]}
    now = record_numbers.nemo_svm(nemo, store)
    assert now["uar"] == pytest.approx(rows["nemo-egemaps-svm"]["pooled"]["ua"], abs=1 / 1057)


def test_another_seed_is_noticed(record_numbers: ModuleType, place, tmp_path, store):
    for name in ("meld-textcnn", "nemo-gru-attention"):
        now = record_numbers.preset_numbers(name, place / "networks", store, seed=1234)
        assert not record_numbers.is_close(now, RECORDED["presets"][name])
    now, recorded = record_numbers.short_run(tmp_path, store, seed=1234), RECORDED["short_run"]
    difference_NC = np.abs(np.array([*now.values()]) - np.array([*recorded.values()]))
    assert difference_NC.max() > 100 * PROBABILITY
