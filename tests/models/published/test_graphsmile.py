"""Published weights of GraphSmile, against its equations edge by edge, and its further heads."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.golden import Row, check_file
from dialogue_ser.batch.turns import turn_index
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.graphsmile import GraphSmile
from tests.support.batches import random_batch
from tests.support.published_models import golden_tensors, linear, linear_shapes, random_state
from tests.support.published_models import save_golden as save

GOLDEN = Path(__file__).parents[4] / "shared" / "golden"
SETTINGS: dict[str, Any] = {
    "parties": 9, "text": 3, "audio": 2, "visual": 4, "hidden": 5, "textf_mode": "textf0", "win_past": 1,
    "win_future": 2, "layers": [2, 1, 1], "shift_win": 3, "edge_weights": 60, "lambda": [1.0, 0.5, 0.2], "classes": 3,
    "dropout": 0.2,
}  # fmt: skip
PAIRS = ("tv", "ta", "va")


def plain(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], given: Mapping[str, Any]) -> Tensor:
    """Log-probabilities of one dialogue."""
    nodes = {"t": _text(state, dialogue, given["textf_mode"])}
    nodes |= {
        name[0]: functional.leaky_relu(linear(state, f"dim_layer_{name[0]}.0.", dialogue[name]), 0.01)
        for name in ("visual", "audio")
    }
    halves = []
    for pair, layers in zip(PAIRS, given["layers"], strict=True):
        halves += _graph(state, f"hetergconv_{pair}.", nodes[pair[0]], nodes[pair[1]], layers, given).chunk(2)
    fused = sum(functional.leaky_relu(linear(state, "modal_fusion.0.", half), 0.01) for half in halves) / 6
    return linear(state, "emo_output.", fused).log_softmax(-1)


def _text(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], mode: str) -> Tensor:
    def normal(k: int) -> Tensor:
        own = {name: state[f"batchnorms_t.{k}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")}
        x = dialogue[f"text{k + 1}"]
        return (x - own["running_mean"]) / (own["running_var"] + 1e-5).sqrt() * own["weight"] + own["bias"]

    def project(x: Tensor) -> Tensor:
        return functional.leaky_relu(linear(state, "dim_layer_t.0.", x), 0.01)

    number = int(mode[-1])
    if mode.startswith("textf"):
        return project(normal(number))
    if mode.startswith("concat"):
        return project(torch.cat([normal(k) for k in range(number)], dim=-1))
    return sum(project(normal(k)) for k in range(number)) / number


def _graph(
    state: Mapping[str, Tensor], prefix: str, one: Tensor, other: Tensor, layers: int, given: Mapping[str, Any]
) -> Tensor:
    n = len(one)
    past, future = (n if size < 0 else size for size in (given["win_past"], given["win_future"]))
    window = [(i, j) for i in range(n) for j in range(max(0, i - past), min(n - 1, i + future) + 1)]
    edges = [(i, n + j) for i, j in window] + [(n + i, j) for i, j in window]
    places = tuple(torch.tensor(edges).T)
    a = torch.zeros(2 * n, 2 * n, dtype=one.dtype).index_put(places, state[f"{prefix}edge_weight"][: len(edges)])
    root = a.sum(1).rsqrt()
    a = root[:, None] * a * root
    h = total = torch.cat([one, other])
    for layer in range(layers):
        convolution = f"{prefix}hetergcn_layers.{layer}.hetergconv."
        h = a @ (h @ state[f"{convolution}weight"]) + state[f"{convolution}bias"]
        total = total + functional.leaky_relu(linear(state, f"{prefix}fc_layers.{layer}.0.", h), 0.01)
    return total


def shapes_of(given: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size, mode = given["hidden"], given["textf_mode"]
    shapes: dict[str, tuple[int, ...]] = {}
    for k in range(4):
        shapes |= {
            f"batchnorms_t.{k}.{name}": (given["text"],) for name in ("weight", "bias", "running_mean", "running_var")
        }
    text = given["text"] * (int(mode[-1]) if mode.startswith("concat") else 1)
    for letter, dim in (("t", text), ("v", given["visual"]), ("a", given["audio"])):
        shapes |= linear_shapes(f"dim_layer_{letter}.0.", dim, size)
    for pair, layers in zip(PAIRS, given["layers"], strict=True):
        shapes[f"hetergconv_{pair}.edge_weight"] = (given["edge_weights"],)
        shapes |= linear_shapes(f"hetergconv_{pair}.fc_layer.0.", size, size)
        for layer in range(layers):
            shapes |= linear_shapes(f"hetergconv_{pair}.hetergcn_layers.{layer}.hetergconv.", size, size)
            shapes |= linear_shapes(f"hetergconv_{pair}.fc_layers.{layer}.0.", size, size)
    shapes |= linear_shapes("modal_fusion.0.", size, size) | linear_shapes("emo_output.", size, given["classes"])
    return shapes | linear_shapes("sen_output.", size, 3) | linear_shapes("senshift.shift_output_layer.0.", 2 * size, 2)


def state_of(given: Mapping[str, Any]) -> dict[str, Tensor]:
    state = random_state(shapes_of(given))
    positive = [name for name in state if name.endswith(("running_var", "edge_weight"))]
    return state | {name: state[name].abs() + 0.5 for name in positive}


def row(folder: Path, **settings: Any) -> Row:
    given = SETTINGS | settings
    dims = {**{f"text{k}": given["text"] for k in (1, 2, 3, 4)}, "audio": given["audio"], "visual": given["visual"]}
    tensors = golden_tensors(lambda state, dialogue: plain(state, dialogue, given), state_of(given), dims)
    tensors = {name: value for name, value in tensors.items() if "grad" not in name or ".running_" not in name}
    return check_file(save(folder, "made-up", "graphsmile", given, tensors))


@pytest.mark.parametrize(
    "settings",
    [
        {"textf_mode": "textf2"},
        {"textf_mode": "concat2", "win_past": -1, "win_future": 0, "layers": [1, 2, 3]},
        {"textf_mode": "concat4", "win_past": 0, "win_future": -1, "lambda": [2.0, 0.0, 0.0]},
        {"textf_mode": "sum2", "win_past": 0, "win_future": 0, "layers": [0, 1, 1], "shift_win": -1},
        {"textf_mode": "sum4", "win_past": -1, "win_future": -1, "hidden": 2, "edge_weights": 55},
    ],
    ids=lambda settings: settings["textf_mode"],
)
def test_published_weights_give_the_published_numbers(settings: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **settings)
    assert found.is_equal, found


def test_settings_that_do_not_fit_are_named_together() -> None:
    wrong = SETTINGS | {"textf_mode": "textf4", "layers": 5, "lambda": [0, 1, 1], "win_past": "all", "seed": 3}
    with pytest.raises(ConfigError, match="textf_mode: found 'textf4'") as caught:
        GraphSmile.load_published(state_of(SETTINGS), wrong)
    assert len(caught.value.problems) == 5


def test_tables_of_another_length_than_the_settings_say_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"hetergconv_tv\.edge_weight: found \[60\], expected \[61\]"):
        GraphSmile.load_published(state_of(SETTINGS), SETTINGS | {"edge_weights": 61})


def test_a_dialogue_has_the_same_weights_in_any_batch() -> None:
    system = GraphSmile.load_published(state_of(SETTINGS), SETTINGS)
    sizes = {**{f"text{k}": 3 for k in (1, 2, 3, 4)}, "audio": 2, "visual": 4}
    inputs = {name: InputSpec(kind="vector", dim=size) for name, size in sizes.items()}
    batch = random_batch(inputs, (5, 2, 9), dtype=torch.float64)
    alone = {name: values[2:] for name, values in batch.features.items()}
    index = turn_index(batch)
    with torch.no_grad():
        fused_NH = system.fuse(system.turns.vectors(batch), batch.is_present, index)  # type: ignore[operator, union-attr]
        again = random_batch(inputs, (9,), dtype=torch.float64)
        again.features.update(alone)  # type: ignore[attr-defined]
        own_NH = system.fuse(system.turns.vectors(again), again.is_present, turn_index(again))  # type: ignore[operator, union-attr]
    torch.testing.assert_close(fused_NH[7:], own_NH, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["graphsmile", "graphsmile__concat4_full"])
def test_sentiments_and_shifts_are_the_published_ones(name: str) -> None:
    """The first dialogue of a batch has the places from 0 on in the published system, too."""
    if not (GOLDEN / f"{name}.json").is_file():
        pytest.skip("the published outputs are not here")
    settings = json.loads((GOLDEN / f"{name}.json").read_text())["settings"]
    found = safetensors.torch.load_file(GOLDEN / f"{name}.safetensors")
    state = {key.removeprefix("state/"): value for key, value in found.items() if key.startswith("state/")}
    system = GraphSmile.load_published(state, settings)
    assert isinstance(system, GraphSmile)
    n_turns = int(found["input/lengths"][0])
    inputs = {
        key.removeprefix("input/"): v[:1, :n_turns]
        for key, v in found.items()
        if key.startswith("input/") and v.ndim == 3
    }
    batch = random_batch({key: InputSpec(kind="vector", dim=v.shape[2]) for key, v in inputs.items()}, (n_turns,))
    index = turn_index(batch)
    with torch.no_grad():
        fused_NH = system.fuse(inputs, batch.is_present, index)
        scores = system.further_scores(fused_NH, index)
    torch.testing.assert_close(fused_NH, found["output/fused"][:n_turns], rtol=0, atol=1e-12)
    for key, published in (("sentiment", "sentiment_log_probs"), ("shift", "shift_log_probs")):
        right = found[f"output/{published}"][: len(scores[key])]
        torch.testing.assert_close(scores[key].log_softmax(-1), right, rtol=0, atol=1e-12)
