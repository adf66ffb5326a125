import os
import subprocess
import sys

import numpy as np
import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.features.store.maintenance import delete, delete_leftovers, entries, verify


class Ones:
    name, modality, kind = "ones", "text", "vector"
    traits = EncoderTraits(context=(0, 0), reads=("text",))

    def __init__(self, during=None):
        self._during = during

    def fingerprint(self):
        return {}

    def encode(self, dialogues):
        if self._during is not None:
            self._during()
        return {turn.id: np.ones(2, np.float32) for dialogue in dialogues for turn in dialogue}


TALK = Dialogue("d", (Utterance(id="a", speaker="s", text="hi"),))


def test_what_a_process_is_filling_is_never_deleted(tmp_path):
    store = FeatureStore(tmp_path)
    seen: list[object] = []

    def try_to_delete():
        (entry,) = store.entries()
        shard = entry.folder / "shard-half.safetensors"
        shard.write_bytes(b"old")
        os.utime(shard, (0, 0))
        seen.append((delete(entry), delete_leftovers(entry.folder), shard.exists()))

    rows = store.table(Ones(try_to_delete), [TALK])
    assert seen == [(False, 0, True)]
    assert rows["a"].tolist() == [1, 1]
    (entry,) = store.entries()
    assert delete_leftovers(entry.folder) == 3
    assert delete(entry)
    assert store.entries() == ()
    assert rows["a"].tolist() == [1, 1], "rows that were handed out stay readable"


def test_the_mark_of_a_process_that_died_does_not_protect_for_ever(tmp_path):
    code = f"""
import os
from pathlib import Path
from dialogue_ser.features.store.locks import mark_in_use
with mark_in_use(Path({str(tmp_path)!r}) / "features" / "ones"):
    os._exit(9)
"""
    folder = tmp_path / "features" / "ones"
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", code], check=False)
    assert list(folder.glob("using-*"))
    (folder / "encoder.json").write_text("{}")
    (entry,) = entries(tmp_path / "features")
    assert delete(entry)


@pytest.mark.parametrize("damaged", ["index.parquet", "encoder.json"])
def test_damage_to_any_file_is_seen(tmp_path, damaged, caplog):
    store = FeatureStore(tmp_path)
    store.table(Ones(), [TALK])
    (entry,) = store.entries()
    path = entry.folder / damaged
    path.write_bytes(path.read_bytes()[:-9])
    if damaged == "index.parquet":
        (found,) = verify(store.root)
        assert found.broken == (path,)
        assert (found.n_shards, found.n_lost) == (0, 0)
    else:
        (entry,) = store.entries()
        assert entry.n_broken == 1
    assert store.table(Ones(), [TALK])["a"].tolist() == [1, 1]
