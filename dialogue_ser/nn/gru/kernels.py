"""Triton kernels for the pointwise half of a GRU step.

:mod:`dialogue_ser.nn.gru.kernel_choice` imports this module where the kernels can run. One program computes one row, or
one block of its columns, in the precision of the buffer. :mod:`dialogue_ser.nn.gru.cells` describes how gates and
slopes lie in memory; each kernel gives the same result as the torch operations there. The number of rows, the strides
and the alignment of the slices change with every batch. The kernels are therefore not compiled for particular values
of them.
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


# Triton compiles the annotations of a kernel as code, so the only annotation allowed there is constexpr. A kernel takes
# every pointer and every stride as a separate parameter, because Triton chooses by the parameter's name what it
# specialises. That is why the two kernels have more than 12 parameters.


@triton.jit
def _sigmoid(x):
    decayed = tl.exp(-tl.abs(x))  # never overflows
    return tl.where(x >= 0, 1.0, decayed) / (1.0 + decayed)


@triton.jit
def _tanh(x):
    decayed = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - decayed) / (1.0 + decayed)
    return tl.where(x >= 0, size, -size)


@triton.jit
def _position(size: tl.constexpr, block: tl.constexpr):
    """The row, the index on the axis Z and the columns of this program, and which columns exist."""
    row, z_index = tl.program_id(0).to(tl.int64), tl.program_id(1).to(tl.int64)
    column = tl.program_id(2) * block + tl.arange(0, block)
    return row, z_index, column, column < size


@triton.jit
def _load_gates(row_of_gates, size: tl.constexpr, is_real):
    """The columns n, r, z and m of one row."""
    n = tl.load(row_of_gates, mask=is_real, other=0.0)
    r = tl.load(row_of_gates + size, mask=is_real, other=0.0)
    z = tl.load(row_of_gates + 2 * size, mask=is_real, other=0.0)
    m = tl.load(row_of_gates + 3 * size, mask=is_real, other=0.0)
    return n, r, z, m


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
    row, z_index, column, is_real = _position(size, block)
    own = gates + z_index * gates_z + row * gates_row + column
    n, r, z, m = _load_gates(own, size, is_real)
    r, z = _sigmoid(r), _sigmoid(z)
    before = tl.load(h + z_index * h_z + row * h_row + column * h_column, mask=is_real, other=0.0)
    candidate = _tanh(n + r * m)
    # The backward pass reads the activations.
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
    row, z_index, column, is_real = _position(size, block)
    n, r, z, m = _load_gates(gates + z_index * gates_z + row * gates_row + column, size, is_real)
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
    """Turn pre-activations into activations, in place, and write the new state. This is one launch.

    Args:
        gates: pre-activations ``[Z, n, 4H]``; columns are adjacent, the other strides are free.
        h: states before the step ``[Z, n, H]``, any strides.
        out: new states, same shape as h, any strides.
        mask: dropout multipliers of the new states, same shape as h, or None for no dropout.
    """
    n_z, n_rows, size = out.shape
    if out.numel() == 0:
        return
    block = _block(size)
    mask_or_any = out if mask is None else mask  # without a mask the kernel never reads this pointer
    strides = (*gates.stride()[:2], *h.stride(), *out.stride(), *mask_or_any.stride())
    with _on(out):
        _advance[(n_rows, n_z, triton.cdiv(size, block))](
            gates, h, out, mask_or_any, *strides, size=size, has_mask=mask is not None, block=block
        )


def slopes(gates: Tensor, h: Tensor, mask: Tensor | None, out: Tensor) -> None:
    """Write the slopes of every row. This is one launch.

    Args:
        gates: activations ``[Z, R, 4H]``; columns are adjacent, the other strides are free.
        h: states before the steps ``[Z, R, H]``, any strides.
        mask: dropout multipliers of the new states, same shape as h, or None for no dropout.
        out: where the slopes n, r, z, m, h are written ``[Z, R, 5H]``; columns are adjacent.
    """
    n_z, n_rows, size = h.shape
    if h.numel() == 0:
        return
    block = _block(size)
    mask_or_any = h if mask is None else mask  # without a mask the kernel never reads this pointer
    strides = (*gates.stride()[:2], *h.stride(), *out.stride()[:2], *mask_or_any.stride())
    with _on(out):
        _slopes[(n_rows, n_z, triton.cdiv(size, block))](
            gates, h, out, mask_or_any, *strides, size=size, has_mask=mask is not None, block=block
        )


def _block(size: int) -> int:
    return min(int(triton.next_power_of_2(size)), MAX_BLOCK)


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    """Make the tensor's GPU the current one, because Triton launches on the current GPU."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
