import hashlib
import json
import os
import pickle

import numpy as np
import pytest
import torch

from dialogue_ser.errors import CheckpointError, MissingDataError
from dialogue_ser.inference.model_folder import find_model_folder, read_model_folder, with_checksum, write_model_folder

CONFIG = {"model": {}, "label_set": {}, "inputs": {}, "features": {}}


@pytest.fixture
def folder(tmp_path):
    target = tmp_path / "model"
    weight = torch.arange(6.0).reshape(2, 3)
    # safetensors alone refuses tied and transposed weights.
    weights = {"a": weight, "tied": weight, "turned": weight.T}
    write_model_folder(target, CONFIG, weights, {"text/mean": np.array([1.0, 2.0])}, card="# Card")
    return target


def test_what_was_written_is_read_back(folder):
    saved = read_model_folder(folder)
    assert saved.config["format_version"] == 1
    assert torch.equal(saved.weights["turned"], torch.arange(6.0).reshape(2, 3).T)
    np.testing.assert_array_equal(saved.transforms["text/mean"], [1.0, 2.0])
    assert (folder / "README.md").read_text() == "# Card"


def test_a_run_directory_stands_for_its_model(folder):
    assert find_model_folder(folder.parent) == folder


def test_an_unfinished_run_is_told_from_a_folder_without_a_model(tmp_path):
    with pytest.raises(CheckpointError, match="give a folder that save_pretrained wrote"):
        find_model_folder(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: 1")
    with pytest.raises(CheckpointError, match="continue it with --resume"):
        find_model_folder(tmp_path)


@pytest.mark.parametrize("place", ["nowhere", "./no/where", "/no/where", "a/b/c"])
def test_a_path_to_nothing_is_not_looked_up_on_the_hub(place, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *a, **k: pytest.fail("asked the hub"))
    with pytest.raises(MissingDataError, match="no such model folder"):
        find_model_folder(place)


def test_a_hub_name_is_downloaded_without_pickles(folder, monkeypatch):
    def download(name, revision, allow_patterns):
        assert (name, revision) == ("me/mine", "v2")
        assert all(pattern.endswith((".json", ".safetensors", ".md")) for pattern in allow_patterns)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert read_model_folder("me/mine", revision="v2").folder == folder


def test_a_hub_that_cannot_be_reached_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))

    def offline(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(MissingDataError, match=r"me/mine: no such folder here.*\(no route\)"):
        read_model_folder("me/mine")


@pytest.mark.parametrize("name", ["model.safetensors", "transforms.safetensors"])
def test_one_flipped_bit_is_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: does not match config.json"):
        read_model_folder(folder)


def test_every_missing_file_is_named_at_once(folder):
    (folder / "model.safetensors").unlink()
    (folder / "transforms.safetensors").unlink()
    with pytest.raises(CheckpointError) as caught:
        read_model_folder(folder)
    assert len(caught.value.problems) == 2


def test_another_format_version_is_refused(folder):
    _edit(folder, format_version=2)
    with pytest.raises(CheckpointError, match="format version 2, this library reads 1"):
        read_model_folder(folder)


def test_a_config_of_another_library_is_refused(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="was not written by dialogue_ser"):
        read_model_folder(folder)
    (folder / "config.json").write_text('{"format')
    with pytest.raises(CheckpointError, match="is not JSON"):
        read_model_folder(folder)


def test_parts_that_the_config_lacks_are_named(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["inputs"], config["label_set"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="lacks inputs, label_set or task"):
        read_model_folder(folder)


def test_a_pickle_in_place_of_the_weights_is_never_executed(folder, tmp_path):
    trap = tmp_path / "executed"

    class Malicious:
        def __reduce__(self):
            return (os.mkdir, (str(trap),))

    content = pickle.dumps(Malicious())
    (folder / "model.safetensors").write_bytes(content)
    files = json.loads((folder / "config.json").read_text())["files"]
    files["model.safetensors"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    _edit(folder, files=files)
    with pytest.raises(CheckpointError, match="is no readable safetensors"):
        read_model_folder(folder)
    assert not trap.exists()


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_model_folder(tmp_path / "model", CONFIG, {}, {})
    assert list(tmp_path.iterdir()) == []


def test_saving_over_a_model_replaces_it_and_keeps_other_files(folder):
    (folder / "notes.txt").write_text("mine")
    write_model_folder(folder, CONFIG, {"b": torch.zeros(1)}, {})
    assert list(read_model_folder(folder).weights) == ["b"]
    assert (folder / "notes.txt").read_text() == "mine"
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def _edit(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(with_checksum(json.loads(path.read_text()) | changes)))


def test_json_that_is_nested_without_end_is_refused(folder):
    (folder / "config.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match=r"config\.json: is nested too deeply"):
        read_model_folder(folder)


def test_every_flipped_bit_of_the_config_is_noticed_or_changes_no_value(folder):
    path = folder / "config.json"
    whole = path.read_bytes()
    values = json.loads(whole)
    for position in range(len(whole)):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            found = read_model_folder(folder).config
        except CheckpointError:
            continue
        assert found == values, f"byte {position} of config.json"


def test_a_config_that_was_edited_says_how_to_accept_it(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config, indent=4, sort_keys=True))
    read_model_folder(folder)  # another layout of the same values
    config["label_set"] = {"name": "mine"}
    path.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r'(?s)own checksum.*on purpose, remove its entry "config\.json"'):
        read_model_folder(folder)
    del config["files"]["config.json"]
    path.write_text(json.dumps(config))
    assert read_model_folder(folder).config["label_set"] == {"name": "mine"}


def test_a_link_to_a_file_outside_the_folder_is_refused(folder, tmp_path):
    for name in ("model.safetensors", "config.json"):
        outside = tmp_path / name
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)
        with pytest.raises(CheckpointError, match=rf"{name}: is a link to a file outside the model folder"):
            read_model_folder(folder)
        (folder / name).unlink()
        outside.rename(folder / name)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)  # the user's own link to the whole folder
    assert list(read_model_folder(linked).weights) == ["a", "tied", "turned"]


def test_the_cache_of_the_hub_keeps_its_files_beside_the_folder(folder, tmp_path):
    snapshot, blobs = tmp_path / "models--me--mine" / "snapshots" / "rev", tmp_path / "models--me--mine" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    assert list(read_model_folder(snapshot).weights) == ["a", "tied", "turned"]


def test_a_file_that_no_model_has_is_refused(folder):
    for name in ("../outside.json", "/etc/x/y.json", "notes.txt"):
        _edit(folder, files={**json.loads((folder / "config.json").read_text())["files"], name: {}})
        with pytest.raises(CheckpointError, match=r"names the file '.*', which no model has"):
            read_model_folder(folder)
        files = json.loads((folder / "config.json").read_text())["files"]
        _edit(folder, files={key: value for key, value in files.items() if key != name})


def test_far_too_many_arrays_are_refused_before_they_are_made(tmp_path):
    arrays = {f"text/transforms.0.a{i}": np.zeros(1) for i in range(3000)}
    write_model_folder(tmp_path / "model", CONFIG, {}, arrays)
    with pytest.raises(CheckpointError, match="has 3,000 arrays, which is too many for 0 transforms"):
        read_model_folder(tmp_path / "model")
