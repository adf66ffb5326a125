"""Send a run's metrics.jsonl to Weights & Biases (W&B), in a separate process beside the training.

``python -m dialogue_ser.training.record.wandb_mirror RUN_DIR`` reads the file while it grows. It ends after the summary
line, when its parent process has ended, or on SIGTERM. It never sends transcripts, audio, code or the command line.
W&B itself reads its token from the environment or from netrc; this module neither reads nor writes it.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dialogue_ser.training.config.files import config_to_dict, load_record

POLL_SECONDS = 0.2
INIT_TIMEOUT_SECONDS = 30.0


def follow(path: Path, from_byte: int, parent: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of a growing metrics.jsonl until the summary, or until the parent process has ended.

    Args:
        path: metrics.jsonl.
        from_byte: where to start reading.
        parent: process id of the parent.
    """
    position = from_byte
    while True:
        is_parent_gone = os.getppid() != parent  # checked before reading, so that the last lines are read too
        with path.open("rb") as file:
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # the line is not complete yet
                position += len(line)
                row: dict[str, Any] = json.loads(line)
                yield row
                if row["kind"] == "summary":
                    return
        if is_parent_gone:
            return
        time.sleep(POLL_SECONDS)


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested metrics as one mapping whose names are joined by ``/``.

    >>> flat({"dev": {"uar": 0.5}, "step": 3})
    {'dev/uar': 0.5, 'step': 3}
    """
    values: dict[str, Any] = {}
    for name, value in row.items():
        values |= flat(value, f"{prefix}{name}/") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return values


def log_row(run: Any, row: dict[str, Any], run_dir: Path) -> None:
    """Send one line of metrics.jsonl to W&B; with the summary line, also send the confusion matrices."""
    values = flat({name: value for name, value in row.items() if name != "kind"})
    if row["kind"] == "summary":
        run.summary.update(values)
        run.log(confusion_charts(run_dir))
    else:
        names = {"step": "step", "epoch": "epoch"}
        run.log({names.get(name, f"{row['kind']}/{name}"): value for name, value in values.items()})


def confusion_charts(run_dir: Path) -> dict[str, Any]:
    """Return one confusion matrix per split, from the labels in predictions.parquet; none for a regression."""
    import pandas as pd
    import wandb
    from pyarrow import parquet

    path = run_dir / "predictions.parquet"
    if not {"gold", "predicted"} <= set(parquet.read_schema(path).names):
        return {}
    frame = pd.read_parquet(path, columns=["split", "gold", "predicted"])
    charts: dict[str, Any] = {}
    for split, rows in frame.dropna().groupby("split"):
        labels = sorted(set(rows["gold"]) | set(rows["predicted"]))
        number = {label: i for i, label in enumerate(labels)}
        charts[f"confusion/{split}"] = wandb.plot.confusion_matrix(
            y_true=[number[label] for label in rows["gold"]],
            preds=[number[label] for label in rows["predicted"]],
            class_names=labels,
            title=f"confusion, {split}",
        )
    return charts


def mirror(run_dir: Path, from_byte: int, parent: int) -> None:
    """Start the W&B run, or continue it if the run was resumed, and send all lines of metrics.jsonl."""
    import wandb

    config = load_record(run_dir / "config.yaml")
    id_file = run_dir / "wandb_id.txt"
    run_id = os.environ.get("WANDB_RUN_ID") or (id_file.read_text().strip() if id_file.is_file() else None)
    run = wandb.init(
        project=config.wandb.project,
        group=config.wandb.group,
        tags=list(config.wandb.tags) or None,
        name=config.name,
        config=config_to_dict(config),
        dir=str(run_dir),
        mode=config.wandb.mode,
        id=run_id,
        resume="allow",
        settings=wandb.Settings(
            init_timeout=INIT_TIMEOUT_SECONDS,
            console="off",
            silent=True,
            save_code=False,
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
        ),
    )
    id_file.write_text(run.id)
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    for row in follow(run_dir / "metrics.jsonl", from_byte, parent):
        log_row(run, row, run_dir)
    run.finish()


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return 0 if everything was sent, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--from-byte", type=int, default=0)
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parent = os.getppid()
    try:
        mirror(arguments.run_dir, arguments.from_byte, parent)
    except Exception as error:
        print(f"W&B: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
