"""Kernels against torch's operations, in Triton's interpreter: run by ``test_kernels.py`` in a process of its own."""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn import kernels
from dialogue_ser.nn.cells import Gates, Slopes, by_step
from dialogue_ser.nn.fused import ENVIRONMENT_VARIABLE, agrees
from dialogue_ser.nn.recurrence import MANUAL_KINDS, DialogueRecurrence
from dialogue_ser.nn.wiring import Wiring, dialogue_rnn, emotion_rnn

assert os.environ.get("TRITON_INTERPRET") == "1", "triton reads it when it is imported"

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6}
SIZES = [2, 3]
SPEAKER = torch.tensor([[0, 1, 0, 2, 1, 0], [0, 0, 1, -1, -1, -1], [0, -1, -1, -1, -1, -1]])
N_TURNS = torch.tensor([6, 3, 1])
WIRINGS = {f"{make.__name__}-{of}": make(of) for make in (emotion_rnn, dialogue_rnn) for of in ("update", "hold")}  # type: ignore[arg-type]


def _strided(*shape: int, how: str, dtype: torch.dtype) -> Tensor:
    """Random values in a tensor that is not contiguous."""
    n_z, rows, size = shape
    if how == "rows":  # a part of the rows of a larger buffer
        return torch.randn(n_z, rows + 4, size, dtype=dtype)[:, 1 : rows + 1]
    if how == "columns":  # columns lie apart
        return torch.randn(n_z, size, rows, dtype=dtype).transpose(1, 2)
    return torch.randn(n_z, 1, size, dtype=dtype).expand(-1, rows, -1)  # one row for all


def _step(
    choice: str, pre: Tensor, h: Tensor, mask: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, Tensor, Tensor]:
    """Two steps over one buffer: activations, new states (with sentinels around them) and slopes."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, choice)
    n_z, rows, size = h.shape
    gates = Gates(pre.new_zeros(n_z, size), SIZES)
    assert (gates.kernels is None) == (choice == "torch")
    gates.all.copy_(pre)
    pool = pre.new_full((n_z, rows + 2, size), 7.0)
    for t, out in enumerate(pool[:, 1:-1].split(SIZES, dim=1)):
        gates.advance(t, h.split(SIZES, dim=1)[t], out, by_step(mask, SIZES)[t])
    slopes = Slopes(gates, h, mask, SIZES)
    return gates.all, pool, torch.cat([slopes.inputs, slopes.m, torch.cat(slopes.direct_of, dim=1)], dim=-1)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("size", [1, 5, 150])
@pytest.mark.parametrize("h_how", ["rows", "columns", "one"])
@pytest.mark.parametrize("mask_how", ["rows", "columns", None])
def test_a_step_and_its_slopes_equal_torchs_operations(dtype, size, h_how, mask_how, monkeypatch) -> None:
    torch.manual_seed(size)
    pre = 2 * torch.randn(2, sum(SIZES), 4 * size, dtype=dtype)
    h = _strided(2, sum(SIZES), size, how=h_how, dtype=dtype)
    mask = None if mask_how is None else _strided(2, sum(SIZES), size, how=mask_how, dtype=dtype).gt(0) * 2.0
    mask = None if mask is None else mask.to(dtype)
    wanted = _step("torch", pre, h, mask, monkeypatch)
    found = _step("triton", pre, h, mask, monkeypatch)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCES[dtype])


def test_states_wider_than_a_block_are_computed_in_several(monkeypatch) -> None:
    pre, h = torch.randn(2, sum(SIZES), 40, dtype=torch.float64), torch.randn(2, sum(SIZES), 10, dtype=torch.float64)
    wanted = _step("torch", pre, h, None, monkeypatch)
    monkeypatch.setattr(kernels, "MAX_BLOCK", 4)
    for one, other in zip(_step("triton", pre, h, None, monkeypatch), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_huge_values_saturate_and_nan_stays_nan(dtype, monkeypatch) -> None:
    h = torch.ones(1, sum(SIZES), 1, dtype=dtype)
    pre = torch.full((1, sum(SIZES), 4), 1e4, dtype=dtype) * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])[None, :, None]
    pre[0, 4] = torch.nan
    wanted = _step("torch", pre, h, None, monkeypatch)
    found = _step("triton", pre, h, None, monkeypatch)
    assert found[1][0, 1:5].isfinite().all()
    assert found[1][0, 5].isnan().all()
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCES[dtype], equal_nan=True)


def test_no_rows_are_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    empty, out, launched = torch.empty(2, 0, 3), torch.empty(2, 0, 15), []

    class Watched:
        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            return lambda *_, **__: launched.append(grid)

    monkeypatch.setattr(kernels, "_advance", Watched())
    monkeypatch.setattr(kernels, "_slopes", Watched())
    kernels.advance(torch.empty(2, 1, 12), torch.empty(2, 1, 3), torch.empty(2, 1, 3), None)
    assert len(launched) == 1, "the watch must see a launch"
    kernels.advance(torch.empty(2, 0, 12), empty, empty, None)
    kernels.slopes(torch.empty(2, 0, 12), empty, None, out)
    assert len(launched) == 1


def test_the_check_before_first_use_finds_them_right() -> None:
    assert agrees(kernels, torch.device("cpu"))


@pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)
@pytest.mark.parametrize("kind", ["simple", "general"])
def test_values_and_all_gradients_of_the_recurrence_are_the_same(
    kind: str, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind in MANUAL_KINDS
    torch.manual_seed(1)
    engine = DialogueRecurrence(
        4, wiring, global_dim=4, party_dim=3, emotion_dim=2, attention=kind, dropout=0.4
    ).double()
    layout = engine.layout(SPEAKER, N_TURNS)
    x_KND = torch.randn(2, layout.n_rows, 4, dtype=torch.float64, requires_grad=True)
    masks, weight = engine.draw_masks(layout), torch.randn(2, layout.n_rows, 2, dtype=torch.float64)
    results = []
    for choice in ("torch", "triton"):
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, choice)
        recurred = engine.recur(engine.inputs(x_KND), layout, masks)
        e_KNE = engine.read_emotions(x_KND, recurred, layout, masks)
        value = (e_KNE * weight).sum() + recurred.g_KNG.square().sum()
        gradients = torch.autograd.grad(value, [x_KND, *engine.parameters()])
        results.append([e_KNE.detach(), recurred.g_KNG.detach(), *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
