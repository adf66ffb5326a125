"""What a page is made of: named sections, each a template and what it shows, chosen by a tuple of names."""

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
        template: file in ``templates/``, without ``.html.j2``; most extend ``section.html.j2``.
        context: what the template shows, by name; ``name``, the section's own, is added.
    """

    template: str
    context: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What a page is about, and where its pictures are collected.

    Args:
        run: the run directory's files.
        scores: the content of ``scores.json``.
        split_name: the split that the headline is of.
        predictions: of this split.
        task: what was predicted.
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
        """The headline split's part of ``scores.json``."""
        found: Mapping[str, Any] = self.scores["splits"][self.split_name]
        return found


#: Gives a section, or None where the run has nothing to show in it.
Maker = Callable[[Subject], Section | None]


def compose(names: Sequence[str], makers: Mapping[str, Maker], subject: Subject) -> dict[str, Section]:
    """The named sections of a page in this order, without those that have nothing to show.

    Args:
        names: ids of sections.
        makers: id → what makes it; must hold every name.
        subject: what the page is about.
    """
    made = {name: makers[name](subject) for name in names}
    return {name: section for name, section in made.items() if section is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A number beside the headline: its value, what it is, and a remark (the interval, say)."""

    value: str
    name: str
    remark: str


def interval_tile(value: float | None, interval: Mapping[str, float], name: str) -> Tile:
    """A score with its interval."""
    return Tile(value=format_score(value, 3), name=name, remark=format_interval(interval["low"], interval["high"]))
