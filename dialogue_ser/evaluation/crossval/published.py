"""What the documents of E1 to E4 print, as rows to stand beside measured ones; it was never measured here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

#: What a row may score, in the order it is shown. precision, recall and f05 are averages over classes that the document
#: does not name.
SCORES: Mapping[str, str] = {"wa": "WA", "ua": "UA", "precision": "precision", "recall": "recall", "f05": "F0.5"}


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """One system in one table of a document.

    Args:
        document: E1 to E4, as docs/models.md calls them.
        title: the document's.
        preset: run preset that follows the document.
        system: whose numbers.
        is_quoted: another's system, whose number the document quotes.
        modalities: what it hears or reads.
        corpus: reader of the corpus it was measured on.
        classes: how many emotions; None = not stated.
        scenario: improvised, scripted or mixed; "" = not stated.
        protocol: nearest protocol of FOLDS; "" = not stated.
        scores: name in SCORES → (share, standard deviation or None).
    """

    document: str
    title: str
    preset: str
    system: str
    is_quoted: bool
    modalities: tuple[str, ...]
    corpus: str
    classes: int | None
    scenario: str
    protocol: str
    scores: Mapping[str, tuple[float, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values; scores as value and std."""
        scores = {name: {"value": value, "std": std} for name, (value, std) in self.scores.items()}
        return {**asdict(self), "modalities": list(self.modalities), "scores": scores}


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Every row of published.yaml, in its order."""
    text = resources.files("dialogue_ser.evaluation.crossval").joinpath("published.yaml").read_text(encoding="utf-8")
    return tuple(
        PublishedRow(
            document=document,
            title=one["title"],
            preset=one["preset"],
            system=row["system"],
            is_quoted=row.get("quoted", False),
            modalities=tuple(row["modalities"]),
            corpus=table["corpus"],
            classes=table.get("classes"),
            scenario=table.get("scenario", ""),
            protocol=table.get("protocol", ""),
            scores={name: _score(row["scores"][name]) for name in SCORES if name in row["scores"]},
        )
        for document, one in yaml.safe_load(text).items()
        for table in one["tables"]
        for row in table["rows"]
    )


def published_rows_for(corpus: str, classes: int, scenario: str) -> list[dict[str, Any]]:
    """The rows that may stand beside a run: those on its corpus, the ones under its conditions first.

    Args:
        corpus: the run's reader.
        classes: how many the run tells apart.
        scenario: improvised, scripted, mixed, or "" where the corpus knows none.

    Returns:
        rows as plain JSON values, with ``same_conditions``: as many classes, and the same scenario where the document
        states one. Protocol and seed may still differ.
    """
    rows = [
        {**row.to_dict(), "same_conditions": row.classes == classes and row.scenario in ("", scenario)}
        for row in published_rows()
        if row.corpus == corpus
    ]
    return sorted(rows, key=lambda row: not row["same_conditions"])  # stable: else in the documents' order


def _score(value: Any) -> tuple[float, float | None]:
    return (float(value[0]), float(value[1])) if isinstance(value, list) else (float(value), None)
