"""The content of a sweep file as objects."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dialogue_ser.foreign_text.yaml_text import place_text
from dialogue_ser.search_space.hyperband import Goal, Hyperband
from dialogue_ser.search_space.shapes import Parameter

Method = Literal["grid", "random", "bayes", "custom"]
#: Keys that do not change what a sweep does.
_LABELS = ("name", "description")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a sweep makes better.

    Args:
        name: name of the metric, as a run logs it.
        goal: whether small or great values are good.
        target: no new trials once a trial is this good; None = there is no target.
        impute: which value ``bayes`` uses for a trial that failed: latest, best or worst.
        impute_while_running: the same for a trial that runs; "false" = none.
    """

    name: str
    goal: Goal = "minimize"
    target: float | None = None
    impute: str = "worst"
    impute_while_running: str = "false"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The content of a sweep file.

    Args:
        path: the file.
        fingerprint: hash of the content without ``name`` and ``description``. The order of keys has no effect.
        method: how the next trial is chosen.
        metric: what is made better; None = nothing is named.
        metrics: several metrics, for ``custom`` only.
        parameters: name → what it may be; a nested parameter is a :class:`~dialogue_ser.search_space.shapes.Nested`.
        early_terminate: the rule that stops trials early; None = none is stopped.
        run_cap: number of trials of the whole sweep; None = no limit.
        program: script of the command; None = the command names none.
        command: items of the command line, with macros; None = the usual command.
        name: name of the sweep; "" = none.
        description: one sentence; may be empty.
        project: project on the server; "" = not named.
        entity: user or team on the server; "" = not named.
        controller: ``cloud`` or ``local``: who chooses the next trial under the agent of Weights & Biases.
        lines: place in the file → line.
        warnings: what works, but not as the file seems to say.
    """

    path: Path
    fingerprint: str
    method: Method
    metric: Metric | None = None
    metrics: tuple[Metric, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    early_terminate: Hyperband | None = None
    run_cap: int | None = None
    program: str | None = None
    command: tuple[Any, ...] | None = None
    name: str = ""
    description: str = ""
    project: str = ""
    entity: str = ""
    controller: str = "cloud"
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    def at(self, *place: str) -> str:
        """Return a place for a message, ``FILE:LINE: parameters.lr``."""
        return place_text(self.path, self.lines, place)


def fingerprint_of(values: Mapping[str, Any]) -> str:
    """Return the hash of the content of a sweep file, without the keys that only label it.

    Args:
        values: the content.
    """
    content = _plain({key: value for key, value in values.items() if key not in _LABELS})
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value of YAML as JSON can hold it: dates and the like as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)
