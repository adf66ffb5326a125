import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.many.cores import count_workers, thread_limits


def test_workers_share_the_cores(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert thread_limits(2)["OMP_NUM_THREADS"] == "1"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_limits(10_000)["MKL_NUM_THREADS"] == "1"
    assert count_workers(0) >= 1
    with pytest.raises(ConfigError, match="--workers -1: must be at least 0"):
        count_workers(-1)
    with pytest.raises(ConfigError, match="--jobs -1"):
        count_workers(-1, "--jobs")
