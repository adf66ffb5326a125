"""What a finished run leaves: predictions of every split, attention, the model folder, the summary."""

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
    """Predictions of every split that has dialogues, on this process alone, with the weights the system has now."""
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
    """The table of predictions of every split: see :meth:`~dialogue_ser.tasks.base.Task.prediction_frame`."""
    frames = [
        task.prediction_frame(dialogues, task.numbers(predicted.outputs_NS), split=split)
        for split, (dialogues, predicted) in predictions.items()
    ]
    return pd.concat(frames, ignore_index=True)


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """predictions.parquet, whole or not at all."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_atomically(path, buffer.getvalue())


def write_attention(folder: Path, predictions: Mapping[str, tuple[Sequence[Dialogue], Predicted]]) -> None:
    """attention.safetensors (``SPLIT/DIALOGUE/NAME`` → ``[T, T]``) and attention.json (the turns behind its rows).

    Writes nothing if the system has no attention.
    """
    tensors: dict[str, Tensor] = {}
    turns: dict[str, list[str]] = {}
    for split, (dialogues, predicted) in predictions.items():
        place = {dialogue.id: f"{split}/{dialogue.id.removeprefix(f'{split}/')}" for dialogue in dialogues}
        turns |= {place[dialogue.id]: [turn.id for turn in dialogue] for dialogue in dialogues}
        for key, weights_TT in predicted.attention.items():
            dialogue_id, name = key.rsplit("/", maxsplit=1)
            tensors[f"{place[dialogue_id]}/{name}"] = weights_TT
    if tensors:
        write_atomically(folder / "attention.safetensors", safetensors.torch.save(tensors))
        write_atomically(folder / "attention.json", to_json({"turns": turns}))


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far, plus the largest CUDA allocation.

    On Linux a process that a larger one started begins with that one's peak.
    """
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    if sys.platform == "win32":
        import psutil

        return device + int(psutil.Process().memory_info().peak_wset)
    # psutil tells a process's peak on Windows only; elsewhere it knows what is resident now, the kernel what was.
    import resource

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return device + resident * (1 if sys.platform == "darwin" else 1024)


def n_parameters(learner: Learner) -> int:
    """Trained parameters."""
    return sum(parameter.numel() for parameter in learner.system.parameters() if parameter.requires_grad)
