"""MMGCN: modalities, speakers, defaults; its numbers are in tests/models/published."""

from dataclasses import replace

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.graph.mmgcn import MMGCN, MMGCNConfig
from tests.support.batches import random_batch

SMALL = {"input_dim": 4, "context_dim": 3, "graph_dim": 4, "n_layers": 2}
TEXT, AUDIO = InputSpec(kind="vector", dim=6), InputSpec(kind="vector", dim=4)


def test_the_defaults_are_the_published_sizes_for_meld() -> None:
    inputs = {"audio": 300, "visual": 342, "text": 600}
    system = build_model("mmgcn", {}, {name: InputSpec(kind="vector", dim=size) for name, size in inputs.items()}, 7)
    shapes = {name: tuple(value.shape) for name, value in system.state_dict().items()}
    assert shapes["nodes.linear.text.weight"] == (200, 600)
    assert shapes["nodes.linear.audio.weight"] == (200, 300)
    assert shapes["nodes.rnn.text.weight_ih_l1"] == (400, 200)
    assert shapes["network.weight_LIH"] == (64, 200, 100)
    assert shapes["embeddings.speaker.weight"] == (9, 200)
    assert shapes["head.weight"] == (7, 900)
    assert system.speaker_equivariant


def test_several_vectors_of_the_text_are_one_modality_and_other_names_are_one_each() -> None:
    inputs = {"text1": TEXT, "praat": AUDIO, "text2": TEXT}
    system = build_model("mmgcn", SMALL, inputs, 3)
    assert isinstance(system, MMGCN)
    assert system.nodes.kinds == {"text": ["text1", "text2"], "praat": ["praat"]}
    assert system.nodes.linear["text"].in_features == 12
    assert list(system.nodes.rnn) == ["text"]
    assert list(build_model("mmgcn", SMALL | {"other_recurrence": True}, inputs, 3).nodes.rnn) == ["text", "praat"]  # type: ignore[attr-defined, arg-type]


@pytest.mark.parametrize("names", [("text",), ("audio",), ("face", "audio")])
def test_it_works_on_the_modalities_that_the_run_has(names: tuple[str, ...], caplog: pytest.LogCaptureFixture) -> None:
    inputs = dict.fromkeys(names, AUDIO)
    system = build_model("mmgcn", SMALL, inputs, 3).eval()
    assert "the run has no " in caplog.text
    batch = random_batch(inputs, n_speakers=2)
    others = replace(batch, speaker=torch.where(batch.is_real_turn, 0, -1))
    scores, merged = system(batch).scores_BTS, system(others).scores_BTS
    assert scores.isfinite().all()
    assert not torch.equal(scores, merged), "speakers are told apart without text too"


def test_speakers_beyond_the_table_share_its_last_row() -> None:
    inputs = {"text": TEXT}
    for speakers in ("order", "number"):
        torch.manual_seed(0)
        system = build_model("mmgcn", SMALL | {"n_speakers": 2, "speakers": speakers}, inputs, 3).eval()
        batch = random_batch(inputs, n_turns=(4,))
        many, two = (replace(batch, speaker=torch.tensor([row])) for row in ([0, 1, 2, 3], [0, 1, 1, 1]))
        assert torch.equal(system(many).scores_BTS, system(two).scores_BTS)


def test_the_traits_follow_the_numbering_of_speakers() -> None:
    traits = {}
    for speakers in ("order", "number", "none"):
        system = build_model("mmgcn", SMALL | {"speakers": speakers}, {"text": TEXT}, 3)
        traits[speakers] = (system.speaker_aware, system.speaker_equivariant)
    assert traits == {"order": (True, True), "number": (True, False), "none": (False, True)}


def test_options_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        MMGCNConfig(decay=0.0, initial_share=1.5)
    assert [problem.split(": ")[2] for problem in caught.value.problems] == [
        "found 0.0, expected more than 0",
        "found 1.5, expected 0 to 1",
    ]
    with pytest.raises(ConfigError, match="n_layers: found 0"):
        MMGCNConfig(n_layers=0)
