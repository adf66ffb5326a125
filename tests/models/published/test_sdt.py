"""Published weights of SDT, against its equations: pair by pair and head by head, with the published names."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.golden import Row, check_file
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import CheckpointError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.fusion.sdt import SDT
from dialogue_ser.nn.losses import masked_nll
from tests.support.batches import random_batch
from tests.support.published_models import golden_tensors, linear, linear_shapes, random_state, save_golden

NAMES = {"t": "text", "a": "audio", "v": "visual"}
INPUTS = {"t": "textf_input", "a": "acouf_input", "v": "visuf_input"}
OTHERS = {"t": "av", "a": "tv", "v": "ta"}
SETTINGS: dict[str, Any] = {"text": 5, "audio": 3, "visual": 2, "hidden": 6, "heads": 2, "parties": 9, "classes": 3}
SETTINGS |= {"temp": 8, "dataset": "MELD", "dropout": 0.0, "class_weight": None, "positions": 16}


def state_of(settings: Mapping[str, Any]) -> dict[str, Tensor]:
    size = settings["hidden"]
    shapes = {f"{INPUTS[m]}.weight": (size, settings[NAMES[m]], 1) for m in NAMES}
    shapes |= {"speaker_embeddings.weight": (settings["parties"] + 1, size), "last_gate.fc.weight": (size, size)}
    for pair in (f"{source}_{target}" for source in NAMES for target in NAMES):
        layer = f"{pair}.transformer_inter.0"
        for name in ("self_attn.linear_q", "self_attn.linear_k", "self_attn.linear_v", "self_attn.linear"):
            shapes |= linear_shapes(f"{layer}.{name}.", size, size)
        for name in ("feed_forward.w_1", "feed_forward.w_2"):
            shapes |= linear_shapes(f"{layer}.{name}.", size, size)
        for name in ("feed_forward.layer_norm", "layer_norm"):
            shapes |= {f"{layer}.{name}.{part}": (size,) for part in ("weight", "bias")}
        shapes[f"{pair}_gate.fc.weight"] = (size, size)
    for m in NAMES:
        shapes |= linear_shapes(f"features_reduce_{m}.", 3 * size, size)
        shapes |= linear_shapes(f"{m}_output_layer.2.", size, settings["classes"])
    state = random_state(shapes | linear_shapes("all_output_layer.", size, settings["classes"]))
    if settings["dataset"] == "MELD":
        identity = torch.eye(size, dtype=torch.float64)
        state |= {name: identity.clone() for name in state if "_gate.fc" in name and name != "last_gate.fc.weight"}
    return state


def vectors(state: Mapping[str, Tensor], given: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The vector u of each modality."""
    size, n = settings["hidden"], len(given["speaker"])
    place = torch.zeros(n, size, dtype=torch.float64)
    for t in range(n):
        for i in range(0, size, 2):
            angle = t * math.exp(-i * math.log(10000) / size)
            place[t, i], place[t, i + 1] = math.sin(angle), math.cos(angle)
    added = place + state["speaker_embeddings.weight"][given["speaker"]]
    x = {m: given[NAMES[m]] @ state[f"{INPUTS[m]}.weight"][..., 0].T + added for m in NAMES}
    found = {}
    for target in NAMES:
        parts = [
            encoder(state, f"{source}_{target}", x[source], x[target], settings) for source in target + OTHERS[target]
        ]
        found[target] = linear(state, f"features_reduce_{target}.", torch.cat(parts, dim=-1))
    return found


def encoder(
    state: Mapping[str, Tensor], pair: str, source: Tensor, target: Tensor, settings: Mapping[str, Any]
) -> Tensor:
    layer, width = f"{pair}.transformer_inter.0.", settings["hidden"] // settings["heads"]
    q, k, v = (
        linear(state, f"{layer}self_attn.linear_{role}.", x)
        for role, x in (("q", target), ("k", source), ("v", source))
    )
    heads = []
    for first in range(0, settings["hidden"], width):
        own = slice(first, first + width)
        heads.append(torch.softmax(q[:, own] @ k[:, own].T / math.sqrt(width), -1) @ v[:, own])
    y = linear(state, f"{layer}self_attn.linear.", torch.cat(heads, -1)) + target
    norm = (state[f"{layer}feed_forward.layer_norm.{part}"] for part in ("weight", "bias"))
    inner = linear(state, f"{layer}feed_forward.w_1.", torch.nn.functional.layer_norm(y, y.shape[1:], *norm, eps=1e-6))
    inner = 0.5 * inner * (1 + torch.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
    y = y + linear(state, f"{layer}feed_forward.w_2.", inner)
    gate = y if settings["dataset"] == "MELD" else y @ state[f"{pair}_gate.fc.weight"].T
    return y * torch.sigmoid(gate)


def heads(
    state: Mapping[str, Tensor], given: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Scores of the fused head and of the heads of the modalities."""
    u = vectors(state, given, settings)
    stacked = torch.stack([u[m] for m in NAMES])
    fused = (torch.softmax(stacked @ state["last_gate.fc.weight"].T, 0) * stacked).sum(0)
    own = {NAMES[m]: linear(state, f"{m}_output_layer.2.", torch.relu(u[m])) for m in NAMES}
    return linear(state, "all_output_layer.", fused), own


def row(folder: Path, state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Row:
    def forward(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Tensor:
        return heads(own, given, settings)[0].log_softmax(-1)

    tensors = golden_tensors(forward, state, {name: settings[name] for name in NAMES.values()}, ("abbac", "a"))
    return check_file(save_golden(folder, "made-up", "sdt", settings, tensors))


@pytest.mark.parametrize(
    "changed",
    [{}, {"dataset": "IEMOCAP", "heads": 3, "parties": 3}, {"hidden": 8, "heads": 1, "text": 2, "visual": 7}],
    ids=["MELD", "IEMOCAP", "other sizes"],
)
def test_published_weights_give_the_published_numbers_and_gradients(changed: dict[str, Any], tmp_path: Path) -> None:
    settings = {**SETTINGS, **changed}
    found = row(tmp_path, state_of(settings), settings)
    assert found.is_equal, found


def test_a_setting_that_cannot_be_represented_is_named(tmp_path: Path) -> None:
    found = row(tmp_path, state_of(SETTINGS), {**SETTINGS, "dataset": "EmoryNLP", "layers": 2, "temp": "warm"})
    assert "dataset: found 'EmoryNLP'" in found.problem
    assert "layers: is not known" in found.problem
    assert "temp: found 'warm'" in found.problem


def test_gates_of_meld_that_were_trained_are_refused() -> None:
    state = state_of(SETTINGS)
    state["a_v_gate.fc.weight"] = state["a_v_gate.fc.weight"] * 2
    with pytest.raises(CheckpointError, match=r"a_v_gate\.fc\.weight: is no identity"):
        SDT.load_published(state, SETTINGS)


def _main_loss(scores_BTS: Tensor, batch: DialogueBatch) -> tuple[Tensor, Tensor]:
    return masked_nll(scores_BTS.log_softmax(-1), batch.label)


def test_the_auxiliary_losses_of_a_padded_batch_are_the_published_ones() -> None:
    """NLL of each modality's head, and KL(fused ‖ modality) of scores / τ, over real turns."""
    state = state_of(SETTINGS)
    system = SDT.load_published(state, SETTINGS)
    assert isinstance(system, SDT)
    inputs = {name: InputSpec(kind="vector", dim=SETTINGS[name]) for name in NAMES.values()}
    batch = random_batch(inputs, (4, 1, 6), dtype=torch.float64)
    output = system.train()(batch)  # the settings have no dropout
    numerators, counts = system.auxiliary_numerators(output, batch, _main_loss), system.auxiliary_counts(batch)
    expected = dict.fromkeys(numerators, 0.0)
    for b, n in enumerate((4, 1, 6)):
        given = {name: values[b, :n] for name, values in {**batch.features, "speaker": batch.speaker}.items()}
        fused, own = heads(state, given, SETTINGS)
        log_p = (fused / 8).log_softmax(-1)
        for name, scores in own.items():
            expected[name] -= float(scores.log_softmax(-1).gather(1, batch.label[b, :n, None]).sum())
            distance = log_p.exp() * (log_p - (scores / 8).log_softmax(-1))
            expected[f"{name}_distilled"] += float(distance.sum())
    assert set(numerators) == set(system.auxiliary_weights) == set(expected)
    assert set(counts) == {f"{name}_distilled" for name in inputs}
    assert set(counts.values()) == {11.0}
    for name, value in numerators.items():
        assert value.item() == pytest.approx(expected[name], abs=1e-10), name
        assert value.requires_grad
