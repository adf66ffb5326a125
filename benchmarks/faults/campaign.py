"""The campaign: families of faults, a work folder that remembers what was tried, and the result.

python -m benchmarks.faults --quick              # at most 10 minutes on 2 cores
python -m benchmarks.faults --record             # the whole campaign, at most 150 minutes on 2 cores
python -m benchmarks.faults --only flips --case 137

A campaign that was interrupted continues when it is started again with the same ``--work``. The exit status is 0 if all
cases survived, 1 if some did not.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.faults import configs, flips, kills, media, runs, signals, stores, tables
from benchmarks.faults.core.case import Family
from benchmarks.faults.core.record import RESULT, WorkFolder, failures_of, finished, render, summary_of, write_result
from benchmarks.faults.core.schedule import run_cases

_MODULES = (kills, signals, flips, media, tables, configs, stores, runs)
#: name → the family and the module that has it.
FAMILIES: dict[str, tuple[Family, str]] = {module.FAMILY.name: (module.FAMILY, module.__name__) for module in _MODULES}
DEFAULT_SEED = 13


class OneLineParser(argparse.ArgumentParser):
    """A parser that prints an error in one line and exits with status 2."""

    def error(self, message: str) -> NoReturn:
        """Print the message in one line."""
        self.exit(2, f"error: {message}; --help lists the options\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options. They are checked before anything is done."""
    parser = OneLineParser(
        prog="python -m benchmarks.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases of every family: at most 10 minutes")
    parser.add_argument("--only", nargs="+", choices=list(FAMILIES), metavar="FAMILY", help=", ".join(FAMILIES))
    parser.add_argument("--cases", type=int, metavar="N", help="number of cases of each family")
    parser.add_argument("--case", type=int, metavar="N", help="one case of one family, again; nothing is recorded")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help=f"seed of all faults ({DEFAULT_SEED})")
    parser.add_argument("--work", type=Path, help="folder of the campaign (runs/faults, or runs/faults-quick)")
    parser.add_argument("--workers", type=int, default=2, help="cases at the same time (2)")
    parser.add_argument("--keep", action="store_true", help="keep the folder of every case that did not survive")
    parser.add_argument("--record", action="store_true", help=f"write {RESULT}")
    args = parser.parse_args(argv)
    args.work = args.work or Path("runs") / ("faults-quick" if args.quick else "faults")
    args.only = args.only or list(FAMILIES)
    for name in ("cases", "workers"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: give 1 or more")
    if args.case is not None and (args.case < 0 or len(args.only) != 1):
        parser.error("--case N needs one family (--only FAMILY) and a number of at least 0")
    if args.record and (args.case is not None or args.cases is not None or len(args.only) < len(FAMILIES)):
        parser.error("--record keeps whole campaigns only; leave --only, --case and --cases away")
    if args.seed < 0:
        parser.error(f"--seed {args.seed}: give 0 or more")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign, print its table and its failures, and write the result."""
    args = parse(argv)
    tokens = list(sys.argv[1:] if argv is None else argv)
    numbers = {name: _numbers(FAMILIES[name][0], args) for name in args.only}
    try:
        work = WorkFolder(args.work, seed=args.seed, is_quick=args.quick)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    chosen = {name: FAMILIES[name] for name in args.only}
    signal.signal(signal.SIGTERM, _stop)  # so that the cases under way are ended too
    try:
        outcomes = run_cases(work, chosen, numbers, workers=args.workers, keep=args.keep, again=args.case is not None)
    except KeyboardInterrupt:
        print(f"interrupted; continue with: python -m benchmarks.faults {' '.join(tokens)}", file=sys.stderr)
        return 130
    families = {name: family for name, (family, _) in chosen.items()}
    rows = summary_of(outcomes, families)
    print(render(rows))
    failures = failures_of(outcomes)
    for failure in failures:
        print(f"\nfailed: {failure['what']}\n  again: {_again(failure, args)}")
    if args.case is None and finished(outcomes, numbers):
        target = RESULT if args.record else args.work / RESULT.name
        command = f"python -m benchmarks.faults {' '.join(tokens)}".strip()
        write_result(target, rows, outcomes, work, command)
        print(f"\nwritten: {target}")
    return 1 if failures else 0


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _numbers(family: Family, args: argparse.Namespace) -> range:
    if args.case is not None:
        return range(args.case, args.case + 1)
    return range(args.cases or (family.quick if args.quick else family.full))


def _again(failure: dict[str, object], args: argparse.Namespace) -> str:
    seed = "" if args.seed == DEFAULT_SEED else f" --seed {args.seed}"
    return f"python -m benchmarks.faults --only {failure['family']} --case {failure['case']}{seed} --keep"
