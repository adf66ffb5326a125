"""Compare two run directories bit by bit: losses, scores, weights and predictions. Times and memory are left out."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, deserialize

from dialogue_ser.errors import DialogueSerError
from dialogue_ser.runs.run_files import RunFiles

#: What no two trainings share: how long they took, and how much memory the machine gave them.
_NOT_COMPARED = ("seconds", "peak_memory_bytes")
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}

#: Name of a value → the value: a plain JSON value, or the bytes of an array with what shows its difference.
_Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """How far one kind of result is equal in two runs.

    Args:
        name: what is compared, e.g. ``steps``.
        compared: number of values that were compared; 0 = the first run has none of this kind.
        different: number of them that differ, or that the second run does not have.
        first: the first value that differs, with what both runs have; "" if all are equal.
        largest: largest absolute difference between two numbers; None if no numbers differ.
    """

    name: str
    compared: int
    different: int
    first: str = ""
    largest: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the part as plain JSON values; an infinite difference is a text."""
        values = asdict(self)
        if self.largest is not None and not math.isfinite(self.largest):
            values["largest"] = str(self.largest)
        return values


@dataclass(frozen=True)
class _Array:
    """A tensor, or a column of a table: its bytes decide whether it is equal."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    def numbers(self) -> np.ndarray[Any, Any] | None:
        """Return the numbers in float64; None for a type that numpy does not know."""
        if self.dtype == "BF16":
            return (np.frombuffer(self.data, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
        known = _DTYPES.get(self.dtype)
        return None if known is None else np.frombuffer(self.data, known).astype(np.float64)


def compare_runs(before: Path, after: Path) -> list[Part]:
    """Compare the results of a run with those of a second run.

    Args:
        before: directory of a finished run.
        after: directory of the second one.

    Returns:
        one part for each kind of result that the first run has, also for each member of an ensemble.

    Raises:
        DialogueSerError: a file of the first run is damaged.
    """
    parts = [
        _compared(name, read(before), read(after))
        for name, read in _KINDS.items()
        if name != "scores" or (before / "scores.json").is_file()
    ]
    found = [part for part in parts if part.compared]
    members = before / "members"
    for member in sorted(members.iterdir(), key=_number) if members.is_dir() else []:
        if (member / "config.yaml").is_file():
            of_member = compare_runs(member, after / "members" / member.name)
            found += [Part(**{**asdict(part), "name": f"member {member.name}: {part.name}"}) for part in of_member]
    return found


def _number(folder: Path) -> tuple[int, str]:
    return (int(folder.name) if folder.name.isdecimal() else 0, folder.name)


def _compared(name: str, before: _Values, after: _Values) -> Part:
    """Compare two sets of named values."""
    first, different, largest = "", 0, None
    for key, value in before.items():
        other = after.get(key, _ABSENT)
        if _is_equal(value, other):
            continue
        different += 1
        first = first or f"{key} ({_shown(value)} and {_shown(other)})"
        distance = _distance(value, other)
        if distance is not None:
            largest = distance if largest is None else max(largest, distance)
    further = [key for key in after if key not in before] if name != "scores" else []
    if further:  # scores may have metrics that somebody added later
        first = first or f"{further[0]} (nothing and {_shown(after[further[0]])})"
    n_compared = len(before) + len(further) if before else 0
    return Part(name=name, compared=n_compared, different=different + len(further), first=first, largest=largest)


class _Absent:
    """What a run has where it has nothing."""


_ABSENT = _Absent()


def _is_equal(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _distance(value: Any, other: Any) -> float | None:
    """Return the largest absolute difference of two values; None if they are no numbers of one shape."""
    if isinstance(value, _Array) and isinstance(other, _Array):
        ours, theirs = value.numbers(), other.numbers()
        if ours is None or theirs is None or value.shape != other.shape or not ours.size:
            return None
        with np.errstate(invalid="ignore"):
            distance = np.abs(ours - theirs)
        is_same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
        return float(np.where(is_same, 0.0, np.where(np.isnan(distance), np.inf, distance)).max())
    numbers = [one for one in (value, other) if isinstance(one, int | float) and not isinstance(one, bool)]
    return abs(numbers[0] - numbers[1]) if len(numbers) == 2 else None


def _shown(value: Any) -> str:
    if isinstance(value, _Array):
        return f"{value.dtype} {list(value.shape)}"
    return "nothing" if isinstance(value, _Absent) else repr(value)


def _flat(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield name → plain value of nested JSON values, without times and memory."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key not in _NOT_COMPARED:
                yield from _flat(one, f"{where} {key}".strip())
    elif isinstance(value, list):
        for number, one in enumerate(value, start=1):
            yield from _flat(one, f"{where} {number}".strip())
    else:
        yield where, value


def _lines(kind: str, number: str) -> Callable[[Path], _Values]:
    """Return a function that gives the values of all lines of a kind in metrics.jsonl. A later line replaces one."""

    def read(folder: Path) -> _Values:
        history = RunFiles(folder).history if folder.is_dir() else ()
        rows = {row.get(number): row for row in history if row.get("kind") == kind}
        values: dict[str, Any] = {}
        for key, row in rows.items():
            values |= _flat({name: one for name, one in row.items() if name not in ("kind", number)}, f"{kind} {key}")
        return values

    return read


def _summary(folder: Path) -> _Values:
    summary = RunFiles(folder).summary if folder.is_dir() else {}
    return dict(_flat({name: one for name, one in summary.items() if name != "kind"}, "summary"))


def _scores(folder: Path) -> _Values:
    return dict(_flat(RunFiles(folder).scores, "scores")) if folder.is_dir() else {}


def _tensors(pattern: str) -> Callable[[Path], _Values]:
    """Return a function that gives the tensors of all safetensors files that fit a pattern."""

    def read(folder: Path) -> _Values:
        values: dict[str, Any] = {}
        for path in sorted(folder.glob(pattern)):
            try:
                found = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
            except (SafetensorError, OSError) as error:
                raise DialogueSerError(f"{path}: is damaged ({error}); restore the file") from error
            name = path.relative_to(folder).with_suffix("").as_posix()
            for tensor, entry in sorted(found):
                values[f"{name} {tensor}"] = _Array(entry["dtype"], tuple(entry["shape"]), bytes(entry["data"]))
        return values

    return read


def _predictions(folder: Path) -> _Values:
    """Return every value of predictions.parquet, by column and by the id of the turn."""
    path = folder / "predictions.parquet"
    if not path.is_file():
        return {}
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DialogueSerError(f"{path}: is damaged ({error}); restore the file") from error
    names = frame["utterance_id"].astype(str) if "utterance_id" in frame else frame.index.astype(str)
    values: dict[str, Any] = {}
    for column in frame.columns:
        plain = [_plain(one) for one in frame[column].tolist()]
        values |= {f"{name} {column}": one for name, one in zip(names, plain, strict=True)}
    return values


def _plain(value: Any) -> Any:
    """Return a value of a table; all missing values are None, because NaN is not equal to itself."""
    return None if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) else value


_KINDS: Mapping[str, Callable[[Path], _Values]] = {
    "steps": _lines("step", "step"),
    "epochs": _lines("epoch", "epoch"),
    "summary": _summary,
    "weights": _tensors("model/**/*.safetensors"),
    "predictions": _predictions,
    "attention": _tensors("attention.safetensors"),
    "scores": _scores,
}
