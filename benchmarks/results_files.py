"""Result files of the benchmarks, and how their scores are written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dialogue_ser.errors import MissingDataError
from dialogue_ser.report.sections.tables import format_mean_std

Result = Mapping[str, Any]


def read_result(folder: Path, name: str) -> Result:
    """Read one result file.

    Raises:
        MissingDataError: the file has not been recorded.
    """
    if not (folder / name).is_file():
        raise MissingDataError(f"{folder / name}: does not exist; run the benchmark that writes it with --record")
    value: Result = json.loads((folder / name).read_text(encoding="utf-8"))
    return value


def write_result(folder: Path, name: str, result: Result) -> Path:
    """Write one result file, and return its path. The folder is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return folder / name


def now(*suites: str) -> str:
    """Say which command makes a table today, if the one that made its file is gone.

    >>> now("nemo")
    'today `dialogue-ser benchmark benchmarks/suites/nemo.yaml`'
    """
    commands = (f"`dialogue-ser benchmark benchmarks/suites/{name}.yaml`" for name in suites)
    return f"today {' and '.join(commands)}"


def seeds_score(row: Result, split: str, metric: str) -> str:
    """Mean ± std over seeds of a metric on a split."""
    value = row[split][metric]
    return format_mean_std(value["mean"], value["std"] if value["n"] > 1 else None, digits=3)


#: Key of a metric in scores.json → the one under which the published result files of cross-validations have it.
RECORDED_KEYS: Mapping[str, str] = {"uar": "ua", "accuracy": "wa", "dev_scores": "dev_ua"}


def recorded(scores: Any) -> Any:
    """Scores of a cross-validation under the keys of earlier result files, so that these stay comparable.

    >>> recorded({"pooled": {"uar": 0.4, "accuracy": 0.5, "n": 9}, "folds": [{"uar": 0.3}]})
    {'pooled': {'ua': 0.4, 'wa': 0.5, 'n': 9}, 'folds': [{'ua': 0.3}]}
    """
    if isinstance(scores, Mapping):
        return {RECORDED_KEYS.get(key, key): recorded(value) for key, value in scores.items()}
    return [recorded(value) for value in scores] if isinstance(scores, list) else scores
