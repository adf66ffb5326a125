"""The engine of Ray, with a stand-in for ray that does its tasks at once. With ray itself it was tried by hand."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from dialogue_ser.errors import ConfigError, FeatureError, MissingDataError
from dialogue_ser.many.jobs import Job
from dialogue_ser.many.ray_engine import RayJobs
from dialogue_ser.many.run_many import failures, run_many


class Ray(ModuleType):
    """Does a task when it is waited for. A job whose key is in ``lost`` dies with its worker."""

    def __init__(self, lost=()) -> None:
        super().__init__("ray")
        self.lost, self.started, self.options, self.most, self.cancelled, self._open = lost, [], {}, 0, [], 0

    def is_initialized(self) -> bool:
        return False

    def init(self, **settings) -> None:
        if settings.get("address") == "nowhere":
            raise ConnectionError("no such cluster")
        self.started.append(settings)

    def shutdown(self) -> None:
        self.started.append("shutdown")

    def remote(self, **settings):
        self.options = settings
        return lambda function: SimpleNamespace(remote=lambda spec: self._submit(function, spec))

    def _submit(self, function, spec):
        self._open += 1
        self.most = max(self.most, self._open)
        return (lambda: function(spec), spec["key"])

    def wait(self, references, num_returns, timeout):
        self._open -= 1
        return references[:1], references[1:]

    def get(self, reference):
        work, key = reference
        if key in self.lost:
            raise RuntimeError("trace\nthe worker died")
        return work()

    def cancel(self, reference, force) -> None:
        self.cancelled.append(reference[1])


@pytest.fixture
def ray(monkeypatch):
    made = Ray(lost=("count/1",))
    monkeypatch.setitem(sys.modules, "ray", made)
    return made


def test_jobs_are_tasks_that_are_never_repeated_and_a_lost_worker_is_a_failed_job(ray, tmp_path):
    import slow_jobs

    bad = Job(key="bad", target="slow_jobs:fail", payload={"kind": "user"}, fingerprint="a")
    outcomes = run_many([*slow_jobs.counting(tmp_path, 3, seconds=0), bad], tmp_path, RayJobs(2, gpus=0.5))
    assert outcomes["count/0"].value == outcomes["count/2"].value == {"sum": 66}
    assert failures(outcomes) == {
        "count/1": "its Ray task failed (the worker died)",
        "bad": "file.yaml row 3: too bad\nfile.yaml row 4: worse",
    }
    assert (ray.most, ray.options["max_retries"], ray.options["num_gpus"]) == (2, 0, 0.5)
    assert ray.started[0]["num_cpus"] == 2
    assert ray.started[-1] == "shutdown"


def test_ctrl_c_cancels_the_tasks(ray, tmp_path):
    import slow_jobs

    ray.wait = lambda *arguments, **settings: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        run_many(slow_jobs.counting(tmp_path, 3), tmp_path, RayJobs(2))
    assert ray.cancelled == ["count/0", "count/1"]


def test_a_cluster_that_is_not_there_and_a_wrong_number_are_errors(ray, tmp_path):
    import slow_jobs

    with pytest.raises(FeatureError, match="no cluster at nowhere"):
        run_many(slow_jobs.counting(tmp_path, 1), tmp_path, RayJobs(1, "nowhere"))
    with pytest.raises(ConfigError, match="--jobs -2"):
        RayJobs(-2)


def test_without_ray_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDataError, match="pip install 'dialogue-ser"):
        RayJobs(1)
