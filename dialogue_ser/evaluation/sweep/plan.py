"""What a sweep is to do: the file, the options of the command, and the configuration of each trial."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.evaluation.sweep.objective import Objective, check_metric, objective_of
from dialogue_ser.foreign_text.yaml_text import parse_yaml
from dialogue_ser.search_space.draw import draw
from dialogue_ser.search_space.grid import grid_points, size
from dialogue_ser.search_space.laws import MOST_GRID_VALUES
from dialogue_ser.search_space.shapes import leaves
from dialogue_ser.search_space.sweep_file import Sweep
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.record.environment import FREE_SETTINGS
from dialogue_ser.trust import Trust, refuse_code

Sampler = Literal["gp", "tpe"]
FORMAT = 1
#: Settings of so many trials are checked before the first one begins.
_CHECKED = 3
_LABELS = ("name", "description")
_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one trial trains.

    Args:
        config: its configuration.
        is_crossval: whether it is a cross-validation.
    """

    config: RunConfig
    is_crossval: bool


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What a sweep is to do.

    Args:
        sweep: the content of the file.
        settings_of: function from the values of a trial to what it trains.
        seeds: number of seeds of every trial.
        trials: number of trials of the whole sweep; None = as many as the file says.
        sampler: what chooses the trials of the method bayes.
        trust_code: code that the file may name.
    """

    sweep: Sweep
    settings_of: Callable[[Mapping[str, Any]], Settings]
    seeds: int = 1
    trials: int | None = None
    sampler: Sampler = "gp"
    trust_code: Trust = False

    @property
    def name(self) -> str:
        """Name of the sweep: that of the file's key ``name``, or of the file."""
        return name_of(self.sweep)

    @cached_property
    def objective(self) -> Objective:
        """The metric."""
        return objective_of(self.sweep)

    @property
    def seed(self) -> int:
        """Seed of all draws. It follows from the file, so the same file always draws the same trials."""
        return int(self.sweep.fingerprint[:8], 16)

    @cached_property
    def points(self) -> list[dict[str, Any]] | None:
        """The points of a grid in their order; None if the method is another one."""
        return list(grid_points(self.sweep.parameters)) if self.sweep.method == "grid" else None

    @property
    def limit(self) -> float:
        """Number of trials of the whole sweep; infinite if nothing limits it."""
        limits = (self.trials, self.sweep.run_cap, None if self.points is None else len(self.points))
        return min((float(one) for one in limits if one is not None), default=float("inf"))

    def values_of(self, number: int) -> dict[str, Any]:
        """Return the values of a trial of grid or random."""
        if self.points is not None:
            return self.points[number]
        return draw(self.sweep.parameters, self.seed, number)

    def record(self) -> dict[str, Any]:
        """Return what describes the sweep in its storage. A later call with other content is refused."""
        return {
            "format": FORMAT,
            "name": self.name,
            "fingerprint": self.sweep.fingerprint,
            "file": content_of(self.sweep),
            "seeds": self.seeds,
            "sampler": self.sampler if self.sweep.method == "bayes" else "",
            "settings": self._base_settings(),
        }

    def _base_settings(self) -> dict[str, Any]:
        """Return all settings that no parameter sets: those of the first trial without its values."""
        values = self.values_of(0) if self.limit else {}
        try:
            settings = config_to_dict(self.settings_of(values).config)
        except DialogueSerError:
            return {}
        for name in [*FREE_SETTINGS, *(".".join(path) for path in leaves(self.sweep.parameters))]:
            inside, last = _holder(settings, name)
            inside.pop(last, None)
        return settings

    def warnings(self) -> list[str]:
        """Return what works, but is perhaps not meant."""
        found = []
        if self.limit == float("inf"):
            found.append("nothing limits the number of trials; Ctrl-C ends the sweep, or add --trials N")
        if self.trials is not None and self.limit < self.trials:
            found.append(f"--trials {self.trials}: the file allows {self.limit:.0f} trials, so there are no more")
        return found

    def check(self) -> None:
        """Check the file, the options and the settings of the first trials, before anything is trained.

        Raises:
            ConfigError: something is wrong; the error has every problem.
        """
        objective = self.objective
        problems = self._option_problems()
        if problems:
            raise ConfigError(*problems)
        first: dict[str, str] = {}  # problem → the first values that have it
        for values in self._samples():
            try:
                settings = self.settings_of(values)
            except DialogueSerError as error:
                shown = json.dumps(values, ensure_ascii=False, default=str)
                for problem in error.problems:
                    first.setdefault(problem, shown)
                continue
            config = settings.config
            advice = f"{self.sweep.path}: if you trust this code, add --trust_code"
            code = code_in_settings(config_to_dict(config), f"{self.sweep.path}: ")
            refuse_code(code, self.trust_code, advice)
            check_metric(objective, config, self.sweep.at("metric", "name"), is_crossval=settings.is_crossval)
            problems += self._stopping_problems(settings)
        problems += [f"{self.sweep.path}: {problem} (with {shown})" for problem, shown in first.items()]
        if problems:
            raise ConfigError(*dict.fromkeys(problems))

    def _option_problems(self) -> list[str]:
        problems = []
        if self.seeds < 1:
            problems.append(f"--seeds {self.seeds}: expected at least 1")
        if self.trials is not None and self.trials < 1:
            problems.append(f"--trials {self.trials}: expected at least 1")
        if self.seeds > 1 and "seed" in self.sweep.parameters:
            problems.append(f"{self.sweep.at('parameters', 'seed')}: --seeds sets the seeds; leave one of them out")
        if self.sweep.method == "grid" and size(self.sweep.parameters) > MOST_GRID_VALUES:
            problems.append(
                f"{self.sweep.at('parameters')}: the grid has {size(self.sweep.parameters):,} points, at most "
                f"{MOST_GRID_VALUES:,} can be done; use the method random"
            )
        return problems

    def _stopping_problems(self, settings: Settings) -> list[str]:
        if self.sweep.early_terminate is None:
            return []
        where = self.sweep.at("early_terminate")
        if settings.is_crossval:
            return [f"{where}: a cross-validation has no epochs of its own; leave early_terminate out"]
        if settings.config.training.ensemble > 1:
            return [f"{where}: an ensemble has no epochs of its own; leave early_terminate or training.ensemble out"]
        return []

    def _samples(self) -> Iterator[dict[str, Any]]:
        """Yield the values of the first trials. ``sweep check`` tries the ends of all parameters."""
        yield from (self.values_of(number) for number in range(int(min(self.limit, _CHECKED))))


def name_of(sweep: Sweep) -> str:
    """Return the name of a sweep as the name of a folder.

    Raises:
        ConfigError: no letter of it can stand in the name of a folder.
    """
    name = sweep.name or sweep.path.stem
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name).strip(".-")[:100]
    if not kept:
        raise ConfigError(f"{sweep.at('name')}: found {name!r}, expected a name with letters, e.g. {sweep.path.stem}")
    return kept


def content_of(sweep: Sweep) -> dict[str, Any]:
    """Return the content of the file as plain values, without what only labels it."""
    values = parse_yaml(sweep.path.read_text(encoding="utf-8-sig"))
    return {key: value for key, value in json.loads(json.dumps(values)).items() if key not in _LABELS}


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between the description of a sweep in its storage and the one of this call.

    >>> changes({"seeds": 1, "file": {"method": "grid"}}, {"seeds": 2, "file": {"method": "grid"}})
    ['--seeds: 1, now 2']
    """
    named = {"seeds": "--seeds", "sampler": "--sampler"}
    found = [
        f"{flag}: {before.get(key)}, now {now.get(key)}"
        for key, flag in named.items()
        if before.get(key) != now.get(key)
    ]
    for section in ("file", "settings"):
        old, new = _flat(before.get(section) or {}), _flat(now.get(section) or {})
        if section == "settings" and (found or not (old and new)):  # they follow from the file
            continue
        found += [
            f"{name}: {_difference(old.get(name, _ABSENT), new.get(name, _ABSENT))}"
            for name in dict.fromkeys([*old, *new])
            if _text(old.get(name, _ABSENT)) != _text(new.get(name, _ABSENT))
        ]
    return found


def _difference(old: Any, new: Any) -> str:
    """Say how a value has changed; of two lists, which items."""
    if isinstance(old, list) and isinstance(new, list):
        before, now = list(map(_text, old)), list(map(_text, new))
        parts = [
            f"{word} {', '.join(items)}"
            for word, items in (
                ("without", [item for item in before if item not in now]),
                ("with", [item for item in now if item not in before]),
            )
            if items
        ]
        return f"now {' and '.join(parts)}" if parts else "now in another order"
    return f"{_text(old)}, now {_text(new)}"


def _text(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(value, ensure_ascii=False)


def _flat(values: Any, above: str = "") -> dict[str, Any]:
    if isinstance(values, Mapping) and (values or not above):
        return {key: one for name, inner in values.items() for key, one in _flat(inner, f"{above}{name}.").items()}
    return {above.removesuffix("."): values}


def _holder(settings: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """Return the mapping that holds a setting with dots, and the last part of its name; an empty one if none does."""
    *parents, last = name.split(".")
    inside: Any = settings
    for part in parents:
        inside = inside.get(part) if isinstance(inside, dict) else None
    return (inside if isinstance(inside, dict) else {}), last
