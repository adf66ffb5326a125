"""Published weights of DAG-ERC (shenwzh3/DAG-ERC, class DAGERC_fushion)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.dag_erc import DagERC, DagERCConfig
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[DagERC, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("dag-erc", settings)
    text_dim, n_classes = given.take("text", int), given.take("classes", int)
    kinds = {"rgcn": "rgcn", "linear": "linear", "dotprod": "dotprod"}
    sizes = {name: given.take(name, int) for name in ("hidden", "layers", "mlp_layers", "windowp")}
    options: dict[str, Any] = {
        "attention": given.choose("attn_type", kinds, default="rgcn"),
        "relations": given.choose("no_rel_attn", {False: True, True: False}, default=False),
        "nodal_attention": given.choose(
            "nodal_att_type", {None: "none", "none": "none", "past": "past", "global": "global"}
        ),
        "dropout": given.take("dropout", float, default=0.1),
    }
    given.unused("parties")
    given.finish()
    config = DagERCConfig(
        hidden_dim=sizes["hidden"],
        n_layers=sizes["layers"],
        n_head_layers=sizes["mlp_layers"],
        # The published walk back ends at the windowp-th own turn. For 0 and less it ends at the first turn only.
        own_turns=sizes["windowp"] if sizes["windowp"] > 0 else None,
        **options,
    )
    system = DagERC(config, {"text": InputSpec(kind="vector", dim=text_dim)}, n_classes)
    found = PublishedTensors("dag-erc", tensors)
    found.module(system, "first", "fc1.")
    found.module(system, "head", "out_mlp.")
    for number in range(config.n_layers):
        _gather(found, system, number)
        found.module(system, f"layers.{number}.context_cell", f"grus_c.{number}.")
        found.module(system, f"layers.{number}.turn_cell", f"grus_p.{number}.")
    found.dead("fcs.")
    if not config.relations and config.attention != "rgcn":  # these only make the terms that are left out
        found.dead(*(f"gather.{n}.{name}." for n in range(config.n_layers) for name in ("rel_emb", "linear3")))
    if system.nodal_attention is None:
        found.dead("attentive_node_features.")
    else:
        found.module(system, "nodal_attention.transform", "attentive_node_features.transform.")
    return system, found.finish(system)


def _gather(found: PublishedTensors, system: DagERC, number: int) -> None:
    """The attention of one layer. Terms that softmax takes out again are left aside."""
    ours, published, size = f"layers.{number}.", f"gather.{number}.", system.config.hidden_dim
    attention, has_relations = system.config.attention, system.layers[number].relation is not None
    if has_relations:
        found.copy(system, f"{ours}relation.weight", f"{published}rel_emb.weight")
    if attention == "dotprod":
        found.module(system, f"{ours}query", f"{published}linear1.")
        found.copy(system, f"{ours}key.weight", f"{published}linear2.weight")
        found.take(f"{published}linear2.bias", size)
        if has_relations:
            found.copy(system, f"{ours}relation_score.weight", f"{published}linear3.weight")
            found.take(f"{published}linear3.bias", 1)
        return
    weight = found.take(f"{published}linear.weight", 1, (3 if has_relations else 2) * size)
    found.take(f"{published}linear.bias", 1)
    found.values[f"{ours}score.weight"] = weight[:, size : 2 * size]
    if has_relations:
        found.values[f"{ours}relation_score.weight"] = weight[:, 2 * size :]
    if attention == "rgcn":
        found.copy(system, f"{ours}value_other.weight", f"{published}Wr1.weight")
        found.copy(system, f"{ours}value_same.weight", f"{published}Wr0.weight")
