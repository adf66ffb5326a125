"""Several text vectors become one; other inputs are put beside it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dialogue_ser.encoders.several import SeveralVectors
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from tests.support.batches import random_batch

INPUTS = {name: InputSpec(kind="vector", dim=size) for name, size in {"text1": 3, "audio": 2, "text2": 3}.items()}
TEXTS = ["text1", "text2"]


def _several(combine: str, *, vector: int = 1, norm: str = "none", texts: list[str] = TEXTS) -> SeveralVectors:
    given = {"combine": combine, "vector": vector, "norm": norm, "owner": "model mine: model.options"}
    return SeveralVectors({n: INPUTS[n] for n in (*texts, "audio")}, texts, **given)  # type: ignore[arg-type]


def _parts() -> tuple[Tensor, Tensor, Tensor]:
    features = random_batch(INPUTS).features
    return features["text1"], features["text2"], features["audio"]


def test_text_vectors_are_combined_and_others_put_beside_them() -> None:
    batch, (one, two, audio) = random_batch(INPUTS), _parts()
    expected = {"concat": [one, two], "first-two": [one, two], "mean": [(one + two) / 2], "one": [two]}
    expected["weighted"] = expected["mean"]  # where it begins
    for combine, texts in expected.items():
        several = _several(combine, vector=2)
        found = several(batch)
        torch.testing.assert_close(found, torch.cat([*texts, audio], dim=-1))
        assert found.shape[-1] == several.out_dim
    assert _several("weighted").weights is not None
    assert set(_several("one", vector=2).vectors.dims) == {"text2", "audio"}


@pytest.mark.parametrize("combine", ["concat", "first-two", "mean", "one", "weighted"])
def test_one_text_vector_or_none_is_enough(combine: str) -> None:
    batch, (one, _, audio) = random_batch(INPUTS), _parts()
    torch.testing.assert_close(_several(combine, texts=["text1"])(batch), torch.cat([one, audio], dim=-1))
    torch.testing.assert_close(_several(combine, texts=[])(batch), audio)


@pytest.mark.parametrize("norm", ["layer", "dialogue", "batch"])
def test_an_absent_vector_is_0_after_its_norm_and_changes_no_other_turn(norm: str) -> None:
    several, batch = _several("concat", norm=norm).train(), random_batch(INPUTS)
    is_present = batch.is_present["text1"].clone()
    is_present[2, 3] = False
    found = []
    for value in (0.0, 1e3):
        text = batch.features["text1"].masked_fill(~is_present[..., None], value)
        spoiled = {**batch.features, "text1": text}
        found.append(several(replace(batch, features=spoiled, is_present={**batch.is_present, "text1": is_present})))
    assert torch.equal(*found)
    assert found[0][2, 3, :3].abs().sum() == 0
    assert found[0][2, 3, 3:6].abs().sum() > 0


def test_a_mean_of_vectors_of_different_sizes_is_refused() -> None:
    inputs = {**INPUTS, "text2": InputSpec(kind="vector", dim=5)}
    given = {"vector": 1, "norm": "none", "owner": "model mine: model.options"}
    with pytest.raises(ConfigError, match=r"combine: found mean, .* \(text1 3, text2 5\); choose concat"):
        SeveralVectors(inputs, TEXTS, combine="mean", **given)  # type: ignore[arg-type]
    assert SeveralVectors(inputs, TEXTS, combine="concat", **given).out_dim == 10  # type: ignore[arg-type]


def test_a_text_vector_that_the_run_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"text_vector: found 3, but the run has 2 text vectors \(text1, text2\)"):
        _several("one", vector=3)
