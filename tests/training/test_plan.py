from collections import Counter

import pytest
import torch

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.training.plan import Batches

DIALOGUES = [Dialogue(f"d{i}", (Utterance(id=f"d{i}_u0", speaker="Ann"),)) for i in range(23)]


def steps(rank: int = 0, n_ranks: int = 1, first_step: int = 0, epoch: int = 1, **sizes: int) -> list[list[list[str]]]:
    """Ids of the dialogues per step and batch."""
    batches = Batches(
        collate=lambda dialogues: [dialogue.id for dialogue in dialogues],
        **({"batch_size": 4, "accumulate": 2} | sizes),
        rank=rank,
        n_ranks=n_ranks,
    )
    return list(batches.steps(DIALOGUES, seed=1, epoch=epoch, first_step=first_step))


def flat(found: list[list[list[str]]]) -> list[str]:
    return [name for step in found for batch in step for name in batch]


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 5])
def test_each_dialogue_comes_exactly_once_an_epoch_over_all_ranks(n_ranks):
    seen = Counter(name for rank in range(n_ranks) for name in flat(steps(rank, n_ranks)))
    assert seen == {dialogue.id: 1 for dialogue in DIALOGUES}


def test_ranks_take_the_same_number_of_steps_even_with_an_empty_share():
    found = [steps(rank, 3, batch_size=11, accumulate=1) for rank in range(3)]  # the last batch has one dialogue
    assert [len(ranks) for ranks in found] == [3, 3, 3]
    assert [len(ranks[-1]) for ranks in found] == [1, 0, 0]


def test_a_step_holds_the_same_dialogues_however_it_is_cut():
    whole = [sorted(flat([step])) for step in steps(batch_size=8, accumulate=1)]
    assert [sorted(flat([step])) for step in steps(batch_size=4, accumulate=2)] == whole
    two = [steps(rank, 2, batch_size=8, accumulate=1) for rank in range(2)]
    assert [sorted(flat([a]) + flat([b])) for a, b in zip(*two, strict=True)] == whole


def test_any_step_can_be_found_again():
    assert steps(first_step=2) == steps()[2:]
    assert steps(first_step=3) == []


def test_epochs_have_different_orders():
    assert flat(steps(epoch=1)) != flat(steps(epoch=2))


def test_starting_an_epoch_draws_nothing_from_the_global_generator():
    before = torch.get_rng_state()
    steps()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_number_of_steps_counts_a_smaller_last_one():
    batches = Batches(collate=lambda dialogues: dialogues, batch_size=4, accumulate=2)
    assert (batches.n_steps(23), batches.n_steps(24), batches.n_steps(25)) == (3, 3, 4)
    assert len(steps()) == 3


def test_worker_processes_deliver_the_same_batches_in_the_same_order(recwarn):
    assert steps(workers=2) == steps()
