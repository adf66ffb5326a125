"""Speed of the dialogue recurrences: ``python -m benchmarks.recurrence [--quick] [--json FILE] [--record]``.

The benchmark compares our recurrences (DialogueRNN with and without listeners, EmotionRNN with both engines) with two
others: the plain loop that every published implementation uses (`benchmarks.speed.plain_loop`), and a packed
bidirectional GRU of torch with the same number of multiply-adds. A train step is forward, backward and the step of
Adam, over batches with the lengths and speakers of MELD. Inference runs in evaluation mode. The benchmark also shows
how time and memory grow with turns, batch and parties (`benchmarks.speed.growth`). All candidates take turns in one
process. The results are medians and ratios, because absolute times mean nothing on a shared machine.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks import memory
from benchmarks.speed import contest, growth
from benchmarks.speed.contest import INPUT_DIM, WIRINGS, Candidate, Work, typical
from benchmarks.speed.multiply_adds import average_listeners, average_updates, equal_work_gru, per_turn
from dialogue_ser import __version__
from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.sampler import batches, shuffled
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.errors import MissingDataError
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.report.sections.tables import render_rich

RESULTS = Path(__file__).parent / "results" / "recurrence.json"
LOOP, LOOP_LISTENERS = "plain loop", "plain loop, listeners"
LOOP_OF = {"DialogueRNN": LOOP, "DialogueRNN, listeners": LOOP_LISTENERS}
AUTOGRAD = "EmotionRNN, autograd engine"
BATCH_SIZE = 30
Rounds = list[list[float]]
"""Seconds ``[round][batch]``."""


class OneLineParser(argparse.ArgumentParser):
    """A parser that prints an error in one line and exits with status 2."""

    def error(self, message: str) -> NoReturn:
        """Print the message in one line."""
        self.exit(2, f"error: {message}; --help lists the options\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options. They are checked before anything is measured."""
    parser = OneLineParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute: 2 batches, 3 rounds, few sizes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result, and its picture beside it")
    parser.add_argument("--record", action="store_true", help=f"write {RESULTS} and its picture")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds that count (5; 3 if --quick)")
    parser.add_argument("--batches", type=int, metavar="N", help="batches a round (10; 2 if --quick)")
    args = parser.parse_args(argv)
    args.repeats = (3 if args.quick else 5) if args.repeats is None else args.repeats
    args.batches = (2 if args.quick else 10) if args.batches is None else args.batches
    for name in ("threads", "repeats", "batches"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: give 1 or more")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch finds no CUDA device here; leave it away")
    if args.json is not None and not args.json.absolute().parent.is_dir():
        parser.error(f"--json {args.json}: there is no folder {args.json.absolute().parent}; make it first")
    if args.json is not None and args.json.suffix == ".png":
        parser.error(f"--json {args.json}: the picture takes that name; call the file .json")
    if args.quick and args.record:
        parser.error("--record keeps full runs only; leave --quick away")
    return args


def meld_dialogues(n_batches: int, device: torch.device) -> tuple[str, list[Work]]:
    """Name of the corpus (MELD, or the bundled sample without it) and batches as the trainer draws them."""
    try:
        name, corpus = "MELD", read_corpus("meld")
    except MissingDataError:
        name, corpus = "sample", read_corpus("sample")
    dialogues = corpus.split("train")
    pieces = batches(shuffled(len(dialogues), seed=1, epoch=0), BATCH_SIZE)[:n_batches]
    drawn = [collate([dialogues[i] for i in piece], {}, corpus.label_set) for piece in pieces]
    return name, [contest.work(batch.speaker, batch.n_turns, device=device) for batch in drawn]


def gru_of(system: str) -> str:
    """Name of the GRU that needs the same number of multiply-adds as a system."""
    return f"nn.GRU as large as {system}"


def candidates(works: Sequence[Work], device: torch.device) -> tuple[dict[str, Candidate], dict[str, dict[str, Any]]]:
    """All candidates, and the work of our recurrences."""
    speakers = [row[row >= 0].tolist() for batch in works for row in batch.speaker_BT]
    updates, listeners = average_updates(speakers), average_listeners(speakers)
    found, counts = {}, {}
    for system in WIRINGS:  # those that are compared run one after the other
        if system in LOOP_OF:
            found[LOOP_OF[system]] = contest.plain(LOOP_OF[system] == LOOP_LISTENERS, device)
        own = contest.ours(system, device)
        assert isinstance(own.module, DialogueRecurrence)
        counted = per_turn(own.module, updates)
        gru = equal_work_gru(counted, INPUT_DIM)
        found |= {system: own, gru_of(system): contest.packed(gru, device)}
        counts[system] = {
            "multiply_adds_per_turn_and_direction": counted,
            "the_same_if_every_listener_were_updated": per_turn(own.module, listeners),
            "gru_hidden": gru.hidden_size,
        }
    found[AUTOGRAD] = contest.ours("EmotionRNN", device, engine="autograd")
    return found, counts


def compete(
    found: Mapping[str, Candidate], works: Sequence[Work], args: argparse.Namespace, progress: Progress
) -> dict[str, dict[str, Rounds]]:
    """Seconds of every round: train steps, inference, train steps with a gradient of x (full runs, no loops)."""
    device = torch.device(args.device)
    with_gradient = [batch.with_gradient() for batch in works]
    contests = {"train": (found, works, Candidate.train), "infer": (found, works, Candidate.infer)}
    if not args.quick:
        no_loops = {name: candidate for name, candidate in found.items() if name not in LOOP_OF.values()}
        contests["train_gradient_to_x"] = (no_loops, with_gradient, Candidate.train)
    seconds = {}
    for what, (running, given, method) in contests.items():
        task = progress.add_task(what.replace("_", " "), total=len(running) * args.repeats)
        for candidate in running.values():  # to warm up
            method(candidate, given[0])
        runs = {name: [partial(method, own, batch) for batch in given] for name, own in running.items()}
        seconds[what] = contest.interleaved(runs, args.repeats, device, partial(progress.advance, task))
    return seconds


def ratio(rounds: Mapping[str, Rounds], above: str, below: str) -> float:
    """Ratio of the seconds of two candidates."""
    return typical(rounds[above]) / typical(rounds[below])


def vs_gru(rounds: Mapping[str, Rounds]) -> dict[str, float]:
    """Our time divided by the time of the GRU of equal work, for each system."""
    return {system: ratio(rounds, system, gru_of(system)) for system in WIRINGS}


def ratios(seconds: Mapping[str, Mapping[str, Rounds]], scaling: float) -> dict[str, float]:
    """The ratios for which there are goals."""
    train, infer = seconds["train"], seconds["infer"]
    return {
        "train_vs_loop": ratio(train, LOOP, "DialogueRNN"),
        "train_vs_loop_listeners": ratio(train, LOOP_LISTENERS, "DialogueRNN, listeners"),
        "infer_vs_loop": ratio(infer, LOOP, "DialogueRNN"),
        "vs_equal_work_gru": max(vs_gru(train).values()),
        "emotion_rnn_vs_dialogue_rnn": ratio(train, "EmotionRNN", "DialogueRNN, listeners"),
        "scaling_64_to_4096": scaling,
    }


def rows_of(rounds: Mapping[str, Rounds], n_batches: int) -> list[dict[str, Any]]:
    """One row per candidate."""
    return [
        {
            "candidate": name,
            "milliseconds_per_batch": 1e3 * typical(times) / n_batches,
            "fastest": 1e3 * min(map(sum, times)) / n_batches,
            "slowest": 1e3 * max(map(sum, times)) / n_batches,
        }
        for name, times in rounds.items()
    ]


def measure(args: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Measure everything and return the result."""
    device = torch.device(args.device)
    torch.set_num_threads(args.threads)
    contest.without_tf32()
    torch.manual_seed(0)
    machine = contest.machine(device)
    corpus, works = meld_dialogues(args.batches, device)
    found, counts = candidates(works, device)
    seconds = compete(found, works, args, progress)
    scaling = growth.scaling(device, args.repeats, progress, quick=args.quick)
    curves = growth.curves(device, progress, quick=args.quick)
    memory.add_peaks(curves, device, progress, quick=args.quick, threads=args.threads)
    long_dialogue = memory.long_dialogue(device, progress, quick=args.quick, threads=args.threads)
    machine["load_average_after"] = contest.load_average()
    train, infer, n_turns = seconds["train"], seconds["infer"], sum(batch.n_turns for batch in works)
    return {
        "what": f"{corpus} train, {args.batches} batches of {BATCH_SIZE} dialogues, {n_turns} turns",
        "machine": machine,
        "versions": {
            "python": platform.python_version(),
            "dialogue-ser": __version__,
            "torch": torch.__version__,
        },
        "command": command_line(args),
        "is_quick": args.quick,
        "protocol": {
            "sizes": f"x {INPUT_DIM}, G = P = 150, E = 100, 2 directions, general attention, dropout {contest.DROPOUT}",
            "train": "forward + backward + Adam's step (fused), fp32 (no TF32), the recurrence alone, no gradient to x",
            "timing": f"candidates by turns, warmed up; sum over the batches of the median of {args.repeats} rounds",
            "ratios": "of these sums; loop ÷ ours, ours ÷ nn.GRU, EmotionRNN ÷ DialogueRNN with listeners",
            "equal work": "multiply-adds that ours execute, query of attention and updates of listeners included",
        },
        "ratios": ratios(seconds, scaling["train_step"]),
        "vs_equal_work_gru_by_system": vs_gru(train),
        "vs_equal_work_gru_by_system_infer": vs_gru(infer),
        "vs_equal_work_gru_by_system_gradient_to_x": None if args.quick else vs_gru(seconds["train_gradient_to_x"]),
        "infer_vs_loop_listeners": ratio(infer, LOOP_LISTENERS, "DialogueRNN, listeners"),
        "autograd_engine_vs_manual": ratio(train, AUTOGRAD, "EmotionRNN"),
        "work": counts,
        **{what: rows_of(rounds, args.batches) for what, rounds in seconds.items()},
        "scaling": scaling,
        "growth": curves,
        "memory": long_dialogue,
    }


def command_line(args: argparse.Namespace) -> str:
    """The command line without paths."""
    given = [f"--threads {args.threads}", f"--repeats {args.repeats}", f"--batches {args.batches}"]
    given += [f"--device {args.device}"] + ["--quick"] * args.quick + ["--record"] * args.record
    return f"python -m benchmarks.recurrence {' '.join(given)}"


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print the ratios and the times."""
    console.print(f"[bold]{result['what']}[/bold]")
    console.print(result["machine"]["line"], highlight=False)
    console.print(render_rich([{"ratio": name, "value": f"{value:.2f}"} for name, value in result["ratios"].items()]))
    infer = {row["candidate"]: row["milliseconds_per_batch"] for row in result["infer"]}
    rows = [
        {
            "candidate": row["candidate"],
            "train ms/batch": f"{row['milliseconds_per_batch']:.1f}",
            "infer ms/batch": f"{infer[row['candidate']]:.1f}",
        }
        for row in result["train"]
    ]
    console.print(render_rich(rows))
    console.print(f"memory: {json.dumps(result['memory'])}", highlight=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the result and write it."""
    args = parse(argv)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            result = measure(args, progress)
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        return 130
    show(result, Console())
    for target in [args.json] * (args.json is not None) + [RESULTS] * args.record:
        target.write_text(json.dumps(result, indent=1) + os.linesep, encoding="utf-8")
        target.with_suffix(".png").write_bytes(growth.picture(result))
        print(f"written: {target} and {target.with_suffix('.png').name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
