"""EmotionRNN and DialogueRNN share their common options; the order of all options stays as in saved config files."""

import inspect
from dataclasses import MISSING, fields

import pytest

from dialogue_ser.models import MODELS, resolve_options
from dialogue_ser.models.recurrent.base import RecurrentConfig, RecurrentSystem

BEFORE = ["attention", "global_dim", "party_dim", "emotion_dim", "hidden_dim", "dropout", "input_dropout"]
BEFORE += ["projection", "listeners"]
ORDER = {
    "emotion-rnn": [*BEFORE, "causal", "initial_state", "head_input", "engine"],
    "dialogue-rnn": [*BEFORE, "emotion_attention", "causal", "initial_state", "compat", "engine"],
}
ORDER["dialogue-rnn"] += ["attention_dim", "recurrent_dropout"]


@pytest.mark.parametrize("name", ORDER)
def test_options_keep_their_order_and_defaults(name: str) -> None:
    assert issubclass(MODELS[name], RecurrentSystem)
    assert list(resolve_options(name, {})) == ORDER[name]
    own = {"emotion-rnn": ("matching", 0.2, "update", "learned"), "dialogue-rnn": ("general", 0.1, "hold", "zeros")}
    options = resolve_options(name, {})
    assert tuple(options[key] for key in ("attention", "dropout", "listeners", "initial_state")) == own[name]


@pytest.mark.parametrize("name", ORDER)
def test_every_option_is_described_once_for_both_or_by_the_system(name: str) -> None:
    config = MODELS[name].Config
    described = [inspect.getdoc(kind) or "" for kind in (RecurrentConfig, config)]
    assert all(any(f"{option}:" in text for text in described) for option in ORDER[name])
    assert all(field.default is not MISSING or field.default_factory is not MISSING for field in fields(config))
