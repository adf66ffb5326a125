import signal
from functools import partial

import numpy as np
import pytest
import torch

from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import utterances
from dialogue_ser.features.core.api import FeatureTable, InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.training.config.run_config import LossConfig, TrainingConfig
from dialogue_ser.training.data.batches import Batches
from dialogue_ser.training.loop import predict as predict_module
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.interrupt import StopRequest
from dialogue_ser.training.loop.loss import DialogueLoss
from dialogue_ser.training.loop.predict import WantedAttention, predict


@pytest.fixture
def predict_train(tiny):
    """Predict the train split with batches of a given size."""
    corpus = tiny.read_tiny()
    dialogues = corpus.split("train")
    turns = [turn for turn in utterances(dialogues) if turn.text]
    rows = dict(zip([turn.id for turn in turns], tiny.letters([turn.text for turn in turns]), strict=True))
    tables = {"text": FeatureTable(InputSpec(kind="vector", dim=26), rows)}
    torch.manual_seed(0)
    system = build_model("emotion-rnn", {}, {"text": tables["text"].spec}, 3).double().eval()
    task = Classification(corpus.label_set)
    make = partial(collate, tables=tables, task=task, dtype=torch.float64)
    accelerator = make_accelerator(TrainingConfig(device="cpu"))

    def run(batch_size: int, **options):
        batches = Batches(collate=make, batch_size=batch_size)
        return predict(system, dialogues, batches, DialogueLoss(LossConfig(), task), accelerator, **options)

    run.dialogues, run.system, run.make = dialogues, system, make
    return run


def test_rows_are_in_the_order_of_the_dialogues_for_any_batch_size(predict_train):
    single = [predict_train.make([dialogue]) for dialogue in predict_train.dialogues]
    one_by_one = [predict_train.system(batch).scores_BTS[0].log_softmax(-1).detach().numpy() for batch in single]
    for batch_size in (1, 4, 100):
        np.testing.assert_allclose(predict_train(batch_size).outputs_NS, np.concatenate(one_by_one), atol=1e-12)


def test_the_loss_is_the_mean_over_all_labelled_turns(predict_train):
    predicted = predict_train(4)
    labels = [turn.label for turn in utterances(predict_train.dialogues)]
    gold = [None if label is None else ("calm", "glad", "cross").index(label) for label in labels]
    nll = [-row[label] for row, label in zip(predicted.outputs_NS, gold, strict=True) if label is not None]
    assert 0 < len(nll) < len(gold)
    assert predicted.loss == pytest.approx(float(np.mean(nll)), abs=1e-12)
    assert predict_train(100).loss == pytest.approx(predicted.loss, abs=1e-12)


@pytest.fixture
def attention_of_train(predict_train):
    """Predict the train split and return the attention of its dialogues, by their ids."""

    def run(batch_size, most_turns):
        found = {}
        wanted = WantedAttention(most_turns=most_turns, take=lambda one, weights: found.update({one.id: weights}))
        predict_train(batch_size, attention=wanted)
        return found

    return run


def test_attention_comes_per_dialogue_without_padding(predict_train, attention_of_train):
    attention = attention_of_train(4, 1000)
    assert set(attention) == {dialogue.id for dialogue in predict_train.dialogues}
    for dialogue in predict_train.dialogues:
        assert set(attention[dialogue.id]) == {"forward", "backward"}
        for weights in attention[dialogue.id].values():
            assert weights.shape == (len(dialogue), len(dialogue))
            assert weights.dtype == torch.float32


def test_long_dialogues_are_predicted_without_attention(predict_train, attention_of_train, monkeypatch):
    lengths = sorted(len(dialogue) for dialogue in predict_train.dialogues)
    most_turns, asked = lengths[len(lengths) // 2], []
    assert lengths[0] <= most_turns < lengths[-1]
    forward = type(predict_train.system).forward

    def spied(self, batch, *, return_attention=False):
        asked.append((return_attention, int(batch.n_turns.max())))
        return forward(self, batch, return_attention=return_attention)

    monkeypatch.setattr(type(predict_train.system), "forward", spied)
    found = attention_of_train(4, most_turns)
    assert set(found) == {dialogue.id for dialogue in predict_train.dialogues if len(dialogue) <= most_turns}
    assert all(with_attention == (n_turns <= most_turns) for with_attention, n_turns in asked)
    wanted = WantedAttention(most_turns=most_turns, take=lambda *_: None)
    outputs = predict_train(4, attention=wanted).outputs_NS
    np.testing.assert_allclose(outputs, predict_train(4).outputs_NS, atol=1e-12)


def test_a_batch_with_attention_has_few_weights_or_one_dialogue(predict_train, attention_of_train, monkeypatch):
    monkeypatch.setattr(predict_module, "MAX_BATCH_WEIGHTS", 20)
    whole, shapes = attention_of_train(100, 1000), []
    forward = type(predict_train.system).forward

    def spied(self, batch, *, return_attention=False):
        shapes.append(batch.speaker.shape)
        return forward(self, batch, return_attention=return_attention)

    monkeypatch.setattr(type(predict_train.system), "forward", spied)
    parts = attention_of_train(100, 1000)
    assert all(n_dialogues * n_turns**2 <= 20 or n_dialogues == 1 for n_dialogues, n_turns in shapes)
    assert any(n_dialogues > 1 for n_dialogues, _ in shapes)
    assert all(torch.equal(whole[name][key], parts[name][key]) for name in whole for key in whole[name])


def test_a_request_to_stop_ends_it_early(predict_train):
    stop = StopRequest()
    assert predict_train(4, stop=stop) is not None
    stop.signal_number = signal.SIGTERM
    assert predict_train(4, stop=stop) is None
