"""The engine computes the equations of docs/equations.md exactly."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn import attention as attention_module
from dialogue_ser.nn.attention import ATTENTION_KINDS
from dialogue_ser.nn.gru.cells import DropoutMasks
from dialogue_ser.nn.recurrence import history
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence, LoopStates
from dialogue_ser.nn.recurrence.layout import PackedLayout
from dialogue_ser.nn.recurrence.wiring import Wiring, dialogue_rnn, emotion_rnn


def _reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nn_reference", Path(__file__).with_name("reference.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = _reference()
DIM = 6


WIRINGS = [emotion_rnn("update"), emotion_rnn("hold"), dialogue_rnn("update"), dialogue_rnn("hold")]
WIRING_IDS = ["emotion-update", "emotion-hold", "dialogue-update", "dialogue-hold"]


def _engine(attention: str = "general", wiring: Wiring = WIRINGS[0], **options: object) -> DialogueRecurrence:
    torch.manual_seed(3)
    engine = DialogueRecurrence(
        DIM,
        wiring,
        global_dim=DIM if attention == "dot" else 5,
        party_dim=4,
        emotion_dim=3,
        attention=attention,
        **options,  # type: ignore[arg-type]
    )
    return engine.double()


def _dialogues(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Return dialogues of different lengths, also one turn, a monologue, and parties that come late or leave early."""
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


@pytest.mark.parametrize("wiring", WIRINGS, ids=WIRING_IDS)
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("attention", ATTENTION_KINDS)
@pytest.mark.parametrize("engine_name", ["manual", "autograd"])
def test_values_and_gradients_equal_the_plain_reference(
    attention: str, bidirectional: bool, wiring: Wiring, engine_name: str
) -> None:
    engine = _engine(attention, wiring, bidirectional=bidirectional, engine=engine_name)
    x, speaker, n_turns = _dialogues()
    weight = torch.randn(*speaker.shape, engine.output_dim, dtype=torch.float64)

    fast, _ = engine(x, speaker, n_turns)
    plain = reference.dialogue_recurrence(engine, x, speaker, n_turns)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-10)

    leaves = [x, *engine.parameters()]
    fast_grads = torch.autograd.grad((fast * weight).sum(), leaves)
    plain_grads = torch.autograd.grad((plain * weight).sum(), leaves, allow_unused=True)
    for ours, theirs in zip(fast_grads, plain_grads, strict=True):
        expected = torch.zeros_like(ours) if theirs is None else theirs
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_turns_together", [1, 2, 5])
@pytest.mark.parametrize("attention", ["dot", "general2-tanh", "concat"])
def test_a_long_dialogue_has_the_same_values_and_gradients_in_blocks(
    attention: str, n_turns_together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long dialogues are computed in blocks of turns (manual), or again in backward (autograd)."""
    monkeypatch.setattr(history, "BLOCK_TURNS", n_turns_together)
    monkeypatch.setattr(attention_module, "LONG_HISTORY", n_turns_together)
    test_values_and_gradients_equal_the_plain_reference(attention, True, WIRINGS[0], "manual")
    test_values_and_gradients_equal_the_plain_reference(attention, True, WIRINGS[0], "autograd")


def test_backward_can_go_through_a_long_dialogue_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BLOCK_TURNS", 2)
    engine = _engine("general")
    x, speaker, n_turns = _dialogues()
    loss = engine(x, speaker, n_turns)[0].square().sum()
    leaves = [x, *engine.parameters()]
    first, second = (torch.autograd.grad(loss, leaves, retain_graph=True) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("n_directions", [1, 2])
def test_the_memory_of_matching_attention_grows_with_the_turns_and_not_with_their_square(n_directions: int) -> None:
    """The longest of the kept tensors: memory of a batch of one dialogue of 700 turns and four of 20 turns."""
    engine = _engine("general", bidirectional=n_directions == 2)
    n_turns = torch.tensor([700, 20, 20, 20, 20])
    layout = engine.layout(torch.zeros(5, 700, dtype=torch.long), n_turns)
    kept = history.MatchingHistory("general", torch.randn(n_directions, layout.n_rows, 5), layout)
    for step in layout.steps:
        kept.read(step.n_active)
        kept.write(torch.randn(n_directions, step.n_active, 5))
    kept.start_backward([])
    sizes = {name: value.numel() for name, value in vars(kept).items() if isinstance(value, torch.Tensor)}
    assert sum(weights.numel() for weights, _ in kept.kept_weights) < 5 * n_directions * 64 * 64
    assert sizes["factors"] <= n_directions * 700 * 64 * 2
    assert sizes["memory"] == n_directions * 5 * 700 * 5


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


def _inputs(engine: DialogueRecurrence) -> tuple[Tensor, PackedLayout]:
    x, speaker, n_turns = _dialogues()
    layout = engine.layout(speaker, n_turns)
    return x.detach().flatten(0, 1)[layout.turn_of_row], layout


def test_dropout_is_fresh_every_turn_and_absent_in_eval() -> None:
    engine = _engine(dropout=0.5)
    _, layout = _inputs(engine)
    masks = engine.draw_masks(layout)
    assert masks.speaker_ZNP is not None
    assert masks.global_KNG is not None
    assert set(masks.speaker_ZNP.unique().tolist()) == {0.0, 2.0}
    rows = masks.global_KNG[0]
    assert any(not torch.equal(rows[0], row) for row in rows[1:])
    engine.eval()
    assert engine.draw_masks(layout) == DropoutMasks()


@pytest.mark.parametrize("wiring", WIRINGS, ids=WIRING_IDS)
@pytest.mark.parametrize("engine_name", ["manual", "autograd"])
def test_masks_of_ones_change_nothing_and_masks_of_zeros_make_all_states_zero(wiring: Wiring, engine_name: str) -> None:
    engine = _engine(wiring=wiring, dropout=0.5, engine=engine_name)
    x_KND, layout = _inputs(engine)
    drawn = engine.draw_masks(layout)
    ones = DropoutMasks(*(torch.ones_like(mask) for mask in vars(drawn).values()))
    zeros = DropoutMasks(*(torch.zeros_like(mask) for mask in vars(drawn).values()))

    def run(masks: DropoutMasks) -> tuple[LoopStates, Tensor]:
        states = engine.run_loop(engine.inputs(x_KND), layout, masks)
        return states, engine.emotion_states(x_KND, states, layout, masks)

    without, emotions = run(DropoutMasks())
    with_ones, same = run(ones)
    torch.testing.assert_close(with_ones, without)
    torch.testing.assert_close(same, emotions)
    silent, none = run(zeros)
    assert silent.speaker_KFNP.abs().sum() == none.abs().sum() == 0
    assert without.speaker_KFNP.abs().sum() > 0


def test_dropped_emotions_are_fed_back_where_the_wiring_says_so() -> None:
    for wiring, fed_back in ((dialogue_rnn(), True), (emotion_rnn(), False)):
        engine = _engine(wiring=wiring, dropout=0.5)
        x_KND, layout = _inputs(engine)
        states = engine.run_loop(engine.inputs(x_KND), layout, DropoutMasks())
        masks = engine.draw_masks(layout)
        plain = engine.emotion_states(x_KND, states, layout, DropoutMasks())
        dropped = engine.emotion_states(x_KND, states, layout, masks)
        assert torch.allclose(dropped, plain * masks.emotion_KNE) != fed_back


def test_cells_loaded_from_gru_cells_compute_what_those_compute() -> None:
    engine = _engine(wiring=dialogue_rnn("update"))
    for cell, sizes in {
        "global": {"x": 6, "party": 4},
        "speaker.party": {"x": 6, "context": 5},
        "listener.party": {"x": 6, "speaker": 4},
        "emotion": {"party": 4},
    }.items():
        hidden = {"global": 5, "emotion": 3}.get(cell, 4)
        published = torch.nn.GRUCell(sum(sizes.values()), hidden).double()
        columns = dict(zip(sizes, published.weight_ih.split(list(sizes.values()), dim=1), strict=True))
        engine.load_cell(1, cell, columns, published.weight_hh, published.bias_ih, published.bias_hh)
        mine = engine.cell_weights(1, cell)
        x, h = torch.randn(2, sum(sizes.values()), dtype=torch.float64), torch.randn(2, hidden, dtype=torch.float64)
        weight_x = torch.cat([mine.inputs[name] for name in sizes])
        ours = reference.gru_cell(x[0], h[0], weight_x, mine.hidden, mine.bias_x, mine.bias_h)
        torch.testing.assert_close(ours, published(x, h)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("attention", ATTENTION_KINDS)
def test_attention_is_a_distribution_over_the_turns_read_before(attention: str) -> None:
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
def test_returned_attention_gives_the_context_of_the_loop(attention: str) -> None:
    """The sum Σ α g with the returned weights equals the context that `read` gave the loop for the same history."""
    engine = _engine(attention).eval()
    x, speaker, n_turns = _dialogues()
    _, weights = engine(x, speaker, n_turns, return_attention=True)
    layout = engine.layout(speaker, n_turns)
    g_KNG = engine.autograd_loop(engine.inputs(x.flatten(0, 1)[layout.turn_of_row]), layout, DropoutMasks()).g_KNG
    first_turns = [int((layout.turn_of_row[0] == t).nonzero()) for t in range(4)]
    g_TH = g_KNG[:, first_turns]
    past = None
    for t in range(4):
        past = engine.attention.write(past, g_TH[:, t : t + 1])
    queries = engine.attention.queries(x[0:1, 4:5].expand(2, -1, -1))
    context = engine.attention.read(past, queries, 1)
    assert context is not None
    torch.testing.assert_close(context[0, 0], weights["forward"][0, 4, :4] @ g_TH[0])
