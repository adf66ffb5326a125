"""Which code computes the pointwise half of a GRU step: Triton kernels, one launch each, or torch's operations.

On a GPU a step of the recurrence is bound by the number of its launches, so there the kernels are taken wherever triton
can be imported; on a CPU torch's operations are. The environment variable ``DIALOGUE_SER_KERNELS`` forces either:
``torch``, or ``triton`` (on a CPU only with Triton's interpreter, TRITON_INTERPRET=1: slow, for tests). The
module that needs triton is imported when it is first used.
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
    """What :mod:`dialogue_ser.nn.gru.kernels` offers; arguments are told there."""

    def advance(self, gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
        """Activations in place, and the new state."""

    def slopes(self, gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
        """Slopes of every row."""


def kernels_for(like: Tensor) -> Kernels | None:
    """The kernels for tensors on this device and of this precision, or None where torch's operations are to be used.

    Raises:
        ConfigError: ``DIALOGUE_SER_KERNELS`` is no known choice, or kernels were forced where they cannot run.
    """
    choice = os.environ.get(ENVIRONMENT_VARIABLE, "auto")
    if choice not in CHOICES:
        raise ConfigError(f"{ENVIRONMENT_VARIABLE}: {unknown_name('choice', choice, CHOICES)}")
    if choice == "torch" or like.dtype not in (torch.float32, torch.float64):
        return None
    if choice == "auto":
        return _tried(like.device) if like.is_cuda else None
    _check_forced(like.device)
    return _load()


def agrees(kernels: Kernels, device: torch.device) -> bool:
    """The kernels give torch's own GRU cell and its gradient on a small example, which draws no random numbers."""
    size, rows = 5, 3
    with torch.enable_grad(), torch.autocast(device.type, enabled=False):
        x, h, bias = (
            torch.linspace(-3, 3, n, device=device).sin().view(shape).requires_grad_()
            for n, shape in [(rows * 3 * size, (rows, -1)), (rows * size, (rows, -1)), (3 * size, (-1,))]
        )
        as_given, nothing = torch.eye(3 * size, device=device), torch.zeros(3 * size, device=device)
        new = torch.gru_cell(x, h, as_given, nothing[:, None].expand(-1, size), nothing, bias)
        d_x, d_h = torch.autograd.grad(new.sum(), [x, h])
    (r, z, n), (r_h, z_h, m) = x.detach().chunk(3, dim=1), bias.detach().chunk(3)
    gates = torch.cat([n, r + r_h, z + z_h, m.expand(rows, -1)], dim=1)[None]
    out, found = torch.empty_like(new)[None], gates.new_empty(1, rows, 5 * size)
    kernels.advance(gates, h.detach()[None], out, None)
    kernels.slopes(gates, h.detach()[None], None, found)
    d_n, d_r, d_z, _, d_direct = found[0].chunk(5, dim=1)
    pairs = [(out[0], new.detach()), (torch.cat([d_r, d_z, d_n], dim=1), d_x), (d_direct, d_h)]
    return all(torch.allclose(one, other, rtol=1e-4, atol=1e-5) for one, other in pairs)


@cache
def _tried(device: torch.device) -> Kernels | None:
    """The kernels, once they have been seen to work on a device; a warning and None where they do not."""
    if find_spec("triton") is None:
        return None
    try:
        kernels = _load()
        if agrees(kernels, device):
            return kernels
        reason = "their results differ from torch's"
    except Exception as error:  # a missing compiler, an unsupported GPU: torch's operations do the same there
        reason = f"{type(error).__name__}: {error}"
    logger.warning("Triton kernels are not used on %s (%s); torch's operations take their place", device, reason)
    return None


def _check_forced(device: torch.device) -> None:
    if find_spec("triton") is None:
        raise ConfigError(f"{ENVIRONMENT_VARIABLE}=triton: triton is not installed; install it or choose torch or auto")
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}=triton: kernels cannot run on {device.type}; choose torch or auto, or set "
            "TRITON_INTERPRET=1 for the (slow) interpreter"
        )


def _load() -> Kernels:
    return cast(Kernels, import_module("dialogue_ser.nn.gru.kernels"))
