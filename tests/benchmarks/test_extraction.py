from pathlib import Path

import torch

from benchmarks.extraction import batch_shapes, first, multiply_adds, peak_multiply_adds
from benchmarks.page_tables.encoder_tables import extraction_texts, extraction_workers
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.report.readme import RENDERERS


def test_multiply_adds_are_those_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=10,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=40,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.zeros(2, 7, dtype=torch.long), attention_mask=torch.ones(2, 7, dtype=torch.long))
    assert counter.get_total_flops() == 2 * 2 * multiply_adds(7, 16, 40, 3)


def test_batches_hold_texts_of_one_length_only():
    shapes = batch_shapes([4] * 130 + [9], batch=64)
    assert shapes == {(64, 4): 2, (2, 4): 1, (1, 9): 1}
    assert batch_shapes([5] * 64, batch=64) == {(64, 5): 1}


def test_the_peak_is_a_rate():
    assert peak_multiply_adds(64) > 1e6


def test_a_part_of_a_corpus_is_whole_dialogues():
    talks = [Dialogue(f"d{i}", (Utterance(id=f"d{i}", speaker="s"),) * 2) for i in range(5)]
    assert [d.id for d in first(talks, 3)] == ["d0", "d1"]
    assert first(talks, None) == talks


def test_tables_are_drawn_from_a_result():
    texts = {
        "utterances": 20,
        "encoded": 10,
        "tokens": 90,
        "seconds": 2.0,
        "threads": 2,
        "fraction_of_peak": 0.5,
        "parts_seconds": {"a": 0.5},
    } | {"utterances_per_second": 10.0, "encoded_per_second": 5.0, "fraction_of_peak_products_alone": 0.8}
    texts |= {"multiply_adds_per_second": 5e9, "peak_multiply_adds_per_second": 1e10}
    row = {"what": "x, y", "engine": "ray", "workers": 2, "utterances_per_second": 4.0, "seconds": 1.0}
    result = {"texts": texts, "workers": [row | {"same_bits_as_first": True}], "command": "c"}
    result |= {"machine": {"line": "box"}, "versions": {"torch": "2"}}
    assert "5.0 of 10.0 billion multiply-adds/s: 50% of" in extraction_texts(result)
    assert "| a | 0.50 | 25% |" in extraction_texts(result)
    assert "| ray | 2 | 4.0 | 1.0 | yes |" in extraction_workers(result)


def test_without_a_result_the_page_says_so():
    assert "Not measured yet" in RENDERERS["extraction-texts"](Path("/nowhere"))
