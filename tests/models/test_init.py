"""Systems are built by name, from typed options, with errors that help."""

from unittest import mock

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import MODELS, build_model, find_model, register_model, resolve_options

TEXT = {"text": InputSpec(kind="vector", dim=4)}


def test_names_of_systems_are_their_registry_keys() -> None:
    assert all(system.name == name for name, system in MODELS.items())


def test_unknown_systems_and_options_name_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'emotion-rnn'"):
        find_model("emotion_rnn")
    with pytest.raises(ConfigError, match="did you mean 'attention'"):
        build_model("emotion-rnn", {"atention": "simple"}, TEXT, 2)


def test_a_registered_system_is_built_by_its_name_which_its_class_must_have_too() -> None:
    with mock.patch.dict(MODELS.registered):
        mine = type("Mine", (find_model("bigru"),), {"name": "mine"})
        register_model("mine")(mine)
        register_model("other")(type("Other", (mine,), {}))
        assert type(build_model("mine", {"hidden_dim": 2}, TEXT, 2)) is mine
        with pytest.raises(ConfigError, match=r"Other\.name must be 'other' too"):
            find_model("other")
        with pytest.raises(ConfigError, match="is taken by dialogue_ser"):
            register_model("bigru")


def test_a_system_has_the_name_by_which_it_was_built() -> None:
    assert (
        build_model("dialogue_ser.models.recurrent.bigru:BiGRU", {}, TEXT, 2).name
        == "dialogue_ser.models.recurrent.bigru:BiGRU"
    )
    assert build_model("bigru", {}, TEXT, 2).name == "bigru"


def test_a_system_without_inputs_is_refused() -> None:
    with pytest.raises(ConfigError, match="no modality"):
        build_model("bigru", {}, {}, 2)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_too_large_for_this_machine_is_refused_and_the_error_says_what_to_change(name: str) -> None:
    size = next((option for option in ("hidden_dim", "context_dim") if option in resolve_options(name, {})), None)
    options = {"projection": {"text": 10**12}} if size is None else {size: 10**12}
    with pytest.raises(ConfigError, match=r"do not fit into this machine's memory; make the sizes in model\.options"):
        build_model(name, options, {"text": InputSpec(kind="vector", dim=3)}, 2)
