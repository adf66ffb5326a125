"""The recurrence gives the same values and gradients on a GPU as on the CPU, with both kinds of kernels."""

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.gru.kernel_choice import ENVIRONMENT_VARIABLE
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.wiring import Wiring, dialogue_rnn, emotion_rnn

pytestmark = pytest.mark.cuda
CPU = torch.device("cpu")
SPEAKER = torch.tensor([[0, 1, 0, 2, 1, 0], [0, 0, 1, -1, -1, -1], [0, -1, -1, -1, -1, -1]])
N_TURNS = torch.tensor([6, 3, 1])
WIRINGS = {f"{make.__name__}-{of}": make(of) for make in (emotion_rnn, dialogue_rnn) for of in ("update", "hold")}  # type: ignore[arg-type]
TOLERANCES = {torch.float64: 1e-11, torch.float32: 2e-5}


def _values_and_gradients(engine: DialogueRecurrence, x_BTD: Tensor, device: torch.device) -> list[Tensor]:
    """ē, then the gradients of a weighted sum of it, on the CPU."""
    engine = engine.to(device)
    x_BTD = x_BTD.to(device).requires_grad_()
    e_BTE, _ = engine(x_BTD, SPEAKER, N_TURNS)
    weight = torch.linspace(-1, 1, e_BTE.numel(), dtype=e_BTE.dtype).view_as(e_BTE).to(device)
    gradients = torch.autograd.grad((e_BTE * weight).sum(), [x_BTD, *engine.parameters()])
    return [value.detach().cpu() for value in (e_BTE, *gradients)]


@pytest.mark.parametrize("kernels", ["auto", "torch"])
@pytest.mark.parametrize("engine", ["manual", "autograd"])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS)
@pytest.mark.parametrize("kind", ["simple", "general"])
def test_values_and_gradients_are_those_of_the_cpu(
    kind: str,
    wiring: Wiring,
    dtype: torch.dtype,
    engine: str,
    kernels: str,
    gpu: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, kernels)
    torch.manual_seed(1)
    sizes = {"global_dim": 8, "party_dim": 7, "emotion_dim": 6}
    recurrence = DialogueRecurrence(5, wiring, attention=kind, engine=engine, **sizes).to(dtype)  # type: ignore[arg-type]
    x_BTD = torch.randn(3, 6, 5, dtype=dtype)
    wanted = _values_and_gradients(recurrence, x_BTD, CPU)
    found = _values_and_gradients(recurrence, x_BTD, gpu)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


def test_a_gpu_uses_the_triton_kernels(gpu: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    from dialogue_ser.nn.gru.kernel_choice import kernels_for

    if gpu.type == "cpu":
        pytest.skip("needs CUDA: a CPU takes torch's operations")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "auto")
    assert kernels_for(torch.empty(1, device=gpu)) is not None
