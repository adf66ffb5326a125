import pytest
import torch
from torch import nn

from dialogue_ser.encoders.textcnn import TextCNN, TextCNNConfig
from dialogue_ser.errors import ConfigError

VOCABULARY = 20


@pytest.fixture
def textcnn() -> TextCNN:
    torch.manual_seed(0)
    config = TextCNNConfig(embedding_dim=6, n_filters=7, out_dim=5, dropout=0.0)
    return TextCNN(config, VOCABULARY).double().eval()


def batch(lengths_BT, seed: int = 0, room: int = 0):
    """Random word ids, with random numbers after the end of each text."""
    torch.manual_seed(seed)
    lengths_BT = torch.tensor(lengths_BT)
    ids_BTL = torch.randint(2, VOCABULARY, (*lengths_BT.shape, int(lengths_BT.max()) + room))
    return ids_BTL, lengths_BT, lengths_BT > 0


def by_conv1d(model: TextCNN, ids_L: torch.Tensor) -> torch.Tensor:
    """The published computation on one text: Conv1d, max over time, ReLU, concatenation, dense."""
    room = max(5 - len(ids_L), 0)
    pooled = []
    for width, layer in zip((3, 4, 5), model.filters, strict=True):
        length = max(len(ids_L), width)
        padded = nn.functional.pad(ids_L, (0, room))[:length]
        x_EL = model.embedding(padded).T
        weight = layer.weight.view(-1, width, x_EL.shape[0]).transpose(1, 2)
        pooled.append(nn.functional.conv1d(x_EL[None], weight, layer.bias)[0].amax(-1).relu())
    return model.dense(torch.cat(pooled))


def test_output_and_gradients_equal_conv1d_run_text_by_text(textcnn) -> None:
    ids, lengths, present = batch([[1, 9, 3], [5, 4, 2]])
    out = textcnn(ids, lengths, present)
    expected = torch.stack(
        [torch.stack([by_conv1d(textcnn, ids[b, t, : lengths[b, t]]) for t in range(3)]) for b in range(2)]
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-12)
    parameters = list(textcnn.parameters())
    found = torch.autograd.grad(out.sin().sum(), parameters)
    wanted = torch.autograd.grad(expected.sin().sum(), parameters)
    for left, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-10)


def test_padding_and_other_turns_never_change_a_turn(textcnn) -> None:
    ids, lengths, present = batch([[2, 6], [12, 0]], room=3)
    out = textcnn(ids, lengths, present)
    other, _, _ = batch([[2, 6], [12, 0]], seed=9, room=3)
    is_padding = torch.arange(ids.shape[-1]) >= lengths[..., None]
    torch.testing.assert_close(textcnn(torch.where(is_padding, other, ids), lengths, present), out, rtol=0, atol=1e-12)
    alone = textcnn(ids[:1, :1, :2], lengths[:1, :1], present[:1, :1])
    torch.testing.assert_close(alone[0, 0], out[0, 0], rtol=0, atol=1e-12)


def test_absent_turns_are_zero_and_a_batch_without_any_text_works(textcnn) -> None:
    ids, lengths, present = batch([[2, 6], [12, 3]])
    present[1, 0] = False
    out = textcnn(ids, lengths, present)
    assert not out[1, 0].any()
    assert out[1, 1].any()
    nothing = textcnn(ids, lengths * 0, present & False)
    assert nothing.shape == (2, 2, 5)
    assert not nothing.any()


@pytest.mark.parametrize("n_words", [1, 2, 3, 4, 5])
def test_texts_shorter_than_the_widest_filter_work(textcnn, n_words) -> None:
    ids, lengths, present = batch([[n_words]])
    torch.testing.assert_close(textcnn(ids, lengths, present)[0, 0], by_conv1d(textcnn, ids[0, 0]), rtol=0, atol=1e-12)


def test_word_order_matters_and_the_padding_word_is_never_learned(textcnn) -> None:
    ids, lengths, present = batch([[8]])
    out = textcnn(ids, lengths, present)
    assert not torch.allclose(textcnn(ids.flip(-1), lengths, present), out)
    textcnn(*batch([[1, 2]])).sum().backward()
    assert not textcnn.embedding.weight.grad[0].any()


def test_word_dropout_acts_while_training_only() -> None:
    torch.manual_seed(0)
    model = TextCNN(TextCNNConfig(embedding_dim=4, n_filters=3, dropout=0.0, word_dropout=0.9), VOCABULARY)
    values = batch([[12, 9]])
    assert not torch.equal(model(*values), model(*values))
    model.eval()
    assert torch.equal(model(*values), model(*values))


def test_defaults_are_those_of_the_document(textcnn) -> None:
    config = TextCNNConfig()
    assert (tuple(config.widths), config.out_dim) == ((3, 4, 5), 100)
    with pytest.raises(ConfigError, match=r"textcnn: dropout 1\.0 must be"):
        TextCNNConfig(dropout=1.0)
