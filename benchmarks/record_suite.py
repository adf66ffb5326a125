"""Keep the results of a finished suite: ``python -m benchmarks.record_suite FOLDER [SUITE.yaml]``.

It copies FOLDER/results.json to benchmarks/results/suite-NAME.json, with the command. Pages show it by the markers
``table:suite-NAME`` and ``table:suite-NAME-classes``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results_files import write_result
from benchmarks.training import RESULTS
from dialogue_ser.errors import MissingDataError
from dialogue_ser.runs.run_files import read_json


def main(argv: Sequence[str] | None = None) -> int:
    """Copy the results of a suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the suite")
    parser.add_argument("suite", nargs="?", help="its file, if it is not benchmarks/suites/NAME.yaml")
    args = parser.parse_args(argv)
    results = read_json(args.folder / "results.json")
    if results.get("kind") != "suite":
        raise MissingDataError(f"{args.folder}: has no results of a suite; give the folder of dialogue-ser benchmark")
    suite = args.suite or f"benchmarks/suites/{results['name']}.yaml"
    named = "" if results["protocol"] == "dev" else f" --protocol {results['protocol']}"
    record = {**results, "command": f"dialogue-ser benchmark {suite}{named}"}
    ending = "" if results["protocol"] != "legacy-test-peek" else "-peek"
    name = f"suite-{results['name']}{ending}.json"
    print(f"written: {write_result(RESULTS, name, record)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
