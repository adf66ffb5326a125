"""Every dialogue once through the system, over all ranks: outputs per turn, loss and attention."""

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
    """What the system says of some dialogues.

    Args:
        outputs_NS: log-probabilities or values of every turn, in the order of the dialogues given, float64.
        loss: mean loss over labelled turns; None without any, or if it is not finite.
        attention: ``DIALOGUE/NAME`` → weights ``[T, T]`` float32; empty unless asked for.
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
    """Predictions of every dialogue, exactly once each, equal on every rank (attention: this rank's dialogues only).

    Args:
        system: any mode; it is judged in eval mode.
        dialogues: in any order; dialogues of similar length share a batch.
        batches: this rank's share and how to collate.
        loss: numerator and denominator of a batch, and the task that reads scores.
        accelerator: device, autocast and process group.
        with_attention: also collect attention.
        stop: where it is set on a single process, prediction ends and the answer is None.
    """
    shares = batches.shares(sorted(range(len(dialogues)), key=lambda index: len(dialogues[index])))
    table = TurnTable(dialogues, system.n_scores, accelerator.device)
    sums = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    attention: dict[str, Tensor] = {}

    def loaded() -> Iterator[tuple[Sequence[int], DialogueBatch]]:
        yield from zip(shares, batches.load(dialogues, shares), strict=True)

    asked = model_outputs(
        system, loaded(), device=accelerator.device, autocast=accelerator.autocast, with_attention=with_attention
    )
    for share, batch, output in asked:
        if stop is not None and stop.signal_number and accelerator.num_processes == 1:
            return None  # several ranks must all finish: a rank that left alone would leave the others waiting
        sums += torch.stack([value.double() for value in loss(output, batch)])
        table.put(share, batch, loss.task.outputs(output.scores_BTS))
        attention |= _attention(output, batch, [dialogues[index] for index in share])
    if batches.n_ranks > 1:
        # Each row was filled by one rank and is zero elsewhere: the sum is the gathered table, exactly.
        table.values_NS, table.n_seen_N, sums = (
            sum_over_ranks(accelerator, value) for value in (table.values_NS, table.n_seen_N, sums)
        )
    outputs_NS = table.check().cpu().numpy()
    numerator, denominator = sums.tolist()
    mean = numerator / denominator if denominator and math.isfinite(numerator) else None
    return Predicted(outputs_NS=outputs_NS, loss=mean, attention=attention)


def evaluation_batches(batches: Batches) -> Batches:
    """The same cutting for evaluation: no accumulation, no worker processes (starting them would take longer)."""
    return replace(batches, accumulate=1, workers=0)


def _attention(output: Output, batch: DialogueBatch, dialogues: Sequence[Dialogue]) -> dict[str, Tensor]:
    found = {}
    for name, weights_BTT in output.attention.items():
        for b, dialogue in enumerate(dialogues):
            n = int(batch.n_turns[b])
            found[f"{dialogue.id}/{name}"] = weights_BTT[b, :n, :n].detach().float().cpu().contiguous()
    return found
