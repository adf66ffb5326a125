"""The engine that encodes on a Ray cluster (extra ``ray``). Its rows are the same as those of the other engines."""

from collections.abc import Iterable, Iterator
from typing import Any

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.core.api import UtteranceEncoder
from dialogue_ser.features.store.engines import (
    Outcome,
    Outcomes,
    WorkerEncoder,
    WorkUnit,
    recipe_of,
)
from dialogue_ser.many.cores import count_workers, thread_limits
from dialogue_ser.many.ray_cluster import connected, import_ray, last_line


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
        self._ray = import_ray()

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[WorkUnit]) -> Outcomes:
        """Yield every unit with its outcome as soon as it is finished.

        Raises:
            FeatureError: the cluster cannot be reached or is too small, or an actor died.
        """
        with connected(self._ray, self.workers, self._address):
            self._check_capacity()
            yield from self._encoded(encoder, units)

    def _encoded(self, encoder: UtteranceEncoder, units: Iterable[WorkUnit]) -> Outcomes:
        ray = self._ray
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
                f"encoder {encoder.name!r}: a Ray actor died ({last_line(error)}); finished rows are stored; run the "
                "command again, with fewer --workers if the memory was not enough"
            ) from error
        finally:
            for actor in (*idle, *(busy for busy, _ in running.values())):
                ray.kill(actor)

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
