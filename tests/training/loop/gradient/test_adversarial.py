"""Adversarial training adds the gradients of a second pass with moved weights, and leaves no other trace."""

import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.api import Output
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.run_config import (
    AdversarialConfig,
    ContrastiveConfig,
    LossConfig,
    OptimizerConfig,
    TrainingConfig,
)
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.gradient.adversarial import Attack, recurrent_inputs
from dialogue_ser.training.loop.gradient.terms import Denominators
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.loss import ContrastiveTerm, DialogueLoss
from dialogue_ser.training.loop.optimize import build_optimizer

sys.path.insert(0, str(Path(__file__).parents[2]))
from two_heads import FIRST, SECOND, TASK, TwoHeads

SETTINGS = {"epsilon": 0.7, "weights": ("head.", "again.weight")}


def learner_of(system: nn.Module, config: AdversarialConfig, contrastive=ContrastiveConfig(), seed=1) -> Learner:  # noqa: B008
    optimizer = OptimizerConfig(name="sgd", learning_rate=1.0, weight_decay=0.0, clip_norm=0.0)
    return Learner(
        system,
        build_optimizer(system, optimizer),
        DialogueLoss(LossConfig(), TASK),
        config=optimizer,
        total_steps=10,
        accelerator=make_accelerator(TrainingConfig(device="cpu")),
        sources=[ContrastiveTerm(contrastive, TASK)],
        attack=Attack(system, config, seed) if config.epsilon else None,
    )


def system_of() -> TwoHeads:
    torch.manual_seed(0)
    return TwoHeads(4, 3).double()


def gradients(batches: list[DialogueBatch], moves: dict[str, torch.Tensor], contrastive: ContrastiveConfig) -> dict:
    """The gradients of the whole loss with some weights moved, by the learner without an attack."""
    system = system_of()
    with torch.no_grad():
        for name, move in moves.items():
            system.get_parameter(name).add_(move)
    learner_of(system, AdversarialConfig(), contrastive).step(batches, 0)
    return {name: value.grad.clone() for name, value in system.named_parameters()}


@pytest.mark.parametrize("batches", [[FIRST], [FIRST, SECOND]], ids=["one", "accumulated"])
def test_the_gradient_is_the_clean_one_plus_that_of_the_second_pass_but_not_on_moved_weights(batches):
    contrastive = ContrastiveConfig(weight=0.4, adversarial_weight=0.2, temperature=0.5)
    clean = gradients(batches, {}, contrastive)
    names = ["head.weight", "head.bias", "again.weight"]
    moves = {name: 0.7 * clean[name] / clean[name].norm() for name in names}
    attacked = gradients(batches, moves, replace(contrastive, weight=0.2))
    system = system_of()
    before = {name: value.detach().clone() for name, value in system.named_parameters()}
    result = learner_of(system, AdversarialConfig(**SETTINGS), contrastive).step(batches, 0)
    for name, value in system.named_parameters():
        expected = clean[name] if name in names else clean[name] + attacked[name]
        torch.testing.assert_close(before[name] - value.detach(), expected, rtol=0, atol=1e-12, msg=name)
    assert {"contrastive", "adversarial"} <= set(result.auxiliary)
    value, count = result.auxiliary["adversarial"]
    assert value / count > result.loss  # the weights moved against the model


class Fails(nn.Module):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self.n_calls, self.limit = 0, limit

    def forward(self, x):
        self.n_calls += 1
        if self.n_calls > self.limit:
            raise KeyboardInterrupt
        return x


def test_an_interrupt_in_the_second_pass_leaves_the_weights_exactly_as_they_were():
    class System(TwoHeads):
        def forward(self, batch, *, return_attention=False):
            output = super().forward(batch)
            return Output(self.stop(output.scores_BTS), {}, output.auxiliary)

    system = System(4, 3).double()
    system.stop = Fails(2)
    before = {name: value.clone() for name, value in system.state_dict().items()}
    with pytest.raises(KeyboardInterrupt):
        learner_of(system, AdversarialConfig(**SETTINGS)).step([FIRST, SECOND], 0)
    assert system.stop.n_calls == 3
    for name, value in system.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_buffers_do_not_learn_from_the_second_pass():
    class Normed(TwoHeads):
        def __init__(self) -> None:
            super().__init__(4, 3, {})
            self.norm = nn.BatchNorm1d(4)

        def forward(self, batch, *, return_attention=False):
            return Output(self.head(self.norm(batch.features["text"].flatten(0, 1)).view(*batch.label.shape, -1)), {})

    systems = []
    for config in (AdversarialConfig(), AdversarialConfig(epsilon=2.0, weights=("norm.", "head."))):
        torch.manual_seed(0)
        systems.append(Normed().double())
        learner_of(systems[-1], config).step([FIRST], 0)
    for plain, attacked in zip(systems[0].buffers(), systems[1].buffers(), strict=True):
        assert torch.equal(plain, attacked)


def test_a_step_without_any_labelled_turn_changes_nothing():
    system = TwoHeads(4, 3, {}).double()
    before = system.head.weight.detach().clone()
    unlabelled = replace(FIRST, label=torch.full_like(FIRST.label, -100))
    result = learner_of(system, AdversarialConfig(epsilon=5.0, weights=("head",))).step([unlabelled], 0)
    assert torch.equal(system.head.weight, before)
    assert result.grad_norm == 0.0


def test_the_shares_of_steps_and_of_weights_are_drawn_by_seed_and_step():
    config = AdversarialConfig(epsilon=1.0, rate=0.5, weights=("head.", "again."), alone={"head.": 0.3})
    attack, again, other = (Attack(system_of(), config, seed) for seed in (1, 1, 2))
    drawn = [tuple(attack.targets(step)) for step in range(2000)]
    assert drawn == [tuple(again.targets(step)) for step in range(2000)]
    assert drawn != [tuple(other.targets(step)) for step in range(2000)]
    head, both = ("head.weight", "head.bias"), ("head.weight", "head.bias", "again.weight", "again.bias")
    assert set(drawn) == {(), head, both}
    assert drawn.count(()) / 2000 == pytest.approx(0.5, abs=0.04)
    assert drawn.count(head) / 2000 == pytest.approx(0.15, abs=0.03)


def test_by_default_the_input_weights_of_all_recurrences_move():
    inputs = {"text": InputSpec(kind="vector", dim=4)}
    lstm = build_model("bc-lstm", {"context_dim": 3, "hidden_dim": 3}, inputs, 3)
    names = recurrent_inputs(lstm)
    assert len(names) == 2 * 2 * 2  # weight and bias, two layers, two directions
    assert all(name.startswith(("level.lstm.weight_ih", "level.lstm.bias_ih")) for name in names)
    own = build_model("emotion-rnn", {"global_dim": 3, "party_dim": 3, "emotion_dim": 3, "hidden_dim": 3}, inputs, 3)
    assert {name.split(".")[1] for name in recurrent_inputs(own)} == {"from_x", "global_bias", "speaker_bias"}
    assert Attack(own, AdversarialConfig(epsilon=1.0), 1).names == recurrent_inputs(own)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "the model has no recurrence whose input weights could move; name the weights, e.g. head.weight"),
        ({"weights": ["haed."]}, r"weights: unknown start of the name of a weight 'haed\.'"),
        ({"weights": ["head."], "alone": {"again.": 0.1}}, r"alone: unknown start of the name of a weight 'again\.'"),
        ({"epsilon": -1}, "epsilon: found -1.*, expected at least 0"),
        ({"rate": 1.5}, "rate: found 1.5, expected at most 1"),
        ({"weights": ["head."], "alone": {"head.": 0.6, "again.": 0.6}}, "sum to at most 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    def build():
        config = config_from_dict({"training": {"adversarial": {"epsilon": 1.0, **settings}}})
        return Attack(system_of(), config.training.adversarial, 1)

    with pytest.raises(ConfigError, match=message):
        build()


def test_a_resumed_run_with_dropout_equals_one_that_was_not_stopped(tiny, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    from dialogue_ser.runs.run_files import RunFiles
    from dialogue_ser.training.loop.callbacks import Callback
    from dialogue_ser.training.run import train

    class Stop(Exception):
        pass

    class StopAt(Callback):
        def on_step(self, state, row):
            if state.step == 7:
                raise Stop

    monkeypatch.setitem(sys.modules, "stop_at", SimpleNamespace(StopAt=StopAt))
    settings = {
        "training.epochs": 2, "training.adversarial.epsilon": 0.5, "training.adversarial.rate": 0.8,
        "training.adversarial.alone": {"*weight_ih_l0": 0.5}, "loss.contrastive.weight": 0.1,
        "training.accumulate": 2, "training.batch_size": 2,
    }  # fmt: skip
    whole = train(tiny.tiny_config(**settings), tmp_path / "whole")
    with pytest.raises(Stop):
        train(tiny.tiny_config(**settings, **{"training.callbacks": ("stop_at:StopAt",)}), tmp_path / "stopped")
    resumed = train(tiny.tiny_config(**settings), tmp_path / "stopped", resume=True, allow_mismatch=True)
    one, two = (load_file(run.folder / "model" / "model.safetensors") for run in (whole, resumed))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name
    epochs = [RunFiles(run.folder).epochs for run in (whole, resumed)]
    assert [row["auxiliary"] for row in epochs[0]] == [row["auxiliary"] for row in epochs[1]]
    assert set(epochs[0][0]["auxiliary"]) == {"contrastive", "adversarial"}


def test_the_second_pass_and_the_contrastive_loss_never_wait_for_the_device():
    # Tensors on the device meta have shapes but no values, so reading one is an error.
    learner = learner_of(system_of(), AdversarialConfig(**SETTINGS), ContrastiveConfig(weight=0.1))
    learner.system.to("meta")
    learner.gradient.attack = Attack(learner.system, AdversarialConfig(**SETTINGS), 1)
    learner.accelerator = learner.gradient.accelerator = SimpleNamespace(
        device=torch.device("meta"),
        scaler=None,
        num_processes=1,
        autocast=nullcontext,
        backward=lambda loss: loss.backward(),
        reduce=lambda value, reduction: value,
    )
    denominators = Denominators(3.0, {"sentiment": 4.0, "size": 6.0, "contrastive": 3.0})
    numbers, _, seen = learner._backward([FIRST, SECOND], denominators, 0, False)
    assert (numbers.shape, len(seen)) == ((3 + 4 + 1 + 1,), 2)
