import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dialogue_ser.errors import ConfigError
from dialogue_ser.nn.gru import fused
from dialogue_ser.nn.gru.cells import Gates, Slopes
from dialogue_ser.nn.gru.fused import ENVIRONMENT_VARIABLE, agrees, kernels_for

CPU = torch.device("cpu")


class TorchsOperations:
    """What kernels are to do, done by torch; ``error`` is added to what they write."""

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
        out.copy_(torch.cat([slopes.inputs, slopes.m, *slopes.direct_of], dim=-1) + self.error)


@pytest.fixture(autouse=True)
def _nothing_chosen_and_nothing_tried(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    fused._tried.cache_clear()
    yield
    fused._tried.cache_clear()


def test_on_a_cpu_torchs_operations_are_taken() -> None:
    assert kernels_for(torch.empty(1)) is None


def test_kernels_are_not_imported_with_the_package_and_nothing_else_in_it_needs_triton() -> None:
    """torch.compile's own modules import triton where it is installed; the package works where it is not."""
    code = "import dialogue_ser.models, sys; sys.exit('dialogue_ser.nn.gru.kernels' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    package = Path(fused.__file__).parents[2]
    named = [path for path in package.rglob("*.py") if "import triton" in path.read_text(encoding="utf-8")]
    assert named == [package / "nn" / "gru" / "kernels.py"]


def test_a_precision_without_kernels_falls_to_torchs_operations(monkeypatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "triton")
    assert kernels_for(torch.empty(1, dtype=torch.bfloat16)) is None


def test_an_unknown_choice_names_the_known_ones(monkeypatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "tritn")
    with pytest.raises(ConfigError, match="DIALOGUE_SER_KERNELS: unknown choice 'tritn'; did you mean 'triton'"):
        kernels_for(torch.empty(1))


def test_kernels_are_not_forced_on_a_cpu_without_the_interpreter(monkeypatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(fused, "find_spec", lambda name: object())
    with pytest.raises(ConfigError, match="cannot run on cpu"):
        kernels_for(torch.empty(1))
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="triton is not installed"):
        kernels_for(torch.empty(1))


def test_kernels_that_differ_from_torchs_gru_do_not_agree() -> None:
    assert agrees(TorchsOperations(), CPU)
    assert not agrees(TorchsOperations(error=1e-3), CPU)


@pytest.mark.parametrize(
    ("kernels", "reason"),
    [(TorchsOperations(error=1e-3), "results differ"), (RuntimeError("no C compiler"), "RuntimeError: no C compiler")],
)
def test_kernels_that_do_not_work_give_way_with_a_warning(kernels, reason, monkeypatch, caplog) -> None:
    def load() -> fused.Kernels:
        if isinstance(kernels, Exception):
            raise kernels
        return kernels

    monkeypatch.setattr(fused, "find_spec", lambda name: object())
    monkeypatch.setattr(fused, "_load", load)
    with caplog.at_level(logging.WARNING):
        assert fused._tried(CPU) is None
    assert reason in caplog.text
    assert "torch's operations take their place" in caplog.text


def test_kernels_that_work_are_taken_and_without_triton_nobody_is_warned(monkeypatch, caplog) -> None:
    good = TorchsOperations()
    monkeypatch.setattr(fused, "_load", lambda: good)
    monkeypatch.setattr(fused, "find_spec", lambda name: object())
    assert fused._tried(CPU) is good
    fused._tried.cache_clear()
    monkeypatch.setattr(fused, "find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert fused._tried(CPU) is None
    assert not caplog.text


def test_cells_hand_steps_and_slopes_to_kernels(monkeypatch) -> None:
    """Seen through kernels that only note that they were called."""
    calls = []

    class Noting:
        def advance(self, gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
            calls.append((tuple(gates.shape), tuple(out.shape), mask is None))

        def slopes(self, gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
            calls.append((tuple(gates.shape), tuple(out.shape), mask is None))

    monkeypatch.setattr("dialogue_ser.nn.gru.cells.kernels_for", lambda like: Noting())
    gates, h = Gates(torch.zeros(2, 3), [4, 1]), torch.zeros(2, 5, 3)
    gates.advance(1, h[:, 4:], torch.empty(2, 1, 3), None)
    Slopes(gates, h, torch.ones_like(h), [4, 1])
    assert calls == [((2, 1, 12), (2, 1, 3), True), ((2, 5, 12), (2, 5, 15), False)]
