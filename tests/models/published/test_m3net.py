"""Published weights of M3NET, against its equations node by node."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.golden import Row, check_file
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.models.graph.m3net import M3NET
from tests.support.published_models import golden_tensors, linear, linear_shapes, random_state, rnn_shapes, run_rnn
from tests.support.published_models import save_golden as save

SETTINGS: dict[str, Any] = {
    "parties": 3, "text": 4, "audio": 3, "visual": 2, "global": 4, "graph": 5, "dataset": "MELD", "norm": "BN",
    "num_L": 1, "num_K": 2, "use_residue": False, "use_speaker": True, "use_modal": False, "av_using_lstm": False,
    "classes": 3, "dropout": 0.4,
}  # fmt: skip
LETTERS = "abcd"


def plain(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], given: Mapping[str, Any]) -> Tensor:
    """Log-probabilities of one dialogue."""
    n = len(dialogue["speaker"])
    text = sum(_normal(state, letter, dialogue[f"text{k + 1}"], given) for k, letter in enumerate(LETTERS)) / 4
    if given["dataset"] == "IEMOCAP":
        text = linear(state, "linear_l.", text)
    x = {"l": run_rnn(state, "gru_l.", "gru", text)}
    for name, letter in (("audio", "a"), ("visual", "v")):
        x[letter] = linear(state, f"linear_{letter}.", dialogue[name])
        if given["av_using_lstm"]:
            x[letter] = run_rnn(state, f"gru_{letter}.", "gru", x[letter])
    if given["use_speaker"]:
        x["l"] = x["l"] + state["graph_model.speaker_embeddings.weight"][dialogue["speaker"]]
    if given["use_modal"]:
        rows = state["graph_model.modal_embeddings.weight"]
        x = {letter: x[letter] + rows["avl".index(letter)] for letter in "lav"}
    x0 = torch.cat([x["l"], x["a"], x["v"]])
    start = linear(state, "graph_model.fc1.", x0)
    parts = [_smooth(state, start, n, given["num_L"]), _differ(state, start, n, given["num_K"])]
    node = torch.cat([x0, *parts] if given["use_residue"] else parts, dim=1)
    turns = torch.cat([node[:n], node[n : 2 * n], node[2 * n :]], dim=1)
    return linear(state, "smax_fc.", torch.relu(turns)).log_softmax(-1)


def _normal(state: Mapping[str, Tensor], letter: str, x: Tensor, given: Mapping[str, Any]) -> Tensor:
    if given["norm"] == "LN2":
        return functional.layer_norm(x, x.shape)
    prefix = f"norm{given['norm']}{letter}."
    if given["norm"] == "LN":
        return functional.layer_norm(x, x.shape[1:], state[f"{prefix}weight"], state[f"{prefix}bias"])
    scaled = (x - state[f"{prefix}running_mean"]) / (state[f"{prefix}running_var"] + 1e-5).sqrt()
    return scaled * state[f"{prefix}weight"] + state[f"{prefix}bias"]


def _smooth(state: Mapping[str, Tensor], h: Tensor, n: int, layers: int) -> Tensor:
    hyperedges = [[m * n + t for t in range(n)] for m in range(3)] + [[m * n + t for m in range(3)] for t in range(n)]
    w, e = state["graph_model.hyperedge_weight"], state["graph_model.EW_weight"]
    for layer in range(layers):
        edges = [sum(h[v] for v in members) / sum(e[v] for v in members) for members in hyperedges]
        rows = []
        for v in range(3 * n):
            own = [k for k, members in enumerate(hyperedges) if v in members]
            rows.append(sum(edges[k] for k in own) / sum(w[k] for k in own))
        h = functional.leaky_relu(torch.stack(rows) + state[f"graph_model.hyperconv{layer + 1}.bias"], 0.01)
    return h


def _differ(state: Mapping[str, Tensor], g: Tensor, n: int, layers: int) -> Tensor:
    pairs = [(j, i) for j in range(3 * n) for i in range(3 * n) if j != i and (j // n == i // n or j % n == i % n)]
    degree = [sum(j == v for j, _ in pairs) for v in range(3 * n)]
    for layer in range(layers):
        weight, bias = (state[f"graph_model.conv{layer + 1}.gate.{name}"] for name in ("weight", "bias"))
        new = list(g)
        for j, i in pairs:
            gate = torch.tanh(weight[0] @ torch.cat([g[i], g[j]]) + bias[0])
            new[i] = new[i] + g[j] * gate / (degree[j] * degree[i]) ** 0.5
        g = torch.stack(new)
    return g


def shapes_of(given: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    text, size, graph = given["text"], given["global"], given["graph"]
    shapes: dict[str, tuple[int, ...]] = {"graph_model.hyperedge_weight": (9,), "graph_model.EW_weight": (20,)}
    for letter in LETTERS:
        shapes |= {f"normBN{letter}.{name}": (text,) for name in ("weight", "bias", "running_mean", "running_var")}
        shapes |= {f"normLN{letter}.{name}": (text,) for name in ("weight", "bias")}
    shapes |= linear_shapes("linear_l.", text, size)
    for letter, name in (("a", "audio"), ("v", "visual")):
        shapes |= linear_shapes(f"linear_{letter}.", given[name], size)
        if given["av_using_lstm"]:
            shapes |= rnn_shapes(f"gru_{letter}.", "gru", size, size // 2, 2)
    shapes |= rnn_shapes("gru_l.", "gru", size, size // 2, 2) | linear_shapes("graph_model.fc1.", size, graph)
    shapes |= {"graph_model.speaker_embeddings.weight": (given["parties"], size)}
    shapes |= {"graph_model.modal_embeddings.weight": (3, size), "graph_model.hyperedge_attr1": (graph,)}
    for layer in range(given["num_L"]):
        shapes |= {f"graph_model.hyperconv{layer + 1}.{name}": (graph, graph) for name in ("weight", "edgeweight")}
        shapes |= linear_shapes(f"graph_model.hyperconv{layer + 1}.edgefc.", graph, graph)
        shapes[f"graph_model.hyperconv{layer + 1}.bias"] = (graph,)
    for layer in range(given["num_K"]):
        shapes |= linear_shapes(f"graph_model.conv{layer + 1}.gate.", 2 * graph, 1)
    node = 2 * graph + size * given["use_residue"]
    return shapes | linear_shapes("hidfc.", graph, 3) | linear_shapes("smax_fc.", 3 * node, 3)


def state_of(given: Mapping[str, Any]) -> dict[str, Tensor]:
    state = random_state(shapes_of(given))
    positive = [name for name in state if name.endswith(("running_var", "hyperedge_weight", "EW_weight"))]
    return state | {name: state[name].abs() + 0.5 for name in positive}


def row(folder: Path, **settings: Any) -> Row:
    given = SETTINGS | settings
    dims = {**{f"text{k}": given["text"] for k in (1, 2, 3, 4)}, "audio": given["audio"], "visual": given["visual"]}
    tensors = golden_tensors(lambda state, dialogue: plain(state, dialogue, given), state_of(given), dims)
    tensors = {name: value for name, value in tensors.items() if "grad" not in name or ".running_" not in name}
    return check_file(save(folder, "made-up", "m3net", given, tensors))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"norm": "LN2", "use_modal": True, "av_using_lstm": True, "num_L": 2, "num_K": 1},
        {"norm": "LN", "dataset": "IEMOCAP", "global": 6, "use_residue": True, "use_speaker": False, "num_K": 0},
        {"use_modal": True, "use_residue": True, "num_L": 0, "audio": 5, "graph": 2},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())) or "published",
)
def test_published_weights_give_the_published_numbers(settings: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **settings)
    assert found.is_equal, found


def test_settings_that_do_not_fit_are_named_together() -> None:
    wrong = SETTINGS | {"norm": "BN3", "dataset": "other", "modals": "al"}
    del wrong["graph"]
    with pytest.raises(ConfigError, match="norm: found 'BN3'") as caught:
        M3NET.load_published(state_of(SETTINGS), wrong)
    assert len(caught.value.problems) == 4


def test_a_text_of_another_size_than_the_graph_does_not_fit_without_its_linear_layer() -> None:
    given = SETTINGS | {"text": 6}
    with pytest.raises(CheckpointError, match=r"gru_l\.weight_ih_l0: found \[6, 4\], expected \[6, 6\]"):
        M3NET.load_published(state_of(given), given)
