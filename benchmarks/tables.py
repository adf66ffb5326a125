"""Renders the tables of README and docs from benchmarks/results/*.json: ``python -m benchmarks.tables [--check]``."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.report.readme import register_renderer, render
from dialogue_ser.report.tables import (
    format_difference,
    format_interval,
    format_mean_std,
    format_score,
    render_markdown,
)

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PAGES = ("README.md", "docs/results.md")
Result = Mapping[str, Any]
PUBLISHED = "document's weighted F1 (accuracy)"


def _read(folder: Path, name: str) -> Result:
    if not (folder / name).is_file():
        raise MissingDataError(f"{folder / name}: does not exist; run the benchmark that writes it with --record")
    value: Result = json.loads((folder / name).read_text(encoding="utf-8"))
    return value


def _score(row: Result, split: str, metric: str) -> str:
    value = row[split][metric]
    return format_mean_std(value["mean"], value["std"] if value["n"] > 1 else None, digits=3)


def _row(row: Result) -> dict[str, str]:
    published = row["published"]
    return {
        "system": row["variant"],
        "features": row["features"],
        "test weighted F1": _score(row, "test", "weighted_f1"),
        "accuracy": _score(row, "test", "accuracy"),
        "macro F1": _score(row, "test", "macro_f1"),
        "dev weighted F1": _score(row, "dev", "weighted_f1"),
        PUBLISHED: ("–" if published is None else f"{format_score(published[1], 4)} ({format_score(published[0], 4)})"),
    }


def _floor(row: Result) -> dict[str, str]:
    return {
        "system": row["floor"],
        "features": row["features"],
        "test weighted F1": format_score(row["test"]["weighted_f1"], 3),
        "accuracy": format_score(row["test"]["accuracy"], 3),
        "macro F1": format_score(row["test"]["macro_f1"], 3),
        "dev weighted F1": format_score(row["dev"]["weighted_f1"], 3),
        PUBLISHED: "–",
    }


def meld(result: Result) -> str:
    """All rows of one table of the MELD benchmark, and how they were measured."""
    rows = [_row(row) for row in result["systems"]] + [_floor(row) for row in result.get("floors", ())]
    if not any(row["published"] for row in result["systems"]):
        rows = [{name: cell for name, cell in row.items() if name != PUBLISHED} for row in rows]
    n_seeds = len(result["seeds"])
    return (
        f"{render_markdown(rows)}\n\n{n_seeds} seed{'s' if n_seeds > 1 else ''}, mean ± std, epoch chosen on dev; "
        f"{result['minutes_of_training']:.0f} minutes of one-thread training, {result['workers']} at a time; "
        f"torch {result['versions']['torch']}. `{result['command']}`"
    )


@register_renderer("meld")
def _meld(folder: Path) -> str:
    return meld(_read(folder, "meld.json"))


@register_renderer("meld-source")
def _meld_source(folder: Path) -> str:
    return meld(_read(folder, "meld-source.json"))


@register_renderer("meld-ablation")
def _meld_ablation(folder: Path) -> str:
    return meld(_read(folder, "meld-ablation.json"))


@register_renderer("meld-headline")
def _meld_headline(folder: Path) -> str:
    """The README's short form: EmotionRNN, the speaker-blind model and the floors, one metric."""
    result = _read(folder, "meld.json")
    rows = [_row(row) for row in result["systems"]] + [_floor(row) for row in result["floors"]]
    return render_markdown(rows, columns=("system", "features", "test weighted F1", "accuracy", PUBLISHED))


@register_renderer("meld-comparisons")
def _meld_comparisons(folder: Path) -> str:
    """Paired differences."""
    rows = []
    for pair in _read(folder, "meld.json")["comparisons"]:
        difference, random = pair["difference"], pair["randomisation"]
        rows.append(
            {
                "A": pair["a"],
                "B": pair["b"],
                "A − B, weighted F1": format_difference(difference["estimate"]),
                "95 % interval": format_interval(difference["low"], difference["high"]),
                "p": format_score(None if random is None else random["p_value"], 4),
            }
        )
    return render_markdown(rows)


@register_renderer("meld-classes")
def _meld_classes(folder: Path) -> str:
    """F1 per class on test."""
    rows = []
    for row in _read(folder, "meld.json")["systems"]:
        if row["group"] in ("emotion-rnn", "speaker-blind"):
            classes = {name: format_score(value["mean"], 3) for name, value in row["test_f1_per_class"].items()}
            rows.append({"system": row["variant"], "features": row["features"], **classes})
    return render_markdown(rows)


def sampling(result: Result) -> str:
    """Shuffled against length-bucketed batches."""
    speed, change = result["seconds_per_epoch"], result["comparison"]["test"]["difference"]
    rows = [
        {
            "sampling": row["variant"],
            "padded": f"{row['padded_share']:.0%}",
            "steps of the recurrence an epoch": f"{row['recurrence_steps']:.0f}",
            "seconds an epoch": f"{speed['median'][row['variant']]:.2f}",
            "test weighted F1": _score(row, "test", "weighted_f1"),
            "dev weighted F1": _score(row, "dev", "weighted_f1"),
        }
        for row in result["rows"]
    ]
    n_seeds, n_epochs = len(result["seeds"]), len(speed["values"]["shuffled"])
    interval = format_interval(change["low"], change["high"])
    return (
        f"{render_markdown(rows)}\n\nAn epoch of shuffled batches takes {speed['shuffled_vs_bucketed']:.2f} times as "
        f"long (threads: {speed['threads']}; {n_epochs} epochs of each in turn, medians). Bucketed − shuffled on test: "
        f"{format_difference(change['estimate'])}, 95 % interval {interval} over dialogues and {n_seeds} "
        f"seed{'s' if n_seeds > 1 else ''}; torch {result['versions']['torch']}. `{result['command']}`"
    )


@register_renderer("sampling")
def _sampling(folder: Path) -> str:
    return sampling(_read(folder, "sampling.json"))


@register_renderer("quickstart")
def _quickstart(folder: Path) -> str:
    """What make quickstart gave on a fresh clone."""
    result = _read(folder, "quickstart.json")
    rows = [{"split": split, **{k: format_score(v, 3) for k, v in s.items()}} for split, s in result["scores"].items()]
    note = f"{result['seconds_after_install']:.0f} s from command to report, on {result['machine']['cpu_count']} cores."
    return f"{render_markdown(rows)}\n\n{note}"


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the pages, or with --check say which tables are stale (exit 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(argv)
    try:
        stale = [f"{page}: {name}" for page in PAGES for name in render(ROOT / page, RESULTS, check=args.check)]
    except DialogueSerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for line in stale:
        print(f"{'stale' if args.check else 'rendered'}: {line}")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
