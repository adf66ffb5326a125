"""Read JSON as the rows of a table: JSON Lines, an array of turns, or an object that holds dialogues or columns."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.corpus.parsing.rows import Row, Rows
from dialogue_ser.corpus.splits import SPLIT_NAMES
from dialogue_ser.errors import CorpusError

_LINES = (".jsonl", ".ndjson")
# A list with one of these names holds turns or dialogues. Its name is not the id of a dialogue.
_WRAPPERS = {
    "data", "rows", "records", "items", "results", "examples", "segments", "turns", "utterances", "dialogue", "dialog",
    "dialogues", "dialogs", "conversation", "conversations", "messages",
}  # fmt: skip
# Such a list in a file that has no other is one dialogue.
_ONE_DIALOGUE = {"segments", "turns", "messages", "dialogue", "dialog", "conversation"}
# Lists with these names, in one object, are the columns of a dialogue.
_PLURALS = {"texts", "sentences", "utterances", "transcripts", "speakers", "labels", "emotions"}
# Names that columns of a table have, and that rows of a table do not have.
_USUAL = {"text", "utterance", "sentence", "transcript", "speaker", "label", "emotion", "audio", "file", "split"}
_NAMES_OF_A_DIALOGUE = {"dialogue", "dialogueid", "dialog", "dialogid", "conversation", "conversationid"}
# An object inside a turn becomes the columns speaker.name, speaker.id, …, down to this depth.
_MAX_DEPTH = 3

# A cell that is nested more deeply is a mistake, or was written to make a program fail.
_MAX_LEVELS = 20

Record = dict[str, Any]


def parse_json(path: Path, text: str, suffix: str) -> Rows:
    """Read the turns of a JSON text.

    The forms are: JSON Lines (one object in each line); an array of objects; an array or an object of dialogues; an
    object of splits; and what ``pandas.DataFrame.to_json`` writes with any ``orient``. A dialogue is an array of
    objects, an object with a list of objects, or an object of lists (``{"sentences": […], "speakers": […]}``). An
    object inside a turn becomes several columns (``speaker.name``).

    Args:
        path: the file, for messages.
        text: its content.
        suffix: ending of its name.

    Raises:
        CorpusError: the text is not valid JSON, or holds no turns. The error names all bad lines.
    """
    problems: list[str] = []
    if _is_lines(text, suffix):
        records = list(_records_of_lines(path, text, problems))
    else:
        records = list(enumerate(_records_of_document(path, text), start=1))
    columns: dict[str, None] = {}
    rows: list[Row] = []
    for number, record in records:
        deep = [name for name, value in record.items() if _is_too_deep(value)]
        cells = {} if deep else {name: _cell(value) for name, value in _flat(record)}
        problem = f"{deep[0]} holds more than {_MAX_LEVELS} lists inside each other; write a text" if deep else ""
        problem = problem or _text_problem("".join([*cells, *cells.values()]))
        if problem:
            problems.append(f"{path.name} row {number}: {problem}")
            continue
        columns.update(dict.fromkeys(cells))
        rows.append(Row(number, cells, path.name))
    if problems:
        raise CorpusError(*problems)
    if not rows:
        raise CorpusError(f"{path}: holds no turn; write one JSON object for each turn")
    whole = tuple(Row(row.number, {name: row.values.get(name, "") for name in columns}, row.file) for row in rows)
    return Rows(path, tuple(columns), whole)


def _is_lines(text: str, suffix: str) -> bool:
    """Whether the text is JSON Lines: its first line is an object, and it is not the only line of a .json file."""
    first, *rest = (line for line in _lines(text) if line.strip())
    if isinstance(_loaded(first), dict):
        return bool(rest) or suffix in _LINES
    return suffix in _LINES and _loaded(text) is None


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _records_of_lines(path: Path, text: str, problems: list[str]) -> Iterator[tuple[int, Record]]:
    """Yield line number and record of each turn. Bad lines become problems."""
    for number, line in enumerate(_lines(text), start=1):
        if not line.strip():
            continue
        try:
            value = _load(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path.name} row {number}: is not valid JSON ({error}); write one object per line")
            continue
        if not isinstance(value, dict):
            found = type(value).__name__
            problems.append(f"{path.name} row {number}: is a JSON {found}, not an object; write one object per line")
            continue
        yield from ((number, record) for record in _turns_of_item(value, str(number)))


def _records_of_document(path: Path, text: str) -> list[Record]:
    """Return the records of a text that is one JSON value."""
    try:
        value = _load(text)
        records = _records(value)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path}: is not valid JSON ({error}); write a list of objects, one for each turn") from error
    if not records:
        raise CorpusError(
            f"{path}: is JSON without turns ({_outline(value)}); write a list of objects, one for each turn"
        )
    return records


def _records(value: Any) -> list[Record]:
    """Return the turns of a whole document; [] if its form is not one of those that :func:`parse_json` names."""
    if isinstance(value, list):
        return _records_of_list(value)
    if not isinstance(value, dict) or not value:
        return []
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list):  # pandas, orient="split"
        return _records_of_list([names, *data])
    if isinstance(data, list) and "schema" in value:  # pandas, orient="table"
        return _records_of_list(data)
    nested = {name: inner for name, inner in value.items() if isinstance(inner, (dict, list))}
    if len(nested) == len(value) and all(name.lower() in SPLIT_NAMES for name in value):
        return [_with(record, "split", name) for name, inner in value.items() for record in _records(inner)]
    if len(nested) == 1 and next(iter(nested)).lower() in _WRAPPERS:
        ((wrapper, inner),) = nested.items()
        rest = {name: scalar for name, scalar in value.items() if name not in nested}
        name = "1" if wrapper.lower() in _ONE_DIALOGUE and _is_dialogue(inner) else ""
        return [_with_dialogue(rest | record, name) for record in _records(inner)]
    if len(nested) == len(value) and all(map(_is_dialogue, value.values())):
        return [record for name, inner in value.items() for record in _turns_of_item(inner, name)]
    if _is_columnar(value, always=True):
        return _rows_of_columns(value)
    if len(nested) == len(value) and all(isinstance(inner, dict) for inner in value.values()):
        return _records_of_frame(value)
    return _turns_of_item(value, "")


def _records_of_list(items: list[Any]) -> list[Record]:
    if items and all(isinstance(item, dict) for item in items):
        return [record for place, item in enumerate(items, start=1) for record in _turns_of_item(item, str(place))]
    if not items or not all(isinstance(item, list) for item in items):
        return []
    if all(isinstance(cell, str) for cell in items[0]) and len({*map(len, items)}) == 1:  # a header, then its rows
        return [dict(zip(items[0], row, strict=True)) for row in items[1:]]
    if all(isinstance(turn, dict) for item in items for turn in item):
        return [record for place, item in enumerate(items, start=1) for record in _turns_of_item(item, str(place))]
    return []


def _records_of_frame(value: Mapping[str, Mapping[str, Any]]) -> list[Record]:
    """Return the rows of a data frame that pandas wrote with orient="columns" or "index"."""
    inner_keys = next(iter(value.values()))
    are_rows = any(_plain(name) in _USUAL for name in inner_keys)
    if not are_rows and (any(_plain(name) in _USUAL for name in value) or all(map(str.isdigit, inner_keys))):
        places = dict.fromkeys(place for column in value.values() for place in column)
        return [{name: column.get(place) for name, column in value.items()} for place in places]
    is_numbered = all(map(str.isdigit, value))
    return [dict(row) if is_numbered else _with(dict(row), "utterance_id", name) for name, row in value.items()]


def _is_dialogue(value: Any) -> bool:
    """Whether a JSON value holds the turns of a dialogue: a list of objects, or an object of lists."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(turn, dict) for turn in value)
    if not isinstance(value, dict):
        return False
    return _turn_list(value) is not None or _is_columnar(value, always=True)


def _turns_of_item(item: Any, name: str) -> list[Record]:
    """Return the turns of one object or list. If it holds several turns, they get the dialogue ``name``."""
    if isinstance(item, list):
        return [_with_dialogue(turn, name) for turn in item]
    turns = _turn_list(item)
    if turns is not None:
        facts = {key: value for key, value in item.items() if key != turns}
        return [_with_dialogue(facts | turn, name) for turn in item[turns]]
    if _is_columnar(item, always=False):
        return [_with_dialogue(record, name) for record in _rows_of_columns(item)]
    return [item]


def _turn_list(item: Mapping[str, Any]) -> str | None:
    """Return the name of the list of objects in an object, if there is one."""
    lists = [
        name
        for name, value in item.items()
        if isinstance(value, list) and value and all(isinstance(turn, dict) for turn in value)
    ]
    known = [name for name in lists if name.lower() in _WRAPPERS]
    found = known if len(known) == 1 else lists
    return found[0] if len(found) == 1 else None


def _is_columnar(item: Mapping[str, Any], always: bool) -> bool:
    """Whether lists of one length in an object are columns. Else a list is the content of a cell.

    Args:
        item: the object.
        always: whether any names will do; otherwise one of them must be a plural, such as sentences.
    """
    lists = {name: value for name, value in item.items() if isinstance(value, list)}
    if len(lists) < 2 or len({*map(len, lists.values())}) != 1 or not next(iter(lists.values())):
        return False
    if any(isinstance(cell, (list, dict)) for value in lists.values() for cell in value):
        return False
    return always or any(_plain(name) in _PLURALS for name in lists)


def _rows_of_columns(item: Mapping[str, Any]) -> list[Record]:
    lists = {name: value for name, value in item.items() if isinstance(value, list)}
    facts = {name: value for name, value in item.items() if name not in lists}
    return [{**facts, **dict(zip(lists, cells, strict=True))} for cells in zip(*lists.values(), strict=True)]


def _with_dialogue(record: Record, name: str) -> Record:
    if not name or any(_plain(key) in _NAMES_OF_A_DIALOGUE for key in record):
        return record
    return {"dialogue": name, **record}


def _with(record: Record, key: str, value: str) -> Record:
    return record if key in map(str.lower, record) else {key: value, **record}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _flat(record: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield column and value. An object in a record becomes the columns ``name.key``."""
    for name, value in record.items():
        if isinstance(value, dict) and value and depth < _MAX_DEPTH:
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        else:
            yield prefix + name, value or None if isinstance(value, dict) else value


def _is_too_deep(value: Any, levels: int = _MAX_LEVELS) -> bool:
    if not isinstance(value, (list, dict)):
        return False
    return levels == 0 or any(
        _is_too_deep(one, levels - 1) for one in (value if isinstance(value, list) else value.values())
    )


def _load(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique_object, parse_constant=_refuse_constant)


def _text_problem(text: str) -> str:
    """Return what is wrong with the characters of a text; "" = nothing. An escape in JSON can write any of them."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return "holds half a character (a lone surrogate such as \\ud800); remove it or write the whole character"
    return "holds a NUL character (\\u0000); remove it" if "\0" in text else ""


def _unique_object(pairs: list[tuple[str, Any]]) -> Record:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{', '.join(sorted({name for name in names if names.count(name) > 1}))} is in it twice")
    return dict(pairs)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _cell(value: Any) -> str:
    """Return a JSON value as a cell: a text stays as it is, null becomes "", and all others become JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _outline(value: Any) -> str:
    """Describe a JSON value for a message.

    >>> _outline({"model": "x", "version": 2}), _outline([1, 2])
    ('an object of model, version', 'a list of 2 values')
    """
    if isinstance(value, dict):
        shown: Sequence[str] = [*map(str, value)][:6]
        return f"an object of {', '.join(shown)}{', …' if len(value) > len(shown) else ''}" if value else "an object"
    return f"a list of {len(value)} values" if isinstance(value, list) else "a single value"
