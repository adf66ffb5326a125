"""With the published weights, DialogueRNN gives the numbers of the published implementation."""

import math
import runpy
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.published.dialogue_rnn import load
from dialogue_ser.models.recurrent.dialogue_rnn import DialogueRNN, DialogueRNNConfig
from dialogue_ser.nn.gru.cells import DropoutMasks
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.layout import PackedLayout

published = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("published_dialogue_rnn.py"))))
SIZES: dict[str, Any] = {"global_dim": 6, "party_dim": 5, "emotion_dim": 4, "hidden_dim": 3}
DIM, N_CLASSES, N_PARTIES = 6, 7, 4
PUBLISHED: dict[str, Any] = {"D_m": DIM, "D_g": 6, "D_p": 5, "D_e": 4, "D_h": 3, "D_a": 5, "n_classes": N_CLASSES}
PUBLISHED |= {"context_attention": "general", "dropout": 0.1, "dropout_rec": 0.1}
SPEAKERS = [[0, 1, 0, 2, 1, 3], [0], [0, 0, 1], [0, 1, 1, 1, 0]]
TEXT = {"text": InputSpec(kind="vector", dim=DIM)}
ATTENTION = ("general", "general2", "dot", "concat", "simple")


def _batch(speakers: list[list[int]] = SPEAKERS, x_BTD: Tensor | None = None) -> DialogueBatch:
    n_turns = torch.tensor([len(turns) for turns in speakers])
    longest = int(n_turns.max())
    real_BT = torch.arange(longest) < n_turns[:, None]
    if x_BTD is None:
        generator = torch.Generator().manual_seed(2)
        x_BTD = torch.randn(len(speakers), longest, DIM, dtype=torch.float64, generator=generator) * real_BT[..., None]
    return DialogueBatch(
        features={"text": x_BTD},
        lengths={},
        is_present={"text": real_BT},
        speaker=torch.tensor([turns + [-1] * (longest - len(turns)) for turns in speakers]),
        n_turns=n_turns,
        label=torch.full((len(speakers), longest), -100),
        is_real_turn=real_BT,
        utterance_ids=tuple(tuple(f"{b}_{t}" for t in range(len(turns))) for b, turns in enumerate(speakers)),
    )


def _reference(**options: Any) -> nn.Module:
    torch.manual_seed(4)
    sizes = SIZES["global_dim"], SIZES["party_dim"], SIZES["emotion_dim"], SIZES["hidden_dim"]
    model: nn.Module = published.BiModel(DIM, *sizes, N_CLASSES, **options).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # large weights make differences visible
            parameter.mul_(2.0)
    return model


def _system(**options: Any) -> DialogueRNN:
    system = build_model("dialogue-rnn", {**SIZES, "compat": True, **options}, TEXT, N_CLASSES).double().eval()
    assert isinstance(system, DialogueRNN)
    return system


def _loaded(model: nn.Module, **settings: Any) -> DialogueRNN:
    system = DialogueRNN.load_published(model.state_dict(), {**PUBLISHED, **settings})
    assert isinstance(system, DialogueRNN)
    return system


def _published_log_probs(model: nn.Module, batch: DialogueBatch, **options: Any) -> Tensor:
    """The inputs as in the published training script: time first, speakers one-hot, a mask of ones."""
    speaks = nn.functional.one_hot(batch.speaker.clamp_min(0), N_PARTIES) * batch.is_real_turn[..., None]
    x_TBD, speaks_TBP = batch.features["text"].transpose(0, 1), speaks.double().transpose(0, 1)
    log_probs: Tensor = model(x_TBD, speaks_TBP, batch.is_real_turn.double(), **options)
    return log_probs.transpose(0, 1)


def _both(system: DialogueRNN, model: nn.Module, **options: Any) -> tuple[Tensor, Tensor]:
    """Log-probabilities of all real turns, ours and the published ones."""
    batch = _batch()
    with torch.no_grad():
        ours, theirs = system(batch).scores_BTS.log_softmax(-1), _published_log_probs(model, batch, **options)
    real = batch.is_real_turn
    assert theirs[real].std() > 0.1, "a comparison of constants proves nothing"
    return ours[real], theirs[real]


@pytest.mark.parametrize("listeners", [False, True])
@pytest.mark.parametrize(("att2", "tanh"), [(True, False), (True, True), (False, False)])
def test_published_weights_give_the_published_numbers(listeners: bool, att2: bool, tanh: bool) -> None:
    model = _reference(listeners=listeners, tanh=tanh)
    system = _loaded(model, listener_state=listeners, att2=att2, tanh=tanh)
    ours, theirs = _both(system, model, over_emotions=att2)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("attention", ATTENTION)
def test_published_weights_fit_every_published_attention(attention: str) -> None:
    model = _reference(attention=attention, listeners=True)
    system = _loaded(model, context_attention=attention, listener_state=True)
    torch.testing.assert_close(*_both(system, model), rtol=0, atol=1e-10)


@pytest.mark.parametrize("attention", ATTENTION)
def test_every_published_parameter_has_the_published_gradient(attention: str) -> None:
    model = _reference(attention=attention, listeners=True)
    leaves = {name: value.clone().requires_grad_() for name, value in model.state_dict().items()}
    settings = {**PUBLISHED, "context_attention": attention, "listener_state": True}
    system, values = load(leaves, settings)
    system.double().load_state_dict({name: value.detach() for name, value in values.items()})
    system.eval()
    batch = _batch()
    real = batch.is_real_turn
    system(batch).scores_BTS.log_softmax(-1)[real][:, 0].sum().backward()
    _published_log_probs(model, batch)[real][:, 0].sum().backward()
    ours = [(values[name], own.grad) for name, own in system.named_parameters() if own.grad is not None]
    found = torch.autograd.grad([value for value, _ in ours], list(leaves.values()), [grad for _, grad in ours])
    for name, gradient in zip(leaves, found, strict=True):
        torch.testing.assert_close(gradient, model.get_parameter(name).grad, rtol=0, atol=1e-10, msg=name)


def test_gradients_to_the_turns_are_the_published_ones() -> None:
    model, batch = _reference(listeners=True), _batch()
    system = _loaded(model, listener_state=True)
    x_BTD = batch.features["text"].requires_grad_()
    real = batch.is_real_turn
    (ours,) = torch.autograd.grad(system(batch).scores_BTS.log_softmax(-1)[real][:, 0].sum(), x_BTD)
    (theirs,) = torch.autograd.grad(_published_log_probs(model, batch)[real][:, 0].sum(), x_BTD)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_control_other_weights_give_different_numbers() -> None:
    """If any published tensor is changed, the numbers of the two systems are different."""
    model, batch = _reference(listeners=True), _batch()
    settings = {**PUBLISHED, "listener_state": True}
    real = batch.is_real_turn
    with torch.no_grad():
        expected = _published_log_probs(model, batch)[real]
        for name, value in model.state_dict().items():
            changed = {**model.state_dict(), name: value + 0.5 * torch.randn_like(value)}
            system = DialogueRNN.load_published(changed, settings)
            assert not torch.allclose(system(batch).scores_BTS.log_softmax(-1)[real], expected, rtol=0, atol=1e-6), name


def test_dropout_is_at_the_same_positions_as_in_the_published_code() -> None:
    model = _reference(rate=0.3, recurrent_rate=0.2)
    system = _loaded(model, dropout=0.3, dropout_rec=0.2)
    cells = [model.get_submodule(f"dialog_rnn_{way}.dialogue_cell.dropout").p for way in "fr"]
    assert cells == [system.recurrence.dropout] * 2 == [0.2] * 2
    assert system.emotion_dropout.p == model.get_submodule("dropout_rec").p == 0.3 + 0.15
    assert system.head[2].p == model.get_submodule("dropout").p
    assert isinstance(system.head[1], nn.ReLU)
    assert _system(dropout=0.3, compat=False).emotion_dropout.p == 0.3


class _Given(nn.Module):
    """A dropout with given masks, in the order in which a cell uses them: g, q, e of every turn."""

    def __init__(self, masks: Iterable[Tensor]) -> None:
        super().__init__()
        self.masks = iter(masks)

    def forward(self, state: Tensor) -> Tensor:
        return state * next(self.masks)


def test_with_the_same_dropout_masks_the_recurrence_gives_the_published_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The states after dropout (g, q and e) are the inputs of the next turn; one dialogue, listeners hold."""
    model, batch = _reference(), _batch(SPEAKERS[:1])
    system = _loaded(model, dropout=0.5, dropout_rec=0.5)
    recurrence = system.recurrence.train()
    drawn: list[DropoutMasks] = []

    def draw(layout: PackedLayout) -> DropoutMasks:
        masks = DialogueRecurrence.draw_masks(recurrence, layout)
        drawn.append(masks)
        return masks

    monkeypatch.setattr(recurrence, "draw_masks", draw)
    torch.manual_seed(6)
    with torch.no_grad():
        ours = system(batch).scores_BTS.log_softmax(-1)
        (masks,) = drawn
        for k, name in enumerate(("dialog_rnn_f", "dialog_rnn_r")):
            turns = zip(masks.global_KNG[k], masks.speaker_ZNP[k], masks.emotion_KNE[k], strict=True)
            model.get_submodule(f"{name}.dialogue_cell").dropout = _Given(mask for turn in turns for mask in turn)
        torch.testing.assert_close(ours, _published_log_probs(model, batch), rtol=0, atol=1e-10)
        assert not torch.allclose(ours, system.eval()(batch).scores_BTS.log_softmax(-1), atol=1e-3), (
            "nothing was dropped"
        )


def test_dropout_on_emotions_comes_before_the_attention_over_them() -> None:
    system = _system(dropout=0.0).train()  # compat: 0.15 on e, nothing elsewhere
    seen: list[tuple[Tensor, Tensor]] = []
    attention = system.emotion_attention
    assert attention is not None
    system.emotion_dropout.register_forward_hook(lambda _, given, given_back: seen.append((given[0], given_back)))
    attention.register_forward_pre_hook(lambda _, given: seen.append((given[0], given[0])))
    torch.manual_seed(0)
    batch = _batch([[0, 1] * 100])
    system(batch)
    (before, after), (attended, _) = seen
    assert torch.equal(attended, after)
    dropped = (after == 0) & (before != 0)
    assert 0.1 < dropped.double().mean() < 0.2
    torch.testing.assert_close(after[~dropped], before[~dropped] / 0.85)


def test_compat_refuses_a_dropout_that_is_1_or_more_with_the_published_addition() -> None:
    with pytest.raises(ConfigError, match=r"dropout: found 0\.9, but compat adds 0\.15"):
        DialogueRNNConfig(dropout=0.9, compat=True)
    assert DialogueRNNConfig(dropout=0.9).emotion_dropout == 0.9


def test_two_turns_by_hand() -> None:
    """Every size 1; the inputs act only on the candidate, so h' = tanh(Σ inputs)/2 + h/2."""
    ones = dict.fromkeys(["D_m", "D_g", "D_p", "D_e", "D_h"], 1)
    state: dict[str, Tensor] = {}
    for way in ("dialog_rnn_f", "dialog_rnn_r"):
        for name, width in {"g_cell": 2, "p_cell": 2, "l_cell": 2, "e_cell": 1}.items():
            prefix = f"{way}.dialogue_cell.{name}"
            state[f"{prefix}.weight_ih"] = torch.tensor([[0.0], [0.0], [1.0]]).expand(3, width)
            state[f"{prefix}.weight_hh"] = torch.zeros(3, 1)
            state[f"{prefix}.bias_ih"] = state[f"{prefix}.bias_hh"] = torch.zeros(3)
        state[f"{way}.dialogue_cell.attention.transform.weight"] = torch.ones(1, 1)
    state |= {"matchatt.transform.weight": torch.eye(2), "matchatt.transform.bias": torch.zeros(2)}
    state |= {"linear.weight": torch.eye(2), "linear.bias": torch.zeros(2)}
    state |= {"smax_fc.weight": torch.eye(2), "smax_fc.bias": torch.tensor([0.0, 0.5])}
    settings = {**ones, "n_classes": 2, "listener_state": True, "context_attention": "general"}
    system = DialogueRNN.load_published(state, settings).double()

    def cell(given: float, past: float) -> float:
        return math.tanh(given) / 2 + past / 2

    def read(first: float, second: float) -> list[float]:
        """The states e of two turns by two parties: the second party listens and then speaks."""
        g_1 = cell(first, 0.0)
        q_a = cell(first, 0.0)  # no past, no context
        q_b = cell(first + q_a, 0.0)  # listens to the turn and to the speaker's new state
        q_b = cell(second + g_1, q_b)  # speaks; the context is the only past g
        e_1 = cell(q_a, 0.0)
        return [e_1, cell(q_b, e_1)]

    forward, backward = read(0.4, 1.2), read(1.2, 0.4)[::-1]
    e = list(zip(forward, backward, strict=True))
    expected = []
    for own in e:
        logits = [own[0] * other[0] + own[1] * other[1] for other in e]
        share = 1 / (1 + math.exp(logits[1] - logits[0]))
        pooled = [share * e[0][i] + (1 - share) * e[1][i] for i in range(2)]  # positive: ReLU keeps it
        odds = pooled[1] + 0.5 - pooled[0]
        expected.append([-math.log1p(math.exp(odds)), -math.log1p(math.exp(-odds))])
    with torch.no_grad():
        found = system(_batch([[0, 1]], torch.tensor([[[0.4], [1.2]]], dtype=torch.float64))).scores_BTS.log_softmax(
            -1
        )[0]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_weights_are_read_from_safetensors(tmp_path: Path) -> None:
    model = _reference()
    safetensors.torch.save_file(model.state_dict(), tmp_path / "published.safetensors")
    system = DialogueRNN.load_published(tmp_path / "published.safetensors", PUBLISHED)
    assert isinstance(system, DialogueRNN)
    torch.testing.assert_close(*_both(system, model), rtol=0, atol=1e-10)


def test_a_pickle_is_refused_and_the_error_says_how_to_convert_it(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"PK\x03\x04 and no safetensors")
    with pytest.raises(CheckpointError, match=r"model\.pt: cannot be read as safetensors .* Convert it once"):
        DialogueRNN.load_published(path, PUBLISHED)
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors: cannot be read"):
        DialogueRNN.load_published(str(tmp_path / "nowhere.safetensors"), PUBLISHED)


def test_all_wrong_tensors_are_named() -> None:
    state = _reference(listeners=True).state_dict()  # l_cell of both directions is unknown
    del state["smax_fc.bias"]
    state["linear.weight"] = torch.zeros(3, 8)
    state["linear.bias"] = torch.zeros(6, dtype=torch.int64)
    with pytest.raises(CheckpointError) as caught:
        DialogueRNN.load_published(state, PUBLISHED)
    text = str(caught.value)
    assert "smax_fc.bias: missing, expected [7]" in text
    assert "linear.weight: found [3, 8], expected [6, 8]" in text
    assert "linear.bias: found torch.int64, expected floats" in text
    assert text.count("l_cell") == 2 * 4
    assert len(caught.value.problems) == 1 + 3 + 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"context_attention": "sum"}, "context_attention: found 'sum', expected one of 'simple'"),
        ({"listener_state": 2}, "listener_state: found 2"),
        ({"D_g": 0.5}, "D_g: found 0.5, expected int"),
        ({"D_x": 3}, "D_x: is not known for this system"),
        ({"dropout": 0.9}, "dropout: found 0.9, expected less than 0.85"),
    ],
)
def test_settings_the_published_model_does_not_have_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DialogueRNN.load_published(_reference().state_dict(), {**PUBLISHED, **settings})


def test_default_sizes_are_the_published_ones() -> None:
    system = DialogueRNN(DialogueRNNConfig(), {"text": InputSpec(kind="vector", dim=600)}, 7)

    def gru(inputs: int, hidden: int) -> int:  # here r and z have one bias each
        return 3 * hidden * (inputs + hidden) + 4 * hidden

    direction = gru(600 + 150, 150) + gru(600 + 150, 150) + gru(150, 100) + 600 * 150
    over_emotions, head = 200 * 201, 200 * 201 + 201 * 7
    trained = sum(parameter.numel() for parameter in system.parameters() if parameter.requires_grad)
    assert trained == 2 * direction + over_emotions + head


def test_the_attention_over_emotion_states_is_called_emotion() -> None:
    batch = _batch()
    names = ("forward", "backward", "emotion")
    attention = _system()(batch, return_attention=True).attention
    assert tuple(attention) == names
    real = batch.is_real_turn
    torch.testing.assert_close(attention["emotion"].sum(-1), real.double())
    assert attention["emotion"][~(real[:, :, None] & real[:, None])].abs().sum() == 0
    assert _system()(batch).attention == {}
    assert tuple(_system(emotion_attention="none")(batch, return_attention=True).attention) == names[:2]


def test_a_causal_system_does_not_attend_to_later_turns() -> None:
    batch = _batch()
    system = _system(causal=True)
    attention = system(batch, return_attention=True).attention
    assert set(attention) == {"forward", "emotion"}
    assert attention["emotion"].triu(1).abs().sum() == 0
    assert (attention["emotion"].diagonal(dim1=1, dim2=2) > 0).equal(batch.is_real_turn)
    assert system.head[0].in_features == 4
    assert system.head[0].out_features == 3


def test_dot_attention_needs_vectors_of_one_size() -> None:
    with pytest.raises(ConfigError, match=r"dialogue-rnn: .*global_dim: found 5, .* must be 6"):
        _system(attention="dot", global_dim=5)
