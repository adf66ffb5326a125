"""Run a script in two processes of one group, as a launcher does, and print how each has ended.

``python several.py [--only RANK "ARGUMENT …"] SCRIPT ARGUMENT …``; only one process gets the arguments of ``--only``.
The processes are forked from this one, so they need not import torch again.
"""

import argparse
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback

N_RANKS = 2


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def run(rank: int, port: int, script: str, arguments: list[str]) -> int:
    signal.alarm(90)  # a process that waits for ever must not outlive the test
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": N_RANKS, "LOCAL_WORLD_SIZE": N_RANKS, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1", GROUP_RANK="0")
    sys.argv[:] = [script, *arguments]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs=2, default=("-1", ""))
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    port, ranks = free_port(), {}
    for rank in range(N_RANKS):
        child = os.fork()
        if child == 0:
            more = given.only[1].split() if int(given.only[0]) == rank else []
            status = run(rank, port, given.script, [*given.arguments, *more])
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        ranks[child] = rank
    ended = {}
    while len(ended) < N_RANKS:
        child, status = os.wait()
        ended[ranks[child]] = (os.waitstatus_to_exitcode(status), time.monotonic())
    times = [when for _, when in ended.values()]
    print(json.dumps({"statuses": [ended[rank][0] for rank in range(N_RANKS)], "seconds": max(times) - min(times)}))


if __name__ == "__main__":
    main()
