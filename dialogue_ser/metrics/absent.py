"""Classes or dimensions that a split has no turn of: whoever reads its scores must know it."""

from collections.abc import Sequence


def absent_classes_note(split: str, absent: Sequence[str], n_classes: int, uar: float | None = None) -> str:
    """One sentence on a split that lacks classes, which count as never found.

    Args:
        split: its name.
        absent: classes that no labelled turn of it has, at least one and fewer than all.
        n_classes: of the label set.
        uar: mean recall over all classes (UA), once it is known.

    >>> print(absent_classes_note("dev", ["fear", "disgust"], 3, uar=1 / 3))
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


def absent_dimensions_note(split: str, absent: Sequence[str]) -> str:
    """One sentence on a split that lacks dimensions, which its scores leave out.

    Args:
        split: its name.
        absent: dimensions that no turn of it is annotated in, at least one and fewer than all.

    >>> absent_dimensions_note("dev", ["arousal"])
    'split dev has no value of arousal: its scores are the means over the other dimensions'
    """
    return f"split {split} has no value of {', '.join(absent)}: its scores are the means over the other dimensions"
