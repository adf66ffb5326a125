"""A safetensors file in memory."""

import struct

import pytest
import safetensors.torch
import torch

from dialogue_ser.errors import CheckpointError
from dialogue_ser.inference.tensor_file import TensorFile


def test_names_are_known_before_the_tensors_are_made(monkeypatch) -> None:
    content = safetensors.torch.save({"a": torch.ones(2), "b": torch.zeros(1)}, {"format": "pt"})
    file = TensorFile(content, "x.safetensors")
    assert torch.equal(dict(file)["a"], torch.ones(2))
    monkeypatch.setattr(safetensors.torch, "load", lambda _: pytest.fail("made the tensors"))
    again = TensorFile(content, "x.safetensors")
    assert (list(again), len(again), "a" in again, "__metadata__" in again) == (["a", "b"], 2, True, False)


@pytest.mark.parametrize(
    "content",
    [b"", b"1234567", struct.pack("<Q", 2**40) + b"{}", struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 3) + b"{x}"],
    ids=["empty", "short", "long header", "list", "no JSON"],
)
def test_another_file_is_refused_when_it_is_opened(content) -> None:
    with pytest.raises(CheckpointError, match=r"x\.safetensors: is no readable safetensors"):
        TensorFile(content, "x.safetensors")


def test_a_header_that_does_not_fit_the_file_is_refused_when_a_tensor_is_made() -> None:
    content = safetensors.torch.save({"a": torch.ones(2)})
    with pytest.raises(CheckpointError, match="copy the whole folder again"):
        TensorFile(content[:-4], "x.safetensors")["a"]
