"""Classifiers joined into one; what they predict is tested with runs in tests/training/test_average_runs.py."""

import pytest

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inference.joined import joined
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model


def classifier(labels: tuple[str, ...], dialogues) -> DialogueClassifier:
    pipeline = FeaturePipeline.build("text", "textcnn", {}).fit(dialogues)
    model = build_model("utterance", {}, {"text": InputSpec(**vars_of(pipeline.spec))}, len(labels))
    return DialogueClassifier(model, LabelSet("emotion", labels), {"text": pipeline})


def vars_of(spec: InputSpec) -> dict:
    return {name: getattr(spec, name) for name in ("kind", "dim", "encoder", "options")}


def test_equal_pipelines_are_one_input_and_others_get_a_number():
    from dialogue_ser.corpus.schema import Dialogue, Utterance

    def spoken(text: str) -> list[Dialogue]:
        return [Dialogue("d", (Utterance(id="d/u", speaker="Ann", text=text, label=None),))]

    a, b, c = (classifier(("x", "y"), spoken(text)) for text in ("fine day", "fine day", "other words here"))
    whole = joined([a, b, c])
    assert list(whole.pipelines) == ["text", "text-2"]
    assert whole.model.names == ({"text": "text"}, {"text": "text"}, {"text": "text-2"})
    with pytest.raises(ConfigError, match="model 2 predicts"):
        joined([a, classifier(("x", "z"), spoken("fine day"))])
