"""A model with a trained transformers encoder is saved, and loaded where the encoder's folder does not exist."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import CheckpointError
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model

LABELS = LabelSet("emotion", ("calm", "glad", "cross"))
TEXTS = ("oh my god", "no !", "i am fine", "really ?", "yes")


def talk(texts=TEXTS) -> Dialogue:
    return Dialogue("new/d", tuple(Utterance(id=f"new/u{i}", speaker="AB"[i % 2], text=t) for i, t in enumerate(texts)))


def make(folder: Path, **options) -> DialogueClassifier:
    torch.manual_seed(2)
    options = {"model": str(folder), "context_past": 2, "speakers": True, **options}
    pipeline = FeaturePipeline.build("text", "transformer", options).fit([talk()])
    system = build_model("utterance", {}, {"text": pipeline.spec}, len(LABELS)).eval()
    with torch.no_grad():
        for parameter in system.parameters():  # as after some training
            parameter.add_(0.3 * torch.randn_like(parameter))
    return DialogueClassifier(system, LABELS, {"text": pipeline})


@pytest.fixture
def folder(tiny_text_model, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_text_model, tmp_path / "bert"))


@pytest.mark.parametrize("options", [{}, {"lora_rank": 2}], ids=["whole", "lora"])
def test_it_loads_without_the_folder_it_began_with_and_says_the_same(folder, tmp_path, options):
    if options:
        pytest.importorskip("peft")
    classifier = make(folder, **options)
    before = classifier.predict_proba(talk())
    classifier.save_pretrained(tmp_path / "model")
    shutil.rmtree(folder)
    loaded = DialogueClassifier.from_pretrained(tmp_path / "model")
    assert (loaded.predict_proba(talk()) == before).all()
    loaded.save_pretrained(tmp_path / "again")
    files = {path.name for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert files == {"config.json", "model.safetensors", "transforms.safetensors", "tokenizer.json"}
    assert (DialogueClassifier.from_pretrained(tmp_path / "again").predict_proba(talk()) == before).all()


def test_its_tokenizer_is_a_file_that_is_vouched_for(folder, tmp_path):
    make(folder).save_pretrained(tmp_path / "model")
    tokenizer = tmp_path / "model" / "text" / "tokenizer.json"
    assert "god" in json.loads(tokenizer.read_text())["model"]["vocab"]
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"god", b"dog"))
    with pytest.raises(CheckpointError, match=r"tokenizer.json: does not match"):
        DialogueClassifier.from_pretrained(tmp_path / "model")
    tokenizer.unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer.json: is missing"):
        DialogueClassifier.from_pretrained(tmp_path / "model")


def test_a_causal_window_streams_what_the_whole_dialogue_says(folder):
    classifier = make(folder)
    whole = classifier.predict_proba(talk())
    stream = classifier.stream()
    for i, turn in enumerate(talk()):
        row = stream.add((turn.speaker, turn.text))
        assert [row[f"p_{label}"] for label in LABELS] == pytest.approx(whole[i].tolist(), abs=1e-6)


def test_what_comes_later_changes_nothing_unless_it_is_read(folder):
    spoken = talk()
    other = replace(spoken, utterances=(*spoken.utterances[:3], replace(spoken.utterances[3], text="god")))
    for future, is_causal in ((0, True), (1, False)):
        classifier = make(folder, context_future=future)
        tables = [classifier.pipelines["text"].table([one]).rows for one in (spoken, other)]
        same = all((tables[0][f"new/u{i}"].tolist() == tables[1][f"new/u{i}"].tolist()) for i in range(3))
        assert same == is_causal
        assert classifier.pipelines["text"].is_causal == is_causal
