import json
import random
import resource
import shutil
from pathlib import Path

import pytest
import torch

from dialogue_ser.errors import CheckpointError
from dialogue_ser.training.record.checkpoint import CheckpointFolder
from dialogue_ser.training.record.manifest import RunIdentity


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
    with pytest.raises(CheckpointError, match=r"does not match its manifest[\s\S]*no checkpoint can be used"):
        folder.load_newest()


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json", "manifest.json"])
def test_any_flipped_bit_and_any_truncation_falls_back(folder, file):
    path = folder.root / "step-2" / file
    whole = path.read_bytes()
    rng = random.Random(file)
    damaged = [whole[:length] for length in rng.sample(range(len(whole)), 12)] + [b"", whole[:-1]]
    for place in rng.sample(range(len(whole)), 40):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        assert folder.load_newest().name == "step-1", content
    path.unlink()
    assert folder.load_newest().name == "step-1"
    path.write_bytes(whole)
    assert folder.load_newest().name == "step-2"


def test_a_check_may_pass_over_a_checkpoint_and_if_none_is_left_every_reason_is_told(folder, caplog):
    def older_than_two(checkpoint):
        if checkpoint.state["step"] >= limit:
            raise CheckpointError(f"{checkpoint.name} is too new")

    limit = 2
    assert folder.load_newest(older_than_two).name == "step-1"
    assert "step-2 is too new; using the checkpoint before step-2: step-1" in caplog.text
    limit = 0
    with pytest.raises(CheckpointError) as caught:
        folder.load_newest(older_than_two)
    assert caught.value.problems[:2] == ("step-2 is too new", "step-1 is too new")


def identity(run_id: str, *, accepts_unmarked: bool = False) -> RunIdentity:
    return RunIdentity(run_id=run_id, settings="s", accepts_unmarked=accepts_unmarked)


def test_a_checkpoint_of_another_run_is_passed_over_and_never_deleted(tmp_path, caplog):
    own, other = (CheckpointFolder(tmp_path / run, identity(run)) for run in ("own", "other"))
    own.save("step-1", tensors(1), {"step": 1})
    for number in (2, 3):
        other.save(f"step-{number}", tensors(number), {"step": number})
        shutil.copytree(other.root / f"step-{number}", own.root / f"step-{number}")
    assert own.load_newest().name == "step-1"
    assert "step-3: is a checkpoint of another run (run other, this is run own)" in caplog.text
    own.save("step-2", tensors(5), {"step": 2})
    own.save("step-4", tensors(4), {"step": 4})
    own.prune(keep=1, best=None)
    assert own.names() == ["step-3", "step-4"]
    assert (own.root / ".of-another-run-step-2" / "manifest.json").is_file()
    shutil.rmtree(own.root / "step-4")
    with pytest.raises(CheckpointError, match="another run"):
        own.load_newest()


def test_a_renamed_checkpoint_is_not_a_newer_one(folder):
    shutil.copytree(folder.root / "step-1", folder.root / "step-9")
    assert folder.load_newest().name == "step-2"


def test_checkpoints_of_older_versions_are_taken_only_if_the_run_is_as_old(folder):
    for path in folder.root.glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        path.write_text(json.dumps({name: manifest[name] for name in ("format_version", "files")}))
    assert CheckpointFolder(folder.root, identity("a", accepts_unmarked=True)).load_newest().name == "step-2"
    with pytest.raises(CheckpointError, match="another run"):
        CheckpointFolder(folder.root, identity("a")).load_newest()


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


def test_pruning_keeps_the_best_of_the_one_before_the_newest(folder):
    folder.save("step-3", tensors(3), {"best_checkpoint": "step-1"})
    folder.save("step-4", tensors(4), {"best_checkpoint": "step-4"})
    folder.prune(keep=2, best="step-4")
    assert folder.names() == ["step-1", "step-3", "step-4"]
    (folder.root / "step-4" / "state.json").unlink()
    assert folder.load_newest().name == "step-3"
    folder.save("step-4", tensors(4), {"best_checkpoint": "step-4"})
    folder.save("step-5", tensors(5), {"best_checkpoint": "step-4"})
    folder.prune(keep=2, best="step-4")
    assert folder.names() == ["step-4", "step-5"]


def test_pruning_does_not_count_damaged_checkpoints(folder):
    folder.save("step-3", tensors(3), {"best_checkpoint": None})
    folder.save("step-4", tensors(4), {"best_checkpoint": None})
    (folder.root / "step-3" / "tensors.safetensors").write_bytes(b"")
    again = CheckpointFolder(folder.root)
    again.prune(keep=2, best=None)
    assert again.names() == ["step-1", "step-2", "step-4"], "step-2 needs step-1"
    (folder.root / "step-4" / "tensors.safetensors").write_bytes(b"")
    CheckpointFolder(folder.root).prune(keep=1, best=None)
    assert again.names() == ["step-1", "step-2", "step-4"], "nothing is deleted if the newest is damaged"


def test_saving_again_replaces_a_checkpoint(folder):
    folder.save("step-2", tensors(7), {"step": 2, "best_checkpoint": None})
    assert float(folder.load("step-2").tensors["a"][0, 0]) == 7.0
