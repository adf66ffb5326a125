"""Order is a function of seed and epoch alone and covers every dialogue once."""

import random

import torch

from dialogue_ser.batch.sampler import batches, shuffled


def test_every_dialogue_comes_exactly_once_an_epoch() -> None:
    for epoch in range(3):
        pieces = batches(shuffled(101, seed=4, epoch=epoch), 8)
        assert sorted(index for piece in pieces for index in piece) == list(range(101))
        assert max(map(len, pieces)) == 8


def test_global_generators_are_neither_read_nor_moved() -> None:
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
