"""M3NET: any number of text vectors and modalities, and what its options build."""

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import DialogueSystem, build_model
from dialogue_ser.models.graph.m3net import M3NETConfig
from tests.support.batches import alone_of, random_batch

SMALL: dict[str, Any] = {"turn_dim": 8, "hidden_dim": 6}


def inputs_of(**sizes: int) -> dict[str, InputSpec]:
    return {name: InputSpec(kind="vector", dim=size) for name, size in sizes.items()}


def system_of(sizes: dict[str, int], **options: Any) -> DialogueSystem:
    torch.manual_seed(3)
    return build_model("m3net", SMALL | options, inputs_of(**sizes), 3).eval()


def scores(system: DialogueSystem, batch: DialogueBatch) -> torch.Tensor:
    with torch.no_grad():
        return system(batch).scores_BTS


def test_the_defaults_are_the_published_sizes_for_meld() -> None:
    system = build_model("m3net", {}, inputs_of(text1=1024, text2=1024, audio=300, visual=342), 7)
    shapes = {name: tuple(value.shape) for name, value in system.state_dict().items()}
    assert shapes["branches.text.rnn.weight_ih_l0"] == (1536, 1024)
    assert shapes["branches.text.rnn.weight_ih_l1_reverse"] == (1536, 1024)
    assert shapes["branches.audio.layer.weight"] == (1024, 300)
    assert (shapes["input.weight"], shapes["head.2.weight"]) == ((512, 1024), (7, 3 * 2 * 512))
    assert [name for name in shapes if name.startswith(("hyper.", "pairs."))][-1] == "pairs.2.gate.bias"


@pytest.mark.parametrize("names", [("text",), ("audio",), ("praat", "audio"), ("text1", "text2", "text3", "visual")])
def test_any_modalities_work(names: tuple[str, ...], caplog) -> None:
    sizes = dict.fromkeys(names, 5)
    with caplog.at_level(logging.WARNING):
        system = system_of(sizes)
    given = {"text" if name.startswith("text") else name for name in names}
    for kind in ("text", "audio", "visual"):
        assert (f"no {kind}" in caplog.text) == (kind not in given)
    assert list(system.branches) == sorted(given, key=lambda kind: [kind in name for name in names].index(True))  # type: ignore[arg-type]
    batch = random_batch(inputs_of(**sizes))
    found = scores(system, batch)
    assert found.isfinite().all()
    other = replace(batch, speaker=batch.speaker * 0)
    assert not torch.allclose(found, scores(system, other)), "the speakers have a part without a text, too"


def test_one_of_several_equal_text_vectors_is_as_good_as_all() -> None:
    one, three = system_of({"text": 5}, norm="none"), system_of({"text1": 5, "text2": 5, "text3": 5}, norm="none")
    three.load_state_dict(one.state_dict())
    batch = random_batch(inputs_of(text=5))
    names = ("text1", "text2", "text3")
    thrice = replace(
        batch,
        features=dict.fromkeys(names, batch.features["text"]),
        is_present=dict.fromkeys(names, batch.is_real_turn),
    )
    torch.testing.assert_close(scores(three, thrice), scores(one, batch))
    half = replace(thrice, is_present=thrice.is_present | {"text2": torch.zeros_like(batch.is_real_turn)})
    torch.testing.assert_close(scores(three, half), scores(one, batch))


def test_text_vectors_of_different_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"different sizes \(text1 has 4, text2 has 5\), but the mean of them needs"):
        system_of({"text1": 4, "text2": 5})


def test_all_speakers_after_the_last_vector_share_it() -> None:
    batch = random_batch(inputs_of(text=4), (6,))
    batch = replace(batch, speaker=torch.tensor([[0, 1, 2, 3, 4, 5]]))
    joined = replace(batch, speaker=torch.tensor([[0, 1, 2, 2, 2, 2]]))
    for speakers in ("order", "number"):
        system = system_of({"text": 4}, speakers=speakers, n_speakers=3)
        torch.testing.assert_close(scores(system, batch), scores(system, joined))
        assert system.speaker_equivariant == (speakers == "order")


def test_the_order_of_first_speech_equals_numbers_given_in_that_order() -> None:
    batch = random_batch(inputs_of(text=4), (5,))
    numbered, ordered = system_of({"text": 4}, speakers="number"), system_of({"text": 4}, speakers="order")
    as_spoken = replace(batch, speaker=torch.tensor([[0, 1, 0, 2, 1]]))
    renamed = replace(batch, speaker=torch.tensor([[7, 0, 7, 3, 0]]))
    torch.testing.assert_close(scores(ordered, renamed), scores(numbered, as_spoken))


def test_options_out_of_range_are_named_together() -> None:
    with pytest.raises(ConfigError, match="turn_dim: found 7, expected an even number") as caught:
        M3NETConfig(turn_dim=7, pair_layers=-1, hypergraph_layers=-2)
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError, match=r"norm: found 'BN', expected one of none, batch, layer, dialogue"):
        build_model("m3net", {"norm": "BN"}, inputs_of(text=4), 3)


@pytest.mark.parametrize("names", [("audio",), ("text", "audio", "visual"), ("text1", "text2")])
@pytest.mark.parametrize("options", [{}, {"norm": "dialogue", "weights_by_place": True, "n_node_weights": 5}])
def test_a_dialogue_has_the_same_scores_alone_and_in_a_batch(names: tuple[str, ...], options: dict[str, Any]) -> None:
    sizes = dict.fromkeys(names, 4)
    system, batch = system_of(sizes, **options).double(), random_batch(inputs_of(**sizes), dtype=torch.float64)
    for table in (system.edge_weights, system.node_weights):
        if table is not None:
            table.weight.data.uniform_(0.5, 1.5)  # type: ignore[operator, union-attr]
    together = scores(system, batch)
    for b, alone in enumerate(alone_of(batch)):
        torch.testing.assert_close(scores(system, alone)[0], together[b, : alone.speaker.shape[1]], rtol=0, atol=1e-12)
