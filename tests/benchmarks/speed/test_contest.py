import time
from functools import partial

import pytest
import torch

from benchmarks.speed import contest
from benchmarks.speed.contest import WIRINGS, Work, interleaved, machine, ours, packed, plain, work

CPU = torch.device("cpu")


@pytest.fixture
def batch() -> Work:
    return work(torch.tensor([[0, 1, 0, 2, 1], [0, -1, -1, -1, -1]]), torch.tensor([5, 1]), device=CPU)


def test_all_candidates_read_the_same_inputs(batch: Work) -> None:
    assert torch.equal(batch.x_BTD, batch.x_TBD.transpose(0, 1))
    assert batch.speaks_TBP.sum(-1).T.tolist() == [[1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]
    assert batch.speaks_TBP.shape[-1] == contest.N_LOOP_PARTIES
    assert batch.n_turns == 6


def test_a_train_step_changes_the_weights_and_inference_does_not(batch: Work) -> None:
    gru = packed(torch.nn.GRU(contest.INPUT_DIM, 8, bidirectional=True, batch_first=True), CPU)
    for candidate in (plain(True, CPU), *(ours(system, CPU) for system in WIRINGS), gru):
        before = [p.clone() for p in candidate.module.parameters()]
        candidate.infer(batch)
        assert all(map(torch.equal, before, candidate.module.parameters()))
        assert not candidate.module.training
        candidate.train(batch)
        assert candidate.module.training
        assert not any(map(torch.equal, before, candidate.module.parameters()))


def test_gradients_reach_x_only_where_asked_for(batch: Work) -> None:
    candidate = ours("DialogueRNN", CPU)
    candidate.train(batch)
    assert batch.x_BTD.grad is None
    with_gradient = batch.with_gradient()
    candidate.train(with_gradient)
    assert with_gradient.x_BTD.grad is not None


def test_candidates_take_turns_and_every_other_round_goes_backwards() -> None:
    order: list[str] = []
    runs = {name: [partial(order.append, name)] * (2 if name == "b" else 1) for name in "abc"}
    advanced: list[int] = []
    seconds = interleaved(runs, 3, CPU, lambda: advanced.append(1))
    assert "".join(order) == "abbccbbaabbc"
    assert [[len(steps) for steps in rounds] for rounds in seconds.values()] == [[1] * 3, [2] * 3, [1] * 3]
    assert len(advanced) == 9


def test_the_stopwatch_waits_for_the_device_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(contest, "synchronize", lambda device: events.append("wait"))
    clock = time.perf_counter
    monkeypatch.setattr(contest.time, "perf_counter", lambda: events.append("clock") or clock())
    contest.stopwatch(lambda: events.append("run"), CPU)
    assert events == ["wait", "clock", "run", "wait", "clock"]


def test_the_machine_is_named_in_one_line() -> None:
    line = machine(CPU)["line"]
    assert "threads" in line
    assert "\n" not in line
