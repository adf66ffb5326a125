"""DAG-ERC: its graph, its attention, its options; the invariants hold it to more."""

import pytest
import torch

from dialogue_ser.batch.dialogue_batch import DialogueBatch
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model, resolve_options

INPUTS = {"text": InputSpec(kind="vector", dim=5)}


def batch_of(*speakers: list[int]) -> DialogueBatch:
    longest = max(map(len, speakers))
    n_turns = torch.tensor([len(own) for own in speakers])
    is_real = torch.arange(longest) < n_turns[:, None]
    generator = torch.Generator().manual_seed(5)
    return DialogueBatch(
        features={"text": torch.randn(len(speakers), longest, 5, generator=generator)},
        is_present={"text": is_real},
        speaker=torch.tensor([[*own, *[-1] * (longest - len(own))] for own in speakers]),
        n_turns=n_turns,
        label=torch.where(is_real, 0, -100),
        is_real_turn=is_real,
        utterance_ids=tuple(tuple(f"{b}-{t}" for t in range(len(own))) for b, own in enumerate(speakers)),
    )


@pytest.mark.parametrize(("own_turns", "expected"), [(1, [[], [0], [1], [0, 1, 2]]), (2, [[], [0], [0, 1], [0, 1, 2]])])
def test_attention_shows_what_each_turn_of_the_example_sees(own_turns: int, expected: list[list[int]]) -> None:
    system = build_model("dag-erc", {"hidden_dim": 4, "own_turns": own_turns}, INPUTS, 3).eval()
    attention = system(batch_of([0], [0, 1, 1, 0]), return_attention=True).attention
    assert list(attention) == ["layer1", "layer2"]
    for weights_BTT in attention.values():
        assert weights_BTT[0].abs().sum() == 0
        assert [row.nonzero()[:, 0].tolist() for row in weights_BTT[1]] == expected
        torch.testing.assert_close(weights_BTT[1].sum(1), torch.tensor([0.0, 1.0, 1.0, 1.0]))


def test_nodal_attention_is_shown_and_looks_back_only() -> None:
    system = build_model("dag-erc", {"hidden_dim": 4, "nodal_attention": "past"}, INPUTS, 3).eval()
    weights = system(batch_of([0, 1, 0]), return_attention=True).attention["all"][0]
    assert (weights.triu(1) == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(3))


def test_the_defaults_are_the_published_ones_and_options_are_checked() -> None:
    found = resolve_options("dag-erc", {})
    assert (found["hidden_dim"], found["n_layers"], found["attention"], found["own_turns"]) == (300, 2, "rgcn", 1)
    with pytest.raises(ConfigError, match="own_turns: found 0, expected at least 1"):
        resolve_options("dag-erc", {"own_turns": 0})
    with pytest.raises(ConfigError, match="n_layers"):
        resolve_options("dag-erc", {"n_layers": 0})


def test_a_global_attention_says_how_to_get_a_stream() -> None:
    system = build_model("dag-erc", {"hidden_dim": 4, "nodal_attention": "global"}, INPUTS, 3)
    with pytest.raises(ConfigError, match=r"nodal_attention past"):
        system.stream()
