"""ICON (Hazarika et al., EMNLP 2018): a turn reads one memory of its history, which is made anew in every hop."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.recurrent.history_plan import HistoryPlan
from dialogue_ser.models.recurrent.memory_network import MemoryNetwork, MemoryNetworkConfig, check_options
from dialogue_ser.nn.gru.reset_first import ResetFirstGRU


@dataclass(frozen=True, kw_only=True, slots=True)
class ICONConfig(MemoryNetworkConfig):
    """Options of ICON; :class:`~dialogue_ser.models.recurrent.memory_network.MemoryNetworkConfig` describes them."""

    def __post_init__(self) -> None:
        check_options("icon", self)


class ICON(MemoryNetwork):
    """Interactive conversational memory network: own and others' history become one memory, read in several hops.

    Utterance vectors → one GRU over the earlier turns of the speaker and one over those of all others → tanh → a GRU
    over all earlier turns in their order: the first memory → hops: attention of the query over the memory, then a GRU
    over the memory makes the next one → one linear layer.

    Source: Hazarika et al., "ICON: Interactive Conversational Memory Network for Multimodal Emotion Detection", EMNLP
    2018, in the form that its authors published with TensorFlow (declare-lab/conv-emotion).
    Departures:

    - The published system knows two speakers. Here there may be any number: the second history joins the turns of
      everyone else. With two speakers it is the same.
    - The published memories begin with zeros where there is no history yet, up to ``history`` turns. Here they are
      not read (option ``window_padding``).
    - Turns of one speaker share their histories, so in training they also share the dropout on these. The
      published implementation repeats the histories for every turn and drops separately.

    It reads earlier turns only, so it can label a dialogue that is still going on.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "icon"
    Config = ICONConfig

    def __init__(self, config: ICONConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(config, inputs, n_scores)
        self.first_memory = ResetFirstGRU(config.hidden_dim, config.hidden_dim)
        self.next_memory = ResetFirstGRU(config.hidden_dim, config.hidden_dim) if config.hops > 1 else None

    def answer(
        self, q_QH: Tensor, own: Tensor, others: Tensor, plan: HistoryPlan
    ) -> tuple[Float[Tensor, "query hidden"], dict[str, Float[Tensor, "query past"]]]:
        """Read the memory of every hop, and make the next one of it."""
        history_SH = own.new_zeros(plan.n_steps, own.shape[1])
        history_SH = history_SH.index_copy(0, plan.own.target, own).index_copy(0, plan.others.target, others)
        given = self.first_memory.project(torch.tanh(history_SH)).index_select(0, plan.memory_source)
        memory_SH = self.memory(self.first_memory, given, plan)
        weights = {}
        for hop in range(1, self.config.hops + 1):
            if hop > 1 and self.next_memory is not None:
                memory_SH = self.memory(self.next_memory, self.next_memory.project(memory_SH), plan)
            table_QLH = self.table(memory_SH, plan)
            weights[f"hop{hop}"] = self.weigh(q_QH, table_QLH, plan)
            q_QH = torch.tanh(q_QH + (weights[f"hop{hop}"][:, None] @ table_QLH)[:, 0])
        return q_QH, weights
