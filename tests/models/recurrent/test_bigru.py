"""The GRU that does not know the speakers."""

import torch

from dialogue_ser.features.core.api import InputSpec
from dialogue_ser.models.recurrent.bigru import BiGRU, BiGRUConfig


def test_it_has_one_gru_per_direction_and_no_speaker_state() -> None:
    inputs = {"text": InputSpec(kind="vector", dim=4)}
    assert BiGRU(BiGRUConfig(), inputs, 3).gru.bidirectional
    assert not BiGRU(BiGRUConfig(causal=True), inputs, 3).gru.bidirectional
    assert not BiGRU.speaker_aware
    assert isinstance(BiGRU(BiGRUConfig(), inputs, 3).head[0], torch.nn.Linear)
