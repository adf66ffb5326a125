"""Published weights of GraphSmile (lijfrank-open/GraphSmile)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.graphsmile import GraphSmile, GraphSmileConfig
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors

N_TEXTS = 4
PAIRS = ("tv", "ta", "va")
#: ``textf_mode`` → which vectors of the text are read, and how.
TEXT_MODES: Mapping[str, tuple[list[int], str]] = {
    **{f"textf{number}": ([number], "mean") for number in range(N_TEXTS)},
    **{f"concat{count}": (list(range(count)), "concat") for count in (2, 4)},
    **{f"sum{count}": (list(range(count)), "mean") for count in (2, 4)},
}


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[GraphSmile, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("graphsmile", settings)
    dims = {name: given.take(name, int) for name in ("text", "visual", "audio")}
    n_classes = given.take("classes", int)
    vectors, fusion = given.choose("textf_mode", TEXT_MODES)
    emotion, sentiment, shift = _numbers(given, "lambda", [1.0, 0.5, 0.2])
    if emotion <= 0:
        given.problem(f"lambda: found {emotion} for the emotions, expected more than 0")
    options: dict[str, Any] = {
        "text_vectors": vectors,
        "text_fusion": fusion,
        "hidden_dim": given.take("hidden", int),
        "past": given.take("win_past", int),
        "future": given.take("win_future", int),
        "layers": _numbers(given, "layers", None),
        "weights_by_place": True,
        "n_edge_weights": given.take("edge_weights", int, default=_table_length(tensors)),
        "sentiment_weight": sentiment / (emotion or 1.0),
        "shift_weight": shift / (emotion or 1.0),
        "shift_window": given.take("shift_win", int, default=3),
        "dropout": given.take("dropout", float, default=0.2),
    }
    given.unused("parties")
    given.finish()
    sizes = {**{f"text{number + 1}": dims["text"] for number in range(N_TEXTS)}, **dims}
    del sizes["text"]
    inputs = {name: InputSpec(kind="vector", dim=size) for name, size in sizes.items()}
    system = GraphSmile(GraphSmileConfig(**options), inputs, n_classes)
    found = PublishedTensors("graphsmile", tensors)
    _take(found, system)
    return system, found.finish(system)


def _table_length(tensors: Mapping[str, Tensor]) -> int:
    """The length of the published tables of weights; a missing table is named later."""
    table = tensors.get("hetergconv_tv.edge_weight")
    return 1 if table is None or not table.numel() else len(table.flatten())


def _numbers(given: PublishedSettings, name: str, default: list[float] | None) -> list[Any]:
    """Three numbers, whole ones if there is no default; a wrong value is a problem of the settings."""
    value: Any = given.take(name, object, default=default)
    kinds = (int,) if default is None else (int, float)
    if isinstance(value, list) and [type(one) in kinds for one in value] == [True] * 3:
        return value
    if type(value) is object:  # it is missing, which is a problem already
        return [1, 1, 1]
    given.problem(f"{name}: found {value!r}, expected a list of three numbers, e.g. {default or [5, 5, 5]}")
    return default or [1, 1, 1]


def _take(found: PublishedTensors, system: GraphSmile) -> None:
    """All parts of the system."""
    for number in system.config.text_vectors:
        found.module(system, f"projections.text.norms.text{number + 1}.norm", f"batchnorms_t.{number}.")
    found.dead("batchnorms_t.")
    for name in ("text", "visual", "audio"):
        found.module(system, f"projections.{name}.layer.0", f"dim_layer_{name[0]}.0.")
    for number, (pair, n_layers) in enumerate(zip(PAIRS, system.config.layers, strict=True)):
        theirs = f"hetergconv_{pair}"
        found.copy(system, f"edge_weights.{number}.weight", f"{theirs}.edge_weight")
        for layer in range(n_layers):
            convolution, own = f"{theirs}.hetergcn_layers.{layer}.hetergconv", f"graphs.{number}"
            found.copy(system, f"{own}.convolutions.{layer}.lin.weight", f"{convolution}.weight", transposed=True)
            found.copy(system, f"{own}.convolutions.{layer}.bias", f"{convolution}.bias")
            found.module(system, f"{own}.layers.{layer}.0", f"{theirs}.fc_layers.{layer}.0.")
        found.dead(f"{theirs}.fc_layer.")
    found.module(system, "fusion.0", "modal_fusion.0.")
    found.module(system, "head", "emo_output.")
    for own, published in {"sentiment": "sen_output.", "shift": "senshift.shift_output_layer.0."}.items():
        if getattr(system, own) is None:
            found.dead(published)
        else:
            found.module(system, own, published)
