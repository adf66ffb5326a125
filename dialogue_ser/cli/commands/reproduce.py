"""``dialogue-ser reproduce RUN``: make a run again and compare both bit by bit."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.foreign_text.terminal_text import visible
from dialogue_ser.trust import Trust

if TYPE_CHECKING:
    from dialogue_ser.runs.same_bits import Part
    from dialogue_ser.training.reproduce import Recorded

#: File in the folder of the new run: what differed before and after.
RECORD = "reproduction.json"


def reproduce(
    run: str,
    out: str | None = None,
    threads: str = "recorded",
    data_path: str | None = None,
    resume: bool = False,
    allow_mismatch: bool = False,
    trust_code: bool = False,
) -> int:
    """Make a run again from its directory, and compare both bit by bit.

    The settings and the seed are those of config.yaml. Before the training, everything is listed that differs from what
    environment.json has recorded: versions, data, features, threads, machine, device. After it, losses, weights,
    predictions and scores are compared. The directory of the run is only read.

    The exit status is 0 if all bits are the same, 1 if something differs, and 2 if the run cannot be made again, e.g.
    because its data are missing.

    Args:
        run: directory of a finished run, also a run of a suite or a fold of a cross-validation.
        out: folder of the new run. If left out: runs/again/ and the name of the folder.
        threads: number of threads, or recorded = as many as the run had.
        data_path: where the corpus lies now, if it was moved.
        resume: continue a repetition that was stopped.
        allow_mismatch: train even if the corpus or config.yaml is not that of the run.
        trust_code: allow your own code that the run names. It is run, so allow only code that you trust.
    """
    from dialogue_ser.training.loop.devices import is_main_process
    from dialogue_ser.training.reproduce import read_recorded
    from dialogue_ser.training.reproduce import reproduce as train_again

    folder, n_threads = Path(run), _threads(threads)
    target = Path(out) if out else Path("runs") / "again" / folder.resolve().name
    recorded = read_recorded(folder, trust_code=trust_code)
    if recorded.is_from_gpu:
        device = recorded.environment["device"]
        print(visible(f"warning: the run was trained on {device}; GPUs round differently, so expect other bits"))
    before: list[str] = []

    def announce(differences: Sequence[str]) -> None:
        before.extend(differences)
        print(visible(_before_text(recorded, before)), flush=True)

    try:
        train_again(
            recorded,
            target,
            threads=n_threads,
            data_path=data_path,
            resume=resume,
            allow_mismatch=allow_mismatch,
            announce=announce,
        )
    except (SystemExit, KeyboardInterrupt):  # the message of the training would resume without comparing
        print(visible(f"stopped: dialogue-ser reproduce {run} --out {target} --resume continues"), file=sys.stderr)
        raise
    if not is_main_process():
        return 0
    parts = _compare(recorded, target, trust_code)
    _write(target, folder, before, parts)
    for part in parts:
        print(visible(_line(part)))
    is_same = not any(part.different for part in parts)
    print(f"{'same bits' if is_same else 'different'}: {folder} and {target}")
    return 0 if is_same else 1


def _threads(text: str) -> int | None:
    """Return the number of threads; None = as recorded."""
    if text == "recorded":
        return None
    if not text.isdecimal():
        raise ConfigError(f"--threads: found {text!r}, expected a whole number, or recorded")
    return int(text)


def _before_text(recorded: "Recorded", differences: Sequence[str]) -> str:
    """Say what differs before the training begins."""
    config, environment = recorded.config, recorded.environment
    threads = environment.get("threads", "unknown")
    lines = [f"run: {recorded.folder} ({config.name}, seed {config.seed}, threads: {threads})"]
    if not environment:
        lines.append("environment.json is missing, so versions and data cannot be compared")
    elif differences:
        lines += ["what differs before the training:", *(f"  {one}" for one in differences)]
    else:
        lines.append("nothing differs before the training: versions, data, features, threads, machine and device")
    return "\n".join(lines)


def _compare(recorded: "Recorded", target: Path, trust_code: Trust) -> "list[Part]":
    """Score the new run if the first one has scores, then compare both."""
    from dialogue_ser.evaluation.run import evaluate_run
    from dialogue_ser.runs.same_bits import compare_runs
    from dialogue_ser.training.data.prepare import requested_metrics

    if (recorded.folder / "scores.json").is_file():
        evaluate_run(target, metrics=requested_metrics(recorded.config))
    return compare_runs(recorded.folder, target)


def _write(target: Path, folder: Path, before: Sequence[str], parts: "Sequence[Part]") -> None:
    """Write what differed as JSON into the folder of the new run."""
    from dialogue_ser.durable import write_atomically
    from dialogue_ser.runs.run_files import to_json

    record: dict[str, Any] = {"run": str(folder), "differs_before": list(before)}
    record |= {"is_same": not any(part.different for part in parts), "parts": [part.to_json() for part in parts]}
    write_atomically(target / RECORD, to_json(record))


def _line(part: "Part") -> str:
    """Return the line about one kind of result."""
    if not part.different:
        return f"{part.name}: all {part.compared} values are equal"
    largest = "" if part.largest is None else f"; largest difference {part.largest:.3g}"
    return f"{part.name}: {part.different} of {part.compared} values differ; first: {part.first}{largest}"
