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
from dialogue_ser.training.loop.devices import make_accelerator
from dialogue_ser.training.loop.interrupt import StopRequest
from dialogue_ser.training.loop.loss import DialogueLoss
from dialogue_ser.training.loop.predict import predict


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


def test_attention_comes_per_dialogue_without_padding(predict_train):
    assert not predict_train(4).attention
    attention = predict_train(4, with_attention=True).attention
    assert {key.rsplit("/", 1)[0] for key in attention} == {dialogue.id for dialogue in predict_train.dialogues}
    for dialogue in predict_train.dialogues:
        found = [weights for key, weights in attention.items() if key.startswith(f"{dialogue.id}/")]
        assert all(weights.shape == (len(dialogue), len(dialogue)) for weights in found)


def test_a_request_to_stop_ends_it_early(predict_train):
    stop = StopRequest()
    assert predict_train(4, stop=stop) is not None
    stop.signal_number = signal.SIGTERM
    assert predict_train(4, stop=stop) is None
