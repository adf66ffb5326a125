"""TextCNN: n-gram filters over word embeddings, learned with the dialogue model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.text.word_tokenizer import UNKNOWN_ID


@dataclass(frozen=True, kw_only=True, slots=True)
class TextCNNConfig:
    """Options of TextCNN.

    Args:
        embedding_dim: width of the word embeddings (own choice, as GloVe-300; they start random).
        n_filters: filters per width (own choice).
        widths: n-gram lengths.
        out_dim: the utterance vector.
        dropout: on the concatenated n-gram features.
        embedding_dropout: on the embedded words.
        word_dropout: share of words read as unknown while training, so that the unknown word is learned too.
    """

    embedding_dim: int = 300
    n_filters: int = 100
    widths: Sequence[int] = (3, 4, 5)
    out_dim: int = 100
    dropout: float = 0.5
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = (self.embedding_dim, self.n_filters, self.out_dim, *self.widths)
        shares = (self.dropout, self.embedding_dropout, self.word_dropout)
        if not self.widths or min(sizes) < 1 or not all(0.0 <= share < 1.0 for share in shares):
            raise ConfigError("textcnn: widths and sizes must be at least 1, dropouts at least 0 and below 1")


class TextCNN(TrainedEncoder):
    """Filters of 3, 4 and 5 words → max-pool → ReLU → concatenated → dense 100 (EmotionRNN's report, section 3.1.1).

    A text shorter than a filter is read with zero vectors behind it. Windows of all texts are gathered and multiplied
    at once: no window over padding is computed, so a long text costs its batch mates nothing.

    Args:
        config: options.
        dim: size of the vocabulary with padding id 0 and unknown id 1.
    """

    name = "textcnn"
    description = "n-gram filters over word embeddings learned with the model; vocabulary from train"
    front_end = "words"
    Config = TextCNNConfig

    def __init__(self, config: TextCNNConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.out_dim = config.out_dim
        self.embedding = nn.Embedding(dim, config.embedding_dim, padding_idx=0)
        nn.init.uniform_(self.embedding.weight, -0.25, 0.25)
        with torch.no_grad():
            self.embedding.weight[0] = 0.0
        self.filters = nn.ModuleList(
            nn.Linear(width * config.embedding_dim, config.n_filters) for width in config.widths
        )
        self.embedding_dropout = nn.Dropout(config.embedding_dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.dense = nn.Linear(len(config.widths) * config.n_filters, config.out_dim)

    def encode_rows(
        self,
        values_NL: Int[Tensor, "row length"],
        lengths_N: Int[Tensor, " row"],
        host_lengths_N: Int[Tensor, " row"],
    ) -> Float[Tensor, "row out"]:
        """One vector per text of word ids."""
        n_rows, longest = values_NL.shape
        ids_NL = values_NL.masked_fill(~is_valid(lengths_N, longest), 0)
        if self.training and self.config.word_dropout > 0:
            is_dropped = torch.rand(ids_NL.shape, device=ids_NL.device) < self.config.word_dropout
            ids_NL = ids_NL.masked_fill(is_dropped & (ids_NL > 0), UNKNOWN_ID)
        room = max(max(self.config.widths) - longest, 0)
        ids_NL = nn.functional.pad(ids_NL, (0, room))
        x_NLE = self.embedding_dropout(self.embedding(ids_NL))
        pooled = [
            self._pooled(x_NLE, lengths_N, int(_n_windows(host_lengths_N, width).sum()), width, layer)
            for width, layer in zip(self.config.widths, self.filters, strict=True)
        ]
        out_ND: Tensor = self.dense(self.dropout(torch.cat(pooled, dim=-1)))
        assert out_ND.shape[0] == n_rows
        return out_ND

    @staticmethod
    def _pooled(
        x_NLE: Float[Tensor, "row length embedding"],
        lengths_N: Int[Tensor, " row"],
        n_windows: int,
        width: int,
        layer: nn.Module,
    ) -> Float[Tensor, "row filter"]:
        """ReLU of each filter's maximum over the windows that lie inside the text (at least one)."""
        n_windows_N = _n_windows(lengths_N, width)
        row_N = torch.arange(len(lengths_N), device=x_NLE.device)
        row_W = torch.repeat_interleave(row_N, n_windows_N, output_size=n_windows)  # nobody need ask a GPU for the size
        first_N = n_windows_N.cumsum(0) - n_windows_N
        start_W = torch.arange(len(row_W), device=x_NLE.device) - first_N[row_W]
        place_WK = start_W[:, None] + torch.arange(width, device=x_NLE.device)
        windows_WD = x_NLE[row_W[:, None], place_WK].flatten(1)
        scores_WF = layer(windows_WD)
        lowest_NF = scores_WF.new_full((len(lengths_N), scores_WF.shape[1]), -torch.inf)
        best_NF = lowest_NF.scatter_reduce(0, row_W[:, None].expand_as(scores_WF), scores_WF, "amax")
        return torch.relu(best_NF)


def _n_windows(lengths_N: Int[Tensor, " row"], width: int) -> Int[Tensor, " row"]:
    """Windows of a filter inside each text; a text shorter than it is read once, with zeros behind."""
    return (lengths_N - width).clamp_min(0) + 1
