import pytest
import torch

from dialogue_ser.encoders import build_input
from dialogue_ser.encoders.layer_mix import LayerMix, LayerMixConfig
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec


@pytest.fixture
def mix() -> LayerMix:
    torch.manual_seed(0)
    mix = LayerMix(LayerMixConfig(n_layers=4), 12).double()
    torch.nn.init.normal_(mix.scores_K)
    return mix


def frames(lengths_BT):
    torch.manual_seed(1)
    lengths_BT = torch.tensor(lengths_BT)
    x_BTLD = torch.randn(*lengths_BT.shape, int(lengths_BT.max()) + 2, 12, dtype=torch.float64)
    return x_BTLD, lengths_BT, lengths_BT > 0


def test_it_is_the_weighted_sum_of_layers_averaged_over_valid_frames(mix):
    x, lengths, present = frames([[5, 2], [1, 0]])
    x[0, 1, 2:] = torch.nan  # values after the end do not matter
    out = mix(x, lengths, present)
    share = mix.scores_K.exp() / mix.scores_K.exp().sum()
    for b, t in ((0, 0), (0, 1), (1, 0)):
        layers = x[b, t, : lengths[b, t]].mean(0).view(4, 3)  # the layers come one after another
        torch.testing.assert_close(out[b, t], sum(share[k] * layers[k] for k in range(4)))
    assert not out[1, 1].any()
    assert out.shape == (2, 2, 3)


def test_vectors_averaged_before_give_the_same_as_frames(mix):
    x, lengths, present = frames([[3, 7], [4, 0]])
    valid = torch.arange(x.shape[2]) < lengths[..., None]
    mean = (x * valid[..., None]).sum(2) / lengths.clamp_min(1)[..., None]
    torch.testing.assert_close(mix(mean, None, present), mix(x, lengths, present))


def test_it_starts_with_equal_weights_and_learns_which_layer_matters():
    torch.manual_seed(0)
    mix = LayerMix(LayerMixConfig(n_layers=4), 12)
    torch.testing.assert_close(mix.layer_weights, torch.full((4,), 0.25))
    x = torch.randn(1, 64, 12)
    wanted = x.view(1, 64, 4, 3)[:, :, 2]
    optimizer = torch.optim.Adam(mix.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (mix(x, None, torch.ones(1, 64) > 0) - wanted).square().mean().backward()
        optimizer.step()
    assert mix.layer_weights.argmax() == 2
    assert mix.layer_weights[2] > 0.9


def test_normalised_layers_count_the_same_at_any_size():
    mix = LayerMix(LayerMixConfig(n_layers=4, normalise=True), 12).double()
    x, lengths, present = frames([[3, 5]])
    larger = x.clone()
    larger[..., 3:6] *= 100
    torch.testing.assert_close(mix(larger, lengths, present), mix(x, lengths, present), rtol=1e-3, atol=1e-3)
    plain = LayerMix(LayerMixConfig(n_layers=4), 12).double()
    assert not torch.allclose(plain(larger, lengths, present), plain(x, lengths, present), atol=0.1)


def test_a_wrong_number_of_layers_is_refused():
    with pytest.raises(ConfigError, match="12 features are not those of 5 layers; set n_layers"):
        build_input(InputSpec(kind="vector", dim=12, encoder="layer-mix", options={"n_layers": 5}))
    with pytest.raises(ConfigError, match="n_layers 0"):
        LayerMixConfig(n_layers=0)
    assert build_input(InputSpec(kind="vector", dim=12, encoder="layer-mix", options={"n_layers": 4})).out_dim == 3
