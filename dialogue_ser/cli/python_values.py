"""Values of flags as Python writes them, which is how an agent of W&B hands over the settings of a sweep.

A list or a mapping is written ``['a', None, 1e-05]``, and a section of settings as one flag with a mapping,
``--optimizer={'learning_rate': 0.001}``. The parser of flags reads YAML and knows the settings one by one.
"""

import ast
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

import yaml

_MOST_CHARACTERS, _MOST_BRACKETS = 100_000, 1000
_WORDS = {"None": "null", "True": "true", "False": "false"}


def without_python_values(tokens: Sequence[str], settings: type) -> list[str]:
    """Write Python's values as YAML, and a mapping for a section as one flag for each of its settings.

    Args:
        tokens: the tokens of a command.
        settings: dataclass of all settings. Its fields that are dataclasses, or mappings of dataclasses, are sections;
            so are ``options`` of a section ``model``.

    >>> from dialogue_ser.training.config.run_config import RunConfig
    >>> without_python_values(["--optimizer={'learning_rate': 1e-05, 'schedule': 'cosine'}"], RunConfig)
    ['--optimizer.learning_rate=1.0e-05', '--optimizer.schedule=cosine']
    >>> without_python_values(["--data.path", "None", "--data.options.x=['a b', None]"], RunConfig)
    ['--data.path', 'null', '--data.options.x=[a b, null]']
    """
    written: list[str] = []
    queue = list(tokens)
    while queue:
        flag, equals, value = queue.pop(0).partition("=")
        if not flag.startswith("--"):
            written.append(flag + equals + value)
            continue
        follows = not equals and bool(queue) and not queue[0].startswith("--")
        value = queue[0] if follows else value
        found = _python_value(value)
        if isinstance(found, Mapping) and _is_section(flag[2:].split("."), settings):
            queue = queue[1:] if follows else queue
            written += [f"{name}={_text(one)}" for name, one in _settings_of(flag, found, settings)]
            continue
        if found is not None:
            value = _text(found)
        elif value in _WORDS and (equals or value == "None"):
            value = _WORDS[value]
        written += [flag, value] if follows else [flag + equals + value]
        queue = queue[1:] if follows else queue
    return written


def _python_value(text: str) -> list[Any] | dict[Any, Any] | None:
    """Return the list or the mapping that a text is in Python; None if it is none, e.g. because it is YAML."""
    text = text.strip()
    if text[:1] not in ("[", "{") or len(text) > _MOST_CHARACTERS or text.count("[") + text.count("{") > _MOST_BRACKETS:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, list | dict) else None


def _settings_of(flag: str, values: Mapping[Any, Any], settings: type) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{flag}.{key}"
        if isinstance(value, Mapping) and _is_section(name[2:].split("."), settings):
            yield from _settings_of(name, value, settings)
        else:
            yield name, value


def _is_section(path: Sequence[str], settings: type) -> bool:
    """Return whether a setting has settings inside that have flags of their own."""
    if path == ["model", "options"]:
        return True
    hint: Any = settings
    for name in path:
        fields = get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
        inner = [part for part in get_args(hint) if dataclasses.is_dataclass(part)]
        if name.replace("-", "_") in fields:
            hint = fields[name.replace("-", "_")]
        elif inner:
            hint = inner[-1]
        else:
            return False
    return dataclasses.is_dataclass(hint) or any(map(dataclasses.is_dataclass, get_args(hint)))


def _text(value: Any) -> str:
    """Return a value as the parser reads it: a text as it is, all else as YAML in one line."""
    if isinstance(value, str):
        return value
    written: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True, sort_keys=False)
    return written.removesuffix("\n").removesuffix("\n...")
