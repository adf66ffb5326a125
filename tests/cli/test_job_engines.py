import sys

import pytest

from dialogue_ser.cli.job_engines import job_engine
from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.many.engines import Processes
from dialogue_ser.many.ray_engine import RayJobs


def test_the_flags_name_processes_of_this_machine_or_ray(monkeypatch):
    local = job_engine("crossval", "local", 3, None, 0.0)
    assert isinstance(local, Processes)
    assert local.n_jobs == 3
    monkeypatch.setitem(sys.modules, "ray", sys)
    assert isinstance(job_engine("crossval", "ray", 2, "auto", 0.5), RayJobs)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("local", 1, "auto", 0.0), "crossval: --address is for --engine ray"),
        (("local", 1, None, 1.0), "crossval: --gpus is for --engine ray"),
        (("rey", 1, None, 0.0), "--engine: found 'rey', expected local or ray"),
        (("local", -1, None, 0.0), "--jobs -1"),
        (("ray", 1, None, -1.0), "--gpus: found -1, expected at least 0"),
    ],
)
def test_wrong_flags_are_refused(flags, problem):
    with pytest.raises(ConfigError, match=problem):
        job_engine("crossval", *flags)


def test_without_ray_the_engine_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDataError, match=r"pip install 'dialogue-ser\[ray\]'"):
        job_engine("crossval", "ray", 1, None, 0.0)


def test_a_negative_number_is_named_by_the_flag_of_the_command():
    with pytest.raises(ConfigError, match="--workers -1: must be at least 0"):
        job_engine("sweep run", "local", -1, None, 0.0, flag="--workers")
