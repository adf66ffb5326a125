from dialogue_ser.metrics.absent import absent_classes_note, absent_dimensions_note


def test_before_scoring_the_sentence_has_no_figures():
    assert absent_classes_note("test", ["fear"], 3).endswith("lowers UA and macro scores")


def test_both_averages_of_recall_are_told_once_they_are_known():
    note = absent_classes_note("test", ["fear"], 3, uar=0.4)
    assert note.endswith("(UA 0.400; 0.600 over the classes that occur, which is scikit-learn's balanced accuracy)")


def test_dimensions_are_named_and_said_to_be_left_out():
    note = absent_dimensions_note("dev", ["arousal", "dominance"])
    assert note.startswith("split dev has no value of arousal, dominance: ")
    assert note.endswith("means over the other dimensions")
