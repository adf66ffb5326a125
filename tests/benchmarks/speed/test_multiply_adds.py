import numpy as np
import pytest
import torch

from benchmarks.speed.contest import INPUT_DIM, WIRINGS
from benchmarks.speed.multiply_adds import (
    average_listeners,
    average_updates,
    equal_work_gru,
    listener_updates,
    per_turn,
)
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.layout import build_layout


@pytest.mark.parametrize(
    ("system", "millions"), [("DialogueRNN", 0.98), ("DialogueRNN, listeners", 1.49), ("EmotionRNN", 2.3)]
)
def test_counts_are_those_of_the_goals_at_their_number_of_listeners(system: str, millions: float) -> None:
    counted = per_turn(DialogueRecurrence(INPUT_DIM, WIRINGS[system]), updates=2.7)
    assert counted / 1e6 == pytest.approx(millions, abs=0.01)


def test_gru_of_equal_work_is_the_nearest() -> None:
    gru = equal_work_gru(1.5e6, INPUT_DIM)
    work = sum(p.numel() for name, p in gru.named_parameters() if "weight" in name) / 2
    assert work == pytest.approx(1.5e6, rel=0.005)


def test_listener_updates_are_those_the_engine_plans() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        speakers = rng.integers(0, 4, size=int(rng.integers(1, 15)))
        layout = build_layout(torch.from_numpy(speakers)[None], torch.tensor([len(speakers)]), bidirectional=True)
        both = [listener_updates(row.tolist()) for row in (speakers, speakers[::-1])]
        steps = [step.n_listeners for step in layout.steps]
        assert max(both) <= layout.n_listener_updates == sum(steps) <= sum(both)


def test_an_average_counts_both_directions_and_every_turn() -> None:
    dialogues = [[0, 1, 0], [0, 0]]
    assert average_updates(dialogues) == pytest.approx(4 / 10)
    assert average_listeners(dialogues) == pytest.approx(3 / 5)
