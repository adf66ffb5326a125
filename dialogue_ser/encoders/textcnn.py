"""TextCNN: n-gram filters over word embeddings, both trained with the dialogue model."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid
from dialogue_ser.encoders.option_checks import raise_problems, rate_problems, size_problems
from dialogue_ser.features.text.word_tokenizer import UNKNOWN_ID


@dataclass(frozen=True, kw_only=True, slots=True)
class TextCNNConfig:
    """Options of TextCNN.

    Args:
        embedding_dim: size of the word embeddings (own choice, as in GloVe-300). They start with random values.
        n_filters: number of filters per width (own choice).
        widths: widths of the filters, in words.
        out_dim: size of the utterance vector.
        dropout: dropout rate on the concatenated n-gram features.
        embedding_dropout: dropout rate on the word embeddings.
        word_dropout: share of words that are replaced by the unknown word in training, so that the embedding of the
            unknown word is trained too.
    """

    embedding_dim: int = 300
    n_filters: int = 100
    widths: Sequence[int] = (3, 4, 5)
    out_dim: int = 100
    dropout: float = 0.5
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0

    def __post_init__(self) -> None:
        problems = size_problems(embedding_dim=self.embedding_dim, n_filters=self.n_filters, out_dim=self.out_dim)
        if not self.widths or min(self.widths) < 1:
            problems.append(f"widths {list(self.widths)} must be one or more numbers of at least 1")
        rates = {name: getattr(self, name) for name in ("dropout", "embedding_dropout", "word_dropout")}
        raise_problems("textcnn", problems + rate_problems(**rates))


class TextCNN(TrainedEncoder):
    """Filters of 3, 4 and 5 words → max-pool → ReLU → concatenated → dense 100 (EmotionRNN, section 3.1.1).

    A text that is shorter than a filter is filled up with zero vectors. The windows of all texts are gathered and
    multiplied at once. No window over padding is computed, so a long text does not make the other texts of its batch
    slower.

    Args:
        config: options.
        dim: size of the vocabulary, in which 0 is the padding id and 1 is the id of the unknown word.
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
        n_missing = max(max(self.config.widths) - longest, 0)
        ids_NL = nn.functional.pad(ids_NL, (0, n_missing))
        x_NLE = self.embedding_dropout(self.embedding(ids_NL))
        pooled = [
            self._max_over_windows(x_NLE, lengths_N, int(_n_windows(host_lengths_N, width).sum()), width, layer)
            for width, layer in zip(self.config.widths, self.filters, strict=True)
        ]
        out_ND: Tensor = self.dense(self.dropout(torch.cat(pooled, dim=-1)))
        assert out_ND.shape[0] == n_rows
        return out_ND

    @staticmethod
    def _max_over_windows(
        x_NLE: Float[Tensor, "row length embedding"],
        lengths_N: Int[Tensor, " row"],
        n_windows: int,
        width: int,
        layer: nn.Module,
    ) -> Float[Tensor, "row filter"]:
        """ReLU of the maximum of each filter over the windows of each text; every text has at least one window.

        Args:
            x_NLE: word embeddings.
            lengths_N: number of words per text.
            n_windows: number of windows of all texts together.
            width: width of the filters, in words.
            layer: the filters, as a linear layer over a window.
        """
        n_windows_N = _n_windows(lengths_N, width)
        row_N = torch.arange(len(lengths_N), device=x_NLE.device)
        row_W = torch.repeat_interleave(row_N, n_windows_N, output_size=n_windows)  # known size: no waiting
        first_N = n_windows_N.cumsum(0) - n_windows_N
        start_W = torch.arange(len(row_W), device=x_NLE.device) - first_N[row_W]
        position_WK = start_W[:, None] + torch.arange(width, device=x_NLE.device)
        windows_WD = x_NLE[row_W[:, None], position_WK].flatten(1)
        scores_WF = layer(windows_WD)
        lowest_NF = scores_WF.new_full((len(lengths_N), scores_WF.shape[1]), -torch.inf)
        best_NF = lowest_NF.scatter_reduce(0, row_W[:, None].expand_as(scores_WF), scores_WF, "amax")
        return torch.relu(best_NF)


def _n_windows(lengths_N: Int[Tensor, " row"], width: int) -> Int[Tensor, " row"]:
    """Number of windows of a filter in each text; a text that is shorter than the filter has one window."""
    return (lengths_N - width).clamp_min(0) + 1
