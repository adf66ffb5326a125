"""Order is a function of seed and epoch alone and covers every dialogue once."""

import random
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dialogue_ser.batch.sampler import batches, bucketed, shuffled


def test_every_dialogue_comes_exactly_once_an_epoch() -> None:
    for epoch in range(3):
        pieces = batches(shuffled(101, seed=4, epoch=epoch), 8)
        assert sorted(index for piece in pieces for index in piece) == list(range(101))
        assert max(map(len, pieces)) == 8


def test_global_generators_are_not_used() -> None:
    torch.manual_seed(0)
    random.seed(0)
    before = (torch.get_rng_state(), random.getstate())
    first = shuffled(20, seed=1, epoch=2)
    torch.manual_seed(99)
    random.seed(99)
    assert shuffled(20, seed=1, epoch=2) == first
    torch.manual_seed(0)
    random.seed(0)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_seeds_and_epochs_differ() -> None:
    orders = {tuple(shuffled(30, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


LENGTHS = st.lists(st.integers(1, 30), max_size=200)
SIZES = {"batch_size": st.integers(1, 40), "seed": st.integers(0, 9), "epoch": st.integers(0, 9)}


@given(lengths=LENGTHS, window=st.integers(1, 20), **SIZES)
def test_a_bucketed_epoch_has_every_dialogue_exactly_once(lengths, batch_size, seed, epoch, window):
    order = bucketed(lengths, batch_size, seed, epoch, window)
    assert sorted(order) == list(range(len(lengths)))
    assert order == bucketed(lengths, batch_size, seed, epoch, window)


def meld_like(n_dialogues: int = 1038) -> list[int]:
    """Lengths from 1 to 24, as in MELD."""
    return np.random.default_rng(0).integers(1, 25, n_dialogues).tolist()


def padded(lengths: list[int], order: list[int], batch_size: int) -> int:
    """Number of turns of all batches, padding included."""
    return sum(len(piece) * max(lengths[i] for i in piece) for piece in batches(order, batch_size))


@pytest.mark.parametrize("batch_size", [4, 16, 32])
def test_bucketed_batches_have_a_quarter_of_the_padding_of_shuffled_ones(batch_size):
    lengths = meld_like()
    for epoch in range(3):
        random_order = shuffled(len(lengths), seed=1, epoch=epoch)
        like_order = bucketed(lengths, batch_size, seed=1, epoch=epoch)
        extra = [padded(lengths, order, batch_size) - sum(lengths) for order in (random_order, like_order)]
        assert extra[1] < extra[0] / 4


def test_a_wider_window_needs_less_padding():
    lengths = meld_like()
    cells = [padded(lengths, bucketed(lengths, 16, seed=1, epoch=0, window=window), 16) for window in (1, 2, 4, 8, 64)]
    assert cells == sorted(cells, reverse=True)
    assert len(set(cells)) == 5


def test_every_epoch_has_other_batches_in_another_order():
    lengths = meld_like()
    epochs = [batches(bucketed(lengths, 16, seed=1, epoch=epoch), 16) for epoch in range(4)]
    together = [{frozenset(pair) for piece in epoch for pair in combinations(piece, 2)} for epoch in epochs]
    for one, other in combinations(together, 2):
        assert len(one & other) < 0.15 * len(one)
    longest = [[max(lengths[i] for i in piece) for piece in epoch] for epoch in epochs]
    assert len({tuple(found) for found in longest}) == 4
    for found in longest:  # short and long batches are mixed over the whole epoch
        assert abs(np.corrcoef(found, np.arange(len(found)))[0, 1]) < 0.4


def test_the_smaller_last_batch_is_not_always_the_longest():
    lengths = meld_like(40)
    means = {np.mean([lengths[i] for i in bucketed(lengths, 16, seed=1, epoch=epoch)[32:]]) for epoch in range(20)}
    assert min(means) < 10 < 16 < max(means)


def test_seeds_give_other_bucketed_orders_and_do_not_use_global_generators():
    lengths = meld_like(60)
    before = (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002 - the global one is the point
    orders = {tuple(bucketed(lengths, 4, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
