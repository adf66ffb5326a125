"""Classes that a split has no turn of: they count as never found, and whoever reads the scores must know it."""

from collections.abc import Mapping, Sequence
from typing import Any


def absent_note(split: str, absent: Sequence[str], n_classes: int, uar: float | None = None) -> str:
    """One sentence on a split that lacks classes.

    Args:
        split: its name.
        absent: classes that no labelled turn of it has, at least one and fewer than all.
        n_classes: of the label set.
        uar: mean recall over all classes (UA), once it is known.

    >>> print(absent_note("dev", ["fear", "disgust"], 3, uar=1 / 3))
    split dev has no turn of fear, disgust: such a class counts as never found, which lowers UA and macro scores (UA \
0.333; 1.000 over the classes that occur, which is scikit-learn's balanced accuracy)
    """
    sentence = (
        f"split {split} has no turn of {', '.join(absent)}: such a class counts as never found, which lowers UA and "
        "macro scores"
    )
    if uar is None:
        return sentence
    over_those_that_occur = uar * n_classes / (n_classes - len(absent))
    return (
        f"{sentence} (UA {uar:.3f}; {over_those_that_occur:.3f} over the classes that occur, which is scikit-learn's "
        "balanced accuracy)"
    )


def absent_notes(splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for every split of ``scores.json`` that lacks classes.

    Args:
        splits: name → what :meth:`~dialogue_ser.tasks.base.Task.summary` gives; without classes there is none.
    """
    notes = []
    for name, part in splits.items():
        per_class = part["scores"].get("per_class") or {}
        absent = [label for label, value in per_class.items() if not value["support"]]
        if absent:
            notes.append(absent_note(name, absent, len(per_class), part["scores"]["uar"]))
    return notes
