"""The trials of a sweep in their storage: who does them, what came of them. All processes see the same."""

import secrets
import string
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.evaluation.sweep.storage import Place, open_storage
from dialogue_ser.evaluation.sweep.trial import State, Trial, trial_of
from dialogue_ser.evaluation.sweep.workers import Watch, Worker
from dialogue_ser.search_space.hyperband import Goal

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage

#: A process of a server waits so long until it reads whether the trial that it took is still its own.
_SETTLE_SECONDS = 1.5
_RECORD = "sweep"
_BEAT = "beat:"
_AGAIN = "again"
#: Facts about a failed trial that hold when it is tried again.
_KEPT = ("values", "folders", "epochs")
_WAIT_FOR_RECORD_SECONDS = 20.0


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
            raise MissingDataError(f"{place.shown}: no sweep of the name {name!r}; {has}") from None

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
                    f"{self.place.shown}: its study was not made by dialogue-ser sweep run; give another --storage"
                )
            time.sleep(0.5)

    @property
    def id(self) -> str:
        """The random name of the sweep."""
        return str(self.record()["id"])

    def trials(self) -> list[Trial]:
        """Return all trials in the order of their numbers.

        A failed trial that is tried again is a new trial in the storage. Here it has its old number, and the failed one
        is left out. All other trials are counted without it, so that a grid goes on where it was.
        """
        found: dict[int, Trial] = {}
        n_again = 0
        for one in sorted(self._storage.get_all_trials(self._study, deepcopy=False), key=lambda one: one.number):
            again = one.user_attrs.get(_AGAIN)
            n_again += again is not None
            number = one.number - n_again if again is None else int(again)
            found[number] = trial_of(one, number)
        return [found[number] for number in sorted(found)]

    def try_failed_again(self) -> int:
        """Let somebody do the failed trials again, with the same settings and numbers; return how many there are."""
        from optuna.trial import TrialState, create_trial

        with self.place.lock():
            failed = [trial for trial in self.trials() if trial.state == "failed"]
            for trial in failed:
                old = self._storage.get_trial(trial.id)
                kept = {name: value for name, value in old.user_attrs.items() if name in _KEPT}
                template = create_trial(
                    state=TrialState.WAITING,
                    params=old.params,
                    distributions=old.distributions,
                    user_attrs={**kept, _AGAIN: trial.number},
                )
                self._storage.create_new_trial(self._study, template)
        return len(failed)

    def reread(self, trial: Trial) -> Trial:
        """Return a trial as it is now."""
        return self._one(trial.id)

    def claim(self, limit: float, leave_out: Collection[int] = ()) -> Trial | None:
        """Take a trial to do: one whose worker is dead, one that waits, or a new one.

        Args:
            limit: number of trials of the whole sweep.
            leave_out: numbers of trials that are not taken.

        Returns:
            the trial, which is this worker's own now; None if there is nothing to do at this moment.
        """
        with self.place.lock():
            trials = self.trials()
            for trial in trials:
                is_open = trial.number < limit and trial.number not in leave_out
                if is_open and self._may_take(trial) and self._take(trial):
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
        return next(trial for trial in self.trials() if trial.id == trial_id)

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
        """Keep facts about a trial. One that has ended is left as it is."""
        with self._unless_ended():
            for name, value in info.items():
                self._storage.set_trial_user_attr(trial.id, name, value)

    def end(
        self, trial: Trial, state: State, score: float | None = None, curve: Sequence[float] = (), **info: Any
    ) -> None:
        """Keep what came of a trial. A trial that has ended already is left as it is."""
        from optuna.trial import TrialState

        states = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
        self.note(trial, **info)
        with self._unless_ended():
            self.note_curve(trial, curve)
            self._storage.set_trial_state_values(trial.id, states[state], None if score is None else [score])

    def note_curve(self, trial: Trial, curve: Sequence[float]) -> None:
        """Keep the metric after each epoch, as far as the trial does not have it yet."""
        with self._unless_ended():
            for epoch, value in enumerate(curve, start=1):
                if trial.curve[epoch - 1 : epoch] != (value,):
                    self._storage.set_trial_intermediate_value(trial.id, epoch, value)

    def release(self, trial: Trial) -> None:
        """Let somebody else continue a trial of this worker. One that has ended is left as it is."""
        from optuna.trial import TrialState

        with self._unless_ended():
            self._storage.set_trial_state_values(trial.id, TrialState.WAITING)

    @staticmethod
    def _unless_ended() -> AbstractContextManager[None]:
        """Ignore that a trial has ended: another worker took it up, because this one gave no sign of life."""
        from optuna.exceptions import UpdateFinishedTrialError

        return suppress(UpdateFinishedTrialError)

    def beat(self, every_seconds: float) -> None:
        """Give a sign of life, if the last one is long enough ago."""
        now = time.monotonic()
        if self._n_beats and now - self._last_beat < every_seconds:
            return
        self._last_beat, self._n_beats = now, self._n_beats + 1
        self._storage.set_study_user_attr(self._study, f"{_BEAT}{self.worker.id}", self._n_beats)
