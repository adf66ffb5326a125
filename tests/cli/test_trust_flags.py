"""Code that only a file names: every place of a file × every command that reads one. The import leaves a trace."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dialogue_ser.cli.run_arguments import parse_train
from dialogue_ser.cli.trust_flags import trust_of
from dialogue_ser.corpus.readers import READERS, read_corpus
from dialogue_ser.errors import ConfigError
from dialogue_ser.inference.model_folder import with_checksum

HOSTILE = "from pathlib import Path\nPath('imported').touch()\nraise RuntimeError('stopped by the test')\n"
FRAMES = {"encoder": "gru-attention", "options": {"frames": "hostile:thing"}}
CROSS = {"reader": "cross-corpus", "options": {"train": {"reader": "sample"}, "test": {"reader": "hostile:thing"}}}
DEEP = {"reader": "cross-corpus", "path": None, "options": {"train": CROSS, "test": {"reader": "sample"}}}
#: Place of the name → settings that replace those of the example.
PLACES: dict[str, dict[str, Any]] = {
    "data.reader": {"data": {"reader": "hostile:thing"}},
    "data.options.test.reader": {"data": CROSS},
    "data.options.train.options.test.reader": {"data": DEEP},
    "features.text.encoder": {"features": {"text": {"encoder": "hostile:thing"}}},
    "features.text.options.frames": {"features": {"text": FRAMES}},
    "model.name": {"model": {"name": "hostile:thing"}},
    "loss.kind": {"loss": {"kind": "hostile:thing", "class_weights": "none", "class_weight_power": 1.0}},
    "metrics[1]": {"metrics": ["uar", "hostile:thing"]},
    "training.select": {"training": {"select": "hostile:thing"}},
    "training.callbacks[0]": {"training": {"callbacks": ["hostile:thing"]}},
}
#: Commands that take all settings of a file; RUN is a run directory whose config.yaml is this file.
COMMANDS = {
    "train": ["train", "--config", "FILE", "--out", "new"],
    "train, after a preset": ["train", "--preset", "quickstart", "--config", "FILE", "--out", "new"],
    "train --print-config": ["train", "--config", "FILE", "--print-config"],
    "train --smoke": ["train", "--config", "FILE", "--smoke"],
    "train --resume": ["train", "--resume", "RUN"],
    "crossval": ["crossval", "--config", "FILE", "--data.cut.protocol", "leave-one-speaker-out", "--out", "new"],
    "crossfit": ["crossfit", "--config", "FILE", "--out", "new.parquet"],
    "features encode": ["features", "encode", "--config", "FILE", "--store", "store"],
    "attention": ["attention", "RUN", "train/dia0_utt0"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module that leaves a trace when it is imported, and the folder of a run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hostile.py").write_text(HOSTILE)
    (tmp_path / "run").mkdir()
    yield tmp_path
    sys.modules.pop("hostile", None)


def settings(place: str) -> dict[str, Any]:
    """Settings of a short run on the sample, which name the hostile module at one place."""
    example = {
        "data": {"reader": "sample"},
        "features": {"text": {"encoder": "textcnn", "options": {"n_filters": 2, "embedding_dim": 4, "out_dim": 4}}},
        "model": {"name": "utterance"},
        "training": {"epochs": 1, "device": "cpu"},
    }
    return {**example, **PLACES[place]}


def tokens_of(command: str, here: Path, values: dict[str, Any]) -> list[str]:
    for file in ("file.yaml", "run/config.yaml"):
        (here / file).write_text(yaml.safe_dump(values))
    return [{"FILE": "file.yaml", "RUN": "run"}.get(token, token) for token in COMMANDS[command]]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", PLACES)
def test_every_command_refuses_code_at_every_place_of_a_file(here, cli, place, command) -> None:
    status, _, err = cli(*tokens_of(command, here, settings(place)))
    assert status == 2
    file = "run/config.yaml" if "RUN" in COMMANDS[command] else "file.yaml"
    assert f"error: {file}: {place}: 'hostile:thing' is code ({here / 'hostile.py'})" in err
    assert "--trust_code" in err
    assert not (here / "imported").exists()
    assert sorted(path.name for path in here.iterdir()) == ["file.yaml", "hostile.py", "run"], "nothing is written"


@pytest.mark.parametrize("place", PLACES)
def test_with_the_flag_the_code_is_run(here, cli, place) -> None:
    status, _, err = cli(*tokens_of("train", here, settings(place)), "--trust_code")
    assert (here / "imported").exists()
    assert (status, "its code failed; mend the module" in err) == (2, True)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("train", "train --print-config")])
def test_every_command_has_the_flag(here, cli, command) -> None:
    # --smoke reads the sample, and --resume compares the run with its files before it reads anything.
    place = {"train --smoke": "features.text.encoder", "train --resume": "model.name"}.get(command, "data.reader")
    status, _, _ = cli(*tokens_of(command, here, settings(place)), "--trust-code")
    assert (status, (here / "imported").exists()) == (2, True)


def test_the_refusal_lists_all_names_of_all_files_with_their_places(here, cli) -> None:
    (here / "one.yaml").write_text(yaml.safe_dump(settings("data.reader") | PLACES["metrics[1]"]))
    (here / "two.yaml").write_text("loss: {kind: 'hostile:other'}\nmodel: {name: 'nowhere:Model'}\n")
    status, _, err = cli("train", "--config", "one.yaml", "--config", "two.yaml")
    code = f"is code ({here / 'hostile.py'}), and a file may not run code"
    assert status == 2
    assert err.splitlines() == [
        f"error: one.yaml: data.reader: 'hostile:thing' {code}",
        "error: two.yaml: model.name: 'nowhere:Model' is code, and a file may not run code",
        f"error: two.yaml: loss.kind: 'hostile:other' {code}",
        f"error: one.yaml: metrics[1]: 'hostile:thing' {code}",
        "error: add --trust_code to this command if you trust this code, or name it by a flag, e.g. "
        "--data.reader hostile:thing",
    ]


@pytest.mark.parametrize(
    ("place", "flags"),
    [
        ("data.reader", ["--data.reader", "sample"]),
        ("data.reader", ["--data.reader=hostile:thing"]),
        ("data.options.test.reader", ["--data.reader", "sample"]),
        ("data.options.test.reader", ["--data.options", "{train: {reader: sample}, test: {reader: 'hostile:thing'}}"]),
        ("features.text.encoder", ["--features.text.encoder", "minilm"]),
        ("features.text.options.frames", ["--features.text.options", "{frames: 'hostile:other'}"]),
        ("loss.kind", ["--loss.kind=nll"]),
        ("metrics[1]", ["--metrics", "[uar, 'hostile:thing']"]),
        ("training.select", ["--training.select", "hostile:other"]),
        ("training.callbacks[0]", ["--training.callbacks", "[]"]),
        ("model.name", ["--model.name", "bigru"]),
    ],
)
def test_a_name_that_a_flag_gives_or_replaces_needs_no_trust(here, place, flags) -> None:
    (here / "file.yaml").write_text(yaml.safe_dump(settings(place)))
    parse_train(["--config", "file.yaml", *flags])
    assert not (here / "imported").exists(), "reading flags imports models only"


def test_the_refusal_of_a_run_that_is_continued_says_the_command(here, cli) -> None:
    status, _, err = cli(*tokens_of("train --resume", here, settings("data.reader")))
    assert status == 2
    assert "dialogue-ser train --resume run --trust_code\n" in err


def test_a_flag_for_another_place_allows_nothing(here) -> None:
    (here / "file.yaml").write_text(yaml.safe_dump(settings("data.reader")))
    with pytest.raises(ConfigError, match=r"data\.reader: 'hostile:thing' is code"):
        parse_train(["--config", "file.yaml", "--data.path", "hostile.py", "--training.select", "hostile:thing_2"])


@pytest.mark.parametrize("value", ["false", "no"])
def test_the_flag_can_be_switched_off(here, cli, value) -> None:
    status, _, _ = cli(*tokens_of("train", here, settings("data.reader")), f"--trust_code={value}")
    assert (status, (here / "imported").exists()) == (2, False)
    assert trust_of(["--trust_code", value]) is False


def test_words_that_look_like_code_are_no_code(here, cli) -> None:
    """Labels, paths and names of columns. The modules os and code exist, the modules joy and a do not."""
    (here / "turns.csv").write_text(
        "split,dialogue,speaker,text,mood\n" + "train,a,A,hi,joy:high\ndev,b,B,no,a:b\n" * 3
    )
    options = {
        "label_map": {"joy:high": "os:path", "a:b": "code:red"},
        "columns": {"text": "os:path", "dialogue": ["os:path", "json:loads"], "label": "mood"},
        "audio_root": "os:path",
    }
    data = {"reader": "table", "path": "turns.csv", "labels": "os:path", "options": options}
    values = {**settings("data.reader"), "data": data, "name": "code:one"}
    (here / "file.yaml").write_text(yaml.safe_dump(values))
    assert cli("train", "--config", "file.yaml", "--print-config")[0] == 0


def test_code_in_the_folder_of_the_run_itself_is_refused_and_its_place_is_said(here, cli) -> None:
    """A folder without __init__.py is a package too, so a name may lie inside the folder that names it."""
    (here / "run" / "inside.py").write_text(HOSTILE)
    (here / "run" / "config.yaml").write_text("data: {reader: 'run.inside:read'}\n")
    status, _, err = cli("train", "--resume", "run")
    assert (status, (here / "imported").exists()) == (2, False)
    assert f"'run.inside:read' is code ({here / 'run' / 'inside.py'})" in err


def test_the_second_wall_stops_what_the_first_one_overlooks(here, cli, monkeypatch) -> None:
    """A reader of an installed package reads another corpus whose reader stands where only labels are expected."""
    monkeypatch.setattr(READERS, "registered", {})
    READERS.register("inner")(lambda path, labels, label_map=None: read_corpus(label_map["joy"]))
    data = {"reader": "inner", "options": {"label_map": {"joy": "hostile:thing"}}}
    tokens = tokens_of("train", here, {**settings("data.reader"), "data": data})
    status, _, err = cli(*tokens)
    assert (status, (here / "imported").exists()) == (2, False)
    assert "reader 'hostile:thing' is code" in err
    assert cli(*tokens, "--trust_code")[0] == 2
    assert (here / "imported").exists()


@pytest.fixture
def model(trained: Path, here: Path) -> Path:
    shutil.copytree(trained, here / "finished")
    return here / "finished" / "model"


MODEL_PLACES = {
    "model.name": ["model", "name"],
    "inputs.text.encoder": ["inputs", "text", "encoder"],
    "features.text.encoder": ["features", "text", "encoder"],
    "features.text.options.frames": ["features", "text", "options", "frames"],
    "model.options.global_dim": ["model", "options", "global_dim"],
}


@pytest.mark.parametrize("place", MODEL_PLACES)
def test_a_model_folder_is_refused_with_code_at_every_place(model, here, cli, place) -> None:
    config = json.loads((model / "config.json").read_text())
    *parents, last = MODEL_PLACES[place]
    node = config
    for parent in parents:
        node = node[parent]
    node[last] = "hostile:thing"
    (model / "config.json").write_text(json.dumps(with_checksum(config)))
    (here / "new.csv").write_text("speaker,text\nAnn,fine\n")
    turn = "train/d0_utt0"
    for tokens in (
        ["predict", "finished", "new.csv"],
        ["predict", "finished/model", "new.csv"],
        ["attention", "finished", turn],
    ):
        status, _, err = cli(*tokens)
        assert (status, (here / "imported").exists()) == (2, False)
        assert f"config.json: {place}: 'hostile:thing' is code" in err
    if "options" not in place:  # this model and its encoder import nothing that their options name
        assert cli("predict", "finished", "new.csv", "--trust_code")[0] == 2
        assert (here / "imported").exists()
