"""The graph of MMGCN: turns of a dialogue are joined by how alike their vectors are, in each modality and across."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

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

    def sums(
        self, h_MRWH: Float[Tensor, "modality row slot hidden"], out: Tensor | None = None
    ) -> Float[Tensor, "modality row slot hidden"]:
        """For each node, the weighted sum over its neighbours, itself included.

        All weights are symmetric, so the gradient of h is the same sum of the gradients.

        Args:
            h_MRWH: vectors of the nodes.
            out: where the sums are written; None = a new tensor. With it no gradient is kept.
        """
        sum_MRWH = torch.matmul(self.within_MRWW, h_MRWH, out=out)
        for shift, weight_MRW in enumerate(self.across_KMRW, start=1):
            for own, other in _pairs(shift, len(h_MRWH)):
                sum_MRWH[own].addcmul_(weight_MRW[own, ..., None], h_MRWH[other])
        return sum_MRWH

    def add_gradients(self, to: "SimilarityGraph", d_sum_MRWH: Tensor, h_MRWH: Tensor) -> None:
        """Add the gradients of the weights, for the gradient of the sums over h, to those in ``to``."""
        flat = (-1, *h_MRWH.shape[2:])
        width = self.within_MRWW.shape[-1]
        to.within_MRWW.view(-1, width, width).baddbmm_(d_sum_MRWH.reshape(flat), h_MRWH.reshape(flat).mT)
        for shift, d_weight_MRW in enumerate(to.across_KMRW, start=1):
            for own, other in _pairs(shift, len(h_MRWH)):
                d_weight_MRW[own] += (d_sum_MRWH[own] * h_MRWH[other]).sum(-1)


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
