import pytest
import torch

from benchmarks.speed import growth
from benchmarks.speed.growth import AXES, LARGEST_LOOP, LOOP, SYSTEMS, build, repeated, sized, sizes_for
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("axis", "size", "shape"), [("turns", 64, (1, 64)), ("batch", 4, (4, 16)), ("parties", 8, (4, 128))]
)
def test_only_what_an_axis_names_changes(axis: str, size: int, shape: tuple[int, int]) -> None:
    batch = sized(axis, size, device=CPU, for_loop=True)
    n_parties = {"turns": 2, "batch": 3, "parties": size}[axis]
    assert batch.speaker_BT.shape == shape
    assert batch.speaker_BT.unique().tolist() == list(range(n_parties))
    assert batch.speaks_TBP.shape[-1] == n_parties
    assert sized(axis, size, device=CPU).speaks_TBP.numel() == 0, "only the loop pays for its one-hot"


def test_the_loop_stops_early_and_ours_do_not() -> None:
    for axis, sizes in AXES.items():
        assert sizes_for("EmotionRNN", axis, quick=False) == sizes
        assert max(sizes_for(LOOP, axis, quick=False)) == LARGEST_LOOP[axis]


def test_names_of_systems_are_what_they_build() -> None:
    kinds = {}
    for system in SYSTEMS[:-1]:
        module = build(system, CPU).module
        assert isinstance(module, DialogueRecurrence)
        kinds[system] = (len(module.wiring.planes), module.wiring.updates_listeners, module.attention.kind)
    assert kinds == {
        "EmotionRNN, simple attention": (2, True, "simple"),
        "EmotionRNN": (2, True, "general"),
        "DialogueRNN, listeners": (1, True, "general"),
        "DialogueRNN": (1, False, "general"),
    }


def test_short_batches_are_repeated_for_the_clock() -> None:
    seen: list[int] = []
    for step in repeated(lambda batch: seen.append(batch.n_turns), sized("turns", 64, device=CPU)):
        step()
    assert seen == [64] * 4
    assert len(repeated(lambda _: None, sized("turns", 512, device=CPU))) == 1


def test_time_per_turn_is_that_of_the_middle_step() -> None:
    assert growth.per_turn([[0.2, 0.1], [9.0, 0.3], [0.1, 0.2]], n_turns=1000) == pytest.approx(200)


def test_the_picture_has_plain_ticks_and_leaves_out_what_is_missing() -> None:
    rows = [
        {"system": system, "size": size, "microseconds_per_turn": 3.0 * size} for system in SYSTEMS for size in (2, 64)
    ]
    result = {"machine": {"line": "here"}, "growth": {axis: {"held": "all", "rows": rows} for axis in AXES}}
    assert growth.picture(result).startswith(b"\x89PNG")
    figure = growth.figure(result)
    figure.canvas.draw()
    time, memory = figure.axes[0], figure.axes[3]
    assert [line.get_label() for line in time.lines] == list(SYSTEMS)
    assert len(memory.lines) == 0
    assert [label.get_text() for label in time.get_xticklabels()] == ["2", "64"]
    assert {"10", "100"} <= {label.get_text() for label in time.get_yticklabels()}
    assert not any("$" in label.get_text() for label in time.get_yticklabels(which="both"))
