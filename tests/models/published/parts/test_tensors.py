"""Settings and tensors of published models: what fits is taken, and all that does not fit is named at once."""

import re

import pytest
import torch
from torch import nn

from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors


def test_settings_are_read_by_their_published_names() -> None:
    given = PublishedSettings("mine", {"size": 3, "rate": 1, "att": None, "parties": 9})
    assert given.take("size", int) == 3
    assert given.take("rate", float) == 1.0
    assert isinstance(given.take("rate", float), float)
    assert given.take("layers", int, default=2) == 2
    assert given.choose("att", {None: "none", "simple": "simple-linear"}) == "none"
    assert given.choose("base", {"LSTM": "lstm", "GRU": "gru"}, default="GRU") == "gru"
    given.unused("parties")
    given.finish()


def test_all_settings_that_do_not_fit_are_named_in_one_error() -> None:
    given = PublishedSettings("mine", {"size": True, "rate": "fast", "att": [1], "windw": 2})
    given.take("size", int)
    given.take("rate", float)
    given.take("depth", int)
    given.choose("att", {False: "none", True: "all"})
    given.problem("of my own")
    with pytest.raises(ConfigError) as caught:
        given.finish()
    assert list(caught.value.problems) == [
        "model mine: published setting size: found True, expected int",
        "model mine: published setting rate: found 'fast', expected float",
        "model mine: published setting depth: missing; give it",
        "model mine: published setting att: found [1], expected one of False, True",
        "model mine: published setting of my own",
        "model mine: published setting windw: is not known for this system",
    ]


def _system() -> nn.Module:
    system = nn.Module()
    system.rnn, system.out = nn.GRU(2, 3), nn.Linear(3, 2, bias=False)
    return system


def _published() -> dict[str, torch.Tensor]:
    system = _system()
    state = {f"lstm.{name}": value for name, value in system.get_submodule("rnn").state_dict().items()}
    return {**state, "head.matrix": torch.randn(3, 2), "old.table": torch.ones(4)}


def _load(published: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found, system = PublishedTensors("mine", published), _system()
    found.module(system, "rnn", "lstm.")
    found.copy(system, "out.weight", "head.matrix", transposed=True)
    found.dead("old.")
    return found.finish(system)


def test_tensors_become_the_parameters_of_the_system() -> None:
    published = _published()
    values = _load(published)
    assert values.keys() == _system().state_dict().keys()
    assert values["out.weight"].equal(published["head.matrix"].T)
    assert values["rnn.bias_hh_l0"] is published["lstm.bias_hh_l0"], "a gradient by it is one by the published tensor"


def test_all_tensors_that_do_not_fit_are_named_in_one_error() -> None:
    published = _published() | {"lstm.weight_ih_l0": torch.ones(9, 5), "gate": torch.ones(2)}
    del published["head.matrix"]
    with pytest.raises(CheckpointError) as caught:
        _load(published)
    text = "\n".join(caught.value.problems)
    for words in (
        "lstm.weight_ih_l0: found [9, 5], expected [9, 2]",
        "head.matrix: missing, expected [3, 2]",
        "gate: unknown, [2]",
    ):
        assert re.search(re.escape(words), text), words
    assert "old.table" not in text, "a dead parameter is no problem"


def test_a_loader_that_forgets_a_parameter_is_noticed() -> None:
    found, system = PublishedTensors("mine", _published()), _system()
    found.module(system, "rnn", "lstm.")
    found.dead("head.", "old.")
    with pytest.raises(AssertionError, match=r"does not set: out\.weight"):
        found.finish(system)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_the_precision_is_the_one_of_the_tensors(dtype: torch.dtype) -> None:
    assert PublishedTensors("mine", {"n": torch.tensor(3), "w": torch.ones(1, dtype=dtype)}).dtype == dtype
    assert PublishedTensors("mine", {}).dtype == torch.float32
