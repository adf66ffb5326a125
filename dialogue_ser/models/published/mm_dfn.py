"""Published weights of MM-DFN (zerohd4869/MM-DFN)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.models.graph.mm_dfn import MMDFN, MMDFNConfig
from dialogue_ser.models.published.parts.modality_graph import (
    MODALITIES,
    inputs_of,
    modalities_of,
    speakers_of,
    take_tensors,
)
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[MMDFN, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("mm-dfn", settings)
    letters = modalities_of(given)
    inputs = inputs_of(given, letters)
    n_classes = given.take("classes", int)
    config = MMDFNConfig(
        context_dim=given.take("hidden", int, default=100),
        graph_dim=given.take("graph", int, default=100),
        n_layers=given.take("layers", int, default=32),
        initial_share=given.take("alpha", float, default=0.2),
        decay=given.take("lamda", float, default=0.5),
        layer_lstm=given.take("reason_flag", bool, default=True),
        party_context=given.take("use_crn_speaker", bool, default=True),
        party_weights=_party_weights(given),
        speakers=speakers_of(given, letters, default=False),
        n_speakers=given.take("parties", int, default=9),
        modality_vectors=given.take("use_modal", bool, default=False),
        across_weight=given.take("modal_weight", float, default=1.0),
        other_recurrence=given.take("av_using_lstm", bool, default=False),
        residual=given.take("use_residue", bool, default=True),
        dropout=given.take("dropout", float, default=0.4),
        party_padding=True,
    )
    given.unused("gamma")
    given.finish()
    system = MMDFN(config, inputs, n_classes)
    found = PublishedTensors("mm-dfn", tensors)
    take_tensors(found, system, letters)
    if system.party_rnn is None:
        found.dead("rnn_parties.")
    else:
        found.module(system, "party_rnn", "rnn_parties.")
    if system.network.lstm is None:
        found.dead("graph_model.graph_net.rnn.")
    else:
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            found.copy(system, f"network.lstm.{name}", f"graph_model.graph_net.rnn.{name}_l0")
    return system, found.finish(system)


def _party_weights(given: PublishedSettings) -> dict[str, float]:
    """Modality → weight of the speakers' context, from e.g. ``0.5-0.5-1.5`` for audio, visual, text."""
    written = given.take("speaker_weights", str, default="0.5-0.5-1.5")
    try:
        return {kind: float(part) for kind, part in zip(MODALITIES.values(), written.split("-"), strict=True)}
    except ValueError:
        given.problem(f"speaker_weights: found {written!r}, expected three numbers with - between them, e.g. '1-1-1'")
        return {}
