"""What counts as code, and the wall at the import."""

import sys
import time
from pathlib import Path

import pytest

from dialogue_ser.errors import CheckpointError, ConfigError
from dialogue_ser.registry import Registry
from dialogue_ser.trust import NamedCode, code_in, is_found, is_target, only_code, refuse_code, targets_in


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    (tmp_path / "lying_by.py").write_text("one, two = 1, 2\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "lying_by", raising=False)
    return Registry("tool", "dialogue_ser.no_such_group", {"pi": "math:pi"})


@pytest.mark.parametrize(
    "text",
    [
        "C:\\data",
        "C:/data",
        "a: b",
        ":b",
        "a:",
        "a:1",
        "a.b",
        "12:30",
        "a:b:c",
        "What: no",
        "x y:z",
        "..a:b",
        "a:b\n",
        "",
    ],
)
def test_texts_of_another_form_are_no_code(text) -> None:
    assert not is_target(text)
    assert not is_found(text)


def test_only_what_this_machine_has_counts_where_no_name_is_expected(tools) -> None:
    assert [is_found(name) for name in ("lying_by:one", "lying_nowhere:one", "os:path", "joy:high")] == [
        True,
        False,
        True,
        False,
    ]
    assert "lying_by" not in sys.modules, "looking is not importing"


def test_code_is_found_in_keys_lists_and_at_every_depth(tools) -> None:
    values = {
        "a": [{"b": ("x", {"lying_by:one": "lying_by:two"})}],
        "label_map": {"lying_by:one": "os:path"},
    }
    assert list(code_in(values, words=["**.label_map"])) == [
        NamedCode("lying_by:one", "a[0].b[1].lying_by:one"),
        NamedCode("lying_by:two", "a[0].b[1].lying_by:one"),
    ]


@pytest.mark.parametrize(("trust", "allowed"), [(True, {"one", "two"}), (False, set()), (["lying_by:two"], {"two"})])
def test_only_trusted_code_is_imported(tools, trust, allowed) -> None:
    with only_code(trust):
        for name in ("one", "two"):
            if name in allowed:
                assert tools.find(f"lying_by:{name}") == {"one": 1, "two": 2}[name]
            else:
                with pytest.raises(ConfigError, match="a file may not run code; add --trust_code"):
                    tools.find(f"lying_by:{name}")
        assert tools.find("pi") > 3
    assert tools.find("lying_by:one") == 1, "nothing is limited afterwards"


def test_an_inner_limit_cannot_allow_more_than_the_outer_one(tools) -> None:
    with only_code(["lying_by:one"]):
        for inner in (True, ["lying_by:one", "lying_by:two"]):
            with only_code(inner):
                assert tools.find("lying_by:one") == 1
                with pytest.raises(ConfigError, match="a file may not run code"):
                    tools.find("lying_by:two")
        with only_code(False), pytest.raises(ConfigError, match="a file may not run code"):
            tools.find("lying_by:one")


def test_the_refusal_leaves_trusted_names_out() -> None:
    found = [NamedCode("mine:a", "x"), NamedCode("theirs:b", "y")]
    refuse_code(found, ["mine:a", "theirs:b"], "")
    with pytest.raises(CheckpointError) as refused:
        refuse_code(found, ["mine:a"], "trust it", CheckpointError)
    assert refused.value.problems == ("y: 'theirs:b' is code, and a file may not run code", "trust it")


def test_names_of_code_are_searched_in_long_flags_at_once() -> None:
    begin = time.perf_counter()
    long = ["--" + "a" * 100_000, "--" + "a." * 50_000, "--" + "a-" * 50_000, "--x=" + "a:" * 50_000]
    assert targets_in([*long, "--loss.kind=mine:loss", "{frames: other.frames:Mel}"]) >= {
        "mine:loss",
        "other.frames:Mel",
    }
    assert time.perf_counter() - begin < 2
