"""Refuse a transformers model whose config.json asks for code from the hub."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.errors import FeatureError, shown_value
from dialogue_ser.foreign_text.json_text import JsonError, read_json


def written_config(location: str) -> Any:
    """Return the content of config.json as it is written in a folder; None for a model of the hub.

    Raises:
        FeatureError: the file is not JSON of reasonable size.
    """
    file = Path(location) / "config.json"
    try:
        return read_json(file) if file.is_file() else None
    except JsonError as error:
        raise FeatureError(f"{file}: {error}; copy the folder again") from error


def refuse_hub_code(config: Mapping[str, Any], where: str) -> None:
    """Refuse a configuration that names a kernel of the hub, e.g. for its attention. transformers would run its code.

    Raises:
        FeatureError: it names such a kernel. Kernels have names with a slash.
    """
    found = sorted(set(_kernels(config, is_implementation=False)))
    if found:
        raise FeatureError(
            f"{where} asks for code from the hub: {', '.join(map(shown_value, found))}; a file may not run code. Take "
            "attn_implementation and similar entries out of its config.json"
        )


def _kernels(value: Any, *, is_implementation: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _kernels(inner, is_implementation=is_implementation or "_implementation" in str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _kernels(inner, is_implementation=is_implementation)
    elif is_implementation and isinstance(value, str) and "/" in value:
        yield value
