"""Read a sweep file of Weights & Biases. One error has every mistake, with its line and how to mend it.

Source: the file format of Weights & Biases sweeps.
"""

from collections.abc import Mapping
from pathlib import Path

from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.yaml_text import (
    MAX_CHARACTERS,
    YamlError,
    lines_of_yaml,
    parse_yaml,
    repeated_keys,
    unquoted_texts,
)
from dialogue_ser.search_space.sweep import Metric, Sweep
from dialogue_ser.search_space.sweep_reader import SweepReader

__all__ = ["Metric", "Sweep", "read_sweep"]


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    Args:
        path: the file, in YAML.

    Raises:
        ConfigError: the file cannot be read, is no YAML of reasonable size, or has mistakes; the error has all.
    """
    path = Path(path)
    text = _text_of(path)
    try:
        values, lines, unquoted = parse_yaml(text), lines_of_yaml(text), unquoted_texts(text)
    except YamlError as error:
        raise ConfigError(*_yaml_problems(path, text, error)) from error
    if not isinstance(values, Mapping) or not values:
        found = "nothing" if not values else type(values).__name__
        raise ConfigError(f"{path}: found {found}, expected a mapping with method, metric and parameters")
    return SweepReader(path, values, lines, unquoted).sweep()


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: there is no such file; give a sweep file in YAML, see docs/sweeps.md")
        with path.open("rb") as file:
            content = file.read(4 * MAX_CHARACTERS + 1)
        return content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a sweep file in YAML, in UTF-8") from error


def _yaml_problems(path: Path, text: str, error: YamlError) -> list[str]:
    """Return why a text is no YAML: all keys that occur twice, or the first place that cannot be read."""
    if "twice in one mapping" in str(error):
        return [f"{path}:{line}: {problem}" for problem, line in repeated_keys(text)]
    return [f"{path}:{error.line}: {error}" if error.line else f"{path}: {error}; correct the file"]
