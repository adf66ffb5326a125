"""GraphSmile: any number of text vectors and modalities, its further heads, and what its options build."""

import logging
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.graph import graphsmile
from dialogue_ser.models.graph.graphsmile import GraphSmile, GraphSmileConfig
from tests.support.batches import alone_of, random_batch

SENTIMENT = [[0, 1, 1, 2, -100], [2, -100, -100, -100, -100]]


def inputs_of(**sizes: int) -> dict[str, InputSpec]:
    return {name: InputSpec(kind="vector", dim=size) for name, size in sizes.items()}


def system_of(sizes: dict[str, int], **options: Any) -> GraphSmile:
    torch.manual_seed(3)
    system = build_model("graphsmile", {"hidden_dim": 6} | options, inputs_of(**sizes), 3).eval()
    assert isinstance(system, GraphSmile)
    return system


def scores(system: GraphSmile, batch: DialogueBatch) -> Tensor:
    with torch.no_grad():
        return system(batch).scores_BTS


def test_the_defaults_are_the_published_sizes_for_meld() -> None:
    system = build_model("graphsmile", {}, inputs_of(text=1024, visual=342, audio=300), 7)
    shapes = {name: tuple(value.shape) for name, value in system.state_dict().items()}
    assert shapes["projections.text.layer.0.weight"] == (384, 1024)
    assert sum(name.endswith("lin.weight") for name in shapes) == 3 * 5
    assert (shapes["head.weight"], shapes["sentiment.weight"], shapes["shift.weight"]) == ((7, 384), (3, 384), (2, 768))
    assert system.auxiliary_weights == {"sentiment": 0.5, "shift": 0.2}


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (("text",), [("text", "text")]),
        (("praat", "audio1", "audio2"), [("praat", "audio")]),
        (("text1", "text2", "visual", "audio"), [("text", "visual"), ("text", "audio"), ("visual", "audio")]),
    ],
)
def test_any_modalities_work(names: tuple[str, ...], pairs: list[tuple[str, str]], caplog) -> None:
    with caplog.at_level(logging.WARNING):
        system = system_of(dict.fromkeys(names, 5))
    assert system.pairs == pairs
    assert ("one graph joins text with itself" in caplog.text) == (len(names) == 1)
    assert ("the run has no" in caplog.text) == (len(pairs) < 3)
    assert scores(system, random_batch(inputs_of(**dict.fromkeys(names, 5)))).isfinite().all()


def test_only_the_chosen_text_vectors_are_read_and_the_others_are_named(caplog) -> None:
    sizes = {"text1": 4, "text2": 4, "text3": 4}
    with caplog.at_level(logging.WARNING):
        system = system_of(sizes, text_vectors=[2, 0])
    assert "text2 not read" in caplog.text
    batch = random_batch(inputs_of(**sizes))
    found = scores(system, batch)
    for name, is_read in (("text1", True), ("text2", False), ("text3", True)):
        changed = replace(batch, features=batch.features | {name: batch.features[name] + 1.0})
        assert torch.allclose(scores(system, changed), found) != is_read
    with pytest.raises(ConfigError, match=r"text_vectors: found \[3\], but the run has 3 vectors of the text"):
        system_of(sizes, text_vectors=[1, 3])
    with pytest.raises(ConfigError, match=r"set model\.options\.text_fusion to concat"):
        system_of({"text1": 4, "text2": 5})
    assert system_of({"text1": 4, "text2": 5}, text_fusion="concat").projections["text"].layer[0].in_features == 9  # type: ignore[index, union-attr, union-attr]


def test_each_pair_has_its_number_of_layers() -> None:
    system = system_of({"text": 4, "visual": 3, "audio": 2}, layers=[0, 2, 1])
    assert [len(graph.layers) for graph in system.graphs] == [0, 2, 1]  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"layers: found 2 numbers, expected one .* each of text\+visual, text\+audio"
    ):
        system_of({"text": 4, "visual": 3, "audio": 2}, layers=[1, 2])


def test_long_windows_need_no_list_of_edges(monkeypatch) -> None:
    batch = random_batch(inputs_of(text=4, audio=3), dtype=torch.float64)
    for past, future in [(-1, -1), (2, -1)]:
        system = system_of({"text": 4, "audio": 3}, past=past, future=future).double()
        listed = scores(system, batch)
        monkeypatch.setattr(graphsmile, "MOST_EDGES", 0)
        torch.testing.assert_close(scores(system, batch), listed, rtol=0, atol=1e-12)
        monkeypatch.undo()


def _further(system: GraphSmile, batch: DialogueBatch) -> tuple[dict[str, float], dict[str, Tensor], dict[str, Tensor]]:
    output = system.train()(batch)
    sums = system.auxiliary_numerators(output, batch, lambda scores, own: (scores.sum(), scores.sum()))
    return dict(system.auxiliary_counts(batch)), dict(sums), dict(output.auxiliary)


@pytest.mark.parametrize(("window", "n_pairs"), [(2, 2 * 4 + 1), (3, 9 + 1 + 1), (-1, 16 + 1)])
def test_further_losses_count_turns_and_pairs_with_known_sentiments(window: int, n_pairs: int) -> None:
    system = system_of({"text": 4}, shift_window=window, dropout=0.0)
    batch = replace(random_batch(inputs_of(text=4), (5, 1)), sentiment=torch.tensor(SENTIMENT))
    counts, sums, auxiliary = _further(system, batch)
    assert counts == {"sentiment": 5.0, "shift": float(n_pairs)}
    log_probs = auxiliary["sentiment"].log_softmax(-1)
    right = functional.nll_loss(log_probs.flatten(0, 1), batch.sentiment.flatten(), reduction="sum")  # type: ignore[union-attr]
    torch.testing.assert_close(sums["sentiment"], right)
    assert system.eval()(batch).auxiliary == {}


def test_a_shift_is_a_pair_of_different_sentiments_of_one_block() -> None:
    system = system_of({"text": 4}, shift_window=2, sentiment_weight=0.0, dropout=0.0)
    batch = replace(random_batch(inputs_of(text=4), (5, 1)), sentiment=torch.tensor(SENTIMENT))
    _, sums, auxiliary = _further(system, batch)
    fused_NH = system.fuse(system.turns.vectors(batch), batch.is_present, graphsmile.turn_index(batch))
    total, sentiment = torch.zeros(()), [*SENTIMENT[0], SENTIMENT[1][0]]
    for block in ([0, 1], [2, 3], [5]):
        for one, other in ((one, other) for one in block for other in block):
            own = system.shift(torch.cat([fused_NH[one], fused_NH[other]]))  # type: ignore[misc]
            total = total - own.log_softmax(-1)[int(sentiment[one] != sentiment[other])]
    torch.testing.assert_close(sums["shift"], total)
    assert list(auxiliary) == ["shift"]


def test_without_sentiments_the_heads_learn_nothing_and_this_is_said_once(caplog) -> None:
    system, batch = system_of({"text": 4}), random_batch(inputs_of(text=4))
    for _ in range(2):
        counts, sums, _ = _further(system, batch)
    assert set(counts.values()) == {0.0}
    assert [value.item() for value in sums.values()] == [0.0, 0.0]
    assert caplog.text.count("the turns have no sentiments") == 1
    bare = system_of({"text": 4}, sentiment_weight=0.0, shift_weight=0.0)
    assert (bare.sentiment, bare.shift, dict(bare.auxiliary_weights)) == (None, None, {})


def test_a_stream_is_refused_with_the_option_that_allows_it() -> None:
    with pytest.raises(ConfigError, match=r"cannot label turn by turn.*--model\.options\.future 0"):
        system_of({"text": 4}).stream()


def test_options_out_of_range_are_named_together() -> None:
    with pytest.raises(ConfigError, match="past: found -2, expected at least 0, or -1 for all turns") as caught:
        GraphSmileConfig(past=-2, shift_window=0, shift_weight=-1.0, layers=[], text_vectors=[1, 1])
    assert len(caught.value.problems) == 5


@pytest.mark.parametrize("names", [("audio",), ("text1", "text2"), ("text", "audio", "visual", "praat")])
@pytest.mark.parametrize("options", [{}, {"weights_by_place": True, "n_edge_weights": 7, "past": -1}])
def test_a_dialogue_has_the_same_scores_alone_and_in_a_batch(names: tuple[str, ...], options: dict[str, Any]) -> None:
    sizes = dict.fromkeys(names, 4)
    system, batch = system_of(sizes, **options).double(), random_batch(inputs_of(**sizes), dtype=torch.float64)
    for table in system.edge_weights:
        table.weight.data.uniform_(0.5, 1.5)  # type: ignore[operator, union-attr]
    together = scores(system, batch)
    for b, alone in enumerate(alone_of(batch)):
        torch.testing.assert_close(scores(system, alone)[0], together[b, : alone.speaker.shape[1]], rtol=0, atol=1e-12)


def test_weights_of_places_depend_on_the_length_of_the_dialogue_so_the_system_is_not_causal() -> None:
    system = system_of({"text": 3, "audio": 2}, past=1, future=0, weights_by_place=True, n_edge_weights=9)
    with torch.no_grad():
        for table in system.edge_weights:
            table.weight.copy_(torch.arange(1.0, 10.0))
    batch = random_batch(system.inputs, (4,))
    start = random_batch(system.inputs, (2,))
    features = {name: values[:, :2] for name, values in batch.features.items()}
    start = replace(start, features=features, speaker=batch.speaker[:, :2])
    assert not torch.allclose(scores(system, start), scores(system, batch)[:, :2], atol=1e-4)
    assert not system.causal
    with pytest.raises(ConfigError, match="weights_by_place"):
        system.stream()
