"""An ensemble of finished runs: the mean of their probabilities or values, as a run directory of its own.

The runs may differ in their seeds, their systems, their features and their encoders. They must have predicted the same
turns for the same task. Every run counts alike, also a run that is an ensemble itself. The run directory holds

    members/1 …          copies of the runs, without their checkpoints
    predictions.parquet  every split; p_<class> is the mean of the members' p_<class>
    model/               all systems with their own pipelines; DialogueClassifier.from_pretrained loads it
    config.yaml          the data of the runs, their features, and the members as options of the model ``ensemble``
    environment.json     as of every run, and ``members``: folder, name and checksum of the predictions of each
    metrics.jsonl        one summary line with the scores of the averaged predictions and of each member
"""

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from dialogue_ser.errors import ConfigError, DialogueSerError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.joined import joined
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.models.ensemble import Ensemble
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks import task_of
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.config.run_config import ModelConfig, RunConfig
from dialogue_ser.training.ensemble import mean_predictions
from dialogue_ser.training.record import outputs
from dialogue_ser.training.record.environment import describe_environment
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.record.tracking import MetricsFile
from dialogue_ser.training.single import scores_of
from dialogue_ser.trust import Trust, only_code

#: Settings of ``data`` that say what is predicted and which split chose the weights.
_SHARED_SETTINGS = ("labels", "targets", "train", "dev", "leave_out")
_NOT_COPIED = ("checkpoints", "wandb", ".*")


@dataclass(frozen=True)
class _Member:
    run: RunFiles
    config: RunConfig
    predictions: Predictions


def average_runs(runs: Sequence[str | Path], out: str | Path, *, trust_code: Trust = False) -> Path:
    """Write the ensemble of finished runs into a new run directory.

    Args:
        runs: two or more run directories.
        out: folder to write. It must not exist, or be empty.
        trust_code: allow code that the models of the runs name, see :meth:`DialogueClassifier.from_pretrained`.

    Returns:
        the run directory.

    Raises:
        ConfigError: there are fewer than two runs, or ``out`` is not empty.
        DialogueSerError: runs are not finished, or they differ in their task, their corpus or their dialogues; the
            error has every reason.
    """
    started, out = time.monotonic(), Path(out)
    _check_folder(out)
    members = _members([Path(run) for run in runs])
    load = partial(DialogueClassifier.from_pretrained, device="cpu", trust_code=trust_code)
    classifier = joined([load(member.run.folder) for member in members])
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name[:100]}."))
    try:
        temporary.chmod(0o755)  # mkdtemp creates a folder that only its owner may read
        with only_code(trust_code):  # the runs may name metrics that are code
            _write(RunDirectory(temporary), out.resolve().name, members, classifier, started)
        if out.is_dir():
            out.rmdir()  # it is empty
        temporary.rename(out)
    except shutil.Error as error:
        raise ConfigError(f"{out}: a run could not be copied ({error}); check that its files can be read") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _check_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out}: is a file; choose another --out")
    if out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out}: is not empty; choose another --out, or delete the folder")


def _members(folders: Sequence[Path]) -> list[_Member]:
    """Read the runs. Raises one error with every reason why they cannot be averaged."""
    if len(folders) < 2:
        raise ConfigError(f"ensemble: found {len(folders)} run, expected at least two run directories")
    problems = [
        f"{folder}: is named twice; name every run once, because all runs count alike"
        for index, folder in enumerate(folders)
        if folder.resolve() in [other.resolve() for other in folders[:index]]
    ]
    members: list[_Member] = []
    for folder in folders:
        try:
            members.append(_member(folder))
        except DialogueSerError as error:
            problems += error.problems
    for member in members[1:]:
        problems += _differences(members[0], member)
    if problems:
        raise DialogueSerError(*dict.fromkeys(problems))
    first = members[0]
    return [first, *(replace(one, predictions=one.predictions.aligned_to(first.predictions)) for one in members[1:])]


def _member(folder: Path) -> _Member:
    run = RunFiles(folder)
    if (folder / "folds").is_dir():
        raise DialogueSerError(f"{folder}: is a cross-validation, which has no model; name runs")
    if run.scores.get("kind") == "new-data":
        raise DialogueSerError(f"{folder}: is an evaluation on new data, which has no model; name the run itself")
    directory = RunDirectory(folder)
    if not (folder / "config.yaml").is_file():
        raise DialogueSerError(f"{folder}: is not a run directory (config.yaml is missing); name a finished run")
    if not directory.is_finished:
        raise DialogueSerError(f"{folder}: the run is not finished; continue it with --resume")
    if not directory.has_outputs:
        raise DialogueSerError(
            f"{folder}: the predictions or the model of the run are missing or damaged; make them again with --resume"
        )
    return _Member(run, load_record(folder / "config.yaml"), run.predictions)


def _differences(first: _Member, other: _Member) -> Iterator[str]:
    """Yield every reason why a run cannot be averaged with the first one."""
    pair = f"{other.run.folder} and {first.run.folder}"
    if first.config.task != other.config.task:
        yield f"{pair}: a {other.config.task} and a {first.config.task}; average runs of one task"
        return
    settings = [(one, getattr(other.config.data, one), getattr(first.config.data, one)) for one in _SHARED_SETTINGS]
    for name, theirs, ours in settings:
        if theirs != ours:
            yield f"{pair}: data.{name} is {_shown(theirs)} and {_shown(ours)}; average runs with the same setting"
    mine, known = other.predictions, first.predictions
    if mine.names != known.names and set(mine.names) == set(known.names):
        yield f"{pair}: the order of {', '.join(mine.names)} differs; train both with one order"
    try:
        aligned = mine.aligned_to(known)
    except DialogueSerError as error:
        yield from error.problems
        return
    for column in ("turn", "speaker", "text"):
        differs_N = aligned.frame[column].fillna("").to_numpy() != known.frame[column].fillna("").to_numpy()
        if differs_N.any():
            yield (
                f"{pair}: {int(differs_N.sum())} turns have another {column}, first "
                f"{known.frame['utterance_id'][int(differs_N.argmax())]}; run both on one version of the corpus"
            )


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _write(
    directory: RunDirectory, name: str, members: Sequence[_Member], classifier: DialogueClassifier, started: float
) -> None:
    """Fill the folder of the ensemble; the summary, which says that a run is finished, is written last."""
    for number, member in enumerate(members, start=1):
        ignore = shutil.ignore_patterns(*_NOT_COPIED)
        target = directory.members / str(number)
        shutil.copytree(member.run.folder, target, ignore=ignore, ignore_dangling_symlinks=True)
    first, config = members[0], _config_of(name, members, classifier)
    task = task_of(first.predictions, first.run.config.get("data"))
    frame = mean_predictions([member.predictions.frame for member in members], task)
    outputs.write_predictions(directory.folder / "predictions.parquet", frame)
    classifier.save_pretrained(directory.folder / "model")
    directory.write_config(config)
    environment = describe_environment(
        config, str(first.run.environment.get("corpus_fingerprint", "")), _fingerprints(members, classifier), 1
    )
    described = [_described(member) for member in members]
    identity = directory.identity(config, resume=False, allow_mismatch=False)
    directory.write_environment({**environment, "members": described}, identity)
    summaries = [member.run.summary for member in members]
    metrics = MetricsFile(directory.metrics)
    metrics.write(
        {
            "kind": "summary",
            "best_epoch": None,
            "n_parameters": sum(int(summary.get("n_parameters") or 0) for summary in summaries),
            "peak_memory_bytes": outputs.peak_memory_bytes(),
            "seconds": round(time.monotonic() - started, 3),
            "scores": scores_of(config, task, frame),
            "masked": _by_shared_name(classifier, [summary.get("masked") or {} for summary in summaries]),
            **({"absent": summaries[0]["absent"]} if summaries[0].get("absent") else {}),
            "members": [{key: summary.get(key) for key in ("best_epoch", "scores")} for summary in summaries],
        }
    )
    metrics.close()


def _config_of(name: str, members: Sequence[_Member], classifier: DialogueClassifier) -> RunConfig:
    """Return the configuration of the ensemble: the shared settings, all features, and what the members are."""
    first = members[0].config
    options = {
        str(number): f"{member.config.model.name} ({member.config.name}, seed {member.config.seed})"
        for number, member in enumerate(members, start=1)
    }
    metrics = [one for one in first.metrics if all(one in member.config.metrics for member in members)]
    return RunConfig(
        name=name,
        seed=first.seed,
        task=first.task,
        data=first.data,
        features=_by_shared_name(classifier, [member.config.features for member in members]),
        model=ModelConfig(name=Ensemble.name, options=options),
        metrics=tuple(metrics),
    )


def _by_shared_name(classifier: DialogueClassifier, of_members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return input of the ensemble → what the first member with this input has under its own name."""
    assert isinstance(classifier.model, Ensemble)
    found: dict[str, Any] = {}
    for names, values in zip(classifier.model.names, of_members, strict=True):
        for own, shared in names.items():
            if own in values:
                found.setdefault(shared, values[own])
    return found


def _fingerprints(members: Sequence[_Member], classifier: DialogueClassifier) -> dict[str, Any]:
    return _by_shared_name(classifier, [member.run.environment.get("feature_fingerprints") or {} for member in members])


def _described(member: _Member) -> dict[str, Any]:
    """Return what environment.json says about a member."""
    folder = member.run.folder
    return {
        "folder": str(folder),
        "name": member.config.name,
        "model": member.config.model.name,
        "seed": member.config.seed,
        "run_id": member.run.environment.get("run_id"),
        "predictions_sha256": hashlib.sha256((folder / "predictions.parquet").read_bytes()).hexdigest(),
    }
