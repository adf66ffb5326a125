"""An archive is unpacked completely, or refused and not unpacked at all."""

import io
import tarfile
from pathlib import Path

import pytest

from dialogue_ser.corpus.download.archives import unpack
from dialogue_ser.errors import CorpusError


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def refused(tmp_path: Path, **limits) -> str:
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CorpusError) as caught:
        unpack(tmp_path / "a.tar.gz", tmp_path / "out", **limits)
    assert sorted(tmp_path.rglob("*")) == before
    return str(caught.value)


def test_archives_inside_the_archive_are_unpacked_too(tmp_path):
    inner = packed({"train_splits/dia0_utt0.mp4": b"clip", "train_splits/._dia0_utt0.mp4": b"x"})
    (tmp_path / "a.tar.gz").write_bytes(
        packed({"MELD.Raw/train.tar.gz": inner, "MELD.Raw/._train.tar.gz": b"mac", "MELD.Raw/README.txt": b"read"})
    )
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert (tmp_path / "out" / "train_splits" / "dia0_utt0.mp4").read_bytes() == b"clip"
    assert not (tmp_path / "out" / "train.tar.gz").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar.gz", "out"}


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\evil", "C:/evil"])
def test_members_that_lead_outside_are_refused_before_writing(tmp_path, name):
    (tmp_path / "a.tar.gz").write_bytes(packed({"good": b"x", name: b"x"}))
    assert "leads outside the folder" in refused(tmp_path)


@pytest.mark.parametrize("name", ["a/\x1b[2Jb", "a\nb", "\x7f", "a\x9bb", "clip\u202e4pm.exe", "a\u2028b", "\udcff"])
def test_names_with_control_characters_are_refused_before_writing(tmp_path, name):
    (tmp_path / "a.tar.gz").write_bytes(packed({"good": b"x", name: b"x"}))
    text = refused(tmp_path)
    assert "has control characters in its name" in text
    assert "nothing was unpacked" in text
    assert name not in text


def test_names_in_any_script_are_unpacked(tmp_path):
    names = ["ümläut.wav", "नमस्ते.wav", "می\u200cخواهم.wav", "中文 (1).wav"]
    (tmp_path / "a.tar.gz").write_bytes(packed(dict.fromkeys(names, b"x")))
    unpack(tmp_path / "a.tar.gz", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused_before_writing(tmp_path, kind):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("good"), io.BytesIO())
        member = tarfile.TarInfo("bad")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    assert "'bad' is" in refused(tmp_path)


def test_the_error_names_all_members_that_lead_outside(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(packed({"../one": b"", "good": b"", "/two": b""}))
    text = refused(tmp_path)
    assert "'../one'" in text
    assert "'/two'" in text


def test_bombs_are_refused_before_writing(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(packed({f"f{number}": bytes(1000) for number in range(20)}))
    assert "a bomb" in refused(tmp_path, max_bytes=10_000)
    assert "a bomb" in refused(tmp_path, max_files=10)


def test_extreme_compression_is_a_bomb(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("zeros")
        member.size = 120 * 10**6
        with Path("/dev/zero").open("rb") as zeros:
            archive.addfile(member, zeros)
    assert "a bomb" in refused(tmp_path)


def test_if_an_inner_archive_is_bad_nothing_is_unpacked(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(packed({"top/in.tar.gz": packed({"../evil": b"x"})}))
    assert "leads outside" in refused(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an archive", packed({"a": bytes(range(256)) * 400})[:300]])
def test_damaged_archives_are_refused(tmp_path, content):
    (tmp_path / "a.tar.gz").write_bytes(content)
    assert "cannot be unpacked" in refused(tmp_path)


def test_a_folder_that_exists_is_not_overwritten(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(packed({"a": b"x"}))
    (tmp_path / "out").mkdir()
    assert "exists already" in refused(tmp_path)
