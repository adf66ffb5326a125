"""Trained encoders: torch modules whose weights are learned, saved and loaded with the dialogue model."""

from dataclasses import dataclass

import torch
from torch import nn

from dialogue_ser.encoders.base import TrainedEncoder, is_valid


@dataclass(frozen=True, kw_only=True)
class StrongestConfig:
    """Options.

    Args:
        out_dim: size of the vector.
    """

    out_dim: int = 8


class Strongest(TrainedEncoder):
    """The strongest response of each filter over the frames of a turn."""

    description = "max over frames"
    front_end = "frames"
    takes_vectors = True
    Config = StrongestConfig

    def __init__(self, config, dim):
        super().__init__()
        self.out_dim = config.out_dim
        self.filters = nn.Linear(dim, config.out_dim)

    def encode_rows(self, values_NL, lengths_N, host_lengths_N=None):
        response_NLD = self.filters(values_NL)
        is_padding_NL = ~is_valid(lengths_N, values_NL.shape[1])
        return response_NLD.masked_fill(is_padding_NL[..., None], -torch.inf).amax(1)


@dataclass(frozen=True, kw_only=True)
class WordSumConfig:
    """Options.

    Args:
        out_dim: size of the vector.
    """

    out_dim: int = 8


class WordSum(TrainedEncoder):
    """The sum of learned word vectors; the vocabulary comes from train."""

    description = "sum of word vectors"
    front_end = "words"
    Config = WordSumConfig

    def __init__(self, config, dim):
        super().__init__()
        self.out_dim = config.out_dim
        self.words = nn.Embedding(dim, config.out_dim)

    def encode_rows(self, values_NL, lengths_N, host_lengths_N=None):
        is_word_NL = is_valid(lengths_N, values_NL.shape[1])
        return (self.words(values_NL) * is_word_NL[..., None]).sum(1)
