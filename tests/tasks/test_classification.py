import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, fbeta_score, roc_auc_score

from dialogue_ser.corpus.schema import Corpus, Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError, CorpusError
from dialogue_ser.metrics.calibration import calibration
from dialogue_ser.metrics.predictions import ClassPredictions, predictions_of
from dialogue_ser.metrics.slices import SHIFTS
from dialogue_ser.tasks.classification import Classification

LABELS = ("calm", "glad", "cross")
LABEL_SET = LabelSet("mood", LABELS)
TASK = Classification(LABEL_SET)


def _turn(name: str, label: str | None = None, votes: dict[str, float] | None = None) -> Utterance:
    return Utterance(id=name, speaker="Ann", text="", label=label, votes=votes)


DIALOGUES = (
    Dialogue("d1", (_turn("a", "glad"), _turn("b"), _turn("c", None, {"calm": 1.0, "cross": 3.0}))),
    Dialogue("d2", (_turn("d", "cross", {"cross": 2.0}),)),
)


def _predictions() -> ClassPredictions:
    rng = np.random.default_rng(0)
    gold_N = rng.integers(0, 3, 60)
    p_NC = np.exp(rng.normal(size=(60, 3)) + np.eye(3)[gold_N])
    dialogues = [
        Dialogue(f"d{d}", tuple(_turn(f"{d}_{t}", LABELS[gold_N[5 * d + t]]) for t in range(5))) for d in range(12)
    ]
    frame = TASK.prediction_frame(dialogues, TASK.numbers(np.log(p_NC)), split="test")
    found = predictions_of(frame)
    assert isinstance(found, ClassPredictions)
    return found


def test_a_system_gives_one_score_per_class_in_the_label_sets_order() -> None:
    assert (TASK.names, TASK.n_scores) == (LABELS, 3)
    assert TASK.number_columns == ("p_calm", "p_glad", "p_cross")
    assert TASK.chance == {"chance": pytest.approx(1 / 3)}


def test_a_batch_has_class_indices_and_minus_hundred_on_padding_and_unlabelled_turns() -> None:
    targets = TASK.batch_targets(DIALOGUES, (2, 4))
    assert targets["label"].tolist() == [[1, -100, -100, -100], [2, -100, -100, -100]]
    assert targets["label"].dtype == np.int64
    assert targets["label_distribution"].tolist() == [
        [[0, 0, 0], [0, 0, 0], [0.25, 0, 0.75], [0, 0, 0]],
        [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
    ]


def test_without_votes_there_is_no_distribution_and_never_a_value() -> None:
    assert set(TASK.batch_targets([Dialogue("d", (_turn("a", "glad"),))], (1, 1))) == {"label"}


def test_a_label_of_another_set_is_refused() -> None:
    with pytest.raises(CorpusError, match="unknown mood label 'gladd'; did you mean 'glad'"):
        TASK.batch_targets([Dialogue("d", (_turn("a", "gladd"),))], (1, 1))


def test_votes_count_as_a_label_only_where_soft_labels_are_asked_for() -> None:
    turns = [turn for dialogue in DIALOGUES for turn in dialogue]
    assert [TASK.is_labelled(turn) for turn in turns] == [True, False, False, True]
    assert [TASK.is_labelled(turn, soft=True) for turn in turns] == [True, False, True, True]
    assert TASK.counts(turns) == {"calm": 0, "glad": 1, "cross": 1}


def test_outputs_are_log_probabilities_in_full_precision_whatever_the_scores_are() -> None:
    scores = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(TASK.outputs(scores), torch.log_softmax(scores, -1))
    half = TASK.outputs(scores.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.exp().sum(-1), torch.ones(4, 5))
    assert TASK.outputs(scores.double()).dtype == torch.float64


def test_outputs_do_not_change_with_a_constant_added_to_the_scores() -> None:
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(TASK.outputs(scores + 7.0), TASK.outputs(scores))


def test_systems_together_say_the_mean_of_their_probabilities() -> None:
    scores = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    probabilities = TASK.outputs(TASK.mean_scores(scores)).exp()
    torch.testing.assert_close(probabilities, scores.softmax(-1).mean(0))
    torch.testing.assert_close(TASK.outputs(TASK.mean_scores(scores[:1])), TASK.outputs(scores[0]))
    sure = torch.tensor([[[0.0, -2000.0, -3000.0]], [[0.0, -2000.0, -3000.0]]])
    assert TASK.mean_scores(sure)[0, 1] == -2000.0  # too small to be a probability of its own


def test_numbers_sum_to_one_although_float32_does_not() -> None:
    log_p = TASK.outputs(torch.randn(500, 3, generator=torch.Generator().manual_seed(3))).double().numpy()
    assert np.abs(np.exp(log_p).sum(-1) - 1).max() > 1e-9
    np.testing.assert_allclose(TASK.numbers(log_p).sum(-1), 1, atol=1e-15)


def test_columns_are_the_most_probable_class_and_every_probability() -> None:
    columns = TASK.prediction_columns(np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]))
    assert list(columns) == ["predicted", "p_calm", "p_glad", "p_cross"]
    assert columns["predicted"] == ["glad", "cross"]
    assert columns["p_cross"].tolist() == [0.3, 0.8]


def test_scores_hold_every_class_as_sklearn_scores_it() -> None:
    table = _predictions()
    scores = TASK.scores(table)
    gold, predicted = table.frame["gold"], table.frame["predicted"]
    each = scores["per_class"]
    assert list(each) == list(LABELS)
    f1, f05 = (fbeta_score(gold, predicted, beta=b, average=None, labels=list(LABELS)) for b in (1, 0.5))
    assert [one["f1"] for one in each.values()] == pytest.approx(list(f1))
    assert [one["f05"] for one in each.values()] == pytest.approx(list(f05))
    assert each["glad"]["auc"] == pytest.approx(roc_auc_score(gold == "glad", table.probabilities_NC[:, 1]))
    assert sum(one["support"] for one in each.values()) == sum(one["predicted"] for one in each.values()) == 60
    assert np.array(scores["confusion"]).sum() == scores["n"] == 60
    assert scores["auc"] == pytest.approx(np.mean([one["auc"] for one in each.values()]))


def test_micro_f1_is_there_only_where_classes_are_left_out() -> None:
    table = _predictions()
    assert "micro_f1" not in TASK.metrics()
    task = Classification(LABEL_SET, ("calm",))
    expected = f1_score(table.frame["gold"], table.frame["predicted"], average="micro", labels=["glad", "cross"])
    assert task.scores(table)["micro_f1"] == pytest.approx(expected)
    assert task.metrics()["micro_f1"].heading == "micro F1 without calm"
    with pytest.raises(ConfigError, match=r"data\.leave_out: unknown label 'clam'; did you mean 'calm'"):
        Classification(LABEL_SET, ("clam",))
    with pytest.raises(ConfigError, match="names every class"):
        Classification(LABEL_SET, LABELS)


def test_a_summary_has_class_intervals_shifts_and_calibration() -> None:
    table = _predictions()
    summary = TASK.summary(table, n_resamples=50)
    assert list(summary["class_intervals"]) == list(LABELS)
    assert summary["calibration"] == calibration(table.probabilities_NC, table.gold_N).to_dict()
    assert next(iter(summary["slices"])) == "emotion_shift"
    assert set(summary["slices"]["emotion_shift"]) <= set(SHIFTS)
    for label, interval in summary["class_intervals"].items():
        assert interval["estimate"] == pytest.approx(summary["scores"]["per_class"][label]["f1"])


def test_the_task_of_a_corpus_is_about_its_classes() -> None:
    corpus = Corpus(name="x", label_set=LABEL_SET, splits={"all": DIALOGUES})
    assert Classification.of_corpus(corpus, leave_out=["calm"]) == Classification(LABEL_SET, ("calm",))
    with pytest.raises(ConfigError, match=r"data\.targets: valence are for a regression"):
        Classification.of_corpus(corpus, targets=["valence"])
    with pytest.raises(CorpusError, match="has no classes, only valence"):
        Classification.of_corpus(Corpus(name="y", dimensions=("valence",), splits={"all": DIALOGUES}))


def test_gold_is_the_label_or_nothing() -> None:
    frame = TASK.prediction_frame(DIALOGUES, np.full((4, 3), 1 / 3), split="test")
    assert [None if pd.isna(value) else value for value in frame["gold"]] == ["glad", None, None, "cross"]
    assert TASK.fitted(DIALOGUES) is TASK


def test_a_split_that_lacks_classes_is_told_with_both_averages_of_recall() -> None:
    gold, predicted = ["calm", "glad", "calm"], ["calm", "cross", "cross"]
    dialogue = Dialogue("d", tuple(_turn(str(i), label) for i, label in enumerate(gold)))
    p_NC = np.array([[1.0 if label == said else 0.0 for label in LABELS] for said in predicted])
    scores = TASK.scores(predictions_of(TASK.prediction_frame([dialogue], p_NC, split="dev")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn notices predicted classes that never occur
        over_those_that_occur = balanced_accuracy_score(gold, predicted)
    [note] = TASK.absent_notes({"dev": {"scores": scores}})
    assert note.startswith("split dev has no turn of cross: ")
    assert f"(UA {0.5 / 3:.3f}; {over_those_that_occur:.3f} over the classes that occur" in note
    assert TASK.absent(dialogue) == ["cross"]


def test_a_split_with_every_class_needs_no_note() -> None:
    assert TASK.absent_notes({"test": {"scores": TASK.scores(_predictions())}}) == []


def test_every_part_of_folds_that_lacks_a_class_is_counted_and_explained():
    whole, without = {"calm": 1, "glad": 2}, {"calm": 3, "glad": 0}
    folds = [{"train": whole, "dev": without, "test": whole}, {"train": without, "dev": without, "test": whole}]
    dev, train = TASK.lacking_notes(folds)
    assert dev.startswith("In 2 of 2 folds a class has no dev turn")
    assert train.startswith("In 1 of 2 folds a class has no train turn")
    assert TASK.lacking_notes([{"train": whole, "dev": whole, "test": whole}]) == []
