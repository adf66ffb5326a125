import json

import pytest

from dialogue_ser.training.record.tracking import MetricsFile


def test_lines_are_whole_and_readable_at_once_and_cut_back_exactly(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    metrics.write({"kind": "step", "loss": 0.1})
    n_bytes = metrics.n_bytes
    metrics.write({"kind": "step", "loss": 0.2})
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    metrics.truncate(n_bytes)
    metrics.write({"kind": "epoch"})
    metrics.close()
    metrics.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["step", "epoch"]


def test_a_file_opened_again_goes_on_at_its_end(tmp_path):
    for number in range(2):
        metrics = MetricsFile(tmp_path / "metrics.jsonl")
        metrics.write({"n": number})
        metrics.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_metrics_shorter_than_the_checkpoint_knows_are_refused(tmp_path):
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match=r"0 bytes, but it had 10 at the checkpoint"):
        metrics.truncate(10)
    metrics.close()


def test_ranks_without_a_file_write_nothing():
    metrics = MetricsFile(None)
    metrics.write({"kind": "step"})
    metrics.sync()
    metrics.truncate(0)
    metrics.close()
    assert metrics.n_bytes == 0
