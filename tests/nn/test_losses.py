"""The masked losses equal torch's losses and results by hand."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, cross_entropy

from dialogue_ser.nn.losses import counted_rows, masked_binary, masked_nll

LABEL = torch.tensor([[0, 2, -100], [1, -100, -100]])


def _log_probs() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.log_softmax(torch.randn(2, 3, 3, dtype=torch.float64), -1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_torchs_cross_entropy_over_labelled_turns(smoothing: float) -> None:
    log_probs = _log_probs()
    numerator, denominator = masked_nll(log_probs, LABEL, label_smoothing=smoothing)
    expected = cross_entropy(log_probs.flatten(0, 1), LABEL.flatten(), label_smoothing=smoothing, ignore_index=-100)
    torch.testing.assert_close(numerator / denominator, expected)
    assert denominator == 3


def test_class_weights_are_in_numerator_and_denominator() -> None:
    log_probs, weights = _log_probs(), torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    numerator, denominator = masked_nll(log_probs, LABEL, class_weights_C=weights)
    assert denominator == 8
    by_hand = -(1 * log_probs[0, 0, 0] + 5 * log_probs[0, 1, 2] + 2 * log_probs[1, 0, 1])
    torch.testing.assert_close(numerator, by_hand)
    expected = cross_entropy(log_probs.flatten(0, 1), LABEL.flatten(), weight=weights, ignore_index=-100)
    torch.testing.assert_close(numerator / denominator, expected)


def test_numerators_and_denominators_of_parts_add_up_to_the_whole() -> None:
    log_probs, weights = _log_probs(), torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    whole = masked_nll(log_probs, LABEL, class_weights_C=weights)
    pieces = [masked_nll(log_probs[b : b + 1], LABEL[b : b + 1], class_weights_C=weights) for b in range(2)]
    for part in range(2):
        torch.testing.assert_close(pieces[0][part] + pieces[1][part], whole[part])


def test_values_on_padding_are_not_read() -> None:
    clean, spoiled = _log_probs(), _log_probs()
    spoiled[LABEL == -100] = float("-inf")
    spoiled[1, 2] = float("nan")
    assert masked_nll(spoiled, LABEL) == masked_nll(clean, LABEL)


def test_focal_loss_gives_less_weight_to_confident_turns() -> None:
    log_probs = torch.log(torch.tensor([[[0.9, 0.1], [0.5, 0.5]]], dtype=torch.float64))
    label = torch.tensor([[0, 0]])
    numerator, denominator = masked_nll(log_probs, label, focal_gamma=2.0)
    expected = -(0.1**2 * torch.log(torch.tensor(0.9)) + 0.5**2 * torch.log(torch.tensor(0.5)))
    assert float(numerator) == pytest.approx(float(expected), rel=1e-6)
    assert denominator == 2


def test_annotators_votes_replace_the_label_where_there_are_any() -> None:
    log_probs = _log_probs()
    votes = torch.zeros(2, 3, 3)
    votes[0, 0] = torch.tensor([0.5, 0.5, 0.0])
    numerator, denominator = masked_nll(log_probs, LABEL, label_distribution_BTC=votes)
    by_hand = -(0.5 * log_probs[0, 0, 0] + 0.5 * log_probs[0, 0, 1] + log_probs[0, 1, 2] + log_probs[1, 0, 1])
    torch.testing.assert_close(numerator, by_hand)
    assert denominator == 3


def test_a_turn_without_a_majority_counts_by_its_votes() -> None:
    log_probs, votes = _log_probs(), torch.zeros(2, 3, 3)
    votes[1, 2] = torch.tensor([0.0, 0.5, 0.5])
    assert LABEL[1, 2] == -100
    numerator, denominator = masked_nll(log_probs, LABEL, label_distribution_BTC=votes)
    without, n = masked_nll(log_probs, LABEL)
    torch.testing.assert_close(numerator - without, -(log_probs[1, 2, 1] + log_probs[1, 2, 2]) / 2)
    assert denominator == n + 1


def test_a_batch_without_labels_has_no_loss() -> None:
    numerator, denominator = masked_nll(_log_probs(), torch.full_like(LABEL, -100))
    assert (float(numerator), float(denominator)) == (0.0, 0.0)


def test_given_rows_change_no_bit_of_value_or_gradient() -> None:
    votes = torch.zeros(2, 3, 3)
    votes[1, 2] = torch.tensor([0.0, 0.5, 0.5])
    found = []
    for row_N in (None, counted_rows(LABEL, votes)):
        log_probs = _log_probs().requires_grad_()
        numerator, denominator = masked_nll(log_probs, LABEL, label_distribution_BTC=votes, row_N=row_N)
        numerator.backward()
        found.append((numerator, denominator, log_probs.grad))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
    assert counted_rows(LABEL, votes).tolist() == [0, 1, 3, 5]


def _binary_by_loops(log_probs, label, weights=(1.0, 1.0, 1.0), smoothing=0.0, votes=None) -> tuple[float, float]:
    """The loss as plain loops over the turns that count and over the classes."""
    numerator = denominator = 0.0
    for b, t in [(b, t) for b in range(2) for t in range(3)]:
        q = [float(label[b, t] == c) for c in range(3)]
        if votes is not None and votes[b, t].sum() > 0:
            q = (votes[b, t].double() / votes[b, t].double().sum()).tolist()
        if sum(q) == 0:
            continue
        w = sum(share * weight for share, weight in zip(q, weights, strict=True))
        smoothed = torch.tensor([(1 - smoothing) * share + smoothing / 3 for share in q], dtype=torch.float64)
        numerator += w * float(binary_cross_entropy(log_probs[b, t].exp(), smoothed))  # torch's mean over classes
        denominator += w
    return numerator, denominator


VOTES = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [[0.0, 0.0, 0.0]] * 3])


@pytest.mark.parametrize(
    "settings", [{}, {"weights": (1.0, 2.0, 5.0)}, {"smoothing": 0.1}, {"votes": VOTES},
                 {"weights": (1.0, 2.0, 5.0), "smoothing": 0.2, "votes": VOTES}],
    ids=["plain", "weights", "smoothing", "votes", "all"],
)  # fmt: skip
def test_binary_is_the_mean_of_torchs_over_all_classes_and_turns_that_count(settings) -> None:
    log_probs = _log_probs()
    log_probs[1, 1:] = float("nan")  # padding is not read
    weights = settings.get("weights")
    found = masked_binary(
        log_probs,
        LABEL,
        class_weights_C=None if weights is None else torch.tensor(weights, dtype=torch.float64),
        label_smoothing=settings.get("smoothing", 0.0),
        label_distribution_BTC=settings.get("votes"),
    )
    for ours, by_loops in zip(found, _binary_by_loops(log_probs, LABEL, **settings), strict=True):
        assert float(ours) == pytest.approx(by_loops, abs=1e-10)


def test_binary_is_smallest_where_the_probabilities_equal_the_votes() -> None:
    votes = torch.tensor([[[0.6, 0.3, 0.1]]], dtype=torch.float64)
    scores = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], lr=0.5, max_iter=200)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        numerator, _ = masked_binary(
            torch.log_softmax(scores, -1), torch.tensor([[-100]]), label_distribution_BTC=votes
        )
        numerator.backward()
        return numerator

    optimizer.step(loss)
    torch.testing.assert_close(torch.softmax(scores.detach(), -1), votes, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_stays_finite_and_steep_where_the_model_is_sure_and_wrong(dtype: torch.dtype) -> None:
    scores = torch.tensor([[[60.0, 0.0, 0.0]]], dtype=dtype, requires_grad=True)
    numerator, _ = masked_binary(torch.log_softmax(scores, -1), torch.tensor([[1]]))
    # −log p_1 = 60 and −log(1 − p_0) = 60 − log 2, where 1 − p_0 is 0 in any floating point
    assert float(numerator.detach()) == pytest.approx((60 + 60 - torch.log(torch.tensor(2.0)).item()) / 3, rel=1e-6)
    numerator.backward()
    assert scores.grad.isfinite().all()
    assert scores.grad[0, 0, 0] > 0.5


def test_binary_of_one_class_is_zero() -> None:
    log_probs = torch.zeros(1, 1, 1, requires_grad=True)
    numerator, _ = masked_binary(log_probs, torch.tensor([[0]]))
    numerator.backward()
    assert (float(numerator.detach()), float(log_probs.grad)) == (0.0, -1.0)
