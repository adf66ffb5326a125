"""Projections of the vectors of a modality: which of them a turn has decides what is read."""

import torch

from dialogue_ser.nn.vectors.projection import TextProjection, VectorProjection

IS_PRESENT = {"text1": torch.tensor([[True, True, False]]), "text2": torch.tensor([[True, False, False]])}
GENERATOR = torch.Generator().manual_seed(2)
VECTORS = {
    name: torch.randn(1, 3, 4, generator=GENERATOR).masked_fill(~present[..., None], 0.0)
    for name, present in IS_PRESENT.items()
}
SIZES = dict.fromkeys(VECTORS, 4)


def test_the_mean_is_over_the_vectors_that_a_turn_has() -> None:
    both = TextProjection(SIZES, 6, 0.0, is_mean=True).eval()
    one = TextProjection({"text1": 4}, 6, 0.0, is_mean=True).eval()
    one.layer.load_state_dict(both.layer.state_dict())
    found, alone = both(VECTORS, IS_PRESENT), one(VECTORS, IS_PRESENT)
    torch.testing.assert_close(found[0, 1], alone[0, 1])
    assert not torch.allclose(found[0, 0], alone[0, 0])


def test_a_turn_without_any_vector_has_the_projection_zero() -> None:
    projections = [TextProjection(SIZES, 6, 0.0, is_mean=is_mean) for is_mean in (True, False)]
    for projection in (*projections, VectorProjection(SIZES, 6, 0.0)):
        found = projection.eval()(VECTORS, IS_PRESENT)
        assert found.shape == (1, 3, 6)
        assert found[0, 2].abs().sum() == 0
        assert (found[0, :2].abs().sum(-1) > 0).all()
