import math

import pytest
import torch
from torch import nn

from dialogue_ser.encoders import TrainedEncoder
from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import OptimizerConfig
from dialogue_ser.training.loop.optimize import (
    L2Penalty,
    MovingAverage,
    build_optimizer,
    can_skip_on_device,
    is_decayed,
    learning_rate_at,
    load_optimizer_state,
    optimizer_state,
    rate_shares,
    set_learning_rate,
    step_if,
)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(2, 2)
        self.norm = nn.LayerNorm(2)
        self.initial_party = nn.Parameter(torch.ones(3, 2))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
        self.register_buffer("seen", torch.tensor(0))


def step_with_zero_gradient(config: OptimizerConfig) -> dict[str, float]:
    """Return how much of each parameter is left after one step in which only decay changes it."""
    model = Small()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    optimizer = build_optimizer(model, config)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    return {name: float(parameter.detach().mean()) for name, parameter in model.named_parameters()}


def test_adamw_decays_matrices_only():
    left = step_with_zero_gradient(OptimizerConfig(name="adamw", learning_rate=0.1, weight_decay=0.5))
    assert left.pop("linear.weight") == pytest.approx(0.95)
    assert set(left.values()) == {1.0}


def test_sgd_has_l2_on_every_trained_parameter_as_in_the_document():
    left = step_with_zero_gradient(OptimizerConfig(name="sgd", learning_rate=0.1, weight_decay=0.5))
    assert left.pop("frozen") == 1.0
    assert all(value == pytest.approx(0.95) for value in left.values())


@pytest.mark.parametrize("amsgrad", [False, True])
def test_adam_adds_l2_to_the_gradient_of_every_trained_parameter_as_torchs_own(amsgrad):
    config = OptimizerConfig(name="adam", learning_rate=0.1, weight_decay=0.5, amsgrad=amsgrad)
    ours, theirs = Small(), Small()
    optimizers = [
        build_optimizer(ours, config),
        torch.optim.Adam(
            [p for p in theirs.parameters() if p.requires_grad], lr=0.1, weight_decay=0.5, amsgrad=amsgrad
        ),
    ]
    for step in range(3):
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            for parameter in model.parameters():
                parameter.grad = parameter.detach().sin() + 2 - step if parameter.requires_grad else None
            optimizer.step()
    for (name, found), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6, msg=name)
    assert not torch.allclose(ours.linear.bias, Small().linear.bias, atol=0.1)
    assert can_skip_on_device(optimizers[0])


def test_amsgrad_keeps_the_largest_mean_square_and_sgd_has_none():
    weights = []
    for amsgrad in (False, True):
        model = Small()
        optimizer = build_optimizer(model, OptimizerConfig(learning_rate=0.1, weight_decay=0.0, amsgrad=amsgrad))
        for gradient in (5.0, 0.1, 0.1):
            model.linear.weight.grad = torch.full((2, 2), gradient)
            optimizer.step()
        weights.append(model.linear.weight.detach())
    assert not torch.equal(*weights)
    with pytest.raises(ConfigError, match="only adamw and adam have it"):
        OptimizerConfig(name="sgd", amsgrad=True)


def test_recurrent_biases_and_initial_states_are_not_decayed():
    names = dict(nn.GRU(2, 3, bidirectional=True).named_parameters())
    assert {name for name, parameter in names.items() if is_decayed(name, parameter)} == {
        "weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse"
    }  # fmt: skip


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_warm_up_rises_to_the_peak_and_the_schedule_follows_its_formula(schedule):
    config = OptimizerConfig(learning_rate=2.0, schedule=schedule, warmup_fraction=0.2)
    rates = [learning_rate_at(step, 20, config) for step in range(20)]
    assert rates[:4] == [0.5, 1.0, 1.5, 2.0]
    assert rates[4] == 2.0
    expected = {"constant": 2.0, "linear": 1.0, "cosine": 1 + math.cos(math.pi * 8 / 16)}[schedule]
    assert rates[12] == pytest.approx(expected)
    assert rates[4:] == sorted(rates[4:], reverse=True)


def test_schedules_end_at_zero_and_never_below():
    for schedule in ("linear", "cosine"):
        config = OptimizerConfig(schedule=schedule)
        assert learning_rate_at(10, 10, config) == pytest.approx(0.0)
        assert learning_rate_at(99, 10, config) == pytest.approx(0.0)


@pytest.mark.parametrize(("name", "amsgrad"), [("adamw", False), ("adamw", True), ("adam", False), ("sgd", False)])
def test_optimizer_state_is_tensors_and_goes_on_exactly(name, amsgrad):
    config = OptimizerConfig(name=name, momentum=0.9, amsgrad=amsgrad)
    models = [Small(), Small()]
    optimizers = [build_optimizer(model, config) for model in models]

    def step(i: int) -> None:
        models[i].linear.weight.grad = models[i].linear.weight.detach().sin()
        optimizers[i].step()

    step(0)
    state = optimizer_state(optimizers[0])
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    models[1].load_state_dict(models[0].state_dict())
    load_optimizer_state(optimizers[1], state)
    step(0)
    step(1)
    assert torch.equal(models[0].linear.weight, models[1].linear.weight)


def test_the_learning_rate_reaches_every_group():
    optimizer = build_optimizer(Small(), OptimizerConfig())
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_the_moving_average_is_the_weighted_sum_of_all_past_weights():
    model = Small()
    average = MovingAverage(model, decay=0.75)
    values = [float(model.linear.weight[0, 0].detach())]
    for value in (3.0, -1.0, 4.0):
        with torch.no_grad():
            model.linear.weight[0, 0] = value
        model.seen += 1
        average.update(model)
        values.append(value)
    expected = 0.75**3 * values[0] + 0.25 * (0.75**2 * values[1] + 0.75 * values[2] + values[3])
    assert float(average.values["linear.weight"][0, 0]) == pytest.approx(expected)
    assert int(average.values["seen"]) == 3


@pytest.mark.parametrize("amsgrad", [False, True])
def test_a_skipped_step_changes_nothing_and_the_next_one_is_as_without_it(amsgrad):
    models, config = [Small(), Small()], OptimizerConfig(name="adamw", weight_decay=0.1, amsgrad=amsgrad)
    optimizers = [build_optimizer(model, config) for model in models]
    assert all(can_skip_on_device(optimizer) for optimizer in optimizers)

    def step(i: int, wanted: bool, gradient: float) -> None:
        models[i].linear.weight.grad = torch.full((2, 2), gradient)
        step_if(optimizers[i], torch.tensor(wanted))

    for i, gradients in enumerate([(1.0, 2.0), (1.0, math.nan, 2.0)]):
        for gradient in gradients:
            step(i, math.isfinite(gradient), gradient)
    assert torch.equal(models[0].linear.weight, models[1].linear.weight)
    for name, value in optimizer_state(optimizers[0]).items():
        assert torch.equal(value, optimizer_state(optimizers[1])[name]), name


def test_the_rate_over_one_plus_decay_times_the_step_is_keras_decay():
    config = OptimizerConfig(name="sgd", learning_rate=0.5, schedule="inverse-time", decay=0.25)
    assert [learning_rate_at(step, 9, config) for step in (0, 1, 4, 12)] == [0.5, 0.4, 0.25, 0.125]
    later = OptimizerConfig(learning_rate=0.5, schedule="inverse-time", decay=0.25, warmup_fraction=0.5)
    assert [learning_rate_at(step, 8, later) for step in (0, 3, 4, 5)] == [0.125, 0.5, 0.5, 0.4]
    source = OptimizerConfig(learning_rate=1e-3, schedule="inverse-time", decay=1e-6)
    assert learning_rate_at(100_000, 1, source) == pytest.approx(1e-3 / 1.1)


def gradients_with(strengths: dict[str, float]) -> dict[str, float]:
    """Return what the penalty adds to gradients of 1 if every parameter is 3: the mean for each parameter."""
    model = Small()
    for name, parameter in model.named_parameters():
        parameter.data.fill_(3.0)
        parameter.grad = None if name == "frozen" else torch.ones_like(parameter)
    L2Penalty(model, strengths).add_gradients()
    return {name: float(own.grad.mean()) for name, own in model.named_parameters() if own.grad is not None}


def test_the_penalty_adds_twice_its_strength_times_each_matrix_that_is_named():
    untouched = {"linear.weight": 1.0, "linear.bias": 1.0, "norm.weight": 1.0, "norm.bias": 1.0, "initial_party": 1.0}
    assert gradients_with({}) == untouched
    assert gradients_with({"linear": 0.5}) == {**untouched, "linear.weight": 4.0}
    assert gradients_with({"l*r.w": 0.5, "linear": 0.25}) == {**untouched, "linear.weight": 5.5}


def test_the_penalty_is_the_gradient_of_the_sum_of_squares():
    model = Small()
    weight = model.linear.weight
    (model.linear(torch.ones(1, 2)).sum() + 0.3 * weight.square().sum()).backward()
    wanted = weight.grad.clone()
    weight.grad = None
    model.linear(torch.ones(1, 2)).sum().backward()
    L2Penalty(model, {"linear": 0.3}).add_gradients()
    torch.testing.assert_close(weight.grad, wanted)


def test_parameters_without_a_gradient_do_not_change():
    model = Small()
    L2Penalty(model, {"linear": 0.5}).add_gradients()
    assert model.linear.weight.grad is None


@pytest.mark.parametrize("beginning", ["liner", "norm", "initial_party", "frozen"])
def test_a_name_that_no_trained_matrix_has_is_refused(beginning):
    with pytest.raises(ConfigError, match=f"optimizer.l2: unknown start of the name of a matrix '{beginning}'"):
        L2Penalty(Small(), {beginning: 0.1})


@pytest.mark.parametrize("strength", [-1.0, math.nan, math.inf])
def test_strengths_below_zero_or_beyond_all_bounds_are_refused(strength):
    with pytest.raises(ConfigError, match=r"optimizer\.l2: found {'gru': .*expected finite strengths of at least 0"):
        OptimizerConfig(l2={"gru": strength})


class Pretrained(TrainedEncoder):
    """Two layers and embeddings that start from pretrained weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(3, 2)
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))

    def depths(self):
        depth = {"embedding": 2, "layers.0": 1, "layers.1": 0}
        return {name: depth[name.rpartition(".")[0]] for name, _ in self.named_parameters()}


class Tuned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = Pretrained()
        self.head = nn.Linear(2, 2)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_pretrained_parameters_have_their_own_rate_that_falls_with_depth(name):
    model = Tuned()
    config = OptimizerConfig(name=name, learning_rate=0.1, encoder_learning_rate=0.02, layer_decay=0.5)
    optimizer = build_optimizer(model, config)
    set_learning_rate(optimizer, 0.05)  # half way down the schedule
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in model.named_parameters()}
    expected = {"encoder.embedding": 0.0025, "encoder.layers.0": 0.005, "encoder.layers.1": 0.01, "head": 0.05}
    assert found == pytest.approx({name: expected[name.rpartition(".")[0]] for name in found})
    assert optimizer.param_groups[0]["lr"] == 0.05  # what metrics.jsonl shows
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays[id(model.encoder.layers[0].bias)] == (0.0 if name == "adamw" else config.weight_decay)
    assert decays[id(model.encoder.layers[0].weight)] == config.weight_decay


def test_without_an_own_rate_pretrained_parameters_have_the_common_one():
    assert set(rate_shares(Tuned(), OptimizerConfig()).values()) == {1.0}
    assert rate_shares(nn.Linear(2, 2), OptimizerConfig()) == {}


def test_rates_that_cannot_be_shares_of_one_schedule_are_refused():
    with pytest.raises(ConfigError, match="set a rate above 0 for the head"):
        OptimizerConfig(learning_rate=0.0, encoder_learning_rate=1e-4)
    with pytest.raises(ConfigError, match=r"layer_decay: found 1\.5"):
        OptimizerConfig(layer_decay=1.5)
