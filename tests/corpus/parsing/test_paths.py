"""A table cannot name files outside its folder."""

import pytest

from dialogue_ser.corpus.parsing.paths import resolve_inside


def test_paths_inside_resolve(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.wav").touch()
    (tmp_path / "b.wav").symlink_to(tmp_path / "clips" / "a.wav")
    for text in ("clips/a.wav", "./clips/a.wav", str(tmp_path / "clips" / "a.wav"), "b.wav"):
        assert resolve_inside(tmp_path, text) == (tmp_path / "clips" / "a.wav").resolve()


@pytest.mark.parametrize(
    "text", ["../a.wav", "clips/../../a.wav", "..\\a.wav", "/etc/passwd", "link.wav", "folder/a.wav", "a\0.wav"]
)
def test_paths_that_lead_out_are_refused(tmp_path, text):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "a.wav").touch()
    (inner / "link.wav").symlink_to(tmp_path / "a.wav")
    (inner / "folder").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"holds '\.\.'|outside|zero byte"):
        resolve_inside(inner, text)


def test_paths_that_were_written_on_windows_lead_to_the_same_file(tmp_path):
    (tmp_path / "wav" / "s1").mkdir(parents=True)
    (tmp_path / "wav" / "s1" / "a.wav").touch()
    for text in ("wav\\s1\\a.wav", ".\\wav\\s1\\a.wav", "wav\\s1/a.wav"):
        assert resolve_inside(tmp_path, text) == (tmp_path / "wav" / "s1" / "a.wav").resolve()


def test_a_file_whose_name_holds_a_backslash_is_found(tmp_path):
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "a.wav").touch()
    (tmp_path / "wav\\a.wav").touch()
    assert resolve_inside(tmp_path, "wav\\a.wav").name == "wav\\a.wav"


@pytest.mark.parametrize("text", ["C:\\corpus\\a.wav", "d:/corpus/a.wav", "\\\\server\\share\\a.wav"])
def test_a_path_with_a_drive_of_windows_says_so_and_keeps_its_spelling(tmp_path, text):
    with pytest.raises(ValueError, match=r"drive or a server of Windows.*audio_root") as caught:
        resolve_inside(tmp_path, text)
    assert repr(text) in str(caught.value)


def test_an_address_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="is an address, not a file"):
        resolve_inside(tmp_path, "https://example.org/a.wav")


def test_an_absolute_path_of_another_machine_is_said_to_be_absent(tmp_path):
    with pytest.raises(ValueError, match="this machine has no such file"):
        resolve_inside(tmp_path, "/Users/ann/clips/1.wav")
