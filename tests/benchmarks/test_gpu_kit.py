import json
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from safetensors.torch import load_file, save_file

from benchmarks.gpu import kit, wheels
from benchmarks.gpu.materials import CSVS, MODEL_FILES, PACKED, QUICK_DIALOGUES, WEIGHTS, meld_place, minilm_place
from dialogue_ser.errors import DialogueSerError, MissingDataError

NEEDS = {
    "sound": ["Speech-Kit[fast]>=2", "numpy>=3", "old-thing; python_version < '3.12'"],
    "speech-kit": ["extra-one; extra == 'fast'", "extra-two; extra == 'slow'", "huge"],
    "extra-one": ["sound"],
    "huge": ["never-seen"],
}


class Index:
    """Makes the wheels of `NEEDS`, and notes who was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, requirement: str, folder: Path) -> Path:
        self.asked.append(requirement)
        name, _, version = requirement.partition("==")
        if name not in NEEDS:
            raise MissingDataError(f"{requirement}: not there")
        path = folder / f"{name.replace('-', '_')}-{version or '1.0'}-py3-none-any.whl"
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version or '1.0'}"]
        lines += [f"Requires-Dist: {need}" for need in NEEDS[name]]
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"{name}-1.dist-info/METADATA", "\n".join(lines) + "\n\nText\n")
        return path


def gather(folder: Path, index: Index, **changes) -> list[str]:
    settings = {"provided": {"numpy": "2.5"}, "pins": {"speech-kit": "2.1"}, "leave_out": ["huge"], "fetch": index}
    return wheels.gather([Requirement("sound")], folder, **{**settings, **changes})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.whl"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "kit" / "wheels"
    path.mkdir(parents=True)
    return path


def test_wheels_are_followed_through_what_they_need_there(folder: Path) -> None:
    index = Index()
    remarks = gather(folder, index)
    assert names(folder) == [
        "extra_one-1.0-py3-none-any.whl", "sound-1.0-py3-none-any.whl", "speech_kit-2.1-py3-none-any.whl"
    ]  # fmt: skip
    assert remarks == ["numpy>=3: that machine has 2.5"]
    assert [path.name for path in folder.parent.iterdir()] == ["wheels"], "nothing half-fetched stays"


def test_a_second_time_fetches_nothing_and_removes_what_is_not_needed(folder: Path) -> None:
    gather(folder, Index())
    (folder / "sound-0.9-py3-none-any.whl").write_bytes(b"cut")
    (folder / "stranger-1.0-py3-none-any.whl").write_bytes(b"old")
    index = Index()
    gather(folder, index)
    assert index.asked == []
    assert len(names(folder)) == 3


def test_a_wheel_of_another_version_is_fetched_again(folder: Path) -> None:
    gather(folder, Index())
    gather(folder, Index(), pins={"speech-kit": "2.2"})
    assert [name for name in names(folder) if name.startswith("speech")] == ["speech_kit-2.2-py3-none-any.whl"]


def test_all_wheels_that_cannot_be_had_are_named_and_the_others_stay(folder: Path) -> None:
    with pytest.raises(MissingDataError) as raised:
        gather(folder, Index(), leave_out=[], provided={})
    assert sorted(raised.value.problems) == ["never-seen: not there", "numpy: not there"]
    assert len(names(folder)) == 4


def test_pip_that_reaches_nothing_says_what_and_how_to_mend_it(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(MissingDataError, match=r"no-such-package==1\.0: pip gives no wheel .*package index"):
        wheels.fetch_with_pip("no-such-package==1.0", folder)


def test_the_list_of_what_is_there_can_be_read_and_names_what_the_parts_stand_on() -> None:
    provided = wheels.read_pins(kit.PROVIDED)
    assert {"torch", "transformers", "torch-geometric", "pytest", "accelerate", "pyarrow"} <= provided.keys()
    assert not {"jsonargparse", "opensmile", "soundfile", "soxr", "librosa", "pooch"} & provided.keys()


def test_minilm_is_halved_and_packed_and_its_files_lie_beside_it(tmp_path: Path, monkeypatch) -> None:
    source = tmp_path / "model"
    source.mkdir()
    weights = {"weight": torch.linspace(-3, 3, 7), "position_ids": torch.arange(3)}
    save_file(weights, source / WEIGHTS)
    for name in (*MODEL_FILES, "README.md"):
        (source / name).write_text("{}")
    kit.put_model(tmp_path / "kit", source)
    written = tmp_path / "kit" / "minilm"
    assert sorted(path.name for path in written.iterdir()) == sorted([PACKED, *MODEL_FILES])
    monkeypatch.setattr("benchmarks.gpu.materials.KIT", written.parent)
    assert minilm_place() == written  # and the weights are unpacked there
    halved = load_file(written / WEIGHTS)
    assert torch.equal(halved["weight"], weights["weight"].half())
    assert torch.equal(halved["position_ids"], weights["position_ids"])


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.tensor([1e6])}, tmp_path / WEIGHTS)
    with pytest.raises(DialogueSerError, match="weight has numbers too large"):
        kit.put_model(tmp_path / "kit", tmp_path)


def _kit(tmp_path: Path) -> Path:
    folder = tmp_path / "kit"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels" / "one.whl").write_bytes(b"12345")
    (folder / "two.csv").write_bytes(b"123")
    return folder


def test_the_manifest_names_every_file_with_size_and_checksum(tmp_path: Path) -> None:
    folder = _kit(tmp_path)
    kit.write_manifest(folder, 100, ["av"])
    manifest = json.loads((folder / kit.MANIFEST).read_text())
    assert manifest["bytes"] == {"checkout": 100, "kit": 8, "limit": kit.LIMIT}
    assert [(row["name"], row["bytes"]) for row in manifest["files"]] == [("two.csv", 3), ("wheels/one.whl", 5)]
    assert manifest["files"][1]["sha256"] == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    assert manifest["left_out"] == {"av": kit.LEFT_OUT["av"]}
    assert kit.write_manifest(folder, 100, ["av"]) == manifest, "the manifest does not count itself"


def test_a_kit_that_is_too_large_is_refused_with_its_largest_files(tmp_path: Path) -> None:
    folder = _kit(tmp_path)
    with pytest.raises(DialogueSerError, match=r"0\.0 MiB are allowed; the largest files are wheels/one\.whl"):
        kit.write_manifest(folder, 100, [], limit=107)
    assert not (folder / kit.MANIFEST).exists()
    kit.write_manifest(folder, 100, [], limit=108)


def test_every_step_is_tried_and_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    done = []

    def lacks() -> None:
        raise MissingDataError("meld: no such folder", "audio: no such folder")

    (tmp_path / kit.MANIFEST).write_text("{}")
    with pytest.raises(MissingDataError) as raised:
        kit.put_together(tmp_path, {"MELD": lacks, "wheels": lambda: done.append("wheels")})
    assert raised.value.problems == ("MELD: meld: no such folder", "MELD: audio: no such folder")
    assert done == ["wheels"]
    assert not (tmp_path / kit.MANIFEST).exists(), "a kit that is not whole has no manifest"


def test_what_git_ignores_is_no_part_of_the_checkout(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("kit/\n")  # 5 bytes
    (tmp_path / "code.py").write_bytes(b"1234")
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "large").write_bytes(bytes(1000))
    assert kit.bytes_of_checkout(tmp_path) == 9
    with pytest.raises(MissingDataError, match="inside a git checkout"):
        kit.bytes_of_checkout(tmp_path / "nowhere")


def test_the_kit_lies_in_the_checkout_and_git_ignores_it() -> None:
    assert kit.KIT.parent == kit.ROOT
    assert f"{kit.KIT.name}/" in (kit.ROOT / ".gitignore").read_text().splitlines()


def test_meld_is_cut_to_its_first_dialogues(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "data" / "meld"
    folder.mkdir(parents=True)
    rows = [f'{number},"Well, {number}",{number}' for number in range(QUICK_DIALOGUES + 3)]
    for name in CSVS:
        (folder / name).write_text("\n".join(["Sr No.,Utterance,Dialogue_ID", *rows]) + "\n")
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(folder.parent))
    assert meld_place(tmp_path / "cut", is_quick=False) == folder.resolve()
    cut = meld_place(tmp_path / "cut", is_quick=True)
    assert (cut / CSVS[0]).read_text().splitlines()[1:] == rows[:QUICK_DIALOGUES]
