"""Stop a trial early: after each epoch, compare it with all other trials of the sweep."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.evaluation.sweep.objective import Objective, epoch_rows
from dialogue_ser.runs.run_files import read_json
from dialogue_ser.search_space.hyperband import Hyperband
from dialogue_ser.training.loop.callbacks import Callback
from dialogue_ser.training.loop.state import TrainState

#: File in the folder of a sweep: the metric of trials whose run directories lie on other machines.
ELSEWHERE = "elsewhere.json"
#: Ends the names of the run directories of further seeds; early_terminate looks at the first seed only.
FURTHER_SEED = "-seed"


class StoppedEarly(Exception):  # noqa: N818 - the training did nothing wrong
    """early_terminate has stopped a run after an epoch. Its checkpoint is written."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"stopped early after epoch {epoch}")
        self.epoch = epoch


class EarlyTermination(Callback):
    """Stops a run by the rule of ``early_terminate``.

    Args:
        rule: the rule.
        objective: the metric.
        run: the run directory.
        sweep: folder of the sweep, with the run directories of all trials.
        sweep_id: name of the sweep, which all its run directories have at their end.
    """

    def __init__(self, rule: Hyperband, objective: Objective, run: Path, sweep: Path, sweep_id: str) -> None:
        self._rule, self._objective, self._run, self._sweep, self._id = rule, objective, run, sweep, sweep_id
        self._curves: dict[Path, _Curve] = {}

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Stop the run if the rule says so.

        Raises:
            StoppedEarly: it does.
        """
        own = self._curve(self._run / "metrics.jsonl")
        if self._rule.should_stop(own, self._others(), self._objective.goal):
            raise StoppedEarly(int(row["epoch"]))

    def _others(self) -> list[list[float]]:
        files = sorted(self._sweep.glob(f"*-{self._id}/metrics.jsonl"))
        here = {file.parent.name for file in files}
        found = [self._curve(file) for file in files if file.parent.name != self._run.name]
        elsewhere: Mapping[str, Any] = read_json(self._sweep / ELSEWHERE)
        found += [list(map(float, curve)) for name, curve in elsewhere.items() if name not in here]
        return found

    def _curve(self, file: Path) -> list[float]:
        if file not in self._curves:
            self._curves[file] = _Curve(file, self._objective)
        return self._curves[file].values()


class _Curve:
    """The metric of a growing metrics.jsonl. Only what is new is read.

    Args:
        file: the file.
        objective: the metric.
    """

    def __init__(self, file: Path, objective: Objective) -> None:
        self._file, self._objective = file, objective
        self._position = 0
        self._values: dict[int, float] = {}

    def values(self) -> list[float]:
        """Return the metric after each epoch."""
        try:
            with self._file.open("rb") as file:
                if file.seek(0, 2) < self._position:  # a resumed run cuts its file to that of the checkpoint
                    self._position, self._values = 0, {}
                file.seek(self._position)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._position += len(whole)
        rows = epoch_rows(whole.splitlines())
        self._values |= {epoch: self._objective.in_row(row) for epoch, row in rows.items()}
        return [self._values[epoch] for epoch in sorted(self._values)]
