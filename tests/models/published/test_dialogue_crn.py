"""Published weights of DialogueCRN, against its equations turn by turn."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.golden import Row
from tests.support.published_models import check, linear, linear_shapes, rnn_shapes, run_rnn


def plain(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], *, base: str, steps: tuple[int, int]) -> Tensor:
    """Log-probabilities of one dialogue; steps of the situation and of the party."""
    x_TD, speaker_T = dialogue["text"], dialogue["speaker"]
    situation_TF = run_rnn(state, "rnn.", base, x_TD)
    party_TF = torch.zeros_like(situation_TF)
    for party in speaker_T.unique():
        own = torch.nonzero(speaker_T == party)[:, 0]
        gathered_TD = torch.zeros_like(x_TD).index_copy(0, torch.arange(len(own)), x_TD[own])
        party_TF = party_TF.index_copy(0, own, run_rnn(state, "rnn_parties.", base, gathered_TD)[: len(own)])
    read = []
    for number, (bank_TF, n_steps) in enumerate(zip((situation_TF, party_TF), steps, strict=True)):
        rows = []
        for x_F in bank_TF:
            q, h = linear(state, "cognition_net.fc.", x_F), torch.zeros_like(x_F)
            cell = h
            for _ in range(n_steps):
                names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                w, u, b, c = (state[f"cognition_net.reason_modules.{number}.lstm.{name}_l0"] for name in names)
                i, f, g, o = (w @ q + b + u @ h + c).chunk(4)
                cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(cell)
                q = torch.cat([h, torch.softmax(bank_TF @ h, 0) @ bank_TF])
            rows.append(q)
        read.append(torch.stack(rows))
    return linear(state, "cognition_net.smax_fc.", torch.relu(torch.cat(read[::-1], dim=-1))).log_softmax(-1)


def row(
    folder: Path,
    *,
    base: str = "LSTM",
    layers: int = 1,
    steps: tuple[int, int] = (2, 0),
    text: int = 5,
    hidden: int = 2,
    given: Mapping[str, object] | None = None,
) -> Row:
    size = 2 * hidden
    shapes = rnn_shapes("rnn.", base.lower(), text, hidden, layers)
    shapes |= rnn_shapes("rnn_parties.", base.lower(), text, hidden, layers)
    shapes |= linear_shapes("cognition_net.fc.", size, 2 * size) | linear_shapes("cognition_net.smax_fc.", 4 * size, 3)
    for number, n_steps in enumerate(steps):
        if n_steps:
            prefix = f"cognition_net.reason_modules.{number}.lstm."
            shapes |= rnn_shapes(prefix, "lstm", 2 * size, size, bidirectional=False)
    settings = {"text": text, "hidden": hidden, "base": base, "layers": layers, "classes": 3, "parties": 9}
    settings |= {"step_s": steps[0], "step_p": steps[1], "gamma": 1.0, "dropout": 0.25}
    return check(
        folder,
        "dialoguecrn",
        settings | (given or {}),
        lambda state, dialogue: plain(state, dialogue, base=base.lower(), steps=steps),
        shapes,
        {"text": text},
    )


@pytest.mark.parametrize("base", ["LSTM", "GRU"])
@pytest.mark.parametrize("steps", [(2, 0), (0, 1), (0, 0), (1, 3)])
def test_published_weights_give_the_published_numbers(base: str, steps: tuple[int, int], tmp_path: Path) -> None:
    found = row(tmp_path, base=base, steps=steps, layers=1 + (steps == (1, 3)), text=7 if base == "GRU" else 5)
    assert found.is_equal, found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"base": "Linear"}, "published setting base: found 'Linear', expected one of 'LSTM', 'GRU'"),
        ({"step_s": -1}, "situation_steps: found -1, expected at least 0"),
        ({"step_s": 0}, "cognition_net.reason_modules.0.lstm.weight_ih_l0: unknown"),
        ({"speaker_weights": "1-1"}, "published setting speaker_weights: is not known"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, object], words: str, tmp_path: Path) -> None:
    assert words in row(tmp_path, given=settings).problem
