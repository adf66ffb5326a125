"""The trials of a sweep in their storage: who does them, what came of them. All processes see the same."""

import secrets
import string
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.evaluation.sweep.storage import Place, open_storage
from dialogue_ser.evaluation.sweep.workers import Watch, Worker
from dialogue_ser.search_space.hyperband import Goal

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

State = Literal["running", "waiting", "finished", "stopped", "failed"]
ENDED: tuple[State, ...] = ("finished", "stopped", "failed")
#: A process of a server waits so long until it reads whether the trial that it took is still its own.
_SETTLE_SECONDS = 1.5
_RECORD = "sweep"
_BEAT = "beat:"
_WAIT_FOR_RECORD_SECONDS = 20.0


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

    @property
    def is_scored(self) -> bool:
        """Whether it has a score that counts."""
        return self.score is not None and self.state in ("finished", "stopped")


def best_of(trials: Sequence[Trial], goal: Goal) -> Trial | None:
    """Return the trial with the best score; of equal ones the earliest. None if no trial has a score."""
    sign = 1 if goal == "maximize" else -1
    scored = [trial for trial in trials if trial.is_scored]
    return max(scored, key=lambda trial: (sign * (trial.score or 0.0), -trial.number), default=None)


class SweepStudy:
    """The trials of one sweep.

    Args:
        place: the place of the storage.
        storage: the open storage.
        study_id: number of the study in it.
        worker: what this process is.
    """

    def __init__(self, place: Place, storage: "BaseStorage", study_id: int, worker: Worker | None = None) -> None:
        self.place, self._storage, self._study = place, storage, study_id
        self.worker = worker or Worker.here()
        self.watch = Watch()
        self._last_beat = 0.0
        self._n_beats = 0

    @classmethod
    def create(cls, place: Place, name: str, record: Mapping[str, Any], goal: Goal) -> "SweepStudy":
        """Open the study with a name; create it if the storage has none.

        Args:
            place: the place of the storage.
            name: name of the sweep.
            record: what describes the sweep; it is kept if the study is new.
            goal: whether small or great scores are good.
        """
        from optuna.exceptions import DuplicatedStudyError
        from optuna.study import StudyDirection

        storage = open_storage(place)
        direction = StudyDirection.MAXIMIZE if goal == "maximize" else StudyDirection.MINIMIZE
        with place.lock():
            try:
                study_id = storage.create_new_study([direction], name)
            except DuplicatedStudyError:
                return cls(place, storage, storage.get_study_id_from_name(name))
            letters = string.ascii_lowercase + string.digits
            identity = "".join(secrets.choice(letters) for _ in range(8))
            storage.set_study_user_attr(study_id, _RECORD, {"id": identity, **record})
        return cls(place, storage, study_id)

    @classmethod
    def open(cls, place: Place, name: str) -> "SweepStudy":
        """Open the study with a name.

        Raises:
            MissingDataError: there is none.
        """
        storage = open_storage(place, may_create=False)
        try:
            return cls(place, storage, storage.get_study_id_from_name(name))
        except KeyError:
            known = sorted(study.study_name for study in storage.get_all_studies())
            has = f"it has {', '.join(known)}" if known else "it is empty"
            raise MissingDataError(f"{place.url}: no sweep of the name {name!r}; {has}") from None

    def record(self) -> dict[str, Any]:
        """Return what describes the sweep.

        Raises:
            ConfigError: the study is not one of a sweep.
        """
        limit = time.monotonic() + (0 if self.place.file else _WAIT_FOR_RECORD_SECONDS)
        while True:  # on a server, another process may be about to write it
            found = self._storage.get_study_user_attrs(self._study).get(_RECORD)
            if isinstance(found, Mapping):
                return dict(found)
            if time.monotonic() >= limit:
                raise ConfigError(
                    f"{self.place.url}: its study was not made by dialogue-ser sweep run; give another --storage"
                )
            time.sleep(0.5)

    @property
    def id(self) -> str:
        """The random name of the sweep."""
        return str(self.record()["id"])

    def trials(self) -> list[Trial]:
        """Return all trials in the order of their numbers."""
        found = self._storage.get_all_trials(self._study, deepcopy=False)
        return sorted(map(_trial_of, found), key=lambda trial: trial.number)

    def claim(self, limit: float) -> Trial | None:
        """Take a trial to do: one whose worker is dead, one that waits, or a new one.

        Args:
            limit: number of trials of the whole sweep.

        Returns:
            the trial, which is this worker's own now; None if there is nothing to do at this moment.
        """
        with self.place.lock():
            trials = self.trials()
            for trial in trials:
                if trial.number < limit and self._may_take(trial) and self._take(trial):
                    return self._one(trial.id)
            if len(trials) >= limit:
                return None
            trial_id = self._storage.create_new_trial(self._study)
            self._own(trial_id)
            made = self._one(trial_id)
            if made.number >= limit:  # somebody else was faster; it stays for a later call with a higher limit
                self.release(made)
                return None
            return made

    def _may_take(self, trial: Trial) -> bool:
        return trial.state == "waiting" or (trial.state == "running" and self.is_lost(trial) is True)

    def is_lost(self, trial: Trial) -> bool | None:
        """Return whether the worker of a running trial is dead; None = not known yet."""
        owner = trial.owner
        if owner.get("id") == self.worker.id:
            return False
        is_earlier_call = owner.get("pid") == self.worker.pid and owner.get("machine") == self.worker.machine
        if is_earlier_call:
            return True
        beats = self._storage.get_study_user_attrs(self._study)
        return self.watch.is_dead(owner, beats.get(f"{_BEAT}{owner.get('id')}"))

    def _take(self, trial: Trial) -> bool:
        from optuna.trial import TrialState

        if trial.state == "waiting":
            if not self._storage.set_trial_state_values(trial.id, TrialState.RUNNING):
                return False
            self._own(trial.id)
            return True
        self._own(trial.id)
        if self.place.file is None:  # no lock; of two that take the same trial, the one that wrote last has it
            time.sleep(_SETTLE_SECONDS)
            return self._one(trial.id).owner.get("id") == self.worker.id
        return True

    def _own(self, trial_id: int) -> None:
        self._storage.set_trial_user_attr(trial_id, "owner", self.worker.to_dict())

    def _one(self, trial_id: int) -> Trial:
        return _trial_of(self._storage.get_trial(trial_id))

    def set_drawn(
        self,
        trial: Trial,
        values: Mapping[str, Any],
        params: Mapping[str, Any],
        distributions: Mapping[str, "BaseDistribution"],
    ) -> Trial:
        """Keep the drawn settings of a trial, and return it with them."""
        for name, value in params.items():
            distribution = distributions[name]
            self._storage.set_trial_param(trial.id, name, distribution.to_internal_repr(value), distribution)
        self._storage.set_trial_user_attr(trial.id, "values", dict(values))  # the last one: then all is there
        return self._one(trial.id)

    def note(self, trial: Trial, **info: Any) -> None:
        """Keep facts about a trial that is not ended."""
        for name, value in info.items():
            self._storage.set_trial_user_attr(trial.id, name, value)

    def end(
        self, trial: Trial, state: State, score: float | None = None, curve: Sequence[float] = (), **info: Any
    ) -> None:
        """Keep what came of a trial. A trial that has ended already is left as it is."""
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        states = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
        try:
            for epoch, value in enumerate(curve, start=1):
                if trial.curve[epoch - 1 : epoch] != (value,):
                    self._storage.set_trial_intermediate_value(trial.id, epoch, value)
            self.note(trial, **info)
            self._storage.set_trial_state_values(trial.id, states[state], None if score is None else [score])
        except UpdateFinishedTrialError:
            return

    def note_curve(self, trial: Trial, curve: Sequence[float], known: int) -> None:
        """Keep the metric of new epochs of a running trial.

        Args:
            trial: the trial.
            curve: the metric after each epoch.
            known: number of epochs that were kept before.
        """
        for epoch, value in list(enumerate(curve, start=1))[known:]:
            self._storage.set_trial_intermediate_value(trial.id, epoch, value)

    def release(self, trial: Trial) -> None:
        """Let somebody else continue a trial of this worker."""
        from optuna.trial import TrialState

        self._storage.set_trial_state_values(trial.id, TrialState.WAITING)

    def beat(self, every_seconds: float) -> None:
        """Give a sign of life, if the last one is long enough ago."""
        now = time.monotonic()
        if self._n_beats and now - self._last_beat < every_seconds:
            return
        self._last_beat, self._n_beats = now, self._n_beats + 1
        self._storage.set_study_user_attr(self._study, f"{_BEAT}{self.worker.id}", self._n_beats)


def _trial_of(found: "FrozenTrial") -> Trial:
    info = dict(found.user_attrs)
    names: dict[str, State] = {
        "RUNNING": "running", "WAITING": "waiting", "COMPLETE": "finished", "PRUNED": "stopped", "FAIL": "failed",
    }  # fmt: skip
    return Trial(
        number=found.number,
        state=names[found.state.name],
        values=info.pop("values", {}),
        params=found.params,
        score=found.value if found.values is not None else None,
        curve=tuple(found.intermediate_values[epoch] for epoch in sorted(found.intermediate_values)),
        owner=info.pop("owner", {}),
        info=info,
        id=found._trial_id,
    )
