"""Every dialogue once through the system, over all ranks: class probabilities per turn, loss and attention."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.models.api import DialogueSystem, Output
from dialogue_ser.training.devices import sum_over_ranks
from dialogue_ser.training.interrupt import StopRequest
from dialogue_ser.training.learner import Loss
from dialogue_ser.training.plan import Batches


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """What the system says of some dialogues.

    Args:
        log_probs_NC: log-probabilities of every turn, in the order of the dialogues given, float64.
        loss: mean loss over labelled turns; None without any, or if it is not finite.
        attention: ``DIALOGUE/NAME`` → weights ``[T, T]`` float32; empty unless asked for.
    """

    log_probs_NC: NDArray[np.float64]
    loss: float | None
    attention: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def predicted_N(self) -> NDArray[np.int64]:
        """Most probable class of every turn."""
        best_N: NDArray[np.int64] = np.argmax(self.log_probs_NC, axis=1).astype(np.int64)
        return best_N


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
        system: in eval mode.
        dialogues: in any order; dialogues of similar length share a batch.
        batches: this rank's share and how to collate.
        loss: numerator and denominator of a batch.
        accelerator: device, autocast and process group.
        with_attention: also collect attention.
        stop: where it is set on a single process, prediction ends and the answer is None.
    """
    by_length = sorted(range(len(dialogues)), key=lambda index: len(dialogues[index]))
    shares = batches.shares(by_length)
    first_row = np.cumsum([0, *(len(dialogue) for dialogue in dialogues)])
    table_NC = torch.zeros(int(first_row[-1]), system.n_classes, dtype=torch.float64, device=accelerator.device)
    n_seen_N = torch.zeros(int(first_row[-1]), dtype=torch.int64, device=accelerator.device)
    sums = torch.zeros(2, dtype=torch.float64, device=accelerator.device)
    attention: dict[str, Tensor] = {}
    for share, loaded in zip(shares, batches.load(dialogues, shares), strict=True):
        if stop is not None and stop.signal_number and accelerator.num_processes == 1:
            return None  # several ranks must all finish: a rank that left alone would leave the others waiting
        batch = loaded.to(accelerator.device)
        with accelerator.autocast():
            output = system(batch, return_attention=with_attention)
        sums += torch.stack([value.double() for value in loss(output, batch)])
        rows = torch.cat([torch.arange(first_row[i], first_row[i + 1]) for i in share]).to(accelerator.device)
        table_NC[rows] = output.log_probs_BTC[batch.is_real_turn].double()
        n_seen_N[rows] += 1
        attention |= _attention(output, batch, [dialogues[index] for index in share])
    if batches.n_ranks > 1:
        # Each row was filled by one rank and is zero elsewhere: the sum is the gathered table, exactly.
        table_NC, n_seen_N, sums = (sum_over_ranks(accelerator, value) for value in (table_NC, n_seen_N, sums))
    assert bool((n_seen_N == 1).all()), "a turn was predicted never or twice"
    numerator, denominator = sums.tolist()
    mean = numerator / denominator if denominator and math.isfinite(numerator) else None
    return Predicted(log_probs_NC=table_NC.cpu().numpy(), loss=mean, attention=attention)


def gold_labels(dialogues: Sequence[Dialogue]) -> list[str | None]:
    """Gold label of every turn, in order; None where unlabelled."""
    return [turn.label for turn in utterances(dialogues)]


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
