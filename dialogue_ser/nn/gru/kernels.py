"""Triton kernels of the pointwise half of a GRU step; imported by :mod:`dialogue_ser.nn.gru.fused` where they can run.

One program computes one row (or a block of its columns), in the precision of the buffer. How gates and slopes lie in
memory is told in :mod:`dialogue_ser.nn.gru.cells`, whose torch operations these replace one for one. The number of
rows and the strides change with every batch, so nothing is compiled for particular ones, nor for an alignment of the
slices.
"""
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

MAX_BLOCK = 1024
_POINTERS = ["gates", "h", "out", "mask"]
_STRIDES = [f"{name}_{axis}" for name in _POINTERS for axis in ("z", "row")]


# Triton compiles the annotations of a kernel as code: only constexpr may stand there.


@triton.jit
def _sigmoid(x):
    decayed = tl.exp(-tl.abs(x))  # never overflows
    return tl.where(x >= 0, 1.0, decayed) / (1.0 + decayed)


@triton.jit
def _tanh(x):
    decayed = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - decayed) / (1.0 + decayed)
    return tl.where(x >= 0, size, -size)


@triton.jit(do_not_specialize=_STRIDES, do_not_specialize_on_alignment=_POINTERS)
def _advance(
    gates,
    h,
    out,
    mask,
    gates_z,
    gates_row,
    h_z,
    h_row,
    h_column,
    out_z,
    out_row,
    out_column,
    mask_z,
    mask_row,
    mask_column,
    size: tl.constexpr,
    has_mask: tl.constexpr,
    block: tl.constexpr,
):
    row, z_index = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    column = tl.program_id(2) * block + tl.arange(0, block)
    is_real = column < size
    own = gates + z_index * gates_z + row * gates_row + column
    n = tl.load(own, mask=is_real, other=0.0)
    r = _sigmoid(tl.load(own + size, mask=is_real, other=0.0))
    z = _sigmoid(tl.load(own + 2 * size, mask=is_real, other=0.0))
    m = tl.load(own + 3 * size, mask=is_real, other=0.0)
    before = tl.load(h + z_index * h_z + row * h_row + column * h_column, mask=is_real, other=0.0)
    candidate = _tanh(n + r * m)
    # backward reads the activations
    tl.store(own, candidate, mask=is_real)
    tl.store(own + size, r, mask=is_real)
    tl.store(own + 2 * size, z, mask=is_real)
    new = candidate + z * (before - candidate)
    if has_mask:
        new *= tl.load(mask + z_index * mask_z + row * mask_row + column * mask_column, mask=is_real, other=0.0)
    tl.store(out + z_index * out_z + row * out_row + column * out_column, new, mask=is_real)


@triton.jit(do_not_specialize=_STRIDES, do_not_specialize_on_alignment=_POINTERS)
def _slopes(
    gates,
    h,
    out,
    mask,
    gates_z,
    gates_row,
    h_z,
    h_row,
    h_column,
    out_z,
    out_row,
    mask_z,
    mask_row,
    mask_column,
    size: tl.constexpr,
    has_mask: tl.constexpr,
    block: tl.constexpr,
):
    row, z_index = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    column = tl.program_id(2) * block + tl.arange(0, block)
    is_real = column < size
    own = gates + z_index * gates_z + row * gates_row + column
    n = tl.load(own, mask=is_real, other=0.0)
    r = tl.load(own + size, mask=is_real, other=0.0)
    z = tl.load(own + 2 * size, mask=is_real, other=0.0)
    m = tl.load(own + 3 * size, mask=is_real, other=0.0)
    before = tl.load(h + z_index * h_z + row * h_row + column * h_column, mask=is_real, other=0.0)
    d_h, d_candidate = z, 1.0 - z
    if has_mask:
        kept = tl.load(mask + z_index * mask_z + row * mask_row + column * mask_column, mask=is_real, other=0.0)
        d_h, d_candidate = z * kept, (1.0 - z) * kept
    d_n = d_candidate * (1.0 - n * n)
    d_m = d_n * r
    to = out + z_index * out_z + row * out_row + column
    tl.store(to, d_n, mask=is_real)
    tl.store(to + size, d_m * (1.0 - r) * m, mask=is_real)
    tl.store(to + 2 * size, d_h * (1.0 - z) * (before - n), mask=is_real)
    tl.store(to + 3 * size, d_m, mask=is_real)
    tl.store(to + 4 * size, d_h, mask=is_real)


def advance(gates: Tensor, h: Tensor, out: Tensor, mask: Tensor | None) -> None:
    """Turn pre-activations into activations, in place, and write the new state: one launch.

    Args:
        gates: ``[Z, n, 4H]``, columns adjacent, any other strides.
        h: ``[Z, n, H]``, any strides.
        out: as h.
        mask: as h, or None.
    """
    n_z, n_rows, size = out.shape
    if out.numel() == 0:
        return
    block = _block(size)
    given = out if mask is None else mask
    strides = (*gates.stride()[:2], *h.stride(), *out.stride(), *given.stride())
    with _on(out):
        _advance[(n_rows, n_z, triton.cdiv(size, block))](
            gates, h, out, given, *strides, size=size, has_mask=mask is not None, block=block
        )


def slopes(gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
    """Write the slopes of every row: one launch.

    Args:
        gates: activations ``[Z, R, 4H]``, columns adjacent, any other strides.
        h: states before ``[Z, R, H]``, any strides.
        mask: as h, or None.
        out: ``[Z, R, 5H]``, columns adjacent: n, r, z, m, h.
    """
    n_z, n_rows, size = h.shape
    if h.numel() == 0:
        return
    block = _block(size)
    given = h if mask is None else mask
    strides = (*gates.stride()[:2], *h.stride(), *out.stride()[:2], *given.stride())
    with _on(out):
        _slopes[(n_rows, n_z, triton.cdiv(size, block))](
            gates, h, out, given, *strides, size=size, has_mask=mask is not None, block=block
        )


def _block(size: int) -> int:
    return min(int(triton.next_power_of_2(size)), MAX_BLOCK)


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on the current GPU, whatever the tensors are on."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
