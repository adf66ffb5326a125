"""Registries: the four kinds of names, their error messages, and that nothing is imported too early."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from dialogue_ser import registry
from dialogue_ser.errors import ConfigError
from dialogue_ser.registry import Entry, Registry, import_path_of

GROUP = "dialogue_ser.test_tools"


class Tool:
    """Something to register."""


class OtherTool:
    """Something else to register."""


@pytest.fixture
def tools() -> Registry[object]:
    return Registry("tool", GROUP, {"counter": "collections:Counter", "queue": "collections:deque"})


def offer(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Pretend that installed packages declare these entry points."""
    found = [EntryPoint(name, target, GROUP) for name, target in points]
    monkeypatch.setattr(registry, "entry_points", lambda group: found if group == GROUP else [])


def test_there_are_four_ways_in(tools, monkeypatch) -> None:
    from collections import ChainMap, Counter, OrderedDict

    offer(monkeypatch, ("chain", "collections:ChainMap"))
    tools.register("tool")(Tool)
    assert tools.find("counter") is Counter
    assert tools.find("tool") is Tool
    assert tools.find("chain") is ChainMap
    assert tools.find("collections:OrderedDict") is OrderedDict


def test_as_a_mapping_a_registry_is_the_librarys_own_list(tools, monkeypatch) -> None:
    offer(monkeypatch, ("chain", "collections:ChainMap"))
    tools.register("tool")(Tool)
    assert list(tools) == ["counter", "queue"]
    assert "tool" not in tools
    assert tools.get("tool") is None
    with pytest.raises(KeyError):
        tools["collections:Counter"]


def test_entries_say_where_each_name_comes_from_and_import_nothing(monkeypatch) -> None:
    tools: Registry[object] = Registry("tool", GROUP, {"own": "no.such.module:Own"})
    offer(monkeypatch, ("own", "shadowed:Own"), ("theirs", "no.such.package:Theirs"))
    tools.register("mine")(Tool)
    assert tools.entries() == [
        Entry(name="own", origin="built in", target="no.such.module:Own"),
        Entry(name="mine", origin="registered", target=import_path_of(Tool)),
        Entry(name="theirs", origin="entry point", target="no.such.package:Theirs"),
    ]
    assert "own" in tools


def test_an_unknown_name_is_told_the_nearest_of_all_known_ones(tools, monkeypatch) -> None:
    offer(monkeypatch, ("chain", "collections:ChainMap"))
    tools.register("hammer")(Tool)
    for wrong, near in (("conter", "counter"), ("chian", "chain"), ("hamer", "hammer"), ("lathee", "lathe")):
        with pytest.raises(ConfigError, match=f"unknown tool '{wrong}'; did you mean '{near}'") as caught:
            tools.find(wrong, also_known=["lathe"])
        assert "Known: chain, counter, hammer, lathe, queue; or package.module:attribute of your own" in str(
            caught.value
        )


def test_a_name_cannot_be_taken_from_the_library_or_from_each_other(tools) -> None:
    with pytest.raises(ConfigError, match="tool name 'counter' is taken by collections:Counter; choose another name"):
        tools.register("counter")
    with pytest.raises(ConfigError, match="tool name 'my:tool' contains a colon"):
        tools.register("my:tool")
    tools.register("tool")(Tool)
    with pytest.raises(ConfigError, match=r"tool name 'tool' is taken by .*:Tool; choose another name"):
        tools.register("tool")(OtherTool)
    assert tools.find("tool") is Tool


def test_running_a_definition_again_replaces_it(tools) -> None:
    again = type("Tool", (), {"__module__": Tool.__module__, "__qualname__": Tool.__qualname__})
    tools.register("tool")(Tool)
    tools.register("tool", size=3)(again)
    assert tools.find("tool") is again
    assert tools.registered["tool"].details == {"size": 3}


def test_a_name_that_two_packages_offer_is_refused_and_both_are_named(tools, monkeypatch) -> None:
    offer(monkeypatch, ("x", "collections:ChainMap"), ("x", "collections:Counter"), ("y", "math:pi"), ("y", "math:pi"))
    with pytest.raises(ConfigError, match=r"'x' is used by several .* collections:ChainMap, collections:Counter"):
        tools.find("x")
    assert tools.find("y") == pytest.approx(3.14159, rel=1e-5), "the same target twice is no conflict"


def test_an_import_that_fails_is_named_in_every_way_in(monkeypatch) -> None:
    tools: Registry[object] = Registry("tool", GROUP, {"own": "no.such.module:Own"})
    offer(monkeypatch, ("theirs", "no.such.package:Theirs"))
    for name, target in (
        ("own", "no.such.module:Own"),
        ("theirs", "no.such.package:Theirs"),
        ("collections:Nothing", "collections:Nothing"),
    ):
        with pytest.raises(ConfigError, match=rf"tool '{name}': cannot import {target} \(.*\); install it, or put it"):
            tools.find(name)


def test_what_is_found_is_checked_whatever_way_it_came(monkeypatch) -> None:
    def check(name: str, value: object) -> type:
        if not isinstance(value, type):
            raise ConfigError(f"tool {name!r}: {import_path_of(value)} is no class")
        return value

    tools = Registry("tool", GROUP, {"pi": "math:pi", "counter": "collections:Counter"}, check)
    offer(monkeypatch, ("e", "math:e"))
    tools.register("function")(import_path_of)
    assert tools["counter"].__name__ == "Counter"
    for name in ("pi", "e", "function", "math:sqrt"):
        with pytest.raises(ConfigError, match=f"tool '{name}': .* is no class"):
            tools.find(name)


def test_registries_beside_each_other_share_what_comes_from_outside(tools, monkeypatch) -> None:
    others: Registry[object] = Registry("other", GROUP, {"map": "collections:ChainMap"}, shared_with=tools)
    tools.register("tool")(Tool)
    assert others.find("tool") is Tool
    with pytest.raises(ConfigError, match="is taken by collections:ChainMap"):
        tools.register("map")
    offer(monkeypatch, ("counter", "math:pi"))
    assert not others.comes_from_outside("counter"), "the name belongs to the other registry"
    assert others.entries() == [
        Entry(name="map", origin="built in", target="collections:ChainMap"),
        Entry(name="tool", origin="registered", target=import_path_of(Tool)),
    ]


def test_a_module_of_the_working_folder_is_found_and_the_path_left_as_it_was(tools, tmp_path, monkeypatch):
    (tmp_path / "lying_here.py").write_text("class Box:\n    inner = 7\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert tools.find("lying_here:Box.inner") == 7
    assert sys.path == before
    sys.modules.pop("lying_here")
    offer(monkeypatch, ("offered", "lying_here:Box"))
    with pytest.raises(ConfigError, match="cannot import lying_here:Box"):
        tools.find("offered")  # the package that offers a name is installed, so the working folder has no say


@pytest.mark.parametrize("name", [":read", "lying_here:", "lying_here:2", "../lying_here:Box", "lying_here:Box:inner"])
def test_a_name_of_another_form_is_refused_before_anything_is_imported(tools, name, tmp_path, monkeypatch):
    (tmp_path / "lying_here.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"is no name of code; write it as package\.module:attribute"):
        tools.find(name)


@pytest.mark.parametrize("content", ["def broken(:", "1 / 0", "import nowhere", "raise RuntimeError('no licence')"])
def test_a_module_that_cannot_be_imported_is_named(tools, tmp_path, monkeypatch, content):
    (tmp_path / "broken_module.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="tool 'broken_module:thing': cannot import broken_module:thing"):
        tools.find("broken_module:thing")


def modules_after(code: str) -> set[str]:
    """Return the modules of the package that a new interpreter has imported after some code."""
    code += "\nimport sys; print(*(name for name in sys.modules if name.startswith('dialogue_ser')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


SYSTEMS = {
    *(f"recurrent.{name}" for name in ("bc_lstm", "bigru", "cmn", "dialogue_crn")),
    *(f"recurrent.{name}" for name in ("dialogue_rnn", "emotion_rnn", "icon")),
    *(f"graph.{name}" for name in ("graphsmile", "m3net")),
    *(f"graph.{name}" for name in ("mm_dfn", "mmgcn")),
    *(f"fusion.{name}" for name in ("fusion_attention", "late_fusion", "utterance")),
    *(f"graph.{name}" for name in ("dag_erc", "dialogue_gcn")),
}
TRAINED = {"alexnet", "conv_attention", "gru_attention", "layer_mix", "meanpool", "textcnn", "transformer", "vgg"}


def test_a_systems_module_loads_only_when_it_is_named() -> None:
    loaded = modules_after("from dialogue_ser.models import build_model")
    assert {f"dialogue_ser.models.{name}" for name in SYSTEMS} & loaded == set()
    loaded = modules_after(
        "from dialogue_ser.models import build_model\n"
        "from dialogue_ser.features.core.api import InputSpec\n"
        "build_model('bigru', {}, {'text': InputSpec(kind='vector', dim=3)}, 2)"
    )
    assert {f"dialogue_ser.models.{name}" for name in SYSTEMS} & loaded == {"dialogue_ser.models.recurrent.bigru"}
    assert {f"dialogue_ser.encoders.{name}" for name in TRAINED} & loaded == set()


def test_a_trained_encoders_module_loads_only_when_it_is_named() -> None:
    loaded = modules_after(
        "from dialogue_ser.encoders import find_trained\nfind_trained('textcnn')\nfind_trained('minilm')"
    )
    assert {f"dialogue_ser.encoders.{name}" for name in TRAINED} & loaded == {"dialogue_ser.encoders.textcnn"}
