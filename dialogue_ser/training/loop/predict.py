"""Predict dialogues with all processes together: outputs of each turn, the loss and attention."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.inference.loop import TurnTable, model_outputs
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop.devices import sum_over_ranks
from dialogue_ser.training.loop.interrupt import StopRequest
from dialogue_ser.training.loop.learner import Loss


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Predictions of some dialogues.

    Args:
        outputs_NS: log-probabilities or values of every turn, float64, in the order of the dialogues.
        loss: mean loss over the labelled turns; None if there are none, or if the loss is not finite.
        attention: ``DIALOGUE/NAME`` → weights ``[T, T]`` float32; empty unless it was requested.
    """

    outputs_NS: FloatArray
    loss: float | None
    attention: Mapping[str, Tensor] = field(default_factory=dict)


@torch.no_grad()
def predict(
    system: DialogueSystem,
    dialogues: Sequence[Dialogue],
    batches: Batches,
    loss: Loss,
    accelerator: Accelerator,
    *,
    with_attention: bool = False,
    stop: StopRequest | None = None,
) -> Predicted | None:
    """Predict every dialogue once. All processes get the same result, but attention of their own dialogues only.

    Args:
        system: the model, in any mode; predictions are made in eval mode.
        dialogues: dialogues in any order; the function puts dialogues of similar length into one batch.
        batches: makes the batches of this process.
        loss: the loss of a batch; its task turns scores into outputs.
        accelerator: device, autocast and process group.
        with_attention: whether to collect attention.
        stop: if a signal asks to stop, and there is one process only, prediction ends.

    Returns:
        the predictions; None if a signal stopped them.
    """
    shares = batches.shares(sorted(range(len(dialogues)), key=lambda index: len(dialogues[index])))
    table = TurnTable(dialogues, system.n_scores, accelerator.device)
    sums = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    attention: dict[str, Tensor] = {}

    def loaded() -> Iterator[tuple[Sequence[int], DialogueBatch]]:
        yield from zip(shares, batches.load(dialogues, shares), strict=True)

    outputs = model_outputs(
        system, loaded(), device=accelerator.device, autocast=accelerator.autocast, with_attention=with_attention
    )
    for share, batch, output in outputs:
        if stop is not None and stop.signal_number and accelerator.num_processes == 1:
            return None  # several processes must all finish: if one left alone, the others would wait for ever
        sums += torch.stack([value.double() for value in loss(output, batch)])
        table.put(share, batch, loss.task.outputs(output.scores_BTS))
        attention |= _attention(output, batch, [dialogues[index] for index in share])
    if batches.n_ranks > 1:
        # One process has filled a row, and the row is zero in the others. So the sum is exactly the complete table.
        table.values_NS, table.n_seen_N, sums = (
            sum_over_ranks(accelerator, value) for value in (table.values_NS, table.n_seen_N, sums)
        )
    outputs_NS = table.check().cpu().numpy()
    numerator, denominator = sums.tolist()
    mean = numerator / denominator if denominator and math.isfinite(numerator) else None
    return Predicted(outputs_NS=outputs_NS, loss=mean, attention=attention)


def evaluation_batches(batches: Batches) -> Batches:
    """Return the batches for evaluation: without accumulation, and without worker processes, which start too slowly."""
    return replace(batches, accumulate=1, workers=0)


def _attention(output: Output, batch: DialogueBatch, dialogues: Sequence[Dialogue]) -> dict[str, Tensor]:
    """Return the attention of each dialogue of a batch without its padding: ``DIALOGUE/NAME`` → ``[T, T]``."""
    attention = {}
    for name, weights_BTT in output.attention.items():
        for b, dialogue in enumerate(dialogues):
            n = int(batch.n_turns[b])
            attention[f"{dialogue.id}/{name}"] = weights_BTT[b, :n, :n].detach().float().cpu().contiguous()
    return attention
