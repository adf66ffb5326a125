"""The hand-written backward equals autograd's on the readable loop, dropout masks included."""

import gc
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from dialogue_ser.nn.gru.cells import DropoutMasks
from dialogue_ser.nn.recurrence.dialogue_recurrence import MANUAL_KINDS, DialogueRecurrence
from dialogue_ser.nn.recurrence.manual import Forward
from dialogue_ser.nn.recurrence.wiring import Plane, Wiring, dialogue_rnn, emotion_rnn

SPEAKER = torch.tensor([[0, 1, 0, 2, 1, 0], [0, 0, 1, -1, -1, -1], [0, -1, -1, -1, -1, -1]])
N_TURNS = torch.tensor([6, 3, 1])


# Not a published system: every cell reads the context, and there are more of them than in any of ours.
THREE_PLANES = Wiring(
    planes=tuple(Plane(name=name, speaker=("g", "x", "context"), listener=("context", "x")) for name in "abc"),
    emotion=("g", "b", "c"),
)
WIRINGS = [emotion_rnn("update"), emotion_rnn("hold"), dialogue_rnn("update"), dialogue_rnn("hold"), THREE_PLANES]
WIRING_IDS = ["emotion-update", "emotion-hold", "dialogue-update", "dialogue-hold", "three-planes"]


def _engine(kind: str, wiring: Wiring = WIRINGS[0], engine: str = "auto") -> DialogueRecurrence:
    torch.manual_seed(1)
    sizes = {"global_dim": 4, "party_dim": 3, "emotion_dim": 2}
    return DialogueRecurrence(4, wiring, attention=kind, dropout=0.4, engine=engine, **sizes).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("wiring", WIRINGS, ids=WIRING_IDS)
@pytest.mark.parametrize("kind", MANUAL_KINDS)
def test_gradients_equal_autograds_under_the_same_dropout(kind: str, wiring: Wiring) -> None:
    engine = _engine(kind, wiring)
    layout = engine.layout(SPEAKER, N_TURNS)
    x_KND = torch.randn(2, layout.n_rows, 4, dtype=torch.float64, requires_grad=True)
    masks = engine.draw_masks(layout)
    leaves = [x_KND, *engine.parameters()]
    weight = torch.randn(2, layout.n_rows, 2, dtype=torch.float64)
    gradients = []
    for name in ("manual", "autograd"):
        engine.engine = name  # type: ignore[assignment]
        states = engine.run_loop(engine.inputs(x_KND), layout, masks)
        value = (engine.emotion_states(x_KND, states, layout, masks) * weight).sum() + states.g_KNG.square().sum()
        gradients.append(torch.autograd.grad(value, leaves))
    for ours, autograds in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, autograds, rtol=0, atol=1e-10)


@pytest.mark.parametrize("wiring", WIRINGS, ids=WIRING_IDS)
@pytest.mark.parametrize("kind", ["simple", "simple-linear", "general2-tanh"])
def test_gradients_equal_finite_differences(kind: str, wiring: Wiring) -> None:
    engine = _engine(kind, wiring)
    layout = engine.layout(SPEAKER, N_TURNS)
    x_KND = torch.randn(2, layout.n_rows, 4, dtype=torch.float64, requires_grad=True)
    masks = engine.draw_masks(layout)

    def run(x_KND: Tensor, *_: Tensor) -> Tensor:
        states = engine.run_loop(engine.inputs(x_KND), layout, masks)
        return engine.emotion_states(x_KND, states, layout, masks)

    some = [engine.from_party, engine.from_global, engine.initial_party]
    assert torch.autograd.gradcheck(run, (x_KND, *some), fast_mode=True)


@pytest.mark.parametrize("wiring", WIRINGS, ids=WIRING_IDS)
@pytest.mark.parametrize("has_backward", [True, False])
def test_what_forward_kept_is_freed_with_the_graph_and_needs_no_garbage_collection(
    wiring: Wiring, has_backward: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a node kept its own output, the two would form a cycle that Python's garbage collector cannot see."""
    kept: list[weakref.ref[Forward]] = []
    original_init = Forward.__init__

    def record(self: Forward, *args: Any) -> None:
        original_init(self, *args)
        kept.append(weakref.ref(self))

    monkeypatch.setattr(Forward, "__init__", record)
    gc.disable()
    try:
        value = _engine("general", wiring)(torch.randn(3, 6, 4, dtype=torch.float64), SPEAKER, N_TURNS)[0].sum()
        if has_backward:
            value.backward()
        assert kept[0]() is not None
        del value
        assert kept[0]() is None
    finally:
        gc.enable()


def test_two_batches_may_wait_for_their_backward_at_once() -> None:
    engine = _engine("general").eval()
    first, second = (torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    alone = [torch.autograd.grad(engine(x, SPEAKER, N_TURNS)[0].square().sum(), x)[0] for x in (first, second)]
    both = sum(engine(x, SPEAKER, N_TURNS)[0].square().sum() for x in (first, second))
    for together, apart in zip(torch.autograd.grad(both, [first, second]), alone, strict=True):
        torch.testing.assert_close(together, apart)


def test_torch_compile_excludes_the_recurrence_and_changes_no_value_or_gradient() -> None:
    engine = _engine("simple").eval()
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).double())
    x = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)

    def run(x: Tensor) -> Tensor:
        return engine(model(x), SPEAKER, N_TURNS)[0].square().sum()

    plain = torch.autograd.grad(run(x), x)[0]
    operations: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        operations.extend(str(node.target) for node in graph.graph.nodes if node.op.startswith("call"))
        return graph

    with warnings.catch_warnings():  # dynamo reads .grad of tensors that are no leaves
        warnings.simplefilter("ignore", UserWarning)
        compiled = torch.compile(run, backend=backend)
        for _ in range(2):
            torch.testing.assert_close(torch.autograd.grad(compiled(x), x)[0], plain)
    assert operations == [str(torch._C._nn.linear), "square", "sum"], (
        "the operations around the recurrence are compiled once"
    )


def test_backward_twice_over_a_retained_graph_gives_the_same_gradients() -> None:
    for kind in ("simple", "general"):
        engine = _engine(kind).eval()
        x = torch.randn(3, 6, 4, dtype=torch.float64, requires_grad=True)
        loss = engine(x, SPEAKER, N_TURNS)[0].square().sum()
        first = torch.autograd.grad(loss, x, retain_graph=True)
        assert torch.equal(first[0], torch.autograd.grad(loss, x)[0])


def test_auto_uses_the_hand_written_node_and_the_option_engine_forces_one_engine() -> None:
    x = torch.randn(3, 6, 4, dtype=torch.float64)

    def is_manual(engine: DialogueRecurrence) -> bool:
        layout = engine.layout(SPEAKER, N_TURNS)
        g_KNG = engine.run_loop(engine.inputs(x.flatten(0, 1)[layout.turn_of_row]), layout, DropoutMasks()).g_KNG
        assert g_KNG.grad_fn is not None
        return g_KNG.grad_fn.name().startswith("ManualRecurrence")

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
