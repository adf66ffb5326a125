"""Published weights of bc-LSTM, against its equations turn by turn."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.golden import Row
from tests.support.published_models import check, linear, linear_shapes, rnn_shapes, run_rnn


def plain(state: Mapping[str, Tensor], dialogue: Mapping[str, Tensor], *, attention: bool) -> Tensor:
    """Log-probabilities of one dialogue."""
    h_TH = run_rnn(state, "lstm.", "lstm", dialogue["text"])
    if attention:
        query_TH = linear(state, "matchatt.transform.", h_TH)
        h_TH = torch.stack([torch.softmax(torch.tanh(h_TH @ query_H), 0) @ h_TH for query_H in query_TH])
    return linear(state, "smax_fc.", torch.relu(linear(state, "linear.", h_TH))).log_softmax(-1)


def row(folder: Path, *, attention: bool, text: int = 5, hidden: int = 3, head: int = 4, **settings: object) -> Row:
    shapes = rnn_shapes("lstm.", "lstm", text, hidden, 2) | linear_shapes("matchatt.transform.", 2 * hidden, 2 * hidden)
    shapes |= linear_shapes("linear.", 2 * hidden, head) | linear_shapes("smax_fc.", head, 3)
    given = {"text": text, "hidden": hidden, "head": head, "attention": attention, "classes": 3, "parties": 9}
    return check(
        folder,
        "bc_lstm",
        given | {"dropout": 0.25} | settings,
        lambda state, dialogue: plain(state, dialogue, attention=attention),
        shapes,
        {"text": text},
    )


@pytest.mark.parametrize("attention", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"text": 7, "hidden": 2, "head": 3}], ids=["small", "other sizes"])
def test_published_weights_give_the_published_numbers(attention: bool, sizes: dict[str, int], tmp_path: Path) -> None:
    assert row(tmp_path, attention=attention, **sizes).is_equal


def test_an_attention_that_the_settings_leave_out_has_no_part_in_the_outputs(tmp_path: Path) -> None:
    found = row(tmp_path, attention=False)
    assert found.is_equal
    assert not row(tmp_path, attention=True, dropout="high").is_equal
