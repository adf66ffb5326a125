"""What engines on Ray share (extra ``ray``): the import, the connection to a cluster, and the text of errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dialogue_ser.errors import FeatureError, MissingDataError


def import_ray() -> Any:
    """Return the module ray.

    Raises:
        MissingDataError: ray is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingDataError(
            "engine ray: ray is not installed; pip install 'dialogue-ser[ray]', or use --engine local"
        ) from None
    return ray


@contextmanager
def connected(ray: Any, n_cpus: int, address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start Ray on this machine. What was started here is ended here.

    Args:
        ray: the module.
        n_cpus: number of CPU cores that Ray may use on this machine.
        address: address of a running cluster (``auto`` finds it); None = Ray runs on this machine meanwhile.

    Raises:
        FeatureError: the cluster cannot be reached.
    """
    is_started_here = not ray.is_initialized()
    if is_started_here:
        _start(ray, n_cpus, address)
    try:
        yield
    finally:
        if is_started_here:
            ray.shutdown()


def last_line(error: BaseException) -> str:
    """Return the last line of an error's text. Ray puts whole tracebacks in front of it.

    >>> last_line(ValueError("Traceback\\n  ...\\nno memory"))
    'no memory'
    """
    return str(error).strip().rpartition("\n")[2] or type(error).__name__


def _start(ray: Any, n_cpus: int, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if address is None:
            ray.init(num_cpus=n_cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise FeatureError(
            f"engine ray: no cluster {where} ({last_line(error)}); start one with 'ray start --head', or omit "
            "--address to use this machine"
        ) from error
