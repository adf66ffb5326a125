"""What the published weights of MMGCN and MM-DFN share."""

import torch

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.graph.modality_nodes import Speakers
from dialogue_ser.models.graph.similarity_system import SimilaritySystem
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors

#: Published letter → modality, in the published order of the nodes.
MODALITIES = {"a": "audio", "v": "visual", "l": "text"}


def modalities_of(given: PublishedSettings) -> list[str]:
    """The letters of the modalities that take part, in the order audio, visual, text, whatever order is written."""
    written = given.take("modals", str, default="avl")
    if not written or set(written) - set(MODALITIES) or len(set(written)) < len(written):
        given.problem(f"modals: found {written!r}, expected some of the letters a, v, l, e.g. 'avl'")
        return list(MODALITIES)
    return [letter for letter in MODALITIES if letter in written]


def inputs_of(given: PublishedSettings, letters: list[str]) -> dict[str, InputSpec]:
    """Modality → shape of its features; sizes of modalities that take no part have no effect."""
    given.unused(*MODALITIES.values())
    return {MODALITIES[letter]: InputSpec(kind="vector", dim=given.take(MODALITIES[letter], int)) for letter in letters}


def speakers_of(given: PublishedSettings, letters: list[str], *, default: bool) -> Speakers:
    """How the system numbers the speakers. The published embedding is added to the text, so without text to nothing."""
    uses = given.take("use_speaker", bool, default=default)
    return "number" if uses and "l" in letters else "none"


def take_tensors(found: PublishedTensors, system: SimilaritySystem, letters: list[str]) -> None:
    """Take all tensors that both systems have."""
    for letter, kind in MODALITIES.items():
        if letter not in letters:
            found.dead(f"linear_{letter}.", f"lstm_{letter}.")
            continue
        found.module(system, f"nodes.linear.{kind}", f"linear_{letter}.")
        if kind in system.nodes.rnn:
            found.module(system, f"nodes.rnn.{kind}", f"lstm_{letter}.")
        else:
            found.dead(f"lstm_{letter}.")
    graph = "graph_model.graph_net"
    found.module(system, "network.first", f"{graph}.fcs.0.")
    n_layers, *shape = system.network.weight_LIH.shape
    weights = [found.take(f"{graph}.convs.{layer}.weight", *shape) for layer in range(n_layers)]
    found.values["network.weight_LIH"] = torch.stack(weights)
    if system.embeddings.speaker is not None:
        found.copy(system, "embeddings.speaker.weight", "graph_model.speaker_embeddings.weight")
    if system.embeddings.modality is not None:
        size = system.embeddings.modality.embedding_dim
        published_MF = found.take("graph_model.modal_embeddings.weight", len(MODALITIES), size)
        rows = [place for place, letter in enumerate(MODALITIES) if letter in letters]
        found.values["embeddings.modality.weight"] = published_MF[rows]
    found.module(system, "head", "smax_fc.")
    dead = ("a_fc", "v_fc", "l_fc", "feature_fc", "final_fc", "a_spk_embs", "v_spk_embs", "l_spk_embs")
    found.dead(*(f"graph_model.{name}." for name in dead), "att_model.", "gatedatt.")
    found.dead("graph_model.speaker_embeddings.", "graph_model.modal_embeddings.")
