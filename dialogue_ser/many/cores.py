"""The cores of this machine, and processes that share them."""

import os
import threading
import time

from dialogue_ser.errors import ConfigError

_WATCH_SECONDS = 0.5
#: Processes are started as python -m or -c. Without this setting, a file of the working folder (it may be a run of
#: somebody else) would take the place of a module with the same name. Modules of the user are still found.
SAFE_PATH = {"PYTHONSAFEPATH": "1"}


def count_workers(requested: int, flag: str = "--workers") -> int:
    """Return the number of workers for ``--workers N`` or ``--jobs N``; for 0, one per core that this process may use.

    Raises:
        ConfigError: the number is negative.

    >>> count_workers(3)
    3
    """
    if requested < 0:
        raise ConfigError(f"{flag} {requested}: must be at least 0 (0 = one per CPU core)")
    return requested or _cpu_count()


def thread_limits(workers: int) -> dict[str, str]:
    """Return environment variables that give a worker its share of the cores, or fewer if the user set fewer."""
    share = max(1, _cpu_count() // workers)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    threads = str(min(share, int(limit)) if limit.isdigit() and int(limit) > 0 else share)
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)


def _cpu_count() -> int:
    import joblib  # type: ignore[import-untyped]

    return int(joblib.cpu_count())


def end_with_parent(parent: int) -> None:
    """End this process at once when its parent process is gone. Files of a run stay usable then.

    Args:
        parent: number of the parent process.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()
