"""EmotionRNN by plain loops, one dialogue at a time, following EQUATIONS.md A line by line; slow on purpose."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dialogue_ser.nn.recurrence import EmotionRecurrence


def gru_cell(x: Tensor, h: Tensor, weight_x: Tensor, weight_h: Tensor, bias_x: Tensor, bias_h: Tensor) -> Tensor:
    """torch.nn.GRUCell's equations; weights as [in, 3H]."""
    r_x, z_x, n_x = (x @ weight_x + bias_x).chunk(3)
    r_h, z_h, n_h = (h @ weight_h + bias_h).chunk(3)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


class Direction:
    """One direction's cells, cut out of the engine's stacked parameters."""

    def __init__(self, engine: EmotionRecurrence, direction: int) -> None:
        k, size = direction, 3 * engine.party_dim
        self.engine, self.k = engine, k
        self.global_cell = (
            torch.cat([engine.global_from_party[k, 0], engine.global_from_party[k, 1], engine.global_from_x[k]]),
            engine.global_from_global[k],
            engine.global_bias_x[k],
            engine.global_bias_h[k],
        )

        def party_cell(plane: int, cell: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            own = slice(cell * size, (cell + 1) * size)
            from_global = engine.party_from_global[k].view(engine.global_dim, 2, -1)[:, plane, own]
            other = (engine.self_from_x if plane == 0 else engine.inter_from_context)[k][:, own]
            return (
                torch.cat([from_global, other]),
                engine.party_from_party[k, plane, cell],
                engine.party_bias_x[k, plane, own],
                engine.party_bias_h[k, plane, cell],
            )

        self.self_speaker, self.inter_speaker = party_cell(0, 0), party_cell(1, 0)
        if engine.listeners == "update":
            self.self_listener, self.inter_listener = party_cell(0, 1), party_cell(1, 1)
        cell = engine.emotion[k]
        self.emotion_cell = (cell.weight_ih_l0.T, cell.weight_hh_l0.T, cell.bias_ih_l0, cell.bias_hh_l0)

    def attend(self, past: Sequence[Tensor], x: Tensor) -> Tensor:
        """(2) and C."""
        attention, k = self.engine.attention, self.k
        if not past:
            return torch.zeros(self.engine.global_dim, dtype=x.dtype)
        logits = []
        for g in past:
            if attention.kind == "simple":
                logits.append(torch.tanh(g @ attention.weight[k, :, 0] + attention.bias[k, 0]))
            elif attention.kind == "simple-linear":
                logits.append(g @ attention.weight[k, :, 0])
            elif attention.kind == "dot":
                logits.append(x @ g)
            elif attention.kind == "concat":
                mixed = torch.tanh(g @ attention.weight_memory[k] + x @ attention.weight_query[k])
                logits.append(mixed @ attention.score[k, :, 0])
            else:
                query = x @ attention.weight[k]
                if attention.kind.startswith("general2"):
                    query = query + attention.bias[k]
                logit = query @ g
                logits.append(torch.tanh(logit) if attention.kind == "general2-tanh" else logit)
        alpha = torch.softmax(torch.stack(logits), dim=0)
        return sum((weight * g for weight, g in zip(alpha, past, strict=True)), torch.zeros_like(past[0]))

    def run(self, turns: Sequence[Tensor], speakers: Sequence[int]) -> list[Tensor]:
        """(1)–(7) over one dialogue in reading order."""
        engine, k = self.engine, self.k
        parties = set(speakers)
        state_s = dict.fromkeys(parties, engine.initial_party[k, 0, 0])
        state_i = dict.fromkeys(parties, engine.initial_party[k, 1, 0])
        g, e = engine.initial_global[k, 0], engine.initial_emotion[k, 0]
        past: list[Tensor] = []
        emotions = []
        for x, s in zip(turns, speakers, strict=True):
            g = gru_cell(torch.cat([state_s[s], state_i[s], x]), g, *self.global_cell)  # (1)
            a = self.attend(past, x)  # (2)
            for p in parties:
                if p == s:
                    state_s[p] = gru_cell(torch.cat([g, x]), state_s[p], *self.self_speaker)  # (3)
                    state_i[p] = gru_cell(torch.cat([g, a]), state_i[p], *self.inter_speaker)  # (5)
                elif engine.listeners == "update":
                    state_s[p] = gru_cell(torch.cat([g, x]), state_s[p], *self.self_listener)  # (4)
                    state_i[p] = gru_cell(torch.cat([g, a]), state_i[p], *self.inter_listener)  # (6)
            e = gru_cell(torch.cat([g, x, state_s[s]]), e, *self.emotion_cell)  # (7)
            past.append(g)
            emotions.append(e)
        return emotions


def emotion_recurrence(engine: EmotionRecurrence, x_BTD: Tensor, speaker_BT: Tensor, n_turns_B: Tensor) -> Tensor:
    """ē of every real turn, 0 on padding (8)."""
    output = x_BTD.new_zeros(*speaker_BT.shape, engine.output_dim)
    rows = []
    for b, n in enumerate(n_turns_B.tolist()):
        turns, speakers = list(x_BTD[b, :n]), speaker_BT[b, :n].tolist()
        parts = [Direction(engine, 0).run(turns, speakers)]
        if engine.n_directions == 2:
            parts.append(Direction(engine, 1).run(turns[::-1], speakers[::-1])[::-1])
        e_TE = torch.stack([torch.cat(states) for states in zip(*parts, strict=True)])
        rows.append(torch.cat([e_TE, output[b, n:]]))
    return torch.stack(rows)
