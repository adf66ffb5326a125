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
def ask(tiny):
    """Predicts the train split with batches of a given size."""
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


def test_rows_stand_in_the_order_of_the_dialogues_whatever_the_batches(ask):
    one_by_one = [
        ask.system(ask.make([dialogue])).scores_BTS[0].log_softmax(-1).detach().numpy() for dialogue in ask.dialogues
    ]  # fmt: skip
    for batch_size in (1, 4, 100):
        np.testing.assert_allclose(ask(batch_size).outputs_NS, np.concatenate(one_by_one), atol=1e-12)


def test_the_loss_is_the_mean_over_all_labelled_turns(ask):
    predicted = ask(4)
    labels = [turn.label for turn in utterances(ask.dialogues)]
    gold = [None if label is None else ("calm", "glad", "cross").index(label) for label in labels]
    nll = [-row[label] for row, label in zip(predicted.outputs_NS, gold, strict=True) if label is not None]
    assert 0 < len(nll) < len(gold)
    assert predicted.loss == pytest.approx(float(np.mean(nll)), abs=1e-12)
    assert ask(100).loss == pytest.approx(predicted.loss, abs=1e-12)


def test_attention_comes_per_dialogue_without_padding(ask):
    assert not ask(4).attention
    attention = ask(4, with_attention=True).attention
    assert {key.rsplit("/", 1)[0] for key in attention} == {dialogue.id for dialogue in ask.dialogues}
    for dialogue in ask.dialogues:
        found = [weights for key, weights in attention.items() if key.startswith(f"{dialogue.id}/")]
        assert all(weights.shape == (len(dialogue), len(dialogue)) for weights in found)


def test_a_request_to_stop_ends_it_early(ask):
    stop = StopRequest()
    assert ask(4, stop=stop) is not None
    stop.signal_number = signal.SIGTERM
    assert ask(4, stop=stop) is None
