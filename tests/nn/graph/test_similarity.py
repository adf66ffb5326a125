"""The graph of similar turns."""

import math

import torch
from torch import Tensor

from dialogue_ser.nn.graph.similarity import SimilarityGraph, similarity_graph

ROWS = torch.tensor([[0, 0, 0, -1], [1, 2, 2, 2]])


def vectors(n_kinds: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_kinds, *ROWS.shape, 5, generator=generator, dtype=torch.float64)


def dense(graph: SimilarityGraph) -> Tensor:
    """All weights of the graph as one matrix over modality, row and slot."""
    n_kinds, n_rows, width, _ = graph.within_MRWW.shape
    full = torch.zeros(n_kinds, n_rows, width, n_kinds, n_rows, width, dtype=torch.float64)
    for kind in range(n_kinds):
        for row in range(n_rows):
            full[kind, row, :, kind, row] = graph.within_MRWW[kind, row]
            for shift in range(1, n_kinds):
                other = (kind + shift) % n_kinds
                full[kind, row, :, other, row] = graph.across_KMRW[shift - 1, kind, row].diag()
    return full.flatten(3).flatten(0, 2)


def test_each_node_is_joined_to_its_dialogue_and_to_the_same_turn_of_other_modalities() -> None:
    """Two modalities of the dialogue A B B A: a0 is joined to a0 a1 a2 a3 and t0; who speaks has no part in it."""
    graph = similarity_graph(vectors(2)[:, :1], torch.zeros(1, 4, dtype=torch.long))
    joined = [node for node, weight in enumerate(dense(graph)[0].tolist()) if weight]
    assert joined == [0, 1, 2, 3, 4]
    assert (dense(graph) != 0).sum() == 8 * 5


def test_weights_are_normalised_angles() -> None:
    x = vectors(3)
    matrix = dense(similarity_graph(x, ROWS, across_weight=0.5))
    unit = torch.nn.functional.normalize(x, dim=-1)
    plain = 1 - torch.arccos(0.99999 * (unit[0, 1, 1] @ unit[0, 1, 3])) / math.pi
    across = 0.5 * (1 - torch.arccos(0.99999 * (unit[0, 1, 1] @ unit[2, 1, 1])) / math.pi)
    node, seen, other = 5, 7, 16 + 5
    torch.testing.assert_close(matrix[node, seen] / matrix[node, other], _scaled(plain, across, x, 0.5))
    torch.testing.assert_close(matrix, matrix.T)


def _scaled(plain: Tensor, across: Tensor, x: Tensor, across_weight: float) -> Tensor:
    def degree(kind: int, slot: int) -> Tensor:
        unit = torch.nn.functional.normalize(x, dim=-1)
        within = 1 - torch.arccos(0.99999 * (unit[kind, 1, slot] @ unit[kind, 1, 1:].T)) / math.pi
        others = [unit[k, 1, slot] for k in range(3) if k != kind]
        between = 1 - torch.arccos(0.99999 * (unit[kind, 1, slot] @ torch.stack(others).T)) / math.pi
        return within.sum() + across_weight * between.sum()

    return plain / degree(0, 3).sqrt() / (across / degree(2, 1).sqrt())


def test_sums_are_products_with_the_matrix_and_so_are_their_gradients() -> None:
    x, h = vectors(3).requires_grad_(), vectors(3, seed=1).requires_grad_()
    graph = similarity_graph(x, ROWS)
    expected = (dense(graph) @ h.flatten(0, 2)).view_as(h)
    torch.testing.assert_close(graph.sums(h), expected)
    weights = vectors(3, seed=2)
    found, right = (
        torch.autograd.grad((sums * weights).sum(), (x, h), retain_graph=True) for sums in (graph.sums(h), expected)
    )
    for one, other in zip(found, right, strict=True):
        torch.testing.assert_close(one, other)


def test_a_single_modality_has_no_edges_across() -> None:
    graph = similarity_graph(vectors(1), ROWS)
    assert graph.across_KMRW.shape == (0, 1, 2, 4)
    torch.testing.assert_close(graph.sums(vectors(1)), graph.within_MRWW @ vectors(1))


def test_equal_vectors_and_zeros_have_finite_weights_and_gradients() -> None:
    for dtype in (torch.float64, torch.float32):
        x = torch.ones(2, *ROWS.shape, 5, dtype=dtype)
        x[0, 0, 1], x[1, 1] = 0.0, 1e-30
        x.requires_grad_()
        graph = similarity_graph(x, ROWS)
        graph.within_MRWW.square().sum().backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert (x.grad[0, 0, 1] == 0).all()
        assert graph.within_MRWW.isfinite().all()


def test_empty_slots_have_no_weight_and_get_no_gradient() -> None:
    x = vectors(2).requires_grad_()
    graph = similarity_graph(x, ROWS)
    assert (graph.within_MRWW[:, 0, 3] == 0).all()
    assert (graph.across_KMRW[..., 0, 3] == 0).all()
    (graph.within_MRWW.sum() + graph.across_KMRW.square().sum()).backward()
    assert x.grad is not None
    assert (x.grad[:, 0, 3] == 0).all()
