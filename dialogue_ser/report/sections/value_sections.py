"""The sections that only pages about predicted values have."""

from collections.abc import Mapping
from functools import partial

from dialogue_ser.metrics.predictions import ValuePredictions
from dialogue_ser.report.figures.gallery import file_stem
from dialogue_ser.report.figures.value_figures import shown_turns, value_course, value_scatter
from dialogue_ser.report.sections.composition import Maker, Section, Subject, part_note
from dialogue_ser.report.sections.tables import dimension_rows
from dialogue_ser.report.sections.value_highlights import best_and_worst_dialogue, largest_errors


def dimensions(subject: Subject) -> Section:
    """Return the section about dimensions: scores with intervals, and gold against predicted values."""
    predictions, scores = _values(subject), subject.scores
    # The page of a run is about one split; that of a cross-validation is about the test turns of all folds.
    found = scores["pooled"] if "pooled" in scores else subject.split["scores"]
    intervals = scores if "pooled" in scores else subject.split
    rows = dimension_rows(found, {**intervals["dimension_intervals"], "": intervals["intervals"]})
    scatter = subject.gallery.draw(
        "values",
        lambda theme: value_scatter(
            predictions.gold_NS, predictions.predicted_NS, predictions.names, found["per_dimension"], theme
        ),
        "Gold against predicted values of every dimension; the table below has the scores",
    )
    context = {"split_name": subject.split_name, "scatter": scatter, "rows": rows}
    return Section(template="dimensions", context=context)


def courses(subject: Subject) -> Section | None:
    """Return the section with dialogues turn by turn; None if every dialogue is a single utterance."""
    predictions = _values(subject)
    chosen = [_course(subject, predictions, name, reason) for name, reason in best_and_worst_dialogue(predictions)]
    return Section(template="courses", context={"dialogues": chosen}) if chosen else None


def deviations(subject: Subject) -> Section:
    """Return the section with the largest errors."""
    return Section(template="deviations", context={"errors": largest_errors(_values(subject))})


def _course(subject: Subject, predictions: ValuePredictions, dialogue_id: str, reason: str) -> dict[str, object]:
    rows = predictions.rows((predictions.frame["dialogue_id"].astype(str) == dialogue_id).to_numpy())
    name = file_stem(dialogue_id)
    picture = subject.gallery.draw(
        f"course_{name}",
        partial(value_course, rows.gold_NS, rows.predicted_NS, rows.names, rows.speakers),
        f"Values of {dialogue_id}, turn by turn: {len(rows)} turns; the transcript is below",
    )
    lines = [
        {"speaker": speaker, "text": str(text)}
        for speaker, text in zip(rows.speakers, rows.frame["text"].fillna(""), strict=True)
    ]
    part = part_note(shown_turns(rows.gold_NS, rows.predicted_NS), len(rows), "with the largest errors")
    return {"dialogue_id": dialogue_id, "reason": reason, "picture": picture, "lines": lines, "part": part}


def _values(subject: Subject) -> ValuePredictions:
    assert isinstance(subject.predictions, ValuePredictions)
    return subject.predictions


#: The sections that only pages about values have.
VALUE_MAKERS: Mapping[str, Maker] = {"dimensions": dimensions, "courses": courses, "deviations": deviations}
