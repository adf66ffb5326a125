"""Choose what computes the pointwise half of a GRU step: the Triton kernels or torch's operations.

On a GPU the number of kernel launches limits the speed of the recurrence. A Triton kernel does a step in one launch, so
the Triton kernels are used on a GPU if triton can be imported. On a CPU torch's operations are used. The environment
variable ``DIALOGUE_SER_KERNELS`` changes this choice: ``torch`` always takes torch's operations, and ``triton`` always
takes the kernels. On a CPU the kernels need Triton's interpreter (``TRITON_INTERPRET=1``), which is slow and meant for
tests. The kernels are imported only when they are first needed, because triton may not be installed.
"""

import logging
import os
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from dialogue_ser.errors import ConfigError, unknown_name

ENVIRONMENT_VARIABLE = "DIALOGUE_SER_KERNELS"
CHOICES = ("auto", "torch", "triton")
logger = logging.getLogger(__name__)


@runtime_checkable
class Kernels(Protocol):
    """The functions of :mod:`dialogue_ser.nn.gru.kernels`. That module describes their arguments."""

    def advance(self, gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
        """Turn pre-activations into activations, in place, and write the new state to ``out``."""

    def slopes(self, gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
        """Write the slopes of every row to ``out``."""


def kernels_for(like: Tensor) -> Kernels | None:
    """Return the kernels for the device and the precision of ``like``, or None if torch's operations are to be used.

    Raises:
        ConfigError: ``DIALOGUE_SER_KERNELS`` has an unknown value, or it forces the kernels where they cannot run.
    """
    choice = os.environ.get(ENVIRONMENT_VARIABLE, "auto")
    if choice not in CHOICES:
        raise ConfigError(f"{ENVIRONMENT_VARIABLE}: {unknown_name('choice', choice, CHOICES)}")
    if choice == "torch" or like.dtype not in (torch.float32, torch.float64):
        return None
    if choice == "auto":
        return _verified_kernels(like.device) if like.is_cuda else None
    _check_that_kernels_can_run(like.device)
    return _import_kernels()


def kernels_agree_with_torch(kernels: Kernels, device: torch.device) -> bool:
    """Return whether the kernels give the result and the gradient of torch's own GRU cell on a small example.

    The example is fixed: the check draws no random numbers, so it does not change a seeded run.
    """
    size, rows = 5, 3
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        x, h, bias = (
            torch.linspace(-3, 3, n, device=device).sin().view(shape).requires_grad_()
            for n, shape in [(rows * 3 * size, (rows, -1)), (rows * size, (rows, -1)), (3 * size, (-1,))]
        )
        identity, zeros = torch.eye(3 * size, device=device), torch.zeros(3 * size, device=device)
        new = torch.gru_cell(x, h, identity, zeros[:, None].expand(-1, size), zeros, bias)
        d_x, d_h = torch.autograd.grad(new.sum(), [x, h])
    (r, z, n), (r_h, z_h, m) = x.detach().chunk(3, dim=1), bias.detach().chunk(3)
    gates = torch.cat([n, r + r_h, z + z_h, m.expand(rows, -1)], dim=1)[None]
    out, slopes = torch.empty_like(new)[None], gates.new_empty(1, rows, 5 * size)
    kernels.advance(gates, h.detach()[None], out, None)
    kernels.slopes(gates, h.detach()[None], None, slopes)
    d_n, d_r, d_z, _, d_direct = slopes[0].chunk(5, dim=1)
    pairs = [(out[0], new.detach()), (torch.cat([d_r, d_z, d_n], dim=1), d_x), (d_direct, d_h)]
    return all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in pairs)


@cache
def _verified_kernels(device: torch.device) -> Kernels | None:
    """Return the kernels if they work on a device; else None, with a warning if triton is installed."""
    if find_spec("triton") is None:
        return None
    try:
        kernels = _import_kernels()
        if kernels_agree_with_torch(kernels, device):
            return kernels
        reason = "their results differ from torch's"
    except Exception as error:  # e.g. no compiler or an unsupported GPU; torch's operations give the same results there
        reason = f"{type(error).__name__}: {error}"
    logger.warning("The Triton kernels do not work on %s (%s). Torch's operations are used instead.", device, reason)
    return None


def _check_that_kernels_can_run(device: torch.device) -> None:
    if find_spec("triton") is None:
        raise ConfigError(f"{ENVIRONMENT_VARIABLE}=triton: triton is not installed; install it or choose torch or auto")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}=triton: the kernels cannot run on {device.type}; choose torch or auto, or set "
            "TRITON_INTERPRET=1 to use Triton's slow interpreter"
        )


def _import_kernels() -> Kernels:
    return cast(Kernels, import_module("dialogue_ser.nn.gru.kernels"))
