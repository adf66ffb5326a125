"""Make and write the results of a finished run: predictions of every split, and numbers of the summary."""

import io
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from dialogue_ser.corpus.schema import Corpus, Dialogue
from dialogue_ser.durable import write_atomically
from dialogue_ser.inference.loop import model_outputs
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.predict import Predicted, WantedAttention, predict
from dialogue_ser.training.record.attention_file import AttentionFile

logger = logging.getLogger(__name__)


def predict_splits(
    learner: Learner, corpus: Corpus, batches: Batches, attention: AttentionFile | None = None
) -> dict[str, tuple[Sequence[Dialogue], Predicted]]:
    """Predict every split that has dialogues, in this process alone, with the current weights of the system.

    Args:
        learner: has the system.
        corpus: has the splits.
        batches: makes the batches.
        attention: takes the attention of the dialogues that are not too long; None = do not compute it.

    Returns:
        split → its dialogues and their predictions.
    """
    found: dict[str, tuple[Sequence[Dialogue], Predicted]] = {}
    learner.system.eval()
    for split, dialogues in corpus.splits.items():
        if dialogues:
            wanted = None
            if attention is not None:
                wanted = WantedAttention(most_turns=attention.most_turns, take=partial(attention.put, split))
            predicted = predict(learner.system, dialogues, batches, learner.loss, learner.accelerator, attention=wanted)
            assert predicted is not None
            found[split] = (dialogues, predicted)
    if attention is not None:
        _note_long_dialogues(learner, corpus, batches, attention)
    return found


def _note_long_dialogues(learner: Learner, corpus: Corpus, batches: Batches, attention: AttentionFile) -> None:
    """Note the dialogues whose attention is not stored because they are too long, and warn; none if there is none."""
    too_long = [
        (split, dialogue)
        for split, dialogues in corpus.splits.items()
        for dialogue in dialogues
        if len(dialogue) > attention.most_turns
    ]
    if not too_long or (attention.is_empty and not _gives_attention(learner, too_long[0][1], batches)):
        return
    for split, dialogue in too_long:
        attention.leave_out(split, dialogue)
    longest = max(len(dialogue) for _, dialogue in too_long)
    logger.warning(
        "attention is not saved for %d dialogue%s of more than %d turns; --attention_turns %d would save all",
        len(too_long),
        "s" if len(too_long) > 1 else "",
        attention.most_turns,
        longest,
    )


def _gives_attention(learner: Learner, dialogue: Dialogue, batches: Batches) -> bool:
    """Whether the system gives attention between turns. Its first turn shows it."""
    batch = batches.collate([replace(dialogue, utterances=dialogue.utterances[:1])])
    outputs = model_outputs(learner.system, [([0], batch)], device=learner.accelerator.device, with_attention=True)
    return any(output.attention for _, _, output in outputs)


def predictions_frame(predictions: Mapping[str, tuple[Sequence[Dialogue], Predicted]], task: Task) -> pd.DataFrame:
    """Return one table of predictions for all splits (:meth:`~dialogue_ser.tasks.base.Task.prediction_frame`)."""
    frames = [
        task.prediction_frame(dialogues, task.numbers(predicted.outputs_NS), split=split)
        for split, (dialogues, predicted) in predictions.items()
    ]
    return pd.concat(frames, ignore_index=True)


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Write predictions.parquet; the file appears only when it is complete."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_atomically(path, buffer.getvalue())


def peak_memory_bytes() -> int:
    """Return the peak memory of this process so far: its largest resident size plus its largest CUDA allocation.

    On Linux a new process starts with the peak of the process that started it.
    """
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    if sys.platform == "win32":
        import psutil

        return device + int(psutil.Process().memory_info().peak_wset)
    # psutil knows a process's peak on Windows only; on other systems the kernel counts it.
    import resource

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return device + resident * (1 if sys.platform == "darwin" else 1024)


def n_parameters(learner: Learner) -> int:
    """Return the number of trained parameters."""
    return sum(parameter.numel() for parameter in learner.system.parameters() if parameter.requires_grad)
