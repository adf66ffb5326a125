"""Where the jobs of a command are done: the flags ``--jobs``, ``--engine``, ``--address`` and ``--gpus``."""

from typing import TYPE_CHECKING

from dialogue_ser.errors import ConfigError

if TYPE_CHECKING:
    from dialogue_ser.many.engines import JobEngine

#: Values of ``--engine``.
ENGINES = ("local", "ray")


def job_engine(
    command: str, engine: str, jobs: int, address: str | None, gpus: float, *, flag: str = "--jobs"
) -> "JobEngine":
    """Return the engine that the flags of a command name.

    Args:
        command: name of the command, for messages.
        engine: local = processes of this machine; ray = a Ray cluster.
        jobs: number of jobs at the same time; 0 = one for each CPU core.
        address: address of the Ray cluster; None = Ray is started on this machine.
        gpus: number of GPUs for each job on Ray.
        flag: the flag that gives the number of jobs, for messages.

    Raises:
        ConfigError: a number is negative, the engine is unknown, or a flag is for the other engine.
        MissingDataError: ray is not installed.
    """
    from dialogue_ser.many.cores import count_workers
    from dialogue_ser.many.engines import Processes
    from dialogue_ser.many.ray_engine import RayJobs

    if engine not in ENGINES:
        raise ConfigError(f"{command}: --engine: found {engine!r}, expected {' or '.join(ENGINES)}")
    jobs = count_workers(jobs, flag)
    if engine == "ray":
        if gpus < 0:
            raise ConfigError(f"{command}: --gpus: found {gpus:g}, expected at least 0")
        return RayJobs(jobs, address, gpus)
    for of_ray, is_given in (("--address", address is not None), ("--gpus", gpus != 0)):
        if is_given:
            raise ConfigError(f"{command}: {of_ray} is for --engine ray; add it, or leave {of_ray} out")
    return Processes(jobs)
