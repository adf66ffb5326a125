"""Published weights of DAG-ERC, against its equations turn by turn, for every option."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.golden import Row
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.models.graph.dag_erc import DagERC
from tests.support.published_models import check, linear, linear_shapes, random_state

SIZES = {"text": 5, "hidden": 4, "layers": 2, "mlp_layers": 2, "classes": 3, "parties": 9, "dropout": 0.25}


def gru(state: Mapping[str, Tensor], prefix: str, x: Tensor, h: Tensor) -> Tensor:
    w, u, b, c = (state[f"{prefix}{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    (r, z, n), (r_h, z_h, n_h) = (w @ x + b).chunk(3), (u @ h + c).chunk(3)
    z = torch.sigmoid(z + z_h)
    return (1 - z) * torch.tanh(n + torch.sigmoid(r + r_h) * n_h) + z * h


def predecessors(speakers: list[int], i: int, own_turns: int) -> list[int]:
    found: list[int] = []
    for j in range(i - 1, -1, -1):
        found.append(j)
        if speakers[j] == speakers[i] and sum(speakers[k] == speakers[i] for k in found) == own_turns:
            break
    return found


def message(state: Mapping[str, Tensor], at: str, given: Mapping[str, Any], h_i: Tensor, seen: list[Tensor],
            same: list[bool]) -> Tensor:  # fmt: skip
    logits, values = [], []
    for h_j, is_same in zip(seen, same, strict=True):
        relation = [] if f"{at}rel_emb.weight" not in state else [state[f"{at}rel_emb.weight"][int(is_same)]]
        if given["attn_type"] == "dotprod":
            logit = linear(state, f"{at}linear1.", h_i) @ linear(state, f"{at}linear2.", h_j)
            logit = logit + sum(linear(state, f"{at}linear3.", e)[0] for e in relation)
        else:
            logit = linear(state, f"{at}linear.", torch.cat([h_i, h_j, *relation]))[0]
        logits.append(logit)
        matrix = state.get(f"{at}{'Wr0' if is_same else 'Wr1'}.weight")
        values.append(h_j if matrix is None else matrix @ h_j)
    return torch.softmax(torch.stack(logits), 0) @ torch.stack(values)


def plain(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], given: Mapping[str, Any]) -> Tensor:
    x, speakers = dialogue["text"], dialogue["speaker"].tolist()
    layers = [torch.relu(linear(state, "fc1.", x))]
    for number in range(given["layers"]):
        old, new = layers[-1], []
        for i in range(len(x)):
            seen = predecessors(speakers, i, given["windowp"])
            m = torch.zeros_like(old[0])
            if seen:
                same = [speakers[j] == speakers[i] for j in seen]
                m = message(state, f"gather.{number}.", given, old[i], [new[j] for j in seen], same)
            new.append(gru(state, f"grus_c.{number}.", old[i], m) + gru(state, f"grus_p.{number}.", m, old[i]))
        layers.append(torch.stack(new))
    z = torch.cat([*layers, x], 1)
    if given["nodal_att_type"]:
        scores = torch.tanh(linear(state, "attentive_node_features.transform.", z) @ z.T)
        if given["nodal_att_type"] == "past":
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
        z = torch.softmax(scores, 1) @ z
    for number in range(given["mlp_layers"]):
        z = torch.relu(linear(state, f"out_mlp.{2 * number}.", z))
    return linear(state, f"out_mlp.{2 * given['mlp_layers'] + 1}.", z).log_softmax(-1)


def shapes_of(given: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    size, layers = given["hidden"], given["layers"]
    joined = size * (layers + 1) + given["text"]
    shapes = linear_shapes("fc1.", given["text"], size)
    has_relations = given["attn_type"] != "rgcn" and not given["no_rel_attn"]
    for number in range(layers):
        at = f"gather.{number}."
        if given["attn_type"] == "dotprod":
            shapes |= linear_shapes(f"{at}linear1.", size, size) | linear_shapes(f"{at}linear2.", size, size)
            shapes |= linear_shapes(f"{at}linear3.", size, 1) if has_relations else {}
        else:
            shapes |= linear_shapes(f"{at}linear.", (3 if has_relations else 2) * size, 1)
        shapes |= {f"{at}rel_emb.weight": (2, size)} if has_relations else {}
        if given["attn_type"] == "rgcn":
            shapes |= {f"{at}Wr0.weight": (size, size), f"{at}Wr1.weight": (size, size)}
        for cell in ("grus_c", "grus_p"):
            names = torch.nn.GRUCell(size, size).state_dict()
            shapes |= {f"{cell}.{number}.{name}": tuple(value.shape) for name, value in names.items()}
        shapes |= linear_shapes(f"fcs.{number}.", 2 * size, size)
    for number in range(given["mlp_layers"]):
        shapes |= linear_shapes(f"out_mlp.{2 * number}.", size if number else joined, size)
    shapes |= linear_shapes(f"out_mlp.{2 * given['mlp_layers'] + 1}.", size, given["classes"])
    return shapes | linear_shapes("attentive_node_features.transform.", joined, joined)


def settings_of(**given: Any) -> dict[str, Any]:
    return SIZES | {"attn_type": "rgcn", "no_rel_attn": False, "windowp": 1, "nodal_att_type": None} | given


def row(folder: Path, **given: Any) -> Row:
    settings = settings_of(**given)
    forward = lambda state, dialogue: plain(state, dialogue, settings)  # noqa: E731
    return check(folder, "dag_erc", settings, forward, shapes_of(settings), {"text": settings["text"]})


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"windowp": 3, "nodal_att_type": "past", "text": 3, "hidden": 2, "layers": 1, "mlp_layers": 1},
        {"attn_type": "linear", "nodal_att_type": "global"},
        {"attn_type": "linear", "no_rel_attn": True, "windowp": 2, "layers": 3},
        {"attn_type": "dotprod", "mlp_layers": 3},
        {"attn_type": "dotprod", "no_rel_attn": True, "nodal_att_type": "past"},
        {"no_rel_attn": True},
        {"windowp": 0, "nodal_att_type": "past"},
        {"windowp": -1, "attn_type": "linear"},
    ],
    ids=lambda given: "-".join(f"{name}={value}" for name, value in given.items()) or "published",
)
def test_published_weights_give_the_published_numbers(given: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **given)
    assert found.is_equal, found


def test_settings_that_have_no_form_here_are_refused_by_name() -> None:
    wrong = settings_of(attn_type="transformer", nodal_att_type="future", windowp="all", gates=4)
    with pytest.raises(ConfigError) as caught:
        DagERC.load_published({}, wrong)
    for name in ("attn_type", "nodal_att_type", "windowp", "gates"):
        assert f"published setting {name}: " in str(caught.value)


def test_parameters_of_relations_that_the_settings_leave_out_have_no_part_in_the_outputs(tmp_path: Path) -> None:
    settings = settings_of(attn_type="dotprod", no_rel_attn=True)
    shapes = shapes_of(settings) | linear_shapes("gather.0.linear3.", 4, 1) | {"gather.1.rel_emb.weight": (2, 4)}
    forward = lambda state, dialogue: plain(state, dialogue, settings_of(**settings))  # noqa: E731
    state = random_state(shapes)
    del state["gather.1.rel_emb.weight"]
    assert check(tmp_path, "dag_erc", settings, forward, {k: shapes[k] for k in state}, {"text": 5}).is_equal


def test_tensors_that_do_not_fit_are_all_named() -> None:
    state = random_state(shapes_of(settings_of(hidden=3)))
    state["gather.0.rel_emb.weight"] = state.pop("gather.1.Wr0.weight")
    with pytest.raises(CheckpointError) as caught:
        DagERC.load_published(state, settings_of(hidden=3))
    assert "gather.1.Wr0.weight: missing" in str(caught.value)
    assert "gather.0.rel_emb.weight: unknown" in str(caught.value)
