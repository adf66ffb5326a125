import threading
from collections import Counter

import pytest
import torch

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.training.data.batches import Batches

LENGTHS = [1 + i % 6 for i in range(23)]
DIALOGUES = [
    Dialogue(f"d{i}", tuple(Utterance(id=f"d{i}_u{t}", speaker="Ann") for t in range(n))) for i, n in enumerate(LENGTHS)
]


def steps(rank: int = 0, n_ranks: int = 1, first_step: int = 0, epoch: int = 1, **settings) -> list[list[list[str]]]:
    """Return the ids of the dialogues in each step and batch."""
    batches = Batches(
        collate=lambda dialogues: [dialogue.id for dialogue in dialogues],
        **({"batch_size": 4, "accumulate": 2} | settings),
        rank=rank,
        n_ranks=n_ranks,
    )
    return list(batches.steps(DIALOGUES, seed=1, epoch=epoch, first_step=first_step))


def flat(found: list[list[list[str]]]) -> list[str]:
    return [name for step in found for batch in step for name in batch]


@pytest.mark.parametrize("sampling", ["shuffled", "bucketed"])
@pytest.mark.parametrize("n_ranks", [1, 2, 3, 5])
def test_each_dialogue_comes_exactly_once_an_epoch_over_all_ranks(n_ranks, sampling):
    seen = Counter(name for rank in range(n_ranks) for name in flat(steps(rank, n_ranks, sampling=sampling)))
    assert seen == {dialogue.id: 1 for dialogue in DIALOGUES}


@pytest.mark.parametrize("sampling", ["shuffled", "bucketed"])
def test_ranks_take_the_same_number_of_steps_even_with_an_empty_share(sampling):
    # the last batch has one dialogue
    found = [steps(rank, 3, batch_size=11, accumulate=1, sampling=sampling) for rank in range(3)]
    assert [len(ranks) for ranks in found] == [3, 3, 3]
    assert [len(ranks[-1]) for ranks in found] == [1, 0, 0]


def test_a_step_holds_the_same_dialogues_however_it_is_cut():
    whole = [sorted(flat([step])) for step in steps(batch_size=8, accumulate=1)]
    assert [sorted(flat([step])) for step in steps(batch_size=4, accumulate=2)] == whole
    two = [steps(rank, 2, batch_size=8, accumulate=1) for rank in range(2)]
    assert [sorted(flat([a]) + flat([b])) for a, b in zip(*two, strict=True)] == whole


@pytest.mark.parametrize("sampling", ["shuffled", "bucketed"])
def test_any_step_can_be_found_again(sampling):
    whole = steps(sampling=sampling)
    for first_step in range(4):
        assert steps(first_step=first_step, sampling=sampling) == whole[first_step:]


@pytest.mark.parametrize("sampling", ["shuffled", "bucketed"])
def test_epochs_have_different_orders(sampling):
    assert flat(steps(epoch=1, sampling=sampling)) != flat(steps(epoch=2, sampling=sampling))


@pytest.mark.parametrize("n_ranks", [1, 2])
def test_bucketed_batches_hold_dialogues_of_like_length_on_every_rank(n_ranks):
    def spread(sampling):
        found = [batch for rank in range(n_ranks) for step in steps(rank, n_ranks, sampling=sampling) for batch in step]
        lengths = [[LENGTHS[int(name[1:])] for name in batch] for batch in found]
        return sum(max(batch) - min(batch) for batch in lengths)

    assert spread("bucketed") < spread("shuffled") / 2


def test_a_bucketed_batch_is_the_same_however_many_ranks_share_it():
    whole = [[sorted(batch) for batch in step] for step in steps(sampling="bucketed")]
    two = [steps(rank, 2, sampling="bucketed") for rank in range(2)]
    for step, one, other in zip(whole, *two, strict=True):
        assert [sorted(a + b) for a, b in zip(one, other, strict=True)] == step


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


@pytest.mark.parametrize("n_ahead", [1, 2, 50])
def test_batches_made_in_advance_are_the_same_in_the_same_order(n_ahead):
    assert steps(n_ahead=n_ahead) == steps()


def test_batches_are_made_in_advance_by_a_thread_that_ends_with_the_epoch():
    made: list[str] = []
    threads: set[threading.Thread] = set()
    second = threading.Event()

    def collate(dialogues):
        made.append(dialogues[0].id)
        threads.add(threading.current_thread())
        if len(made) == 2:
            second.set()
        return made[-1]

    found = Batches(collate=collate, batch_size=4, n_ahead=1).steps(DIALOGUES, seed=1, epoch=1)
    next(found)
    assert second.wait(10)  # nobody has taken this batch yet
    found.close()  # as if the run were stopped in the middle of an epoch
    assert len(made) <= 3
    [thread] = threads
    assert thread is not threading.current_thread()
    thread.join(10)
    assert not thread.is_alive()


def test_an_error_in_advance_is_raised_when_the_batch_is_taken():
    def collate(dialogues):
        raise ValueError(f"no {dialogues[0].id}")

    found = Batches(collate=collate, batch_size=4, n_ahead=2).steps(DIALOGUES, seed=1, epoch=1)
    with pytest.raises(ValueError, match="no d"):
        next(found)
