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
