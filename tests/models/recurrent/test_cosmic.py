"""COSMIC: vectors of knowledge are optional, and options are checked. Its numbers: tests/models/published."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.recurrent.cosmic import Cosmic, CosmicConfig
from tests.support.batches import random_batch

SMALL: dict[str, Any] = {"global_dim": 4, "internal_dim": 3, "external_dim": 5, "intent_dim": 2, "emotion_dim": 4}
SMALL |= {"hidden_dim": 6}


def _inputs(*names: str) -> dict[str, InputSpec]:
    return {name: InputSpec(kind="vector", dim=3) for name in names}


def _system(*names: str, **options: Any) -> Cosmic:
    system = build_model("cosmic", SMALL | options, _inputs(*names), 3).eval()
    assert isinstance(system, Cosmic)
    return system


@pytest.mark.parametrize("name", ["self_effect", "self_react", "self_intent", "other_effect", "other_react"])
def test_each_vector_of_knowledge_is_optional_and_read_if_there(name: str) -> None:
    system, batch = _system("text", name), random_batch(_inputs("text", name), (6, 2))
    changed = {**batch.features, name: batch.features[name] + 1.0}
    one, other = (system(given).scores_BTS[batch.is_real_turn] for given in (batch, replace(batch, features=changed)))
    assert not torch.allclose(one, other)
    assert list(system.knowledge.dims) == [name]


def test_vectors_about_listeners_are_not_read_if_listeners_hold_their_states() -> None:
    system = _system("text", "self_react", "other_react", "other_effect", listeners="hold")
    assert list(system.knowledge.dims) == ["self_react"]


def test_the_turn_stands_in_for_vectors_that_the_run_lacks() -> None:
    def known(*names: str, **options: Any) -> dict[str, set[str]]:
        cells = _system(*names, **options).recurrence
        return {name: set(cells.cell(name).known) for name in ("internal", "intent", "external", "listener_internal")}

    assert known("text") == {"internal": set(), "intent": set(), "external": {"u"}, "listener_internal": set()}
    assert known("text", "self_effect", stand_in="turn") == {
        "internal": {"self_effect"},
        "intent": {"self_intent"},
        "external": {"u"},
        "listener_internal": {"other_effect"},
    }
    system = _system("text", "self_effect", stand_in="turn")
    u, knowledge = system._given(random_batch(_inputs("text", "self_effect")))
    assert set(knowledge) == {"self_effect", "self_intent", "other_effect"}
    assert knowledge["self_intent"] is u


def test_what_the_run_lacks_is_said(caplog: pytest.LogCaptureFixture) -> None:
    _system("text", "self_react")
    lacking = "self_effect, self_intent, other_effect, other_react"
    assert f"no vectors of knowledge {lacking}, so nothing stands in for them" in caplog.text
    _system("audio", stand_in="turn")
    assert "the run has no text features, so the others take its place" in caplog.text
    assert "so the turn stands in for them" in caplog.text


def test_attention_over_past_states_and_over_emotion_states_is_shown() -> None:
    system, batch = _system("text", emotion_attention="general2-tanh"), random_batch(_inputs("text"))
    shown = system(batch, return_attention=True).attention
    assert list(shown) == ["forward", "backward", "emotion"]
    torch.testing.assert_close(shown["emotion"].sum(-1), batch.is_real_turn.float())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_vector": 0}, "text_vector: found 0, expected at least 1"),
        ({"causal": True, "norm": "dialogue"}, "norm: found dialogue, which reads later turns, but causal is true"),
        ({"attention": "dot"}, r"global_dim: found 150, .* must be hidden_dim \(100\)"),
        ({"recurrent_dropout": 1.0}, r"recurrent_dropout: found 1\.0"),
        ({"attention_dim": 0}, "attention_dim: found 0, expected at least 1"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CosmicConfig(**options)


def test_vectors_of_knowledge_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="self_effect, other_react: these are vectors of knowledge alone"):
        _system("self_effect", "other_react")
