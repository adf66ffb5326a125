"""How a train step grows with turns, batch and parties: shapes, systems, curves of time, their picture."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator
from rich.progress import Progress

from benchmarks.speed import contest
from benchmarks.speed.contest import Candidate, Work
from dialogue_ser.report.figures.theme import themed, to_png

LOOP = "plain loop, listeners"
SYSTEMS = ("EmotionRNN, simple attention", "EmotionRNN", "DialogueRNN, listeners", "DialogueRNN", LOOP)
COLOURS = dict(zip(SYSTEMS, ("#1aa5a0", "#2f6fdb", "#c2571a", "#f0b429", "#6a7481"), strict=True))
AXES: Mapping[str, tuple[int, ...]] = {
    "turns": (8, 64, 512, 4096),
    "batch": (1, 16, 128, 1024),
    "parties": (2, 8, 64),
}
QUICK: Mapping[str, tuple[int, ...]] = {"turns": (16, 128), "batch": (4, 64), "parties": (2, 8)}
LARGEST_LOOP: Mapping[str, int] = {"turns": 512, "batch": 16, "parties": 8}
"""The plain loop stops here: beyond, it would take most of the benchmark's time."""
SHORT, LONG = 64, 4096
"""Turns that `scaling` compares."""
CLOCK_TURNS = 256
"""Turns a timed run has at least: smaller batches are stepped through several times."""
ROUNDS = 2
"""Of a curve; one if it has to be quick."""
HELD: Mapping[str, str] = {
    "turns": "one dialogue of 2 parties that alternate",
    "batch": "dialogues of 16 turns, 3 parties in turn",
    "parties": "4 dialogues of 128 turns, parties in turn",
}


def build(system: str, device: torch.device) -> Candidate:
    """Build one of `SYSTEMS`."""
    if system == LOOP:
        return contest.plain(True, device)
    name, _, simple = system.partition(", simple")
    return contest.ours(name, device, attention="simple" if simple else "general")


def shaped(n_dialogues: int, n_turns: int, n_parties: int, *, device: torch.device, for_loop: bool = False) -> Work:
    """A batch of dialogues of one length whose parties speak in turn."""
    speaker_BT = (torch.arange(n_turns) % n_parties).expand(n_dialogues, -1).contiguous()
    n_turns_B = torch.full((n_dialogues,), n_turns)
    return contest.work(speaker_BT, n_turns_B, device=device, loop_parties=n_parties if for_loop else None)


def sized(axis: str, size: int, *, device: torch.device, for_loop: bool = False) -> Work:
    """The batch at one point of an axis. `HELD` has the sizes that do not change."""
    n_dialogues, n_turns, n_parties = {
        "turns": (1, size, 2),
        "batch": (size, 16, 3),
        "parties": (4, 128, size),
    }[axis]
    return shaped(n_dialogues, n_turns, n_parties, device=device, for_loop=for_loop)


def sizes_for(system: str, axis: str, *, quick: bool) -> tuple[int, ...]:
    """The sizes at which a system is measured."""
    sizes = (QUICK if quick else AXES)[axis]
    return tuple(size for size in sizes if system != LOOP or size <= LARGEST_LOOP[axis])


def repeated(run: Callable[[Work], None], batch: Work) -> list[Callable[[], None]]:
    """Number of steps that is large enough for the clock."""
    return [partial(run, batch)] * max(1, CLOCK_TURNS // batch.n_turns)


def per_turn(rounds: Sequence[Sequence[float]], n_turns: int) -> float:
    """Microseconds per turn: the median over all steps of all rounds, because all steps are equal."""
    return 1e6 * statistics.median(chain.from_iterable(rounds)) / n_turns


def curve(axis: str, device: torch.device, progress: Progress, *, quick: bool) -> list[dict[str, Any]]:
    """Microseconds per turn of a train step, for all systems at all sizes. The systems take turns."""
    found = {system: build(system, device) for system in SYSTEMS}
    runs, turns = {}, {}
    for system, candidate in found.items():
        for size in sizes_for(system, axis, quick=quick):
            batch = sized(axis, size, device=device, for_loop=system == LOOP)
            runs[f"{system}|{size}"], turns[f"{system}|{size}"] = repeated(candidate.train, batch), batch.n_turns
        candidate.train(sized(axis, sizes_for(system, axis, quick=True)[0], device=device, for_loop=system == LOOP))
    repeats = 1 if quick else ROUNDS
    task = progress.add_task(f"growth with {axis}", total=len(runs) * repeats)
    seconds = contest.interleaved(runs, repeats, device, lambda: progress.advance(task))
    rows = []
    for key, times in seconds.items():
        system, size_ = key.split("|")
        rows.append({"system": system, "size": int(size_), "microseconds_per_turn": per_turn(times, turns[key])})
    return rows


def scaling(device: torch.device, repeats: int, progress: Progress, *, quick: bool) -> dict[str, float]:
    """Time per turn of a `LONG` dialogue divided by that of a `SHORT` one: EmotionRNN, simple attention, 2 parties."""
    candidate = build("EmotionRNN, simple attention", device)
    methods = {"train_step": candidate.train} | ({} if quick else {"without_adam": candidate.backward})
    runs = {}
    for size in (SHORT, LONG):
        batch = sized("turns", size, device=device)
        for name, run in methods.items():
            runs[f"{name} {size}"] = repeated(run, batch)
    candidate.train(sized("turns", SHORT, device=device))  # to warm up
    task = progress.add_task(f"{SHORT} and {LONG} turns", total=len(runs) * repeats)
    seconds = contest.interleaved(runs, repeats, device, lambda: progress.advance(task))
    found = {name: per_turn(times, int(name.split()[1])) for name, times in seconds.items()}
    ratios = {name: found[f"{name} {LONG}"] / found[f"{name} {SHORT}"] for name in methods}
    return {f"microseconds_per_turn {name}": value for name, value in found.items()} | ratios


def curves(device: torch.device, progress: Progress, *, quick: bool) -> dict[str, dict[str, Any]]:
    """For each axis: the sizes that do not change, and one row per point."""
    return {axis: {"held": HELD[axis], "rows": curve(axis, device, progress, quick=quick)} for axis in AXES}


def picture(result: Mapping[str, Any]) -> bytes:
    """`figure` as PNG."""
    with themed("light"):
        return to_png(figure(result))


def figure(result: Mapping[str, Any]) -> Figure:
    """Time per turn and peak memory over turns, batch and parties, log axes."""
    drawn = Figure(figsize=(12, 7), layout="constrained")
    panels = drawn.subplots(2, len(result["growth"]))
    quantities = (("microseconds_per_turn", "train step, µs per turn"), ("peak_megabytes", "peak memory, MB"))
    for column, (axis, growth) in enumerate(result["growth"].items()):
        for axes, (key, label) in zip(panels[:, column], quantities, strict=True):
            _lines(axes, growth["rows"], key)
            axes.set_xlabel(axis)
            axes.set_ylabel(label if column == 0 else "")
        panels[0, column].set_title(f"Growth with {axis}\n{growth['held']}", fontsize=9)
    handles, names = panels[0, 0].get_legend_handles_labels()
    drawn.legend(handles, names, loc="outside lower center", ncols=len(names))
    drawn.suptitle(result["machine"]["line"], fontsize=8)
    return drawn


def _lines(axes: Axes, rows: Sequence[Mapping[str, Any]], key: str) -> None:
    """Draw one line per system. Points without a value are left out."""
    for system in SYSTEMS:
        points = [(row["size"], row[key]) for row in rows if row["system"] == system and row.get(key) is not None]
        if points:
            style = "--" if system == LOOP else "-"
            x, y = zip(*points, strict=True)
            axes.plot(x, y, style, label=system, color=COLOURS[system], marker="o", markersize=3.5, linewidth=1.7)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted({row["size"] for row in rows})))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for scale in (axes.xaxis, axes.yaxis):  # plain numbers: the theme draws no mathematics
        scale.set_major_formatter(lambda value, _: f"{value:g}")
        scale.set_minor_locator(NullLocator())
    axes.grid(which="major")
