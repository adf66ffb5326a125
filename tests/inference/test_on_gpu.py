"""A classifier gives the same predictions on a GPU as on the CPU."""

import numpy as np
import pytest
import torch

from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model

pytestmark = pytest.mark.cuda


def test_probabilities_are_those_of_the_cpu(classifier, dialogue, gpu: torch.device, tmp_path) -> None:
    dialogues = [dialogue(f"d{number}", length, seed=number) for number, length in enumerate([5, 1, 9, 40])]
    wanted = classifier.predict_proba(dialogues)
    own = DialogueClassifier.from_pretrained(classifier.save_pretrained(tmp_path / "model"), device=str(gpu))
    assert next(own.model.parameters()).device == gpu
    np.testing.assert_allclose(own.predict_proba(dialogues, batch_size=3), wanted, atol=1e-5)


def test_words_are_read_there_too(dialogue, gpu: torch.device) -> None:
    dialogues = [dialogue(f"d{number}", 4, seed=number) for number in range(5)]
    options = {"n_filters": 4, "embedding_dim": 5, "out_dim": 6}
    words = FeaturePipeline.build("text", "textcnn", options).fit(dialogues)
    torch.manual_seed(3)
    labels = LabelSet("emotion", ("calm", "glad", "cross"))
    own = DialogueClassifier(build_model("bigru", {}, {"text": words.spec}, 3).eval(), labels, {"text": words})
    wanted = own.predict_proba(dialogues)
    own.model.to(gpu)
    np.testing.assert_allclose(own.predict_proba(dialogues), wanted, atol=1e-5)
