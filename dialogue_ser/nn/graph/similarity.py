"""The graph of MMGCN: turns of a dialogue are joined by how alike their vectors are, in each modality and across."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

#: Factor of a cosine. The slope of arccos is infinite at 1, i.e. between equal vectors; here it is 224 at most.
ALMOST_ONE = 0.99999
#: A shorter vector has no direction.
SHORTEST = 1e-12


@dataclass(frozen=True)
class SimilarityGraph:
    """Normalised weights of the edges, for M modalities and dialogues in R rows of W slots.

    Args:
        within_MRWW: weights between the slots of a row in one modality; 0 between different dialogues.
        across_KMRW: K = M − 1; ``across_KMRW[k - 1, m]`` joins each turn in modality m with itself in modality m + k
            (counted around).
    """

    within_MRWW: Float[Tensor, "modality row slot seen"]
    across_KMRW: Float[Tensor, "shift modality row slot"]

    def sums(self, h_MRWH: Float[Tensor, "modality row slot hidden"]) -> Float[Tensor, "modality row slot hidden"]:
        """For each node, the weighted sum over its neighbours, itself included."""
        sum_MRWH: Tensor = _Sums.apply(self.within_MRWW, self.across_KMRW, h_MRWH)  # type: ignore[no-untyped-call]
        return sum_MRWH


def similarity_graph(
    x_MRWF: Float[Tensor, "modality row slot feature"],
    dialogue_RW: Int[Tensor, "row slot"],
    across_weight: float = 1.0,
) -> SimilarityGraph:
    """Join every turn to all turns of its dialogue in the same modality, and to itself in every other modality.

    An edge weighs a = 1 − arccos(0.99999 · cosine) / π, times ``across_weight`` between modalities. The weight is then
    divided by √(d_i d_j), with d the sums of the weights of each node. The gradient flows into the vectors. A vector of
    zeros counts as orthogonal to all others and gets no gradient from here.

    A dialogue of T turns has M · T² weights. There are neither weights between different turns of different modalities
    nor, beyond the few slots of a row, between different dialogues. Autocast has no effect here.

    Args:
        x_MRWF: vectors of the nodes, finite in empty slots too.
        dialogue_RW: dialogue of each slot; −1 = an empty slot.
        across_weight: factor of the weights between modalities.
    """
    with torch.autocast(x_MRWF.device.type, enabled=False):
        unit_MRWF = _unit(x_MRWF)
        is_real_RW = dialogue_RW >= 0
        is_joined_RWW = (dialogue_RW[:, :, None] == dialogue_RW[:, None, :]) & is_real_RW[..., None]
        within_MRWW = _similarity(unit_MRWF @ unit_MRWF.mT).masked_fill(~is_joined_RWW, 0.0)
        shifts = range(1, len(x_MRWF))
        across = [_similarity((unit_MRWF * unit_MRWF.roll(-shift, 0)).sum(-1)) * across_weight for shift in shifts]
        degree_MRW = within_MRWW.sum(-1)
        for weight_MRW in across:
            degree_MRW = degree_MRW + weight_MRW
        scale_MRW = degree_MRW.masked_fill(~is_real_RW, 1.0).rsqrt()
        across = [
            (weight_MRW * scale_MRW * scale_MRW.roll(-shift, 0)).masked_fill(~is_real_RW, 0.0)
            for shift, weight_MRW in zip(shifts, across, strict=True)
        ]
        within_MRWW = within_MRWW * scale_MRW[..., None] * scale_MRW[..., None, :]
        across_KMRW = torch.stack(across) if across else scale_MRW.new_empty(0, *scale_MRW.shape)
        return SimilarityGraph(within_MRWW, across_KMRW)


class _Sums(torch.autograd.Function):
    """Sums over the neighbours. All weights are symmetric, so the gradient of h is a sum over the neighbours, too."""

    @staticmethod
    def forward(ctx: Any, within_MRWW: Tensor, across_KMRW: Tensor, h_MRWH: Tensor) -> Tensor:
        ctx.save_for_backward(within_MRWW, across_KMRW, h_MRWH)
        return _sums(within_MRWW, across_KMRW, h_MRWH)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_MRWH: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        within_MRWW, across_KMRW, h_MRWH = ctx.saved_tensors
        needs_weights, _, needs_h = ctx.needs_input_grad
        grad_h = _sums(within_MRWW, across_KMRW, grad_MRWH) if needs_h else None
        if not needs_weights:
            return None, None, grad_h
        grad_across = torch.empty_like(across_KMRW)
        for shift, weight_MRW in enumerate(grad_across, start=1):
            for own, other in _pairs(shift, len(h_MRWH)):
                torch.sum(grad_MRWH[own] * h_MRWH[other], -1, out=weight_MRW[own])
        return grad_MRWH @ h_MRWH.mT, grad_across, grad_h


def _sums(within_MRWW: Tensor, across_KMRW: Tensor, h_MRWH: Tensor) -> Tensor:
    sum_MRWH = within_MRWW @ h_MRWH
    for shift, weight_MRW in enumerate(across_KMRW, start=1):
        for own, other in _pairs(shift, len(h_MRWH)):
            sum_MRWH[own].addcmul_(weight_MRW[own, ..., None], h_MRWH[other])
    return sum_MRWH


def _pairs(shift: int, n_kinds: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Modalities m and m + shift (counted around), as two pairs of slices."""
    first, last = slice(None, n_kinds - shift), slice(n_kinds - shift, None)
    return (first, slice(shift, None)), (last, slice(None, shift))


def _similarity(cosine: Tensor) -> Tensor:
    return 1 - torch.arccos(ALMOST_ONE * cosine) / math.pi


def _unit(x_MRWF: Tensor) -> Tensor:
    """Vectors of length 1, at least in single precision; vectors of zeros stay as they are."""
    x_MRWF = x_MRWF.to(torch.promote_types(x_MRWF.dtype, torch.float32))
    square_MRW1 = x_MRWF.square().sum(-1, keepdim=True)
    is_zero_MRW1 = square_MRW1 < SHORTEST**2
    return x_MRWF * square_MRW1.masked_fill(is_zero_MRW1, 1.0).rsqrt().masked_fill(is_zero_MRW1, 0.0)
