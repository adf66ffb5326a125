"""No registered system waits for its device inside a training step, seen on meta, a device whose values none can read.

Reading a value raises there by itself. Copying to it would not, so a dispatch mode refuses what on a GPU would block: a
copy that is not ``non_blocking``, and a tensor on the CPU that an operation on the device has to fetch; and a function
mode refuses tensors that are made of numbers on the device, which are copied there too. It cannot see
an index that is a Python list (``x[:, [0, 1]]``), which on a GPU is copied there as well: nobody may write that.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import LabelSet
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import MODELS, Output, build_model
from dialogue_ser.tasks import regression
from dialogue_ser.tasks.base import Task
from dialogue_ser.tasks.classification import Classification
from dialogue_ser.tasks.regression import Regression
from dialogue_ser.training.config.run_config import LossConfig
from dialogue_ser.training.loop.loss import DialogueLoss

INPUTS = {
    "vector": InputSpec(kind="vector", dim=5),
    "frames": InputSpec(kind="frames", dim=4),
    "tokens": InputSpec(kind="tokens", dim=30, encoder="textcnn", options={"word_dropout": 0.1}),
}
CLASSES = Classification(LabelSet("emotion", ("calm", "glad", "cross")))
VALUES = Regression(("valence", "arousal", "dominance"), centres=(3.0, 2.5, 1.0), scales=(0.5, 1.0, 2.0))
# Torch needs these on the CPU, because it packs sequences there.
PLANNED_ON_HOST = ("_pack_padded_sequence", "_pad_packed_sequence", "gru", "_thnn_fused_gru_cell")


class NoWaiting(TorchDispatchMode):
    """Refuse operations that would make the CPU wait, in forward and in backward."""

    def __torch_dispatch__(
        self, operation: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [value for value in leaves((args, tuple(kwargs.values()))) if isinstance(value, Tensor)]
        out = result_of(operation, args, kwargs, given)
        made = [value for value in leaves(out) if isinstance(value, Tensor)]
        devices = {value.device.type for value in [*given, *made] if value.dim()}  # plain numbers may be on the CPU
        if devices == {"cpu", "meta"} and not kwargs.get("non_blocking"):
            name = operation.overloadpacket.__name__
            blocking_copy = name == "copy_" and not (len(args) > 2 and args[2])
            if blocking_copy or name not in (*PLANNED_ON_HOST, "copy_"):
                raise AssertionError(f"{operation} would wait for the device")
        return out


def leaves(values: Any) -> Iterator[Any]:
    if isinstance(values, list | tuple):
        for value in values:
            yield from leaves(value)
    else:
        yield values


#: Operation on the device, and all that decides the layout of its result → this layout.
_LAYOUTS: dict[Any, Any] = {}


def result_of(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Sequence[Tensor]) -> Any:
    """The result of an operation. Tensors on meta have nothing but a layout, and Torch takes long to compute it."""
    if not given or not all(value.is_meta for value in given):
        return operation(*args, **kwargs)
    is_view = any(one.alias_info is not None and not one.alias_info.is_write for one in operation._schema.returns)
    if is_view:
        return operation(*args, **kwargs)
    key = (operation, described(args), tuple((name, described(value)) for name, value in kwargs.items()))
    if key in _LAYOUTS:
        return made_of(_LAYOUTS[key], given)
    before = described(given)
    out = operation(*args, **kwargs)
    if described(given) == before and all(value is None or isinstance(value, Tensor) for value in leaves(out)):
        _LAYOUTS[key] = described(out, given)
    return out


def described(value: Any, given: Sequence[Tensor] = ()) -> Any:
    """All that a value is on meta. Of a tensor that was given, and that the operation wrote to: which one it is."""
    if isinstance(value, Tensor):
        place = next((place for place, one in enumerate(given) if one is value), None)
        return Tensor, place, tuple(value.shape), value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return type(value), tuple(described(one, given) for one in value)
    return type(value), value


def made_of(layout: Any, given: Sequence[Tensor]) -> Any:
    kind, *parts = layout
    if kind is Tensor:
        place, shape, stride, dtype = parts
        if place is not None:
            return given[place]
        return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
    return kind(made_of(one, given) for one in parts[0]) if kind in (list, tuple) else parts[0]


class NoNumbersSent(TorchFunctionMode):
    """Refuse ``torch.tensor(numbers, device=…)``: it copies, but torch does not dispatch it as a copy."""

    def __torch_function__(
        self, function: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        if function in (torch.tensor, torch.as_tensor) and out.device.type == "meta" and out is not args[0]:
            raise AssertionError(f"{function.__name__} on the device would wait for it")
        return out


@contextmanager
def no_waiting() -> Iterator[None]:
    with NoNumbersSent(), NoWaiting():
        yield


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device has no autocast and cannot even switch it off."""
    monkeypatch.setattr(torch, "autocast", lambda *args, **kwargs: nullcontext())


@pytest.fixture(autouse=True)
def _first_step() -> None:
    """The tensors of a task are not on the device yet."""
    regression._on_device.cache_clear()


def _batch(names: Sequence[str], task: Task = CLASSES) -> DialogueBatch:
    generator, n_turns = torch.Generator().manual_seed(3), torch.tensor([3, 6, 1])
    is_real = torch.arange(6) < n_turns[:, None]
    lengths = torch.where(is_real, torch.randint(1, 9, is_real.shape, generator=generator), 0)
    lengths[0, 1] = 0  # a turn that has only its vector
    values = {
        "vector": torch.randn(*is_real.shape, 5, generator=generator),
        "frames": torch.randn(*is_real.shape, 9, 4, generator=generator),
        "tokens": torch.randint(1, 30, (*is_real.shape, 9), generator=generator),
    }
    return DialogueBatch(
        features={name: values[name] for name in names},
        is_present={name: is_real if name == "vector" else lengths > 0 for name in names},
        lengths={name: lengths for name in names if name != "vector"},
        speaker=torch.where(is_real, torch.arange(6) % 3, -1),
        n_turns=n_turns,
        label=torch.where(is_real & task.gives_probabilities, 1, -100),
        sentiment=torch.where(is_real, torch.arange(6) % 3, -100),
        value=None if task.gives_probabilities else torch.where(is_real[..., None], torch.ones(3), torch.nan),
        is_real_turn=is_real,
        utterance_ids=tuple(tuple(f"{b}-{t}" for t in range(n)) for b, n in enumerate(n_turns.tolist())),
    )


def _train(
    model: str, options: Mapping[str, Any], names: Sequence[str], task: Task = CLASSES, loss: str | None = None
) -> tuple[tuple[int, ...], list[str]]:
    """The shape of the result of a step on the meta device, and the parameters without a gradient after it."""
    system = build_model(model, options, {name: INPUTS[name] for name in names}, 3, task).to("meta").train()
    batch, judge = _batch(names, task).to("meta"), DialogueLoss(LossConfig(kind=loss), task)
    with no_waiting():
        output = system(batch)
        numerator, denominator = judge(output, batch)
        auxiliary = system.auxiliary_numerators(output, batch, partial(_scored, judge))
        (numerator / denominator + sum(auxiliary.values())).backward()
    missed = [name for name, own in system.named_parameters() if own.requires_grad and own.grad is None]
    return tuple(output.scores_BTS.shape), missed


def _scored(judge: DialogueLoss, scores_BTS: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
    return judge(Output(scores_BTS, {}), batch)


@pytest.mark.parametrize("names", [("vector",), ("tokens",), ("frames",), ("vector", "tokens", "frames")], ids="+".join)
@pytest.mark.parametrize("model", MODELS)
def test_forward_and_backward_of_a_training_step_read_nothing_from_the_device(
    model: str, names: tuple[str, ...]
) -> None:
    assert _train(model, {}, names) == ((3, 6, 3), [])


@pytest.mark.parametrize("loss", ["ccc", "mse", f"{__name__}:own_loss"])
@pytest.mark.parametrize("model", MODELS)
def test_neither_does_a_step_that_learns_values(model: str, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(own_loss=own_loss))  # type: ignore[arg-type]
    assert _train(model, {}, ["vector", "frames"], VALUES, loss) == ((3, 6, 3), [])


def own_loss(value_NS: Tensor, gold_NS: Tensor) -> Tensor:
    return (value_NS - gold_NS).abs().mean(1)


@pytest.mark.parametrize("model", ["emotion-rnn", "dialogue-rnn"])
@pytest.mark.parametrize(
    "options",
    [
        {"attention": "simple"},
        {"attention": "simple-linear", "listeners": "hold"},
        {"attention": "general2-tanh", "listeners": "update"},
        {"attention": "concat"},
        {"causal": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_neither_does_any_way_to_compute_the_recurrence(model: str, options: dict[str, Any]) -> None:
    assert _train(model, options, ["vector"]) == ((3, 6, 3), [])


def _no_modality(batch: DialogueBatch) -> DialogueBatch:
    nothing = {name: present & False for name, present in batch.is_present.items()}
    return replace(batch, is_present=nothing)


def test_a_batch_without_any_text_is_detected_on_the_cpu() -> None:
    system = build_model("emotion-rnn", {}, {"tokens": INPUTS["tokens"]}, 3).to("meta")
    with no_waiting():
        assert system(_no_modality(_batch(["tokens"])).to("meta")).scores_BTS.shape == (3, 6, 3)


def _read(x: Tensor) -> object:
    return x[x > 0]


def _send_and_wait(x: Tensor) -> object:
    return torch.ones(3).to(x.device)


def _make_of_numbers(x: Tensor) -> object:
    return torch.tensor([1.0, 2.0, 3.0], device=x.device)


def _index_from_the_host(x: Tensor) -> object:
    return x[torch.tensor([0, 1])]


def _write_and_wait(x: Tensor) -> object:
    return x[0].copy_(torch.ones(3))


@pytest.mark.parametrize("waiting", [_read, _send_and_wait, _make_of_numbers, _index_from_the_host, _write_and_wait])
def test_operations_that_wait_are_refused(waiting: Callable[[Tensor], object]) -> None:
    with no_waiting(), pytest.raises((AssertionError, NotImplementedError, RuntimeError), match=r"wait|meta"):
        waiting(torch.empty(3, 3, device="meta"))
