"""E1 equals its equations for every turn, with both modalities and with each alone."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from dialogue_ser.batch.collate import collate
from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import FeatureTable, InputSpec
from dialogue_ser.models import build_model, resolve_options
from dialogue_ser.models.fusion.fusion_attention import Dense, FusionAttentionConfig, FusionAttentionSystem
from dialogue_ser.nn.frames.attentive_gru import AttentiveGRU
from dialogue_ser.training.config.presets import load_preset
from dialogue_ser.training.loop.optimize import L2Penalty

LABELS = LabelSet("emotion", ("angry", "happy", "neutral", "sad"))
FRAMES = {"audio": InputSpec(kind="frames", dim=3), "text": InputSpec(kind="frames", dim=5, encoder="meanpool")}
SMALL = {"units": {"audio": 4, "text": 6}, "fusion_dim": 7, "hidden_dim": 5, "dropout": 0.0, "recurrent_dropout": 0.0}
LENGTHS = {"audio": [7, 2, 11, 4, 0, 3], "text": [3, 5, 1, 4, 2, 0]}  # the last turns lack one modality each
TURNS = [4, 2]


plain = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "nn" / "frames" / "frame_reference.py")))


def _system(modalities=("audio", "text"), **options) -> FusionAttentionSystem:
    torch.manual_seed(0)
    inputs = {name: FRAMES[name] for name in modalities}
    system = build_model("fusion-attention", {**SMALL, **options}, inputs, len(LABELS)).double()
    assert isinstance(system, FusionAttentionSystem)
    with torch.no_grad():
        for name, value in [*system.named_parameters(), *system.named_buffers()]:
            if "norm" in name:  # other values than the initial ones
                value.uniform_(0.5, 1.5)
    return system


def _rows() -> dict[str, list[Tensor]]:
    torch.manual_seed(3)
    return {
        name: [torch.randn(n, FRAMES[name].dim).double() for n in lengths]  # collate keeps float32
        for name, lengths in LENGTHS.items()
    }


def _batch(rows: dict[str, list[Tensor]]) -> DialogueBatch:
    ids = [(f"d{d}", f"d{d}_u{t}") for d, n in enumerate(TURNS) for t in range(n)]
    dialogues = [
        Dialogue(f"d{d}", tuple(Utterance(id=turn, speaker="a") for own, turn in ids if own == f"d{d}"))
        for d in range(len(TURNS))
    ]
    tables = {
        name: FeatureTable(
            FRAMES[name], {turn: row.numpy() for (_, turn), row in zip(ids, found, strict=True) if len(row)}
        )
        for name, found in rows.items()
    }
    return collate(dialogues, tables, LABELS, dtype=torch.float64)


def _read(branch: AttentiveGRU, rows: list[Tensor]) -> list[Tensor]:
    """A branch, one row at a time; a row without frames has no frames afterwards either."""
    norm, present = branch.norm, [row for row in rows if len(row)]
    statistics = None if branch.training else (norm.running_mean, norm.running_var)
    normal = plain.batch_norm(present, norm.weight, norm.bias, statistics, norm.eps)
    states = [plain.gru(branch.gru, row) for row in normal]
    found = iter([plain.self_attention(row, branch.attention.weight.T, bias=-0.3) for row in states])
    return [next(found) if len(row) else row for row in rows]


def _dense(layer: Dense, x: list[Tensor]) -> list[Tensor]:
    norm = layer.norm
    statistics = None if layer.training else (norm.running_mean, norm.running_var)
    rows = [(layer.linear.weight @ one)[None] for one in x]
    normal = plain.batch_norm(rows, norm.weight, norm.bias, statistics, norm.eps)
    return [torch.stack([plain.fast_gelu(value) for value in row[0]]) for row in normal]


def _by_hand(system: FusionAttentionSystem, rows: dict[str, list[Tensor]]) -> Tensor:
    """Log-probabilities of every turn, one dialogue after another."""
    read = {name: _read(branch, rows[name]) for name, branch in system.branches.items()}
    if system.fusion is None:
        [only] = read.values()
        size = next(iter(system.branches.values())).out_dim
        x = [row.mean(0) if len(row) else torch.zeros(size, dtype=torch.float64) for row in only]
    else:
        fusion = system.fusion
        weights = [layer.weight for layer in (fusion.query, fusion.key, fusion.values[0], fusion.out)]
        x = []
        for audio, text in zip(read["audio"], read["text"], strict=True):
            if not len(text):
                x.append(torch.zeros(fusion.out_dim, dtype=torch.float64))
            elif not len(audio):  # no query: all text frames have the same weight
                x.append(weights[3] @ (weights[2] @ text.mean(0)))
            else:
                x.append(plain.fusion(audio, text, *weights, fusion.n_heads).mean(0))
    for layer in system.dense:
        x = _dense(layer, x)
    return torch.stack([torch.log_softmax(system.head.weight @ one + system.head.bias, 0) for one in x])


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("modalities", [("audio", "text"), ("audio",), ("text",)], ids="+".join)
def test_log_probabilities_and_gradients_are_the_plain_equations(modalities, mode) -> None:
    system, rows = _system(modalities).train(mode == "train"), _rows()
    batch = _batch({name: rows[name] for name in modalities})
    expected = _by_hand(system, rows)
    found = system(batch).scores_BTS[batch.is_real_turn].log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    parameters = dict(system.named_parameters())
    ours = torch.autograd.grad(found.sin().sum(), list(parameters.values()))
    theirs = torch.autograd.grad(expected.sin().sum(), list(parameters.values()))
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10, msg=name)


def test_sizes_are_those_of_the_document() -> None:
    inputs = {"audio": InputSpec(kind="frames", dim=39), "text": InputSpec(kind="frames", dim=768)}
    system = build_model("fusion-attention", {}, inputs, 4)
    assert isinstance(system, FusionAttentionSystem)
    assert {name: branch.gru.hidden_size for name, branch in system.branches.items()} == {"audio": 78, "text": 192}
    assert {branch.recurrent_dropout for branch in system.branches.values()} == {0.3}
    assert system.fusion is not None
    assert system.fusion.n_heads == 2
    assert [(layer.linear.out_features, layer.dropout.p) for layer in system.dense] == [(80, 0.3), (80, 0.3)]
    gru = {name: sum(p.numel() for p in branch.gru.parameters()) for name, branch in system.branches.items()}
    assert gru == {"audio": 3 * 78 * (39 + 78 + 2), "text": 3 * 192 * (768 + 192 + 2)}
    assert [n for n, p in system.named_parameters() if n.startswith("fusion.") and p.ndim == 2] == [
        "fusion.query.weight", "fusion.key.weight", "fusion.values.0.weight", "fusion.out.weight"
    ]  # fmt: skip


def test_the_preset_trains_as_the_document_says() -> None:
    config = load_preset("source-fusion-attention")
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.schedule, optimizer.decay) == (
        "sgd", 1e-3, "inverse-time", 1e-6
    )  # fmt: skip
    assert (config.training.batch_size, config.data.cut.protocol) == (30, "leave-one-speaker-out-partner-dev")
    assert (config.data.reader, config.data.labels, config.data.options) == (
        "iemocap",
        "4-class",
        {"scenario": "mixed"},
    )
    inputs = {"audio": InputSpec(kind="frames", dim=39), "text": InputSpec(kind="frames", dim=768)}
    system = build_model(config.model.name, config.model.options, inputs, 4)
    assert config.model.options.items() <= resolve_options("fusion-attention", {}).items()
    for own in system.parameters():
        own.grad = torch.zeros_like(own)
    L2Penalty(system, optimizer.l2).add_gradients()
    strengths = {  # of 2 · strength · w
        name: float((own.grad / own.detach() / 2).mean()) for name, own in system.named_parameters() if own.grad.any()
    }
    gru = [f"branches.{name}.gru.weight_{part}_l0" for name in inputs for part in ("ih", "hh")]
    heads = [f"fusion.{part}.weight" for part in ("query", "key", "values.0", "out")]
    assert strengths == pytest.approx(dict.fromkeys(gru, 1e-4) | dict.fromkeys(heads, 1e-3), rel=1e-3)


def test_statistics_use_valid_frames_only() -> None:
    """Frames of padding would make the variance smaller, and so would those of absent modalities."""
    system, rows = _system(), _rows()
    norm = system.branches["audio"].norm
    norm.running_mean.zero_()
    system(_batch(rows))
    torch.testing.assert_close(norm.running_mean, 0.1 * torch.cat(rows["audio"]).mean(0))


def test_a_turn_without_any_modality_is_scored_too() -> None:
    system, batch = _system().eval(), _batch(_rows())
    nothing = {name: present.clone() for name, present in batch.is_present.items()}
    for present in nothing.values():
        present[0, 1] = False
    found = system(replace(batch, is_present=nothing)).scores_BTS
    assert found.isfinite().all()
    torch.testing.assert_close(found[0, 0], system(batch).scores_BTS[0, 0])


def test_audio_is_the_query_by_default() -> None:
    swapped = _system(("text", "audio"))
    assert (swapped.query, swapped.values) == ("audio", ("text",))
    other = _system(query="text")
    assert (other.query, other.values) == ("text", ("audio",))
    assert _system(("text",)).query == "text"


def test_dropout_acts_while_training_only() -> None:
    system, batch = _system(dropout=0.4, recurrent_dropout=0.4), _batch(_rows())
    assert not torch.equal(system(batch).scores_BTS, system(batch).scores_BTS)
    system.eval()
    assert torch.equal(system(batch).scores_BTS, system(batch).scores_BTS)


def test_vectors_are_read_as_one_frame() -> None:
    spec = {"audio": InputSpec(kind="vector", dim=3), "text": FRAMES["text"]}
    torch.manual_seed(0)
    system = build_model("fusion-attention", SMALL, spec, len(LABELS)).double().eval()
    rows = _rows()
    rows["audio"] = [row[:1] for row in rows["audio"]]
    framed, batch = _batch(rows), _batch(rows)
    vectors = replace(
        batch,
        features={**batch.features, "audio": batch.features["audio"][:, :, 0]},
        lengths={"text": batch.lengths["text"]},
    )
    same = _system()
    same.load_state_dict({name.replace("encoders.audio.", ""): v for name, v in system.state_dict().items()})
    torch.testing.assert_close(system(vectors).scores_BTS, same.eval()(framed).scores_BTS)
    assert list(system.attending_encoders()) == ["text"]  # attention over one frame shows nothing


def test_the_token_states_of_a_trained_transformer_are_its_frames(tiny_text_model) -> None:
    options = {"model": str(tiny_text_model), "hidden_dropout": 0.0, "attention_dropout": 0.0, "dropout": 0.0}
    spec = {"text": InputSpec(kind="tokens", dim=15, encoder="transformer", options=options)}
    system = build_model("fusion-attention", SMALL, spec, len(LABELS))
    batch = _batch({"text": _rows()["text"]})
    ids = {"text": torch.where(batch.features["text"][..., 0] > 0, 2 * 7 + 1, 2 * 9 + 1)}
    scores = system(replace(batch, features=ids)).scores_BTS
    assert scores.shape == (2, 4, 4)
    scores[batch.is_real_turn].log_softmax(-1)[:, 0].sum().backward()
    trained = system.encoders["text"].model.get_input_embeddings().weight.grad
    assert trained is not None
    assert trained[[7, 9]].abs().sum(1).gt(0).all()
    [reader] = system.eval().attending_encoders().values()
    length = torch.tensor([4])
    [map_1LL] = reader.attention_maps(ids["text"][0, 0][None, :4], length, length)
    assert map_1LL.shape == (1, 4, 4)
    torch.testing.assert_close(map_1LL.sum(-1), torch.ones(1, 4))


def test_wrong_options_are_refused_and_the_error_says_what_to_change() -> None:
    with pytest.raises(ConfigError, match=r"units\.text: found 0, expected at least 1"):
        FusionAttentionConfig(units={"text": 0})
    with pytest.raises(ConfigError, match=r"the text branch has 5 units, which is not a multiple of n_heads 2; change"):
        _system(units={"audio": 4, "text": 5})
    with pytest.raises(ConfigError, match=r"model\.options\.query: unknown modality 'audoi'; did you mean 'audio'"):
        _system(query="audoi")
