import sys

import pytest
import torch
from rich.progress import Progress

from benchmarks import memory
from benchmarks.memory import add_peaks, long_dialogue, peaks

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_a_child_reports_peaks_that_grow_with_the_dialogue() -> None:
    measured = peaks("DialogueRNN", "batch", (1, 256), CPU, threads=1)
    assert measured is not None
    idle, (small, large) = measured
    inputs = 256 * 16 * 600 * 4
    assert idle < 2e9
    assert 0 < small - idle < 1e8
    assert large - idle > max(3 * inputs, 2 * (small - idle))


def test_where_no_peak_is_told_rows_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "peaks", lambda *_: None)
    growth = {axis: {"rows": [{"system": "EmotionRNN", "size": 8}]} for axis in memory.AXES}
    with Progress(disable=True) as progress:
        add_peaks(growth, CPU, progress, quick=False, threads=1)
        assert long_dialogue(CPU, progress, quick=False, threads=1)["dialogue_500_turns_64_parties_gb"] is None
    assert growth["turns"]["rows"] == [{"system": "EmotionRNN", "size": 8}]
