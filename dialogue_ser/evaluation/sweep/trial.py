"""One trial of a sweep, as everything but the storage sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dialogue_ser.search_space.hyperband import Goal

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = Literal["running", "waiting", "finished", "stopped", "failed"]
ENDED: tuple[State, ...] = ("finished", "stopped", "failed")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial.

    Args:
        number: its number, from 0.
        state: ``finished``; ``stopped`` by early_terminate; ``failed``; ``running``; or ``waiting`` for somebody to
            continue it.
        values: its drawn settings, nested as in the file; empty = not drawn yet.
        params: what the storage keeps of them, e.g. the index of a list.
        score: the metric on dev; None = not known.
        curve: the metric on dev after each epoch.
        info: what else is known: ``reason``, ``seconds``, ``folders``, ``stopped_epoch``, …
        owner: the worker that does or did it.
        id: its number in the storage.
        ended: when it ended, as text that sorts in time; "" = it has not.
    """

    number: int
    state: State
    values: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None
    curve: tuple[float, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    owner: Mapping[str, Any] = field(default_factory=dict)
    id: int = -1
    ended: str = ""

    @property
    def is_scored(self) -> bool:
        """Whether it has a score that counts."""
        return self.score is not None and self.state in ("finished", "stopped")


def best_of(trials: Sequence[Trial], goal: Goal) -> Trial | None:
    """Return the trial with the best score; of equal ones the earliest. None if no trial has a score."""
    sign = 1 if goal == "maximize" else -1
    scored = [trial for trial in trials if trial.is_scored]
    return max(scored, key=lambda trial: (sign * (trial.score or 0.0), -trial.number), default=None)


def trial_of(found: "FrozenTrial", number: int) -> Trial:
    """Return a trial of Optuna as a trial.

    Args:
        found: the trial of Optuna.
        number: its number in the sweep.
    """
    info = dict(found.user_attrs)
    names: dict[str, State] = {
        "RUNNING": "running", "WAITING": "waiting", "COMPLETE": "finished", "PRUNED": "stopped", "FAIL": "failed",
    }  # fmt: skip
    return Trial(
        number=number,
        state=names[found.state.name],
        values=info.pop("values", {}),
        params=found.params,
        score=found.value if found.values is not None else None,
        curve=tuple(found.intermediate_values[epoch] for epoch in sorted(found.intermediate_values)),
        owner=info.pop("owner", {}),
        info=info,
        id=found._trial_id,
        ended=found.datetime_complete.isoformat() if found.datetime_complete else "",
    )
