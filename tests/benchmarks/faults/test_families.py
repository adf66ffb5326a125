"""Each family: one or two of its cases, and proof that its judge can say no."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.faults import configs, flips, media, stores, tables, vectors
from benchmarks.faults.core.case import Case, Failed
from benchmarks.faults.core.damage import Damage
from benchmarks.faults.core.oracle import Ran

# Cases that need processes run in one that has imported the library: a case a line, as the campaign would.
CASES = """
import json, sys
from importlib import import_module
from pathlib import Path
import torch
from benchmarks.faults import flips, trained
from benchmarks.faults.core.case import Case, Failed

torch.set_num_threads(1)
root = Path(sys.argv[1])
material = root / "material"
material.mkdir()
flips.prepare(material, ("text",))
found = {}
for name, numbers in (("kills", [0]), ("signals", [1]), ("flips", [0, 1, 2]), ("runs", [2])):
    for number in numbers:
        folder = root / f"{name}-{number}"
        folder.mkdir()
        outcome = import_module(f"benchmarks.faults.{name}").attack(Case(name, number, 13, folder, material))
        found[f"{name}-{number}"] = [outcome.how, outcome.what]
altered = json.loads((material / "reference.json").read_text())
altered["text-1"]["results"]["metrics"]["metrics.jsonl"][3]["loss"] += 1e-12
(material / "reference.json").write_text(json.dumps(altered))
folder = root / "kills-again"
folder.mkdir()
try:
    import_module("benchmarks.faults.kills").attack(Case("kills", 0, 13, folder, material))
except Failed as failure:
    found["altered"] = ["failed", str(failure)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(warm_process, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    root = tmp_path_factory.mktemp("faults")
    (root / "cases.py").write_text(CASES)
    done = warm_process.run([root / "cases.py", root], path=[Path(__file__).parents[3]])
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return verdicts


@pytest.mark.parametrize("name", ["kills-0", "signals-1", "runs-2"])
def test_killed_and_stopped_runs_end_as_undisturbed_ones(found, name: str) -> None:
    assert found[name][0] == "equal", found[name]


@pytest.mark.parametrize("name", ["flips-0", "flips-1", "flips-2"])
def test_a_damaged_model_store_or_checkpoint_is_right_or_refused(found, name: str) -> None:
    assert found[name][0] in ("equal", "refused"), found[name]


def test_a_loss_that_differs_in_the_last_digits_is_no_survival(found) -> None:
    assert found["altered"][0] == "failed"
    assert "loss" in found["altered"][1]


def a_case(family: str, number: int, root: Path, material: Path | None = None) -> Case:
    folder = root / f"{family}-{number}"
    folder.mkdir()
    return Case(family, number, 13, folder, material or root)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    media.prepare(folder)
    return folder


def test_damaged_media_are_right_or_refused(sounds: Path, tmp_path: Path) -> None:
    outcomes = {n: media.attack(a_case("media", n, tmp_path, sounds)).how for n in (0, 1, 3, 4)}
    assert set(outcomes.values()) <= {"equal", "refused", "local"}


def judged(found_N: np.ndarray, first: int, name: str = "x.wav", moves: bool = False) -> str:
    content = bytes(22) + bytes(10) + (2).to_bytes(2, "little") + b"..data" + bytes(4) + bytes(2000)
    done = Damage(content, "d", first, first + 1, moves)
    right_N = np.zeros(1000, dtype=np.float32)
    return media._compared(found_N.astype(np.float32), right_N, done, content, f"{name}: d", 16000).how


def test_media_that_are_short_or_wrong_elsewhere_than_damaged_are_failures() -> None:
    right, start = np.zeros(1000), 44
    near = right.copy()
    near[300] = 0.5
    assert judged(right, start) == "equal"
    assert judged(near, start + 601) == "local"
    for wrong, first, name in ((right[:-1], start, "x.wav"), (near, start + 605, "x.wav"), (near, 3, "x.wav"),
                               (near, start + 601, "x.flac"), (near, start + 601, "x.ogg")):  # fmt: skip
        with pytest.raises(Failed, match="silently"):
            judged(wrong, first, name)


def test_sound_and_damaged_tables_are_right_or_refused(tmp_path: Path) -> None:
    outcomes = [tables.attack(a_case("tables", number, tmp_path)).how for number in (0, 2, 3, 6, 10, 27)]
    assert outcomes[0] == outcomes[1] == "equal"
    assert set(outcomes) <= {"equal", "refused", "local"}


@pytest.mark.parametrize("number", [0, 6, 10])
def test_a_table_that_loses_a_turn_is_a_failure(number: int, tmp_path: Path, monkeypatch) -> None:
    read = tables._read

    def loses_one(path: Path, logged: list[str], *, as_input: bool) -> tables.Dialogues:
        found = read(path, logged, as_input=as_input)
        next(iter(found.values()))[0].pop()
        return found

    monkeypatch.setattr(tables, "_read", loses_one)
    with pytest.raises(Failed, match="silently read in another way"):
        tables.attack(a_case("tables", number, tmp_path))


def test_damage_to_one_line_excuses_no_other_line() -> None:
    rows = [
        {"Dialogue_ID": "a", "Speaker": "x", "Utterance": f"u{n}", "Emotion": "joy", "Split": "train"} for n in range(3)
    ]
    content = b"".join(f"line{n}\n".encode() for n in range(4))
    form = tables.Form("t.csv", content, rows, lines=1)
    done = Damage(content.replace(b"line1", b"lxne1"), "d", 7, 8)  # in the line of the first turn
    right = {"train": [[("x", "u0", "joy"), ("x", "u1", "joy"), ("x", "u2", "joy")]]}
    changed = {"train": [[("x", "??", "joy"), ("x", "u1", "joy"), ("x", "u2", "joy")]]}
    assert tables._local(form, done, right, changed, [], Failed("d")).how == "local"
    for wrong in ({"train": [[("x", "u0", "joy"), ("x", "u2", "joy")]]},
                  {"train": [[("x", "u1", "joy")], [("x", "u2", "joy")]]},
                  {"train": [[("x", "u0", "joy"), ("x", "u2", "joy"), ("x", "u1", "joy")]]}):  # fmt: skip
        with pytest.raises(Failed):
            tables._local(form, done, right, wrong, [], Failed("d"))


def test_damage_to_json_excuses_one_turn_only() -> None:
    rows = [{"Utterance": f"u{n}"} for n in range(4)]
    right = {"train": [[("x", "u0", "joy"), ("x", "u1", "joy")]], "test": [[("y", "u2", "joy"), ("y", "u3", "joy")]]}
    one = {"train": [[("x", "u0", "joy"), ("x", "?1", "joy")]], "test": right["test"]}
    assert tables._local_json(rows, right, one, Failed("d")).how == "local"
    for wrong in ({"train": right["train"]}, {"train": [], "test": right["test"]},
                  {"train": [[("z", "u0", "joy"), ("z", "u1", "joy")]], "test": right["test"]}):  # fmt: skip
        with pytest.raises(Failed, match="more than one turn"):
            tables._local_json(rows, right, wrong, Failed("d"))


def test_a_broken_configuration_is_refused(tmp_path: Path, monkeypatch) -> None:
    configs.prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    for number in (9, 26):  # a flag, and a setting with an unknown name
        assert configs.attack(a_case("configs", number, tmp_path)).how == "refused"
        monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("printed", ["seed: 4\nname: x\n", "seed: 3\n", "seed: true\nname: x\n"])
def test_a_setting_that_is_ignored_or_changed_is_a_failure(printed: str) -> None:
    with pytest.raises(Failed, match="silently ignored or changed"):
        configs._check_printed(Ran(0, printed, ""), b"seed: 3\nname: x\n", ())


def test_a_key_that_occurs_twice_is_a_failure_if_it_is_read() -> None:
    assert configs._check_printed(Ran(0, "seed: 3\n", ""), b"seed: 3\n", ())["seed"] == 3
    with pytest.raises(Failed, match="a key occurs twice"):
        configs._check_printed(Ran(0, "seed: 4\n", ""), b"seed: 3\nseed: 4\n", ())


def test_rows_that_are_missing_or_differ_in_one_bit_are_failures() -> None:
    encoder, given = vectors.Letters("vector"), vectors.dialogues(2)
    right = vectors.right_rows(encoder, given)
    vectors.require_rows(dict(right), right)
    changed = {**right, "d0_u0": np.nextafter(right["d0_u0"], 1)}
    for wrong in (
        changed,
        {key: row for key, row in right.items() if key != "d1_u1"},
        {**right, "more": right["d0_u0"]},
    ):
        with pytest.raises(Failed):
            vectors.require_rows(wrong, right)


def test_a_store_with_something_set_aside_is_a_failure(tmp_path: Path) -> None:
    from dialogue_ser.features.store.feature_store import FeatureStore

    case = a_case("stores", 0, tmp_path)
    store = FeatureStore(case.folder / "store", chunk_utterances=stores._CHUNK)
    store.table(vectors.Letters("vector"), vectors.dialogues(stores._N_DIALOGUES))
    assert stores._check_store(case, "vector") == 2 * stores._N_DIALOGUES
    [entry] = store.entries()
    (entry.folder / "quarantine").mkdir(exist_ok=True)
    shutil.copy(entry.folder / "index.parquet", entry.folder / "quarantine" / "x-index.parquet")
    with pytest.raises(Failed, match="1 set aside"):
        stores._check_store(case, "vector")
    assert flips.FAMILY.name == "flips"
