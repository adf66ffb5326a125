import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import memory, recurrence
from benchmarks.speed import growth
from dialogue_ser.report.readme import RENDERERS

RATIOS = {
    "train_vs_loop",
    "train_vs_loop_listeners",
    "infer_vs_loop",
    "vs_equal_work_gru",
    "emotion_rnn_vs_dialogue_rnn",
    "scaling_64_to_4096",
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"turns": (2, 4), "batch": (1,), "parties": (2,)}
    monkeypatch.setattr(growth, "QUICK", sizes)
    monkeypatch.setattr(growth, "AXES", sizes)
    monkeypatch.setattr(memory, "AXES", sizes)
    monkeypatch.setattr(growth, "SHORT", 3)
    monkeypatch.setattr(growth, "LONG", 5)
    monkeypatch.setattr(growth, "CLOCK_TURNS", 1)
    monkeypatch.setattr(growth, "ROUNDS", 1)
    monkeypatch.setattr(recurrence, "BATCH_SIZE", 1)
    shaped = growth.shaped  # the dialogues of an axis are long while something else grows
    monkeypatch.setattr(growth, "shaped", lambda n, turns, *rest, **more: shaped(n, min(turns, 6), *rest, **more))
    # the child processes are tested by themselves
    monkeypatch.setattr(memory, "peaks", lambda system, axis, sizes, *_: (1e8, [2e8 + size for size in sizes]))


@pytest.fixture
def result(small: None, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "recurrence.json"
    assert recurrence.main(["--json", str(path), "--batches", "1", "--repeats", "1", "--threads", "1"]) == 0
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def test_a_full_run_gives_every_ratio_and_its_tables(result: dict[str, Any], tmp_path: Path) -> None:
    from benchmarks import tables  # noqa: F401  # registers the renderers

    ratios, train = result["ratios"], {row["candidate"]: row["milliseconds_per_batch"] for row in result["train"]}
    assert ratios.keys() == RATIOS
    assert ratios["train_vs_loop"] == pytest.approx(train["plain loop"] / train["DialogueRNN"])
    assert ratios["vs_equal_work_gru"] == max(result["vs_equal_work_gru_by_system"].values())
    assert result["memory"]["dialogue_500_turns_64_parties_gb"] == pytest.approx(0.2000005)
    assert {row["system"] for row in result["growth"]["turns"]["rows"]} == set(growth.SYSTEMS)
    assert all(row["peak_megabytes"] > 100 for row in result["growth"]["batch"]["rows"])
    for name in ("ratios", "times", "work", "turns", "batch", "parties"):
        assert "| EmotionRNN" in RENDERERS[f"recurrence-{name}"](tmp_path) or name == "ratios"
    assert f"| {ratios['train_vs_loop']:.2f} | ≥ 8 |" in RENDERERS["recurrence-ratios"](tmp_path)


def test_quick_leaves_out_the_sizes_not_the_ratios(small: None, tmp_path: Path) -> None:
    path = tmp_path / "quick.json"
    assert recurrence.main(["--quick", "--json", str(path), "--batches", "1", "--repeats", "1", "--threads", "1"]) == 0
    quick = json.loads(path.read_text())
    assert quick["ratios"].keys() == RATIOS
    assert quick["is_quick"]
    assert "train_gradient_to_x" not in quick
    assert "peak_megabytes" not in quick["growth"]["turns"]["rows"][0]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--fast"], "--fast"),
        (["--repeats", "0"], "--repeats 0"),
        (["--threads", "two"], "two"),
        (["--device", "tpu"], "tpu"),
        (["--json", "/no/such/folder/x.json"], "no folder"),
        (["--json", "x.png"], ".png"),
        (["--quick", "--record"], "--record"),
    ],
)
def test_a_wrong_flag_ends_at_once_with_one_line(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        recurrence.main(arguments)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert word in message
    assert message.startswith("error: ")
    assert message.count("\n") == 1


def test_an_interrupted_run_writes_nothing_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recurrence, "measure", stop)
    assert recurrence.main(["--json", str(tmp_path / "x.json")]) == 130
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "stopped; nothing was written\n"
