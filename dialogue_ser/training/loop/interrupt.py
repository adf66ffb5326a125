"""Turn SIGTERM and Ctrl-C into a request to stop after the current step."""

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

#: A signal that follows the first one so soon is the same request: a launcher and a cluster may both send it.
ECHO_SECONDS = 1.0


class Interrupted(SystemExit):
    """A signal stopped a run after its checkpoint was written.

    If nothing catches it, the process exits with status 128 + the signal's number.
    """

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(128 + signal_number)
        self.signal_number = signal_number
        self.message = message

    def __str__(self) -> str:
        return self.message


class StopRequest:
    """A context that remembers the first SIGTERM or SIGINT; a second signal ends the process at once.

    A signal within ECHO_SECONDS of the first one does not count as a second one. Slurm signals all processes of a
    step, and a launcher such as torchrun passes the signal on to the same processes.

    An immediate end does no damage: every file of a run is either appended to, or renamed when it is complete. Outside
    the main thread Python allows no signal handlers, so the context does nothing there.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._first_at = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.signal_number:
            self.signal_number, self._first_at = number, now
        elif now - self._first_at > ECHO_SECONDS:
            os._exit(128 + number)
