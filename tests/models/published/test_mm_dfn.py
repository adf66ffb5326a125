"""Published weights of MM-DFN, against its equations edge by edge."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.golden import Row
from dialogue_ser.errors import ConfigError
from dialogue_ser.models.graph.mm_dfn import MMDFN
from tests.support.modality_graph import DIMS, log_probs, shapes
from tests.support.modality_graph import MM_DFN as PUBLISHED
from tests.support.published_models import check


def row(folder: Path, **settings: Any) -> Row:
    given = PUBLISHED | settings
    dims = {name: given[name] for name in DIMS}
    return check(
        folder, "mm_dfn", given, partial(log_probs, settings=given), shapes(given, is_mm_dfn=True), dims,
        speakers=("abbac", "a"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reason_flag": False, "speaker_weights": "3-0-1", "use_speaker": True, "modal_weight": 0.7, "alpha": 0.1},
        {"use_crn_speaker": False, "use_residue": False, "lamda": 1, "use_modal": True, "layers": 2},
        {"av_using_lstm": True, "hidden": 2, "graph": 5, "modals": "al", "speaker_weights": "1-9-0.25"},
        {"modals": "av", "use_speaker": True},
        {"modals": "l", "modal_weight": 0.3},
    ],
    ids=lambda settings: "-".join(map(str, settings)) or "published",
)
def test_published_weights_give_the_published_numbers(settings: dict[str, Any], tmp_path: Path) -> None:
    found = row(tmp_path, **settings)
    assert found.is_equal, found


@pytest.mark.parametrize("written", ["1-1", "1-1-x", "", "1-1-1-1"])
def test_speaker_weights_must_be_three_numbers(written: str) -> None:
    with pytest.raises(ConfigError, match=f"speaker_weights: found '{written}', expected three numbers"):
        MMDFN.load_published({}, PUBLISHED | {"speaker_weights": written})
