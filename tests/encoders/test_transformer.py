import builtins
import json

import pytest
import torch

from dialogue_ser.encoders import as_saved, build_input
from dialogue_ser.encoders.transformer import Transformer, TransformerConfig
from dialogue_ser.errors import ConfigError, MissingDataError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.nn.frames.token_rows import group_by_length

N_IDS = 15
ROWS = [[2, 4, 5, 3], [2, 7, 3], [2, 9, 10, 11, 13, 4, 5, 6, 3], [2, 8, 3], [2, 12, 13, 3]]


def spec(folder, **options) -> InputSpec:
    return InputSpec(kind="tokens", dim=N_IDS, encoder="transformer", options={"model": str(folder), **options})


def build(folder, **options) -> Transformer:
    torch.manual_seed(1)
    encoder = build_input(spec(folder, **options))
    assert isinstance(encoder, Transformer)
    return encoder


def batch(rows=ROWS, own=slice(None)):
    """All rows as the turns of one dialogue: packed ids, lengths, presence."""
    longest = max(map(len, rows))
    values = torch.full((1, len(rows), longest), 2 * 6 + 1)  # values of padding do not matter
    for i, row in enumerate(rows):
        packed = 2 * torch.tensor(row)
        packed[own] += 1
        values[0, i, : len(row)] = packed
    return values, torch.tensor([[len(row) for row in rows]]), torch.ones(1, len(rows), dtype=torch.bool)


def reference(folder, row, own=slice(None), layers=1):
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(torch.tensor([row]), output_hidden_states=True).hidden_states
    return torch.stack(states[-layers:]).mean(0)[0][own].mean(0)


def test_a_vector_is_the_mean_of_the_turns_own_tokens(tiny_text_model):
    own = slice(1, -1)
    encoder = build(tiny_text_model).eval()
    out = encoder(*batch(own=own))
    for i, row in enumerate(ROWS):
        torch.testing.assert_close(out[0, i], reference(tiny_text_model, row, own), atol=1e-6, rtol=0)


def test_models_that_read_frames_get_the_state_of_every_token(tiny_text_model):
    from transformers import AutoModel

    encoder, (values, lengths, present) = build(tiny_text_model).eval(), batch(own=slice(1, -1))
    model = AutoModel.from_pretrained(tiny_text_model).eval()
    present[0, 3] = False
    out = encoder.frames(values, lengths, present)
    assert out.shape == (1, len(ROWS), 9, encoder.out_dim)
    for i, row in enumerate(ROWS):
        expected = model(torch.tensor([row])).last_hidden_state[0]
        torch.testing.assert_close(out[0, i, : len(row)], expected * (i != 3), atol=1e-6, rtol=0)
    nothing = encoder.frames(values, lengths, present & False)
    assert nothing.shape == (1, len(ROWS), 1, encoder.out_dim)
    assert not nothing.any()


def test_whole_dialogues_give_no_frames(tiny_text_model):
    with pytest.raises(ConfigError, match="whole_dialogue gives a turn's vector"):
        build(tiny_text_model, whole_dialogue=True).frames(*batch())


def test_the_last_layers_and_the_first_token_can_be_used(tiny_text_model):
    layers = build(tiny_text_model, last_layers=2).eval()(*batch())
    torch.testing.assert_close(layers[0, 2], reference(tiny_text_model, ROWS[2], layers=2), atol=1e-6, rtol=0)
    first = build(tiny_text_model, pooling="cls").eval()(*batch())
    torch.testing.assert_close(first[0, 1], reference(tiny_text_model, ROWS[1], slice(0, 1)), atol=1e-6, rtol=0)


def test_neither_padding_nor_other_rows_change_a_row(tiny_text_model):
    encoder = build(tiny_text_model).double().eval()
    together = encoder(*batch())[0]
    for i, row in enumerate(ROWS):
        torch.testing.assert_close(encoder(*batch([row]))[0, 0], together[i], atol=1e-12, rtol=0)
    values, lengths, present = batch()
    wider = torch.cat([values, torch.full((1, len(ROWS), 5), 9)], dim=2)
    assert torch.equal(encoder(wider, lengths, present)[0], together)


SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
FAMILIES = {
    "Albert": {"embedding_size": 8},
    "DebertaV2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    "Electra": {"embedding_size": 8},
    "ModernBert": {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3},
    "MPNet": {"pad_token_id": 1},
    "Roberta": {"pad_token_id": 1},
    "T5": {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_padded_rows_equal_single_rows_in_every_family_of_models(family):
    import transformers

    config = getattr(transformers, f"{family}Config")(**SMALL | FAMILIES[family])
    architecture = json.loads(config.to_json_string(use_diff=False))
    encoder = Transformer(TransformerConfig(pretrained=False, architecture=architecture), 40).double().eval()
    rows = [torch.randint(5, 40, (length,)) for length in (9, 8, 8, 3)]
    values, lengths = torch.full((4, 9), 2 * 6 + 1), torch.tensor([9, 8, 8, 3])
    for i, row in enumerate(rows):
        values[i, : len(row)] = 2 * row + 1
    vectors = encoder.encode_rows(values, lengths, lengths)
    for vector, row in zip(vectors, rows, strict=True):
        alone = encoder.model(input_ids=row[None]).last_hidden_state[0].mean(0)
        torch.testing.assert_close(vector, alone, atol=1e-9, rtol=0)


def test_the_vocabulary_gets_one_gradient_for_any_number_of_passes(tiny_text_model):
    encoder = build(tiny_text_model)
    values, lengths, present = batch()
    assert len(group_by_length(lengths[0].tolist())[1]) > 1
    out = encoder(values, lengths, present)
    nodes, seen = [out.grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.append(node)
            nodes += [below for below, _ in node.next_functions]
    words = encoder.model.get_input_embeddings().weight
    lookups = [node for node in seen if "Embedding" in type(node).__name__]
    assert sum(node.next_functions[0][0].variable is words for node in lookups) == 1


def test_a_whole_dialogue_is_one_sequence_and_each_turn_the_mean_of_its_own_tokens(tiny_text_model):
    own = slice(1, -1)
    encoder = build(tiny_text_model, whole_dialogue=True).eval()
    values, lengths, present = batch(own=own)
    present[0, 1] = False
    out = encoder(values, lengths, present)[0]
    kept = [i for i in range(len(ROWS)) if i != 1]
    joined = [token for i in kept for token in ROWS[i]]
    place = 0
    for i in kept:
        inside = slice(place + 1, place + len(ROWS[i]) - 1)
        torch.testing.assert_close(out[i], reference(tiny_text_model, joined, inside), atol=1e-6, rtol=0)
        place += len(ROWS[i])
    assert not out[1].any()
    first = build(tiny_text_model, whole_dialogue=True, pooling="cls").eval()(values, lengths, present)[0]
    torch.testing.assert_close(first[2], reference(tiny_text_model, joined, slice(4, 5)), atol=1e-6, rtol=0)


def test_dialogues_of_a_batch_do_not_see_each_other_and_long_ones_are_cut(tiny_text_model):
    encoder = build(tiny_text_model, whole_dialogue=True).double().eval()
    values, lengths, present = batch()
    both = encoder(values.repeat(2, 1, 1), lengths.repeat(2, 1), torch.cat([present, present & (lengths > 3)]))
    torch.testing.assert_close(both[0], encoder(values, lengths, present)[0], atol=1e-12, rtol=0)
    assert not torch.allclose(both[1, 0], both[0, 0])
    alone = build(tiny_text_model).double().eval()(values, lengths, present)
    cut = build(tiny_text_model, whole_dialogue=True, max_dialogue_tokens=1).double().eval()(values, lengths, present)
    torch.testing.assert_close(cut, alone, atol=1e-12, rtol=0)


def test_all_layers_are_trained_or_the_lowest_are_frozen(tiny_text_model):
    def moved(**options):
        encoder = build(tiny_text_model, **options)
        encoder(*batch()).square().sum().backward()
        trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
        assert trained == {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
        return trained, encoder

    everything, encoder = moved()
    assert everything == set(encoder.depths())
    upper, _ = moved(freeze_layers=2)
    assert upper
    assert all(name.startswith("model.encoder.layer.2.") for name in upper)


def test_depths_count_the_layers_above(tiny_text_model):
    depths = build(tiny_text_model).depths()
    assert depths["model.embeddings.word_embeddings.weight"] == 3
    assert depths["model.embeddings.LayerNorm.bias"] == 3
    assert [depths[f"model.encoder.layer.{i}.attention.self.query.weight"] for i in range(3)] == [2, 1, 0]


def test_gradient_checkpointing_changes_no_gradient(tiny_text_model):
    def gradients(**options):
        encoder = build(tiny_text_model, **options)
        torch.manual_seed(5)
        encoder(*batch()).square().sum().backward()
        return [parameter.grad for parameter in encoder.parameters()]

    for plain, again in zip(gradients(), gradients(gradient_checkpointing=True), strict=True):
        torch.testing.assert_close(plain, again, atol=1e-7, rtol=1e-5)


def test_dropouts_inside_can_be_set(tiny_text_model):
    encoder = build(tiny_text_model, dropout=0.0, hidden_dropout=0.0, attention_dropout=0.0)
    assert torch.equal(encoder.train()(*batch()), encoder.eval()(*batch()))
    control = build(tiny_text_model, dropout=0.0)
    assert not torch.equal(control.train()(*batch()), control.eval()(*batch()))


def test_lora_trains_only_its_matrices_and_starts_as_the_model(tiny_text_model):
    pytest.importorskip("peft")
    encoder = build(tiny_text_model, lora_rank=2)
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    torch.testing.assert_close(encoder.eval()(*batch()), build(tiny_text_model).eval()(*batch()), atol=1e-7, rtol=0)
    few = build(tiny_text_model, lora_rank=2, lora_targets=["query", "value"], freeze_layers=2)
    names = [name for name, parameter in few.named_parameters() if parameter.requires_grad]
    assert len(names) == 4
    assert all("layer.2.attention" in name for name in names)
    with pytest.raises(ConfigError, match="lora_targets \\['nothing'\\]"):
        build(tiny_text_model, lora_rank=2, lora_targets=["nothing"])


def test_lora_without_peft_says_what_to_install(tiny_text_model, monkeypatch):
    found = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name == "peft":
            raise ImportError(name)
        return found(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDataError, match=r"pip install 'dialogue-ser\[lora\]'"):
        build(tiny_text_model, lora_rank=2)


def test_a_saved_model_is_built_from_its_architecture_without_the_folder(tiny_text_model):
    from dialogue_ser.features.pretrained.loading import PretrainedModel

    architecture = PretrainedModel(str(tiny_text_model), encoder="test").architecture()
    given = spec("nowhere", architecture=architecture, hidden_dropout=0.2)
    twin = build_input(as_saved(given))
    encoder = build(tiny_text_model)
    twin.load_state_dict(encoder.state_dict())
    assert torch.equal(twin.eval()(*batch()), encoder.eval()(*batch()))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"pooling": "max"}, "pooling 'max' is not one of mean, cls"),
        ({"dropout": 1.0, "last_layers": 0}, r"dropout 1\.0(.|\n)*last_layers 0"),
        ({"freeze_layers": 4}, "freeze_layers is 4, but the model has 3 separate layers"),
        ({"last_layers": 5}, "last_layers is 5, but the model has 3 layers"),
        ({"poling": "cls"}, "did you mean 'pooling'"),
    ],
)
def test_wrong_options_are_refused(tiny_text_model, options, complaint):
    with pytest.raises(ConfigError, match=complaint):
        build(tiny_text_model, **options)


def test_the_tokenizer_of_another_model_is_refused(tiny_text_model):
    with pytest.raises(ConfigError, match="embeds 15 tokens, but the tokenizer's front end was fitted to 9"):
        build_input(InputSpec(kind="tokens", dim=9, encoder="transformer", options={"model": str(tiny_text_model)}))
