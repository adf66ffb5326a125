"""nEMO, leave one speaker out: the audio networks of E1 to E4 and tuned ones, beside openSMILE with an SVM.

    python -m benchmarks.nemo_networks --record            # some hours on 2 cores, into benchmarks/results
    python -m benchmarks.nemo_networks --rows conv-attention

The benchmark can be resumed. Finished rows stay under ``--out``. An interrupted row continues where it stopped.
Products are computed in bf16 if the processor multiplies bf16 natively. ``--precision`` overrides this.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.finetuning import default_precision
from benchmarks.meld import RESULTS
from benchmarks.nemo import CORPUS, KEPT
from benchmarks.results_files import recorded, write_result
from dialogue_ser.runs.run_files import RunFiles

NAME = "nemo-networks.json"
#: Sentences are shared by all emotions, so whatever reads them alone must stay near chance (1/6).
TEXT_LIMIT = 0.20


@dataclass(frozen=True, kw_only=True)
class Row:
    """One cross-validation.

    Args:
        key: its folder under ``--out``.
        what: in words.
        preset: of ``dialogue-ser crossval``.
        flags: changes to it, as on the command line.
        is_text: reads the transcript and no sound.
    """

    key: str
    what: str
    preset: str
    flags: Mapping[str, str] = field(default_factory=dict)
    is_text: bool = False


def _both(key: str, what: str) -> tuple[Row, Row]:
    """Two rows: frames normalised by the statistics of train, and by those of the speaker."""
    by_speaker = {"features.audio.transforms": "[corpus-speaker-zscore]"}
    return (
        Row(key=key, what=what, preset=f"nemo-{key}"),
        Row(key=f"{key}-speaker-norm", what=what, preset=f"nemo-{key}", flags=by_speaker),
    )


ROWS: tuple[Row, ...] = (
    *_both("gru-attention", "E1: GRU and self-attention on MFCC-39"),
    *_both("vgg", "E2: VGG on log-mel images"),
    *_both("conv-attention", "E3: convolutions and self-attention on openSMILE descriptors"),
    *_both("alexnet", "E4: AlexNet, an eighth as wide, on log-mel images of 3 channels"),
    Row(key="compare-mlp", what="one hidden layer on ComParE functionals, augmented", preset="nemo-compare-mlp"),
    Row(
        key="compare-mlp-speaker-norm",
        what="two hidden layers on ranks of ComParE functionals",
        preset="nemo-compare-mlp-speaker-norm",
    ),
    Row(
        key="text",
        what="text alone: linear SVM on MiniLM",
        preset="nemo-egemaps-svm",
        flags={"features.audio": "null", "features.text.encoder": "minilm"},
        is_text=True,
    ),
)


def run(row: Row, out: Path, precision: str) -> dict[str, Any]:
    """Run one row in a process of its own, unless it is finished. Return the content of its scores.json."""
    folder = out / row.key
    if not (folder / "scores.json").is_file():
        training = {} if row.is_text else {"training.threads": "1", "training.precision": precision}
        command = [sys.executable, "-m", "dialogue_ser.cli.main", "crossval", "--preset", row.preset]
        command += [f"--{name}={value}" for name, value in {**row.flags, **training}.items()]
        command += ["--out", str(folder)]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / f"{row.key}.log").open("a") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return RunFiles(folder).scores


def entry(row: Row, scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of one row that the result file keeps.

    Raises:
        ValueError: text alone recognises emotions, so information leaks.
    """
    if row.is_text and scores["pooled"]["uar"] > TEXT_LIMIT:
        raise ValueError(f"{row.key}: pooled UA {scores['pooled']['uar']:.3f} of text alone is above {TEXT_LIMIT}")
    config, measured = scores["config"], recorded({name: scores[name] for name in (*KEPT, "folds")})
    return {
        "key": row.key,
        "what": row.what,
        "preset": row.preset,
        "flags": dict(row.flags),
        "features": config["features"],
        "seed": config["seed"],
        "members": config["training"]["ensemble"],
        "epoch": config["training"]["keep"],
        **{name: measured[name] for name in KEPT},
        "folds": [{name: fold[name] for name in ("name", "ua", "wa", "n", "chosen")} for fold in measured["folds"]],
        "seconds": sum(fold["seconds"] for fold in scores["folds"]),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the rows and write their scores."""
    keys = [row.key for row in ROWS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=keys, default=keys)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes, one thread each")
    parser.add_argument("--precision", choices=("no", "bf16"), default=None)
    parser.add_argument("--out", type=Path, default=Path("runs/nemo-networks"), help="where the runs lie")
    parser.add_argument("--record", action="store_true", help=f"write benchmarks/results/{NAME}")
    args = parser.parse_args(argv)
    precision = args.precision or default_precision()
    chosen = [row for row in ROWS if row.key in args.rows]
    with ThreadPoolExecutor(args.workers) as pool:
        every = list(pool.map(lambda row: run(row, args.out, precision), chosen))
    result = {
        "what": CORPUS,
        "precision": precision,
        "workers": args.workers,
        "command": f"python -m benchmarks.nemo_networks {' '.join(sys.argv[1:] if argv is None else argv)}".strip(),
        "machine": every[0]["machine"],
        "versions": every[0]["versions"],
        "rows": [entry(row, scores) for row, scores in zip(chosen, every, strict=True)],
    }
    from benchmarks.page_tables.encoder_tables import nemo_networks

    target = write_result(RESULTS if args.record else args.out, NAME, result)
    print(f"{nemo_networks(result, RESULTS)}\nwritten: {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
