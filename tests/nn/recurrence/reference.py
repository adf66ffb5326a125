"""The dialogue RNNs by plain loops, one dialogue at a time, line by line as in docs/equations.md."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence


def gru_cell(x: Tensor, h: Tensor, weight_x: Tensor, weight_h: Tensor, bias_x: Tensor, bias_h: Tensor) -> Tensor:
    """Return the new state by the equations of torch.nn.GRUCell; the weights have the shape [in, 3H]."""
    r_x, z_x, n_x = (x @ weight_x + bias_x).chunk(3)
    r_h, z_h, n_h = (h @ weight_h + bias_h).chunk(3)
    r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


class Direction:
    """The cells of one direction, as single cells from the joined parameters of the engine."""

    def __init__(self, engine: DialogueRecurrence, direction: int) -> None:
        self.engine, self.k = engine, direction
        self.cells = {
            cell: engine.cell_weights(direction, cell) for cell in ("global", "emotion", *engine.wiring.cells)
        }

    def step(self, cell: str, h: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the new state of a cell that reads the concatenation of its inputs."""
        weights = self.cells[cell]
        assert set(weights.inputs) == set(inputs), f"{cell} reads {set(weights.inputs)}"
        x, weight_x = torch.cat([inputs[name] for name in weights.inputs]), torch.cat(list(weights.inputs.values()))
        return gru_cell(x, h, weight_x, weights.hidden, weights.bias_x, weights.bias_h)

    def attend(self, past: Sequence[Tensor], x: Tensor) -> Tensor:
        """Return the context of equation (2), for every kind of attention."""
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
        """Return e of each turn of one dialogue, in reading order."""
        return (self.run_emotion_rnn if len(self.engine.wiring.planes) == 2 else self.run_dialogue_rnn)(turns, speakers)

    def run_emotion_rnn(self, turns: Sequence[Tensor], speakers: Sequence[int]) -> list[Tensor]:
        """Return e of each turn by equations (1) to (7)."""
        engine, k = self.engine, self.k
        parties, updates = set(speakers), engine.wiring.updates_listeners
        state_s = dict.fromkeys(parties, engine.initial_party[k, 0, 0])
        state_i = dict.fromkeys(parties, engine.initial_party[k, 1, 0])
        g, e = engine.initial_global[k, 0], engine.initial_emotion[k, 0]
        past: list[Tensor] = []
        emotions = []
        for x, s in zip(turns, speakers, strict=True):
            g = self.step("global", g, {"self": state_s[s], "inter": state_i[s], "x": x})  # (1)
            a = self.attend(past, x)  # (2)
            for p in parties:
                if p == s:
                    state_s[p] = self.step("speaker.self", state_s[p], {"g": g, "x": x})  # (3)
                    state_i[p] = self.step("speaker.inter", state_i[p], {"g": g, "context": a})  # (5)
                elif updates:
                    state_s[p] = self.step("listener.self", state_s[p], {"g": g, "x": x})  # (4)
                    state_i[p] = self.step("listener.inter", state_i[p], {"g": g, "context": a})  # (6)
            e = self.step("emotion", e, {"g": g, "x": x, "self": state_s[s]})  # (7)
            past.append(g)
            emotions.append(e)
        return emotions

    def run_dialogue_rnn(self, turns: Sequence[Tensor], speakers: Sequence[int]) -> list[Tensor]:
        """Return e of each turn by the equations of DialogueRNN."""
        engine, k = self.engine, self.k
        parties = set(speakers)
        q = dict.fromkeys(parties, engine.initial_party[k, 0, 0])
        g, e = engine.initial_global[k, 0], engine.initial_emotion[k, 0]
        past: list[Tensor] = []
        emotions = []
        for x, s in zip(turns, speakers, strict=True):
            g = self.step("global", g, {"x": x, "party": q[s]})
            c = self.attend(past, x)
            q[s] = self.step("speaker.party", q[s], {"x": x, "context": c})
            if engine.wiring.updates_listeners:
                for p in parties - {s}:
                    q[p] = self.step("listener.party", q[p], {"x": x, "speaker": q[s]})
            e = self.step("emotion", e, {"party": q[s]})
            past.append(g)
            emotions.append(e)
        return emotions


def dialogue_recurrence(engine: DialogueRecurrence, x_BTD: Tensor, speaker_BT: Tensor, n_turns_B: Tensor) -> Tensor:
    """Return ē of every real turn (8), and 0 on padding."""
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
