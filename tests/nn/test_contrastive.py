"""The contrastive loss is that of the formula, pair by pair."""

import pytest
import torch

from dialogue_ser.nn.contrastive import nt_xent


def right(x, label, temperature, similarity):
    if similarity == "cosine":
        x = x / x.norm(dim=1, keepdim=True)
    terms = []
    for a in range(len(x)):
        for p in range(len(x)):
            if p != a and label[a] == label[p]:
                others = [torch.exp(x[a] @ x[n] / temperature) for n in range(len(x)) if label[n] != label[a]]
                top = torch.exp(x[a] @ x[p] / temperature)
                terms.append(-torch.log(top / (top + sum(others))))
    return torch.stack(terms).mean()


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_and_its_gradient_are_those_of_the_formula(similarity, temperature):
    torch.manual_seed(1)
    x = torch.randn(7, 3, dtype=torch.float64).log_softmax(-1).requires_grad_()
    label = torch.tensor([0, 1, 0, 2, 1, 0, 2])
    ours = nt_xent(x, label, temperature=temperature, similarity=similarity)
    (gradient,) = torch.autograd.grad(ours, x)
    expected = right(x, label, temperature, similarity)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, x)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1], [0, 1, 2]])
def test_without_pairs_or_without_other_classes_it_is_zero_and_so_is_its_gradient(labels):
    x = torch.randn(len(labels), 3).log_softmax(-1).requires_grad_()
    loss = nt_xent(x, torch.tensor(labels, dtype=torch.int64), similarity="dot")
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_large_similarities_do_not_overflow():
    x = (1e3 * torch.eye(3)[[0, 0, 1, 1]]).requires_grad_()
    loss = nt_xent(x, torch.tensor([0, 1, 1, 0]), temperature=0.01, similarity="dot")
    loss.backward()
    assert loss.isfinite()
    assert x.grad.isfinite().all()
