"""The labels of systems and encoders. A label is a word of the table, and the name of a folder on any file system."""

import unicodedata
from collections.abc import Iterable, Iterator

MOST_LETTERS, MOST_BYTES = 60, 150
_EXCLUDED = '/\\:·*?"<>|'


def label_problem(label: str) -> str:
    """Return what is wrong with a label, or "".

    >>> label_problem("bigru 2"), bool(label_problem("a/b")), bool(label_problem(".."))
    ('', True, True)
    """
    is_name = label.isprintable() and not set(label) & set(_EXCLUDED) and label.strip(" .") == label
    if label and is_name and len(label) <= MOST_LETTERS and len(label.encode()) <= MOST_BYTES:
        return ""
    return (
        f"the label may have at most {MOST_LETTERS} letters and {MOST_BYTES} bytes, none of {' '.join(_EXCLUDED)}, and "
        "no space or dot at its ends, because it is also the name of a folder"
    )


def equal_labels(labels: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield every label that some file systems do not tell from an earlier one, with the earlier one.

    Their letters differ in case only, or are written with other code points (``é`` as one or as two).

    >>> list(equal_labels(["erc", "blind", "ERC"]))
    [('ERC', 'erc')]
    """
    known: dict[str, str] = {}
    for label in labels:
        folder = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())
        if folder in known:
            yield label, known[folder]
        known.setdefault(folder, label)
