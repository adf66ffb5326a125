"""Whether the process that does a trial is alive: looked up on this machine, watched on another."""

from dataclasses import replace

import pytest

from dialogue_ser.evaluation.sweep.workers import Watch, Worker, is_running


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    return Clock()


def test_a_process_of_this_machine_is_looked_up():
    here = Worker.here()
    assert Watch().is_dead(here.to_dict(), 1) is False
    assert Watch().is_dead(replace(here, pid=2**22 + 7).to_dict(), 1) is True


def test_another_process_with_the_same_number_is_not_the_same():
    here = Worker.here()
    assert is_running(here.pid, here.started)
    assert not is_running(here.pid, here.started - 60)


def test_a_process_of_another_machine_is_dead_after_a_minute_without_a_sign(clock):
    other = replace(Worker.here(), machine="other").to_dict()
    watch = Watch(clock, silent_seconds=60)
    assert watch.is_dead(other, 1) is None
    clock.now = 59
    assert watch.is_dead(other, 2) is False
    clock.now = 118
    assert watch.is_dead(other, 2) is None
    clock.now = 120
    assert watch.is_dead(other, 2) is True


def test_a_trial_of_nobody_is_free():
    assert Watch().is_dead({}, None) is True
