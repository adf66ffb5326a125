"""The sections of pages about predicted values, beside those that every page has."""

import re
from collections.abc import Mapping
from functools import partial

from dialogue_ser.metrics.predictions import ValuePredictions
from dialogue_ser.report.figures.value_figures import value_course, value_scatter
from dialogue_ser.report.sections.composition import Maker, Section, Subject
from dialogue_ser.report.sections.tables import dimension_rows
from dialogue_ser.report.sections.value_highlights import largest_errors, telling_dialogues


def dimensions(subject: Subject) -> Section:
    """How well each dimension is met: scores with intervals, gold against predicted."""
    predictions, scores = _values(subject), subject.scores
    # a run's page is about one split; a cross-validation's about all test turns together
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
    """Dialogues turn by turn; None where every dialogue is a single utterance."""
    predictions = _values(subject)
    chosen = [_course(subject, predictions, name, reason) for name, reason in telling_dialogues(predictions)]
    return Section(template="courses", context={"dialogues": chosen}) if chosen else None


def deviations(subject: Subject) -> Section:
    """The turns whose values lie farthest from gold."""
    return Section(template="deviations", context={"errors": largest_errors(_values(subject))})


def _course(subject: Subject, predictions: ValuePredictions, dialogue_id: str, reason: str) -> dict[str, object]:
    rows = predictions.rows((predictions.frame["dialogue_id"].astype(str) == dialogue_id).to_numpy())
    name = re.sub(r"[^\w.-]+", "_", dialogue_id)
    picture = subject.gallery.draw(
        f"course_{name}",
        partial(value_course, rows.gold_NS, rows.predicted_NS, rows.names, rows.speakers),
        f"Values of {dialogue_id}, turn by turn: {len(rows)} turns; the lines below say what was said",
    )
    lines = [
        {"speaker": speaker, "text": str(text)}
        for speaker, text in zip(rows.speakers, rows.frame["text"].fillna(""), strict=True)
    ]
    return {"dialogue_id": dialogue_id, "reason": reason, "picture": picture, "lines": lines}


def _values(subject: Subject) -> ValuePredictions:
    assert isinstance(subject.predictions, ValuePredictions)
    return subject.predictions


#: Sections that only pages about values have.
VALUE_MAKERS: Mapping[str, Maker] = {"dimensions": dimensions, "courses": courses, "deviations": deviations}
