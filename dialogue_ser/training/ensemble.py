"""An ensemble: several models are trained on the same data, and their probabilities are averaged.

Member k (from 1) of a run with seed s is a separate run in ``members/k`` with the seed ``1000 s + k``. So each member
has other initial weights, another order of the batches, other dropout and, if classes are balanced by downsampling,
another draw of turns. The data, the fitted transforms and all other settings are shared. The run directory holds

    members/1 …          the run directories of the members, as if each had been trained alone with its config.yaml
    predictions.parquet  every split; p_<class> is the mean of the members' p_<class>; the class with the largest mean
                         is predicted
    model/               the weights of all members and one copy of the pipelines: DialogueClassifier.from_pretrained
                         loads it and predicts with the mean of the members' probabilities
    metrics.jsonl        one summary line with the scores of the averaged predictions and of each member

Members are trained one after another. A stopped run resumes with the member that was being trained; finished members
are not changed. The run directory and the model folder of a member can also be used alone.
"""

import time
from collections.abc import Sequence
from contextlib import nullcontext
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
from dialogue_ser.training.config.files import code_of_run
from dialogue_ser.training.config.run_config import MAX_MEMBERS, RunConfig
from dialogue_ser.training.data.prepare import Data, balanced
from dialogue_ser.training.loop.devices import make_accelerator, wait_for_all
from dialogue_ser.training.loop.setup import build_system
from dialogue_ser.training.record import outputs
from dialogue_ser.training.record.mirror.process import WandbMirror
from dialogue_ser.training.record.run_directory import RunDirectory
from dialogue_ser.training.record.tracking import MetricsFile
from dialogue_ser.training.single import Execution, record_configuration, scores_of, train_single


def train_ensemble(
    config: RunConfig, directory: RunDirectory, data: Data, accelerator: Accelerator, execution: Execution
) -> None:
    """Train every member that is not finished, then write the averaged results.

    Args:
        config: configuration of the run; ``training.ensemble`` is the number of members.
        directory: run directory of the whole run, already checked.
        data: data that all members share.
        accelerator: accelerator of the whole run; each member makes its own.
        execution: how the run is executed, e.g. whether it is resumed.

    Raises:
        ConfigError, CheckpointError, TrainingError, Interrupted: as :func:`~dialogue_ser.training.run.train`.
    """
    build_system(config, balanced(config, data))  # an error in the model's options leaves no directory behind
    record_configuration(config, directory, data, accelerator, execution)
    members = [RunDirectory(directory.members / str(k)) for k in range(1, config.training.ensemble + 1)]
    for number, member in enumerate(members, start=1):
        _train_member(member_config(config, number), member, data, execution)
    if accelerator.is_main_process:
        _finish(config, directory, data, members, execution)
    wait_for_all(accelerator)


def member_config(config: RunConfig, number: int) -> RunConfig:
    """Return the configuration of one member's own run.

    Args:
        config: configuration of the whole run.
        number: number of the member, from 1.

    >>> member = member_config(RunConfig(name="both", seed=7), 2)
    >>> member.name, member.seed, member.training.ensemble
    ('both-member-2', 7002, 1)
    """
    return replace(
        config,
        name=f"{config.name}-member-{number}",
        seed=config.seed * MAX_MEMBERS + number,
        training=replace(config.training, ensemble=1),
        wandb=replace(config.wandb, group=config.wandb.group or config.name, job_type="member"),
    )


def mean_predictions(frames: Sequence[pd.DataFrame], task: Task) -> pd.DataFrame:
    """Average the members' tables of predictions into one.

    The mean is over probabilities or values. For classes, the one with the largest mean probability is predicted.
    """
    numbers = [frame[list(task.number_columns)].to_numpy() for frame in frames]
    return task.with_numbers(frames[0], np.mean(numbers, axis=0))


def _train_member(config: RunConfig, directory: RunDirectory, data: Data, execution: Execution) -> None:
    """Train one member like any other run, unless it is already finished."""
    is_started = (directory.folder / "config.yaml").is_file()
    resume = execution.resume and is_started
    own = None if execution.mirror is None else WandbMirror(directory.folder, config.wandb)
    execution = replace(execution, resume=resume, started=time.monotonic(), mirror=own, on_environment=None)
    directory.check(config, resume=execution.resume, allow_mismatch=execution.allow_mismatch)
    is_complete = directory.is_finished and directory.has_outputs
    if not (execution.resume and is_complete) or execution.allow_mismatch:
        with own or nullcontext():
            train_single(config, directory, data, make_accelerator(config.training), execution)


def _finish(
    config: RunConfig, directory: RunDirectory, data: Data, members: Sequence[RunDirectory], execution: Execution
) -> None:
    """Write the averaged predictions, the model with all members, and the summary line."""
    frames = [pd.read_parquet(member.folder / "predictions.parquet") for member in members]
    frame = mean_predictions(frames, data.task)
    outputs.write_predictions(directory.folder / "predictions.parquet", frame)
    # Somebody may have changed a finished member's folder. It can name no other code than this run has used.
    trusted = code_of_run(config)
    systems = [rebuild_model(read_model_folder(member.folder / "model"), trusted) for member in members]
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
            **{
                name: summaries[0][name] for name in ("absent", "balance") if name in summaries[0]
            },  # equal in all members
            "members": [{name: summary[name] for name in ("best_epoch", "scores")} for summary in summaries],
        }
    )
    metrics.close()
    if execution.mirror is not None:
        execution.mirror.start()
