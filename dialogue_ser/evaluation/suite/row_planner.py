"""The configurations of a suite's rows: its base with the settings of the suite, the encoder and the system."""

from collections.abc import Callable, Mapping
from typing import Any

from dialogue_ser.errors import ConfigError, DialogueSerError, unknown_name
from dialogue_ser.evaluation.suite.rows import Row
from dialogue_ser.evaluation.suite.suite_file import BASE, ENCODERS, Suite
from dialogue_ser.training.config.files import config_from_dict, config_to_dict, load_record
from dialogue_ser.training.config.overrides import apply_overrides, merge
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.corpus import for_every_fold


class RowPlanner:
    """Makes the configurations of the rows and collects the problems, each with its line.

    Args:
        suite: the suite.
        problems: gets the problems.
    """

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
                    ("systems", system, ENCODERS, encoder): suite.with_encoder.get(system, {}).get(encoder, {}),
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
                config = self.changed(config, {key: value for key, value in layer.items() if key != BASE}, at)
        if config is None:
            return None
        if suite.protocol == "crossval":
            return for_every_fold(config)
        return self.changed(config, {"training.protocol": suite.protocol}, ("protocol",))

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
            return load_preset(name, trust_code=True)  # the plan judges the code of all rows
        if file.suffix in (".yaml", ".yml") or file.is_file():
            return load_record(file)
        raise ConfigError(f"{unknown_name('preset', name, preset_names())}; a configuration file ends in .yaml")

    def check(self) -> None:
        """Check that there was no problem.

        Raises:
            ConfigError: there was one; the error has all of them.
        """
        if self._problems:
            raise ConfigError(*dict.fromkeys(self._problems))

    def changed(self, config: RunConfig, settings: Mapping[str, Any], place: tuple[str, ...]) -> RunConfig | None:
        """Return the configuration with some settings. A mapping without dots in its key is merged as in a file.

        Args:
            config: the configuration.
            settings: what changes.
            place: their place in the suite, for messages.

        Returns:
            None after a problem.
        """
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
