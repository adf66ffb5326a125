"""The CNN of E2: each image gives the same as torch's layers on this image without padding."""

import pytest
import torch
from torch import Tensor, nn

from dialogue_ser.encoders import build_input
from dialogue_ser.encoders.vgg import VGG, VGGConfig
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec

LENGTHS = [[70, 1, 33], [64, 0, 31]]  # as long as the batch, one frame, odd and even at every level, absent
SMALL = {"widths": [2, 3, 4, 3, 2], "linear_dims": [6, 5], "dropout": 0.0}


def build(dim: int = 40, **options) -> VGG:
    torch.manual_seed(0)
    model = VGG(VGGConfig(**SMALL | options), dim).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def images(lengths=LENGTHS, dim: int = 40, room: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    lengths_BT = torch.tensor(lengths)
    x_BTLD = torch.randn(*lengths_BT.shape, int(lengths_BT.max()) + room, dim, dtype=torch.float64)
    return x_BTLD, lengths_BT, lengths_BT > 0


def alone(model: VGG, x_LD: Tensor) -> Tensor:
    """The published order of layers on one image without padding."""
    image = x_LD.view(len(x_LD), model.config.channels, -1).permute(1, 0, 2)[None]
    for convolution in model.convolutions:
        image = nn.functional.leaky_relu(convolution(image), model.config.negative_slope)
        image = nn.functional.max_pool2d(image, 2, ceil_mode=True)
    x_D = image[0].mean(1).flatten()
    for layer in model.linear:
        x_D = nn.functional.leaky_relu(layer[0](x_D), model.config.negative_slope)
    return x_D


def rows_alone(model: VGG, x: Tensor, lengths: Tensor) -> Tensor:
    return torch.stack(
        [
            torch.stack(
                [
                    alone(model, row[:n]) if n else torch.zeros(model.out_dim, dtype=x.dtype)
                    for row, n in zip(*pair, strict=True)
                ]
            )
            for pair in zip(x, lengths, strict=True)
        ]
    )


@pytest.mark.parametrize("channels", [1, 2])
def test_values_and_gradients_are_those_of_each_image_alone(channels):
    model = build(channels=channels).eval()
    x, lengths, present = images()
    x[~(torch.arange(x.shape[2]) < lengths[..., None])] = torch.nan  # values after the end do not matter
    x.requires_grad_()
    found, expected = model(x, lengths, present), rows_alone(model, x, lengths)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert found.shape == (2, 3, 5)
    wanted = [x, *model.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found.sin().sum(), wanted), torch.autograd.grad(expected.sin().sum(), wanted), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    assert all(parameter.abs().sum() > 0 for parameter in torch.autograd.grad(model(x, lengths, present).sum(), wanted))


def test_control_an_image_with_its_padding_gives_other_numbers():
    model = build().eval()
    x, lengths, present = images()
    x[0, 2, 33:] = 0.0
    plain = model(x, lengths, present)[0, 2]
    assert not torch.allclose(alone(model, x[0, 2]), plain)
    assert not torch.allclose(alone(model, x[0, 2, :34]), plain)


def test_other_images_and_their_order_change_nothing():
    model = build().eval()
    x, lengths, present = images()
    together = model(x, lengths, present)
    alone_too = model(x[:1, 2:, :33], lengths[:1, 2:], present[:1, 2:])
    torch.testing.assert_close(alone_too[0, 0], together[0, 2], rtol=0, atol=1e-12)
    turned = model(x.flip(0, 1), lengths.flip(0, 1), present.flip(0, 1))
    torch.testing.assert_close(turned.flip(0, 1), together, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_bands", [1, 7, 40])
def test_few_bands_and_single_frames_are_enough(n_bands):
    model = build(n_bands).eval()
    x, lengths, present = images([[1, 2]], n_bands)
    torch.testing.assert_close(model(x, lengths, present), rows_alone(model, x, lengths), rtol=0, atol=1e-10)


def with_batch_norm() -> tuple[VGG, list[nn.BatchNorm2d]]:
    """The model, and torch's batch norms with the same gains and shifts."""
    model = build(batch_norm=True)
    theirs = [nn.BatchNorm2d(norm.weight.numel()).double() for norm in model.norms]
    for norm, other in zip(model.norms, theirs, strict=True):
        other.load_state_dict(norm.state_dict(), strict=False)  # it also counts batches
    return model, theirs


def test_batch_norm_of_images_of_one_length_is_torchs():
    model, theirs = with_batch_norm()
    x, lengths, present = images([[18, 18, 18]], room=0)
    image = x[0][:, None]
    found = model(x, lengths, present)[0]
    for convolution, norm in zip(model.convolutions, theirs, strict=True):
        image = nn.functional.max_pool2d(convolution(image), 2, ceil_mode=True)
        image = nn.functional.leaky_relu(norm(image), 0.01)
    torch.testing.assert_close(found, model.linear(image.mean(2).flatten(1)), rtol=0, atol=1e-10)
    for norm, other in zip(model.norms, theirs, strict=True):
        torch.testing.assert_close(norm.running_var, other.running_var)


def test_batch_norm_uses_the_valid_frames_of_all_images():
    """Neither the values beyond the end of an image nor its pass change a statistic."""
    model, _ = with_batch_norm()
    x, lengths, present = images([[40, 3, 17]])
    found = model(x, lengths, present)
    x[0, 1, 3:], x[0, 2, 17:] = 1e6, -1e6
    torch.testing.assert_close(model(x, lengths, present), found, rtol=0, atol=1e-12)
    first = model.convolutions[0]
    bare = [
        nn.functional.max_pool2d(first(row[None, None, :n]), 2, ceil_mode=True)[0].flatten(1)
        for row, n in zip(x[0], (40, 3, 17), strict=True)
    ]
    seen_KV = torch.cat(bare, dim=1)
    fresh, _ = with_batch_norm()
    fresh(x, lengths, present)
    torch.testing.assert_close(fresh.norms[0].running_mean, 0.1 * seen_KV.mean(1), rtol=0, atol=1e-12)
    model.eval()
    together = model(x, lengths, present)[0]
    for row, n in zip(range(3), (40, 3, 17), strict=True):
        single = model(x[:, row : row + 1, :n], lengths[:, row : row + 1], present[:, row : row + 1])
        torch.testing.assert_close(single[0, 0], together[row], rtol=0, atol=1e-12)


def test_the_defaults_are_the_documents_layers_on_logmel():
    model = build_input(InputSpec(kind="frames", dim=128, encoder="vgg"))
    assert isinstance(model, VGG)
    assert [layer.kernel_size for layer in model.convolutions] == [(3, 3)] * 5
    assert [layer[0].in_features for layer in model.linear] == [128 * 4, 256]
    assert {layer[2].p for layer in model.linear} == {0.6}
    assert model.out_dim == 128
    x, lengths, present = images([[130]], 128)
    model.train()
    assert not torch.equal(model(x.float(), lengths, present), model(x.float(), lengths, present))


def test_all_wrong_options_are_named():
    with pytest.raises(ConfigError) as error:
        VGGConfig(channels=0, widths=[], linear_dims=[4, 0], dropout=1.0)
    assert [problem.split()[1] for problem in error.value.problems] == ["channels", "widths", "linear_dims", "dropout"]
    with pytest.raises(ConfigError, match="128 features cannot be divided into 3 channels"):
        build_input(InputSpec(kind="frames", dim=128, encoder="vgg", options={"channels": 3}))
