"""Numbers that a change of design must leave as they are: ``python -m tests.record_numbers [--again]``.

It adds new presets to numbers.json; ``--again``, for where a change of numbers is meant, records everything anew. Run
it from the checkout. test_numbers.py computes the numbers by the same functions, each of which runs what users run
(``train`` or ``cross_validate``), cut short. cli/commands/test_smoke.py takes the numbers of presets from the runs that
it makes by the command line.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.parsing.files import read_rows
from dialogue_ser.corpus.schema import Corpus
from dialogue_ser.evaluation.crossval.cross_validate import cross_validate
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import find_task
from dialogue_ser.training.config.files import config_from_dict
from dialogue_ser.training.config.presets import load_preset, preset_names
from dialogue_ser.training.config.run_config import RunConfig
from dialogue_ser.training.dry_run import smoke
from dialogue_ser.training.dry_run.smoke import smoke_config, smoke_corpus, smoke_dimensions, smoke_view
from dialogue_ser.training.loop.learner import Learner, StepResult
from dialogue_ser.training.record.environment import describe_environment
from dialogue_ser.training.run import train

NUMBERS = Path(__file__).with_name("numbers.json")
#: Presets that need MELD's files and nothing else, one of each kind of input and system.
MELD_PRESETS = ("meld-audio", "meld-textcnn", "source-emotion-rnn-audio-text-simple", "dialogue-rnn-published")
SHORT_RUN: Mapping[str, Any] = {
    "name": "short",
    "seed": 7,
    "features": {
        "audio": {"encoder": "opensmile", "transforms": ["impute", "standardise"]},
        "text": {"encoder": "textcnn", "options": {"embedding_dim": 12, "n_filters": 8, "out_dim": 12, "dropout": 0.2}},
    },
    "model": {
        "name": "emotion-rnn",
        "options": {
            "attention": "matching", "projection": {"audio": 12, "text": 12}, "dropout": 0.2,
            "global_dim": 12, "party_dim": 12, "emotion_dim": 12, "hidden_dim": 12,
        },
    },
    "loss": {"class_weights": "inverse-frequency", "label_smoothing": 0.1},
    "optimizer": {"learning_rate": 0.01, "schedule": "cosine"},
    "training": {"batch_size": 2},
}  # fmt: skip
CLIPS_EACH = 2
#: Dialogues of each split that presets are run on: a third of what ``--smoke`` takes, which shows errors as well.
FEW_DIALOGUES: Mapping[str, int] = {"train": 4, "dev": 1, "test": 1}
#: These presets are run on as many dialogues as ``--smoke`` takes.
WHOLE = ("meld-textcnn", "emobank-minilm-ridge")
#: The gradient's norm sums thousands of terms of either sign. A turn that an estimator is in doubt of may change its
#: class: 0.01 is one turn in a hundred.
RELATIVE, ABSOLUTE = {"loss": 1e-4, "grad_norm": 1e-3}, {"uar": 0.01, "ccc": 1e-4}
_DECIMALS = 8


class _EnoughError(Exception):
    """The first step is done."""


def is_close(now: Mapping[str, float], recorded: Mapping[str, float]) -> bool:
    """Whether numbers are the recorded ones, but for the order of sums on another processor."""
    return now.keys() == recorded.keys() and all(
        abs(now[name] - value) <= max(RELATIVE.get(name, 0) * abs(value), ABSOLUTE.get(name, 0))
        for name, value in recorded.items()
    )


@contextmanager
def noting_steps(*, stop_after_first: bool = False) -> Iterator[list[StepResult]]:
    """Puts the results of optimizer steps into the list; training may end with its first step."""
    steps: list[StepResult] = []
    step = Learner.step

    def noted(self: Learner, *args: Any, **kwargs: Any) -> StepResult:
        steps.append(step(self, *args, **kwargs))
        if stop_after_first:
            raise _EnoughError
        return steps[-1]

    Learner.step = noted  # type: ignore[method-assign]
    try:
        yield steps
    except _EnoughError:
        pass
    finally:
        Learner.step = step  # type: ignore[method-assign]


@contextmanager
def few_turns(name: str) -> Iterator[None]:
    """Reduced presets are run on fewer dialogues and, by speaker, on half the folds, unless WHOLE names them."""
    before = smoke.N_DIALOGUES, smoke.GENDERS
    if name not in WHOLE:
        smoke.N_DIALOGUES = FEW_DIALOGUES
        if load_preset(name).data.cut.protocol == "leave-one-speaker-out":
            smoke.GENDERS = ("F",)
    try:
        yield
    finally:
        smoke.N_DIALOGUES, smoke.GENDERS = before


def numbers_of_step(step: StepResult) -> dict[str, float]:
    """What is recorded of an optimizer step."""
    return {"loss": step.loss, "grad_norm": step.grad_norm}


def numbers_of_scores(scores: Mapping[str, Any], task: str) -> dict[str, float]:
    """What is recorded of a cross-validation: UA, or the CCC of values, over the test turns of all folds."""
    name = "uar" if find_task(task).gives_probabilities else "ccc"
    return {name: scores["pooled"][name]}


def first_step(config: RunConfig, store: FeatureStore, corpus: Corpus | None = None) -> dict[str, float]:
    """Loss and gradient norm of the first optimizer step of a run, or of a cross-validation's first fold."""
    with tempfile.TemporaryDirectory() as folder, noting_steps(stop_after_first=True) as steps:
        if config.data.cut.protocol == "none":
            train(config, Path(folder) / "run", corpus=corpus, store=store, progress=False)
        else:
            cross_validate(config, Path(folder) / "run", corpus=corpus, store=store)
    return numbers_of_step(steps[0])


def pooled_score(config: RunConfig, store: FeatureStore, corpus: Corpus | None = None) -> dict[str, float]:
    """The numbers of a cross-validation to its end."""
    with tempfile.TemporaryDirectory() as folder:
        scores = cross_validate(config, Path(folder) / "run", corpus=corpus, store=store)
    return numbers_of_scores(scores, config.task)


def preset_numbers(name: str, networks: Path, store: FeatureStore, seed: int | None = None) -> dict[str, float]:
    """A preset at reduced size: its first step, or, as an estimator takes none, what it scores.

    Args:
        name: of the preset.
        networks: where the tiny networks are put.
        store: features.
        seed: in place of the preset's.
    """
    whole = load_preset(name)
    view = smoke_view(whole, "dialogues" if whole.data.cut.protocol == "none" else "utterances")
    config = smoke_config(whole, view, networks)
    config = config if seed is None else replace(config, seed=seed)
    number = first_step if config.crossval.estimator == "none" else pooled_score
    with few_turns(name):
        corpus = smoke_corpus(view, smoke_dimensions(whole))
    return number(config, store, corpus)


def short_run(folder: Path, store: FeatureStore, seed: int | None = None) -> dict[str, list[float]]:
    """Two epochs of EmotionRNN (matching) over text and audio on a few dialogues: utterance → probabilities."""
    config = smoke_config(
        config_from_dict({**SHORT_RUN, **({} if seed is None else {"seed": seed})}), "dialogues", folder
    )
    config = replace(config, training=replace(config.training, epochs=2))
    with few_turns("meld-text"):
        corpus = smoke_corpus("dialogues")
    train(config, folder / "run", corpus=corpus, store=store, progress=False)
    frame = RunFiles(folder / "run").predictions.frame.set_index("utterance_id").filter(regex="^p_")
    return {
        str(name): [round(float(p), _DECIMALS) for p in row]
        for name, row in zip(frame.index, frame.to_numpy(), strict=True)
    }


def few_clips(folder: Path, nemo: Path) -> Path:
    """nEMO's first clips of every speaker and emotion, in its own layout."""
    lines = (nemo / "data.tsv").read_text(encoding="utf-8").splitlines()
    rows = list(read_rows(nemo / "data.tsv"))
    order = sorted(range(len(rows)), key=lambda i: (rows[i].values["speaker_id"], rows[i].values["emotion"], i))
    groups = groupby(order, key=lambda i: (rows[i].values["speaker_id"], rows[i].values["emotion"]))
    kept = [i for _, group in groups for i in list(group)[:CLIPS_EACH]]
    (folder / "samples").mkdir(parents=True)
    for i in kept:
        shutil.copy(nemo / "samples" / rows[i].values["file_id"], folder / "samples")
    (folder / "data.tsv").write_text("\n".join([lines[0], *(lines[i + 1] for i in kept)]) + "\n", encoding="utf-8")
    return folder


def nemo_svm(path: Path, store: FeatureStore) -> dict[str, float]:
    """UA of ``nemo-egemaps-svm`` on a corpus in nEMO's layout."""
    config = load_preset("nemo-egemaps-svm")
    return pooled_score(replace(config, data=replace(config.data, path=str(path))), store)


def _recorded(folder: Path, before: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that ``before`` lacks, after what it has."""
    store = FeatureStore(folder / "store")
    presets = {
        name: before.get("presets", {}).get(name) or preset_numbers(name, folder / "networks", store)
        for name in preset_names()
    }
    if before:
        return {**before, "presets": presets}
    return {
        "what": "numbers that a change of design must leave as they are; read by test_numbers.py",
        "command": "python -m tests.record_numbers",
        **_made_with(),
        "presets": presets,
        "meld": {name: first_step(load_preset(name), store) for name in MELD_PRESETS},
        "short_run": short_run(folder / "short", store),
        "nemo_few": nemo_svm(few_clips(folder / "nemo", find_data("nemo")), store),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Writes numbers.json; to record everything it needs MELD and nEMO."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="record everything anew")
    again = parser.parse_args(argv).again
    torch.set_num_threads(1)
    before = json.loads(NUMBERS.read_text(encoding="utf-8")) if NUMBERS.is_file() and not again else {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DIALOGUE_SER_CACHE"] = f"{folder}/cache"
        numbers = _recorded(Path(folder), before)
    NUMBERS.write_text(_one_line_lists(json.dumps(numbers, indent=1)) + "\n", encoding="utf-8")
    print(f"written: {NUMBERS}")


def _made_with() -> dict[str, Any]:
    environment = describe_environment(RunConfig(), "", {}, n_ranks=1)
    return {
        "commit": _package_commit(),
        "versions": {"python": environment["python"], **environment["packages"]},
        "machine": {name: environment[name] for name in ("platform", "cpu", "threads")},
    }


def _package_commit() -> str:
    """The last commit that changed the package."""
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments, "dialogue_ser"], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--")
    return git("log", "-1", "--format=%H", "--") + (" and changes" if changed else "")


def _one_line_lists(text: str) -> str:
    return re.sub(r"\[\s+([^\]]*?)\s+\]", lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text)


if __name__ == "__main__":
    main()
