"""The layouts of known feature pickles: conv-emotion, MMGCN, COSMIC, M3Net and plain dictionaries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.core.api import Array

Keys = Literal["auto", "utterance", "dialogue"]

#: Layout → the meaning of each part of the tuple. A part with another name than those of _KINDS_OF_ROLES is a modality.
#: The name "-" means that the part is not read.
LAYOUTS: dict[str, str] = {
    "conv-emotion MELD": "ids speakers labels text audio sentences train test -",
    "conv-emotion or MMGCN IEMOCAP": "ids speakers labels text audio visual sentences train test",
    "MMGCN MELD": "ids speakers labels text audio visual sentences train test -",
    "COSMIC MELD": "speakers labels - text1 text2 text3 text4 sentences train test dev",
    "COSMIC IEMOCAP": "speakers labels text1 text2 text3 text4 sentences train test dev",
    "M3Net IEMOCAP": "ids speakers labels text1 text2 text3 text4 audio visual sentences train test",
    "M3Net MELD": "ids speakers labels text1 text2 text3 text4 audio visual sentences train test -",
}
_SPLITS = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test"}
#: Meaning of a part → the kinds of content that it may have.
_KINDS_OF_ROLES: dict[str, tuple[str, ...]] = {
    "ids": ("texts", "numbers"),
    "speakers": ("texts", "vectors", "numbers"),
    "labels": ("numbers", "texts"),
    "sentences": ("texts",),
    "train": ("list",),
    "dev": ("list",),
    "test": ("list",),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PickledTurn:
    """The rows of one turn in a pickle.

    Args:
        key: id of the utterance in the pickle, or None if the pickle has no ids.
        dialogue: id of the dialogue, or None if the keys of the pickle are utterances.
        position: position in the list of the dialogue. The corpus may have more turns in between.
        text: words of the turn, or None if the pickle has no texts.
        split: split of the turn, or None if the pickle does not say it.
        label: label as the pickle writes it, often a number, or None if the pickle does not say it.
        rows: modality → array of the turn.
    """

    key: str | None
    dialogue: str | None
    position: int
    text: str | None
    split: str | None
    rows: Mapping[str, Array]
    label: str | None = None

    def __str__(self) -> str:
        where = f"{self.split} " if self.split else ""
        return f"{where}{self.key}" if self.dialogue is None else f"{where}dialogue {self.dialogue} row {self.position}"


def read_layout(value: Any, layout: str | None = None, keys: Keys = "auto") -> tuple[str, list[PickledTurn]]:
    """Return the name of the layout, and the turns.

    Args:
        value: content of the pickle.
        layout: meaning of each part of a tuple, e.g. ``ids,speakers,labels,text,-``; None = one of :data:`LAYOUTS`.
        keys: what the keys of a plain dictionary are; auto = dialogues if the values have several rows.

    Raises:
        FeatureError: no layout fits. The message describes the content of the pickle.
        ConfigError: the layout has another number of parts than the tuple.
    """
    if isinstance(value, (tuple, list)):
        kinds = [_kind_of(part) for part in value]
        if layout is None and len(value) in (2, 3) and all(isinstance(part, dict) for part in value):
            splits = ("train", "test") if len(value) == 2 else ("train", "dev", "test")
            turns = [
                t for name, part in zip(splits, value, strict=True) for t in _turns_of_dictionary(part, keys, name)
            ]
            return f"dictionaries of {', '.join(splits)}", turns
        name, roles = _find_roles(kinds, layout)
        return name, list(_turns_of_tuple(value, roles))
    if isinstance(value, dict) and value:
        if set(value) <= set(_SPLITS) and all(isinstance(part, dict) for part in value.values()):
            return "dictionary of splits", [
                turn for name, part in value.items() for turn in _turns_of_dictionary(part, keys, _SPLITS[name])
            ]
        turns = list(_turns_of_dictionary(value, keys, None))
        return f"dictionary by {'utterance' if turns and turns[0].dialogue is None else 'dialogue'}", turns
    raise FeatureError(f"the pickle holds {type(value).__name__}; it must hold a dictionary or a tuple of dictionaries")


def _find_roles(kinds: Sequence[str], layout: str | None) -> tuple[str, list[str]]:
    """Return the name of the layout, and the meaning of each part. Without a layout, the first that fits is taken."""
    if layout is not None:
        roles = [name.strip() for name in layout.split(",")]
        if len(roles) != len(kinds):
            raise ConfigError(f"--layout names {len(roles)} parts, the pickle has {len(kinds)}: {_numbered(kinds)}")
        return layout, roles
    for name, words in LAYOUTS.items():
        roles = words.split()
        if len(roles) == len(kinds) and all(map(_may_hold, roles, kinds)):
            return name, roles
    raise FeatureError(
        f"no known layout fits the pickle's {len(kinds)} parts: {_numbered(kinds)}; say what they are with "
        "--layout, e.g. --layout ids,speakers,labels,text,audio,sentences,train,test,- (any other name is a "
        "modality; a part with the name - is not read)"
    )


def _may_hold(role: str, kind: str) -> bool:
    return role == "-" or kind in _KINDS_OF_ROLES.get(role, ("vectors",))


def _numbered(kinds: Sequence[str]) -> str:
    return ", ".join(f"{number} {kind}" for number, kind in enumerate(kinds))


def _kind_of(part: Any) -> str:
    """Return texts, numbers or vectors for a dictionary by dialogue, list for a list of ids, or else the type."""
    if isinstance(part, (list, tuple, set)) or (isinstance(part, np.ndarray) and part.ndim == 1):
        return "list"
    if not isinstance(part, dict) or not part:
        return type(part).__name__
    value = next(iter(part.values()))
    if isinstance(value, np.ndarray):
        return "vectors" if value.ndim > 1 else "numbers" if value.dtype.kind in "iufb" else "texts"
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    if isinstance(first, (str, bytes)):
        return "texts"
    return "numbers" if isinstance(first, (int, float)) else "vectors"


def _turns_of_tuple(value: Sequence[Any], roles: Sequence[str]) -> Iterator[PickledTurn]:
    """Yield the turns of a tuple of dictionaries by dialogue."""
    parts = {role: part for role, part in zip(roles, value, strict=True) if role != "-"}
    modalities = _check_parts(parts)
    split_of = _split_of_dialogues(parts)
    roles_read = [role for role in ("ids", "sentences", *modalities) if role in parts]
    problems: list[str] = []
    for dialogue in parts[modalities[0]]:
        columns = {role: parts[role].get(dialogue, ()) for role in roles_read}
        problem = _problem_of_columns(columns)
        if problem:
            problems.append(f"dialogue {dialogue}: {problem}")
            continue
        labels = _labels_of(parts.get("labels"), dialogue, len(columns[modalities[0]]))
        for position in range(len(columns[modalities[0]])):
            key, text = (columns[role][position] if role in columns else None for role in ("ids", "sentences"))
            yield PickledTurn(
                key=None if key is None else str(key),
                dialogue=str(dialogue),
                position=position,
                text=None if text is None else str(text),
                split=split_of.get(str(dialogue)),
                rows={modality: _as_row(columns[modality][position]) for modality in modalities},
                label=labels[position],
            )
    if problems:
        raise FeatureError(*problems)


def _split_of_dialogues(parts: Mapping[str, Any]) -> dict[str, str]:
    """Return the split of each dialogue that the pickle lists.

    Raises:
        FeatureError: a dialogue is in two splits.
    """
    splits: dict[str, set[str]] = {}
    for split in ("train", "dev", "test"):
        for key in parts.get(split, ()):
            splits.setdefault(str(key), set()).add(split)
    several = sorted(key for key, found in splits.items() if len(found) > 1)
    if several:
        raise FeatureError(
            f"dialogue {several[0]} is in {' and '.join(sorted(splits[several[0]]))} ({len(several)} dialogues are in "
            "more than one split); correct --layout"
        )
    return {key: split for key, (split,) in splits.items()}


def _labels_of(part: Any, dialogue: Any, n_rows: int) -> list[str | None]:
    """Return the labels of a dialogue's rows; None for all of them if there is not one number or text for each row."""
    column = part.get(dialogue) if isinstance(part, dict) else None
    if isinstance(column, np.ndarray):
        column = column.tolist()
    is_one_per_row = isinstance(column, (list, tuple)) and len(column) == n_rows
    if not is_one_per_row or not all(isinstance(label, (int, float, str)) for label in column or ()):
        return [None] * n_rows
    return [
        str(int(label)) if isinstance(label, float) and label.is_integer() else str(label) for label in column or ()
    ]


def _check_parts(parts: Mapping[str, Any]) -> list[str]:
    """Return the names of the modalities.

    Raises:
        FeatureError: a part is not what its name says.
        ConfigError: no part is a modality.
    """
    lists = [role for role in ("train", "dev", "test") if _kind_of(parts.get(role, ())) != "list"]
    if lists:
        raise FeatureError(f"{', '.join(lists)}: not a list of dialogues; correct --layout")
    modalities = [role for role in parts if role not in _KINDS_OF_ROLES]
    if not modalities:
        raise ConfigError("--layout names no modality; give the features a name such as text, audio or visual")
    wrong = [role for role in ("ids", "sentences", *modalities) if role in parts and not isinstance(parts[role], dict)]
    if wrong:
        raise FeatureError(f"{', '.join(wrong)}: not a dictionary by dialogue; correct --layout")
    return modalities


def _problem_of_columns(columns: Mapping[str, Any]) -> str:
    """Return why the parts of one dialogue are not one item per turn, or an empty text if they are."""
    wrong = [role for role, column in columns.items() if not isinstance(column, (list, tuple, np.ndarray))]
    if wrong:
        return f"{', '.join(wrong)}: not a list with one item per turn; correct --layout"
    lengths = {role: len(column) for role, column in columns.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{role} {n}" for role, n in lengths.items())
        return f"parts of different lengths ({found}); its rows cannot be matched to turns"
    return ""


def _turns_of_dictionary(part: Mapping[Any, Any], keys: Keys, split: str | None) -> Iterator[PickledTurn]:
    """Yield the turns of a dictionary: utterance → array, or dialogue → arrays."""
    for key, value in part.items():
        is_vector = value.ndim == 1 if isinstance(value, np.ndarray) else _is_numbers(value)
        if keys == "utterance" or (keys == "auto" and is_vector):
            yield PickledTurn(
                key=str(key), dialogue=None, position=0, text=None, split=split, rows={"features": _as_row(value)}
            )
            continue
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise FeatureError(f"{key}: found {type(value).__name__}, expected an array or a list of arrays")
        for position, one in enumerate(value):
            rows = {"features": _as_row(one)}
            yield PickledTurn(key=None, dialogue=str(key), position=position, text=None, split=split, rows=rows)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, (int, float)) for one in value)


def _as_row(value: Any) -> Array:
    """Return the numbers of one turn as float32.

    Nested lists are refused: a small pickle can name one list so often that the numbers would fill the memory.
    """
    if not isinstance(value, np.ndarray):
        if not _is_numbers(value) or not value:
            raise FeatureError(
                f"a row is {type(value).__name__}, not numbers; set --keys, or name only features as modalities in "
                "--layout"
            )
        try:
            return np.asarray(value, dtype=np.float32)
        except OverflowError:
            raise FeatureError("a row holds a whole number that is too large for a feature") from None
    if value.ndim == 0 or value.dtype.kind not in "fiub":
        raise FeatureError(
            f"a row has shape {value.shape} and type {value.dtype}, not numbers; set --keys, or name only "
            "features as modalities in --layout"
        )
    return value.astype(np.float32, copy=False)
