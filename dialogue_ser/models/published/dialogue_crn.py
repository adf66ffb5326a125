"""Published weights of DialogueCRN (zerohd4869/DialogueCRN)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.published.parts.tensors import PublishedSettings, PublishedTensors
from dialogue_ser.models.recurrent.dialogue_crn import DialogueCRN, DialogueCRNConfig


def load(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> tuple[DialogueCRN, dict[str, Tensor]]:
    """The system and its parameters, from the tensors and settings of the published model."""
    given = PublishedSettings("dialogue-crn", settings)
    text_dim, n_classes = given.take("text", int), given.take("classes", int)
    options: dict[str, Any] = {
        "rnn": given.choose("base", {"LSTM": "lstm", "GRU": "gru"}),
        "context_dim": given.take("hidden", int),
        "n_layers": given.take("layers", int, default=1),
        "situation_steps": given.take("step_s", int),
        "party_steps": given.take("step_p", int),
        "party_padding": True,
        "dropout": given.take("dropout", float, default=0.2),
    }
    given.unused("parties", "gamma")
    given.finish()
    config = DialogueCRNConfig(**options)
    system = DialogueCRN(config, {"text": InputSpec(kind="vector", dim=text_dim)}, n_classes)
    found = PublishedTensors("dialogue-crn", tensors)
    found.module(system, "situation_rnn", "rnn.")
    found.module(system, "party_rnn", "rnn_parties.")
    found.module(system, "query", "cognition_net.fc.")
    for number, (bank, steps) in enumerate((("situation", system.situation), ("party", system.party))):
        if steps is not None:
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                published = f"cognition_net.reason_modules.{number}.lstm.{part}_l0"
                found.copy(system, f"{bank}.lstm.{part}", published)
    found.module(system, "head.2", "cognition_net.smax_fc.")
    return system, found.finish(system)
