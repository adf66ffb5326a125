import copy
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.features.pretrained.packaged import minilm_folder
from dialogue_ser.features.text.minilm import MinilmTokenizer
from dialogue_ser.features.text.minilm_network import LAYERS, MinilmNetwork, load_network, rename_weights


@pytest.fixture(scope="module")
def network() -> MinilmNetwork:
    return load_network(minilm_folder() / "model.safetensors")


@pytest.fixture(scope="module")
def bert() -> Any:
    """The same weights in transformers."""
    from transformers import AutoModel

    return AutoModel.from_pretrained(minilm_folder()).eval()


@pytest.fixture(scope="module")
def token_ids(sample) -> list[list[int]]:
    """Token ids of 48 turns of the sample, short and long, and of one text that fills the model."""
    texts = [turn.text for turn in utterances(read_corpus("sample", sample).splits["test"])][:48]
    return MinilmTokenizer(minilm_folder()).ids([*texts, "and so on " * 200], 512)


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def padded(token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return ids with 0 as padding, and True where they are no padding."""
    ids_NL = torch.zeros(len(token_ids), max(map(len, token_ids)), dtype=torch.long)
    is_real_NL = torch.zeros_like(ids_NL, dtype=torch.bool)
    for row, ids in enumerate(token_ids):
        ids_NL[row, : len(ids)] = torch.tensor(ids)
        is_real_NL[row, : len(ids)] = True
    return ids_NL, is_real_NL


def states_of_bert(bert: Any, ids_NL: Tensor, is_real_NL: Tensor) -> Sequence[Tensor]:
    found: Sequence[Tensor] = bert(
        input_ids=ids_NL, attention_mask=is_real_NL.long(), output_hidden_states=True
    ).hidden_states
    return found


def test_every_layer_equals_transformers_text_by_text(network, bert, token_ids) -> None:
    assert {len(ids) for ids in token_ids} > {5, 9, 512}
    for ids in token_ids:
        ids_NL = torch.tensor([ids])
        found, expected = network(ids_NL), states_of_bert(bert, ids_NL, torch.ones_like(ids_NL))
        assert len(found) == len(expected) == LAYERS + 1
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_every_layer_equals_transformers_where_texts_are_padded(network, bert, token_ids) -> None:
    ids_NL, is_real_NL = padded(token_ids[:-1])
    assert not is_real_NL.all()
    for ours, theirs in zip(network(ids_NL, is_real_NL), states_of_bert(bert, ids_NL, is_real_NL), strict=True):
        torch.testing.assert_close(ours[is_real_NL], theirs[is_real_NL], rtol=0, atol=1e-5)


def test_in_double_precision_there_is_no_difference(network, bert, token_ids) -> None:
    ids_NL, is_real_NL = padded(token_ids[:8])
    found = copy.deepcopy(network).double()(ids_NL, is_real_NL)
    expected = states_of_bert(copy.deepcopy(bert).double(), ids_NL, is_real_NL)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[is_real_NL], theirs[is_real_NL], rtol=0, atol=1e-12)


@pytest.mark.parametrize("is_autocast", [True, False])
@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
)
def test_bfloat16_stays_near_single_precision(device, is_autocast, network, token_ids) -> None:
    ids_NL, is_real_NL = padded(token_ids[:16])
    expected = network(ids_NL, is_real_NL)[-1][is_real_NL]
    half = copy.deepcopy(network).to(device)
    if not is_autocast:
        half = half.bfloat16()
    with torch.autocast(device, torch.bfloat16, enabled=is_autocast):
        found = half(ids_NL.to(device), is_real_NL.to(device))[-1].cpu()[is_real_NL].float()
    assert (found - expected).norm() / expected.norm() < 0.03


def test_a_weight_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="word_embeddings"):
        rename_weights({})
