"""Read YAML that somebody else may have written: the time and the memory that it can take are bounded."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 64
#: An anchor (``&name``) whose value is used often can stand for far more values than the text has.
MAX_VALUES = 200_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"


class YamlError(ValueError):
    """The text is not YAML, or it is not YAML of reasonable size. The message is one line.

    Args:
        message: what is wrong.
        line: line of the problem, counted from 1; None = it is not in one line.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _StrictLoader(_Loader):  # type: ignore[misc,valid-type]
    """Refuses a key that occurs twice in one mapping. PyYAML would take the last value without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        for problem, line in _repeated_keys(node):
            raise YamlError(f"has {problem}", line)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def _repeated_keys(node: yaml.MappingNode) -> Iterator[tuple[str, int]]:
    """Yield what is wrong and the line of every key of a mapping that was there before."""
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        line, first = key.start_mark.line + 1, lines.get((key.tag, key.value))
        if first is not None:
            yield f"{key.value[:60]!r} twice in one mapping, in lines {first} and {line}; keep one", line
        lines.setdefault((key.tag, key.value), line)


def repeated_keys(text: str) -> list[tuple[str, int]]:
    """Return every key that occurs twice in one mapping: what is wrong, and the line.

    Args:
        text: a text of reasonable size in YAML.

    >>> repeated_keys("a: 1\\nb: 2\\na: 3")
    [("'a' twice in one mapping, in lines 1 and 3; keep one", 3)]
    """
    found = [
        problem
        for _, node in _values(_composed(text), (), set())
        if isinstance(node, yaml.MappingNode)
        for problem in _repeated_keys(node)
    ]
    return sorted(dict.fromkeys(found), key=lambda problem: problem[1])


def _composed(text: str) -> yaml.Node | None:
    loader = _StrictLoader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    finally:
        loader.dispose()
    return node


def parse_yaml(text: str) -> Any:
    """Return the value that a YAML text describes, made from plain values only.

    YAML 1.1 reads the words yes, no, on and off as true and false. As names in a mapping they stay words.

    Raises:
        YamlError: the text is not YAML; a key occurs twice in a mapping; the text is longer than 1 MB, nested more than
            64 levels deep, or its anchors stand for more than 200,000 values or for themselves; or a number has too
            many digits.

    >>> parse_yaml("training: {epochs: 3}")
    {'training': {'epochs': 3}}
    >>> parse_yaml("label_map: {yes: agreed, no: null}")
    {'label_map': {'yes': 'agreed', 'no': None}}
    >>> parse_yaml("[" * 100_000)
    Traceback (most recent call last):
    ...
    dialogue_ser.foreign_text.yaml_text.YamlError: is nested more than 64 levels deep
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"has {len(text):,} characters; more than {MAX_CHARACTERS:,} are not read")
    try:
        check_size(text)
        loader = _StrictLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _keep_words(node, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise YamlError(" ".join(f"is not YAML: {error}".split()), mark.line + 1 if mark else None) from error
    except YamlError:
        raise
    except (ValueError, OverflowError, TypeError) as error:  # a number of too many digits, a date that does not exist
        raise YamlError(f"has a value that cannot be read: {error}") from error


def lines_of_yaml(text: str) -> dict[tuple[str, ...], int]:
    """Return the line, counted from 1, of every key and every entry of a list, by its place in the values.

    Args:
        text: a text that :func:`parse_yaml` reads.

    >>> lines_of_yaml("a: 1\\nb:\\n  - c: 2")
    {('a',): 1, ('b',): 2, ('b', '0'): 3, ('b', '0', 'c'): 3}
    """
    found: dict[tuple[str, ...], int] = {}
    _note_lines(_composed(text), (), found, set())
    return found


def place_text(path: Path, lines: Mapping[tuple[str, ...], int], place: Sequence[str]) -> str:
    """Return a place in a file for a message, ``FILE:LINE: a.b``. The line is that of the innermost part that is there.

    Args:
        path: the file.
        lines: place → line, from :func:`lines_of_yaml`.
        place: the place.
    """
    known = [lines[tuple(place[:n])] for n in range(len(place), 0, -1) if tuple(place[:n]) in lines]
    return f"{path}:{known[0]}: {'.'.join(place)}" if known else f"{path}: {'.'.join(place)}"


def unquoted_texts(text: str) -> dict[tuple[str, ...], str]:
    """Return the values that are texts without quotes, by their place. Some were meant as numbers, e.g. 1e-4.

    Args:
        text: a text that :func:`parse_yaml` reads.

    >>> unquoted_texts("a: 1e-4\\nb: '1e-4'\\nc: [1.0e-4, on, word]")
    {('a',): '1e-4', ('c', '2'): 'word'}
    """
    found: dict[tuple[str, ...], str] = {}
    for place, value in _values(_composed(text), (), set()):
        if isinstance(value, yaml.ScalarNode) and value.tag == "tag:yaml.org,2002:str" and not value.style:
            found[place] = value.value
        if len(found) > MAX_VALUES:
            break
    return found


def _values(
    node: yaml.Node | None, place: tuple[str, ...], above: set[int]
) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    """Yield every value with its place."""
    if node is None or id(node) in above:
        return
    yield place, node
    entries: list[tuple[str, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        entries = [(str(key.value), value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        entries = [(str(number), value) for number, value in enumerate(node.value)]
    for name, value in entries:
        yield from _values(value, (*place, name), above | {id(node)})


def _note_lines(
    node: yaml.Node | None, place: tuple[str, ...], found: dict[tuple[str, ...], int], above: set[int]
) -> None:
    if id(node) in above or len(found) > MAX_VALUES:
        return
    entries: list[tuple[str, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        entries = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        entries = [(str(number), value, value) for number, value in enumerate(node.value)]
    for name, at, value in entries:
        found[(*place, name)] = at.start_mark.line + 1
        _note_lines(value, (*place, name), found, above | {id(node)})


def _keep_words(node: yaml.Node, seen: set[int]) -> None:
    """Make the names in all mappings below a node texts, if they are words that stand for true and false."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.tag == "tag:yaml.org,2002:bool":
                name.tag = "tag:yaml.org,2002:str"
            _keep_words(name, seen)
            _keep_words(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _keep_words(value, seen)


def check_size(text: str) -> None:
    """Count levels and values, with those that aliases repeat, before a value is made.

    Raises:
        YamlError: there are too many, or an alias stands for itself.
        yaml.YAMLError: the text is not YAML.
    """
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # anchor, number of values so far
    n_values = 0
    for event in yaml.parse(text, Loader=_Loader):
        size = 0
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise YamlError(f"has an alias *{event.anchor} whose anchor is not complete before it")
            size = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            size = 1
            if "\0" in event.value:
                raise YamlError("has a text with a NUL character")
            if event.anchor:
                sizes[event.anchor] = size
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, n_values))
            size = 1
            if len(open_nodes) > MAX_DEPTH:
                raise YamlError(f"is nested more than {MAX_DEPTH} levels deep")
        n_values += size
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = n_values - before
        if n_values > MAX_VALUES:
            raise YamlError(f"has more than {MAX_VALUES:,} values, aliases counted")
