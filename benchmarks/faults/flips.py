"""Flipped bits and cut files in checkpoints, feature stores and model folders.

A case damages one file: one flipped bit in four cases of five, else a cut. It then does what a user would do next.

Survived:

- checkpoint: ``--resume`` ends with the results of the undisturbed run, bitwise, and does not go back to step 0 while a
  checkpoint is whole together with its best one; or it is refused in clear sentences. The damaged file is one of the
  newest checkpoint, of the one before it, or one of config.yaml, environment.json and metrics.jsonl.
- store: every row that ``table`` returns is bitwise the right one; or it is refused.
- model folder: every prediction is bitwise the right one; or it is refused.
"""

import json
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults import trained
from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.damage import flip_or_cut
from benchmarks.faults.core.isolation import start
from benchmarks.faults.core.oracle import Refused, answer, failures_name, require_equal, short, warnings_given
from benchmarks.faults.vectors import KINDS, Letters, dialogues, require_rows, right_rows

_MODELS = ("text-1", "audio-text-1", "ensemble-1", "values-1")
_STOPPED = ("text-1", "values-1", "ensemble-1")
#: Step after which the runs with checkpoints are killed. A member of the ensemble has 12 steps: the second is killed.
_KILL_AFTER = {"text-1": 15, "values-1": 15, "ensemble-1": 20}
_NEWEST_SHARE, _BEFORE_SHARE = 0.7, 0.85
_TURNS = [("Ann", "fine okay"), ("Bo", "no stop never"), ("Ann", "great lovely yes"), ("Cy", "okay no great")]


def prepare(material: Path, names: tuple[str, ...] = tuple(trained.VARIANTS)) -> None:
    """Make runs, runs that were killed, and stores."""
    from dialogue_ser.features.store.feature_store import FeatureStore

    trained.write_material(material, names)
    for key in (key for key in _STOPPED if key.partition("-")[0] in names):
        child = start(lambda key=key: _killed_training(material, key), material / f"stopped-{key}.txt")
        if child.wait(trained.MAX_SECONDS) != -signal.SIGKILL:
            raise RuntimeError(f"{key} was not killed: {child.text[-1000:]}")
    for kind in KINDS:
        FeatureStore(material / f"store-{kind}", chunk_utterances=6).table(Letters(kind), dialogues(10))


def _killed_training(material: Path, key: str) -> int:
    import itertools
    import os

    from dialogue_ser.training.record.tracking import MetricsFile

    write_line, steps = MetricsFile.on_step, itertools.count(1)

    def on_step(self: Any, state: Any, row: Any) -> None:
        write_line(self, state, row)
        if next(steps) == _KILL_AFTER[key]:
            os.kill(os.getpid(), signal.SIGKILL)

    MetricsFile.on_step = on_step
    return trained.train_here(material, key, material / f"stopped-{key}")


def attack(case: Case) -> Outcome:
    """Damage one file of a checkpoint, a store or a model folder, and use it."""
    kinds = (_attack_model, _attack_store, _attack_checkpoint)
    return kinds[case.number % len(kinds)](case)


def _damage(case: Case, paths: Sequence[Path], root: Path) -> str:
    path = paths[int(case.rng.integers(len(paths)))]
    damage = flip_or_cut(path.read_bytes(), case.rng)
    path.write_bytes(damage.content)
    return case.note(f"{path.relative_to(root)}: {damage.what}")


def _attack_model(case: Case) -> Outcome:
    key = _MODELS[case.number // 3 % len(_MODELS)]
    folder = case.folder / "model"
    shutil.copytree(case.material / key / "model", folder)
    features = {"audio": _features_file(case)} if key.startswith("audio") else None
    right = _predictions(case.material / key / "model", features)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    what = f"{key}, {_damage(case, files, case.folder)}"
    with failures_name(what):
        found = answer(lambda: _predictions(folder, features))
        if isinstance(found, Refused):
            return Outcome("refused", f"{what}: {found}")
        require_equal(found, right)
    return Outcome("equal", what)


def _features_file(case: Case) -> Path:
    rows = [f"new/dia0_utt{number},{0.5 * number:.2f},1.0,-0.3" for number in range(len(_TURNS))]
    path = case.folder / "features.csv"
    path.write_text("\n".join(["utterance_id,a,b,c", *rows]) + "\n", encoding="utf-8")
    return path


def _predictions(folder: Path, features: Mapping[str, Path] | None) -> dict[str, Any]:
    from dialogue_ser.inference.classifier import DialogueClassifier

    frame = DialogueClassifier.from_pretrained(folder, device="cpu").predict(_TURNS, features=features)
    return {str(column): [repr(value) for value in frame[column]] for column in frame}


def _attack_store(case: Case) -> Outcome:
    from dialogue_ser.features.store.feature_store import FeatureStore

    kind = KINDS[case.number // 3 % 2]
    root = case.folder / "store"
    shutil.copytree(case.material / f"store-{kind}", root)
    encoder, given = Letters(kind), dialogues(12)
    right = right_rows(encoder, given)
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.stat().st_size)
    what = f"{kind}, {_damage(case, files, root)}"
    with failures_name(what):
        for _ in range(2):  # the second time, the store has mended itself
            found = answer(lambda: dict(FeatureStore(root, chunk_utterances=6).table(encoder, given)))
            if isinstance(found, Refused):
                return Outcome("refused", f"{what}: {found}")
            require_rows(found, right)
    return Outcome("equal", what)


def _attack_checkpoint(case: Case) -> Outcome:
    key = _STOPPED[case.number // 3 % len(_STOPPED)]
    right, _ = trained.reference_of(case.material, key)
    out = case.folder / "run"
    shutil.copytree(case.material / f"stopped-{key}", out)
    part = out / "members" / "2" if key.startswith("ensemble") else out
    checkpoints = sorted(path for path in (part / "checkpoints").iterdir() if not path.name.startswith("."))
    share = case.rng.random()
    if share < _NEWEST_SHARE:
        files, hits_run = sorted(checkpoints[-1].iterdir()), False
    elif share < _BEFORE_SHARE:
        files, hits_run = sorted(path for folder in checkpoints[:-1] for path in folder.iterdir()), False
    else:
        files = [part / name for name in ("config.yaml", "environment.json", "metrics.jsonl")]
        hits_run = True
    before = {path: path.read_bytes() for folder in checkpoints for path in folder.iterdir()}
    what = f"{key}, {_damage(case, [path for path in files if path.is_file()], out)}"
    broken = {path.parent.name for path, content in before.items() if path.read_bytes() != content}
    restarts = _watch_restarts(part)
    with failures_name(what):
        with warnings_given() as warned:
            found = answer(lambda: _resume(case.material, key, out))
        if isinstance(found, Refused):
            return Outcome("refused", f"{what}: {found}")
        trained.require_same_run(out, right)
        if restarts and not hits_run and _usable(before, broken):
            raise Failed(f"it started again from step 0 although an older checkpoint is intact ({short(warned)})")
    return Outcome("equal", what)


def _usable(before: Mapping[Path, bytes], broken: set[str]) -> list[str]:
    """Return the checkpoints from which a run must go on: they are whole, and their best checkpoint was not damaged.

    A best checkpoint that is not there any more is no excuse: a run needs it in the end, so it must not be deleted.
    """
    states = {path.parent.name: json.loads(content) for path, content in before.items() if path.name == "state.json"}
    return [name for name, state in states.items() if not {name, state.get("best_checkpoint")} & broken]


def _watch_restarts(part: Path) -> list[Path]:
    """Return a list that gets an entry when metrics.jsonl of a folder is emptied, i.e. its run starts from step 0."""
    from dialogue_ser.training.record.tracking import MetricsFile

    found: list[Path] = []
    truncate = MetricsFile.truncate
    n_before = (part / "metrics.jsonl").stat().st_size

    def watched(self: Any, n_bytes: int) -> None:
        if n_bytes == 0 and n_before and self.n_bytes == (part / "metrics.jsonl").stat().st_size > 0:
            found.append(part)
        truncate(self, n_bytes)

    MetricsFile.truncate = watched
    return found


def _resume(material: Path, key: str, out: Path) -> None:
    """Resume as the command line does: with the settings that lie in the run directory."""
    from dialogue_ser.training.config.files import load_config
    from dialogue_ser.training.run import train

    train(load_config(out / "config.yaml"), out, resume=True, progress=False)


FAMILY = Family(
    name="flips",
    fault="one flipped bit, or a cut, in a file of a checkpoint, a feature store or a model folder",
    one_try="one damaged file, then resume, read or predict",
    survives="bitwise the right result, or a clear refusal",
    quick=240,
    full=2000,
    prepare=prepare,
    attack=attack,
)
