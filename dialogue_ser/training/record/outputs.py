"""Make and write the results of a finished run: predictions of every split, attention, and numbers of the summary."""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import safetensors.torch
import torch
from torch import Tensor

from dialogue_ser.corpus.schema import Corpus, Dialogue
from dialogue_ser.durable import write_atomically
from dialogue_ser.runs.run_files import to_json
from dialogue_ser.tasks.base import Task
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop.learner import Learner
from dialogue_ser.training.loop.predict import Predicted, predict


def predict_splits(
    learner: Learner, corpus: Corpus, batches: Batches, *, with_attention: bool
) -> dict[str, tuple[Sequence[Dialogue], Predicted]]:
    """Predict every split that has dialogues, in this process alone, with the current weights of the system.

    Returns:
        split → its dialogues and their predictions.
    """
    found: dict[str, tuple[Sequence[Dialogue], Predicted]] = {}
    learner.system.eval()
    for split, dialogues in corpus.splits.items():
        if dialogues:
            predicted = predict(
                learner.system, dialogues, batches, learner.loss, learner.accelerator, with_attention=with_attention
            )
            assert predicted is not None
            found[split] = (dialogues, predicted)
    return found


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


def write_attention(folder: Path, predictions: Mapping[str, tuple[Sequence[Dialogue], Predicted]]) -> None:
    """Write attention.safetensors and attention.json; write nothing if the system has no attention.

    The first has ``SPLIT/DIALOGUE/NAME`` → weights ``[T, T]``. The second has ``SPLIT/DIALOGUE`` → ids of the turns
    in the rows and columns.
    """
    tensors: dict[str, Tensor] = {}
    turns: dict[str, list[str]] = {}
    for split, (dialogues, predicted) in predictions.items():
        key_of = {dialogue.id: f"{split}/{dialogue.id.removeprefix(f'{split}/')}" for dialogue in dialogues}
        turns |= {key_of[dialogue.id]: [turn.id for turn in dialogue] for dialogue in dialogues}
        for key, weights_TT in predicted.attention.items():
            dialogue_id, name = key.rsplit("/", maxsplit=1)
            tensors[f"{key_of[dialogue_id]}/{name}"] = weights_TT
    if tensors:
        write_atomically(folder / "attention.safetensors", safetensors.torch.save(tensors))
        write_atomically(folder / "attention.json", to_json({"turns": turns}))


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
