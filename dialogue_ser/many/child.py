"""A process that does one job: ``python -m dialogue_ser.many.child PARENT``, with the job as JSON on its input.

It ends when its parent process is gone, also if the parent was killed. SIGTERM asks the work to stop: a training writes
a checkpoint first.
"""

import json
import sys
from collections.abc import Sequence

from dialogue_ser.many.cores import end_with_parent
from dialogue_ser.many.work import do_spec


def main(argv: Sequence[str]) -> int:
    """Do the job. Return 0 if it is finished and 1 if it failed.

    Args:
        argv: the number of the parent process.
    """
    end_with_parent(int(argv[0]))
    spec = json.load(sys.stdin)
    return 0 if do_spec(spec)["status"] == "finished" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
