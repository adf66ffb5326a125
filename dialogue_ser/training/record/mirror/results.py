"""What W&B gets when a run is complete: matrices, curves, tables, the report and the model.

Every part is made for itself. One that cannot be made does not keep the others back.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dialogue_ser.runs.run_files import REPORT, REPORT_WITHOUT_TEXTS, RunFiles
from dialogue_ser.training.config.run_config import RunConfig

if TYPE_CHECKING:
    import pandas as pd

_CURVE_POINTS = 500
#: Shapes of charts that W&B's web page knows.
_ROC_SHAPE = "wandb/area-under-curve/v0"


def send_results(run: Any, run_dir: Path, config: RunConfig, step: int) -> list[str]:
    """Send all results of a complete run.

    Args:
        run: the W&B run.
        run_dir: the run directory.
        config: configuration of the run.
        step: W&B's number for the line of history that gets them.

    Returns:
        one sentence for each part that could not be sent.

    Raises:
        ConnectionError: W&B's service has ended.
    """
    files, problems = RunFiles(run_dir), _Problems()
    charts: dict[str, Any] = {}
    makers: Mapping[str, Callable[[], dict[str, Any]]] = {
        "predictions": lambda: _of_predictions(run_dir, config),
        "tables of classes": lambda: score_tables(files.scores),
        "report": lambda: _report(run_dir, with_texts=config.wandb.texts),
    }
    for what, make in makers.items():
        with problems.noted(what):
            charts |= make()
    for name, chart in charts.items():
        with problems.noted(name):
            run.log({name: chart}, step=step)
    with problems.noted("model"):
        if config.wandb.model and (run_dir / "model").is_dir():
            run.log_artifact(_model(run, run_dir, files))
    return problems.sentences()


class _Problems:
    """Which parts could not be made or sent, by reason."""

    def __init__(self) -> None:
        self._parts: dict[str, list[str]] = {}

    @contextmanager
    def noted(self, part: str) -> Iterator[None]:
        """Note an error of this part, and go on. If W&B's service has ended, nothing can go on."""
        try:
            yield
        except ConnectionError:
            raise
        except Exception as error:
            self._parts.setdefault(f"{type(error).__name__}: {error}", []).append(part)

    def sentences(self) -> list[str]:
        """Return one sentence for each reason."""
        return [f"{', '.join(parts)} could not be sent ({reason})" for reason, parts in self._parts.items()]


def _of_predictions(run_dir: Path, config: RunConfig) -> dict[str, Any]:
    """Return for each split a table of its turns; for classes also a confusion matrix and the ROC curves."""
    import pandas as pd
    import wandb
    from pyarrow import parquet

    path = run_dir / "predictions.parquet"
    if not path.is_file():
        return {}
    names = [name for name in parquet.read_schema(path).names if name != "text" or config.wandb.texts]
    frame = pd.read_parquet(path, columns=names)
    for name in names:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].astype("string")
    wandb.Table.MAX_ROWS = wandb.Table.MAX_ARTIFACT_ROWS
    charts: dict[str, Any] = {}
    for split, rows in frame.groupby("split"):
        if {"gold", "predicted"} <= set(names):
            charts |= _class_charts(str(split), rows)
        plain = rows.drop(columns="split").astype(object)
        charts[f"predictions/{split}"] = wandb.Table(dataframe=plain.where(plain.notna(), None), allow_mixed_types=True)
    return charts


def _class_charts(split: str, rows: "pd.DataFrame") -> dict[str, Any]:
    """Return the confusion matrix and the ROC curves of the labelled turns of a split."""
    import wandb

    rows = rows[rows["gold"].notna()]
    labels = [name.removeprefix("p_") for name in rows.columns if name.startswith("p_")]
    labels += sorted((set(rows["gold"]) | set(rows["predicted"])) - set(labels))
    if rows.empty:
        return {}
    number = {label: i for i, label in enumerate(labels)}
    gold = np.array([number[label] for label in rows["gold"]])
    charts = {
        f"confusion/{split}": wandb.plot.confusion_matrix(
            y_true=gold.tolist(),
            preds=[number[label] for label in rows["predicted"]],
            class_names=labels,
            title=f"confusion, {split}",
        )
    }
    points = _roc_points(rows, labels, gold)
    if points:
        charts[f"roc/{split}"] = wandb.plot_table(
            vega_spec_name=_ROC_SHAPE,
            data_table=wandb.Table(columns=["class", "fpr", "tpr"], data=points),
            fields={"x": "fpr", "y": "tpr", "class": "class"},
            string_fields={
                "title": f"ROC, {split}",
                "x-axis-title": "false positive rate",
                "y-axis-title": "true positive rate",
            },
        )
    return charts


def _roc_points(rows: "pd.DataFrame", labels: list[str], gold: "np.ndarray[Any, Any]") -> list[Any]:
    """Return the points (class, false positive rate, true positive rate) of all classes, at most 500 for each."""
    from dialogue_ser.metrics.roc import roc_curves

    columns = [f"p_{label}" for label in labels]
    if not set(columns) <= set(rows.columns):
        return []
    points: list[Any] = []
    for label, curve in roc_curves(rows[columns].to_numpy(np.float64), gold, labels).items():
        if curve is None:
            continue
        last = len(curve.false_positive_rate) - 1
        chosen = np.unique(np.linspace(0, last, min(last + 1, _CURVE_POINTS)).astype(int))
        rates = zip(curve.false_positive_rate[chosen], curve.true_positive_rate[chosen], strict=True)
        points += [[label, float(false_rate), float(true_rate)] for false_rate, true_rate in rates]
    return points


def score_tables(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables of scores.json: one row for each class or dimension of each split, and one for each floor."""
    import wandb

    tables: dict[str, Any] = {}
    for key, name in (("per_class", "class"), ("per_dimension", "dimension")):
        rows = [
            {"split": split, name: item, **values}
            for split, entry in scores.get("splits", {}).items()
            for item, values in (entry["scores"].get(key) or {}).items()
        ]
        if rows:
            tables[key] = _table(wandb, rows)
    floors = [
        {"split": split, "floor": floor, **{one: value for one, value in values.items() if not isinstance(value, dict)}}
        for split, entry in scores.get("splits", {}).items()
        for floor, values in (entry.get("floors") or {}).items()
    ]
    if floors:
        tables["floors"] = _table(wandb, floors)
    return tables


def _table(wandb: Any, rows: list[dict[str, Any]]) -> Any:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return wandb.Table(columns=columns, data=[[row.get(name) for name in columns] for row in rows])


def _report(run_dir: Path, *, with_texts: bool) -> dict[str, Any]:
    """Return the report; the page without the parts that show what people said, unless texts are asked for."""
    import wandb

    path = run_dir / (REPORT if with_texts else REPORT_WITHOUT_TEXTS)
    return {"report": wandb.Html(path.read_text(encoding="utf-8"), inject=False)} if path.is_file() else {}


def _model(run: Any, run_dir: Path, files: RunFiles) -> Any:
    """Return the model folder with its card as an artifact. Its scores and its settings are the metadata.

    Files are sent from where they lie. Only the card, which a later ``evaluate`` writes again, is copied first.
    """
    import wandb

    name = re.sub(r"[^\w.-]+", "-", f"model-{run.id}", flags=re.ASCII)[:128]
    summary = files.summary
    artifact = wandb.Artifact(
        name,
        type="model",
        description=f"Model of the run {files.name}; its card is README.md.",
        metadata={name: summary[name] for name in ("best_epoch", "select", "scores") if name in summary},
    )
    for path in sorted((run_dir / "model").rglob("*")):
        if path.is_file():
            inside = path.relative_to(run_dir / "model").as_posix()
            policy: Literal["mutable", "immutable"] = "mutable" if path.suffix == ".md" else "immutable"
            artifact.add_file(str(path), name=inside, policy=policy, skip_cache=True)
    return artifact
