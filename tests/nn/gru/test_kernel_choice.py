import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.gru import kernel_choice
from dialogue_ser.nn.gru.cells import Gates, Slopes
from dialogue_ser.nn.gru.kernel_choice import ENVIRONMENT_VARIABLE, kernels_agree_with_torch, kernels_for

CPU = torch.device("cpu")


class TorchsOperations:
    """Kernels made of torch's operations. ``error`` is added to the slopes, so that the results can be wrong."""

    def __init__(self, error: float = 0.0) -> None:
        self.error = error

    def advance(self, gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
        own = Gates(gates.new_zeros(len(gates), h.shape[-1]), [gates.shape[1]])
        own.all.copy_(gates)
        own.advance(0, h, out, mask)
        gates.copy_(own.all)

    def slopes(self, gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
        own = Gates(gates.new_zeros(len(gates), h.shape[-1]), [gates.shape[1]])
        own.all.copy_(gates)
        slopes = Slopes(own, h, mask, [gates.shape[1]])
        out.copy_(torch.cat([slopes.inputs, slopes.m, *slopes.direct_at], dim=-1) + self.error)


@pytest.fixture(autouse=True)
def _no_choice_and_no_cached_check(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    kernel_choice._verified_kernels.cache_clear()
    yield
    kernel_choice._verified_kernels.cache_clear()


def test_on_a_cpu_torchs_operations_are_used() -> None:
    assert kernels_for(torch.empty(1)) is None


def test_kernels_are_not_imported_with_the_package_and_nothing_else_in_it_needs_triton() -> None:
    """torch.compile's own modules import triton if it is installed. The package must work without it."""
    code = "import dialogue_ser.models, sys; sys.exit('dialogue_ser.nn.gru.kernels' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    package = Path(kernel_choice.__file__).parents[2]
    named = [path for path in package.rglob("*.py") if "import triton" in path.read_text(encoding="utf-8")]
    assert named == [package / "nn" / "gru" / "kernels.py"]


def test_a_precision_without_kernels_uses_torchs_operations(monkeypatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "triton")
    assert kernels_for(torch.empty(1, dtype=torch.bfloat16)) is None


def test_an_unknown_choice_names_the_known_ones(monkeypatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "tritn")
    with pytest.raises(ConfigError, match="DIALOGUE_SER_KERNELS: unknown choice 'tritn'; did you mean 'triton'"):
        kernels_for(torch.empty(1))


def test_kernels_are_not_forced_on_a_cpu_without_the_interpreter(monkeypatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(kernel_choice, "find_spec", lambda name: object())
    with pytest.raises(ConfigError, match="cannot run on cpu"):
        kernels_for(torch.empty(1))
    monkeypatch.setattr(kernel_choice, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="triton is not installed"):
        kernels_for(torch.empty(1))


def test_kernels_that_differ_from_torchs_gru_do_not_agree() -> None:
    assert kernels_agree_with_torch(TorchsOperations(), CPU)
    assert not kernels_agree_with_torch(TorchsOperations(error=1e-3), CPU)


@pytest.mark.parametrize(
    ("kernels", "reason"),
    [(TorchsOperations(error=1e-3), "results differ"), (RuntimeError("no C compiler"), "RuntimeError: no C compiler")],
)
def test_kernels_that_do_not_work_are_replaced_with_a_warning(kernels, reason, monkeypatch, caplog) -> None:
    def load() -> kernel_choice.Kernels:
        if isinstance(kernels, Exception):
            raise kernels
        return kernels

    monkeypatch.setattr(kernel_choice, "find_spec", lambda name: object())
    monkeypatch.setattr(kernel_choice, "_import_kernels", load)
    with caplog.at_level(logging.WARNING):
        assert kernel_choice._verified_kernels(CPU) is None
    assert reason in caplog.text
    assert "Torch's operations are used instead" in caplog.text


def test_kernels_that_work_are_used_and_without_triton_there_is_no_warning(monkeypatch, caplog) -> None:
    good = TorchsOperations()
    monkeypatch.setattr(kernel_choice, "_import_kernels", lambda: good)
    monkeypatch.setattr(kernel_choice, "find_spec", lambda name: object())
    assert kernel_choice._verified_kernels(CPU) is good
    kernel_choice._verified_kernels.cache_clear()
    monkeypatch.setattr(kernel_choice, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert kernel_choice._verified_kernels(CPU) is None
    assert not caplog.text


def test_cells_hand_steps_and_slopes_to_kernels(monkeypatch) -> None:
    """The kernels of this test only record their calls."""
    calls = []

    class RecordingKernels:
        def advance(self, gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
            calls.append((tuple(gates.shape), tuple(out.shape), mask is None))

        def slopes(self, gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
            calls.append((tuple(gates.shape), tuple(out.shape), mask is None))

    monkeypatch.setattr("dialogue_ser.nn.gru.cells.kernels_for", lambda like: RecordingKernels())
    gates, h = Gates(torch.zeros(2, 3), [4, 1]), torch.zeros(2, 5, 3)
    gates.advance(1, h[:, 4:], torch.empty(2, 1, 3), None)
    Slopes(gates, h, torch.ones_like(h), [4, 1])
    assert calls == [((2, 1, 12), (2, 1, 3), True), ((2, 5, 12), (2, 5, 15), False)]
