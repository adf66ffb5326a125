"""DialogueGCN: its graph, its attention, its options; the invariants hold it to more."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.models import build_model, resolve_options
from dialogue_ser.models.graph.dialogue_gcn import DialogueGCN
from tests.models.graph.test_dag_erc import INPUTS, batch_of

SMALL = {"context_dim": 3, "graph_dim": 4, "n_bases": 2}


def system_of(**options: Any) -> DialogueGCN:
    system = build_model("dialogue-gcn", SMALL | options, INPUTS, 3).eval()
    assert isinstance(system, DialogueGCN)
    return system


def relations(**options: Any) -> dict[tuple[int, int], int]:
    """(Turn, turn in its window) → relation, of the example with the speakers 0 1 1 0."""
    graph = system_of(**options)._graph(batch_of([0, 1, 1, 0]), torch.device("cpu"))
    numbers = graph.relations_R[graph.relation_E].tolist()
    return dict(zip(zip(graph.turn_E.tolist(), graph.seen_E.tolist(), strict=True), numbers, strict=True))


def test_published_relations_of_the_example() -> None:
    found = relations(relations="speakers", n_parties=2, window_past=1, window_future=1)
    assert found == {(0, 0): 1, (0, 1): 2, (1, 0): 5, (1, 1): 7, (1, 2): 6, (2, 1): 7, (2, 2): 7, (2, 3): 4,
                     (3, 2): 3, (3, 3): 1}  # fmt: skip
    found = relations(relations="speakers", n_parties=2, window_past=2, window_future=0)
    assert found == {(0, 0): 1, (1, 0): 5, (1, 1): 7, (2, 0): 5, (2, 1): 7, (2, 2): 7, (3, 1): 3, (3, 2): 3, (3, 3): 1}


def test_default_relations_are_same_speaker_and_direction() -> None:
    found = relations(window_past=1, window_future=1)
    assert found == {(0, 0): 3, (0, 1): 0, (1, 0): 1, (1, 1): 3, (1, 2): 2, (2, 1): 3, (2, 2): 3, (2, 3): 0,
                     (3, 2): 1, (3, 3): 3}  # fmt: skip


def test_more_speakers_than_party_numbers_share_the_last_number() -> None:
    batch = batch_of([0, 1, 2, 3])
    system = system_of(relations="speakers", n_parties=2)
    assert system._graph(batch, torch.device("cpu")).relations_R.max() < 8
    assert system(batch).scores_BTS.isfinite().all()


@pytest.mark.parametrize("edge_attention", ["bilinear", "position"])
def test_attention_shows_the_windows(edge_attention: str) -> None:
    system = system_of(edge_attention=edge_attention, window_past=1, window_future=1)
    attention = system(batch_of([0, 1, 1, 0], [0, 1]), return_attention=True).attention
    assert attention["all"].shape == (2, 4, 4)
    seen = [[row.nonzero()[:, 0].tolist() for row in weights] for weights in attention["window"]]
    assert seen == [[[0, 1], [0, 1, 2], [1, 2, 3], [2, 3]], [[0, 1], [0, 1], [], []]]
    torch.testing.assert_close(attention["window"][0].sum(1), torch.ones(4))


def _reached(turn: int, **options: Any) -> list[int]:
    """The turns whose scores change with the vector of one turn."""
    torch.manual_seed(1)
    system = system_of(context="none", nodal_attention=False, **{"graph_dim": 30, **options}).double()
    batch = batch_of([0, 1, 1, 0, 1])
    x_BTD = batch.features["text"].double().requires_grad_()
    scores = system(replace(batch, features={"text": x_BTD})).scores_BTS[0]
    return [t for t in range(5) if torch.autograd.grad(scores[t].sum(), x_BTD, retain_graph=True)[0][0, turn].any()]


def test_a_turn_gathers_from_its_window_and_in_the_published_form_it_sends_to_it() -> None:
    assert _reached(2, window_past=1, window_future=0) == [2, 3, 4]
    assert _reached(2, window_past=1, window_future=0, messages="send")[0] == 0
    assert 4 not in _reached(2, window_past=1, window_future=0, messages="send")


def test_wrong_options_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_options(
            "dialogue-gcn", {"causal": True, "edge_attention": "position", "messages": "send", "window_past": -1}
        )
    for name in ("edge_attention", "messages", "window_past"):
        assert f"model.options.{name}: " in str(caught.value)
    with pytest.raises(ConfigError, match="causal true"):
        system_of().stream()


@pytest.mark.parametrize("window_past", [0, 1, 4, 7, 10, 30, None])
def test_a_stream_keeps_all_turns_of_the_window_also_while_the_dialogue_is_shorter(window_past: int | None) -> None:
    torch.manual_seed(2)
    system = system_of(context="none", window_past=window_past, causal=True).double()
    batch = batch_of([0, 1, 1, 0, 2, 1, 0, 0, 1, 2, 1, 0])
    batch = replace(batch, features={name: values.double() for name, values in batch.features.items()})
    read = system.stream()
    with torch.no_grad():
        streamed = torch.stack([read(_turn(batch, t)) for t in range(12)])
        torch.testing.assert_close(streamed, system(batch).scores_BTS[0], rtol=0, atol=1e-12)


def _turn(batch: DialogueBatch, turn: int) -> DialogueBatch:
    """One turn as a batch."""
    own = slice(turn, turn + 1)
    return replace(
        batch,
        features={name: values[:, own] for name, values in batch.features.items()},
        is_present={name: values[:, own] for name, values in batch.is_present.items()},
        speaker=batch.speaker[:, own],
        n_turns=torch.tensor([1]),
        label=batch.label[:, own],
        is_real_turn=batch.is_real_turn[:, own],
        utterance_ids=(batch.utterance_ids[0][own],),
    )
