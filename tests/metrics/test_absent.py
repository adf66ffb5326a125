import warnings

from sklearn.metrics import balanced_accuracy_score

from dialogue_ser.metrics.absent import absent_note, absent_notes
from dialogue_ser.metrics.scores import score

LABELS = ("calm", "glad", "cross", "fear", "disgust", "sad")


def splits_of(**gold_and_predicted):
    found = {name: score(gold, predicted, LABELS).to_dict() for name, (gold, predicted) in gold_and_predicted.items()}
    return {name: {"scores": values} for name, values in found.items()}


def test_both_averages_of_recall_are_the_ones_that_were_scored():
    gold, predicted = ["calm", "glad", "calm", "sad"], ["calm", "fear", "calm", "glad"]
    [note] = absent_notes(splits_of(dev=(gold, predicted)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn notices predicted classes that never occur
        over_those_that_occur = balanced_accuracy_score(gold, predicted)
    assert note.startswith("split dev has no turn of cross, fear, disgust: ")
    assert f"(UA {1 / 6:.3f}; {over_those_that_occur:.3f} over the classes that occur" in note


def test_a_split_with_every_class_and_a_task_without_classes_have_nothing_to_say():
    assert absent_notes(splits_of(test=(LABELS, LABELS))) == []
    assert absent_notes({"test": {"scores": {"ccc": 0.5}}}) == []


def test_before_scoring_the_sentence_has_no_figures():
    assert absent_note("test", ["fear"], 3).endswith("lowers UA and macro scores")
