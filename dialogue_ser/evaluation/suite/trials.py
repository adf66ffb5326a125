"""The trials of a tuned suite: configurations whose settings are drawn, checked before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.draws import Tuning
from dialogue_ser.evaluation.suite.row_planner import RowPlanner
from dialogue_ser.evaluation.suite.rows import Row, Trial, model_problems
from dialogue_ser.evaluation.suite.suite_file import PARAMETERS, Suite
from dialogue_ser.models import find_model
from dialogue_ser.search_space.shapes import Shape

_OPTION = "model.options."
#: Settings, and sections of settings, that say what is compared. Tuning may not draw them.
_FIXED = (
    "seed", "name", "task", "data", "metrics", "wandb", "crossval", "training", "training.protocol", "training.select",
    "training.device",
)  # fmt: skip
_FIXED_SECTIONS = ("data.", "wandb.", "crossval.")


def with_trials(suite: Suite, rows: Sequence[Row], planner: RowPlanner) -> list[Row]:
    """Return the rows with their trials. The first trial of a row has its settings as they stand.

    A parameter of all systems that is an option of the model is left out for a system that has no such option.

    Args:
        suite: a suite with ``tuning``.
        rows: its rows. The code that they name is trusted.
        planner: makes the configurations.

    Raises:
        ConfigError: the protocol has no dev split, no system has a parameter, or a value cannot be set.
    """
    tuning = suite.tuning
    if tuning is None:
        return list(rows)
    problems: list[str] = []
    if suite.protocol == "crossval":
        problems.append(
            f"{suite.at('tuning')}: dev chooses the settings, and crossval has no dev; leave one of them out"
        )
    problems += _fixed_problems(suite, tuning)
    problems += [
        f"{suite.at('tuning', PARAMETERS, name)}: no system has this option; correct its name"
        for name in tuning.parameters
        if all(_lacks(row, name) for row in rows)
    ]
    if problems:
        raise ConfigError(*problems)
    found = [replace(row, trials=tuple(_trials(suite, tuning, row, planner))) for row in rows]
    planner.check()
    return found


def _fixed_problems(suite: Suite, tuning: Tuning) -> list[str]:
    """Return the parameters that may not be drawn, because the scores on dev could not be compared."""
    places: dict[tuple[str, ...], Mapping[str, Shape]] = {("tuning", PARAMETERS): tuning.parameters}
    places |= {("systems", label, PARAMETERS): found for label, found in tuning.own.items()}
    return [
        f"{suite.at(*place, name)}: must be equal in all trials, so that their scores on dev can be compared; set "
        "it in settings or in a system"
        for place, found in places.items()
        for name in found
        if name in _FIXED or name.startswith(_FIXED_SECTIONS)
    ]


def check_trials(suite: Suite, rows: Sequence[Row]) -> None:
    """Check the options of the models of all trials.

    Raises:
        ConfigError: an option is unknown or has a wrong value.
    """
    problems = []
    for row in rows:
        for trial in row.trials:
            found = model_problems(suite, replace(row, config=trial.config))
            problems += [f"{problem} (trial {trial.number} draws {_shown(trial.drawn)})" for problem in found]
    if problems:
        raise ConfigError(*dict.fromkeys(problems))


def _trials(suite: Suite, tuning: Tuning, row: Row, planner: RowPlanner) -> list[Trial]:
    own = tuning.own.get(row.system, {})
    parameters = {name: one for name, one in tuning.of(row.system).items() if name in own or not _lacks(row, name)}
    plain = replace(row.config, seed=tuning.seed, training=replace(row.config.training, protocol="dev"))
    trials = []
    for number in range(1, tuning.trials + 1):
        drawn = {name: tuning.draw(name, one, number) for name, one in parameters.items()} if number > 1 else {}
        config = _with_drawn(planner, row, plain, drawn, own)
        if config is None:
            break
        trials.append(Trial(number=number, drawn=drawn, config=config))
    return trials


def _with_drawn(planner: RowPlanner, row: Row, plain: Any, drawn: Mapping[str, Any], own: Mapping[str, Shape]) -> Any:
    """Return the configuration with drawn values; None after a problem, which gets the place of its parameter."""
    shared = {name: value for name, value in drawn.items() if name not in own}
    rest = {name: value for name, value in drawn.items() if name in own}
    config = planner.changed(plain, shared, ("tuning", PARAMETERS))
    return None if config is None else planner.changed(config, rest, ("systems", row.system, PARAMETERS))


def _lacks(row: Row, name: str) -> bool:
    """Return whether a setting is an option of the model that the model of a row does not have."""
    if not name.startswith(_OPTION):
        return False
    option = name.removeprefix(_OPTION).partition(".")[0]
    return option not in {field.name for field in fields(find_model(row.config.model.name).Config)}


def _shown(drawn: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in drawn.items()) or "nothing"
