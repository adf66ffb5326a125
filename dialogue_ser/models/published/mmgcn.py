"""Published weights of MMGCN (hujingwen6666/MMGCN)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.models.graph.mmgcn import MMGCN, MMGCNConfig
from dialogue_ser.models.published.parts.modality_graph import inputs_of, modalities_of, speakers_of, take_tensors
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[MMGCN, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("mmgcn", settings)
    letters = modalities_of(given)
    inputs = inputs_of(given, letters)
    n_classes = given.take("classes", int)
    config = MMGCNConfig(
        input_dim=given.take("input", int, default=200),
        context_dim=given.take("hidden", int, default=100),
        graph_dim=given.take("graph", int, default=100),
        n_layers=given.take("layers", int, default=64),
        other_recurrence=given.take("av_using_lstm", bool, default=False),
        speakers=speakers_of(given, letters, default=True),
        n_speakers=given.take("parties", int, default=9),
        modality_vectors=given.take("use_modal", bool, default=False),
        decay=given.take("lamda", float, default=0.5),
        initial_share=given.take("alpha", float, default=0.1),
        dropout=given.take("dropout", float, default=0.4),
    )
    given.finish()
    system = MMGCN(config, inputs, n_classes)
    found = PublishedTensors("mmgcn", tensors)
    take_tensors(found, system, letters)
    return system, found.finish(system)
