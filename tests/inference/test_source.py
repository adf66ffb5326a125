"""What a modality is read with; see also test_pipeline.py."""

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.source import build_source


@pytest.mark.parametrize("options", [{"n_filters": "many"}, {"widths": "abc"}, {"max_length": "x"}])
def test_options_of_a_trained_encoder_of_a_wrong_type_are_named(options):
    with pytest.raises(ConfigError, match=r"encoder 'textcnn': options \{.*do not fit it"):
        build_source("text", "textcnn", options, has_transforms=False, on_bad="error")


def test_transforms_on_word_ids_are_refused_with_the_flag_that_drops_them():
    with pytest.raises(ConfigError, match=r"--features\.text\.transforms \[\]"):
        build_source("text", "textcnn", {}, has_transforms=True, on_bad="error")
