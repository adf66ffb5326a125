"""The trials of a sweep as several workers see them."""

from dataclasses import replace

import pytest

from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.evaluation.sweep.storage import Place, open_storage
from dialogue_ser.evaluation.sweep.study import SweepStudy
from dialogue_ser.evaluation.sweep.workers import Watch, Worker

RECORD = {"name": "one", "fingerprint": "f"}


def opened(tmp_path, **worker) -> SweepStudy:
    study = SweepStudy.create(Place.of(None, tmp_path), "one", RECORD, "maximize")
    study.worker = replace(study.worker, **worker)
    return study


def test_two_workers_never_get_the_same_trial(tmp_path):
    mine, yours = opened(tmp_path, id="a"), opened(tmp_path, id="b", pid=1, started=0.0)
    yours.worker = replace(yours.worker, machine="other")
    numbers = [study.claim(4).number for study in (mine, yours, mine, yours)]
    assert numbers == [0, 1, 2, 3]
    assert mine.claim(4) is None


def test_a_trial_of_another_machine_is_taken_when_it_gives_no_sign(tmp_path):
    theirs = opened(tmp_path, id="b", machine="other")
    theirs.beat(0)
    trial = theirs.claim(1)
    mine = opened(tmp_path)
    mine.watch = Watch(silent_seconds=0.0)
    assert mine.claim(1) is None  # the first look only begins to watch
    theirs.beat(0)
    assert mine.is_lost(trial) is False
    assert mine.claim(1).number == trial.number


def test_an_ended_trial_stays_as_it_is(tmp_path):
    study = opened(tmp_path)
    trial = study.claim(1)
    study.end(trial, "finished", 0.5, [0.25, 0.5], seconds=3.0)
    study.end(trial, "failed", reason="too late")
    study.release(trial)
    (found,) = study.trials()
    assert (found.state, found.score, found.curve, found.info["seconds"]) == ("finished", 0.5, (0.25, 0.5), 3.0)
    assert "reason" not in found.info


def test_a_released_trial_is_the_next_one(tmp_path):
    study = opened(tmp_path)
    first = study.claim(9)
    study.claim(9)
    study.release(first)
    assert study.claim(9).number == first.number


def test_the_identity_of_a_sweep_stays(tmp_path):
    assert opened(tmp_path).id == opened(tmp_path).id
    assert len(opened(tmp_path).id) == 8


def test_a_study_of_others_is_refused(tmp_path):
    place = Place.of(None, tmp_path)
    open_storage(place).create_new_study([1], "one")
    with pytest.raises(ConfigError, match="was not made by dialogue-ser sweep run"):
        SweepStudy.open(place, "one").record()
    with pytest.raises(MissingDataError, match="no sweep of the name 'two'; it has one"):
        SweepStudy.open(place, "two")


def test_a_worker_is_this_process():
    assert Worker.here().id != Worker.here().id
