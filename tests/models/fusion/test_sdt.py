"""SDT: modalities by name, speakers, absent modalities, self-distillation. Its numbers: tests/models/published."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.fusion.sdt import SDT, SDTConfig
from dialogue_ser.tasks.regression import Regression
from tests.support.batches import random_batch

SMALL: dict[str, Any] = {"hidden_dim": 6, "n_heads": 2, "dropout": 0.0}
INPUTS = {"text": 4, "audio": 3, "visual": 2}


def _inputs(dims: Mapping[str, int] = INPUTS) -> dict[str, InputSpec]:
    return {name: InputSpec(kind="vector", dim=size) for name, size in dims.items()}


def _system(dims: Mapping[str, int] = INPUTS, task: Any = None, **options: Any) -> SDT:
    torch.manual_seed(2)
    system = build_model("sdt", SMALL | options, _inputs(dims), 3, task).double().eval()
    assert isinstance(system, SDT)
    return system


def _batch(dims: Mapping[str, int] = INPUTS) -> DialogueBatch:
    return random_batch(_inputs(dims), dtype=torch.float64)


@pytest.mark.parametrize(
    ("dims", "n_pairs"), [({"text": 4}, 1), ({"text1": 4, "praat": 3, "text2": 2}, 4), (INPUTS, 9)]
)
def test_a_modality_is_the_beginning_of_a_name(dims: dict[str, int], n_pairs: int) -> None:
    output = _system(dims)(_batch(dims), return_attention=True)
    assert len(output.attention) == n_pairs
    assert output.auxiliary == {}
    assert all(weights.shape == (3, 7, 7) for weights in output.attention.values())


def test_attention_is_named_from_its_source_to_its_target() -> None:
    batch = _batch({"text": 4, "audio": 3})
    silent = {**batch.is_present, "audio": torch.zeros_like(batch.is_real_turn)}
    shown = _system({"text": 4, "audio": 3})(replace(batch, is_present=silent), return_attention=True).attention
    assert {name for name, weights in shown.items() if weights.sum() == 0} == {"text from audio", "audio from audio"}
    torch.testing.assert_close(shown["audio from text"].sum(-1), batch.is_real_turn.double())


def test_missing_modalities_are_said(caplog: pytest.LogCaptureFixture) -> None:
    _system({"text": 4})
    assert "no audio and no visual features, so the encoders from and to them are left out" in caplog.text


def test_an_absent_modality_has_no_part_in_the_fused_vector() -> None:
    system, batch = _system(), _batch()
    absent = batch.is_present["audio"].clone()
    absent[2, 3] = False
    turn = int(batch.n_turns[:2].sum()) + 3
    vectors: list[Tensor] = []
    system.head.register_forward_pre_hook(lambda _, given: vectors.append(given[0][turn]))
    system.reduce.register_forward_hook(lambda *given: given[2].index_fill(0, torch.tensor([1]), 5.0))
    system(batch)
    system(replace(batch, is_present={**batch.is_present, "audio": absent}))
    assert (vectors[0] > 1).any(), "control: the vector of the audio is seen"
    of_all_absent = dict.fromkeys(INPUTS, absent)
    system(replace(batch, is_present=of_all_absent))
    assert (vectors[2] == 0).all()
    assert not torch.equal(vectors[0], vectors[1])


def test_parties_beyond_the_table_share_its_last_vector() -> None:
    system, batch = _system(speakers="embedding", n_parties=2), _batch()
    joined = replace(batch, speaker=batch.speaker.clamp_max(1))
    assert batch.speaker.max() == 2
    assert torch.equal(system(batch).scores_BTS, system(joined).scores_BTS)
    assert not system.speaker_equivariant
    assert not _system(speakers="none").speaker_aware


@pytest.mark.parametrize("detach", [False, True])
def test_the_distance_between_heads_may_leave_the_fused_head_alone(detach: bool) -> None:
    system, batch = _system(detach_target=detach).train(), _batch()
    terms = system.auxiliary_numerators(system(batch), batch, lambda scores, _: (scores.sum(), scores.sum()))
    terms["text_distilled"].backward()
    assert (system.head.weight.grad is None) == detach
    assert system.unimodal_heads is not None
    assert system.unimodal_heads.weight.grad is not None


def test_in_a_regression_the_distance_is_the_mean_square_of_the_difference() -> None:
    task = Regression(("valence", "arousal", "dominance"), centres=(0.0, 0.0, 0.0), scales=(1.0, 1.0, 1.0))
    system, batch = _system(task=task).train(), _batch()
    output = system(batch)
    terms = system.auxiliary_numerators(output, batch, lambda scores, _: (scores.sum(), scores.sum()))
    difference = (output.scores_BTS - output.auxiliary["audio"])[batch.is_real_turn]
    torch.testing.assert_close(terms["audio_distilled"], difference.square().mean(-1).sum())


def test_a_loss_of_weight_0_is_left_out() -> None:
    names = set(_system(unimodal_weight=0.0, dropout=0.1).auxiliary_weights)
    assert names == {"text_distilled", "audio_distilled", "visual_distilled"}
    system = _system(unimodal_weight=0.0, distillation_weight=0.0).train()
    assert system.auxiliary_weights == system(_batch()).auxiliary == {}
    assert system.unimodal_heads is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_dim": 10, "n_heads": 4}, r"hidden_dim: found 10, but it must be a multiple of n_heads \(4\)"),
        ({"temperature": 0.0}, r"temperature: found 0\.0; choose more than 0"),
        ({"distillation_weight": -1.0}, r"distillation_weight: found -1\.0; choose 0 or more"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SDTConfig(**options)
