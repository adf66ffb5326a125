import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import FeatureConfig, RunConfig
from dialogue_ser.training.data.leakage import SAW_TEST, refuse_leaked_weights

SAW_TEST_NAME = next(iter(SAW_TEST))


@pytest.mark.parametrize("model", SAW_TEST)
def test_weights_that_saw_the_test_split_never_encode_it(model):
    direct = FeatureConfig(encoder="hf-text", options={"model": model.upper()})
    by_frames = FeatureConfig(encoder="meanpool", options={"frames": "hf-text", "frames_options": {"model": model}})
    for feature in (direct, by_frames):
        config = RunConfig(features={"text": feature})
        with pytest.raises(ConfigError, match=f"features.text: {model} was trained on all splits of meld"):
            refuse_leaked_weights(config, "meld")
        refuse_leaked_weights(config, "table")  # the model has not seen the user's dialogues


def test_only_the_modality_with_leaked_weights_is_named():
    leaked = FeatureConfig(encoder="hf-text", options={"model": SAW_TEST_NAME})
    config = RunConfig(features={"text": FeatureConfig(encoder="minilm"), "words": leaked})
    with pytest.raises(ConfigError) as caught:
        refuse_leaked_weights(config, "meld")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["features.words"]


def test_a_run_is_refused_before_anything_is_loaded(meld, tmp_path):
    from dialogue_ser.training.run import train

    feature = FeatureConfig(encoder="hf-text", options={"model": "tae898/emoberta-base"})
    with pytest.raises(ConfigError, match="test included"):
        train(RunConfig(features={"text": feature}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
