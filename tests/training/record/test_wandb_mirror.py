import json
import os

from dialogue_ser.training.record.wandb_mirror import flat, follow, log_row


class FakeRun:
    def __init__(self) -> None:
        self.logged: list[dict] = []
        self.summary: dict = {}

    def log(self, values: dict) -> None:
        self.logged.append(values)


def test_following_starts_at_the_given_byte_waits_for_half_lines_and_ends_at_the_summary(tmp_path):
    path = tmp_path / "metrics.jsonl"
    first = json.dumps({"kind": "step", "n": 1}) + "\n"
    path.write_text(first + '{"kind": "step", "n": 2}\n{"kind": "summary"}\n{"kind": "step", "n": 3}\n')
    assert [row.get("n") for row in follow(path, len(first), os.getppid())] == [2, None]
    path.write_text(first + '{"kind": "st')
    assert [row["n"] for row in follow(path, 0, parent=-1)] == [1]  # the parent is gone: what is whole, and no waiting


def test_rows_keep_their_kind_and_share_step_and_epoch(tmp_path):
    run = FakeRun()
    log_row(run, {"kind": "epoch", "epoch": 2, "step": 9, "dev": {"uar": 0.5}}, tmp_path)
    assert run.logged == [{"epoch": 2, "step": 9, "epoch/dev/uar": 0.5}]


def test_nested_metrics_are_flattened():
    assert flat({"a": {"b": {"c": 1}}, "d": None}) == {"a/b/c": 1, "d": None}
