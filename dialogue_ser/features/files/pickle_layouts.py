"""The layouts of the field's feature pickles, as turns with rows: conv-emotion, MMGCN, COSMIC, plain dictionaries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dialogue_ser.errors import ConfigError, FeatureError
from dialogue_ser.features.core.api import Array

Keys = Literal["auto", "utterance", "dialogue"]

#: What stands where in a tuple. Names other than the special ones are modalities; "-" is passed over.
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
_FITS: dict[str, tuple[str, ...]] = {
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
    """One row of a pickle.

    Args:
        key: the utterance's id as the pickle has it, or None where it only has an order.
        dialogue: the dialogue's id, or None where rows are keyed by utterance.
        position: place in the dialogue's list; says nothing about gaps.
        text: what was said, where the pickle has it.
        split: where the pickle says it.
        rows: modality → array.
    """

    key: str | None
    dialogue: str | None
    position: int
    text: str | None
    split: str | None
    rows: Mapping[str, Array]

    def __str__(self) -> str:
        where = f"{self.split} " if self.split else ""
        return f"{where}{self.key}" if self.dialogue is None else f"{where}dialogue {self.dialogue} row {self.position}"


def read_layout(value: Any, layout: str | None = None, keys: Keys = "auto") -> tuple[str, list[PickledTurn]]:
    """Name of the layout, and the turns.

    Args:
        value: what the pickle holds.
        layout: what stands where in a tuple, e.g. ``ids,speakers,labels,text,-``; None = one of :data:`LAYOUTS`.
        keys: of a plain dictionary; auto = dialogues where its values hold several rows each.

    Raises:
        FeatureError: no layout fits; says what the pickle holds.
        ConfigError: a layout of another length.
    """
    if isinstance(value, (tuple, list)):
        kinds = [_kind(part) for part in value]
        if layout is None and len(value) in (2, 3) and all(isinstance(part, dict) for part in value):
            splits = ("train", "test") if len(value) == 2 else ("train", "dev", "test")
            turns = [t for name, part in zip(splits, value, strict=True) for t in _plain(part, keys, name)]
            return f"dictionaries of {', '.join(splits)}", turns
        name, roles = _roles(kinds, layout)
        return name, list(_of_tuple(value, roles))
    if isinstance(value, dict) and value:
        if set(value) <= set(_SPLITS) and all(isinstance(part, dict) for part in value.values()):
            return "dictionary of splits", [
                turn for name, part in value.items() for turn in _plain(part, keys, _SPLITS[name])
            ]
        turns = list(_plain(value, keys, None))
        return f"dictionary by {'utterance' if turns and turns[0].dialogue is None else 'dialogue'}", turns
    raise FeatureError(f"the pickle holds {type(value).__name__}; a tuple of dictionaries or a dictionary is needed")


def _roles(kinds: Sequence[str], layout: str | None) -> tuple[str, list[str]]:
    if layout is not None:
        roles = [name.strip() for name in layout.split(",")]
        if len(roles) != len(kinds):
            raise ConfigError(f"--layout names {len(roles)} parts, the pickle has {len(kinds)}: {_listed(kinds)}")
        return layout, roles
    for name, words in LAYOUTS.items():
        roles = words.split()
        if len(roles) == len(kinds) and all(map(_fits, roles, kinds)):
            return name, roles
    raise FeatureError(
        f"no known layout fits the pickle's {len(kinds)} parts: {_listed(kinds)}; say what they are with "
        "--layout, e.g. --layout ids,speakers,labels,text,audio,sentences,train,test,- (other names are "
        "modalities, - is passed over)"
    )


def _fits(role: str, kind: str) -> bool:
    return role == "-" or kind in _FITS.get(role, ("vectors",))


def _listed(kinds: Sequence[str]) -> str:
    return ", ".join(f"{number} {kind}" for number, kind in enumerate(kinds))


def _kind(part: Any) -> str:
    """texts, numbers or vectors of a dictionary by dialogue; list (of ids); or what it is instead."""
    if isinstance(part, (list, tuple, set)):
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


def _of_tuple(value: Sequence[Any], roles: Sequence[str]) -> Iterator[PickledTurn]:
    parts = {role: part for role, part in zip(roles, value, strict=True) if role != "-"}
    lists = [role for role in ("train", "dev", "test") if not isinstance(parts.get(role, ()), (list, tuple, set))]
    if lists:
        raise FeatureError(f"{', '.join(lists)}: no list of dialogues; correct --layout")
    split_of = {str(key): name for name in ("train", "dev", "test") for key in parts.get(name, ())}
    modalities = [role for role in parts if role not in _FITS]
    if not modalities:
        raise ConfigError("--layout names no modality; give the features a name such as text, audio or visual")
    read = [role for role in ("ids", "sentences", *modalities) if role in parts]
    wrong = [role for role in read if not isinstance(parts[role], dict)]
    if wrong:
        raise FeatureError(f"{', '.join(wrong)}: no dictionary by dialogue; correct --layout")
    problems: list[str] = []
    for dialogue in parts[modalities[0]]:
        columns = {role: parts[role].get(dialogue, ()) for role in read}
        single = [role for role, column in columns.items() if not isinstance(column, (list, tuple, np.ndarray))]
        if single:
            problems.append(f"dialogue {dialogue}: {', '.join(single)}: no list of its turns; correct --layout")
            continue
        lengths = {role: len(column) for role, column in columns.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{role} {n}" for role, n in lengths.items())
            problems.append(
                f"dialogue {dialogue}: parts of different lengths ({found}); this dialogue cannot be placed"
            )
            continue
        for position in range(lengths[modalities[0]]):
            key, text = (columns[role][position] if role in columns else None for role in ("ids", "sentences"))
            yield PickledTurn(
                key=None if key is None else str(key),
                dialogue=str(dialogue),
                position=position,
                text=None if text is None else str(text),
                split=split_of.get(str(dialogue)),
                rows={modality: _row(columns[modality][position]) for modality in modalities},
            )
    if problems:
        raise FeatureError(*problems[:10])


def _plain(part: Mapping[Any, Any], keys: Keys, split: str | None) -> Iterator[PickledTurn]:
    """Turns of utterance → array, or dialogue → arrays."""
    for key, value in part.items():
        is_vector = value.ndim == 1 if isinstance(value, np.ndarray) else _is_numbers(value)
        if keys == "utterance" or (keys == "auto" and is_vector):
            yield PickledTurn(
                key=str(key), dialogue=None, position=0, text=None, split=split, rows={"features": _row(value)}
            )
            continue
        if not isinstance(value, (list, tuple, np.ndarray)):
            raise FeatureError(f"{key}: {type(value).__name__} where an array or a list of arrays belongs")
        for position, one in enumerate(value):
            rows = {"features": _row(one)}
            yield PickledTurn(key=None, dialogue=str(key), position=position, text=None, split=split, rows=rows)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, (int, float)) for one in value)


def _row(value: Any) -> Array:
    """Numbers of one turn; never more than there are in the pickle (a list may hold one other list many times)."""
    if not isinstance(value, np.ndarray):
        if not _is_numbers(value) or not value:
            raise FeatureError(
                f"a row is {type(value).__name__}, not numbers; set --keys, or name only features in --layout"
            )
        try:
            return np.asarray(value, dtype=np.float32)
        except OverflowError:
            raise FeatureError("a row holds a whole number too large for any feature") from None
    if value.ndim == 0 or value.dtype.kind not in "fiub":
        raise FeatureError(
            f"a row has shape {value.shape} and type {value.dtype}, not numbers; set --keys, or name only features in "
            "--layout"
        )
    return value.astype(np.float32, copy=False)
