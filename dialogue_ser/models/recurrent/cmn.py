"""CMN (Hazarika et al., NAACL 2018): a turn reads a memory of its speaker and one of all others, in several hops."""

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
class CMNConfig(MemoryNetworkConfig):
    """Options of CMN; :class:`~dialogue_ser.models.recurrent.memory_network.MemoryNetworkConfig` describes them."""

    def __post_init__(self) -> None:
        check_options("cmn", self)


class CMN(MemoryNetwork):
    """Conversational memory network: two memories of a turn's history, read together in several hops.

    Utterance vectors → one GRU over the earlier turns of the speaker and one over those of all others → tanh → a second
    GRU over each of the two, at the common places of all earlier turns (zeros where the other one spoke) → hops of
    attention over both memories → one linear layer.

    Source: Hazarika et al., "Conversational Memory Network for Emotion Recognition in Dyadic Dialogue Videos", NAACL
    2018, in the form that its authors published with TensorFlow (declare-lab/conv-emotion).
    Departures:

    - The published system knows two speakers. Here there may be any number: the second history joins the turns of
      everyone else. With two speakers it is the same.
    - The published memories begin with zeros where there is no history yet, up to ``history`` turns. Here they are
      not read (option ``window_padding``).
    - Turns of one speaker share their histories, so in training they also share the dropout on these. The
      published implementation repeats the histories for every turn and drops separately.
    - The two memories have weights of their own; the published description does not say whether they share them.

    It reads earlier turns only, so it can label a dialogue that is still going on.

    Args:
        config: options.
        inputs: modality → shape of its features.
        n_scores: S.
    """

    name = "cmn"
    Config = CMNConfig

    def __init__(self, config: CMNConfig, inputs: Mapping[str, InputSpec], n_scores: int) -> None:
        super().__init__(config, inputs, n_scores)
        self.own_memory = ResetFirstGRU(config.hidden_dim, config.hidden_dim)
        self.others_memory = ResetFirstGRU(config.hidden_dim, config.hidden_dim)

    def answer(
        self, q_QH: Tensor, own: Tensor, others: Tensor, plan: HistoryPlan
    ) -> tuple[Float[Tensor, "query hidden"], dict[str, Float[Tensor, "query past"]]]:
        """Read both memories in every hop; they are the same in all hops."""
        tables = {}
        for name, gru, outputs, sequences in (
            ("own", self.own_memory, own, plan.own),
            ("others", self.others_memory, others, plan.others),
        ):
            history_SH = outputs.new_zeros(plan.n_steps, outputs.shape[1]).index_copy(0, sequences.target, outputs)
            given = gru.project(torch.tanh(history_SH)).index_select(0, plan.memory_source)
            tables[name] = self.table(self.memory(gru, given, plan), plan)
        weights = {}
        for hop in range(1, self.config.hops + 1):
            read = torch.zeros_like(q_QH)
            for name, table_QLH in tables.items():
                weights[f"{name}{hop}"] = self.weigh(q_QH, table_QLH, plan)
                read = read + (weights[f"{name}{hop}"][:, None] @ table_QLH)[:, 0]
            q_QH = torch.tanh(q_QH + read)
        return q_QH, weights
