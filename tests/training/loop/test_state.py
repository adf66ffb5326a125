import json

import pytest

from dialogue_ser.training.loop.state import TrainState


def test_a_tie_stays_with_the_earlier_epoch():
    state = TrainState()
    assert state.note_score(0.5)
    state.epoch = 2
    assert not state.note_score(0.5)
    assert (state.best_epoch, state.best_score) == (1, 0.5)
    state.epoch = 3
    assert state.note_score(0.5000001)
    assert state.best_epoch == 3


def test_json_keeps_every_bit():
    state = TrainState(epoch=3, step=7, loss_numerator=0.1 + 0.2, best_score=1 / 3, best_checkpoint="x")
    assert TrainState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(("epoch", "best", "patience", "is_out"), [(4, 3, 1, False), (5, 3, 1, True), (9, 3, 0, False)])
def test_patience_counts_finished_epochs_since_the_best(epoch, best, patience, is_out):
    assert TrainState(epoch=epoch, best_epoch=best).is_out_of_patience(patience) is is_out


def test_checkpoint_names_sort_in_time_and_differ_before_and_after_evaluation():
    positions = [TrainState(epoch=2, step=9), TrainState(epoch=2, step=10), TrainState(epoch=3, step=10)]
    names = [state.checkpoint_name for state in positions]
    assert names == sorted(set(names))
