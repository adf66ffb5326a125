"""A small system with auxiliary losses, and batches for it, for the tests of training."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.models.api import DialogueSystem, MainLoss, Output
from dialogue_ser.tasks.classification import Classification

TASK = Classification(LabelSet("mood", ("calm", "glad", "cross")))
WEIGHTS = {"sentiment": 0.5, "again": 0.3, "size": 0.25}


class TwoHeads(DialogueSystem):
    """Linear heads over the vectors of the turns.

    Terms: ``sentiment``, cross-entropy over the turns whose sentiment is known; ``again``, the main loss of a further
    head, divided as the main loss; ``size``, the mean square of the scores of all turns.
    """

    name = "two-heads"

    def __init__(self, in_dim: int, n_scores: int, weights: Mapping[str, float] = WEIGHTS) -> None:
        super().__init__({}, n_scores)
        self.weights = weights
        self.head, self.again = nn.Linear(in_dim, n_scores), nn.Linear(in_dim, n_scores)
        self.sentiment = nn.Linear(in_dim, 3)

    def forward(self, batch: DialogueBatch, *, return_attention: bool = False) -> Output:
        x = batch.features["text"]
        auxiliary = {"again": self.again(x), "sentiment": self.sentiment(x)} if self.training else {}
        return Output(self.head(x), {}, auxiliary)

    @property
    def auxiliary_weights(self) -> Mapping[str, float]:
        return self.weights

    def auxiliary_counts(self, batch: DialogueBatch) -> Mapping[str, float]:
        known = 0 if batch.sentiment is None else int((batch.sentiment >= 0).sum())
        return {"sentiment": known, "size": int(batch.n_turns.sum())}

    def auxiliary_numerators(self, output: Output, batch: DialogueBatch, loss: MainLoss) -> Mapping[str, Tensor]:
        scores_BTK = output.auxiliary["sentiment"]
        sentiment = 0.0 * scores_BTK.sum()
        if batch.sentiment is not None:
            sentiment = nn.functional.cross_entropy(
                scores_BTK.flatten(0, 1), batch.sentiment.flatten(), reduction="sum", ignore_index=-100
            )
        size = (output.scores_BTS.square().sum(-1) * batch.is_real_turn).sum()
        return {"sentiment": sentiment, "again": loss(output.auxiliary["again"], batch)[0], "size": size}


def batch_of(labels: list[list[int]], sentiments: list[list[int]] | None, seed: int = 0) -> DialogueBatch:
    shape = (len(labels), max(map(len, labels)))
    label, sentiment = torch.full(shape, -100), torch.full(shape, -100)
    for b, row in enumerate(labels):
        label[b, : len(row)] = torch.tensor(row)
        if sentiments is not None:
            sentiment[b, : len(row)] = torch.tensor(sentiments[b])
    n_turns = torch.tensor([len(row) for row in labels])
    is_real = torch.arange(shape[1])[None] < n_turns[:, None]
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(*shape, 4, generator=generator, dtype=torch.float64) * is_real[..., None]
    return DialogueBatch(
        features={"text": text},
        is_present={"text": is_real},
        speaker=torch.where(is_real, 0, -1),
        n_turns=n_turns,
        label=label,
        is_real_turn=is_real,
        utterance_ids=tuple(tuple(f"d{b}_u{t}" for t in range(len(row))) for b, row in enumerate(labels)),
        sentiment=None if sentiments is None else sentiment,
    )


FIRST = batch_of([[0, 2, -100], [1]], [[1, 0, -100], [2]], seed=1)
SECOND = batch_of([[2, 2]], [[-100, 0]], seed=2)
WITHOUT_SENTIMENT = batch_of([[1, 0]], None, seed=3)
