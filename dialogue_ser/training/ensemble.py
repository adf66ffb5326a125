"""An ensemble: several runs on the same data whose probabilities are averaged.

Member k (from 1) of a run with seed s is a run of its own in ``members/k`` with seed ``1000 s + k``: other initial
weights, another order, another dropout and, where classes are balanced, another draw of the surplus. Everything else is
the run's: data, fitted transforms, settings. In the run directory stand

    members/1 …          whole run directories, as if each had been trained alone with its config.yaml
    predictions.parquet  every split; p_<class> is the mean of the members' p_<class>, predicted the largest of them
    model/               all members' weights and one copy of the pipelines: DialogueClassifier.from_pretrained predicts
                         with the mean of their probabilities
    metrics.jsonl        one summary line: scores of the averaged predictions, and of each member

Members are trained one after another. A run that is stopped resumes with the member it had come to; members that were
finished are not touched. A model folder or run directory of one member can be used by itself.
"""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from accelerate import Accelerator

from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.model_folder import read_model_folder
from dialogue_ser.inference.rebuild import rebuild_model
from dialogue_ser.models.ensemble import Ensemble
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.config.run_config import MOST_MEMBERS, RunConfig
from dialogue_ser.training.data.prepare import Data, balanced
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.setup import build_system
from dialogue_ser.training.record import outputs
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.record.tracking import MetricsFile
from dialogue_ser.training.single import Execution, begin, scores_of, train_single


def train_ensemble(
    config: RunConfig, directory: RunDirectory, data: Data, accelerator: Accelerator, execution: Execution
) -> None:
    """Trains every member that is not finished, then writes what they say together.

    Args:
        config: of the run; ``training.ensemble`` members.
        directory: of the run, already checked.
        data: shared by all members.
        accelerator: of the run; each member makes its own.
        execution: whether to resume, and the like.

    Raises:
        ConfigError, CheckpointError, TrainingError, Interrupted: as :func:`~dialogue_ser.training.run.train`.
    """
    build_system(config, balanced(config, data))  # a model that cannot be had leaves no directory behind
    begin(config, directory, data, accelerator, execution)
    members = [RunDirectory(directory.members / str(k)) for k in range(1, config.training.ensemble + 1)]
    for number, member in enumerate(members, start=1):
        _train_member(member_config(config, number), member, data, execution)
    if accelerator.is_main_process:
        _finish(config, directory, data, members, execution)
    accelerator.wait_for_everyone()


def member_config(config: RunConfig, number: int) -> RunConfig:
    """Configuration of one member's own run.

    >>> member = member_config(RunConfig(name="both", seed=7), 2)
    >>> member.name, member.seed, member.training.ensemble
    ('both-member-2', 7002, 1)
    """
    return replace(
        config,
        name=f"{config.name}-member-{number}",
        seed=config.seed * MOST_MEMBERS + number,
        training=replace(config.training, ensemble=1),
        wandb=replace(config.wandb, group=config.wandb.group or config.name),
    )


def mean_predictions(frames: Sequence[pd.DataFrame], task: Task) -> pd.DataFrame:
    """Members' tables of predictions as one: probabilities averaged, the most probable class predicted; or values."""
    return task.with_numbers(
        frames[0], np.mean([frame[list(task.number_columns)].to_numpy() for frame in frames], axis=0)
    )


def _train_member(config: RunConfig, directory: RunDirectory, data: Data, execution: Execution) -> None:
    """A run as any other; one that is finished stays as it is."""
    is_begun = (directory.folder / "config.yaml").is_file()
    own = replace(execution, resume=execution.resume and is_begun, started=time.monotonic())
    directory.check(config, resume=own.resume, allow_mismatch=own.allow_mismatch)
    is_whole = directory.is_finished and directory.has_outputs
    if not (own.resume and is_whole) or own.allow_mismatch:
        train_single(config, directory, data, make_accelerator(config.training), own)


def _finish(
    config: RunConfig, directory: RunDirectory, data: Data, members: Sequence[RunDirectory], execution: Execution
) -> None:
    """Averaged predictions, the model of all members, the summary line."""
    frames = [pd.read_parquet(member.folder / "predictions.parquet") for member in members]
    frame = mean_predictions(frames, data.task)
    outputs.write_predictions(directory.folder / "predictions.parquet", frame)
    # The run names its own encoders, so that their code may be run.
    systems = [rebuild_model(read_model_folder(member.folder / "model"), trust_code=True) for member in members]
    classifier = DialogueClassifier(Ensemble(systems), data.task, data.pipelines)
    classifier.save_pretrained(directory.folder / "model")
    summaries = [RunFiles(member.folder).summary for member in members]
    metrics = MetricsFile(directory.metrics)
    metrics.truncate(0)
    metrics.write(
        {
            "kind": "summary",
            "best_epoch": None,
            "n_parameters": sum(summary["n_parameters"] for summary in summaries),
            "peak_memory_bytes": outputs.peak_memory_bytes(),
            "seconds": round(time.monotonic() - execution.started, 3),
            "scores": scores_of(config, data.task, frame),
            "masked": data.masked,
            **{name: summaries[0][name] for name in ("absent", "balance") if name in summaries[0]},  # alike in all
            "members": [{name: summary[name] for name in ("best_epoch", "scores")} for summary in summaries],
        }
    )
    metrics.close()
