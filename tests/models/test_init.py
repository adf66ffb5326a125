"""Systems are built by name, from typed options, with errors that help."""

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.api import InputSpec
from dialogue_ser.models import MODELS, build_model, find_model

TEXT = {"text": InputSpec(kind="vector", dim=4)}


def test_names_of_systems_are_their_registry_keys() -> None:
    assert all(system.name == name for name, system in MODELS.items())


def test_unknown_systems_and_options_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'emotion-rnn'"):
        find_model("emotion_rnn")
    with pytest.raises(ConfigError, match="did you mean 'attention'"):
        build_model("emotion-rnn", {"atention": "simple"}, TEXT, 2)


def test_a_system_without_inputs_is_refused() -> None:
    with pytest.raises(ConfigError, match="no modality"):
        build_model("bigru", {}, {}, 2)
