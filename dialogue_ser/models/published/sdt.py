"""Published weights of SDT."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.fusion.sdt import SDT, SDTConfig
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors

#: Our modality → its published letter and the published name of its input layer, in the order of the pairs.
LETTERS = {"text": "t", "audio": "a", "visual": "v"}
INPUT_LAYERS = {"text": "textf_input", "audio": "acouf_input", "visual": "visuf_input"}


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[SDT, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("sdt", settings)
    inputs = {kind: InputSpec(kind="vector", dim=given.take(kind, int)) for kind in LETTERS}
    n_classes, gates = given.take("classes", int), given.choose("dataset", {"MELD": "identity", "IEMOCAP": "learned"})
    values = {
        "hidden_dim": given.take("hidden", int),
        "n_heads": given.take("heads", int),
        "n_parties": given.take("parties", int),
        "temperature": given.take("temp", float, default=8.0),
        "dropout": given.take("dropout", float, default=0.5),
    }
    given.unused("positions", "class_weight")
    given.finish()
    config = SDTConfig(gates=gates, speakers="embedding", **values)  # type: ignore[arg-type]
    system = SDT(config, inputs, n_classes)
    found = PublishedTensors("sdt", tensors)
    size = config.hidden_dim
    for kind, layer in INPUT_LAYERS.items():
        convolution = found.take(f"{layer}.weight", size, inputs[kind].dim, 1)
        found.values[f"projections.{kind}.weight"] = convolution[..., 0]
    # The last row of the published table belongs to padding, which is not read here.
    table = found.take("speaker_embeddings.weight", config.n_parties + 1, size)
    found.values["speakers.weight"] = table[: config.n_parties]
    _take_encoders(found, size, learned_gates=gates == "learned")
    _take_fusion(found, size)
    heads = [_linear(found, f"{letter}_output_layer.2", n_classes, size) for letter in LETTERS.values()]
    _stack(found, "unimodal_heads", heads)
    found.module(system, "head", "all_output_layer.")
    return system, found.finish(system)


def _take_encoders(found: PublishedTensors, size: int, *, learned_gates: bool) -> None:
    """The encoders of all pairs. The published layer_norm outside the feed-forward layer has no effect."""
    pairs = [f"{source}_{target}" for source in LETTERS.values() for target in LETTERS.values()]
    layers = [f"{pair}.transformer_inter.0" for pair in pairs]
    for ours, name in {"out": "self_attn.linear", "inner": "feed_forward.w_1", "outer": "feed_forward.w_2"}.items():
        _stack(found, f"encoders.{ours}", [_linear(found, f"{layer}.{name}", size, size) for layer in layers])
    query, key, value = (
        [_linear(found, f"{layer}.self_attn.linear_{role}", size, size) for layer in layers] for role in "qkv"
    )
    _stack(found, "encoders.query", query)
    both = [
        (torch.cat([k, v], dim=1), torch.cat([k_bias, v_bias]))
        for (k, k_bias), (v, v_bias) in zip(key, value, strict=True)
    ]
    _stack(found, "encoders.key_and_value", both)
    for part in ("weight", "bias"):
        norms = [found.take(f"{layer}.feed_forward.layer_norm.{part}", size) for layer in layers]
        found.values[f"encoders.norm_{part}"] = torch.stack(norms)
    found.dead(*(f"{layer}.layer_norm." for layer in layers))
    gates = [found.take(f"{pair}_gate.fc.weight", size, size) for pair in pairs]
    if learned_gates:
        found.values["encoders.gate.weight"] = torch.stack([gate.T for gate in gates])
        return
    for pair, gate in zip(pairs, gates, strict=True):
        if not torch.equal(gate, torch.eye(size, dtype=gate.dtype, device=gate.device)):
            found.problem(f"{pair}_gate.fc.weight: is no identity, but the gates of the dataset MELD are not trained")


def _take_fusion(found: PublishedTensors, size: int) -> None:
    """The layer of each target, whose published input begins with the target's own encoder, and the last gate."""
    reduced = []
    for target, letter in LETTERS.items():
        weight, bias = _linear(found, f"features_reduce_{letter}", size, len(LETTERS) * size)
        published_order = [target, *(kind for kind in LETTERS if kind != target)]
        blocks = dict(zip(published_order, torch.split(weight, size), strict=True))
        reduced.append((torch.cat([blocks[kind] for kind in LETTERS]), bias))
    _stack(found, "reduce", reduced)
    found.values["fusion.weight"] = found.take("last_gate.fc.weight", size, size)


def _linear(found: PublishedTensors, name: str, out_dim: int, in_dim: int) -> tuple[Tensor, Tensor]:
    """The matrix ``[in, out]`` and the bias of a published linear layer."""
    return found.take(f"{name}.weight", out_dim, in_dim).T, found.take(f"{name}.bias", out_dim)


def _stack(found: PublishedTensors, ours: str, layers: list[tuple[Tensor, Tensor]]) -> None:
    """Our grouped layer is a number of published layers."""
    found.values[f"{ours}.weight"] = torch.stack([weight for weight, _ in layers])
    found.values[f"{ours}.bias"] = torch.stack([bias for _, bias in layers])
