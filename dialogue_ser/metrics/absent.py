"""Sentences on classes or dimensions without a turn in a split. They change the meaning of the split's scores."""

from collections.abc import Sequence


def absent_classes_note(split: str, absent: Sequence[str], n_classes: int, uar: float | None = None) -> str:
    """Return a sentence on a split without turns of some classes. These classes count as never found.

    Args:
        split: name of the split.
        absent: classes without a labelled turn in the split. It is at least one class, and not all.
        n_classes: number of classes of the label set.
        uar: mean recall over all classes (UA), if it is already computed.

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
    """Return a sentence on a split without values of some dimensions. Its scores leave these dimensions out.

    Args:
        split: name of the split.
        absent: dimensions without an annotated turn in the split. It is at least one dimension, and not all.

    >>> absent_dimensions_note("dev", ["arousal"])
    'split dev has no value of arousal: its scores are the means over the other dimensions'
    """
    return f"split {split} has no value of {', '.join(absent)}: its scores are the means over the other dimensions"
