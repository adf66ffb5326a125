"""A process that does one job: ``python -m dialogue_ser.many.child PARENT``, with the job as JSON on its input.

It ends when its parent process is gone, also if the parent was killed. SIGTERM asks the work to stop: a training writes
a checkpoint first.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Sequence

WATCH_SECONDS = 0.5


def main(argv: Sequence[str]) -> int:
    """Do the job. Return 0 if it is finished and 1 if it failed.

    Args:
        argv: the number of the parent process.
    """
    end_with_parent(int(argv[0]))
    spec = json.load(sys.stdin)
    from dialogue_ser.many.work import do_spec

    return 0 if do_spec(spec)["status"] == "finished" else 1


def end_with_parent(parent: int) -> None:
    """End this process at once when its parent process is gone. Files of a run stay usable then."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
