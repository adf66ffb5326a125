"""The output of an ensemble is the mean of its members' probabilities or values."""

import math

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.api import DialogueSystem
from dialogue_ser.models.ensemble import Ensemble
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.regression import Regression

INPUTS = {"text": InputSpec(kind="vector", dim=3)}
OPTIONS = {"global_dim": 4, "party_dim": 4, "emotion_dim": 4, "hidden_dim": 4}


VALUES = Regression(("valence", "arousal", "dominance"), centres=(3.0, 2.5, 1.0), scales=(0.5, 1.0, 2.0))


def _members(name: str, n: int, task: Task | None = None, **options: object) -> list[DialogueSystem]:
    torch.manual_seed(1)
    return [build_model(name, options, INPUTS, 3, task).double().eval() for _ in range(n)]


def _batch(n_turns: int = 4) -> DialogueBatch:
    x_BTD = torch.randn(2, n_turns, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    is_real = torch.ones(2, n_turns, dtype=torch.bool)
    is_real[1, 2:] = False
    return DialogueBatch(
        features={"text": x_BTD},
        is_present={"text": is_real},
        lengths={},
        speaker=torch.where(is_real, torch.arange(n_turns) % 2, -1),
        n_turns=is_real.sum(1),
        label=torch.where(is_real, 0, -100),
        label_distribution=None,
        is_real_turn=is_real,
        utterance_ids=tuple(tuple(f"{b}/{t}" for t in range(int(n))) for b, n in enumerate(is_real.sum(1))),
    )


def test_probabilities_and_attention_are_the_members_mean() -> None:
    members = _members("emotion-rnn", 3, **OPTIONS)
    batch, ensemble = _batch(), Ensemble(members)
    outputs = [member(batch, return_attention=True) for member in members]
    found = ensemble(batch, return_attention=True)
    expected = sum(output.scores_BTS.softmax(-1) for output in outputs) / 3
    torch.testing.assert_close(found.scores_BTS.exp(), expected, rtol=0, atol=1e-15)
    assert not torch.allclose(outputs[0].scores_BTS, outputs[1].scores_BTS)
    assert set(found.attention) == {"forward", "backward"}
    for name, weights in found.attention.items():
        torch.testing.assert_close(weights, sum(output.attention[name] for output in outputs) / 3)
    assert ensemble(batch).attention == {}


def test_values_are_the_members_mean_in_the_dimensions_own_units() -> None:
    members, batch = _members("emotion-rnn", 3, VALUES, **OPTIONS), _batch()
    values = [VALUES.outputs(member(batch).scores_BTS) for member in members]
    assert not torch.allclose(values[0], values[1])
    together = VALUES.outputs(Ensemble(members)(batch).scores_BTS)
    torch.testing.assert_close(together, sum(values) / 3, rtol=0, atol=1e-12)


def test_it_has_the_traits_of_its_members_and_streams_if_they_are_causal() -> None:
    members = _members("emotion-rnn", 2, **OPTIONS, causal=True)
    ensemble = Ensemble(members)
    assert (ensemble.causal, ensemble.speaker_aware, ensemble.bidirectional_recurrence) == (True, True, False)
    whole = _batch(1)
    first = DialogueBatch(
        **{field: getattr(whole, field) for field in ("lengths", "label_distribution")},
        features={"text": whole.features["text"][:1]},
        is_present={"text": whole.is_present["text"][:1]},
        **{name: getattr(whole, name)[:1] for name in ("speaker", "n_turns", "label", "is_real_turn", "utterance_ids")},
    )
    expected = torch.stack([member.stream()(first).softmax(-1) for member in members]).mean(0)
    torch.testing.assert_close(ensemble.stream()(first).exp(), expected, rtol=0, atol=1e-15)
    with pytest.raises(ConfigError, match="reads whole dialogues"):
        Ensemble(_members("emotion-rnn", 2, **OPTIONS)).stream()


def test_very_small_probabilities_have_a_finite_logarithm() -> None:
    members = _members("utterance", 2)
    with torch.no_grad():
        for member, sign in zip(members, (1.0, -1.0), strict=True):
            member.head.weight.zero_()
            member.head.bias.copy_(torch.tensor([sign * 400, -sign * 400, -800.0]))
    [[found, *_], *_] = Ensemble(members)(_batch()).scores_BTS
    assert found[:2].tolist() == pytest.approx([math.log(0.5)] * 2)
    assert found[2].item() == pytest.approx(-1200, abs=1e-9)


def test_an_ensemble_of_one_member_equals_the_member() -> None:
    [member] = _members("utterance", 1)
    torch.testing.assert_close(Ensemble([member])(_batch()).scores_BTS, member(_batch()).scores_BTS.log_softmax(-1))
