import json

import numpy as np
import pytest
import torch

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.metrics.predictions import ValuePredictions, predictions_of
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.tasks.regression import Regression

TASK = Regression(("valence", "arousal"))
NAN = float("nan")


def _turn(name: str, **targets: float) -> Utterance:
    return Utterance(id=name, speaker="Ann", text="", targets=targets)


DIALOGUES = (
    Dialogue("d1", (_turn("a", valence=1.0, arousal=5.0), _turn("b", arousal=3.0), _turn("c"))),
    Dialogue("d2", (_turn("d", valence=2.0, dominance=9.0),)),
)


def _predictions(n_dialogues: int = 12) -> ValuePredictions:
    rng = np.random.default_rng(0)
    gold_NS = rng.normal(3.0, 1.0, size=(5 * n_dialogues, 2))
    turns = [_turn(str(i), valence=gold[0], arousal=gold[1]) for i, gold in enumerate(gold_NS)]
    turns[3] = _turn("3", valence=gold_NS[3, 0])
    turns[4] = _turn("4")
    dialogues = [Dialogue(f"d{d}", tuple(turns[5 * d : 5 * d + 5])) for d in range(n_dialogues)]
    said_NS = gold_NS + rng.normal(scale=[0.3, 1.0], size=gold_NS.shape)
    found = predictions_of(TASK.prediction_frame(dialogues, said_NS, split="test"))
    assert isinstance(found, ValuePredictions)
    return found


def test_a_system_gives_one_score_per_dimension() -> None:
    assert (TASK.names, TASK.n_scores) == (("valence", "arousal"), 2)
    assert TASK.number_columns == ("predicted_valence", "predicted_arousal")
    assert TASK.chance == {}


def test_a_batch_has_values_with_nan_where_a_turn_has_none_and_on_padding() -> None:
    targets = TASK.batch_targets(DIALOGUES, (2, 4))
    expected = [[[1, 5], [NAN, 3], [NAN, NAN], [NAN, NAN]], [[2, NAN], [NAN, NAN], [NAN, NAN], [NAN, NAN]]]
    np.testing.assert_array_equal(targets["value"], np.array(expected))
    assert targets["value"].dtype == np.float32
    assert (targets["label"] == -100).all()
    assert targets["label"].shape == (2, 4)


def test_a_turn_is_labelled_by_any_dimension_that_is_asked_for() -> None:
    turns = [turn for dialogue in DIALOGUES for turn in dialogue]
    assert [TASK.is_labelled(turn) for turn in turns] == [True, True, False, True]
    assert [Regression(("dominance",)).is_labelled(turn) for turn in turns] == [False, False, False, True]
    assert TASK.counts(turns) == {"valence": 2, "arousal": 2}


def test_what_train_teaches_of_the_scale_is_each_dimensions_own_mean_and_deviation() -> None:
    fitted = TASK.fitted(DIALOGUES)
    assert fitted.dimensions == TASK.dimensions
    assert fitted.centres == pytest.approx((1.5, 4.0))
    assert fitted.scales == pytest.approx((0.5, 1.0))


def test_dimensions_that_do_not_vary_or_have_no_value_keep_a_scale_of_one() -> None:
    train = [Dialogue("d", (_turn("a", valence=2.5), _turn("b", valence=2.5)))]
    fitted = TASK.fitted(train)
    assert (fitted.centres, fitted.scales) == ((2.5, 0.0), (1.0, 1.0))


def test_a_score_of_zero_means_the_centre_and_one_a_scale_above() -> None:
    task = Regression(("valence", "arousal"), (3.0, -1.0), (2.0, 0.5))
    found = task.outputs(torch.tensor([[0.0, 0.0], [1.0, -2.0]]))
    assert found.tolist() == [[3.0, -1.0], [5.0, -2.0]]
    assert task.outputs(torch.zeros(1, 2, dtype=torch.float64)).dtype == torch.float64
    half = task.outputs(torch.tensor([[0.0, 1.0]], dtype=torch.bfloat16))
    assert (half.dtype, half.tolist()) == (torch.float32, [[3.0, -0.5]])


def test_without_a_scale_outputs_are_the_scores_themselves() -> None:
    scores = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(TASK.outputs(scores), scores)


def test_scores_of_values_undo_outputs() -> None:
    values_NS = np.random.default_rng(0).normal(size=(6, 2))
    for task in (TASK, Regression(("valence", "arousal"), (3.0, -1.0), (2.0, 0.5))):
        scores = torch.from_numpy(task.scores_of_values(values_NS))
        np.testing.assert_allclose(task.outputs(scores).numpy(), values_NS, atol=1e-14)


def test_systems_together_say_the_mean_of_their_values() -> None:
    scores = torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for task in (TASK, Regression(("valence", "arousal"), (3.0, -1.0), (2.0, 0.5))):
        torch.testing.assert_close(task.outputs(task.mean_scores(scores)), task.outputs(scores).mean(0))


def test_gold_that_is_missing_stands_as_nan_in_its_column() -> None:
    frame = TASK.prediction_frame(DIALOGUES, np.arange(8.0).reshape(4, 2), split="test")
    assert list(frame.columns[-4:]) == ["gold_valence", "gold_arousal", "predicted_valence", "predicted_arousal"]
    np.testing.assert_array_equal(frame["gold_valence"], [1.0, NAN, NAN, 2.0])
    np.testing.assert_array_equal(frame["gold_arousal"], [5.0, 3.0, NAN, NAN])
    assert frame["predicted_arousal"].tolist() == [1.0, 3.0, 5.0, 7.0]


def test_scores_are_means_over_dimensions_of_what_each_has_on_its_own_turns() -> None:
    table = _predictions()
    scores = TASK.scores(table)
    each = scores["per_dimension"]
    assert (scores["n"], each["valence"]["n"], each["arousal"]["n"]) == (59, 59, 58)
    for key in ("ccc", "pearson_r", "mae", "mse"):
        assert scores[key] == pytest.approx((each["valence"][key] + each["arousal"][key]) / 2)
    error_NS = np.abs(table.gold_NS - table.predicted_NS)
    assert [each[name]["mae"] for name in TASK.names] == pytest.approx(list(np.nanmean(error_NS, 0)))
    assert each["valence"]["ccc"] > each["arousal"]["ccc"]


def test_every_dimension_has_an_interval_of_every_metric() -> None:
    table = _predictions()
    summary = TASK.summary(table, n_resamples=50)
    assert list(summary["dimension_intervals"]) == ["valence", "arousal"]
    for name, found in summary["dimension_intervals"].items():
        assert list(found) == ["ccc", "pearson_r", "mae", "mse"]
        for key, interval in found.items():
            assert interval["estimate"] == pytest.approx(summary["scores"]["per_dimension"][name][key])
            assert interval["low"] <= interval["estimate"] <= interval["high"]
    assert list(summary["intervals"]) == ["ccc", "pearson_r", "mae", "mse"]
    assert "calibration" not in summary
    assert "emotion_shift" not in summary["slices"]


def test_a_dimension_with_a_slash_in_its_name_keeps_its_intervals() -> None:
    task = Regression(("positive/negative",))
    dialogues = [
        Dialogue(f"d{i}", (Utterance(id=f"{i}", speaker="A", targets={"positive/negative": float(i)}),))
        for i in range(6)
    ]
    table = predictions_of(task.prediction_frame(dialogues, np.arange(6.0)[:, None] + 1, split="test"))
    found = task.summary(table, n_resamples=20)["dimension_intervals"]
    assert found["positive/negative"]["mae"]["estimate"] == 1.0


def test_the_task_of_a_corpus_is_about_all_of_its_dimensions_or_those_asked_for() -> None:
    corpus = Corpus(name="x", dimensions=("valence", "arousal", "dominance"), splits={"all": DIALOGUES})
    assert Regression.of_corpus(corpus).dimensions == corpus.dimensions
    assert Regression.of_corpus(corpus, targets=["dominance", "valence"]).dimensions == ("dominance", "valence")


def test_what_a_regression_cannot_be_about_is_refused() -> None:
    corpus = Corpus(name="x", dimensions=("valence", "arousal"), splits={"all": DIALOGUES})
    with pytest.raises(ConfigError, match=r"data\.targets: unknown dimension 'valance'; did you mean 'valence'"):
        Regression.of_corpus(corpus, targets=["valance"])
    with pytest.raises(ConfigError, match=r"data\.leave_out: names classes"):
        Regression.of_corpus(corpus, leave_out=["calm"])
    with pytest.raises(CorpusError, match="has classes only and no dimension"):
        Regression.of_corpus(Corpus(name="y", label_set=LabelSet("any", ("calm",)), splits={"all": DIALOGUES}))
    for wrong in ((), ("valence", "valence")):
        with pytest.raises(ConfigError, match="expected each dimension once"):
            Regression(wrong)


def test_its_description_is_plain_json_with_every_digit_of_the_scale() -> None:
    fitted = TASK.fitted(DIALOGUES)
    described = json.loads(json.dumps(fitted.description()))["task"]
    assert tuple(described["centres"]) == fitted.centres
    assert tuple(described["scales"]) == fitted.scales
    assert TASK.description() == {"task": {"kind": "regression", "dimensions": ["valence", "arousal"]}}


def test_every_metric_of_its_own_follows_from_sums() -> None:
    assert all(metric.needs == "moments" for metric in TASK.metrics().values())
    assert METRICS[TASK.default_metric].heading == "CCC"


def test_a_dimension_that_no_turn_is_annotated_in_makes_no_mean_better_or_worse() -> None:
    rng = np.random.default_rng(3)
    gold_N, said_NS = rng.normal(3.0, 1.0, size=12), rng.normal(3.0, 1.0, size=(12, 2))
    turns = [_turn(str(i), valence=value) for i, value in enumerate(gold_N)]
    dialogues = [Dialogue(f"d{d}", tuple(turns[4 * d : 4 * d + 4])) for d in range(3)]
    summary = TASK.summary(predictions_of(TASK.prediction_frame(dialogues, said_NS, split="dev")), n_resamples=20)
    alone = Regression(("valence",))
    expected = alone.scores(predictions_of(alone.prediction_frame(dialogues, said_NS[:, :1], split="dev")))
    scores = summary["scores"]
    assert {key: scores[key] for key in ("ccc", "pearson_r", "mae", "mse")} == pytest.approx(
        {key: expected[key] for key in ("ccc", "pearson_r", "mae", "mse")}
    )
    assert scores["mae"] == pytest.approx(np.abs(gold_N - said_NS[:, 0]).mean())
    assert scores["per_dimension"]["arousal"] == {"n": 0, "ccc": None, "pearson_r": None, "mae": None, "mse": None}
    assert summary["dimension_intervals"]["arousal"] == {}
    json.dumps(summary, allow_nan=False)


def test_a_split_that_lacks_a_dimension_is_told() -> None:
    dialogue = DIALOGUES[1]
    scores = TASK.scores(predictions_of(TASK.prediction_frame([dialogue], np.ones((1, 2)), split="dev")))
    assert TASK.absent(dialogue) == ["arousal"]
    [note] = TASK.absent_notes({"dev": {"scores": scores}})
    assert note == TASK.absent_note("dev", ["arousal"])
    assert "dev has no value of arousal" in note


def test_values_count_in_the_fingerprint_of_a_corpus_that_they_are_learnt_from() -> None:
    corpus, other = (
        Corpus(
            name="rated",
            label_set=None,
            dimensions=("valence",),
            splits={"train": (Dialogue("train/d", (_turn("train/a", valence=value),)),)},
        )
        for value in (1.0, 2.0)
    )
    assert corpus.fingerprint() == other.fingerprint()
    assert TASK.fingerprint(corpus) != TASK.fingerprint(other)
