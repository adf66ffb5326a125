"""Scores that documents print. They were not measured with this package."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

#: Key of a score → its heading, in the order of tables. precision, recall and f05 are averages over classes; the
#: document does not say which kind of average.
SCORES: Mapping[str, str] = {
    "weighted_f1": "weighted F1",
    "wa": "WA",
    "ua": "UA",
    "precision": "precision",
    "recall": "recall",
    "f05": "F0.5",
}
#: Where a number was read → in words.
READ: Mapping[str, str] = {
    "document": "the document",
    "readme": "the README of its repository",
    "listing": "papers or public listings of results",
    "memory": "from memory, not confirmed",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """One system in one table of a document.

    Args:
        document: name of the document, e.g. E1 (docs/equations.md, "Sources") or COSMIC.
        title: title of the document, or its name.
        preset: run preset that follows the document; "" = none.
        system: name of the system.
        is_quoted: whether the document quotes the scores of another publication.
        modalities: modalities that the system reads.
        features: what it reads, in words; "" = not stated.
        epoch: split that chose the epoch, dev or test; "" = not stated.
        read: where the number was read, a key of READ.
        corpus: name of the corpus, as the corpus readers are called.
        classes: number of classes; None = not stated.
        scenario: improvised, scripted or mixed; "" = not stated.
        protocol: most similar protocol in FOLDS; "" = not stated.
        scores: key in SCORES → (score as a share, its standard deviation or None).
    """

    document: str
    title: str
    preset: str
    system: str
    is_quoted: bool
    modalities: tuple[str, ...]
    features: str
    epoch: str
    read: str
    corpus: str
    classes: int | None
    scenario: str
    protocol: str
    scores: Mapping[str, tuple[float, float | None]]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values. Each score becomes a mapping with ``value`` and ``std``."""
        scores = {name: {"value": value, "std": std} for name, (value, std) in self.scores.items()}
        return {**asdict(self), "modalities": list(self.modalities), "scores": scores}


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Return every row of published.yaml, in the order of the file."""
    text = resources.files("dialogue_ser.evaluation").joinpath("published.yaml").read_text(encoding="utf-8")
    return tuple(
        PublishedRow(
            document=document,
            title=one["title"],
            preset=one.get("preset", ""),
            system=row["system"],
            is_quoted=row.get("quoted", False),
            modalities=tuple(row["modalities"]),
            features=row.get("features", ""),
            epoch=row.get("epoch", ""),
            read=row.get("read", "document"),
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
    """Return the published rows on the corpus of a run. Rows with the same conditions as the run come first.

    Args:
        corpus: name of the reader of the run's corpus.
        classes: number of classes of the run.
        scenario: improvised, scripted, mixed, or "" if the corpus has no scenarios.

    Returns:
        rows as plain JSON values with the further key ``same_conditions``. It is true if the number of classes is the
        same, and also the scenario if the document states one. Protocol and seed may still differ.
    """
    rows = [
        {**row.to_dict(), "same_conditions": row.classes == classes and row.scenario in ("", scenario)}
        for row in published_rows()
        if row.corpus == corpus
    ]
    return sorted(rows, key=lambda row: not row["same_conditions"])  # rows of each group keep the documents' order


def _score(value: Any) -> tuple[float, float | None]:
    return (float(value[0]), float(value[1])) if isinstance(value, list) else (float(value), None)
