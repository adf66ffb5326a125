"""Renders the tables of README and docs from benchmarks/results/*.json: ``python -m benchmarks.tables [--check]``."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.page_tables import (  # noqa: F401  (register their tables)
    encoder_tables,
    fault_tables,
    golden_tables,
    memory_tables,
    process_tables,
    room_tables,
    speed_tables,
    startup_tables,
    suite_tables,
    sweep_tables,
    wandb_tables,
)
from benchmarks.results_files import Result, now, read_result, seeds_score
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.table import heading_of
from dialogue_ser.report.readme import register_renderer, render
from dialogue_ser.report.sections.tables import (
    format_difference,
    format_interval,
    format_score,
    render_markdown,
)

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PAGES = (
    "README.md",
    "docs/text-encoders.md",
    "docs/results.md",
    "docs/benchmark.md",
    "docs/sweeps.md",
    "docs/performance.md",
    "docs/encoders.md",
    "docs/crossval.md",
    "docs/regression.md",
    "docs/architecture.md",
    "docs/reliability.md",
    "docs/cluster.md",
    "docs/wandb.md",
)
PUBLISHED = "document's weighted F1 (accuracy)"


def _row(row: Result) -> dict[str, str]:
    published = row.get("published")
    return {
        "system": row["variant"],
        "features": row["features"],
        "test weighted F1": seeds_score(row, "test", "weighted_f1"),
        heading_of("accuracy"): seeds_score(row, "test", "accuracy"),
        "macro F1": seeds_score(row, "test", "macro_f1"),
        "dev weighted F1": seeds_score(row, "dev", "weighted_f1"),
        PUBLISHED: ("–" if published is None else f"{format_score(published[1], 4)} ({format_score(published[0], 4)})"),
    }


def _floor(row: Result) -> dict[str, str]:
    return {
        "system": row["floor"],
        "features": row["features"],
        "test weighted F1": format_score(row["test"]["weighted_f1"], 3),
        heading_of("accuracy"): format_score(row["test"]["accuracy"], 3),
        "macro F1": format_score(row["test"]["macro_f1"], 3),
        "dev weighted F1": format_score(row["dev"]["weighted_f1"], 3),
        PUBLISHED: "–",
    }


def meld(result: Result, *suites: str) -> str:
    """All rows of one table of the MELD benchmark, and how they were measured; the suites make these rows now."""
    rows = [_row(row) for row in result["systems"]] + [_floor(row) for row in result.get("floors", ())]
    if not any(row.get("published") for row in result["systems"]):
        rows = [{name: cell for name, cell in row.items() if name != PUBLISHED} for row in rows]
    n_seeds = len(result["seeds"])
    return (
        f"{render_markdown(rows)}\n\n{n_seeds} seed{'s' if n_seeds > 1 else ''}, mean ± std, epoch chosen on dev; "
        f"{result['minutes_of_training']:.0f} minutes of one-thread training, {result['workers']} at a time; "
        f"torch {result['versions']['torch']}. `{result['command']}`; {now(*suites)}"
    )


@register_renderer("meld")
def _meld(folder: Path) -> str:
    return meld(read_result(folder, "meld.json"), "meld", "meld-sentiment")


@register_renderer("meld-source")
def _meld_source(folder: Path) -> str:
    return meld(read_result(folder, "meld-source.json"), "meld-source")


@register_renderer("meld-ablation")
def _meld_ablation(folder: Path) -> str:
    return meld(read_result(folder, "meld-ablation.json"), "meld-ablation")


@register_renderer("meld-headline")
def _meld_headline(folder: Path) -> str:
    """The short table of the README: all systems and the floors, with the main metrics."""
    result = read_result(folder, "meld.json")
    rows = [_row(row) for row in result["systems"]] + [_floor(row) for row in result["floors"]]
    return render_markdown(rows, columns=("system", "features", "test weighted F1", heading_of("accuracy"), PUBLISHED))


@register_renderer("meld-comparisons")
def _meld_comparisons(folder: Path) -> str:
    """Paired differences between systems."""
    rows = []
    for pair in read_result(folder, "meld.json")["comparisons"]:
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
    for row in read_result(folder, "meld.json")["systems"]:
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
            "test weighted F1": seeds_score(row, "test", "weighted_f1"),
            "dev weighted F1": seeds_score(row, "dev", "weighted_f1"),
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
    return sampling(read_result(folder, "sampling.json"))


GOALS: Mapping[str, tuple[str, float]] = {
    "train_vs_loop": ("DialogueRNN, train step: plain loop ÷ ours", 8),
    "train_vs_loop_listeners": ("the same with listeners", 9),
    "infer_vs_loop": ("DialogueRNN, inference: plain loop ÷ ours", 0),
    "vs_equal_work_gru": ("train step: ours ÷ nn.GRU of equal work, the worst of three", -1.25),
    "emotion_rnn_vs_dialogue_rnn": ("train step: EmotionRNN ÷ DialogueRNN with listeners", -1.6),
    "scaling_64_to_4096": ("time per turn: 4096 turns ÷ 64 turns", -1.15),
}
"""Ratios of the recurrence benchmark in words, and their goals: at least this value, at most this value
(negative), or no goal (0)."""


def _recurrence(folder: Path) -> Result:
    result = read_result(folder, "recurrence.json")
    if "ratios" not in result or result["is_quick"]:
        raise DialogueSerError(
            f"{folder / 'recurrence.json'}: no full run of this version; run python -m benchmarks.recurrence --record"
        )
    return result


@register_renderer("recurrence-ratios")
def _recurrence_ratios(folder: Path) -> str:
    """The goals, the measured ratios, and the machine."""
    result = _recurrence(folder)
    rows = [_goal(words, result["ratios"][name], goal) for name, (words, goal) in GOALS.items()]
    memory = result["memory"]["dialogue_500_turns_64_parties_gb"]
    rows.append(_goal("peak memory of a train step, 500 turns, 64 parties, whole process, GB", memory, -2))
    return (
        f"{render_markdown(rows)}\n\n{result['what']}. {result['machine']['line']}; torch "
        f"{result['versions']['torch']}. `{result['command']}`"
    )


def _goal(words: str, value: float | None, goal: float) -> dict[str, str]:
    wanted = f"{'≥' if goal > 0 else '≤'} {abs(goal):g}" if goal else "–"
    is_met = value is not None and (value >= goal if goal >= 0 else value <= -goal)
    return {
        "ratio": words,
        "measured": format_score(value, 2),
        "goal": wanted,
        "met": "–" if not goal or value is None else "yes" if is_met else "no",
    }


@register_renderer("recurrence-times")
def _recurrence_times(folder: Path) -> str:
    """Milliseconds per batch, median and range of the rounds."""
    result = _recurrence(folder)
    columns = {"train": "train step, ms", "train_gradient_to_x": "with a gradient to x, ms", "infer": "inference, ms"}
    cells: dict[str, dict[str, str]] = {row["candidate"]: {} for row in result["train"]}
    for key, column in columns.items():
        for row in result[key]:
            middle, low, high = (row[name] for name in ("milliseconds_per_batch", "fastest", "slowest"))
            cells[row["candidate"]][column] = f"{middle:.1f} ({low:.1f}–{high:.1f})"
    return render_markdown(
        [{"candidate": name, **{c: values.get(c, "–") for c in columns.values()}} for name, values in cells.items()]
    )


@register_renderer("recurrence-work")
def _recurrence_work(folder: Path) -> str:
    """Each recurrence against the nn.GRU of equal work."""
    result = _recurrence(folder)
    rows = []
    for system, work in result["work"].items():
        row = {"recurrence": system, "multiply-adds": f"{work['multiply_adds_per_turn_and_direction'] / 1e6:.3f} M"}
        row["hidden size of the nn.GRU"] = str(work["gru_hidden"])
        for suffix, column in (("", "train"), ("_gradient_to_x", "with a gradient to x"), ("_infer", "inference")):
            row[f"ours ÷ nn.GRU, {column}"] = format_score(result[f"vs_equal_work_gru_by_system{suffix}"][system], 2)
        rows.append(row)
    return render_markdown(rows)


def _recurrence_growth(folder: Path, axis: str) -> str:
    """Microseconds per turn and peak memory, one column per system."""
    growth = _recurrence(folder)["growth"][axis]
    systems = dict.fromkeys(row["system"] for row in growth["rows"])
    found = {(row["system"], row["size"]): row for row in growth["rows"]}
    rows = []
    for size in sorted({row["size"] for row in growth["rows"]}):
        cells = {axis: str(size)}
        for system in systems:
            row = found.get((system, size))
            megabytes = None if row is None else row.get("peak_megabytes")
            memory = "" if megabytes is None else f", {megabytes:.0f} MB"
            cells[system] = "–" if row is None else f"{row['microseconds_per_turn']:.0f} µs{memory}"
        rows.append(cells)
    return f"{render_markdown(rows)}\n\nHeld: {growth['held']}."


for _axis in ("turns", "batch", "parties"):
    register_renderer(f"recurrence-{_axis}")(partial(_recurrence_growth, axis=_axis))


@register_renderer("quickstart")
def _quickstart(folder: Path) -> str:
    """The result of make quickstart in a fresh clone."""
    result = read_result(folder, "quickstart.json")
    rows = [
        {"split": split, **{heading_of(key): format_score(value, 3) for key, value in scores.items()}}
        for split, scores in result["scores"].items()
    ]
    note = f"{result['seconds_after_install']:.0f} s from command to report, on {result['machine']['cpu_count']} cores."
    return f"{render_markdown(rows)}\n\n{note}"


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the pages. With --check, list the stale tables and exit with 1."""
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
