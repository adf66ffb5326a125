"""AlexNet has the layers of torchvision, and resizes each image over its own frames."""

import pytest
import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from dialogue_ser.encoders import as_saved, build_input
from dialogue_ser.encoders.alexnet import AlexNet, AlexNetConfig
from dialogue_ser.errors import CheckpointError, ConfigError, MissingDataError
from dialogue_ser.features.core.api import InputSpec

TINY = {"size": 63, "width": 0.02, "dropout": 0.0}
# torchvision.models.alexnet().state_dict()
PUBLISHED = {
    "features.0": (64, 3, 11, 11), "features.3": (192, 64, 5, 5), "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3), "features.10": (256, 256, 3, 3),
    "classifier.1": (4096, 9216), "classifier.4": (4096, 4096), "classifier.6": (1000, 4096),
}  # fmt: skip


def spec(dim: int = 36, **options) -> InputSpec:
    return InputSpec(kind="frames", dim=dim, encoder="alexnet", options=TINY | options)


def build(dim: int = 36, **options) -> AlexNet:
    torch.manual_seed(0)
    return build_input(spec(dim, **options)).double()


def images(lengths, dim: int = 36, room: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    lengths_BT = torch.tensor(lengths)
    x_BTLD = torch.randn(*lengths_BT.shape, int(lengths_BT.max()) + room, dim, dtype=torch.float64)
    return x_BTLD, lengths_BT, lengths_BT > 0


def alone(model: AlexNet, x_LD: Tensor) -> Tensor:
    """The published layers on one image without padding; its height is the bands, its width the time."""
    weight = dict(model.named_parameters())
    x = F.interpolate(
        x_LD.view(len(x_LD), 3, -1).permute(1, 2, 0)[None],
        (63, 63),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    x = F.relu(F.conv2d(x, weight["features.0.weight"], weight["features.0.bias"], stride=4, padding=2))
    x = F.max_pool2d(x, 3, 2)
    x = F.relu(F.conv2d(x, weight["features.3.weight"], weight["features.3.bias"], padding=2))
    x = F.max_pool2d(x, 3, 2)
    for name in ("features.6", "features.8", "features.10"):
        x = F.relu(F.conv2d(x, weight[f"{name}.weight"], weight[f"{name}.bias"], padding=1))
    x = F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), 6).flatten(1)
    for name in ("classifier.1", "classifier.4"):
        x = F.relu(F.linear(x, weight[f"{name}.weight"], weight[f"{name}.bias"]))
    return x[0]


def test_values_and_gradients_are_those_of_each_image_alone():
    model = build().eval()
    x, lengths, present = images([[70, 1], [64, 0]])
    x[~(torch.arange(x.shape[2]) < lengths[..., None])] = torch.nan  # values after the end do not matter
    x.requires_grad_()
    found = model(x, lengths, present)
    absent = torch.zeros(model.out_dim, dtype=x.dtype)
    rows = [alone(model, x[b, t, : lengths[b, t]]) if present[b, t] else absent for b in (0, 1) for t in (0, 1)]
    expected = torch.stack(rows).view(2, 2, -1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    assert found.std() > 0.1
    wanted = [x, *model.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found.sin().sum(), wanted), torch.autograd.grad(expected.sin().sum(), wanted), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_neither_padding_nor_neighbours_change_an_image():
    model = build().eval()
    x, lengths, present = images([[20, 90, 33]])
    together = model(x, lengths, present)
    single = model(x[:, 2:, :33], lengths[:, 2:], present[:, 2:])
    torch.testing.assert_close(single[0, 0], together[0, 2], rtol=0, atol=1e-12)
    x[0, 2, 33:] = 5.0
    torch.testing.assert_close(model(x, lengths, present), together, rtol=0, atol=1e-12)
    longer = model(x, lengths + torch.tensor([0, 0, 1]), present)
    assert not torch.allclose(longer[0, 2], together[0, 2])  # control


def test_names_and_shapes_are_torchvisions():
    with torch.device("meta"):
        state = AlexNet(AlexNetConfig(out_dim=1000), 384).state_dict()
    found = {name: tuple(value.shape) for name, value in state.items()}
    assert found == {f"{name}.weight": shape for name, shape in PUBLISHED.items()} | {
        f"{name}.bias": shape[:1] for name, shape in PUBLISHED.items()
    }


def test_the_third_linear_layer_is_an_option():
    assert build().out_dim == 82
    with_third = build(out_dim=7)
    assert with_third.out_dim == 7
    x, lengths, present = images([[9]])
    plain = alone(with_third, x[0, 0, :9])
    torch.testing.assert_close(with_third(x, lengths, present)[0, 0], with_third.classifier[6](plain))


@pytest.fixture
def weights(tmp_path):
    """A file like torchvision's, for width 0.02."""
    torch.manual_seed(5)
    state = AlexNet(AlexNetConfig(**TINY, out_dim=1000), 36).state_dict()
    path = tmp_path / "alexnet.safetensors"
    safetensors.torch.save_file(state, path)
    return path


def test_torchvisions_weights_are_loaded_except_for_the_last_layer(weights):
    model = build(weights=str(weights), out_dim=4)
    published = safetensors.torch.load_file(weights)
    for name, value in model.state_dict().items():
        if not name.startswith("classifier.6"):
            assert torch.equal(value, published[name].double()), name
    assert model.classifier[6].weight.shape == (4, 82)
    depths = model.depths()
    assert (depths["classifier.4.bias"], depths["classifier.1.weight"], depths["features.0.weight"]) == (0, 1, 6)
    assert {name for name, _ in model.named_parameters()} - set(depths) == {"classifier.6.weight", "classifier.6.bias"}
    assert build().depths() == {}


def test_a_saved_model_does_not_need_the_file_again(weights):
    saved = as_saved(spec(weights=str(weights)))
    weights.unlink()
    assert build_input(saved).out_dim == 82


def test_files_with_other_weights_are_refused_with_a_remedy(weights, tmp_path):
    with pytest.raises(MissingDataError, match=r"no file .*nowhere\.safetensors.*save_file"):
        build(weights=str(tmp_path / "nowhere.safetensors"))
    pickle = tmp_path / "alexnet.pth"
    pickle.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(CheckpointError, match=r"a pickle, which this program never opens; convert .*weights_only=True"):
        build(weights=str(pickle))
    state = safetensors.torch.load_file(weights)
    state["layer1.weight"] = state.pop("features.3.weight")
    state["features.0.weight"] = state["features.0.weight"][:, :1].contiguous()
    safetensors.torch.save_file(state, weights)
    with pytest.raises(CheckpointError) as error:
        build(weights=str(weights))
    message = "\n".join(error.value.problems)
    assert "features.3.weight is missing" in message
    assert "layer1.weight is not a parameter of AlexNet" in message
    assert "features.0.weight has shape (1, 1, 11, 11), but with width 0.02 it must be (1, 3, 11, 11)" in message


def test_sizes_that_leave_nothing_and_frames_of_one_channel_are_refused():
    with pytest.raises(ConfigError) as error:
        AlexNetConfig(size=62, width=1.5, dropout=1.0, out_dim=0)
    assert [problem.split()[1] for problem in error.value.problems] == ["size", "width", "dropout", "out_dim"]
    with pytest.raises(
        ConfigError, match="128 features cannot be divided into 3 channels of equal size; choose frames of logmel3"
    ):
        build(128)


def test_untrained_layers_keep_the_size_of_their_inputs():
    """With the weights of He et al.; with torch's default weights the values would become almost 0."""
    model = build(width=0.25).eval()
    x, lengths, present = images([[60, 60]])
    assert 0.2 < model(x, lengths, present).std() < 5
