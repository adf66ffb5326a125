import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dialogue_ser.corpus.schema import Dialogue, utterances
from dialogue_ser.errors import FeatureError, MediaError
from dialogue_ser.features.audio.opensmile import OpenSmile
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.store import feature_store
from dialogue_ser.features.store.engines import encode_unit
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.maintenance import superseded_entries
from dialogue_ser.features.store.shards import read_index


class Counting:
    """Encodes a text as (length, words) and remembers the ids it has encoded."""

    name, modality, kind = "counting", "text", "vector"
    traits = EncoderTraits(context=(0, 0), reads=("text",))

    def __init__(self, version: int = 1) -> None:
        self.version = version
        self.encoded: list[str] = []

    def fingerprint(self):
        return {"version": self.version}

    def encode(self, dialogues):
        turns = [turn for turn in utterances(dialogues) if turn.text is not None]
        self.encoded += [turn.id for turn in turns]
        return {t.id: np.array([len(t.text), len(t.text.split()) * self.version], np.float32) for t in turns}


class Frames(Counting):
    kind = "frames"

    def encode(self, dialogues):
        self.encoded += [turn.id for turn in utterances(dialogues)]
        return {t.id: np.arange(2 * len(t.text), dtype=np.float32).reshape(-1, 2) for t in utterances(dialogues)}


class WithPast(Counting):
    """Sees one past turn and its speaker."""

    traits = EncoderTraits(context=(1, 0), reads=("text", "speaker"))

    def encode(self, dialogues):
        rows = {}
        for dialogue in dialogues:
            for past, turn in zip((None, *dialogue.utterances), dialogue, strict=False):
                self.encoded.append(turn.id)
                rows[turn.id] = np.array([len(turn.text), len(past.text) if past else -1], np.float32)
        return rows


@pytest.fixture
def store(tmp_path) -> FeatureStore:
    return FeatureStore(tmp_path, chunk_utterances=2)


def only_shard(store: FeatureStore) -> Path:
    (path,) = store.root.glob("*/shard-*")
    return path


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[key], right[key]) for key in left)


def test_second_run_skips_encoding_also_under_other_ids(store, dialogue, tmp_path) -> None:
    talk = dialogue(["oh my", "no", None, "no"])
    first, second = Counting(), Counting()
    rows = store.table(first, [talk])
    assert same(rows, Counting().encode([talk]))
    assert len(first.encoded) == 2, "equal texts are encoded once"
    renamed = dialogue(["no", "oh my"], name="test/other")
    assert same(FeatureStore(tmp_path).table(second, [talk]), rows)
    assert same(store.table(second, [renamed]), Counting().encode([renamed]))
    assert second.encoded == []


def test_only_what_is_new_is_encoded(store, dialogue) -> None:
    store.table(Counting(), [dialogue(["a", "b"])])
    encoder = Counting()
    rows = store.table(encoder, [dialogue(["a", "c", "b"], name="d")])
    assert encoder.encoded == ["d_utt1"]
    assert rows["d_utt1"].tolist() == [1, 1]


def test_another_fingerprint_is_another_entry(store, dialogue) -> None:
    talk = dialogue(["a b", "c"])
    assert store.table(Counting(1), [talk])["train/dia0_utt0"].tolist() == [3, 2]
    assert store.table(Counting(2), [talk])["train/dia0_utt0"].tolist() == [3, 4]
    assert [entry.n_utterances for entry in store.entries()] == [2, 2]


def test_frames_of_different_lengths_come_back_exactly(store, dialogue) -> None:
    talk = dialogue(["a", "bcd", "ef"])
    rows = store.table(Frames(), [talk])
    assert same(rows, Frames().encode([talk]))


def test_what_an_encoder_gives_is_checked_before_it_is_stored(store, dialogue) -> None:
    class Careless(Counting):
        def encode(self, dialogues):
            return {t.id: np.array([len(t.text), 2.0]) for t in utterances(dialogues)}  # float64

    talk = dialogue(["oh my"])
    for _ in range(2):
        assert store.table(Careless(), [talk], progress=False)["train/dia0_utt0"].tolist() == [5.0, 2.0]
    Careless.encode = lambda self, dialogues: {"train/dia0_utt0": np.array([np.nan])}
    with pytest.raises(FeatureError, match="'counting', train/dia0_utt0: has 1 of 1 values that are NaN"):
        store.table(Careless(version=2), [talk], progress=False)
    assert [entry.n_utterances for entry in store.entries()].count(0) == 1


def test_rows_are_memory_mapped_and_writing_to_them_never_reaches_the_disk(store, dialogue) -> None:
    talk = dialogue(["one two"])
    row = store.table(Counting(), [talk])["train/dia0_utt0"]
    base = row
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)
    row[:] = -1
    assert store.table(Counting(), [talk])["train/dia0_utt0"].tolist() == [7, 2]


def test_an_encoder_with_context_is_keyed_by_its_window(store, dialogue) -> None:
    talk = dialogue(["a", "bb", "a", "bb"])
    first = store.table(WithPast(), [talk])
    assert same(first, WithPast().encode([talk]))
    again = WithPast()
    assert same(store.table(again, [talk]), first)
    assert again.encoded == []
    changed = dialogue(["aaa", "bb", "a", "bb"])
    rows = store.table(again, [changed])
    assert same(rows, WithPast().encode([changed]))
    other_speakers = dialogue(["a", "bb"], speakers=["Ross", "Ross"], name="x")
    before = len(again.encoded)
    store.table(again, [other_speakers])
    assert len(again.encoded) > before


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_broken_shard_is_set_aside_and_computed_again(store, dialogue, damage, caplog) -> None:
    talk = dialogue(["a", "b c"])
    rows = {key: row.copy() for key, row in store.table(Counting(), [talk]).items()}
    path = only_shard(store)
    content = bytearray(path.read_bytes())
    path.unlink()
    content[-1] ^= 255
    if damage != "delete":
        path.write_bytes(content if damage == "flip" else content[:-3])
    encoder = Counting()
    assert same(FeatureStore(store.root.parent).table(encoder, [talk]), rows)
    assert len(encoder.encoded) == 2
    assert "set aside" in caplog.text
    assert len(list(path.parent.glob("quarantine/*"))) == (0 if damage == "delete" else 1)
    assert same(store.table(encoder, [talk]), rows)
    assert len(encoder.encoded) == 2


def test_a_broken_index_is_set_aside_and_computed_again(store, dialogue, caplog) -> None:
    talk = dialogue(["a", "b c"])
    rows = store.table(Counting(), [talk])
    index = next(store.root.glob("*/index.parquet"))
    index.write_bytes(index.read_bytes()[:40])
    assert same(store.table(Counting(), [talk]), rows)
    assert "unreadable" in caplog.text


def test_a_flipped_bit_anywhere_in_the_index_never_gives_a_wrong_row(store, dialogue):
    store.table(Counting(), [dialogue(["a", "b b", "c", "d", "e"])])
    (folder,) = (path.parent for path in store.root.glob("*/index.parquet"))
    index = folder / "index.parquet"
    whole, addresses = index.read_bytes(), read_index(folder)
    for at in range(0, len(whole), 5):
        broken = bytearray(whole)
        broken[at] ^= 1 << at % 8
        index.write_bytes(broken)
        assert read_index(folder) in ({}, addresses), f"bit {at % 8} of byte {at}"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("shard", "../outside.safetensors"),
        ("shard", "/outside.safetensors"),
        ("shard", None),
        ("position", -1),
        ("position", 0),
        ("position", "0"),
        ("position", None),
    ],
)
def test_an_index_with_rows_that_the_store_did_not_write_is_set_aside(store, dialogue, column, value):
    talk = dialogue(["a", "b b", "c"])
    expected = store.table(Counting(), [talk])
    (index,) = store.root.glob("*/index.parquet")
    columns = pq.read_table(index).to_pydict()
    pq.write_table(pa.table({**columns, column: [value] * len(columns["key"])}), index)
    outside = store.root / "outside.safetensors"
    outside.write_bytes(b"other data")
    assert same(store.table(Counting(), [talk]), expected)
    assert outside.exists()
    assert list(index.parent.glob("quarantine/*index.parquet"))


def test_a_damaged_description_is_written_again(store, dialogue):
    store.table(Counting(), [dialogue(["a"])])
    (described,) = store.root.glob("*/encoder.json")
    whole = described.read_text()
    described.write_text('{"name": 5, "kind": [1], "fingerprint": "x"}')
    (entry,) = store.entries()
    assert (entry.encoder, entry.n_broken) == ("counting", 1)
    assert superseded_entries([entry]) == {}
    store.table(Counting(), [dialogue(["a"])])
    assert described.read_text() == whole
    assert store.entries()[0].n_broken == 0


def test_verify_names_broken_shards_and_prune_deletes_files_that_no_index_lists(store, dialogue) -> None:
    store.table(Counting(), [dialogue(["a", "b"])])
    assert store.verify() == ()
    path = only_shard(store)
    path.write_bytes(path.read_bytes()[:-1])
    assert store.verify() == (path,)
    assert read_index(path.parent) == {}
    orphan = path.parent / "shard-orphan.safetensors"
    fresh = path.parent / "shard-fresh.safetensors"
    orphan.write_bytes(b"1234")
    fresh.write_bytes(b"1234")
    os.utime(orphan, (time.time() - 7200,) * 2)
    assert store.prune() > 4
    assert not orphan.exists()
    assert fresh.exists()
    assert not list(path.parent.glob("quarantine/*"))


class Costly(Counting):
    """Says that a text costs as many units as it has words."""

    def costs(self, turns):
        return [len((turn.text or "").split()) for turn in turns]


def test_utterances_of_similar_cost_are_encoded_together_the_most_expensive_first(store, dialogue) -> None:
    talks = [dialogue(["a", "b c", "d", "e f"], name="x"), dialogue(["g h i", None, "j"], name="y")]
    encoder = Costly()
    rows = store.table(encoder, talks)
    assert encoder.encoded == ["y_utt0", "x_utt1", "x_utt3", "x_utt0", "x_utt2", "y_utt2"]
    assert same(rows, Counting().encode(talks))


def test_rows_that_another_process_has_just_stored_are_not_encoded_again(store, dialogue) -> None:
    talk = [dialogue([text], name=text) for text in "abcdef"]

    class Overtaken(Counting):
        def encode(self, dialogues):
            if not self.encoded:
                FeatureStore(store.root.parent).table(Counting(), talk[2:4])
            return super().encode(dialogues)

    encoder = Overtaken()
    seen: list[tuple[int, int]] = []
    assert len(store.table(encoder, talk, progress=lambda *now: seen.append(now))) == 6
    assert encoder.encoded == ["a_utt0", "b_utt0", "e_utt0", "f_utt0"]
    assert seen[-1] == (6, 6)


def test_rows_that_vanish_while_others_are_encoded_are_computed_again(store, dialogue, caplog) -> None:
    class Vanishing(Counting):
        def encode(self, dialogues):
            if not self.encoded:
                next(store.root.rglob("index.parquet")).unlink()  # as if another process had set it aside
            return super().encode(dialogues)

    first, second = dialogue(["one", "two words"], name="d0"), dialogue(["three more words", "four"], name="d1")
    store.table(Counting(), [first])
    encoder = Vanishing()
    rows = store.table(encoder, [first, second])
    assert set(rows) == {turn.id for turn in utterances([first, second])}
    assert len(encoder.encoded) == 4
    assert "2 rows vanished" in caplog.text


def test_rows_that_vanish_again_and_again_are_an_error_not_a_short_table(store, dialogue, monkeypatch) -> None:
    talks = [dialogue([f"{i} one", f"{i} two"], name=f"d{i}") for i in range(2)]
    store.table(Counting(), talks[:1])

    def half(self, encoder, folder, dialogues, keys, progress):
        index = feature_store._Index(folder, 1)
        index.addresses = dict(list(index.addresses.items())[:1])
        return {}, index

    monkeypatch.setattr(FeatureStore, "_fill", half)
    with pytest.raises(FeatureError, match="break or vanish again and again"):
        store.table(Counting(), talks[:1])


def test_progress_counts_what_is_really_encoded(store, dialogue) -> None:
    seen: list[tuple[int, int]] = []
    talks = [dialogue(["a", "b", "c"], name="x"), dialogue(["d", "a"], name="y")]
    store.table(Counting(), talks, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    seen.clear()
    store.table(Counting(), talks, progress=lambda done, total: seen.append((done, total)))
    assert seen == []


def test_audio_is_keyed_by_content_and_one_error_names_all_bad_clips(store, spoken) -> None:
    talk = spoken([0.3, 0.4, 0.5, 0.6, 0.7])
    for i in (0, 4):
        talk.utterances[i].audio.path.unlink()
    with pytest.raises(MediaError, match=r"row 2(.|\n)*row 6"):
        store.table(OpenSmile(processes=1), [talk])
    calls: list[tuple[int, int]] = []
    masked = OpenSmile(processes=1, on_bad="mask")
    rows = store.table(masked, [talk], progress=lambda done, total: calls.append((done, total)))
    assert len(rows) == 3
    assert calls[-1] == (2, 2), "the good clips were stored although others were bad"
    clip = talk.utterances[1]
    clip.audio.path.write_bytes(talk.utterances[3].audio.path.read_bytes())
    changed = store.table(masked, [talk])
    assert np.array_equal(changed[clip.id], rows["train/dia0_utt3"])
    assert not np.array_equal(changed[clip.id], rows[clip.id])


class Resized(Counting):
    """Gives one feature more with every call."""

    def encode(self, dialogues):
        self.version += 1
        return {turn.id: np.ones(self.version, np.float32) for turn in utterances(dialogues)}

    def fingerprint(self):
        return {}


def test_rows_of_different_sizes_are_refused_whichever_process_made_them(store, dialogue):
    class Engine:
        runs_in_process = False

        def outcomes(self, encoder, units):
            for unit in units:
                yield unit, encode_unit(encoder.inner, unit.dialogues)  # unchecked here, as each worker knows its own

    talks = [dialogue(["a"], name="train/0"), dialogue(["b"], name="train/1")]
    mixed = FeatureStore(store.root.parent, chunk_utterances=1, engine=Engine())
    with pytest.raises(FeatureError, match=r"0_utt0 has 2 features, \S+1_utt0 has 3"):
        mixed.table(Resized(), talks)
    with pytest.raises(FeatureError, match=r"1_utt0 has 9 features, \S+0_utt0 has 2.*prune"):  # the first one is stored
        store.table(Resized(8), talks)


def test_a_store_that_cannot_be_written_says_so(tmp_path, dialogue) -> None:
    (tmp_path / "features").write_text("a file where the folder should be")
    with pytest.raises(FeatureError, match="DIALOGUE_SER_CACHE"):
        FeatureStore(tmp_path).table(Counting(), [dialogue(["a"])])


def test_the_root_comes_from_the_environment(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DIALOGUE_SER_CACHE", str(tmp_path / "elsewhere"))
    assert FeatureStore().root == tmp_path / "elsewhere" / "features"


FILLER = """
import sys
import numpy as np
from dialogue_ser.corpus.schema import Dialogue, Utterance, utterances
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.core.traits import EncoderTraits

class Squares:
    name, modality, kind = "squares", "text", "vector"
    traits = EncoderTraits(context=(0, 0), reads=("text",))
    def fingerprint(self):
        return {}
    def encode(self, dialogues):
        return {t.id: np.full(3, float(t.text) ** 2, np.float32) for t in utterances(dialogues)}

order = range(60) if sys.argv[2] == "up" else range(59, -1, -1)
talks = [Dialogue(f"d{i}", (Utterance(id=f"d{i}", speaker="s", text=str(i)),)) for i in order]
print("ready", flush=True)
sys.stdin.readline()
rows = FeatureStore(sys.argv[1], chunk_utterances=3).table(Squares(), talks, progress=False)
assert all(rows[f"d{i}"].tolist() == [i * i] * 3 for i in range(60))
"""


def test_several_processes_fill_one_store_and_every_key_is_valid(tmp_path) -> None:
    command = [sys.executable, "-c", FILLER, str(tmp_path)]
    fillers = [
        subprocess.Popen([*command, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for way in ("up", "down", "up", "down")
    ]
    for filler in fillers:
        assert filler.stdout.readline() == "ready\n"
    for filler in fillers:
        filler.stdin.write("go\n")
        filler.stdin.flush()
    for filler in fillers:
        filler.communicate(timeout=60)
        assert filler.returncode == 0
    (entry,) = FeatureStore(tmp_path).entries()
    assert entry.n_utterances == 60
    assert FeatureStore(tmp_path).verify() == ()
    assert not list(entry.folder.glob(".writing-*"))


def test_a_killed_process_leaves_a_store_that_works(tmp_path, dialogue) -> None:
    class Killed(Counting):
        def encode(self, dialogues):
            if self.encoded:
                raise KeyboardInterrupt
            return super().encode(dialogues)

    store = FeatureStore(tmp_path, chunk_utterances=1)
    talks: list[Dialogue] = [dialogue([text], name=text) for text in "abc"]
    with pytest.raises(KeyboardInterrupt):
        store.table(Killed(), talks)
    encoder = Counting()
    assert len(store.table(encoder, talks)) == 3
    assert encoder.encoded == ["b_utt0", "c_utt0"]
