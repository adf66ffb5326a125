"""Published weights of DialogueGCN, against its equations turn by turn, for every option."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.golden import Row
from dialogue_ser.errors import ConfigError
from dialogue_ser.models.graph.dialogue_gcn import DialogueGCN
from tests.models.published.test_dag_erc import gru
from tests.support.published_models import check, linear, linear_shapes, rnn_shapes, run_rnn

SIZES = {"text": 5, "hidden": 2, "graph": 3, "global": 3, "party": 4, "classes": 3, "parties": 3, "max_seq_len": 7}
DIRECTIONS = ("dialog_rnn_f.", "dialog_rnn_r.")


def dialogue_rnn(state: Mapping[str, Tensor], at: str, x: Tensor, speakers: list[int], n_parties: int) -> Tensor:
    """The emotion states of one direction."""
    cell = f"{at}dialogue_cell."
    size = {name: state[f"{cell}{name}_cell.weight_hh"].shape[1] for name in "gpe"}
    g, e, history = x.new_zeros(size["g"]), x.new_zeros(size["e"]), []
    parties, states = [x.new_zeros(size["p"])] * n_parties, []
    for u, own in zip(x, speakers, strict=True):
        context = x.new_zeros(size["g"])
        if history:
            memory = torch.stack(history)
            context = torch.softmax(memory @ (state[f"{cell}attention.transform.weight"] @ u), 0) @ memory
        g = gru(state, f"{cell}g_cell.", torch.cat([u, parties[own]]), g)
        new = gru(state, f"{cell}p_cell.", torch.cat([u, context]), parties[own])
        if f"{cell}l_cell.weight_hh" in state:
            parties = [gru(state, f"{cell}l_cell.", torch.cat([u, new]), q) for q in parties]
        parties = [new if party == own else q for party, q in enumerate(parties)]
        e = gru(state, f"{cell}e_cell.", new, e)
        history.append(g)
        states.append(e)
    return torch.stack(states)


def context(state: Mapping[str, Tensor], x: Tensor, speakers: list[int], given: Mapping[str, Any]) -> Tensor:
    if given["base"] == "DialogRNN":
        forward, back = DIRECTIONS
        ahead = dialogue_rnn(state, forward, x, speakers, given["parties"])
        return torch.cat([ahead, dialogue_rnn(state, back, x.flip(0), speakers[::-1], given["parties"]).flip(0)], 1)
    if given["base"] == "None":
        return linear(state, "base_linear.", x)
    kind = given["base"].lower()
    return run_rnn(state, f"{kind}.", kind, x)


def plain(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], given: Mapping[str, Any]) -> Tensor:
    speakers = dialogue["speaker"].tolist()
    g = context(state, dialogue["text"], speakers, given)
    n, past, future, last = len(g), given["window_past"], given["window_future"], state["att_model.scalar.weight"]
    y = [row @ state["graph_net.conv1.root"] + state["graph_net.conv1.bias"] for row in g]
    edges = []
    for j in range(n):
        alpha = torch.softmax(g @ last[j], 0)
        window = [k for k in range(n) if (past < 0 or k >= j - past) and (future < 0 or k <= j + future)]
        mask = torch.full_like(alpha, 1e-10)
        for k in window:
            mask[k] = 1
        share = alpha * mask / (alpha * mask).sum()
        for k in window:
            relation = 2 * (speakers[j] * given["parties"] + speakers[k]) + (0 if j < k else 1)
            mixed = torch.einsum("b,bdg->dg", state["graph_net.conv1.att"][relation], state["graph_net.conv1.basis"])
            y[k] = y[k] + share[k] * (g[j] @ mixed)
            edges.append((j, k))
    after = [linear(state, "graph_net.conv2.lin.", row) for row in y]
    for j, k in edges:
        after[k] = after[k] + y[j] @ state["graph_net.conv2.weight"]
    z = torch.cat([g, torch.stack(after)], 1)
    if given["nodal_attention"]:
        z = torch.softmax(torch.tanh(linear(state, "graph_net.matchatt.transform.", z) @ z.T), 1) @ z
    z = torch.relu(linear(state, "graph_net.linear.", z))
    return linear(state, "graph_net.smax_fc.", z).log_softmax(-1)


def shapes_of(given: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    text, size, graph, g, p = (given[name] for name in ("text", "hidden", "graph", "global", "party"))
    shapes: dict[str, tuple[int, ...]] = {}
    if given["base"] == "DialogRNN":
        cells = {"g": (text + p, g), "p": (text + g, p), "e": (p, size)}
        cells |= {"l": (text + p, p)} if given["listener"] else {}
        for direction in DIRECTIONS:
            shapes[f"{direction}dialogue_cell.attention.transform.weight"] = (g, text)
            for name, (read, kept) in cells.items():
                own = torch.nn.GRUCell(read, kept).state_dict()
                shapes |= {f"{direction}dialogue_cell.{name}_cell.{k}": tuple(v.shape) for k, v in own.items()}
    elif given["base"] == "None":
        shapes |= linear_shapes("base_linear.", text, 2 * size)
    else:
        shapes |= rnn_shapes(f"{given['base'].lower()}.", given["base"].lower(), text, size, 2)
    shapes |= {
        "att_model.scalar.weight": (given["max_seq_len"], 2 * size),
        "att_model.simpleatt.scalar.weight": (1, 2 * size),
        "att_model.att.weight": (4 * size,),
        "graph_net.conv1.basis": (30, 2 * size, graph),
        "graph_net.conv1.att": (2 * given["parties"] ** 2, 30),
        "graph_net.conv1.root": (2 * size, graph),
        "graph_net.conv1.bias": (graph,),
        "graph_net.conv2.weight": (graph, graph),
    }
    shapes |= linear_shapes("att_model.matchatt.transform.", 2 * size, 2 * size)
    shapes |= linear_shapes("graph_net.conv2.lin.", graph, graph)
    shapes |= linear_shapes("graph_net.matchatt.transform.", 2 * size + graph, 2 * size + graph)
    return (
        shapes
        | linear_shapes("graph_net.linear.", 2 * size + graph, graph)
        | linear_shapes("graph_net.smax_fc.", graph, given["classes"])
    )


def settings_of(**given: Any) -> dict[str, Any]:
    usual = {"base": "LSTM", "window_past": 2, "window_future": 1, "nodal_attention": True, "listener": False}
    return SIZES | usual | {"dropout": 0.25} | given


def row(folder: Path, **given: Any) -> Row:
    settings = settings_of(**given)
    forward = lambda state, dialogue: plain(state, dialogue, settings)  # noqa: E731
    return check(folder, "dialoguegcn", settings, forward, shapes_of(settings), {"text": settings["text"]})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"base": "GRU", "nodal_attention": False, "window_past": -1, "window_future": 0, "graph": 4, "text": 3},
        {"base": "DialogRNN", "window_past": 0, "window_future": -1},
        {"base": "DialogRNN", "listener": True, "hidden": 3, "max_seq_len": 5},
        {"base": "None", "window_past": 0, "window_future": 0, "parties": 9},
    ],
    ids=lambda given: "-".join(f"{name}={value}" for name, value in given.items()) or "usual",
)
def test_published_weights_give_the_published_numbers(given: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **given)
    assert found.is_equal, found


def test_settings_that_have_no_form_here_are_refused_by_name() -> None:
    wrong = settings_of(base="Transformer", window_past=-2, listener="some", hops=3)
    with pytest.raises(ConfigError) as caught:
        DialogueGCN.load_published({}, wrong)
    for name in ("base", "window_past", "listener", "hops"):
        assert f"published setting {name}: " in str(caught.value)
