"""Read SUITE.yaml: the systems, encoders and seeds to compare. One error names every problem, with its line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from dialogue_ser.errors import ConfigError, shown_value, unknown_name
from dialogue_ser.evaluation.suite.draws import Tuning
from dialogue_ser.evaluation.suite.labels import MOST_LETTERS, equal_labels, label_problem
from dialogue_ser.foreign_text.yaml_text import YamlError, lines_of_yaml, parse_yaml, place_text
from dialogue_ser.search_space.parameters import parameter_of
from dialogue_ser.search_space.shapes import Shape

#: How the scores are made. dev: the epoch is chosen on dev. legacy-test-peek: also the epoch that test would choose is
#: scored. crossval: every run is a cross-validation.
SuiteProtocol = Literal["dev", "legacy-test-peek", "crossval"]
_PROTOCOLS: tuple[str, ...] = get_args(SuiteProtocol)
KEYS = (
    "name", "description", "base", "settings", "seeds", "systems", "encoders", "protocol", "reference", "metrics",
    "split", "tuning",
)  # fmt: skip
#: Key of a system or encoder that names another base.
BASE = "base"
#: Keys of a system: parameters that tuning draws for it, and its settings with single encoders.
PARAMETERS, ENCODERS = "parameters", "encoders"
_MOST_TRIALS = 1000
TUNING_KEYS = ("trials", "seed", PARAMETERS)


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
        with_encoder: label of a system → label of an encoder → settings of this system with this encoder.
        tuning: how settings of the systems are chosen on dev; None = they are not.
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
    with_encoder: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    tuning: Tuning | None = None
    protocol: SuiteProtocol = "dev"
    reference: str = ""
    metrics: tuple[str, ...] = ()
    split: str = "test"
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def at(self, *place: str) -> str:
        """Return a place for a message, ``FILE:LINE: systems.erc``."""
        return place_text(self.path, self.lines, place)


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
        encoders, systems = self._labelled("encoders"), self._labelled("systems")
        with_encoder = {label: self._with_encoder(label, one, encoders) for label, one in systems.items()}
        tuning = self._tuning(systems)
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
            systems={
                label: {key: value for key, value in one.items() if key not in (PARAMETERS, ENCODERS)}
                for label, one in systems.items()
            },
            encoders=encoders,
            with_encoder={label: found for label, found in with_encoder.items() if found},
            tuning=tuning,
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
        is_folder = value.isprintable() and not set(value) & set("/\\") and value not in (".", "..")
        if key == "name" and not (is_folder and len(value) <= MOST_LETTERS):
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
            problem = label_problem(label)
            if problem:
                self._problem((section, label), problem)
            if isinstance(settings, str):  # bigru: bigru
                settings = {"model.name" if section == "systems" else BASE: settings}
            found[label] = self._mapping((section, label), settings)
        for label, earlier in equal_labels(found):
            self._problem(
                (section, label),
                f"there is {earlier!r} already, and some file systems do not tell them apart; rename one",
            )
        return found

    def _with_encoder(
        self, label: str, settings: Mapping[str, Any], encoders: Mapping[str, Any]
    ) -> dict[str, Mapping[str, Any]]:
        """Return the settings of a system with single encoders: encoder → settings."""
        place = ("systems", label, ENCODERS)
        found = self._mapping(place, settings.get(ENCODERS))
        for encoder in found:
            if encoder not in encoders:
                self._problem((*place, encoder), unknown_name("encoder", encoder, encoders))
        return {encoder: self._mapping((*place, encoder), one) for encoder, one in found.items()}

    def _tuning(self, systems: Mapping[str, Mapping[str, Any]]) -> Tuning | None:
        """Return what is tuned, with the parameters of all systems and of single ones."""
        if self._values.get("tuning") is None:
            for label, settings in systems.items():
                if PARAMETERS in settings:
                    problem = "parameters are drawn by tuning; add to the suite, e.g. tuning: {trials: 8}"
                    self._problem(("systems", label, PARAMETERS), problem)
            return None
        values = self._mapping(("tuning",), self._values["tuning"])
        for key in values:
            if key not in TUNING_KEYS:
                self._problem(("tuning", key), unknown_name("key", key, TUNING_KEYS))
        own = {
            label: self._parameters(("systems", label, PARAMETERS), settings.get(PARAMETERS))
            for label, settings in systems.items()
        }
        tuning = Tuning(
            trials=self._number(("tuning", "trials"), values.get("trials"), 1, 8),
            seed=self._number(("tuning", "seed"), values.get("seed"), 0, None),
            parameters=self._parameters(("tuning", PARAMETERS), values.get(PARAMETERS)),
            own={label: found for label, found in own.items() if found},
        )
        if not tuning.parameters and not tuning.own and not self._problems:
            example = "{optimizer.learning_rate: {values: [0.0003, 0.001]}}"
            self._problem(("tuning",), f"there is nothing to tune; write at least one parameter, e.g. {example}")
        return tuning

    def _number(self, place: tuple[str, ...], value: Any, least: int, default: int | None) -> int:
        """Return a whole number. Without a value it is the default, or the first seed if there is no default."""
        if value is None and default is None:
            return self._seeds()[0]
        if value is None:
            value = default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self._problem(place, f"found {shown_value(value)}, expected a whole number of at least {least}")
            return least
        if place[-1] == "trials" and value > _MOST_TRIALS:
            self._problem(place, f"found {shown_value(value)}, expected at most {_MOST_TRIALS:,} trials")
            return least
        return value

    def _parameters(self, place: tuple[str, ...], value: Any) -> dict[str, Shape]:
        found = {}
        for name, text in self._mapping(place, value).items():
            try:
                found[name] = parameter_of(text)
            except ConfigError as error:
                for problem in error.problems:
                    self._problem((*place, name), problem)
        return found

    def _mapping(self, place: tuple[str, ...], value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            example = "{model.name: bigru}" if len(place) > 1 else "{label: {model.name: bigru}}"
            self._problem(place, f"found {shown_value(value)}, expected a mapping such as {example}")
            return {}
        names = [str(key) for key in value]
        if None in value:
            self._problem(place, "a key is empty (null); write a name, in quotes if it is null or ~")
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._problem((*place, name), "occurs twice, as a number and as text; keep one")
        return {str(key): item for key, item in value.items() if key is not None}
