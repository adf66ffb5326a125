"""Peak memory of whole commands for dialogues of many turns.

    python -m benchmarks.speed.long_dialogues --record           # a quarter of an hour, into benchmarks/results
    python -m benchmarks.speed.long_dialogues --turns 20 60      # whether it runs

Every figure is the largest resident memory of one process, from its start to its end, as the operating system counts
it. Each corpus has three dialogues of the same turns, one for each split.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.results_files import write_result
from benchmarks.startup import child_environment, revision

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
TURNS = (500, 1000, 2000)
LABELS = ("joy", "anger", "sadness", "neutral")
WORDS = ("well", "you", "know", "I", "never", "said", "that", "we", "should", "go", "there", "again", "but", "fine")
SPLITS = ("train", "dev", "test")
TRAIN = ("train", "--data.reader", "table", "--data.path", "turns.csv", "--config", "base.yaml")
BASE = "features: {text: {encoder: minilm}}\ntraining: {epochs: 1}\n"
#: Name → arguments of ``dialogue-ser``. The later ones use the runs of the earlier ones.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "train, EmotionRNN": (*TRAIN, "--out", "emotion"),
    "train, EmotionRNN, save_attention false": (*TRAIN, "--save_attention", "false", "--out", "emotion-without"),
    "train, DialogueRNN": (*TRAIN, "--model.name", "dialogue-rnn", "--out", "dialogue"),
    "predict, EmotionRNN": ("predict", "emotion", "new.csv", "--out", "predicted.csv"),
    "predict, DialogueRNN": ("predict", "dialogue", "new.csv", "--out", "predicted-2.csv"),
    "evaluate, with the report": ("evaluate", "emotion"),
}
# A small process between this one and the command: a process starts with the peak of the process that starts it.
MEASURE = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "dialogue_ser.cli.main", *sys.argv[1:]], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
sys.exit(done.returncode)
"""


def peak_bytes(arguments: Sequence[str], folder: Path) -> int:
    """The peak memory of ``dialogue-ser arguments`` in bytes.

    Raises:
        RuntimeError: the command fails.
    """
    command = [sys.executable, "-c", MEASURE, *arguments]
    environment = {**child_environment(ROOT), "DIALOGUE_SER_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        message = f"dialogue-ser {' '.join(arguments)} ended with status {done.returncode}"
        raise RuntimeError(f"{message}: {done.stderr}")
    return int(done.stdout)


def write_corpus(folder: Path, n_turns: int) -> None:
    """Write turns.csv with three dialogues of the same turns, new.csv with one of them, and base.yaml."""
    draw = random.Random(n_turns)
    turns = [
        (f"speaker {draw.randrange(4)}", " ".join(draw.choices(WORDS, k=6)), draw.choice(LABELS))
        for _ in range(n_turns)
    ]
    said = [f"{speaker},{text},{label}" for speaker, text, label in turns]
    rows = [f"{split},d{d},{row}" for d, split in enumerate(SPLITS) for row in said]
    (folder / "turns.csv").write_text("\n".join(["split,dialogue_id,speaker,text,label", *rows]) + "\n", "utf-8")
    (folder / "new.csv").write_text("\n".join(["dialogue_id,speaker,text,label", *(f"d,{r}" for r in said)]) + "\n")
    (folder / "base.yaml").write_text(BASE)


def measure(all_turns: Sequence[int]) -> list[dict[str, Any]]:
    """Command → peak megabytes for each number of turns, by name of the number."""
    rows: list[dict[str, Any]] = [{"command": name, "megabytes": {}} for name in COMMANDS]
    for n_turns in all_turns:
        with tempfile.TemporaryDirectory() as name:
            write_corpus(Path(name), n_turns)
            for row in rows:
                row["megabytes"][str(n_turns)] = round(peak_bytes(COMMANDS[row["command"]], Path(name)) / 1e6)
                print(n_turns, row["command"], row["megabytes"][str(n_turns)], flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, nargs="+", default=list(TURNS), help="turns of a dialogue")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="where the result goes without --record")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/long-dialogues.json")
    args = parser.parse_args(argv)
    result = {
        "what": "Largest resident memory of whole commands, for three dialogues of the same turns",
        "command": f"python -m benchmarks.speed.long_dialogues {' '.join(sys.argv[1:] if argv is None else argv)}",
        "revision": revision(ROOT),
        "versions": {name: version(name) for name in ("dialogue-ser", "torch", "transformers")},
        "turns": args.turns,
        "rows": measure(args.turns),
    }
    target = write_result(RESULTS if args.record else args.out, "long-dialogues.json", result)
    print(f"written: {target}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
