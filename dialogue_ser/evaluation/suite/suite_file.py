"""Read SUITE.yaml: the systems, encoders and seeds to compare. One error names every problem, with its line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from dialogue_ser.errors import ConfigError, shown_value, unknown_name
from dialogue_ser.foreign_text.yaml_text import YamlError, lines_of_yaml, parse_yaml

#: How the scores are made. dev: the epoch is chosen on dev. legacy-test-peek: also the epoch that test would choose is
#: scored. crossval: every run is a cross-validation.
SuiteProtocol = Literal["dev", "legacy-test-peek", "crossval"]
_PROTOCOLS: tuple[str, ...] = get_args(SuiteProtocol)
KEYS = (
    "name", "description", "base", "settings", "seeds", "systems", "encoders", "protocol", "reference", "metrics",
    "split",
)  # fmt: skip
#: Key of a system or encoder that names another base.
BASE = "base"
_MOST_LABEL = 60


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The content of a suite file.

    Args:
        path: the file, for messages and for the bases that it names.
        name: name of the suite.
        description: one sentence about it; may be empty.
        base: preset or configuration file that all runs begin with; "" = each system or encoder names its own.
        settings: settings of all runs, setting with dots → value.
        seeds: seeds of every system.
        systems: label → its settings.
        encoders: label → its settings; empty = the features are those of the base.
        protocol: how the scores are made.
        reference: label of the system that the others are compared with; "" = none.
        metrics: further metrics of the table.
        split: split that is reported.
        lines: place in the file → line.
    """

    path: Path
    name: str
    description: str = ""
    base: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = (1,)
    systems: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    encoders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    protocol: SuiteProtocol = "dev"
    reference: str = ""
    metrics: tuple[str, ...] = ()
    split: str = "test"
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def at(self, *place: str) -> str:
        """Return a place for a message, ``FILE:LINE: systems.erc``."""
        return place_text(self.path, self.lines, place)


def place_text(path: Path, lines: Mapping[tuple[str, ...], int], place: Sequence[str]) -> str:
    """Return a place in a file for a message. The line is that of the innermost part that stands in the file."""
    known = [lines[tuple(place[:n])] for n in range(len(place), 0, -1) if tuple(place[:n]) in lines]
    return f"{path}:{known[0]}: {'.'.join(place)}" if known else f"{path}: {'.'.join(place)}"


def read_suite(path: Path) -> tuple[Suite, list[str]]:
    """Read a suite file.

    Args:
        path: the file.

    Returns:
        the suite with all that could be read, and every problem of its form. The settings are not checked here.

    Raises:
        ConfigError: the file cannot be read, is not YAML, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values, lines = parse_yaml(text), lines_of_yaml(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a suite in YAML, see docs/benchmark.md") from error
    except YamlError as error:
        raise ConfigError(f"{path}: {error}; correct the file") from error
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}: found {type(values).__name__}, expected a mapping with name, base and systems")
    return _Reader(path, values, lines).suite()


class _Reader:
    """Reads the values of one file and collects the problems."""

    def __init__(self, path: Path, values: Mapping[str, Any], lines: Mapping[tuple[str, ...], int]) -> None:
        self._path, self._values, self._lines = path, values, lines
        self._problems: list[str] = []

    def suite(self) -> tuple[Suite, list[str]]:
        """Return the suite and the problems."""
        for key in self._values:
            if key not in KEYS:
                self._problem((str(key),), unknown_name("key", str(key), KEYS))
        systems = self._labelled("systems")
        if not systems and not self._problems:
            self._problem(("systems",), "there is no system; write at least one, e.g. systems: {erc: {model.name: "
                                        "emotion-rnn}}")  # fmt: skip
        suite = Suite(
            path=self._path,
            name=self._text("name", self._path.stem),
            description=self._text("description"),
            base=self._text("base"),
            settings=self._mapping(("settings",), self._values.get("settings")),
            seeds=self._seeds(),
            systems=systems,
            encoders=self._labelled("encoders"),
            protocol=self._choice("protocol", _PROTOCOLS, "dev"),
            reference=self._text("reference"),
            metrics=self._texts("metrics"),
            split=self._text("split", "test"),
            lines=self._lines,
        )
        return suite, self._problems

    def _problem(self, place: Sequence[str], problem: str) -> None:
        self._problems.append(f"{place_text(self._path, self._lines, place)}: {problem}")

    def _text(self, key: str, default: str = "") -> str:
        value = self._values.get(key)
        if value is None:
            return default
        if not isinstance(value, str) or not value.strip():
            self._problem((key,), f"found {shown_value(value)}, expected text (in quotes if it looks like a number)")
            return default
        if key == "name" and ("/" in value or "\\" in value or value in (".", "..") or len(value) > _MOST_LABEL):
            self._problem((key,), f"found {shown_value(value)}, expected the name of a folder, without slashes")
        return value

    def _texts(self, key: str) -> tuple[str, ...]:
        value = self._values.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._problem((key,), f"found {shown_value(value)}, expected a list of names such as [macro_f1]")
            return ()
        return tuple(value)

    def _choice(self, key: str, known: Sequence[str], default: str) -> Any:
        value = self._values.get(key, default)
        if value not in known:
            self._problem((key,), unknown_name(key, str(value), known))
            return default
        return value

    def _seeds(self) -> tuple[int, ...]:
        value = self._values.get("seeds", [1])
        is_list = isinstance(value, list) and bool(value)
        if not is_list or any(isinstance(seed, bool) or not isinstance(seed, int) or seed < 0 for seed in value):
            self._problem(("seeds",), f"found {shown_value(value)}, expected a list of whole numbers such as [1, 2, 3]")
            return (1,)
        repeated = sorted({seed for seed in value if value.count(seed) > 1})
        if repeated:
            self._problem(("seeds",), f"{', '.join(map(str, repeated))} occurs twice; write every seed once")
        return tuple(dict.fromkeys(value))

    def _labelled(self, section: str) -> dict[str, Mapping[str, Any]]:
        """Return label → settings of a section."""
        found: dict[str, Mapping[str, Any]] = {}
        for label, settings in self._mapping((section,), self._values.get(section)).items():
            problem = _label_problem(label)
            if problem:
                self._problem((section, label), problem)
            if isinstance(settings, str):  # bigru: bigru
                settings = {"model.name" if section == "systems" else BASE: settings}
            found[label] = self._mapping((section, label), settings)
        return found

    def _mapping(self, place: tuple[str, ...], value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            example = "{model.name: bigru}" if len(place) > 1 else "{label: {model.name: bigru}}"
            self._problem(place, f"found {shown_value(value)}, expected a mapping such as {example}")
            return {}
        return {str(key): item for key, item in value.items()}


def _label_problem(label: str) -> str:
    """Return what is wrong with a label, or ""; it is a part of the name of a folder."""
    is_name = label.isprintable() and not set(label) & set("/\\:·") and label.strip(" .") == label
    if label and is_name and len(label) <= _MOST_LABEL:
        return ""
    return f"the label may have at most {_MOST_LABEL} letters, without slash, backslash, colon or dot at its ends"
