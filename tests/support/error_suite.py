"""The folder of a suite as dialogue-ser benchmark leaves it, with predictions that a test states."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

#: (split, dialogue, speaker, text, gold) of every turn.
Turn = tuple[str, str, str, str | None, str | None]


def write_error_suite(
    folder: Path,
    turns: Sequence[Turn],
    systems: Mapping[str, Mapping[int, Sequence[Sequence[float]] | None]],
    names: Sequence[str] = ("a", "b"),
    *,
    reference: str = "",
    gold_values: Sequence[Sequence[float]] | None = None,
    folds: Sequence[str] | None = None,
    config: str = "data: {reader: table, path: none.csv}",
) -> Path:
    """Write suite.json and the run directories.

    Args:
        folder: folder of the suite.
        turns: the turns.
        systems: label → seed → probabilities (or values) of every turn; None = the run is not finished.
        names: classes, or dimensions.
        reference: label of the reference.
        gold_values: gold of a regression, turn × dimension; None = the labels of the turns are gold.
        folds: fold of every turn, for a suite of cross-validations.
        config: more lines for config.yaml.
    """
    rows = []
    for label, seeds in systems.items():
        runs = []
        for seed, numbers in seeds.items():
            run = folder / "runs" / label.replace(" · ", "/") / f"seed{seed}-00000000"
            run.mkdir(parents=True, exist_ok=True)
            (run / "config.yaml").write_text(f"seed: {seed}\n{config}")
            if numbers is not None:
                frame = predictions_frame(turns, np.asarray(numbers, dtype=float), names, gold_values)
                if folds is not None:
                    frame["fold"] = list(folds)
                frame.to_parquet(run / "predictions.parquet")
            key = f"{label.replace(' · ', '/')}/seed{seed}"
            runs.append({"key": key, "seed": seed, "folder": run.relative_to(folder).as_posix()})
        rows.append({"label": label, "reference": "" if label == reference else reference, "runs": runs})
    contents = {
        "format": 1, "kind": "suite-contents", "name": "tiny", "description": "", "split": "test", "rows": rows,
        "protocol": "dev" if folds is None else "crossval",
    }  # fmt: skip
    (folder / "suite.json").write_text(json.dumps(contents))
    return folder


def predictions_frame(
    turns: Sequence[Turn], numbers: np.ndarray, names: Sequence[str], gold_values: Sequence[Sequence[float]] | None
) -> pd.DataFrame:
    """Return the table of predictions of some turns."""
    frame = pd.DataFrame(turns, columns=["split", "dialogue_id", "speaker", "text", "gold"])
    frame["turn"] = frame.groupby(["split", "dialogue_id"]).cumcount()
    frame["utterance_id"] = [f"{one.split}/{one.dialogue_id}_{one.turn}" for one in frame.itertuples()]
    if gold_values is not None:
        frame = frame.drop(columns="gold")
        for i, name in enumerate(names):
            frame[f"gold_{name}"] = np.asarray(gold_values, dtype=float)[:, i]
            frame[f"predicted_{name}"] = numbers[:, i]
        return frame
    frame["predicted"] = [names[i] for i in numbers.argmax(1)]
    for i, name in enumerate(names):
        frame[f"p_{name}"] = numbers[:, i]
    return frame
