"""The engine that encodes on a Ray cluster (extra ``ray``). Its rows are the same as those of the other engines."""

from collections.abc import Iterable, Iterator
from typing import Any

from dialogue_ser.errors import FeatureError, MissingDataError
from dialogue_ser.features.core.api import UtteranceEncoder
from dialogue_ser.features.store.engines import (
    Outcome,
    Outcomes,
    WorkerEncoder,
    WorkUnit,
    recipe_of,
)
from dialogue_ser.many.cores import count_workers, thread_limits


class RayEngine:
    """Encodes in actors of a Ray cluster. Every actor has its own encoder; this process writes the store.

    All machines of the cluster need this package, the encoder's files and the media under the same paths.

    Args:
        workers: number of actors; 0 = one per CPU core of this machine.
        address: address of a running cluster (``auto`` finds it); None = Ray runs on this machine during encoding.
        gpus: number of GPUs that each actor reserves, e.g. 1 or 0.5.

    Raises:
        MissingDataError: ray is not installed.
        ConfigError: the number of workers is negative.
    """

    runs_in_process = False

    def __init__(self, workers: int = 0, address: str | None = None, gpus: float = 0.0) -> None:
        self.workers = count_workers(workers)
        self._address = address
        self._gpus = gpus
        self._ray = _import_ray()

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[WorkUnit]) -> Outcomes:
        """Yield every unit with its outcome as soon as it is finished.

        Raises:
            FeatureError: the cluster cannot be reached or is too small, or an actor died.
        """
        ray = self._ray
        is_started_here = not ray.is_initialized()
        if is_started_here:
            self._start()
        env = thread_limits(self.workers)
        actor_class = ray.remote(WorkerEncoder).options(num_cpus=1, num_gpus=self._gpus, runtime_env={"env_vars": env})
        idle: list[Any] = []
        running: dict[Any, tuple[Any, WorkUnit]] = {}

        def finished() -> Iterator[tuple[WorkUnit, Outcome]]:
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                actor, unit = running.pop(reference)
                idle.append(actor)
                yield unit, ray.get(reference)

        try:
            self._check_capacity()
            idle += [actor_class.remote(recipe_of(encoder)) for _ in range(self.workers)]
            for unit in units:
                actor = idle.pop()
                running[actor.encode.remote(unit.dialogues)] = (actor, unit)
                if not idle:
                    yield from finished()
            while running:
                yield from finished()
        except ray.exceptions.RayActorError as error:
            raise FeatureError(
                f"encoder {encoder.name!r}: a Ray actor died ({_last_line(error)}); finished rows are stored; run the "
                "command again, with fewer --workers if the memory was not enough"
            ) from error
        finally:
            for actor in (*idle, *(busy for busy, _ in running.values())):
                ray.kill(actor)
            if is_started_here:
                ray.shutdown()

    def _start(self) -> None:
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if self._address is None:
                self._ray.init(num_cpus=self.workers, include_dashboard=False, **quiet)
            else:
                self._ray.init(address=self._address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            where = "on this machine" if self._address is None else f"at {self._address}"
            raise FeatureError(
                f"engine ray: no cluster {where} ({_last_line(error)}); start one with 'ray start --head', or omit "
                "--address to use this machine"
            ) from error

    def _check_capacity(self) -> None:
        """Check that the cluster is large enough. Ray would otherwise wait for ever, without a message.

        Raises:
            FeatureError: the cluster has too few CPUs or GPUs.
        """
        has = self._ray.cluster_resources()
        needed = {"CPU": float(self.workers), "GPU": self.workers * self._gpus}
        lacking = [f"{n:g} {kind}s (it has {has.get(kind, 0):g})" for kind, n in needed.items() if n > has.get(kind, 0)]
        if lacking:
            raise FeatureError(
                f"engine ray: {self.workers} actors need {' and '.join(lacking)} of the cluster; use fewer --workers "
                "or --gpus, or use a larger cluster"
            )


def _import_ray() -> Any:
    try:
        import ray
    except ImportError:
        raise MissingDataError(
            "engine ray: ray is not installed; pip install 'dialogue-ser[ray]', or use --engine local"
        ) from None
    return ray


def _last_line(error: BaseException) -> str:
    return str(error).strip().rpartition("\n")[2] or type(error).__name__
