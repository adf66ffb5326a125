"""Check the settings of a sweep's trials against the library: names, values, the model and the metric."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from dialogue_ser.cli.commands.sweeps.trial_command import command_problems, trial_request
from dialogue_ser.corpus.readers import READERS
from dialogue_ser.errors import ConfigError, DialogueSerError, shown_value
from dialogue_ser.evaluation.sweep.objective import Objective, check_metric, goal_warning, objective_of
from dialogue_ser.features.registry import ENCODERS
from dialogue_ser.features.transforms import build_transform
from dialogue_ser.options import option_problems
from dialogue_ser.search_space.draw import share_of
from dialogue_ser.search_space.grid import nested
from dialogue_ser.search_space.shapes import Beta, Normal, Shape, leaves
from dialogue_ser.search_space.sweep import Sweep
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.trust import Trust, only_code, refuse_code

Path = tuple[str, ...]
#: So many trials, and so many values of one list, are checked.
_TRIALS, _LISTED = 3, 40
_ALMOST_ONE = 1.0 - 2.0**-53
_MOST_PROBLEMS = 40


def trial_problems(sweep: Sweep, trust_code: Trust = False) -> list[str]:
    """Return what is wrong with the settings of trials, each with its line. No data is read.

    Some trials are drawn, and further ones have the least, the greatest and the listed values of all parameters.

    Args:
        sweep: the sweep.
        trust_code: code that the file may name.
    """
    return check_trials(sweep, trust_code)[0]


def check_trials(sweep: Sweep, trust_code: Trust = False) -> tuple[list[str], list[str]]:
    """Return what is wrong with the settings of trials, and what works but is probably not meant.

    Args:
        sweep: the sweep.
        trust_code: code that the file may name.
    """
    found = command_problems(sweep)
    if found:
        if sweep.metric is not None and sweep.method != "custom":
            try:
                objective_of(sweep)
            except ConfigError as error:
                found += error.problems
        return sorted(found, key=_line_of), []
    with only_code(trust_code):
        checks = _TrialChecks(sweep, trust_code)
        return checks.problems(), checks.warnings()


class _TrialChecks:
    """Reads the command lines of some trials and collects the problems, each once."""

    def __init__(self, sweep: Sweep, trust_code: Trust) -> None:
        self._sweep, self._trust_code = sweep, trust_code
        self._found: dict[tuple[str, str], str] = {}
        self._wrong: set[tuple[Path, str]] = set()  # values that are wrong alone
        self._is_command_wrong = False  # whatever the values are
        self._most_epochs = 0

    def problems(self) -> list[str]:
        for values in trials_to_check(self._sweep):
            self._check(values)
            if len(self._found) >= _MOST_PROBLEMS or self._is_command_wrong:
                break
        return sorted(self._found.values(), key=_line_of)

    def warnings(self) -> list[str]:
        found = []
        if self._objective is not None and (problem := goal_warning(self._objective)):
            found.append(f"{self._sweep.at('metric', 'goal')}: {problem}")
        rule = self._sweep.early_terminate
        if rule is not None and 0 < self._most_epochs <= rule.bands[0]:
            found.append(
                f"{self._sweep.at('early_terminate')}: stops no trial, because a trial has at most {self._most_epochs} "
                f"epochs and the first comparison needs more than {rule.bands[0]}"
            )
        return found

    @cached_property
    def _objective(self) -> Objective | None:
        """The metric; None if the file names none, or if it is wrong for every trial."""
        sweep = self._sweep
        if sweep.metric is None or sweep.method == "custom":
            return None
        try:
            return objective_of(sweep)
        except ConfigError as error:
            self._found |= {(problem, ""): problem for problem in error.problems}
            return None

    def _check(self, values: Mapping[Path, Any]) -> None:
        """Check a trial. Parameters that are wrong alone are left out, so that they do not hide what else is wrong."""
        left = {path: value for path, value in values.items() if (path, repr(value)) not in self._wrong}
        while error := self._error(left):
            if error.problems == self._without_values:
                self._is_command_wrong = True
                left = {}
            alone = {path: found for path, value in left.items() if (found := self._wrong_alone(path, value))}
            for path, found in alone.items():
                for problem in found:
                    self._note(("parameters", *_between(path)), problem, left[path])
                self._wrong.add((path, repr(left.pop(path))))
            if not alone:  # the values do not fit together, or the command itself is wrong
                for problem in error.problems:
                    self._note(("command",), problem, None)
                return

    @cached_property
    def _without_values(self) -> tuple[str, ...]:
        """What is wrong with the command when no value is handed over."""
        error = self._error({})
        return error.problems if error else ()

    def _wrong_alone(self, path: Path, value: Any) -> list[str]:
        error = self._error({path: value})
        return [one for one in error.problems if one not in self._without_values] if error else []

    def _error(self, values: Mapping[Path, Any]) -> DialogueSerError | None:
        try:
            command, request = trial_request(self._sweep, nested(values), os.environ)
            _check_config(command, request.config, self._trust_code)
        except DialogueSerError as error:
            return error
        self._most_epochs = max(self._most_epochs, request.config.training.epochs)
        if self._objective is not None:
            where = self._sweep.at("metric", "name")
            try:
                check_metric(self._objective, request.config, where, is_crossval=command == "crossval")
            except ConfigError as error:
                self._found |= {(problem, ""): problem for problem in error.problems}
        return None

    def _note(self, place: tuple[str, ...], problem: str, value: Any) -> None:
        text = problem
        for start in ("dialogue-ser train: ", "dialogue-ser crossval: ", "command line: "):
            text = text.removeprefix(start)
        text = text.partition("; see 'dialogue-ser")[0]
        is_shown = value is None or shown_value(value) in text or str(value) in text or "unknown flag" in text
        drawn = "" if is_shown else f" (drawn: {shown_value(value)})"
        self._found.setdefault(
            (".".join(place), re.sub(r"[\d.]+", "0", text)), f"{self._sweep.at(*place)}: {text}{drawn}"
        )


def _line_of(problem: str) -> int:
    """Return the line in a problem ``FILE:LINE: …``; 0 if it has none."""
    match = re.search(r":(\d+): ", problem)
    return int(match.group(1)) if match else 0


def _between(path: Path) -> list[str]:
    """Return a path of parameters as it stands below the key parameters of a file."""
    return [part for name in path for part in ("parameters", name)][1:]


def _check_config(command: str, config: RunConfig, trust_code: Trust) -> None:
    """Check what parsing leaves open: the options of the model, names, code that the file names, the kind of the run.

    Raises:
        ConfigError: one of them is wrong.
    """
    from dialogue_ser.models import resolve_options  # imports torch

    refuse_code(code_in_settings(config_to_dict(config)), trust_code, "if you trust this code, add --trust_code")
    _check_names(config)
    if config.crossval.estimator == "none":
        resolve_options(config.model.name, config.model.options)
    elif command == "train":
        raise ConfigError("fits an estimator, which train does not do; write crossval instead of train")


def _check_names(config: RunConfig) -> None:
    """Check the names of the reader, the encoders with their options, the transforms and the loss.

    Raises:
        ConfigError: a name is unknown, or an option of an encoder is unknown or has a wrong type.
    """
    from dialogue_ser.encoders import TRAINED_ENCODERS, find_trained
    from dialogue_ser.training.loop.loss import LOSSES

    READERS.find(config.data.reader)
    if config.loss.kind is not None and config.loss.kind not in LOSSES:
        LOSSES.find(config.loss.kind)
    for feature in config.features.values():
        for transform in feature.transforms:
            build_transform(transform)
        if find_trained(feature.encoder) is None:
            encoder = ENCODERS.find(feature.encoder, also_known=TRAINED_ENCODERS)
            if feature.encoder in ENCODERS:
                owner = f"encoder {feature.encoder!r}"
                context = ("modality", "on_bad")
                found = option_problems(owner, encoder, feature.options, set_by_caller=context)
                if found:
                    raise ConfigError(*found)


def trials_to_check(sweep: Sweep) -> Iterator[dict[Path, Any]]:
    """Yield the values of trials by path: some trials, then such that every parameter has its extremes, or its list.

    Args:
        sweep: the sweep.
    """
    shapes = leaves(sweep.parameters)
    for trial in range(1, _TRIALS + 1):
        yield {path: shape.at(share_of(".".join(path), 1, trial)) for path, shape in shapes.items()}
    extremes = {path: _extremes(shape) for path, shape in shapes.items()}
    for number in range(max((len(values) for values in extremes.values()), default=0)):
        yield {path: values[number % len(values)] for path, values in extremes.items()}


def _extremes(shape: Shape) -> list[Any]:
    listed = getattr(shape, "values", None)
    if listed is not None:
        return list(islice(listed, _LISTED))
    if isinstance(shape, Normal | Beta):  # without an end, or with one that is hardly ever drawn
        return [shape.at(0.001), shape.at(0.999)]
    return [shape.at(0.0), shape.at(_ALMOST_ONE)]
