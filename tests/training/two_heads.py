"""A small system with auxiliary losses, for the tests of training."""

from collections.abc import Mapping

from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.models.api import DialogueSystem, MainLoss, Output

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
