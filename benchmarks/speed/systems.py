"""Time of one epoch of MELD for every system, at equal width, against EmotionRNN.

    python -m benchmarks.speed.systems --record          # half an hour or less on 2 quiet cores
    python -m benchmarks.speed.systems --batches 2 --repeats 1 --systems sdt     # whether it runs

An epoch is all optimizer steps of the train split, with the losses of the system, in batches of 30 dialogues. The
batches are made before the clock starts. The systems take turns in one process, and every second round is in reverse
order. The time of a batch is its median over the rounds.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from rich.console import Console

from benchmarks.page_tables.speed_tables import epoch_rows
from benchmarks.results_files import write_result
from benchmarks.speed.contest import interleaved, typical
from benchmarks.training import PACKAGES, RESULTS, machine
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.models import resolve_options
from dialogue_ser.report.sections.tables import render_rich
from dialogue_ser.training.config.overrides import apply_overrides
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.data.prepare import Data, load_data
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.rng import seed_everything
from dialogue_ser.training.loop.setup import build_learner, build_system, make_batches

WIDTH = 128
BATCH_SIZE = 30
REFERENCE = "emotion-rnn"
#: Features → the preset that they come from, and the widths of the layers that read them.
FEATURES: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "text": ("meld-text", {"text": WIDTH}),
    "text and sound": ("meld-audio-text", {"text": WIDTH, "audio": 32}),
}
_FOUR = {"global_dim": WIDTH, "party_dim": WIDTH, "emotion_dim": WIDTH, "hidden_dim": WIDTH}
_FIVE = {"internal_dim": WIDTH, "external_dim": WIDTH, "intent_dim": WIDTH, "emotion_dim": WIDTH, "hidden_dim": WIDTH}
#: System → the options of its width. Depths and all else are the defaults, i.e. the published settings for MELD.
WIDTHS: Mapping[str, Mapping[str, Any]] = {
    "emotion-rnn": _FOUR,
    "dialogue-rnn": _FOUR,
    "bigru": {"hidden_dim": WIDTH},
    "bc-lstm": {"context_dim": WIDTH, "hidden_dim": WIDTH},
    "cmn": {"hidden_dim": WIDTH},
    "icon": {"hidden_dim": WIDTH},
    "cosmic": {"global_dim": WIDTH, **_FIVE},
    "dialogue-crn": {"context_dim": WIDTH},
    "dag-erc": {"hidden_dim": WIDTH},
    "dialogue-gcn": {"context_dim": WIDTH, "graph_dim": WIDTH},
    "mmgcn": {"input_dim": WIDTH, "context_dim": WIDTH, "graph_dim": WIDTH},
    "mm-dfn": {"context_dim": WIDTH, "graph_dim": WIDTH},
    "m3net": {"turn_dim": WIDTH, "hidden_dim": WIDTH},
    "graphsmile": {"hidden_dim": WIDTH},
    "sdt": {"hidden_dim": WIDTH},
}
#: System → how many times as long as EmotionRNN the published code takes for a train step of 30 dialogues.
PUBLISHED: Mapping[str, float] = {
    "graphsmile": 4.0, "dialogue-crn": 2.7, "dag-erc": 3.6, "mmgcn": 6.9, "dialogue-gcn": 6.9, "m3net": 8.8,
    "mm-dfn": 10.9, "cosmic": 20.0, "sdt": 24.0,
}  # fmt: skip


def config_of(system: str, features: str, threads: int) -> RunConfig:
    """Return the configuration of a system at the width of this benchmark."""
    preset, projection = FEATURES[features]
    found = apply_overrides(
        load_preset(preset),
        {
            "model.name": system,
            "training.batch_size": BATCH_SIZE,
            "training.threads": threads,
            "training.device": "cpu",
        },
    )
    options: dict[str, Any] = dict(WIDTHS[system])
    if "projection" in resolve_options(system, {}):
        options["projection"] = dict(projection)
    return apply_overrides(found, {f"model.options.{name}": value for name, value in options.items()})


def goal_of(system: str) -> float:
    """Return how many times as long as EmotionRNN a system may take: twice, or a third of its published code."""
    return max(2.0, PUBLISHED.get(system, 0.0) / 3)


def measured(
    features: str, systems: Sequence[str], n_batches: int | None, repeats: int, threads: int
) -> dict[str, Any]:
    """Return the seconds of an epoch of each system, with the width of the features and the size of the epoch."""
    configs = {system: config_of(system, features, threads) for system in systems}
    data = load_data(configs[systems[0]])
    made = make_batches(configs[systems[0]], data, make_accelerator(configs[systems[0]].training))
    steps = list(made.steps(data.train, seed=1, epoch=1))[:n_batches]
    contest = {system: _steps(config, data, steps) for system, config in configs.items()}
    for runs in contest.values():
        runs[0]()  # the first step makes the state of the optimizer
    rounds = interleaved(contest, repeats, torch.device("cpu"))
    return {
        "features": features,
        "n_batches": len(steps),
        "n_dialogues": sum(batch.n_dialogues for step in steps for batch in step),
        "n_turns": int(sum(batch.n_turns.sum() for step in steps for batch in step)),
        "input_dims": {name: table.spec.dim for name, table in data.tables.items()},
        "systems": [
            {
                "system": system,
                "n_parameters": sum(one.numel() for one in build_system(config, data).parameters()),
                "seconds": typical(rounds[system]),
                "rounds": [sum(one) for one in rounds[system]],
                "goal": goal_of(system),
            }
            for system, config in configs.items()
        ],
    }


def _steps(config: RunConfig, data: Data, steps: Sequence[Sequence[DialogueBatch]]) -> list[Callable[[], object]]:
    """Return the optimizer steps of an epoch, one function for each."""
    seed_everything(config.seed)
    learner = build_learner(config, data, build_system(config, data), make_accelerator(config.training))
    # always as the first step of all: the schedule must not end
    return [partial(learner.step, batches, 0) for batches in steps]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show the tables, and keep the result if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", choices=sorted(WIDTHS), default=list(WIDTHS), help="these only")
    parser.add_argument("--batches", type=int, metavar="N", help="the first N batches of the epoch; all if left out")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds (3)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/systems-speed.json")
    args = parser.parse_args(argv)
    if args.record and (args.batches or set(args.systems) != set(WIDTHS)):
        parser.error("--record keeps whole epochs of all systems; leave --batches and --systems out")
    if min(args.threads, args.repeats, args.batches or 1) < 1:
        parser.error("give numbers of at least 1")
    torch.set_num_threads(args.threads)
    systems = list(dict.fromkeys((REFERENCE, *args.systems)))
    result = {
        "what": "seconds of all optimizer steps of one epoch of MELD's train split, for every system",
        "command": f"python -m benchmarks.speed.systems --repeats {args.repeats} --threads {args.threads} --record",
        "reference": REFERENCE,
        "width": WIDTH,
        "batch_size": BATCH_SIZE,
        "threads": args.threads,
        "repeats": args.repeats,
        "options": {system: dict(WIDTHS[system]) for system in systems},
        "published_times_of_reference": {name: PUBLISHED[name] for name in systems if name in PUBLISHED},
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "epochs": [measured(features, systems, args.batches, args.repeats, args.threads) for features in FEATURES],
    }
    for epoch in result["epochs"]:
        Console().print(render_rich(epoch_rows(result, epoch), title=epoch["features"]))
    if args.record:
        print(f"written: {write_result(RESULTS, 'systems-speed.json', result)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
