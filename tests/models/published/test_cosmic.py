"""Published weights of COSMIC, against its equations: a loop over turns and parties, with the published names."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.golden import Row, check_file
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.recurrent.cosmic import Cosmic
from dialogue_ser.nn.recurrence.commonsense import READERS
from tests.support.batches import random_batch
from tests.support.published_models import golden_tensors, linear, linear_shapes, random_state, save_golden

TEXT, SENSE, HEAD, PARTIES = 4, 3, 5, 4
SETTINGS: dict[str, Any] = {"parties": PARTIES, "text": TEXT, "sense": SENSE, "head": HEAD, "classes": 3, "att": 4}
SETTINGS |= {"global": 3, "party": 3, "external": 3, "intent": 2, "emotion": 3}
SETTINGS |= {"listener": True, "attention": "simple", "mode1": 2, "norm": 0, "residual": False, "att2": False}
DIMS = {**{f"text{i}": TEXT for i in (1, 2, 3, 4)}, **dict.fromkeys(READERS, SENSE)}


def cell_shapes(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    g, p, r, i, e = (settings[name] for name in ("global", "party", "external", "intent", "emotion"))
    cells = {"g": (HEAD + p + r, g), "p": (SENSE + g, p), "r": (HEAD + SENSE + g, r), "i": (SENSE + p, i)}
    cells["e"] = (HEAD + p + r + i, e)
    if settings["listener"]:
        cells |= {"pl": (SENSE + g, p), "rl": (HEAD + SENSE + g, r)}
    attention: dict[str, dict[str, tuple[int, ...]]] = {
        "simple": {"scalar.weight": (1, g)},
        "general": {"transform.weight": (g, HEAD)},
        "general2": {"transform.weight": (g, HEAD), "transform.bias": (g,)},
        "dot": {},
        "concat": {"transform.weight": (4, g + HEAD), "vector_prod.weight": (1, 4)},
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for way in "fr":
        prefix = f"cs_rnn_{way}.dialogue_cell."
        for name, (n_in, n_out) in cells.items():
            shapes[f"{prefix}{name}_cell.weight_ih"] = (3 * n_out, n_in)
            shapes[f"{prefix}{name}_cell.weight_hh"] = (3 * n_out, n_out)
            shapes |= {f"{prefix}{name}_cell.bias_{kind}": (3 * n_out,) for kind in ("ih", "hh")}
        shapes |= {f"{prefix}attention.{name}": shape for name, shape in attention[settings["attention"]].items()}
    return shapes


def state_of(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    e, n_texts = 2 * settings["emotion"], {0: 4, 1: 2}.get(settings["mode1"], 1)
    shapes = cell_shapes(settings) | linear_shapes("linear_in.", n_texts * TEXT, HEAD) | {"r_weights": (4,)}
    shapes |= linear_shapes("linear.", e, HEAD) | linear_shapes("smax_fc.", HEAD, 3)
    shapes |= linear_shapes("matchatt.transform.", e, e) | {"sense_gru.weight_ih_l0": (3, SENSE)}
    for letter in "abcd":
        shapes |= {f"norm{kind}{letter}.{part}": (TEXT,) for kind in (1, 3) for part in ("weight", "bias")}
        shapes |= {f"norm3{letter}.running_{part}": (TEXT,) for part in ("mean", "var")}
    state = random_state(shapes)
    state = {name: value.abs() + 0.1 if name.endswith("running_var") else value for name, value in state.items()}
    return state | {f"norm3{letter}.num_batches_tracked": torch.tensor(5) for letter in "abcd"}


def gru(state: Mapping[str, Tensor], prefix: str, given: list[Tensor], h: Tensor) -> Tensor:
    x = state[f"{prefix}.weight_ih"] @ torch.cat(given) + state[f"{prefix}.bias_ih"]
    y = state[f"{prefix}.weight_hh"] @ h + state[f"{prefix}.bias_hh"]
    (r, z, n), (r_h, z_h, n_h) = x.chunk(3), y.chunk(3)
    z = torch.sigmoid(z + z_h)
    return (1 - z) * torch.tanh(n + torch.sigmoid(r + r_h) * n_h) + z * h


def context(state: Mapping[str, Tensor], prefix: str, kind: str, past: list[Tensor], u: Tensor) -> Tensor:
    if kind == "simple":
        scores = [state[f"{prefix}scalar.weight"][0] @ g for g in past]
    elif kind == "concat":
        mixed = [torch.tanh(state[f"{prefix}transform.weight"] @ torch.cat([g, u])) for g in past]
        scores = [state[f"{prefix}vector_prod.weight"][0] @ one for one in mixed]
    else:
        query = u if kind == "dot" else state[f"{prefix}transform.weight"] @ u
        query = query + state[f"{prefix}transform.bias"] if kind == "general2" else query
        scores = [torch.tanh(query @ g) if kind == "general2" else query @ g for g in past]
    return torch.softmax(torch.stack(scores), 0) @ torch.stack(past)


def one_direction(
    state: Mapping[str, Tensor], way: str, settings: Mapping[str, Any], u_TD: Tensor, given: Mapping[str, Tensor]
) -> list[Tensor]:
    prefix = f"cs_rnn_{way}.dialogue_cell."
    g, e = u_TD.new_zeros(settings["global"]), u_TD.new_zeros(settings["emotion"])
    q, r, i = ([u_TD.new_zeros(settings[name])] * PARTIES for name in ("party", "external", "intent"))
    past: list[Tensor] = []
    emotions = []
    for t, u in enumerate(u_TD):
        s, sense = int(given["speaker"][t]), {name: given[name][t] for name in READERS}
        c = context(state, f"{prefix}attention.", settings["attention"], past, u) if past else torch.zeros_like(g)
        g = gru(state, f"{prefix}g_cell", [u, q[s], r[s]], g)
        r_new = gru(state, f"{prefix}r_cell", [u, sense["self_react"], c], r[s])
        q_new = gru(state, f"{prefix}p_cell", [sense["self_effect"], c], q[s])
        if settings["listener"]:
            r = [gru(state, f"{prefix}rl_cell", [u, sense["other_react"], r_new], old) for old in r]
            q = [gru(state, f"{prefix}pl_cell", [sense["other_effect"], q_new], old) for old in q]
        i_new = gru(state, f"{prefix}i_cell", [sense["self_intent"], q_new], i[s])
        q, r, i = (
            [new if party == s else old for party, old in enumerate(states)]
            for states, new in ((q, q_new), (r, r_new), (i, i_new))
        )
        e = gru(state, f"{prefix}e_cell", [u, q_new, r_new, i_new], e)
        past.append(g)
        emotions.append(e)
    return emotions


def plain(state: Mapping[str, Tensor], given: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Tensor:
    """Log-probabilities of one dialogue."""
    texts = []
    for number, letter in zip((1, 2, 3, 4), "abcd", strict=True):
        x, kind = given[f"text{number}"], settings["norm"]
        if kind == 1:
            weights = state[f"norm1{letter}.weight"], state[f"norm1{letter}.bias"]
            x = torch.nn.functional.layer_norm(x, (TEXT,), *weights)
        elif kind == 2:
            x = torch.nn.functional.layer_norm(x, tuple(x.shape))
        elif kind == 3:
            mean, variance = (state[f"norm3{letter}.running_{part}"].detach() for part in ("mean", "var"))
            weights = state[f"norm3{letter}.weight"], state[f"norm3{letter}.bias"]
            x = torch.nn.functional.batch_norm(x, mean, variance, *weights)
        texts.append(x)
    mode = settings["mode1"]
    if mode in (0, 1):
        x = torch.cat(texts[: 4 if mode == 0 else 2], dim=-1)
    elif mode == 2:
        x = torch.stack(texts).mean(0)
    elif mode == 7:
        x = (state["r_weights"][:, None, None] * torch.stack(texts)).sum(0)
    else:
        x = texts[mode - 3]
    u = linear(state, "linear_in.", x)
    backwards = {name: value.flip(0) for name, value in given.items()}
    halves = (
        one_direction(state, "f", settings, u, given),
        one_direction(state, "r", settings, u.flip(0), backwards)[::-1],
    )
    e = torch.cat([torch.stack(half) for half in halves], dim=-1)
    if settings["att2"]:
        query = linear(state, "matchatt.transform.", e)
        e = torch.stack([torch.softmax(torch.tanh(e @ one), 0) @ e for one in query])
    h = torch.relu(linear(state, "linear.", e))
    return linear(state, "smax_fc.", h + u if settings["residual"] else h).log_softmax(-1)


def row(folder: Path, **changed: Any) -> Row:
    settings = {**SETTINGS, **changed}
    state = state_of(settings)
    floats = {name: value for name, value in state.items() if value.is_floating_point()}
    tensors = golden_tensors(lambda own, given: plain(own, given, settings), floats, DIMS)
    tensors |= {f"state/{name}": value for name, value in state.items()}
    return check_file(save_golden(folder, "made-up", "cosmic", settings, tensors))


@pytest.mark.parametrize(
    "changed",
    [
        {"mode1": 0, "norm": 1, "attention": "general", "residual": True},
        {"mode1": 1, "norm": 2, "attention": "general2", "att2": True},
        {"mode1": 2, "norm": 3, "attention": "concat"},
        {"mode1": 3, "norm": 3, "listener": False, "party": 4, "external": 2, "emotion": 5},
        {"mode1": 6, "norm": 1, "att2": True, "residual": True, "listener": False},
        {"mode1": 7, "norm": 2, "att": None},
        {"attention": "dot", "global": HEAD, "listener": False},
    ],
    ids=lambda changed: "-".join(f"{name}={value}" for name, value in changed.items()),
)
def test_published_weights_give_the_published_numbers_and_gradients(changed: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **changed)
    assert found.is_equal, found


def test_dot_attention_needs_global_states_of_the_size_of_a_turn() -> None:
    with pytest.raises(ConfigError, match="attention dot compares g"):
        Cosmic.load_published(state_of(SETTINGS), {**SETTINGS, "attention": "dot"})


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode1", 8), ("norm", 4), ("attention", "general3"), ("listener", "yes"), ("att2", 2), ("depth", 1)],
)
def test_a_setting_that_cannot_be_represented_is_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"published setting {name}: "):
        Cosmic.load_published(state_of(SETTINGS), {**SETTINGS, name: value})


@pytest.mark.parametrize("listener", [True, False])
def test_without_knowledge_the_numbers_are_those_of_vectors_of_zeros(listener: bool) -> None:
    settings = {**SETTINGS, "listener": listener}
    with_zeros = Cosmic.load_published(state_of(settings), settings)
    assert isinstance(with_zeros, Cosmic)
    texts = {name: InputSpec(kind="vector", dim=TEXT) for name in DIMS if name not in READERS}
    batch = random_batch(texts, (5, 1, 2), dtype=torch.float64)
    zeros = {name: torch.zeros(*batch.speaker.shape, SENSE, dtype=torch.float64) for name in READERS}
    present = dict.fromkeys(READERS, batch.is_real_turn)
    full = replace(batch, features={**batch.features, **zeros}, is_present={**batch.is_present, **present})
    without = Cosmic(with_zeros.config, texts, 3).double()
    state = with_zeros.state_dict()
    kept = without.state_dict()
    for name, value in kept.items():  # knowledge has the last rows of what a cell knows before the loop
        kept[name] = state[name][:, : value.shape[1]] if name.endswith("from_known") else state[name]
    without.load_state_dict(kept)
    real = batch.is_real_turn
    ours, theirs = without.eval()(batch).scores_BTS[real], with_zeros(full).scores_BTS[real]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    first = {name: values[0] for name, values in {**full.features, "speaker": batch.speaker}.items()}
    plain_TC = plain(state_of(settings), first, settings)
    torch.testing.assert_close(ours[:5].log_softmax(-1), plain_TC, rtol=0, atol=1e-12)
