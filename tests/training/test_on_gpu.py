"""A train step on a GPU gives the same as on the CPU, nearly the same in half precision, and the host never waits."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

import pytest
import torch

from benchmarks.gpu.measured.steps import INPUTS, batch_of, learner_of, train_step
from benchmarks.gpu.measured.waiting import watched
from dialogue_ser.models import MODELS

pytestmark = pytest.mark.cuda
CPU = torch.device("cpu")
INPUT_SETS = {"vectors": ("vector",), "everything": tuple(INPUTS)}


def _without_dropout(model: str) -> Mapping[str, Any]:
    """Return options without dropout, because devices draw different random numbers."""
    return {field.name: 0.0 for field in fields(MODELS[model].Config) if field.name.endswith("dropout")}


@pytest.mark.parametrize("names", INPUT_SETS.values(), ids=INPUT_SETS)
@pytest.mark.parametrize("model", MODELS)
def test_two_steps_give_the_same_weights_as_on_the_cpu(model: str, names: tuple[str, ...], gpu: torch.device) -> None:
    learners = [
        learner_of(model, _without_dropout(model), names, device, optimizer="sgd", precision="no")
        for device in (gpu, CPU)
    ]
    batch = batch_of(names)
    for number in range(2):
        on_gpu, on_cpu = (learner.step([batch], number) for learner in learners)
        assert on_gpu.loss == pytest.approx(on_cpu.loss, rel=1e-4)
        assert on_gpu.grad_norm == pytest.approx(on_cpu.grad_norm, rel=1e-3)
    weights = [learner.system.state_dict() for learner in learners]
    for name, value in weights[1].items():
        torch.testing.assert_close(weights[0][name].cpu(), value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("model", MODELS)
def test_half_precision_gives_nearly_the_loss_of_single(model: str, precision: str, gpu: torch.device) -> None:
    if precision == "fp16" and gpu.type == "cpu":
        pytest.skip("needs CUDA: a CPU has no fp16 training")
    options, names = _without_dropout(model), ("vector",)
    losses = [
        learner_of(model, options, names, gpu, precision=own).step([batch_of(names)], 0).loss
        for own in (precision, "no")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1], "autocast changed nothing"


@pytest.mark.parametrize("names", INPUT_SETS.values(), ids=INPUT_SETS)
@pytest.mark.parametrize("model", MODELS)
def test_the_host_never_waits_inside_a_step(model: str, names: tuple[str, ...], gpu: torch.device) -> None:
    learner = learner_of(model, {}, names, gpu)
    batch = batch_of(names) if gpu.type == "cpu" else batch_of(names).pin_memory()
    learner.step([batch], 0)  # before their first use, kernels are compared with torch's, and that waits
    with watched("error", is_cuda=gpu.type == "cuda"):
        loss = train_step(learner, batch)
    assert loss.isfinite()


def test_the_check_for_waiting_finds_a_wait(gpu: torch.device) -> None:
    value = torch.ones(3, device=gpu)
    is_cuda = gpu.type == "cuda"
    expected = pytest.raises(RuntimeError, match="synchroniz") if is_cuda else nullcontext()
    with watched("error", is_cuda=is_cuda), expected:
        value.sum().item()
