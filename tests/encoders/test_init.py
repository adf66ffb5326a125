import pytest
import torch

from dialogue_ser.encoders import TRAINED_ENCODERS, build_input
from dialogue_ser.encoders.meanpool import MeanPool
from dialogue_ser.encoders.textcnn import TextCNN
from dialogue_ser.encoders.vector import VectorInput
from dialogue_ser.errors import ConfigError
from dialogue_ser.features.core.api import InputSpec


def test_every_kind_of_input_has_its_module() -> None:
    assert isinstance(build_input(InputSpec(kind="vector", dim=3, options={"dropout": 0.1})), VectorInput)
    assert isinstance(build_input(InputSpec(kind="frames", dim=3)), MeanPool)
    textcnn = build_input(InputSpec(kind="tokens", dim=9, encoder="textcnn", options={"out_dim": 4}))
    assert isinstance(textcnn, TextCNN)
    assert textcnn.out_dim == 4
    assert textcnn.embedding.num_embeddings == 9


def test_registered_encoders_declare_their_attributes() -> None:
    for name, kind in TRAINED_ENCODERS.items():
        assert kind.name == name
        assert kind.description
        assert kind.front_end in ("words", "subwords", "frames")
        kind.Config()


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (InputSpec(kind="tokens", dim=9, encoder="textcn"), "did you mean 'textcnn'"),
        (InputSpec(kind="tokens", dim=9, encoder="textcnn", options={"outdim": 1}), "did you mean 'out_dim'"),
        (InputSpec(kind="tokens", dim=9, encoder="meanpool"), "reads frames, but the input has tokens"),
        (InputSpec(kind="vector", dim=9, options={"droput": 1}), "did you mean 'dropout'"),
        (InputSpec(kind="tokens", dim=9), "trained encoder for tokens"),
    ],
)
def test_wrong_inputs_and_options_are_refused(spec, complaint) -> None:
    with pytest.raises(ConfigError, match=complaint):
        build_input(spec)


@pytest.mark.parametrize("spec", [InputSpec(kind="frames", dim=3), InputSpec(kind="tokens", dim=9, encoder="textcnn")])
def test_only_turns_that_are_present_are_computed_and_the_cpu_chooses_them(spec) -> None:
    """The encoder gets the lengths of the rows twice: on the device, and on the CPU to compute sizes from them."""
    encoder, seen = build_input(spec).eval(), []
    compute = encoder.encode_rows

    def note(values_NL, lengths_N, host_lengths_N):
        seen.append((tuple(values_NL.shape[:2]), lengths_N.tolist(), host_lengths_N.tolist()))
        return compute(values_NL, lengths_N, host_lengths_N)

    encoder.encode_rows = note
    lengths = torch.tensor([[4, 0, 2], [1, 7, 0]])
    present = torch.tensor([[True, False, True], [True, False, False]])  # 7 values of a turn that is masked
    values = torch.ones(2, 3, 7, 3) if spec.kind == "frames" else torch.ones(2, 3, 7, dtype=torch.int64)
    out = encoder(values, lengths, present)
    assert seen == [((3, 4), [4, 2, 1], [4, 2, 1])]
    assert torch.equal(out.any(-1), present)
    assert out.shape == (2, 3, encoder.out_dim)
