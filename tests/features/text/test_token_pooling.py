"""Layers and pooling on small numbers; test_hf_text.py compares every option with transformers."""

import numpy as np
import pytest
import torch

from dialogue_ser.errors import FeatureError
from dialogue_ser.features.text.dialogue_context import TurnTokens
from dialogue_ser.features.text.token_pooling import TokenPooling, own_token_rows, pooling_problems

# Two hidden states of one text with three tokens and two features.
HIDDEN = [torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]])]
IS_POOLED = torch.tensor([[False, True, True]])


def pooled(pooling: str, layers: tuple[int, ...] = (0,), layer_merge: str = "mean") -> list:
    how = TokenPooling(pooling=pooling, layers=layers, layer_merge=layer_merge)
    (row,) = how.pool(how.merge_layers(HIDDEN, "tiny"), IS_POOLED)
    assert row.dtype == np.float32
    return row.tolist()


def test_pooling_reads_the_tokens_of_the_mask_only():
    assert pooled("mean") == [4.0, 6.5]
    assert pooled("max") == [5.0, 9.0]
    assert pooled("mean+max") == [4.0, 6.5, 5.0, 9.0]
    assert pooled("cls") == [1.0, 2.0]
    assert pooled("none") == [[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]


def test_layers_are_averaged_or_concatenated_and_missing_ones_are_named():
    assert pooled("cls", (0, -1)) == [0.5, 1.0]
    assert pooled("cls", (-1, 0), "concat") == [0.0, 0.0, 1.0, 2.0]
    with pytest.raises(FeatureError, match=r"tiny has hidden states 0 … 1, not \[2\]"):
        pooled("mean", (2,))


def test_the_rows_of_a_turn_are_those_of_its_own_tokens():
    (row,) = own_token_rows(HIDDEN[0], [TurnTokens([7, 8, 9], 1, 2)])
    assert row.tolist() == [[3.0, 4.0]]


def test_every_option_that_is_not_valid_has_a_problem():
    assert pooling_problems("mean", [0], "mean") == []
    assert len(pooling_problems("median", [], "sum")) == 3
