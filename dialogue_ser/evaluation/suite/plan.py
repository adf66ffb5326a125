"""The runs of a suite: one configuration and one folder for each system, encoder and seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.evaluation.suite.rows import (
    Row,
    metric_problems,
    model_problems,
    name_problems,
    reference_problems,
    refuse_named_code,
)
from dialogue_ser.evaluation.suite.suite_file import BASE, Suite, SuiteProtocol, read_suite
from dialogue_ser.many.jobs import fingerprint_of
from dialogue_ser.training.config.files import code_in_settings, config_from_dict, config_to_dict, load_record
from dialogue_ser.training.config.overrides import apply_overrides, merge
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import for_every_fold
from dialogue_ser.training.record.environment import settings_checksum
from dialogue_ser.trust import Trust, source_hashes


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One run of a suite.

    Args:
        row: its row in the table.
        seed: its seed.
        config: its configuration.
        fingerprint: hash of everything in the configuration, and in the code that it names, that changes results.
        folder: its run directory.
    """

    row: Row
    seed: int
    config: RunConfig
    fingerprint: str
    folder: Path

    @property
    def key(self) -> str:
        """Its name, e.g. ``bigru/minilm/seed1``."""
        return "/".join(part for part in (self.row.system, self.row.encoder, f"seed{self.seed}") if part)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All runs of a suite.

    Args:
        suite: the suite.
        rows: the rows of the table, in the order of the file.
    """

    suite: Suite
    rows: tuple[Row, ...]

    def cells(self, out: Path) -> list[Cell]:
        """Return the runs, in the order in which they begin: the first seed of every row comes first.

        A run directory has the hash of its settings in its name. A suite whose settings change gets new runs, and those
        of its other rows stay.

        Args:
            out: folder of the suite.
        """
        found = []
        for seed in self.suite.seeds:
            for row in self.rows:
                config = replace(row.config, seed=seed, name=f"{row.system}-seed{seed}")
                code = sorted({one.name for one in code_in_settings(config_to_dict(config))})
                fingerprint = fingerprint_of(
                    {
                        "settings": settings_checksum(config),
                        "crossval": self.suite.protocol == "crossval",
                        **({"code": source_hashes(code)} if code else {}),
                    }
                )
                parts = [part for part in (row.system, row.encoder) if part]
                folder = out.joinpath("runs", *parts, f"seed{seed}-{fingerprint[:8]}")
                found.append(Cell(row=row, seed=seed, config=config, fingerprint=fingerprint, folder=folder))
        return found

    def reference_of(self, row: Row) -> Row | None:
        """Return the row that a row is compared with: the reference with the same encoder. None for the reference."""
        name = self.suite.reference
        if not name:
            return None
        exact = [one for one in self.rows if one.label == name]
        same_encoder = [one for one in self.rows if one.system == name and one.encoder == row.encoder]
        found = (exact or same_encoder)[0]
        return None if found is row else found


def read_plan(
    path: Path,
    *,
    systems: Mapping[str, str] | None = None,
    seeds: Sequence[int] | None = None,
    protocol: SuiteProtocol | None = None,
    trust_code: Trust = False,
) -> Plan:
    """Read a suite file and make its configurations.

    Args:
        path: the file.
        systems: further systems by flags: label → name of a model, e.g. ``package.module:Class``.
        seeds: seeds that replace those of the file.
        protocol: protocol that replaces the one of the file.
        trust_code: code that the file may name, see :mod:`~dialogue_ser.trust`.

    Raises:
        ConfigError: the file is wrong, or names code that is not trusted. The error has every problem with its line.
    """
    suite, problems = read_suite(path)
    if seeds is not None and (not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds)):
        problems.append(f"--seeds: found {list(seeds)}, expected different whole numbers of at least 0, e.g. [1, 2]")
    suite = replace(
        suite,
        seeds=tuple(seeds or suite.seeds),
        systems={**suite.systems, **{label: {"model.name": name} for label, name in (systems or {}).items()}},
        protocol=protocol or suite.protocol,
    )
    rows = _Planner(suite, problems).rows()
    problems += reference_problems(suite, rows)
    problems += metric_problems(suite) if not problems else []
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    refuse_named_code(suite, rows, trust_code)
    problems += [problem for row in rows for problem in name_problems(suite, row) + model_problems(suite, row)]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    return Plan(suite=suite, rows=tuple(rows))


class _Planner:
    """Makes the configurations of the rows and collects the problems."""

    def __init__(self, suite: Suite, problems: list[str]) -> None:
        self._suite, self._problems = suite, problems
        self._bases: dict[tuple[str, ...], RunConfig | None] = {}

    def rows(self) -> list[Row]:
        """Return the rows whose configuration could be made."""
        suite, found = self._suite, []
        for system, settings in suite.systems.items():
            encoders: Mapping[str, Mapping[str, Any]] = suite.encoders or {"": {}}
            for encoder, inputs in encoders.items():
                places: dict[tuple[str, ...], Mapping[str, Any]] = {
                    ("encoders", encoder): inputs,
                    ("systems", system): settings,
                }
                config = self._config({place: one for place, one in places.items() if place[1]})
                if config is not None:
                    found.append(Row(system=system, encoder=encoder, config=config))
        return found

    def _config(self, layers: Mapping[tuple[str, ...], Mapping[str, Any]]) -> RunConfig | None:
        """Return the base with the settings of the suite, the encoder and the system; None after a problem."""
        suite = self._suite
        named = [(place, layer[BASE]) for place, layer in layers.items() if BASE in layer]
        if len(named) > 1:
            self._problems.append(f"{suite.at(*named[1][0], BASE)}: its encoder names a base, too; keep one of them")
            return None
        place, name = ((*named[0][0], BASE), named[0][1]) if named else (("base",), suite.base)
        if not name and not suite.base:
            self._problems.append(
                f"{suite.at('base')}: there is no base; name a preset ('dialogue-ser presets' lists them) or a "
                "configuration file"
            )
            return None
        config = self._base(place, name)
        below: dict[tuple[str, ...], Mapping[str, Any]] = {("settings",): suite.settings, **layers}
        for at, layer in below.items():
            if config is not None:
                config = self._changed(config, {key: value for key, value in layer.items() if key != BASE}, at)
        if config is None:
            return None
        if suite.protocol == "crossval":
            return for_every_fold(config)
        protocol = {"training.protocol": suite.protocol}
        return config if suite.protocol == "dev" else self._changed(config, protocol, ("protocol",))

    def _base(self, place: tuple[str, ...], name: Any) -> RunConfig | None:
        """Return the configuration of a preset or a file. A path is relative to the folder of the suite."""
        key = (*place, str(name))
        if key not in self._bases:
            self._bases[key] = self._catch(place, lambda: self._load(name))
        return self._bases[key]

    def _load(self, name: Any) -> RunConfig:
        if not isinstance(name, str):
            raise ConfigError(f"found {name!r}, expected the name of a preset, or of a configuration file")
        file = self._suite.path.parent / name
        if name in preset_names():
            return load_preset(name)
        if file.suffix in (".yaml", ".yml") or file.is_file():
            return load_record(file)
        raise ConfigError(f"{unknown_name('preset', name, preset_names())}; a configuration file ends in .yaml")

    def _changed(self, config: RunConfig, settings: Mapping[str, Any], place: tuple[str, ...]) -> RunConfig | None:
        """Return the configuration with some settings. A mapping without dots in its key is merged as in a file."""
        nested = {key: value for key, value in settings.items() if "." not in key and isinstance(value, Mapping)}
        removed = {
            f"features.{modality}": None
            for modality, feature in (nested.get("features") or {}).items()
            if feature is None
        }
        if removed:
            kept = {modality: feature for modality, feature in nested["features"].items() if feature is not None}
            nested = {**nested, "features": kept}
        single = {key: value for key, value in settings.items() if key not in nested} | removed

        def change() -> RunConfig:
            below = config_from_dict(merge(config_to_dict(config), nested), "override") if nested else config
            return apply_overrides(below, single)

        return self._catch(place, change, settings)

    def _catch(
        self, place: tuple[str, ...], make: Callable[[], RunConfig], settings: Mapping[str, Any] | None = None
    ) -> RunConfig | None:
        """Return what a function makes; note its problems with their place."""
        try:
            return make()
        except DialogueSerError as error:
            for problem in error.problems:
                text = problem.removeprefix("override: ").removeprefix("override ")
                inner = _mentioned(text, settings or {})
                self._problems.append(f"{self._suite.at(*place, *inner)}: {text}")
            return None


def _mentioned(problem: str, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the setting of a layer that a problem is about, as a part of a place; () if that is not clear."""
    named = problem.partition(":")[0].strip("'\" ")
    fitting = [key for key in settings if named == key or named.startswith(f"{key}.") or key.startswith(f"{named}.")]
    return (max(fitting, key=len),) if fitting else ()
