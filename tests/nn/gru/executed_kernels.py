"""The kernels give the results of torch's operations, in Triton's interpreter or on a GPU.

``test_kernels.py`` runs this file in a separate process with TRITON_INTERPRET=1. Without that variable the kernels are
compiled and run on the GPU.
"""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.gru import kernels
from dialogue_ser.nn.gru.cells import Gates, Slopes, split_by_step
from dialogue_ser.nn.gru.kernel_choice import ENVIRONMENT_VARIABLE, kernels_agree_with_torch
from dialogue_ser.nn.recurrence.dialogue_recurrence import MANUAL_KINDS, DialogueRecurrence
from dialogue_ser.nn.recurrence.wiring import Wiring, dialogue_rnn, emotion_rnn

IS_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # triton reads this variable when it is imported
if not IS_INTERPRETED and not torch.cuda.is_available():
    pytest.skip("needs CUDA, or TRITON_INTERPRET=1", allow_module_level=True)
pytestmark = [] if IS_INTERPRETED else [pytest.mark.cuda]

DEVICE = torch.device("cpu" if IS_INTERPRETED else "cuda")
# a GPU's exponential in single precision has a relative error of about 2e-7, and m multiplies it by up to 8
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6 if IS_INTERPRETED else 2e-5}
SIZES = [2, 3]
SPEAKER = torch.tensor([[0, 1, 0, 2, 1, 0], [0, 0, 1, -1, -1, -1], [0, -1, -1, -1, -1, -1]])
N_TURNS = torch.tensor([6, 3, 1])
WIRINGS = {f"{make.__name__}-{of}": make(of) for make in (emotion_rnn, dialogue_rnn) for of in ("update", "hold")}  # type: ignore[arg-type]


def _strided(*shape: int, how: str, dtype: torch.dtype) -> Tensor:
    """Return random values in a tensor that is not contiguous."""
    n_z, rows, size = shape
    if how == "rows":  # a part of the rows of a larger buffer
        return torch.randn(n_z, rows + 4, size, dtype=dtype, device=DEVICE)[:, 1 : rows + 1]
    if how == "columns":  # columns are not adjacent
        return torch.randn(n_z, size, rows, dtype=dtype, device=DEVICE).transpose(1, 2)
    return torch.randn(n_z, 1, size, dtype=dtype, device=DEVICE).expand(-1, rows, -1)  # one row for all


def _step(
    choice: str, pre: Tensor, h: Tensor, mask: Tensor | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, Tensor, Tensor]:
    """Run two steps; return the activations, the new states (between two marked rows) and the slopes."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, choice)
    n_z, rows, size = h.shape
    gates = Gates(pre.new_zeros(n_z, size), SIZES)
    assert (gates.kernels is None) == (choice == "torch")
    gates.all.copy_(pre)
    framed = pre.new_full((n_z, rows + 2, size), 7.0)
    for t, out in enumerate(framed[:, 1:-1].split(SIZES, dim=1)):
        gates.advance(t, h.split(SIZES, dim=1)[t], out, split_by_step(mask, SIZES)[t])
    slopes = Slopes(gates, h, mask, SIZES)
    return gates.all, framed, torch.cat([slopes.inputs, slopes.m, torch.cat(slopes.direct_at, dim=1)], dim=-1)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("size", [1, 5, 150])
@pytest.mark.parametrize("h_how", ["rows", "columns", "one"])
@pytest.mark.parametrize("mask_how", ["rows", "columns", None])
def test_a_step_and_its_slopes_equal_torchs_operations(dtype, size, h_how, mask_how, monkeypatch) -> None:
    torch.manual_seed(size)
    pre = 2 * torch.randn(2, sum(SIZES), 4 * size, dtype=dtype, device=DEVICE)
    h = _strided(2, sum(SIZES), size, how=h_how, dtype=dtype)
    mask = None if mask_how is None else _strided(2, sum(SIZES), size, how=mask_how, dtype=dtype).gt(0) * 2.0
    mask = None if mask is None else mask.to(dtype)
    wanted = _step("torch", pre, h, mask, monkeypatch)
    found = _step("triton", pre, h, mask, monkeypatch)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCES[dtype])


def test_states_wider_than_a_block_are_computed_in_several(monkeypatch) -> None:
    drawn = torch.randn(2, sum(SIZES), 50, dtype=torch.float64, device=DEVICE)
    pre, h = drawn[..., :40], drawn[..., 40:]
    wanted = _step("torch", pre, h, None, monkeypatch)
    monkeypatch.setattr(kernels, "MAX_BLOCK", 4)
    for one, other in zip(_step("triton", pre, h, None, monkeypatch), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_huge_values_saturate_and_nan_stays_nan(dtype, monkeypatch) -> None:
    h = torch.ones(1, sum(SIZES), 1, dtype=dtype, device=DEVICE)
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0], dtype=dtype, device=DEVICE)
    pre = 1e4 * sign[None, :, None].expand(1, -1, 4).clone()
    pre[0, 4] = torch.nan
    wanted = _step("torch", pre, h, None, monkeypatch)
    found = _step("triton", pre, h, None, monkeypatch)
    assert found[1][0, 1:5].isfinite().all()
    assert found[1][0, 5].isnan().all()
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCES[dtype], equal_nan=True)


def test_without_rows_there_is_no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    empty, out, launched = torch.empty(2, 0, 3), torch.empty(2, 0, 15), []

    class LaunchCounter:
        def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
            return lambda *_, **__: launched.append(grid)

    monkeypatch.setattr(kernels, "_advance", LaunchCounter())
    monkeypatch.setattr(kernels, "_slopes", LaunchCounter())
    kernels.advance(torch.empty(2, 1, 12), torch.empty(2, 1, 3), torch.empty(2, 1, 3), None)
    assert len(launched) == 1, "the counter must see a launch"
    kernels.advance(torch.empty(2, 0, 12), empty, empty, None)
    kernels.slopes(torch.empty(2, 0, 12), empty, None, out)
    assert len(launched) == 1


def test_the_check_before_the_first_use_accepts_the_kernels() -> None:
    assert kernels_agree_with_torch(kernels, DEVICE)


@pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)
@pytest.mark.parametrize("kind", ["simple", "general"])
def test_values_and_all_gradients_of_the_recurrence_are_the_same(
    kind: str, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind in MANUAL_KINDS
    torch.manual_seed(1)
    engine = DialogueRecurrence(4, wiring, global_dim=4, party_dim=3, emotion_dim=2, attention=kind, dropout=0.4).to(
        DEVICE, torch.float64
    )
    layout = engine.layout(SPEAKER, N_TURNS, DEVICE)
    x_KND = torch.randn(2, layout.n_rows, 4, dtype=torch.float64, device=DEVICE, requires_grad=True)
    masks = engine.draw_masks(layout)
    weight = torch.randn(2, layout.n_rows, 2, dtype=torch.float64, device=DEVICE)
    results = []
    for choice in ("torch", "triton"):
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, choice)
        states = engine.run_loop(engine.inputs(x_KND), layout, masks)
        e_KNE = engine.emotion_states(x_KND, states, layout, masks)
        value = (e_KNE * weight).sum() + states.g_KNG.square().sum()
        gradients = torch.autograd.grad(value, [x_KND, *engine.parameters()])
        results.append([e_KNE.detach(), states.g_KNG.detach(), *gradients])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
