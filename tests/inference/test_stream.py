import numpy as np
import pytest
import torch

from dialogue_ser.corpus.schema import Dialogue, LabelSet, utterances
from dialogue_ser.errors import ConfigError, CorpusError, MediaError
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model
from dialogue_ser.tasks.regression import Regression, _on_device

LABELS = LabelSet("emotion", ("calm", "glad", "cross"))


@register_encoder("test-two-turns")
class TwoTurns:
    """Letters of a turn and of the one before it."""

    kind = "vector"
    traits = EncoderTraits(context=(1, 0), reads=("text",))

    def fingerprint(self):
        return {}

    def encode(self, dialogues):
        rows = {}
        for dialogue in dialogues:
            before = ""
            for turn in dialogue:
                rows[turn.id] = np.array([(before + (turn.text or "")).count(letter) for letter in "aeiou"])
                before = turn.text or ""
        return rows


def classifier(dialogue, encoder="test-letters", transforms=("standardise",), **options) -> DialogueClassifier:
    train = [dialogue(f"train/d{i}", 4, seed=i) for i in range(5)]
    pipeline = FeaturePipeline.build("text", encoder, transforms=transforms).fit(train)
    torch.manual_seed(3)
    model = build_model("emotion-rnn", {"causal": True, **options}, {"text": pipeline.spec}, len(LABELS))
    return DialogueClassifier(model, LABELS, {"text": pipeline})


@pytest.mark.parametrize("encoder", ["test-letters", "test-two-turns"])
@pytest.mark.parametrize("attention", ["simple", "matching"])
def test_turn_by_turn_says_what_the_whole_dialogue_says(dialogue, encoder, attention):
    labels = classifier(dialogue, encoder, attention=attention)
    whole = dialogue("new/d", 9)
    stream = labels.stream()
    rows = [stream.add((turn.speaker, turn.text)) for turn in whole]
    table = labels.predict([whole])
    columns = ["p_calm", "p_glad", "p_cross"]
    streamed = np.array([[row[column] for column in columns] for row in rows])
    np.testing.assert_allclose(streamed, table[columns].to_numpy(), atol=1e-6)
    assert [row["predicted"] for row in rows] == table["predicted"].tolist()
    assert [(row["turn"], row["speaker"], row["text"]) for row in rows] == list(
        table[["turn", "speaker", "text"]].itertuples(index=False, name=None)
    )


@pytest.mark.parametrize("model", ["emotion-rnn", "bigru", "late-fusion"])
def test_values_turn_by_turn_are_those_of_the_whole_dialogue(dialogue, model):
    task = Regression(("valence", "arousal"), centres=(3.0, 2.5), scales=(0.5, 1.25))
    train = [dialogue(f"train/d{i}", 4, seed=i) for i in range(5)]
    pipeline = FeaturePipeline.build("text", "test-letters", transforms=["standardise"]).fit(train)
    torch.manual_seed(3)
    options = {} if model == "late-fusion" else {"causal": True}
    system = build_model(model, options, {"text": pipeline.spec}, task.n_scores, task)
    sayer, whole = DialogueClassifier(system, task, {"text": pipeline}), dialogue("new/d", 9)
    stream, columns = sayer.stream(), ["predicted_valence", "predicted_arousal"]
    rows = [stream.add((turn.speaker, turn.text)) for turn in whole]
    assert all(set(row) == {"turn", "speaker", "text", *columns} for row in rows)
    streamed = np.array([[row[column] for column in columns] for row in rows])
    np.testing.assert_allclose(streamed, sayer.predict([whole])[columns].to_numpy(), atol=1e-5)


def test_a_stream_leaves_the_model_fit_to_be_trained(dialogue):
    """A task keeps tensors on a device. A stream may create them, and training must be able to use them later."""
    _on_device.cache_clear()
    task = Regression(("valence",), centres=(3.0,), scales=(0.5,))
    pipeline = FeaturePipeline.build("text", "test-letters").fit([dialogue("train/d", 4)])
    system = build_model("bigru", {"causal": True}, {"text": pipeline.spec}, 1, task)
    DialogueClassifier(system, task, {"text": pipeline}).stream().add(("Ann", "fine"))
    scores = torch.zeros(2, 1, requires_grad=True)
    task.outputs(scores).sum().backward()
    assert scores.grad.tolist() == [[0.5], [0.5]]


def test_streams_of_one_model_do_not_meet(dialogue):
    labels = classifier(dialogue)
    alone = labels.stream()
    expected = [alone.add(("Ann", text)) for text in ("fine", "no stop")]
    one, other = labels.stream(), labels.stream()
    assert one.add(("Ann", "fine")) == expected[0]
    other.add(("Bo", "great"))
    assert one.add(("Ann", "no stop")) == expected[1]


def test_what_must_know_the_future_cannot_stream(dialogue):
    with pytest.raises(ConfigError, match=r"whole dialogues; train it with --model.options.causal true"):
        classifier(dialogue, causal=False).stream()
    with pytest.raises(ConfigError, match=r"features.text: .* looks at later turns"):
        classifier(dialogue, transforms=("speaker-zscore",)).stream()


def test_a_turn_that_cannot_be_read_may_be_given_again(dialogue, tmp_path):
    train = [dialogue(f"train/d{i}", 3, seed=i, folder=tmp_path) for i in range(3)]
    pipeline = FeaturePipeline.build("audio", "test-loudness").fit(train)
    model = build_model("bigru", {"causal": True}, {"audio": pipeline.spec}, len(LABELS))
    labels = DialogueClassifier(model, LABELS, {"audio": pipeline})
    turns = [{"speaker": turn.speaker, "audio": turn.audio} for turn in utterances(train[:1])]
    stream = labels.stream()
    rows = [stream.add(turns[0])]
    with pytest.raises(MediaError, match="no such file"):
        stream.add({"speaker": "Ann", "audio": tmp_path / "gone.wav"})
    with pytest.raises(CorpusError, match="neither text nor audio"):
        stream.add({"speaker": "Ann"})
    rows += [stream.add(turn) for turn in turns[1:]]
    whole = labels.predict_proba(Dialogue("new/d", train[0].utterances))
    np.testing.assert_allclose([row["p_glad"] for row in rows], whole[:, 1], atol=1e-6)
    assert [row["turn"] for row in rows] == [0, 1, 2]
