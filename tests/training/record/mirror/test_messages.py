import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHILD = """
import time
from dialogue_ser.training.record.mirror import messages

messages._BEAT_SECONDS = 0.05
parent = messages.Parent({number})
print("something that W&B prints", flush=True)
alive = [True, True, False]
parent.watch(lambda: bool(alive) and alive.pop(0))
parent.tell("problem", "two\\nlines")
while not (parent.is_complete or parent.is_gone):
    time.sleep(0.01)
time.sleep(0.4)
parent.tell("state", f"complete={{parent.is_complete}} gone={{parent.is_gone}}")
"""


@pytest.fixture
def child(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))

    def start(number: str) -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", CHILD.format(number=number)], **pipes)

    return start


def test_a_complete_run_is_heard_and_answered_with_messages_that_no_print_gets_between(child):
    process = child("__import__('os').getppid()")
    said, printed = process.communicate("complete\n", timeout=60)
    assert said.splitlines() == ["problem two lines", "", "", "state complete=True gone=False"]
    assert "something that W&B prints" in printed


@pytest.mark.parametrize("reason", ["SIGTERM", "the parent has died"])
def test_an_interrupted_or_dead_training_is_gone(child, reason):
    process = child("__import__('os').getppid()" if reason == "SIGTERM" else "1234567890")
    assert process.stdout.readline() == "problem two lines\n"
    if reason == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    said, _ = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "state complete=False gone=True"
    assert time.monotonic() - started < 20
