"""Several text vectors of a turn, e.g. of several layers of one encoder, become one vector."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.encoders.turn import TurnVectors
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.nn.vectors.turn_norm import TurnNorm, TurnNormKind
from dialogue_ser.tensors import FeaturesBTD

Combination = Literal["concat", "first-two", "mean", "one", "weighted"]


class SeveralVectors(nn.Module):
    """One vector per turn: the text vectors, normalised and combined, then the vectors of all other inputs.

    Args:
        inputs: modality → shape of its features.
        texts: the inputs that are vectors of the text, in their order. There may be none.
        combine: concat = side by side; first-two = the first two side by side; mean; one = a single one; weighted = a
            learned weighted sum, which begins as the mean.
        vector: with combine one, the number of the text vector, from 1.
        norm: of each text vector before the combination. layer = layer norm; dialogue = layer norm without parameters
            over all turns of the dialogue together; batch = batch norm over all turns of the batch. Padding and turns
            without the vector are never read.
        owner: beginning of messages, e.g. ``model cosmic: model.options``.

    Raises:
        ConfigError: the text vectors have different sizes but are averaged, or there is no such vector.
    """

    weights: nn.Parameter | None

    def __init__(
        self,
        inputs: Mapping[str, InputSpec],
        texts: Sequence[str],
        *,
        combine: Combination,
        vector: int,
        norm: TurnNormKind,
        owner: str,
    ) -> None:
        super().__init__()
        if texts and combine == "one" and vector > len(texts):
            raise ConfigError(
                f"{owner}.text_vector: found {vector}, but the run has {len(texts)} text vectors "
                f"({', '.join(texts)}); choose at most {len(texts)}"
            )
        chosen = {"one": slice(vector - 1, vector), "first-two": slice(2)}.get(combine, slice(None))
        self.texts = list(texts[chosen])
        others = [name for name in inputs if name not in texts]
        self.vectors = TurnVectors({name: inputs[name] for name in (*self.texts, *others)})
        self.others = others
        self.is_sum = combine in ("mean", "weighted") and bool(self.texts)
        sizes = [self.vectors.dims[name] for name in self.texts]
        if self.is_sum and len(set(sizes)) > 1:
            found = ", ".join(f"{name} {size}" for name, size in zip(self.texts, sizes, strict=True))
            raise ConfigError(
                f"{owner}.combine: found {combine}, but the text vectors have different sizes ({found}); choose concat"
            )
        is_weighted = combine == "weighted" and bool(self.texts)
        self.weights = nn.Parameter(torch.full((len(sizes),), 1 / len(sizes))) if is_weighted else None
        self.norms = nn.ModuleDict({name: TurnNorm(norm, self.vectors.dims[name]) for name in self.texts})
        of_texts = sizes[0] if self.is_sum else sum(sizes)
        self.out_dim = of_texts + sum(self.vectors.dims[name] for name in others)

    def forward(self, batch: DialogueBatch) -> FeaturesBTD:
        """The vectors of all turns; the part of an absent vector is 0."""
        vectors = self.vectors.vectors(batch)
        texts = [self.norms[name](vectors[name], batch.is_present[name]) for name in self.texts]
        if self.is_sum:
            texts = [self._sum(texts)]
        return torch.cat([*texts, *(vectors[name] for name in self.others)], dim=-1)

    def _sum(self, texts: Sequence[Tensor]) -> Tensor:
        if self.weights is None:
            return torch.stack(list(texts)).mean(0)
        return torch.einsum("v,vbtd->btd", self.weights, torch.stack(list(texts)))
