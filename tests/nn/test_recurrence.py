"""The engine computes EQUATIONS.md A exactly."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.attention import ATTENTION_KINDS
from dialogue_ser.nn.cells import DropoutMasks
from dialogue_ser.nn.layout import build_layout
from dialogue_ser.nn.recurrence import EmotionRecurrence


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nn_reference", Path(__file__).with_name("reference.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _reference()
DIM = 6


def _engine(attention: str = "general", **options: object) -> EmotionRecurrence:
    torch.manual_seed(3)
    global_dim = DIM if attention == "dot" else 5
    engine = EmotionRecurrence(
        DIM,
        global_dim=global_dim,
        party_dim=4,
        emotion_dim=3,
        attention=attention,
        **options,  # type: ignore[arg-type]
    )
    return engine.double()


def _dialogues(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Mixed lengths incl. one turn, monologues, a silent-until-late party, a party that leaves early."""
    generator = torch.Generator().manual_seed(seed)
    speaker = torch.tensor(
        [
            [0, 1, 0, 2, 1, 0, 3, 3, 0],
            [0, -1, -1, -1, -1, -1, -1, -1, -1],
            [0, 0, 0, 0, -1, -1, -1, -1, -1],
            [0, 1, 2, 3, 4, 5, 0, -1, -1],
            [0, 1, 1, 1, 1, 1, 0, -1, -1],
        ]
    )
    n_turns = (speaker >= 0).sum(1)
    x = torch.randn(*speaker.shape, DIM, generator=generator, dtype=torch.float64)
    return x.requires_grad_(), speaker, n_turns


@pytest.mark.parametrize("listeners", ["update", "hold"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("attention", ATTENTION_KINDS)
@pytest.mark.parametrize("engine_name", ["manual", "autograd"])
def test_values_and_gradients_equal_the_plain_reference(
    attention: str, bidirectional: bool, listeners: str, engine_name: str
) -> None:
    engine = _engine(attention, bidirectional=bidirectional, listeners=listeners, engine=engine_name)
    x, speaker, n_turns = _dialogues()
    weight = torch.randn(*speaker.shape, engine.output_dim, dtype=torch.float64)

    fast, _ = engine(x, speaker, n_turns)
    plain = reference.emotion_recurrence(engine, x, speaker, n_turns)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10)

    leaves = [x, *engine.parameters()]
    fast_grads = torch.autograd.grad((fast * weight).sum(), leaves)
    plain_grads = torch.autograd.grad((plain * weight).sum(), leaves, allow_unused=True)
    for ours, theirs in zip(fast_grads, plain_grads, strict=True):
        expected = torch.zeros_like(ours) if theirs is None else theirs
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def test_initial_states_of_zeros_stay_zeros_and_are_not_trained() -> None:
    engine = _engine(initial_state="zeros")
    assert not engine.initial_party.requires_grad
    assert engine.initial_global.abs().sum() == 0


def test_random_initial_states_are_drawn_and_learned() -> None:
    engine = _engine()
    x, speaker, n_turns = _dialogues()
    engine(x, speaker, n_turns)[0].sum().backward()
    for name in ("initial_global", "initial_party", "initial_emotion"):
        assert getattr(engine, name).abs().sum() > 0
        assert getattr(engine, name).grad.abs().sum() > 0


def test_dropout_is_fresh_every_turn_and_absent_in_eval() -> None:
    engine = _engine(dropout=0.5)
    x, speaker, n_turns = _dialogues()
    layout = build_layout(speaker, n_turns, bidirectional=True)
    x_KND = x.detach().flatten(0, 1)[layout.turn_of_row]
    masks = engine.draw_masks(x_KND, layout)
    assert masks is not None
    assert set(masks.speaker_KJNH.unique().tolist()) == {0.0, 2.0}
    rows = masks.global_KNH[0]
    assert any(not torch.equal(rows[0], row) for row in rows[1:])
    engine.eval()
    assert engine.draw_masks(x_KND, layout) is None


def test_masks_of_ones_change_nothing_and_masks_of_zeros_silence_the_states() -> None:
    engine = _engine(dropout=0.5)
    x, speaker, n_turns = _dialogues()
    layout = build_layout(speaker, n_turns, bidirectional=True)
    x_KND = x.detach().flatten(0, 1)[layout.turn_of_row]
    drawn = engine.draw_masks(x_KND, layout)
    assert drawn is not None
    ones = DropoutMasks(*(torch.ones_like(mask) for mask in vars(drawn).values()))
    zeros = DropoutMasks(*(torch.zeros_like(mask) for mask in vars(drawn).values()))
    without = engine.loop(x_KND, layout, None)
    torch.testing.assert_close(engine.loop(x_KND, layout, ones), without)
    assert engine.loop(x_KND, layout, zeros).s_KNH.abs().sum() == 0
    assert without.s_KNH.abs().sum() > 0


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
def test_attention_is_a_distribution_over_what_was_read_before(attention: str) -> None:
    engine = _engine(attention).eval()
    x, speaker, n_turns = _dialogues()
    _, weights = engine(x, speaker, n_turns, return_attention=True)
    for b, n in enumerate(n_turns.tolist()):
        forward, backward = weights["forward"][b], weights["backward"][b]
        assert forward.triu().abs().sum() == 0
        assert backward.tril().abs().sum() == 0
        torch.testing.assert_close(forward[1:n].sum(1), torch.ones(n - 1, dtype=torch.float64))
        torch.testing.assert_close(backward[: n - 1].sum(1), torch.ones(n - 1, dtype=torch.float64))
        assert forward[n:].abs().sum() == 0
        assert backward[n:].abs().sum() == 0


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
def test_shown_attention_reproduces_the_context_of_the_loop(attention: str) -> None:
    """Σ α g over the shown weights equals what `read` gave the loop from the same history."""
    engine = _engine(attention).eval()
    x, speaker, n_turns = _dialogues()
    _, weights = engine(x, speaker, n_turns, return_attention=True)
    layout = build_layout(speaker, n_turns, bidirectional=True)
    g_KNH = engine.loop(x.flatten(0, 1)[layout.turn_of_row], layout, None).g_KNH
    g_TH = g_KNH[:, layout.row_of_turn[0].view(speaker.shape)[0, :4]]
    history = None
    for t in range(4):
        history = engine.attention.write(history, g_TH[:, t : t + 1])
    queries = engine.attention.queries(x[0:1, 4:5].expand(2, -1, -1))
    context = engine.attention.read(history, queries, 1)
    assert context is not None
    torch.testing.assert_close(context[0, 0], weights["forward"][0, 4, :4] @ g_TH[0])
