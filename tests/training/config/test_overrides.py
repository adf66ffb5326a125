import copy
import dataclasses

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.overrides import apply_overrides, merge
from dialogue_ser.training.config.run_config import (
    DataConfig,
    FeatureConfig,
    ModelConfig,
)


def test_overrides_change_what_they_name_and_nothing_else(full):
    changed = apply_overrides(full, {"training.epochs": 3, "features.text.options.k": 4, "wandb.tags": ("c",)})
    assert changed.training == dataclasses.replace(full.training, epochs=3)
    assert changed.features["text"].options == {"layers": [1, 2], "k": 4}
    assert changed.wandb.tags == ("c",)
    assert full.features["text"].options["k"] is None
    assert apply_overrides(full, {}) == full


def test_overrides_may_add_a_modality(full):
    added = apply_overrides(full, {"features.audio": FeatureConfig(encoder="opensmile")})
    assert list(added.features) == ["text", "audio"]
    assert apply_overrides(full, {"features.audio.encoder": "opensmile"}) == added


def test_another_model_encoder_or_reader_drops_the_settings_of_the_old_one(full):
    own = dataclasses.replace(full, data=DataConfig(reader="table", path="a.csv", labels="mood", options={"seed": 1}))
    changed = apply_overrides(own, {"model.options.x": 1, "model.name": "bigru", "features.text.encoder": "hf-text"})
    assert changed.model == ModelConfig(name="bigru", options={"x": 1})
    assert changed.features["text"] == FeatureConfig(encoder="hf-text", transforms=("l2",))
    assert changed.data == own.data
    assert apply_overrides(own, {"data.reader": "nemo", "data.path": "b"}).data == DataConfig(reader="nemo", path="b")
    same = {"model.name": own.model.name, "features.text.encoder": "minilm", "data.reader": "table"}
    assert apply_overrides(own, same) == own


def test_a_whole_section_replaces_the_old_one(full):
    changed = apply_overrides(full, {"features.text": FeatureConfig(encoder="minilm", options={"k": 1})})
    assert changed.features["text"] == FeatureConfig(encoder="minilm", options={"k": 1})
    assert apply_overrides(full, {"model.options": {"a": 1}}).model.options == {"a": 1}


def test_a_modality_that_is_none_is_left_out_and_its_projection_too(full):
    own = apply_overrides(
        full, {"features.audio.encoder": "opensmile", "model.options.projection": {"audio": 3, "text": 4}}
    )
    left = apply_overrides(own, {"features.audio": None})
    assert list(left.features) == ["text"]
    assert left.model.options["projection"] == {"text": 4}
    assert list(own.features) == ["text", "audio"]


def test_merging_layers_leaves_them_unchanged():
    below = {"a": {"x": 1, "y": 2}, "model": {"name": "a", "options": {"z": 1}}}
    above = {"a": {"y": 3}, "model": {"name": "b"}}
    before = copy.deepcopy((below, above))
    assert merge(below, above) == {"a": {"x": 1, "y": 3}, "model": {"name": "b"}}
    assert (below, above) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training.epoch": 3}, "did you mean 'epochs'"),
        ({"seed.x": 1}, "'seed' is a single value"),
        ({"training.epochs": "many"}, "expected a whole number"),
    ],
)
def test_overrides_that_do_not_fit_are_refused(overrides, message, full):
    with pytest.raises(ConfigError, match=message):
        apply_overrides(full, overrides)
