"""Published weights of MMGCN, against its equations edge by edge."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.golden import Row
from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.models.graph.mmgcn import MMGCN
from tests.support.modality_graph import DIMS, log_probs, shapes
from tests.support.modality_graph import MMGCN as PUBLISHED
from tests.support.published_models import check, random_state


def row(folder: Path, **settings: Any) -> Row:
    given = PUBLISHED | settings
    dims = {name: given[name] for name in DIMS}
    return check(
        folder, "mmgcn", given, partial(log_probs, settings=given), shapes(given, is_mm_dfn=False), dims,
        speakers=("abbac", "a"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"av_using_lstm": True, "use_modal": True, "hidden": 2, "input": 3, "graph": 5, "layers": 2, "text": 3},
        {"use_speaker": False, "modals": "al"},
        {"modals": "lv", "use_modal": True},
        {"modals": "va"},
        {"modals": "l", "layers": 1},
        {"modals": "a", "use_modal": True},
    ],
    ids=lambda settings: "-".join(map(str, settings)) or "published",
)
def test_published_weights_give_the_published_numbers(settings: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **settings)
    assert found.is_equal, found


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"modals": "avx"}, "modals: found 'avx', expected some of the letters a, v, l"),
        ({"modals": "aa"}, "modals: found 'aa'"),
        ({"graph_type": "relation"}, "graph_type: is not known"),
        ({"use_speaker": 1}, "use_speaker: found 1, expected bool"),
    ],
)
def test_settings_that_cannot_be_represented_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(named)):
        MMGCN.load_published({}, PUBLISHED | settings)


def test_all_tensors_that_do_not_fit_are_named() -> None:
    state = random_state(shapes(PUBLISHED, is_mm_dfn=False))
    del state["linear_v.bias"]
    with pytest.raises(CheckpointError) as caught:
        MMGCN.load_published(state | {"lstm_x.weight": torch.zeros(2)}, PUBLISHED | {"layers": 4})
    text = str(caught.value)
    assert "linear_v.bias: missing, expected [6]" in text
    assert "graph_model.graph_net.convs.3.weight: missing, expected [8, 4]" in text
    assert "lstm_x.weight: unknown, [2]" in text
