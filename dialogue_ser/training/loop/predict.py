"""Predict dialogues with all processes together: outputs of each turn, the loss and attention."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.inference.loop import TurnTable, model_outputs
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop.devices import most_of_ranks, sum_over_ranks
from dialogue_ser.training.loop.gradient.terms import Loss
from dialogue_ser.training.loop.gradient.whole_batch import WholeBatchLoss, of_share
from dialogue_ser.training.loop.interrupt import StopRequest

#: Largest number of attention weights in a batch, padding included, unless one dialogue alone has more.
MAX_BATCH_WEIGHTS = 2**20


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Predictions of some dialogues.

    Args:
        outputs_NS: log-probabilities or values of every turn, float64, in the order of the dialogues.
        loss: mean loss over the labelled turns; None if there are none, or if the loss is not finite.
    """

    outputs_NS: FloatArray
    loss: float | None


@dataclass(frozen=True, kw_only=True)
class WantedAttention:
    """Which attention is wanted, and what takes it. No attention is kept here, because it can be large.

    Args:
        most_turns: attention is computed for dialogues of at most so many turns.
        take: takes each of these dialogues with its attention: name → weights ``[T, T]`` float32, without padding.
    """

    most_turns: int
    take: Callable[[Dialogue, Mapping[str, Tensor]], None]


@torch.no_grad()
def predict(
    system: DialogueSystem,
    dialogues: Sequence[Dialogue],
    batches: Batches,
    loss: Loss,
    accelerator: Accelerator,
    *,
    attention: WantedAttention | None = None,
    stop: StopRequest | None = None,
) -> Predicted | None:
    """Predict every dialogue once. All processes get the same result, but attention of their own dialogues only.

    With attention, a batch has at most MAX_BATCH_WEIGHTS weights or one dialogue.

    Args:
        system: the model, in any mode; predictions are made in eval mode.
        dialogues: dialogues in any order; the function puts dialogues of similar length into one batch.
        batches: makes the batches of this process.
        loss: the loss of a batch; its task turns scores into outputs.
        accelerator: device, autocast and process group.
        attention: which attention is wanted; None = none.
        stop: if a signal asks to stop, and there is one process only, prediction ends.

    Returns:
        the predictions; None if a signal stopped them.
    """
    loss = loss if batches.n_ranks > 1 else of_share(loss)  # the main process predicts the final table alone
    table = TurnTable(dialogues, system.n_scores, accelerator.device)
    sums = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    parts = list(_shares(dialogues, batches, attention))
    n_batches = sum(len(shares) for shares, _ in parts)

    def outputs() -> Iterator[tuple[Sequence[int], DialogueBatch, Output]]:
        for shares, with_attention in parts:
            loaded = zip(shares, batches.load(dialogues, shares), strict=True)
            device, autocast = accelerator.device, accelerator.autocast
            yield from model_outputs(system, loaded, device=device, autocast=autocast, with_attention=with_attention)

    n_missing = most_of_ranks(accelerator, n_batches) - n_batches if isinstance(loss, WholeBatchLoss) else 0
    for share, batch, output in outputs():
        if stop is not None and stop.signal_number and accelerator.num_processes == 1:
            return None  # several processes must all finish: if one left alone, the others would wait for ever
        sums += torch.stack([value.double() for value in loss(output, batch)])
        table.put(share, batch, loss.task.outputs(output.scores_BTS))
        if attention is not None and output.attention:
            _hand_over(output.attention, batch, [dialogues[index] for index in share], attention)
    if batches.n_ranks > 1:
        if isinstance(loss, WholeBatchLoss):
            for _ in range(n_missing):  # the last batch may be smaller than the number of processes
                loss.join_batch()
        # One process has filled a row, and the row is zero in the others. So the sum is exactly the complete table.
        table.values_NS, table.n_seen_N, sums = (
            sum_over_ranks(accelerator, value) for value in (table.values_NS, table.n_seen_N, sums)
        )
    outputs_NS = table.check().cpu().numpy()
    numerator, denominator = sums.tolist()
    mean = numerator / denominator if denominator and math.isfinite(numerator) else None
    return Predicted(outputs_NS=outputs_NS, loss=mean)


def evaluation_batches(batches: Batches) -> Batches:
    """Return the batches for evaluation: without accumulation, and without worker processes, which start too slowly."""
    return replace(batches, accumulate=1, workers=0)


def _shares(
    dialogues: Sequence[Dialogue], batches: Batches, attention: WantedAttention | None
) -> Iterator[tuple[list[list[int]], bool]]:
    """Yield the batches of this process, by length, without and then with attention: their dialogues, and which."""
    order = sorted(range(len(dialogues)), key=lambda index: len(dialogues[index]))
    n_short = 0 if attention is None else sum(len(dialogue) <= attention.most_turns for dialogue in dialogues)
    if order[n_short:]:
        yield batches.shares(order[n_short:]), False
    if order[:n_short]:
        yield [part for share in batches.shares(order[:n_short]) for part in _parts(share, dialogues)], True


def _parts(share: Sequence[int], dialogues: Sequence[Dialogue]) -> Iterator[list[int]]:
    """Cut a batch that is sorted by length into parts of at most MAX_BATCH_WEIGHTS weights, or of one dialogue."""
    part: list[int] = []
    for index in share:
        if part and (len(part) + 1) * len(dialogues[index]) ** 2 > MAX_BATCH_WEIGHTS:
            yield part
            part = []
        part.append(index)
    yield part


def _hand_over(
    attention: Mapping[str, Tensor], batch: DialogueBatch, dialogues: Sequence[Dialogue], wanted: WantedAttention
) -> None:
    """Hand over the attention of each dialogue of a batch without its padding."""
    for b, dialogue in enumerate(dialogues):
        n = len(dialogue)
        wanted.take(dialogue, {name: weights[b, :n, :n].detach().float().cpu() for name, weights in attention.items()})
