"""What the training and its mirror say to each other, over the mirror's standard input and output.

The training writes ``complete`` when the run directory has everything. The mirror answers with lines of two kinds: an
empty line while it is worth while to wait for it, and ``KIND TEXT``, where KIND is ``problem`` (a part of the results
could not be sent), ``offline`` (the server could not be used, so all is in the run directory) or ``failed``.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

COMPLETE = b"complete\n"
ORPHAN_SECONDS = 15.0
"""A mirror whose training has died ends after this time, whatever W&B does."""

_BEAT_SECONDS = 1.0


class Parent:
    """The training, as the mirror sees it: running, complete, or gone (it has died, or said SIGTERM).

    Args:
        number: its process id.
        is_complete: whether the run is complete already.
    """

    def __init__(self, number: int, *, is_complete: bool = False) -> None:
        self.number = number
        self.is_complete = is_complete
        self.is_gone = False
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "is_gone", True))
        # Prints of W&B must not get between the messages, and no process that W&B starts may hold the pipes.
        self._input, self._output = os.dup(0), os.dup(1)
        os.set_blocking(self._output, False)  # a training that does not listen must not stop its mirror
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._look_after_parent, daemon=True).start()

    def tell(self, kind: str = "", text: str = "") -> None:
        """Send a message."""
        line = f"{kind} {' '.join(text.split())}".strip()[:1000]
        with contextlib.suppress(OSError):
            os.write(self._output, line.encode() + b"\n")

    def watch(self, is_alive: Callable[[], bool]) -> None:
        """From now on, tell a training that is over that it should wait, as long as it should.

        Args:
            is_alive: says whether W&B does anything.
        """
        threading.Thread(target=self._beat, args=(is_alive,), daemon=True).start()

    def hand_on(self) -> None:
        """Give standard input and output back, for the program that takes the place of this one."""
        os.set_blocking(self._output, True)
        os.dup2(self._input, 0)
        os.dup2(self._output, 1)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            if os.read(self._input, len(COMPLETE)) == COMPLETE:
                self.is_complete = True

    def _look_after_parent(self) -> None:
        while os.getppid() == self.number:
            time.sleep(0.2)
        self.is_gone = True
        time.sleep(ORPHAN_SECONDS)
        print("W&B: the training has ended, and W&B does not end; it is stopped", file=sys.stderr, flush=True)
        if hasattr(os, "killpg") and os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)

    def _beat(self, is_alive: Callable[[], bool]) -> None:
        while True:
            time.sleep(_BEAT_SECONDS)
            if (self.is_complete or self.is_gone) and is_alive():
                self.tell()
