import sys
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import TrainingError
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.config.run_config import LossConfig, OptimizerConfig, TrainingConfig
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.gradient.terms import Denominators
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.loss import DialogueLoss
from dialogue_ser.training.loop.optimize import build_optimizer

CLASSES = Classification(LabelSet("mood", ("calm", "cross")))
VALUES = Regression(("valence", "arousal"), centres=(1.0, 2.0), scales=(0.5, 1.5))


class Linear(DialogueSystem):
    name = "linear"

    def __init__(self) -> None:
        super().__init__({}, 2)
        self.head = nn.Linear(3, 2)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        return Output(self.head(batch.features["text"]), {})


def batch_of(*dialogues: list[int], fill: float = 1.0) -> DialogueBatch:
    """Return a batch of dialogues with these labels; the features follow from the labels."""
    n_turns = torch.tensor([len(labels) for labels in dialogues])
    shape = (len(dialogues), int(n_turns.max()))
    label = torch.full(shape, -100)
    for b, labels in enumerate(dialogues):
        label[b, : len(labels)] = torch.tensor(labels)
    is_real = torch.arange(shape[1])[None] < n_turns[:, None]
    values = fill * torch.stack([label.clamp_min(0), label == 1, is_real], dim=2).float()
    return DialogueBatch(
        features={"text": values},
        is_present={"text": is_real},
        speaker=torch.where(is_real, 0, -1),
        n_turns=n_turns,
        label=label,
        is_real_turn=is_real,
        utterance_ids=tuple(tuple(f"train/d{b}_u{t}" for t in range(len(d))) for b, d in enumerate(dialogues)),
    )


def learner_of(
    seed: int = 0,
    ema_decay: float = 0.0,
    precision: str = "no",
    fused: bool = False,
    task: Task = CLASSES,
    loss: str | None = None,
    **settings: object,
) -> Learner:
    accelerator = make_accelerator(TrainingConfig(device="cpu", precision=precision))
    torch.manual_seed(seed)
    system = Linear()
    config = OptimizerConfig(**{"name": "sgd", "learning_rate": 0.5, "weight_decay": 0.0, "clip_norm": 0.0} | settings)
    optimizer = build_optimizer(system, config)
    for group in optimizer.param_groups:
        group["fused"] = fused  # as on a GPU: the kernel skips bad steps, not the host
    return Learner(
        system,
        optimizer,
        DialogueLoss(LossConfig(kind=loss), task),
        config=config,
        total_steps=10,
        accelerator=accelerator,
        ema_decay=ema_decay,
    )


def test_the_mean_is_over_turns_not_over_batches():
    # One turn in the first batch, three in the second: averaging the batches' means would weigh the first too much.
    accumulated, whole = learner_of(), learner_of()
    first = accumulated.step([batch_of([0]), batch_of([1, 1, 1])], step=0)
    second = whole.step([batch_of([0], [1, 1, 1])], step=0)
    assert first.denominator == second.denominator == 4.0
    assert first.loss == pytest.approx(second.loss, abs=1e-7)
    torch.testing.assert_close(accumulated.system.head.weight, whole.system.head.weight)
    split = learner_of()
    split.step([batch_of([0])], step=0)
    assert not torch.allclose(split.system.head.weight, whole.system.head.weight)


def with_values(batch: DialogueBatch) -> DialogueBatch:
    """Return a batch whose values follow from the label; the first turn of each dialogue lacks the second dimension."""
    label = torch.where(batch.label >= 0, batch.label.float(), torch.nan)
    value = torch.stack([label, 3 * label], dim=-1)
    value[:, 0, 1] = torch.nan
    return replace(batch, label=torch.full_like(batch.label, -100), value=value)


def largest_error(value_NS: torch.Tensor, gold_NS: torch.Tensor) -> torch.Tensor:
    return (value_NS - gold_NS).abs().nan_to_num(0.0).amax(1)


@pytest.mark.parametrize(("loss", "denominator"), [("mse", 6.0), ("own_losses:largest_error", 4.0)])
def test_losses_of_values_are_divided_once_over_accumulated_batches(loss, denominator, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_losses", SimpleNamespace(largest_error=largest_error))
    accumulated, whole = learner_of(task=VALUES, loss=loss), learner_of(task=VALUES, loss=loss)
    first = accumulated.step([with_values(batch_of([0])), with_values(batch_of([1, 1, 1]))], step=0)
    second = whole.step([with_values(batch_of([0], [1, 1, 1]))], step=0)
    assert first.denominator == second.denominator == denominator
    assert first.loss == pytest.approx(second.loss, abs=1e-6)
    torch.testing.assert_close(accumulated.system.head.weight, whole.system.head.weight)


def test_a_step_without_any_annotated_turn_changes_nothing():
    for loss in ("ccc", "mse"):
        learner = learner_of(task=VALUES, loss=loss)
        before = learner.system.head.weight.detach().clone()
        result = learner.step([with_values(batch_of([-100, -100]))], step=0)
        assert (result.loss, result.grad_norm) == (0.0, 0.0)
        assert torch.equal(learner.system.head.weight, before)


def test_the_gradient_norm_is_clipped_and_the_norm_before_is_reported():
    free, clipped = learner_of(), learner_of(clip_norm=0.01)
    before = clipped.system.head.weight.detach().clone(), clipped.system.head.bias.detach().clone()
    batch = batch_of([0, 1, 1])
    norms = [learner.step([batch], step=0).grad_norm for learner in (free, clipped)]
    assert norms[0] == norms[1] > 0.01
    moved = torch.cat([(clipped.system.head.weight - before[0]).flatten(), clipped.system.head.bias - before[1]])
    assert float(moved.detach().norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_the_penalty_is_in_the_step_and_its_norm_but_not_in_the_reported_loss():
    plain, penalised = learner_of(), learner_of(l2={"head": 0.1})
    weight, batch = penalised.system.head.weight.detach().clone(), batch_of([0, 1, 1])
    results = [learner.step([batch], step=0) for learner in (plain, penalised)]
    assert results[0].loss == results[1].loss
    moved = weight - plain.system.head.weight  # 0.5 · gradient of the data
    expected = weight - moved - 0.5 * 2 * 0.1 * weight
    torch.testing.assert_close(penalised.system.head.weight, expected)
    torch.testing.assert_close(penalised.system.head.bias, plain.system.head.bias)
    bias = penalised.system.head.bias.grad
    norm = torch.cat([(2 * moved + 0.2 * weight).flatten(), bias]).norm().item()
    assert results[1].grad_norm == pytest.approx(norm, rel=1e-5)


def test_the_penalty_counts_once_over_accumulated_batches():
    once, twice = learner_of(l2={"head": 0.1}), learner_of(l2={"head": 0.1})
    once.step([batch_of([0], [1])], step=0)
    twice.step([batch_of([0]), batch_of([1])], step=0)
    torch.testing.assert_close(once.system.head.weight, twice.system.head.weight)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("fill", [float("nan"), float("inf")])
def test_bad_features_stop_before_the_step_and_name_the_turns(fill, fused):
    learner = learner_of(weight_decay=0.1, clip_norm=1.0, fused=fused)
    before = {name: value.clone() for name, value in learner.system.state_dict().items()}
    bad = batch_of([0, 1, 1])
    bad.features["text"][0, 1] = fill
    with pytest.raises(TrainingError, match=r"step 8: the loss is not finite \(features are not finite: train/d0_u1\)"):
        learner.step([batch_of([0, 1]), bad], step=7)
    for name, value in learner.system.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_that_is_not_finite_stops_before_the_step_although_the_loss_is(fused):
    learner = learner_of(fused=fused, clip_norm=1.0)
    before = learner.system.head.weight.detach().clone()
    learner.system.head.weight.register_hook(lambda gradient: gradient * float("nan"))
    with pytest.raises(
        TrainingError, match=r"step 1: the gradient is not finite \(turns were in the step: train/d0_u0"
    ):
        learner.step([batch_of([0, 1])], step=0)
    assert torch.equal(learner.system.head.weight, before)


def test_a_step_without_any_labelled_turn_changes_nothing():
    learner = learner_of()
    before = learner.system.head.weight.detach().clone()
    result = learner.step([batch_of([-100, -100])], step=0)
    assert (result.loss, result.grad_norm) == (0.0, 0.0)
    assert torch.equal(learner.system.head.weight, before)


def test_the_moving_average_judges_and_the_own_weights_come_back():
    learner = learner_of(ema_decay=0.9)
    start = learner.system.head.weight.detach().clone()
    learner.step([batch_of([0, 1, 1])], step=0)
    own = learner.system.head.weight.detach().clone()
    with learner.evaluation_weights() as system:
        assert not system.training
        torch.testing.assert_close(system.head.weight, 0.9 * start + 0.1 * own)
    assert torch.equal(learner.system.head.weight, own)


def test_state_put_into_a_fresh_learner_goes_on_bitwise_equal():
    settings = {"name": "adamw", "ema_decay": 0.9}
    first, second = learner_of(**settings), learner_of(seed=9, **settings)
    batch = batch_of([0, 1, 1], [1, 0])
    first.step([batch], step=0)
    second.load_tensors(first.tensors())
    results = [partial(learner.step, [batch])(step=1) for learner in (first, second)]
    assert results[0] == results[1]
    for name, value in first.tensors().items():
        assert torch.equal(value, second.tensors()[name]), name


def test_bf16_autocast_learns_and_keeps_the_loss_in_float32():
    learner = learner_of(precision="bf16")
    losses = [learner.step([batch_of([0, 1, 1], [1, 0])], step=step).loss for step in range(5)]
    assert losses[-1] < losses[0]
    assert learner.system.head.weight.dtype == torch.float32


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_skipping_on_the_device_learns_the_same_and_a_skipped_step_keeps_the_state(name):
    settings = {"name": name, "ema_decay": 0.9, "weight_decay": 0.1, "clip_norm": 0.2, "learning_rate": 0.1}
    on_device, on_host = learner_of(fused=True, **settings), learner_of(**settings)
    for step in range(3):
        results = [learner.step([batch_of([0, 1, 1], [1, 0])], step=step) for learner in (on_device, on_host)]
        assert results[0].loss == pytest.approx(results[1].loss, rel=1e-6)
        assert results[0].grad_norm == pytest.approx(results[1].grad_norm, rel=1e-6)
    before = {name: value.clone() for name, value in on_device.tensors().items()}
    for name, value in on_host.tensors().items():
        torch.testing.assert_close(before[name], value, rtol=1e-6, atol=1e-7)
    bad = batch_of([0, 1, 1], fill=float("nan"))
    with pytest.raises(TrainingError, match="the loss is not finite"):
        on_device.step([bad], step=3)
    for name, value in on_device.tensors().items():
        assert torch.equal(value, before[name]), name
    assert on_device.step([batch_of([0, 1])], step=3).grad_norm > 0  # the next good step is made again


def test_nothing_is_read_from_the_device_before_the_whole_step_is_queued():
    # Tensors on the device meta have shapes but no values, so reading one is an error.
    learner = learner_of()
    learner.system.to("meta")
    learner.accelerator = learner.gradient.accelerator = SimpleNamespace(
        device=torch.device("meta"),
        scaler=None,
        num_processes=1,
        autocast=nullcontext,
        backward=lambda loss: loss.backward(),
        reduce=lambda value, reduction: value,
    )
    batches = [batch_of([0, 1, -100], [1]), batch_of([1])]
    numbers, norm, seen = learner._backward(batches, Denominators(), 0, False)
    assert (numbers.shape, norm.shape, len(seen)) == ((4,), (), 2)
    learner._clip(norm)
    with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
        numbers.tolist()  # this error would have come from a read
