"""The hand-written backward equals autograd's on the readable loop, dropout masks included."""

import pytest
import torch

from dialogue_ser.nn.layout import build_layout
from dialogue_ser.nn.recurrence import MANUAL_KINDS, EmotionRecurrence

SPEAKER = torch.tensor([[0, 1, 0, 2, 1, 0], [0, 0, 1, -1, -1, -1], [0, -1, -1, -1, -1, -1]])
N_TURNS = torch.tensor([6, 3, 1])


def _engine(kind: str, listeners: str = "update", engine: str = "auto") -> EmotionRecurrence:
    torch.manual_seed(1)
    sizes = {"global_dim": 4, "party_dim": 3, "emotion_dim": 2}
    made = EmotionRecurrence(4, attention=kind, dropout=0.4, listeners=listeners, engine=engine, **sizes)  # type: ignore[arg-type]
    return made.double()


@pytest.mark.parametrize("listeners", ["update", "hold"])
@pytest.mark.parametrize("kind", MANUAL_KINDS)
def test_gradients_equal_autograds_under_the_same_dropout(kind: str, listeners: str) -> None:
    engine = _engine(kind, listeners)
    layout = build_layout(SPEAKER, N_TURNS, bidirectional=True)
    x_KND = torch.randn(2, layout.n_rows, 4, dtype=torch.float64, requires_grad=True)
    masks = engine.draw_masks(x_KND, layout)
    leaves = [
        x_KND,
        *(p for name, p in engine.named_parameters() if not name.startswith(("emotion", "initial_emotion"))),
    ]
    weight = torch.randn(2, layout.n_rows, 7, dtype=torch.float64)
    gradients = []
    for run in (engine.fused, engine.loop):
        recurred = run(x_KND, layout, masks)
        value = (torch.cat(recurred, dim=-1) * weight).sum()
        gradients.append(torch.autograd.grad(value, leaves, allow_unused=True))
    for ours, autograds in zip(*gradients, strict=True):
        expected = torch.zeros_like(ours) if autograds is None else autograds
        torch.testing.assert_close(ours, expected, rtol=0, atol=1e-10)


def test_backward_twice_over_a_retained_graph_gives_the_same_gradients() -> None:
    for kind in ("simple", "general"):
        engine = _engine(kind).eval()
        x = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
        loss = engine(x, SPEAKER, N_TURNS)[0].square().sum()
        first = torch.autograd.grad(loss, x, retain_graph=True)
        assert torch.equal(first[0], torch.autograd.grad(loss, x)[0])


def test_auto_takes_the_hand_written_node_and_a_flag_forces_either() -> None:
    x = torch.randn(3, 6, 4, dtype=torch.float64)

    def is_manual(engine: EmotionRecurrence) -> bool:
        layout = build_layout(SPEAKER, N_TURNS, bidirectional=True)
        g_KNH = engine.recur(x.flatten(0, 1)[layout.turn_of_row], layout, None).g_KNH
        assert g_KNH.grad_fn is not None
        return g_KNH.grad_fn.name().startswith("ManualRecurrence")

    assert is_manual(_engine("general"))
    assert is_manual(_engine("simple", engine="manual"))
    assert not is_manual(_engine("general", engine="autograd"))
    assert not is_manual(_engine("concat"))


@pytest.mark.parametrize("kind", ["simple", "general"])
def test_bf16_autocast_stays_close_to_full_precision(kind: str) -> None:
    engine = _engine(kind).float().eval()
    x = torch.randn(3, 6, 4)
    full = engine(x, SPEAKER, N_TURNS)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = engine(x, SPEAKER, N_TURNS)[0]
    half.sum().backward()
    torch.testing.assert_close(half.float(), full, rtol=0, atol=0.05)
    assert all(torch.isfinite(p.grad).all() for p in engine.parameters() if p.grad is not None)


def test_500_turns_and_64_parties_run_forwards_and_backwards() -> None:
    engine = _engine("simple").float()
    speaker = torch.randint(0, 64, (1, 500), generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 500, 4, requires_grad=True)
    engine(x, speaker, torch.tensor([500]))[0].sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert x.grad[0, 0].abs().sum() > 0
