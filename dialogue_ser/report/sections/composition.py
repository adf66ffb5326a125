"""The parts of a page: named sections. Each is a template and its content; a task names the sections of its pages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.report.figures.gallery import Gallery
from dialogue_ser.report.sections.tables import format_interval, format_score
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks.base import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of a page.

    Args:
        template: name of a file in ``templates/``, without ``.html.j2``; most templates extend ``section.html.j2``.
        context: values that the template shows, by name. The id of the section is added as ``name``.
    """

    template: str
    context: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The run that a page is about, and the gallery of its pictures.

    Args:
        run: files of the run directory.
        scores: the content of ``scores.json``.
        split_name: split of the headline.
        predictions: predictions of this split.
        task: task of the run.
        gallery: draws and keeps the pictures.
    """

    run: RunFiles
    scores: Mapping[str, Any]
    split_name: str
    predictions: Predictions
    task: Task
    gallery: Gallery

    @property
    def split(self) -> Mapping[str, Any]:
        """The part of ``scores.json`` about the headline split."""
        found: Mapping[str, Any] = self.scores["splits"][self.split_name]
        return found


#: Makes a section, or returns None if the run has nothing to show in it.
Maker = Callable[[Subject], Section | None]


def compose(names: Sequence[str], makers: Mapping[str, Maker], subject: Subject) -> dict[str, Section]:
    """Return the named sections of a page in this order, without those that have nothing to show.

    Args:
        names: ids of the sections.
        makers: id → function that makes the section; every name must be there.
        subject: the run that the page is about.
    """
    made = {name: makers[name](subject) for name in names}
    return {name: section for name, section in made.items() if section is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A number next to the headline: its value, its name, and a remark, e.g. the interval."""

    value: str
    name: str
    remark: str


def interval_tile(value: float | None, interval: Mapping[str, float], name: str) -> Tile:
    """Return a tile that shows a score with its interval."""
    return Tile(value=format_score(value, 3), name=name, remark=format_interval(interval["low"], interval["high"]))


def part_note(shown: slice, n_turns: int, which: str) -> str:
    """Return a sentence about the part of a dialogue that a picture shows; "" if it shows all.

    >>> part_note(slice(60, 120), 600, "with the most emotion shifts")
    'The picture shows turns 61 to 120 of 600, those with the most emotion shifts.'
    """
    if shown.stop - shown.start == n_turns:
        return ""
    return f"The picture shows turns {shown.start + 1} to {shown.stop} of {n_turns:,}, those {which}."
