import json
import resource
from pathlib import Path

import pytest
import torch

from dialogue_ser.errors import CheckpointError
from dialogue_ser.training.record.checkpoint import CheckpointFolder


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    folder = CheckpointFolder(tmp_path / "checkpoints")
    for number in (1, 2):
        folder.save(f"step-{number}", tensors(number), {"step": number, "best_checkpoint": "step-1"})
    return folder


def tensors(number: int) -> dict[str, torch.Tensor]:
    tied = torch.full((3, 4), float(number), dtype=torch.float64)
    return {"a": tied, "b": tied, "c": tied.T, "n": torch.tensor(number)}


def test_tensors_and_state_come_back_exactly_even_tied_or_transposed_ones(folder):
    loaded = folder.load_newest()
    assert (loaded.name, loaded.state["step"]) == ("step-2", 2)
    for name, tensor in tensors(2).items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype


@pytest.mark.parametrize("damage", ["bit", "half", "no manifest", "no tensors", "manifest of nonsense", "empty"])
def test_a_damaged_checkpoint_is_skipped_with_a_warning(folder, damage, caplog):
    newest = folder.root / "step-2"
    weights = newest / "tensors.safetensors"
    if damage == "bit":
        content = bytearray(weights.read_bytes())
        content[-5] ^= 8
        weights.write_bytes(content)
    elif damage == "half":
        weights.write_bytes(weights.read_bytes()[:50])
    elif damage == "no manifest":
        (newest / "manifest.json").unlink()
    elif damage == "no tensors":
        weights.unlink()
    elif damage == "manifest of nonsense":
        (newest / "manifest.json").write_text("[1, 2]")
    else:
        for path in newest.iterdir():
            path.write_bytes(b"")
    assert folder.load_newest().name == "step-1"
    assert "using the checkpoint before step-2" in caplog.text


def test_a_checkpoint_whose_best_is_damaged_cannot_be_resumed_from(folder):
    (folder.root / "step-1/state.json").write_text("{}")
    assert folder.load_newest() is None


def test_an_interrupted_write_is_not_seen(folder):
    (folder.root / ".writing-step-3").mkdir()
    (folder.root / ".writing-step-3/tensors.safetensors").write_bytes(b"half")
    assert folder.names() == ["step-1", "step-2"]
    folder.save("step-3", tensors(3), {"step": 3})
    assert folder.load_newest().name == "step-3"
    assert not [path for path in folder.root.iterdir() if path.name.startswith(".")]


def test_a_full_disk_leaves_the_earlier_checkpoints_and_nothing_half_written(folder):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))  # the kernel refuses to write further
    try:
        with pytest.raises(CheckpointError, match=r"could not be written .* earlier checkpoints are intact"):
            folder.save("step-3", {"big": torch.zeros(5000)}, {"step": 3})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert sorted(path.name for path in folder.root.iterdir()) == ["step-1", "step-2"]
    assert folder.load_newest().name == "step-2"


def test_the_manifest_is_written_last(folder, monkeypatch):
    written = []
    original = __import__("dialogue_ser.training.record.checkpoint", fromlist=["write_synced"]).write_synced
    monkeypatch.setattr(
        "dialogue_ser.training.record.checkpoint.write_synced",
        lambda path, c: (written.append(path.name), original(path, c)),
    )
    folder.save("step-3", tensors(3), {})
    assert written == ["tensors.safetensors", "state.json", "manifest.json"]


def test_a_newer_format_is_refused_by_name(folder):
    path = folder.root / "step-2/manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    with pytest.raises(CheckpointError, match="format version 99, expected 1"):
        folder.load("step-2")


def test_pruning_keeps_the_newest_and_the_best(folder):
    folder.save("step-3", tensors(3), {})
    folder.save("step-4", tensors(4), {})
    folder.prune(keep=1, best="step-1")
    assert folder.names() == ["step-1", "step-4"]


def test_saving_again_replaces_a_checkpoint(folder):
    folder.save("step-2", tensors(7), {"step": 2, "best_checkpoint": None})
    assert float(folder.load("step-2").tensors["a"][0, 0]) == 7.0
