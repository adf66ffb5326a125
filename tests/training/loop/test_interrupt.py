import os
import signal
import subprocess
import sys
import threading

import pytest

from dialogue_ser.training.loop.interrupt import Interrupted, StopRequest

TWICE = """
import os, signal, sys
from dialogue_ser.training.loop import interrupt
with interrupt.StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.signal_number == signal.SIGINT
    os.kill(os.getpid(), signal.SIGTERM)  # so soon after the first one it is an echo of it
    assert stop.signal_number == signal.SIGINT
    interrupt.ECHO_SECONDS = 0.0
    os.kill(os.getpid(), signal.{second})
    print("still here")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_remembered_and_the_old_handlers_come_back(number):
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert stop.signal_number == 0
        os.kill(os.getpid(), number)
        assert stop.signal_number == number
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(("second", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_second_signal_quits_at_once_unless_it_is_an_echo_of_the_first(second, status):
    command = [sys.executable, "-c", TWICE.format(second=second)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (status, "")


def test_uncaught_it_exits_with_the_shells_status():
    assert Interrupted(15, "stopped").code == 143
    assert str(Interrupted(2, "stopped at step 3")) == "stopped at step 3"


def test_outside_the_main_thread_it_does_nothing():
    found = []

    def enter() -> None:
        with StopRequest() as stop:
            found.append(stop.signal_number)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [0]
