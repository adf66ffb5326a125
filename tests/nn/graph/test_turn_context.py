"""What reads the turns before a graph; the invariants of DialogueGCN hold all kinds to more."""

import pytest
import torch

from dialogue_ser.nn.graph.turn_context import ContextKind, TurnContext


@pytest.mark.parametrize("kind", ["lstm", "gru", "dialogue-rnn", "none"])
def test_a_stream_gives_the_states_of_the_whole_dialogue(kind: ContextKind) -> None:
    sizes = {"n_layers": 2, "global_dim": 3, "party_dim": 2, "listeners": "update", "dropout": 0.0}
    context = TurnContext(kind, 5, 4, causal=True, **sizes).double()
    x_BTD, speaker_BT = torch.randn(1, 4, 5, dtype=torch.float64), torch.tensor([[0, 1, 1, 0]])
    whole = context(x_BTD, speaker_BT, torch.tensor([4]))[0]
    read = context.stream()
    streamed = torch.stack([read(x_D, party) for x_D, party in zip(x_BTD[0], speaker_BT[0].tolist(), strict=True)])
    torch.testing.assert_close(streamed, whole)
    assert whole.shape == (4, context.out_dim) == (4, 4)
    assert TurnContext(kind, 5, 4, causal=False, **sizes).out_dim == 8
