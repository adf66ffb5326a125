"""The masked loss against torch's own and by hand."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from dialogue_ser.nn.losses import counted_rows, masked_nll

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


def test_class_weights_stand_in_numerator_and_denominator() -> None:
    log_probs, weights = _log_probs(), torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    numerator, denominator = masked_nll(log_probs, LABEL, class_weights_C=weights)
    assert denominator == 8
    by_hand = -(1 * log_probs[0, 0, 0] + 5 * log_probs[0, 1, 2] + 2 * log_probs[1, 0, 1])
    torch.testing.assert_close(numerator, by_hand)
    expected = cross_entropy(log_probs.flatten(0, 1), LABEL.flatten(), weight=weights, ignore_index=-100)
    torch.testing.assert_close(numerator / denominator, expected)


def test_denominators_make_pieces_add_up_to_the_whole() -> None:
    log_probs, weights = _log_probs(), torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    whole = masked_nll(log_probs, LABEL, class_weights_C=weights)
    pieces = [masked_nll(log_probs[b : b + 1], LABEL[b : b + 1], class_weights_C=weights) for b in range(2)]
    for part in range(2):
        torch.testing.assert_close(pieces[0][part] + pieces[1][part], whole[part])


def test_garbage_on_padding_is_not_read() -> None:
    clean, spoiled = _log_probs(), _log_probs()
    spoiled[LABEL == -100] = float("-inf")
    spoiled[1, 2] = float("nan")
    assert masked_nll(spoiled, LABEL) == masked_nll(clean, LABEL)


def test_focal_loss_discounts_what_is_already_right() -> None:
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


def test_a_turn_whose_annotators_tie_counts_by_its_votes_though_it_has_no_label() -> None:
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


def test_rows_counted_beforehand_change_no_bit_of_value_or_gradient() -> None:
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
