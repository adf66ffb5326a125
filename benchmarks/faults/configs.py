"""Broken configurations and flags: YAML and JSON with wrong values, names, syntax and bytes, and odd command lines.

A case reads the file with ``train`` or ``crossval`` and ``--print_config``. If it is read, a small training follows.

Survived: one of the two ends with status 2 and clear sentences, at most 30 of them, without a traceback, within 10 s,
and no file is written; or the training succeeds, every value of the file stands in the configuration that is printed
(none is ignored or changed), and another reader of YAML finds that the file is sound. What can mean nothing must be
refused.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from benchmarks.faults import trained
from benchmarks.faults.core import damage
from benchmarks.faults.core.case import Case, Failed, Family, Outcome
from benchmarks.faults.core.oracle import Ran, command, failures_name, short
from benchmarks.faults.table_forms import Rng

_BASE: dict[str, Any] = {
    "name": "broken",
    "seed": 3,
    "data": {"reader": "table", "path": "turns.csv", "labels": "emotion"},
    "features": {"text": {"encoder": "textcnn", "options": {"out_dim": 8, "dropout": 0.25}, "transforms": []}},
    "model": {"name": "emotion-rnn", "options": {"hidden_dim": 12, "attention": "simple", "causal": True}},
    "loss": {"class_weights": "inverse-frequency", "label_smoothing": 0.125},
    "optimizer": {"learning_rate": 0.004, "schedule": "cosine", "warmup_fraction": 0.25},
    "training": {"epochs": 2, "batch_size": 5, "patience": 2, "ema_decay": 0.5, "callbacks": []},
}
_VALUES: tuple[Any, ...] = (
    None, -1, 0, 3, 10**400, 1e308, float("inf"), float("-inf"), float("nan"), True, "x", "", " ", "1e3", "\x00",
    "a\nb", [], [1, 2], {}, {"a": 1}, [[[]]], "a" * 100_000, "../../x",
    "none", 0.5,
)  # fmt: skip
_FLAGS: tuple[tuple[str, ...], ...] = (
    ("--training.epochs", "x"), ("--training.epochs",), ("--training.epochs=",), ("--training.epochs", "-3"),
    ("--training.epochs=1e999",), ("--training.epochs", "9" * 400), ("--training.epoch", "3"), ("--nosuch",),
    ("--features.txt.encoder", "minilm"), ("--features.text.encoder", "minlm"), ("--features.text.options", "{a: "),
    ("--features.text.options.nosuch", "3"), ("--features.text", "[1]"), ("--features", "x"), ("--model.name", ""),
    ("--model.options", "[1"), ("--model.options.hidden_dim", "[]"), ("--model.options.hidden_dim", "1.5"),
    ("--model", "null"), ("--data.options", "{a: b"), ("--data.reader", "nosuch"), ("--data.reader", "os:system"),
    ("--data.reader", "nosuch.module:x"), ("--data.cut.protocol", "x"), ("--out", ""), ("--preset", "x"),
    ("--preset", "../x"), ("--config", "nosuch.yaml"), ("--config", "."), ("--resume", "nosuch"), ("stray",),
    ("--seed", "one"), ("--seed", "1.5"), ("--optimizer.learning_rate", "nan"), ("--optimizer.learning_rate", "-1"),
    ("--optimizer.learning_rate", "1e400"), ("--optimizer", "3"), ("--loss.kind", "mse"), ("--task", "x"),
    ("--training.callbacks", "[1]"), ("--training.callbacks", "nosuch"), ("--metrics", "[x]"),
    ("--seed", "1", "--seed"),
    ("--" + "a" * 50_000, "1"), ("--name", "a/b"), ("--name", "a" * 300), ("--name", "\x00"), ("---",), ("--=",),
    ("=",),
    ("--training.epochs", "{a: 1}"), ("--features.a.b.encoder", "x"), ("--features.type.encoder", "minilm"),
    ("--features.keys.encoder", "minilm"), ("--training.select", "nosuch"), ("--wandb.mode", "x"), ("--smoke", "x"),
)  # fmt: skip


#: Flags that are odd, but may be read.
_READABLE = ("--name", "--features.type.encoder", "--features.keys.encoder")
_MOST_EPOCHS = 20


def prepare(material: Path) -> None:
    """Write a small corpus."""
    trained.write_corpus(material)


def attack(case: Case) -> Outcome:
    """Write one configuration, and read it with a command."""
    kinds = (_wrong_value, _unknown_key, _damaged_text, _odd_yaml, _wrong_flag)
    number, kind = divmod(case.number, len(kinds))
    folder = case.folder / "here"
    folder.mkdir()
    shutil.copy(case.material / trained.TABLE, folder)
    os.chdir(folder)
    what, content, flags, is_hopeless = kinds[kind](case.rng, number)
    case.note(what)
    path = case.folder / f"config.{'json' if content[:1] == b'{' else 'yaml'}"
    path.write_bytes(content)
    name = ("train", "crossval")[number % 4 == 3]
    before = sorted(case.folder.rglob("*"))
    with failures_name(what):
        ran = command([name, "--config", str(path), "--print_config", *flags])
        if sorted(case.folder.rglob("*")) != before or path.read_bytes() != content:
            raise Failed("files were written or changed")
        if ran.status == 2:
            return Outcome("refused", f"{what}: {short(ran.err)}")
        printed = _check_printed(ran, content, flags)
        if (printed["training"] or {}).get("epochs", 0) <= _MOST_EPOCHS:
            ran = _train(path, flags)
            if ran.status == 2:
                if sorted(case.folder.rglob("*")) != before:
                    raise Failed(f"files were written before it was refused: {short(ran.err)}")
                return Outcome("refused", f"{what}: {short(ran.err)}")
        if is_hopeless:
            raise Failed(f"it should be refused, but was read as {short(ran.out)}")
    return Outcome("equal", what)


def _train(path: Path, flags: tuple[str, ...]) -> Ran:
    """Run the training, without scores and report, which take longer than the rest."""
    from dialogue_ser.cli.commands import train

    with mock.patch.object(train, "finish", lambda folder, metrics=None: folder):
        return command(["train", "--config", str(path), "--out", "out", *flags])


def _check_printed(ran: Ran, content: bytes, flags: tuple[str, ...]) -> dict[str, Any]:
    """Return the printed configuration. Raise Failed unless all values of the file are in it."""
    printed: dict[str, Any] = yaml.safe_load(ran.out)
    try:
        wanted = yaml.load(content, Loader=_StrictLoader)  # noqa: S506 - a subclass of SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Failed(f"another reader of YAML refuses the file ({short(error)}), but it was read") from error
    changed = {flag.partition("=")[0].lstrip("-").split(".")[0] for flag in flags if flag.startswith("--")}
    missing = _missing({key: value for key, value in (wanted or {}).items() if key not in changed}, printed)
    if missing:
        raise Failed(f"silently ignored or changed: {missing}")
    return printed


def _word(key: Any) -> str:
    """Return a key as the file writes it: YAML reads the word true as a value."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def _missing(wanted: Any, printed: Any, where: str = "") -> str:
    """Return the first place at which a value of the file is not in what was printed; "" = there is none."""
    if isinstance(wanted, Mapping) and isinstance(printed, Mapping):
        for key, value in ((_word(key), value) for key, value in wanted.items()):
            if key not in printed:
                return f"{where}{key}"
            if found := _missing(value, printed[key], f"{where}{key}."):
                return found
        return ""
    if isinstance(wanted, list) and isinstance(printed, list):
        pairs = zip(wanted, printed, strict=False)
        return next((m for a, b in pairs if (m := _missing(a, b, where))), "" if len(wanted) == len(printed) else where)
    if isinstance(wanted, Mapping) and not wanted and printed is None:
        return ""
    is_same = wanted == printed and isinstance(wanted, bool) == isinstance(printed, bool)
    return "" if is_same or (wanted != wanted and printed != printed) else f"{where.rstrip('.')}: {short(printed, 40)}"


class _StrictLoader(yaml.SafeLoader):
    """Refuses a key that occurs twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len({repr(key) for key in keys}) < len(keys):
            raise yaml.YAMLError(f"a key occurs twice: {short(keys)}")
        return super().construct_mapping(node, deep)


Made = tuple[str, bytes, tuple[str, ...], bool]
"""What it is, content of the file, flags, and whether it must be refused."""


def _places(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, inner in value.items():
        found.append((*path, key))
        if isinstance(inner, Mapping):
            found += _places(inner, (*path, key))
    return found


def _changed(path: tuple[str, ...], change: Callable[[dict[str, Any], str], None]) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(json.dumps(_BASE))
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    change(inner, path[-1])
    return config


def _written(config: Mapping[str, Any], rng: Rng) -> bytes:
    if rng.random() < 0.25:
        return json.dumps(config).encode()
    return yaml.safe_dump(config, allow_unicode=True, sort_keys=False).encode()


def _wrong_value(rng: Rng, number: int) -> Made:
    places = _places(_BASE)
    path, value = places[int(rng.integers(len(places)))], _VALUES[int(rng.integers(len(_VALUES)))]
    config = _changed(path, lambda inner, key: inner.update({key: value}))
    return f"{'.'.join(path)} = {short(repr(value), 30)}", _written(config, rng), (), False


def _unknown_key(rng: Rng, number: int) -> Made:
    places = _places(_BASE)
    path = places[int(rng.integers(len(places)))]
    key = path[-1]
    at = int(rng.integers(len(key)))
    odd = [
        key[:at] + key[at + 1 :],
        key[:at] + "x" + key[at:],
        key.upper(),
        f"{key} ",
        3,
        None,
        True,
        "",
        "a" * 5000,
        "a.b",
    ]
    new = odd[int(rng.integers(len(odd)))]

    def rename(inner: dict[str, Any], old: str) -> None:
        inner[new] = inner.pop(old)

    text = yaml.safe_dump(_changed(path, rename), sort_keys=False)
    return f"{'.'.join(path)} is called {short(repr(new), 30)}", text.encode(), (), False


def _damaged_text(rng: Rng, number: int) -> Made:
    content = _written(_BASE, rng)
    chosen = (
        damage.flip_bit,
        damage.flip_bit,
        damage.flip_bit,
        damage.cut,
        damage.overwrite_block,
        damage.insert_block,
    )
    done = chosen[int(rng.integers(len(chosen)))](content, rng)
    return done.what, done.content, (), False


def _odd_yaml(rng: Rng, number: int) -> Made:
    depth = int(rng.choice([60, 1000, 20_000, 200_000]))
    base = yaml.safe_dump(_BASE)
    laughs = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]" for i in range(12))
    odd: tuple[tuple[str, str | bytes, bool], ...] = (
        (f"{depth} brackets", "name: " + "[" * depth + "]" * depth, True),
        (f"{depth} open brackets", "name: " + "[" * depth, True),
        (f"{depth} braces", "{a: " * depth + "1" + "}" * depth, True),
        (f"{depth // 10} nested lists", "name: " + "- " * (depth // 10) + "x", True),
        (f"{min(depth, 2000)} nested keys", "\n".join(f"{' ' * i}a:" for i in range(min(depth, 2000))), True),
        ("aliases that double", laughs, True),
        ("an alias of itself", "name: &a [*a]", True),
        ("a mapping that holds itself", "model: &a {name: *a}", True),
        ("Python tags", "name: !!python/object/apply:os.system ['true']", True),
        ("an own tag", "name: !x y", True),
        ("two documents", f"{base}---\nname: second\n", True),
        ("a key twice", f"{base}seed: 4\n", True),
        ("an inner key twice", base.replace("  epochs: 2", "  epochs: 2\n  epochs: 3"), True),
        ("tabs", base.replace("  ", "\t"), True),
        ("a list", "- name: x\n- seed: 3\n", True),
        ("a text", "name", True),
        ("a number", "3", True),
        ("a BOM", b"\xef\xbb\xbf" + base.encode(), False),
        ("UTF-16", base.encode("utf-16"), False),
        ("bytes that are no text", b"\xff\xfe\x00\x01" + base.encode(), True),
        ("Latin-1", base.replace("broken", "é").encode("latin-1"), True),
        ("zeros", b"\x00" * 1000, True),
        ("a PNG", b"\x89PNG\r\n\x1a\n" + rng.bytes(500), True),
        ("a long text", f"name: {'x' * 1_000_000}", True),
        ("many keys", "\n".join(f"k{i}: {i}" for i in range(20_000)), True),
        ("a merge key", f"{base}\nwandb: &w {{mode: disabled}}\nloss2: {{<<: *w}}\n", True),
        ("dates and octals", base.replace("seed: 3", "seed: 2001-01-01"), True),
        ("yes for a number", base.replace("seed: 3", "seed: yes"), True),
        ("sexagesimal", base.replace("epochs: 2", "epochs: 1:30"), False),
        ("CR line ends", base.replace("\n", "\r"), False),
    )
    what, text, is_hopeless = odd[number % len(odd)]
    return what, text.encode() if isinstance(text, str) else text, (), is_hopeless


def _wrong_flag(rng: Rng, number: int) -> Made:
    flags = _FLAGS[(7 * number + int(rng.integers(3))) % len(_FLAGS)]
    return short(f"flags {' '.join(flags)}"), yaml.safe_dump(_BASE).encode(), flags, flags[0] not in _READABLE


FAMILY = Family(
    name="configs",
    fault="broken YAML and JSON configurations, and wrong flags",
    one_try="one configuration, read by train or crossval",
    survives="a clear refusal within 10 s, or every value of the file counts",
    quick=75,
    full=200,
    prepare=prepare,
    attack=attack,
    seconds=10.0,
    gigabytes=1.0,
)
