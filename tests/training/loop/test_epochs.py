import signal

import pytest

from dialogue_ser.errors import ConfigError, TrainingError
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.training.config.run_config import TrainingConfig
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.epochs import Training, fit
from dialogue_ser.training.loop.interrupt import StopRequest
from dialogue_ser.training.loop.learner import StepResult
from dialogue_ser.training.loop.state import TrainState


class FakeLearner:
    """Counts steps; a step's batches are its loss numerator, two turns each."""

    def learning_rate_of(self, step):
        return 0.1

    def step(self, batches, step, *, is_stop_requested=False):
        return StepResult(
            numerator=float(sum(batches)),
            denominator=2.0,
            grad_norm=1.0,
            learning_rate=0.1,
            is_stop_requested=is_stop_requested,
        )


class FakeBatches:
    def steps(self, dialogues, seed, epoch, first_step=0):
        yield from [[epoch], [epoch * 10], [epoch * 100]][first_step:]


class Recorder(Callback):
    def __init__(self, act=None):
        self.seen = []
        self.act = act

    def on_step(self, state, row):
        self.seen.append(("step", row["epoch"], row["step"], row["loss"]))
        if self.act:
            self.act(state)

    def on_epoch(self, state, row):
        self.seen.append(("epoch", row["epoch"], row["train_loss"], row["is_best"], state.checkpoint_name))

    def on_interrupt(self, state):
        self.seen.append(("interrupt", state.step))

    def on_end(self, state):
        self.seen.append(("end", state.best_epoch))


def run(scores, state=None, act=None, config=None, stop=None, metric=METRICS["uar"]):
    scores = iter(scores)

    def evaluate():
        score = next(scores)
        return None if score is None else {"dev_loss": 1.0, "dev": {metric.key: score}}

    training = Training(dialogues=[], batches=FakeBatches(), evaluate=evaluate, metric=metric, seed=1)
    recorder = Recorder(act)
    state = state or TrainState()
    config = config or TrainingConfig(epochs=2)
    return fit(FakeLearner(), training, config, state, [recorder], stop or StopRequest()), recorder.seen, state


def test_callbacks_get_every_step_and_epoch_in_order_and_the_loss_is_one_division():
    done, seen, state = run([0.3, 0.2])
    assert done
    assert seen == [
        ("step", 1, 1, 0.5),
        ("step", 1, 2, 5.0),
        ("step", 1, 3, 50.0),
        ("epoch", 1, 111 / 6, True, "epoch-0001-step-00000003"),
        ("step", 2, 4, 1.0),
        ("step", 2, 5, 10.0),
        ("step", 2, 6, 100.0),
        ("epoch", 2, 222 / 6, False, "epoch-0002-step-00000006"),
        ("end", 1),
    ]
    assert state.best_checkpoint == "epoch-0001-step-00000003"


def test_the_last_epoch_can_be_kept_even_if_dev_is_worse():
    _, _, state = run([0.3, 0.2], config=TrainingConfig(epochs=2, keep="last"))
    assert (state.best_epoch, state.best_score) == (2, 0.2)
    assert state.best_checkpoint == "epoch-0002-step-00000006"


def test_if_lower_is_better_the_lowest_score_is_kept_and_patience_counts_from_it():
    config = TrainingConfig(epochs=9, patience=2)
    done, seen, state = run([0.9, 0.4, 0.4, 0.7], config=config, metric=METRICS["mae"])
    assert done
    assert [row[3] for row in seen if row[0] == "epoch"] == [True, True, False, False]
    assert (state.best_epoch, state.best_score) == (2, 0.4)


def test_a_metric_that_dev_does_not_define_cannot_choose():
    def evaluate():
        return {"dev_loss": 1.0, "dev": {"auc": None}}

    training = Training(dialogues=[], batches=FakeBatches(), evaluate=evaluate, metric=METRICS["auc"], seed=1)
    with pytest.raises(TrainingError, match=r"training\.select: auc is not defined on dev, .* select another"):
        fit(FakeLearner(), training, TrainingConfig(epochs=2), TrainState(), [], StopRequest())


def test_patience_is_refused_if_the_last_epoch_is_kept():
    with pytest.raises(ConfigError, match=r"training\.patience: found 3, expected 0"):
        TrainingConfig(keep="last", patience=3)


def test_a_run_goes_on_from_the_middle_of_an_epoch_with_the_sums_it_had():
    halfway = TrainState(epoch=2, step=5, step_in_epoch=2, loss_numerator=22.0, loss_denominator=4.0, best_score=0.9)
    _, seen, _ = run([0.3], state=halfway)
    assert seen[:2] == [("step", 2, 6, 100.0), ("epoch", 2, 222 / 6, False, "epoch-0002-step-00000006")]


def test_a_request_to_stop_ends_after_the_step_that_saw_it():
    stop = StopRequest()

    def act(state):
        if state.step == 1:
            stop.signal_number = signal.SIGTERM

    done, seen, state = run([0.3, 0.2], act=act, stop=stop)
    assert not done
    assert seen[-1] == ("interrupt", 2)
    assert (state.epoch, state.step_in_epoch) == (1, 2)


def test_an_evaluation_that_was_stopped_is_done_again_on_resume():
    done, seen, state = run([None])
    assert not done
    assert seen[-1] == ("interrupt", 3)
    assert (state.epoch, state.step_in_epoch) == (1, 3)
    done, seen, _ = run([0.3, 0.2], state=state)
    assert done
    assert seen[0] == ("epoch", 1, 111 / 6, True, "epoch-0001-step-00000003")


def test_patience_that_has_run_out_stays_run_out_after_a_resume():
    state = TrainState(epoch=4, step=9, best_epoch=1, best_score=0.5)
    done, seen, _ = run([], state=state, config=TrainingConfig(epochs=9, patience=2))
    assert done
    assert seen == [("end", 1)]
