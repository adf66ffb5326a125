"""The extractor of a modality; see also test_pipeline.py."""

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.inputs.extractor import build_extractor


def test_options_of_a_wrong_type_are_all_named_before_a_trained_encoder_or_its_tokenizer_is_built():
    options = {"n_filters": "many", "widths": "abc", "max_length": "x", "min_cuont": 2}
    with pytest.raises(ConfigError) as caught:
        build_extractor("text", "textcnn", options, has_transforms=False, on_bad="error")
    unknown, *others = caught.value.problems
    assert "encoder 'textcnn': unknown option 'min_cuont'; did you mean 'min_count'?" in unknown
    assert others == [
        "encoder 'textcnn': option n_filters: found 'many', expected a whole number",
        "encoder 'textcnn': option widths: found 'abc', expected a list such as [a, b]",
        "encoder 'textcnn': option max_length: found 'x', expected a whole number",
    ]
    with pytest.raises(ConfigError, match="option frames_options: found 'mean', expected a mapping"):
        build_extractor("text", "meanpool", {"frames_options": "mean"}, has_transforms=False, on_bad="error")


def test_transforms_on_word_ids_are_refused_with_the_flag_that_drops_them():
    with pytest.raises(ConfigError, match=r"--features\.text\.transforms \[\]"):
        build_extractor("text", "textcnn", {}, has_transforms=True, on_bad="error")
