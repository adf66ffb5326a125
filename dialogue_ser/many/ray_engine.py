"""The engine that does jobs on a Ray cluster (extra ``ray``). All machines must see the same folders."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dialogue_ser.many.cores import SAFE_PATH, count_workers, thread_limits
from dialogue_ser.many.engines import Events, take
from dialogue_ser.many.jobs import Job, Outcome, read_outcome, record_path
from dialogue_ser.many.ray_cluster import connected, import_ray, last_line
from dialogue_ser.many.work import do_spec

_TICK_SECONDS = 0.5


class RayJobs:
    """Does every job in a task of a Ray cluster. A task that fails is not repeated by Ray.

    All machines of the cluster need this package, the data and the output folder under the same paths.

    Args:
        n_jobs: number of jobs at the same time; 0 = one for each CPU core of this machine.
        address: address of a running cluster (``auto`` finds it); None = Ray runs on this machine meanwhile.
        gpus: number of GPUs that each job reserves, e.g. 1 or 0.5.

    Raises:
        MissingDataError: ray is not installed.
        ConfigError: the number of jobs is negative.
    """

    def __init__(self, n_jobs: int = 1, address: str | None = None, gpus: float = 0.0) -> None:
        self.n_jobs = count_workers(n_jobs, "--jobs")
        self._address = address
        self._gpus = gpus
        self._ray = import_ray()

    def events(self, jobs: Iterable[Job], folder: Path) -> Events:
        """Do the jobs; as soon as one ends, the next one begins.

        Raises:
            FeatureError: the cluster cannot be reached.
        """
        ray = self._ray
        environment = {"env_vars": {**thread_limits(self.n_jobs), **SAFE_PATH}}
        # A task of its own process: peak memory and random numbers of one job do not reach the next one.
        settings = {"num_cpus": 1, "num_gpus": self._gpus, "max_retries": 0, "max_calls": 1}
        waiting = iter(jobs)
        running: dict[Any, Job] = {}
        with connected(ray, self.n_jobs, self._address):
            task = ray.remote(**settings, runtime_env=environment)(do_spec)
            try:
                while True:
                    for job in take(waiting, self.n_jobs - len(running)):
                        record_path(folder, job.key).unlink(missing_ok=True)
                        running[task.remote(job.spec(folder))] = job
                        yield job, None
                    if not running:
                        return
                    done, _ = ray.wait(list(running), num_returns=1, timeout=_TICK_SECONDS)
                    for reference in done:
                        job = running.pop(reference)
                        yield job, self._outcome_of(job, reference, folder)
                    yield None
            finally:
                for reference in running:
                    ray.cancel(reference, force=True)

    def _outcome_of(self, job: Job, reference: Any, folder: Path) -> Outcome:
        """Return the outcome of a task that has ended."""
        try:
            self._ray.get(reference)
        except Exception as error:  # the worker died, or its machine is gone
            reason = f"its Ray task failed ({last_line(error)})"
            return Outcome(status="failed", reason=reason, fingerprint=job.fingerprint, is_lost=True)
        outcome = read_outcome(folder, job.key)
        if outcome is not None:
            return outcome
        reason = f"{folder}: the record of its Ray task is not here; let all machines use one folder"
        return Outcome(status="failed", reason=reason, fingerprint=job.fingerprint)
