"""The gradient of a step with auxiliary losses is that of the stated formula, however the batches are divided."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError, TrainingError
from dialogue_ser.models.api import Output
from dialogue_ser.training.config.run_config import LossConfig, OptimizerConfig, TrainingConfig
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.gradient.terms import Denominators, Terms
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.loss import DialogueLoss
from dialogue_ser.training.loop.optimize import build_optimizer

sys.path.insert(0, str(Path(__file__).parents[2]))
from two_heads import FIRST, SECOND, TASK, WEIGHTS, WITHOUT_SENTIMENT, TwoHeads

CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)


def learner_of(system: nn.Module, loss: DialogueLoss | None = None, learning_rate: float = 1.0, **settings) -> Learner:
    config = OptimizerConfig(name="sgd", learning_rate=learning_rate, weight_decay=0.0, clip_norm=0.0)
    return Learner(
        system,
        build_optimizer(system, config),
        loss or DialogueLoss(LossConfig(), TASK, CLASS_WEIGHTS),
        config=config,
        total_steps=10,
        accelerator=make_accelerator(TrainingConfig(device="cpu", **settings)),
    )


def system_of(weights=WEIGHTS) -> TwoHeads:
    torch.manual_seed(0)
    return TwoHeads(4, 3, weights).double()


def right_loss(system: TwoHeads, batches: list[DialogueBatch], weights=WEIGHTS) -> torch.Tensor:
    """The formula, turn by turn."""
    sums = {name: [0.0, 0.0] for name in ("main", *WEIGHTS)}

    def add(name: str, value: torch.Tensor, count: float) -> None:
        sums[name][0], sums[name][1] = sums[name][0] + value, sums[name][1] + count

    for batch in batches:
        for b, n_turns in enumerate(batch.n_turns.tolist()):
            for t in range(n_turns):
                x, label = batch.features["text"][b, t], int(batch.label[b, t])
                add("size", system.head(x).square().sum(), 1)
                if label >= 0:
                    weight = CLASS_WEIGHTS[label]
                    add("main", -weight * system.head(x).log_softmax(-1)[label], weight)
                    add("again", -weight * system.again(x).log_softmax(-1)[label], weight)
                mood = -100 if batch.sentiment is None else int(batch.sentiment[b, t])
                if mood >= 0:
                    add("sentiment", -system.sentiment(x).log_softmax(-1)[mood], 1)
    means = {name: value / count if count else 0.0 for name, (value, count) in sums.items()}
    return means["main"] + sum(weight * means[name] for name, weight in weights.items())


@pytest.mark.parametrize("weights", [WEIGHTS, {"sentiment": 2.0, "again": 0.0, "size": 0.7}])
@pytest.mark.parametrize(
    "batches", [[FIRST], [FIRST, SECOND], [SECOND, WITHOUT_SENTIMENT, FIRST], [WITHOUT_SENTIMENT]], ids=range(4)
)
def test_the_gradient_is_that_of_the_formula_over_all_batches(batches, weights):
    system, right = system_of(weights), system_of(weights)
    right_loss(right, batches, weights).backward()
    before = {name: value.detach().clone() for name, value in system.named_parameters()}
    learner_of(system).step(batches, 0)
    for name, value in right.named_parameters():
        moved = before[name] - system.get_parameter(name).detach()
        expected = torch.zeros_like(moved) if value.grad is None else value.grad
        torch.testing.assert_close(moved, expected, rtol=0, atol=1e-12, msg=name)


def test_a_step_tells_the_sum_and_the_count_of_each_term_and_the_main_loss_alone():
    system = system_of()
    with torch.no_grad():
        expected = right_loss(system, [FIRST, SECOND], {})
    result = learner_of(system, learning_rate=0.0).step([FIRST, SECOND], 0)
    assert result.loss == pytest.approx(float(expected), abs=1e-12)
    assert {name: count for name, (_, count) in result.auxiliary.items()} == {
        "sentiment": 4.0, "again": result.denominator, "size": 6.0,
    }  # fmt: skip


def test_a_step_without_any_labelled_turn_still_learns_the_terms_that_have_turns():
    unlabelled = replace(FIRST, label=torch.full_like(FIRST.label, -100))
    system, right = system_of(), system_of()
    right_loss(right, [unlabelled]).backward()
    before = system.sentiment.weight.detach().clone()
    result = learner_of(system).step([unlabelled], 0)
    assert (result.loss, result.denominator) == (0.0, 0.0)
    torch.testing.assert_close(before - system.sentiment.weight.detach(), right.sentiment.weight.grad)


def test_without_auxiliary_losses_nothing_is_counted_and_nothing_is_exchanged():
    calls = []
    accelerator = SimpleNamespace(num_processes=2, reduce=lambda *_, **__: calls.append(1))
    loss = DialogueLoss(LossConfig(), TASK)
    assert Terms([system_of({})], loss).denominators([FIRST], accelerator) == Denominators()
    numerator = torch.ones((), dtype=torch.float32)
    assert Terms([system_of({})], loss).total(numerator, [], Denominators()) is numerator
    assert calls == []


def test_a_process_without_a_batch_counts_as_the_others_do():
    told = []

    def reduce(value, reduction):
        told.append(value.tolist())
        return torch.tensor([3.5, 4.0, 0.0, 6.0, 1.0, 0.0, 1.0], dtype=torch.float64)

    accelerator = SimpleNamespace(num_processes=2, reduce=reduce, device="cpu")
    found = Terms([system_of()], DialogueLoss(LossConfig(), TASK)).denominators([], accelerator)
    assert told == [[0.0] * 7]
    assert found == Denominators(3.5, {"sentiment": 4.0, "size": 6.0})
    assert (found.ratio("sentiment"), found.ratio("again")) == (0.875, 1.0)


def test_the_denominator_on_the_host_is_that_of_the_outputs():
    votes = torch.zeros(2, 3, 3)
    votes[0, 2, 1] = 1.0  # a turn without a label, but with a vote
    soft = replace(FIRST, label_distribution=votes)
    for batch, config in (
        (FIRST, LossConfig()),
        (soft, LossConfig(soft_labels=True)),
        (FIRST, LossConfig(kind="binary")),
    ):
        loss = DialogueLoss(config, TASK, CLASS_WEIGHTS)
        scores = torch.randn(*batch.label.shape, 3, dtype=torch.float64)
        assert loss.denominator(batch) == pytest.approx(float(loss(Output(scores, {}), batch)[1]), abs=1e-12)


def own(log_probs, label):
    return -log_probs.gather(1, label[:, None]).sum(), log_probs.detach().exp().sum() / 2 + log_probs[:, 0].exp().sum()


def test_a_users_loss_whose_denominator_depends_on_the_outputs_is_refused_beside_auxiliary_losses(monkeypatch):
    monkeypatch.setitem(sys.modules, "own_losses", SimpleNamespace(own=own))
    loss = DialogueLoss(LossConfig(kind="own_losses:own"), TASK)
    with pytest.raises(TrainingError, match=r"loss: its denominator is .* targets only"):
        learner_of(system_of(), loss).step([FIRST], 0)
    learner_of(system_of({"sentiment": 0, "again": 1.0, "size": 0}), loss).step(
        [FIRST], 0
    )  # divided as the main loss: always exact


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"auxiliary_counts": {"sentimant": 1}}, r"unknown auxiliary loss 'sentimant'.* did you mean 'sentiment'"),
        ({"auxiliary_counts": {"size": float("nan")}}, "found the count nan"),
        ({"auxiliary_numerators": {"size": torch.ones(())}}, "'sentiment': found nothing, expected a single number"),
        ({"auxiliary_numerators": {"sentiment": torch.ones(2)}}, r"'sentiment': found a tensor \[2\]"),
        ({"auxiliary_numerators": {"other": torch.ones(())}}, "unknown auxiliary loss 'other'"),
    ],
)
def test_wrong_terms_are_named(changed, message, monkeypatch):
    for name, value in changed.items():
        monkeypatch.setattr(TwoHeads, name, lambda self, *_, value=value: value)
    with pytest.raises(TrainingError, match=message):
        learner_of(system_of()).step([FIRST], 0)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_wrong_weights_are_refused_when_training_begins(weight):
    with pytest.raises(ConfigError, match="auxiliary loss 'size': found the weight"):
        learner_of(system_of({"size": weight}))


def test_two_terms_of_one_name_are_refused():
    with pytest.raises(ConfigError, match="two parts of the training have it"):
        Terms([system_of(), system_of()], DialogueLoss(LossConfig(), TASK))


def test_a_term_that_is_not_finite_stops_the_step_by_its_name():
    system = system_of()
    before = system.head.weight.detach().clone()
    with torch.no_grad():
        system.sentiment.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="step 1: the auxiliary loss sentiment is not finite"):
        learner_of(system).step([FIRST], 0)
    assert torch.equal(system.head.weight, before)


def test_terms_in_half_precision_are_summed_in_float32():
    system = system_of().float()
    batch = replace(FIRST, features={"text": FIRST.features["text"].float()})
    result = learner_of(system, precision="bf16").step([batch], 0)
    assert all(torch.isfinite(torch.tensor(pair)).all() for pair in result.auxiliary.values())
    assert system.sentiment.weight.dtype == torch.float32


def test_metrics_and_report_show_each_term(tiny, tmp_path, monkeypatch):
    from dialogue_ser.models import MODELS
    from dialogue_ser.training.run import train

    class Sized(TwoHeads):
        Config = MODELS["utterance"].Config
        speaker_aware = bidirectional_recurrence = False
        speaker_equivariant = causal = True

        def __init__(self, config, inputs, n_scores):
            super().__init__(inputs["text"].dim, n_scores)
            self.inputs, self.config = dict(inputs), config

    monkeypatch.setitem(sys.modules, "own_systems", SimpleNamespace(Sized=Sized))
    run = train(
        tiny.tiny_config(**{"model.name": "own_systems:Sized", "model.options": {}, "training.epochs": 2}),
        tmp_path / "run",
    )
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert [list(row["auxiliary"]) for row in epochs] == [["sentiment", "again", "size"]] * 2
    steps = [row["auxiliary"]["size"] for row in rows if row["kind"] == "step" and row["epoch"] == 1]
    assert min(steps) <= epochs[0]["auxiliary"]["size"] <= max(steps)
