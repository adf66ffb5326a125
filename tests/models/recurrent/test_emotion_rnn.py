"""The six variants and the options of EmotionRNN."""

import pytest
import torch

from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models import build_model
from dialogue_ser.models.recurrent.emotion_rnn import EmotionRNN, EmotionRNNConfig

TEXT, AUDIO = InputSpec(kind="vector", dim=6), InputSpec(kind="vector", dim=4)
VARIANTS = {
    f"{names}{kind.capitalize()}": (inputs, kind)
    for names, inputs in {
        "Audio": {"audio": AUDIO},
        "Text": {"text": TEXT},
        "AudioText": {"audio": AUDIO, "text": TEXT},
    }.items()
    for kind in ("simple", "matching")
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_six_variants_have_the_inputs_and_attention_of_their_names(variant: str) -> None:
    inputs, attention = VARIANTS[variant]
    system = EmotionRNN(EmotionRNNConfig(attention=attention), inputs, 7)  # type: ignore[arg-type]
    assert system.turns.out_dim == sum(spec.dim for spec in inputs.values())
    assert system.recurrence.attention.is_simple == (attention == "simple")
    assert system.head[-1].out_features == 7


def test_default_sizes_are_those_of_the_equations_page() -> None:
    system = EmotionRNN(EmotionRNNConfig(), {"text": TEXT}, 7)
    assert system.recurrence.initial_global.shape == (2, 1, 150)
    assert system.recurrence.initial_party.shape == (2, 2, 1, 150)
    assert system.recurrence.from_emotion.shape == (2, 100, 300)
    assert system.head[0].in_features == 200
    assert system.head[0].out_features == 100


def test_parameters_of_each_cell_are_those_of_a_gru_of_its_inputs() -> None:
    """2 directions × (GRU_G + GRU_SS + GRU_SL + GRU_IS + GRU_IL + GRU_E) + attention + initial states + head."""
    g, p, e, d = 150, 150, 100, 6

    def gru(inputs: int, hidden: int) -> int:
        return 3 * hidden * (inputs + hidden) + 4 * hidden  # r and z have one bias each

    direction = gru(2 * p + d, g) + 2 * gru(g + d, p) + 2 * gru(g + g, p) + gru(g + d + p, e)
    direction += d * g + g + 2 * p + e
    head = (2 * e + 1) * 100 + 101 * 7
    system = EmotionRNN(EmotionRNNConfig(), {"text": TEXT}, 7)
    assert sum(parameter.numel() for parameter in system.parameters()) == 2 * direction + head


def test_a_causal_system_reads_forwards_only() -> None:
    system = EmotionRNN(EmotionRNNConfig(causal=True), {"text": TEXT}, 7)
    assert system.causal
    assert not system.bidirectional_recurrence
    assert system.recurrence.n_directions == 1


def test_the_head_can_read_the_turn_too() -> None:
    torch.manual_seed(0)
    system = EmotionRNN(EmotionRNNConfig(head_input="emotion+turn"), {"text": TEXT}, 7)
    assert system.head[0].in_features == 200 + 6


def test_a_projection_of_an_unknown_modality_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'text'"):
        EmotionRNN(EmotionRNNConfig(projection={"txt": 3}), {"text": TEXT}, 7)


def test_dot_attention_needs_vectors_of_one_size() -> None:
    inputs = {"text": InputSpec(kind="vector", dim=6)}
    with pytest.raises(ConfigError, match=r"global_dim: found 150, .* must be 6"):
        build_model("emotion-rnn", {"attention": "dot"}, inputs, 2)
    assert build_model("emotion-rnn", {"attention": "dot", "global_dim": 6}, inputs, 2).n_scores == 2
