from dialogue_ser.evaluation.sweep.trial import Trial, best_of

TRIALS = [
    Trial(number=0, state="finished", score=0.2),
    Trial(number=1, state="stopped", score=0.4),
    Trial(number=2, state="finished", score=0.4),
    Trial(number=3, state="failed", score=0.9),
    Trial(number=4, state="running"),
]


def test_of_equal_trials_the_first_is_the_best_and_failed_ones_do_not_count():
    assert best_of(TRIALS, "maximize").number == 1
    assert best_of(TRIALS, "minimize").number == 0
    assert best_of(TRIALS[3:], "maximize") is None
