"""Each modality has its own columns, which are 0 where it is absent."""

import torch

from dialogue_ser.nn.fusion import ConcatFusion

VECTORS = {"text": torch.ones(1, 2, 3), "audio": torch.full((1, 2, 2), 5.0)}
PRESENT = {"text": torch.tensor([[True, True]]), "audio": torch.tensor([[True, False]])}


def test_modalities_keep_their_order() -> None:
    fused = ConcatFusion({"text": 3, "audio": 2})(VECTORS, PRESENT)
    assert fused.tolist() == [[[1.0, 1.0, 1.0, 5.0, 5.0], [1.0, 1.0, 1.0, 0.0, 0.0]]]


def test_projection_changes_the_width_and_an_absent_turn_stays_zero() -> None:
    fusion = ConcatFusion({"text": 3, "audio": 2}, projection={"audio": 4})
    fused = fusion(VECTORS, PRESENT)
    assert fusion.out_dim == fused.shape[-1] == 7
    assert fused[0, 1, 3:].abs().sum() == 0
    assert fused[0, 0, 3:].abs().sum() > 0


def test_dropout_rescales_what_it_keeps_and_stops_in_eval() -> None:
    fusion = ConcatFusion({"text": 3}, dropout=0.5)
    assert set(
        fusion({"text": torch.ones(1, 50, 3)}, {"text": torch.ones(1, 50, dtype=torch.bool)}).unique().tolist()
    ) == {0.0, 2.0}
    fusion.eval()
    assert fusion({"text": torch.ones(1, 5, 3)}, {"text": torch.ones(1, 5, dtype=torch.bool)}).unique().tolist() == [
        1.0
    ]
