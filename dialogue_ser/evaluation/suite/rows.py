"""The rows of a suite's table, and what is wrong with them before anything is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dialogue_ser.corpus.readers import READERS
from dialogue_ser.encoders import TRAINED_ENCODERS
from dialogue_ser.errors import DialogueSerError, shown_value, unknown_name
from dialogue_ser.evaluation.suite.suite_file import Suite
from dialogue_ser.features.registry import ENCODERS
from dialogue_ser.metrics.table import METRICS
from dialogue_ser.models import resolve_options
from dialogue_ser.training.config.files import code_in_settings, config_to_dict
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.trust import NamedCode, Trust, refuse_code


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One of the configurations that tuning tries for a row.

    Args:
        number: its number, from 1.
        drawn: setting → the value that was drawn; empty for the first trial.
        config: its configuration, with the seed of the trials.
    """

    number: int
    drawn: Mapping[str, Any]
    config: RunConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One row of the table: a system with an encoder.

    Args:
        system: label of the system.
        encoder: label of the encoder; "" if the suite has none.
        config: the configuration of its runs, with the first seed.
        trials: what tuning tries; empty if the suite is not tuned.
        tuned: what tuning found, for ``results.json``; None before it, and if the suite is not tuned.
    """

    system: str
    encoder: str
    config: RunConfig
    trials: tuple[Trial, ...] = ()
    tuned: Mapping[str, Any] | None = None

    @property
    def label(self) -> str:
        """The name of the row."""
        return f"{self.system} · {self.encoder}" if self.encoder else self.system


def reference_problems(suite: Suite, rows: Sequence[Row]) -> list[str]:
    """Return what is wrong with the reference."""
    known = [*suite.systems, *(row.label for row in rows if row.encoder)]
    if not suite.reference or suite.reference in known:
        return []
    return [f"{suite.at('reference')}: {unknown_name('system', suite.reference, known)}"]


def metric_problems(suite: Suite) -> list[str]:
    """Return the metrics that are not known. Code is not imported here."""
    return [
        f"{suite.at('metrics', str(number))}: {unknown_name('metric', name, METRICS)}"
        for number, name in enumerate(suite.metrics)
        if ":" not in name and name not in METRICS
    ]


def model_of(settings: Mapping[str, Any]) -> str:
    """Return the model that the settings of a system name, as ``model.name`` or nested; "" if they name none."""
    nested = settings.get("model")
    name = settings.get("model.name") or (nested.get("name") if isinstance(nested, Mapping) else None)
    return name if isinstance(name, str) else ""


def task_problems(suite: Suite, rows: Sequence[Row]) -> list[str]:
    """Return the rows that predict something else than the first one, and the metrics that do not fit the task.

    The code of the metrics is trusted; it is imported.
    """
    problems = []
    for row in rows[1:]:
        asked, known = _asked(row), _asked(rows[0])
        problems += [
            f"{suite.at('systems', row.system)}: {name} is {shown_value(value)}, and {shown_value(known[name])} for "
            f"{rows[0].label}; one suite compares systems that predict the same"
            for name, value in asked.items()
            if value != known[name]
        ]
    for number, name in enumerate(suite.metrics):
        try:
            metric = METRICS.find(name)
        except DialogueSerError as error:
            problems += [f"{suite.at('metrics', str(number))}: {problem}" for problem in error.problems]
            continue
        kind = rows[0].config.task
        if metric.task not in (None, kind):
            problems.append(f"{suite.at('metrics', str(number))}: {name} is a metric of {metric.task}, not of {kind}")
    return problems


def _asked(row: Row) -> dict[str, Any]:
    """Return the settings that say what is predicted: setting → value as plain JSON."""
    config = row.config
    return {
        "task": config.task,
        "data.labels": config.data.labels,
        "data.targets": list(config.data.targets),
        "data.leave_out": list(config.data.leave_out),
    }


def name_problems(suite: Suite, row: Row) -> list[str]:
    """Return the readers and encoders of a row that are not known. Code is not imported here."""
    encoders = {entry.name for registry in (ENCODERS, TRAINED_ENCODERS) for entry in registry.entries()}
    readers = {entry.name for entry in READERS.entries()}
    named = [("reader", row.config.data.reader, readers, "data.reader")]
    named += [
        ("encoder", feature.encoder, encoders, f"features.{modality}.encoder")
        for modality, feature in row.config.features.items()
    ]
    own = suite.with_encoder.get(row.system, {}).get(row.encoder, {})
    sections: dict[tuple[str, ...], Mapping[str, Any]] = {("systems", row.system, "encoders", row.encoder): own}
    sections |= {("systems", row.system): suite.systems[row.system], ("settings",): suite.settings}
    sections |= {("encoders", row.encoder): suite.encoders[row.encoder]} if row.encoder else {}
    problems = []
    for kind, name, known, setting in named:
        if ":" not in name and name not in known:
            at = next(((*place, key) for place, given in sections.items() for key in given if setting == key), ())
            problems.append(f"{suite.at(*(at or ('systems', row.system)))}: {unknown_name(kind, name, known)}")
    return problems


def model_problems(suite: Suite, row: Row) -> list[str]:
    """Return what is wrong with the model of a row: its name, its code or its options."""
    config = row.config
    if suite.protocol == "crossval" and config.crossval.estimator != "none":
        return []
    try:
        resolve_options(config.model.name, config.model.options)
    except DialogueSerError as error:
        keys = [key for key in suite.systems[row.system] if key.startswith("model")]
        return [f"{suite.at('systems', row.system, *keys[:1])}: {problem}" for problem in error.problems]
    return []


def refuse_named_code(suite: Suite, rows: Sequence[Row], trust: Trust) -> None:
    """Refuse code that the suite or a file that it names has, also in what is tuned, if it is not trusted."""
    found: dict[str, NamedCode] = {}
    configs = [(row, config) for row in rows for config in (row.config, *(trial.config for trial in row.trials))]
    for row, config in configs:
        for one in code_in_settings(config_to_dict(config)):
            place = next(
                (("systems", row.system, key) for key in suite.systems[row.system] if one.place.startswith(key)),
                ("systems", row.system),
            )
            found.setdefault(f"{one.name} {row.system}", NamedCode(one.name, suite.at(*place)))
    for number, name in enumerate(suite.metrics):
        if ":" in name:
            found[name] = NamedCode(name, suite.at("metrics", str(number)))
    advice = (
        f"{suite.path}: if you trust this code, add --trust_code to the command (in Python: trust_code=True), or name "
        "it by a flag: --systems.LABEL package.module:Class"
    )
    refuse_code(list(found.values()), trust, advice)
