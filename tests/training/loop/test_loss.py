import math
import sys
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, TrainingError
from dialogue_ser.models.api import Output
from dialogue_ser.nn.value_losses import masked_ccc, masked_mse
from dialogue_ser.tasks import TASKS
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.config.run_config import LossConfig, RunConfig
from dialogue_ser.training.loop.loss import LOSSES, DialogueLoss, class_weights

TWO, THREE = (Classification(LabelSet("emotion", ("calm", "glad", "cross")[:n])) for n in (2, 3))
LABELS = LabelSet("emotion", ("calm", "glad", "cross", "never"))
TRAIN = [
    Dialogue(f"d{i}", tuple(Utterance(id=f"d{i}_{t}", speaker="Ann", label=label) for t, label in enumerate(labels)))
    for i, labels in enumerate([["calm"] * 6, ["glad", "glad", None], ["cross"]])
]


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_class_weights_are_inverse_frequencies_with_mean_one_over_train_turns(power):
    config = LossConfig(class_weights="inverse-frequency", class_weight_power=power)
    weight_C = class_weights(TRAIN, LABELS, config)
    count_C = torch.tensor([6.0, 2.0, 1.0, 0.0], dtype=torch.float64)
    assert float((weight_C * count_C).sum() / 9) == pytest.approx(1.0)
    assert float(weight_C[2] / weight_C[0]) == pytest.approx(6.0**power)
    assert float(weight_C[3]) == float(weight_C[2])  # a class without any turn in train counts as if it had one


def test_no_class_weights_by_default():
    assert class_weights(TRAIN, LABELS, LossConfig()) is None


BATCH = DialogueBatch(
    features={},
    is_present={},
    speaker=torch.tensor([[0, 1]]),
    n_turns=torch.tensor([2]),
    label=torch.tensor([[0, 1]]),
    is_real_turn=torch.ones(1, 2, dtype=torch.bool),
    utterance_ids=(("a", "b"),),
    label_distribution=torch.tensor([[[0.0, 1.0], [0.5, 0.5]]]),
)


def test_votes_are_targets_only_with_soft_labels():
    output = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), dim=-1), {})
    hard = DialogueLoss(LossConfig(), TWO)(output, BATCH)
    soft = DialogueLoss(LossConfig(soft_labels=True), TWO)(output, BATCH)
    log_probs = output.scores_BTS[0]
    assert float(hard[0]) == pytest.approx(float(-log_probs[0, 0] - log_probs[1, 1]))
    assert float(soft[0]) == pytest.approx(float(-log_probs[0, 1] - log_probs[1].mean()))


def test_the_kind_of_the_loss_is_as_configured():
    output = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), dim=-1), {})
    nll, binary = (DialogueLoss(LossConfig(kind=kind), TWO)(output, BATCH) for kind in ("nll", "binary"))
    # with two classes both terms are the same, and so is their mean
    torch.testing.assert_close(binary, nll)
    three = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0, 1.0], [1.0, 3.0, 0.0]]]), dim=-1), {})
    expected = torch.nn.functional.binary_cross_entropy(three.scores_BTS[0].exp(), torch.eye(3)[:2])
    numerator, denominator = DialogueLoss(LossConfig(kind="binary"), THREE)(three, BATCH)
    assert float(numerator / denominator) == pytest.approx(float(expected), rel=1e-6)
    with pytest.raises(ConfigError, match=r"focal_gamma: found 2\.0 with loss.kind binary"):
        LossConfig(kind="binary", focal_gamma=2.0)


def test_the_loss_of_half_precision_outputs_is_float32():
    output = Output(torch.log_softmax(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), dim=-1).bfloat16(), {})
    numerator, _ = DialogueLoss(LossConfig(), TWO)(output, BATCH)
    assert numerator.dtype == torch.float32


@pytest.mark.parametrize(
    "settings", [{}, {"soft_labels": True, "focal_gamma": 2.0, "label_smoothing": 0.1}, {"kind": "binary"}]
)
def test_the_labelled_turns_are_found_without_the_device(settings):
    # Tensors on the device meta have shapes but no values, so reading one is an error.
    loss = DialogueLoss(LossConfig(**settings), TWO, torch.ones(2, dtype=torch.float64, device="meta"))
    output = Output(torch.zeros(1, 2, 2, device="meta", requires_grad=True), {})
    numerator, denominator = loss(output, BATCH.to("meta"))
    numerator.backward()
    assert {numerator.device.type, denominator.device.type} == {"meta"}
    assert output.scores_BTS.grad.shape == (1, 2, 2)


NAN = float("nan")
VALUES = Regression(("valence", "arousal"), centres=(3.0, 1.0), scales=(2.0, 0.5))
VALUE_BATCH = replace(
    BATCH,
    speaker=torch.tensor([[0, 1, 0]]),
    n_turns=torch.tensor([3]),
    label=torch.full((1, 3), -100),
    is_real_turn=torch.ones(1, 3, dtype=torch.bool),
    utterance_ids=(("a", "b", "c"),),
    label_distribution=None,
    value=torch.tensor([[[5.0, NAN], [NAN, NAN], [1.0, 2.0]]]),
)
SCORES = torch.tensor([[[0.5, 0.25], [9.0, 9.0], [-1.0, 1.5]]])


def misses(log_probs_NC, label_N):
    """Return for each turn the probability of all wrong classes."""
    return 1 - log_probs_NC.exp().gather(1, label_N[:, None])[:, 0]


def misses_of_two(log_probs_NC, label_N):
    return 2 * misses(log_probs_NC, label_N).sum(), 2 * len(label_N)


def furthest(value_NS, gold_NS):
    """Return the largest error of each turn."""
    return (value_NS - gold_NS).abs().nan_to_num(0.0).amax(1)


def bounded(value_NS, gold_NS):
    error_NS = (value_NS - gold_NS).abs()
    return error_NS.nansum(), error_NS.isfinite().sum()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the functions of this file importable under the name ``own_losses``."""
    functions = {one.__name__: one for one in (misses, misses_of_two, furthest, bounded)}
    wrong = {
        "number": 3,
        "scalar": lambda *_: torch.ones(()),
        "table": lambda value_NS, _: value_NS,
        "none": lambda *_: 1,
        "short": lambda value_NS, _: value_NS[:1, 0],
        "three": lambda value_NS, _: (value_NS.sum(), 1, 2),
        "floats": lambda *_: (3.0, 2.0),
        "vectors": lambda value_NS, _: (value_NS.sum(0), 2),
        "failing": lambda *_: 1 / 0,
        "detached": lambda value_NS, _: value_NS.detach().sum(1),
    }
    monkeypatch.setitem(sys.modules, "own_losses", SimpleNamespace(**functions, **wrong))


@pytest.mark.parametrize("kind", ["misses", "misses_of_two"])
def test_a_loss_of_the_user_gets_log_probabilities_and_classes_of_labelled_turns(own, kind):
    output = Output(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]], requires_grad=True), {})
    batch = replace(BATCH, label=torch.tensor([[-100, 1]]))
    numerator, denominator = DialogueLoss(LossConfig(kind=f"own_losses:{kind}"), TWO)(output, batch)
    assert float((numerator / denominator).detach()) == pytest.approx(1 - 1 / (1 + math.exp(-2.0)), rel=1e-6)
    assert float(denominator) == {"misses": 1, "misses_of_two": 2}[kind]
    numerator.backward()
    assert (output.scores_BTS.grad != 0).tolist() == [[[False, False], [True, True]]]


@pytest.mark.parametrize(("kind", "expected"), [("furthest", (1.0 + 2.0, 2)), ("bounded", (1.0 + 2.0 + 0.25, 3))])
def test_a_loss_of_the_user_gets_values_in_their_units_and_gold_of_annotated_turns(own, kind, expected):
    """Values are 4 and 1.125, and 1 and 1.75; the turn in between has no gold and is not shown."""
    scores = torch.tensor([[[0.5, 0.25], [9.0, 9.0], [0.0, 1.5]]], requires_grad=True)
    numerator, denominator = DialogueLoss(LossConfig(kind=f"own_losses:{kind}"), VALUES)(
        Output(scores, {}), VALUE_BATCH
    )
    assert (float(numerator.detach()), float(denominator)) == expected
    numerator.backward()
    assert (scores.grad[0, 1] == 0).all()
    assert scores.grad.isfinite().all()


def test_the_librarys_losses_of_values_read_annotated_turns_only():
    for kind, loss in (("ccc", masked_ccc), ("mse", masked_mse)):
        scores = SCORES.clone().requires_grad_()
        found = DialogueLoss(LossConfig(kind=kind), VALUES)(Output(scores, {}), VALUE_BATCH)
        values = torch.tensor([[4.0, 1.125], [1.0, 1.75]])
        expected = loss(values, torch.tensor([[5.0, NAN], [1.0, 2.0]]))
        for part in range(2):
            torch.testing.assert_close(found[part], expected[part])
        found[0].backward()
        assert (scores.grad[0, 1] == 0).all()


def test_the_task_decides_the_loss_if_none_is_named():
    output = Output(SCORES, {})
    assert DialogueLoss(LossConfig(), VALUES)(output, VALUE_BATCH) == DialogueLoss(LossConfig(kind="ccc"), VALUES)(
        output, VALUE_BATCH
    )
    assert (RunConfig().loss.kind, RunConfig(task="regression").loss.kind) == ("nll", "ccc")


def test_a_decorated_loss_is_found_by_its_name():
    output = Output(torch.tensor([[[2.0, 0.0], [1.0, 3.0]]]), {})
    with mock.patch.dict(LOSSES.registered):
        LOSSES.register("own-misses")(misses)
        found = DialogueLoss(LossConfig(kind="own-misses"), TWO)(output, BATCH)
    assert float(found[0]) == pytest.approx(2 / (1 + math.exp(2.0)), rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "gave"),
    [
        ("scalar", r"\(\)"),
        ("table", r"\(2, 2\)"),
        ("none", "int"),
        ("short", r"\(1,\)"),
        ("three", r"\(\(\), int, int\)"),
        ("floats", r"\(float, float\)"),
        ("vectors", r"\(\(2,\), int\)"),
    ],
)
def test_a_loss_that_returns_something_else_gets_a_message_what_to_return(own, kind, gave):
    loss = DialogueLoss(LossConfig(kind=f"own_losses:{kind}"), VALUES)
    with pytest.raises(
        TrainingError, match=rf"loss 'own_losses:{kind}': returned {gave} for 2 turns, expected one number"
    ):
        loss(Output(SCORES, {}), VALUE_BATCH)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("failing", "its function failed: ZeroDivisionError"), ("detached", "its result has no gradient")],
)
def test_a_loss_that_fails_or_has_no_gradient_is_named(own, kind, message):
    loss = DialogueLoss(LossConfig(kind=f"own_losses:{kind}"), VALUES)
    with pytest.raises(TrainingError, match=f"loss 'own_losses:{kind}': {message}"):
        loss(Output(SCORES.clone().requires_grad_(), {}), VALUE_BATCH)


def test_a_loss_of_the_user_is_not_called_for_a_batch_without_targets(own):
    batch = replace(VALUE_BATCH, value=torch.full((1, 3, 2), NAN))
    scores = SCORES.clone().requires_grad_()
    numerator, denominator = DialogueLoss(LossConfig(kind="own_losses:failing"), VALUES)(Output(scores, {}), batch)
    assert (float(numerator.detach()), float(denominator)) == (0.0, 0.0)
    numerator.backward()
    assert (scores.grad == 0).all()


def test_anything_else_than_a_loss_is_refused(own):
    with pytest.raises(ConfigError, match=r"loss 'own_losses:number': is no function"):
        DialogueLoss(LossConfig(kind="own_losses:number"), VALUES)
    with pytest.raises(ConfigError, match="unknown loss 'cccc'; did you mean 'ccc'"):
        DialogueLoss(LossConfig(kind="cccc"), VALUES)


@pytest.mark.parametrize(
    "settings", [{"class_weights": "inverse-frequency"}, {"label_smoothing": 0.1}, {"soft_labels": True}]
)
@pytest.mark.parametrize(("task", "kind"), [("classification", "own_losses:misses"), ("regression", "mse")])
def test_settings_of_the_librarys_losses_of_classes_are_refused_beside_others(task, kind, settings):
    [(name, value)] = settings.items()
    losses = " and ".join(TASKS["classification"].losses)
    with pytest.raises(
        ConfigError, match=rf"loss\.{name}: found {value}, but only the losses {losses} use this setting"
    ):
        RunConfig(task=task, loss=LossConfig(kind=kind, **settings))


def test_every_loss_of_the_library_belongs_to_exactly_one_task():
    of_tasks = sorted([*Classification.losses, *Regression.losses])
    assert sorted(LOSSES) == of_tasks, "name the loss in LOSSES and in losses of its task (dialogue_ser/tasks/)"


@pytest.mark.parametrize(("task", "kind"), [("classification", "ccc"), ("regression", "nll")])
def test_a_loss_of_the_other_task_is_refused(task, kind):
    with pytest.raises(ConfigError, match=rf"loss\.kind: {kind} is no loss of {task}"):
        RunConfig(task=task, loss=LossConfig(kind=kind))
