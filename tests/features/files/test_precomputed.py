import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.errors import ConfigError, DialogueSerError, FeatureError, MissingDataError
from dialogue_ser.features.files.precomputed import Precomputed

IDS = ("train/dia0_utt0", "train/dia0_utt1")


def meld_folder() -> Path | None:
    try:
        folder = find_data("meld")
    except MissingDataError:
        return None
    return folder if (folder / "praat").is_dir() else None


@pytest.fixture
def talk(dialogue) -> Dialogue:
    return dialogue(["a", "b"])


def write(path: Path, ids=IDS, values=((1.0, 2.0), (3.0, np.nan))) -> Path:
    values = np.array(values, dtype=np.float32)
    frame = pd.DataFrame({"utterance_id": list(ids), "pitch": values[:, 0], "loud": values[:, 1]})
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".npy":
        np.save(path, values)
        path.with_suffix(".index.txt").write_text("\n".join(ids))
    else:
        np.savez(path, ids=np.array(ids), values=values)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy", ".npz"])
def test_every_format_gives_the_same_rows_and_keeps_missing_values(tmp_path, talk, suffix) -> None:
    rows = Precomputed(path=str(write(tmp_path / f"rows{suffix}"))).encode([talk])
    np.testing.assert_array_equal(np.stack([rows[key] for key in IDS]), [[1, 2], [3, np.nan]])


def test_columns_are_chosen_and_ordered(tmp_path, talk) -> None:
    path = write(tmp_path / "rows.csv")
    rows = Precomputed(path=str(path), columns=["loud", "pitch"]).encode([talk])
    assert rows[IDS[0]].tolist() == [2, 1]
    with pytest.raises(FeatureError, match="no column lowd; its columns are utterance_id, pitch, loud"):
        Precomputed(path=str(path), columns=["lowd"]).encode([talk])


def test_splits_come_from_a_placeholder_or_a_mapping_and_keys_from_a_pattern(tmp_path, dialogue) -> None:
    for split, value in (("train", 1.0), ("dev", 2.0)):
        pd.DataFrame({"filename": ["clips/dia0_utt0.wav"], "x": [value]}).to_csv(tmp_path / f"{split}.csv", index=False)
    talks = [dialogue(["a"], name="train/dia0"), dialogue(["a"], name="dev/dia0")]
    template = {"path": str(tmp_path / "{split}.csv")}
    mapping = {"path": {split: str(tmp_path / f"{split}.csv") for split in ("train", "dev")}}
    for options in (template, mapping):
        rows = Precomputed(**options, key_pattern="{split}/{stem}").encode(talks)
        assert {key: float(row[0]) for key, row in rows.items()} == {"train/dia0_utt0": 1, "dev/dia0_utt0": 2}


def test_utterances_without_a_row_are_absent_but_a_file_without_any_of_them_is_an_error(tmp_path, dialogue) -> None:
    encoder = Precomputed(path=str(write(tmp_path / "rows.csv")))
    assert set(encoder.encode([dialogue(["a", "b", "c"])])) == set(IDS)
    with pytest.raises(
        FeatureError, match=r"no row for any of the 2 utterances \(first: new/0_utt0.*opensmile"
    ) as caught:
        encoder.encode([dialogue(["a", "b"], name="new/0")])
    assert IDS[0] in str(caught.value)


def test_the_error_for_a_missing_file_names_the_utterances_that_need_it(tmp_path, dialogue) -> None:
    encoder = Precomputed(path=str(tmp_path / "{split}.csv"))
    with pytest.raises(
        MissingDataError, match=r"3 utterance\(s\) of split 'new' \(first: new/0_utt0\).*new\.csv does not exist"
    ):
        encoder.encode([dialogue(["a", "b", "c"], name="new/0")])
    with pytest.raises(MissingDataError, match=r"split 'new' .* but option path has no file for this split"):
        Precomputed(path={"train": "a.csv"}).encode([dialogue(["a"], name="new/0")])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("utterance_id,x\na,1\nb,2\na,3\n", "row 4: key 'a' stands in row 2 too"),
        ("utterance_id,x,y\na,1,loud\n", r"row 2 \(a\): y is 'loud', not a number"),
        ("name,x\na,1\n", "no key column"),
        ("", "is empty"),
        ("\ufeff", "is empty"),
        ("<!DOCTYPE html>", "it seems to be an HTML page"),
        (b"utterance_id,x\n\x92a,1\n", "UTF-8"),
    ],
)
def test_bad_tables_are_refused_with_the_row(tmp_path, talk, content, complaint) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FeatureError, match=complaint):
        Precomputed(path=str(path)).encode([talk])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("utterance_id,x,x\ntrain/dia0_utt0,1,2\n", r"row 1: column 'x' is repeated"),
        ("utterance_id,x,y\ntrain/dia0_utt0,1\ntrain/dia0_utt1,1,2\n", r"row 2: 2 cells, but the header has 3"),
        ("utterance_id,x\ntrain/dia0_utt0,1,2\ntrain/dia0_utt1,1,2\n", "row 3: 3 cells"),
    ],
)
def test_tables_whose_cells_and_columns_do_not_match_are_refused(tmp_path, talk, content, complaint) -> None:
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(FeatureError, match=complaint):
        Precomputed(path=str(tmp_path / "rows.csv")).encode([talk])


def test_rows_are_counted_as_in_a_spreadsheet(tmp_path, talk) -> None:
    (tmp_path / "rows.csv").write_text('utterance_id,x\n"a\nb",1\n\nc,2\n"a\nb",3\n')
    with pytest.raises(FeatureError, match=r"row 5: key 'a\\nb' stands in row 2 too"):
        Precomputed(path=str(tmp_path / "rows.csv")).encode([talk])
    (tmp_path / "rows.csv").write_text("utterance_id,x\n\na/k,1\nb/k,2\n")
    with pytest.raises(FeatureError, match=r"row 4 \(b/k\): key_pattern '{stem}' .* twice, also in row 3"):
        Precomputed(path=str(tmp_path / "rows.csv"), key_pattern="{stem}").encode([talk])
    pd.DataFrame({"utterance_id": ["a", "a"], "x": [1, 2]}).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(FeatureError, match="row 3: key 'a' stands in row 2 too"):
        Precomputed(path=str(tmp_path / "rows.parquet")).encode([talk])


def test_tables_may_have_another_delimiter_a_gzip_file_or_a_named_index(tmp_path, talk) -> None:
    content = f"utterance_id;x\n{IDS[0]};1\n"
    (tmp_path / "rows.csv").write_text(content)
    (tmp_path / "rows.tsv.gz").write_bytes(gzip.compress(content.encode("utf-16")))
    pd.DataFrame({"x": [1.0]}, index=pd.Index([IDS[0]], name="utterance_id")).to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.csv", "rows.tsv.gz", "rows.parquet"):
        assert Precomputed(path=str(tmp_path / name)).encode([talk])[IDS[0]].tolist() == [1]


def test_a_byte_order_mark_is_no_part_of_a_column_name(tmp_path, talk) -> None:
    (tmp_path / "rows.csv").write_bytes(b"\xef\xbb\xbfutterance_id,x\r\ntrain/dia0_utt0,1\r\n")
    assert Precomputed(path=str(tmp_path / "rows.csv")).encode([talk])[IDS[0]].tolist() == [1]


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".npy"])
def test_files_that_are_not_what_their_name_says_are_refused(tmp_path, talk, suffix) -> None:
    (tmp_path / f"rows{suffix}").write_bytes(b"PK\x03\x04 half a file")
    (tmp_path / "rows.index.txt").write_text("\n".join(IDS))
    with pytest.raises(FeatureError, match=r"cannot be read|is broken|hold|is damaged|is a damaged"):
        Precomputed(path=str(tmp_path / f"rows{suffix}")).encode([talk])


def test_a_header_that_promises_more_than_fits_into_memory_is_refused(tmp_path, talk) -> None:
    claim = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "rows.npz", "w") as archive:
        archive.writestr(f"{IDS[0]}.npy", b"\x93NUMPY\x01\x00v\x00" + claim + bytes(100))
    with pytest.raises(FeatureError, match=r"rows\.npz: cannot be read \(Unable to allocate"):
        Precomputed(path=str(tmp_path / "rows.npz")).encode([talk])


def test_rows_that_are_not_numbers_are_named(tmp_path, talk) -> None:
    np.savez(tmp_path / "texts.npz", **{key: np.array(["a"]) for key in IDS})
    np.savez(tmp_path / "complex.npz", **{key: np.array([1j]) for key in IDS})
    for name in ("texts", "complex"):
        with pytest.raises(FeatureError, match=rf"{name}\.npz \({IDS[0]}\): has shape \(1,\) and type"):
            Precomputed(path=str(tmp_path / f"{name}.npz")).encode([talk])
    pd.DataFrame({"id": IDS, "when": pd.to_datetime(["2020-01-01"] * len(IDS))}).to_parquet(tmp_path / "times.parquet")
    with pytest.raises(FeatureError, match="column when holds times"):
        Precomputed(path=str(tmp_path / "times.parquet")).encode([talk])


@pytest.mark.parametrize("ids", ["5", "null", "{}", "not json"])
def test_ids_of_a_safetensors_file_are_a_list(tmp_path, talk, ids) -> None:
    save_file({"values": np.ones((2, 3), np.float32)}, tmp_path / "rows.safetensors", {"ids": ids})
    with pytest.raises(FeatureError, match=r"its metadata ids are not a JSON list"):
        Precomputed(path=str(tmp_path / "rows.safetensors")).encode([talk])


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_types_of_numbers_that_numpy_does_not_have_are_refused(tmp_path, talk, kind) -> None:
    header = json.dumps({IDS[0]: {"dtype": kind, "shape": [2], "data_offsets": [0, 4 if kind == "BF16" else 2]}})
    content = len(header).to_bytes(8, "little") + header.encode() + bytes(4 if kind == "BF16" else 2)
    (tmp_path / "rows.safetensors").write_bytes(content)
    with pytest.raises(FeatureError, match="save float32 instead"):
        Precomputed(path=str(tmp_path / "rows.safetensors")).encode([talk])


def test_pickled_arrays_are_never_loaded(tmp_path, talk) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    np.savez(tmp_path / "trap.npz", ids=np.array([Trap()], dtype=object), values=np.zeros((1, 2)))
    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object))
    (tmp_path / "trap.index.txt").write_text("a")
    for name in ("trap.npz", "trap.npy"):
        with pytest.raises(FeatureError, match="Python objects"):
            Precomputed(path=str(tmp_path / name)).encode([talk])
    assert not (tmp_path / "executed").exists()


def test_frames_come_from_an_npz_with_one_array_per_id(tmp_path, talk) -> None:
    np.savez(tmp_path / "frames.npz", **{IDS[0]: np.ones((3, 2)), IDS[1]: np.zeros((5, 2))})
    rows = Precomputed(path=str(tmp_path / "frames.npz"), kind="frames").encode([talk])
    assert [rows[key].shape for key in IDS] == [(3, 2), (5, 2)]
    with pytest.raises(FeatureError, match="kind vector needs 1-d numbers"):
        Precomputed(path=str(tmp_path / "frames.npz")).encode([talk])


def test_the_fingerprint_is_that_of_the_files(tmp_path, talk) -> None:
    def fingerprint() -> dict:
        encoder = Precomputed(path=str(tmp_path / "rows.csv"))
        encoder.encode([talk])
        return dict(encoder.fingerprint())

    write(tmp_path / "rows.csv")
    first = fingerprint()
    assert fingerprint() == first
    write(tmp_path / "rows.csv", values=((1.0, 2.0), (3.0, 4.0)))
    assert fingerprint() != first


def test_rows_count_as_if_they_had_seen_the_whole_dialogue(tmp_path) -> None:
    assert Precomputed(path=str(tmp_path / "a.csv")).traits.context == "dialogue"


def test_wrong_options_are_refused(tmp_path, talk) -> None:
    with pytest.raises(ConfigError, match="kind 'tokens'"):
        Precomputed(path="x.csv", kind="tokens")
    with pytest.raises(ConfigError, match="key_pattern"):
        Precomputed(path="x.csv", key_pattern="train/")
    with pytest.raises(ConfigError, match="mapping from split to file"):
        Precomputed(path={"train": 5})  # type: ignore[dict-item]
    (tmp_path / "rows.pkl").write_bytes(b"")
    with pytest.raises(
        FeatureError, match=r"\.csv, \.tsv, \.parquet, \.safetensors, \.npy, \.npz, not \.pkl; .*convert-pickle"
    ):
        Precomputed(path=str(tmp_path / "rows.pkl")).encode([talk])


@pytest.mark.skipif(meld_folder() is None, reason="no folder of DIALOGUE_SER_DATA has meld/praat")
@pytest.mark.parametrize(
    ("split", "n_rows", "n_pitch", "n_rate"), [("train", 9988, 77, 370), ("dev", 1112, 12, 43), ("test", 2615, 26, 117)]
)
def test_praat_features_of_meld_have_the_known_rows_and_gaps(split, n_rows, n_pitch, n_rate) -> None:
    folder = meld_folder()
    path = f"{folder}/praat/meld_{{split}}_audio_features.csv"
    stems = [name.removesuffix(".wav") for name in pd.read_csv(path.replace("{split}", split))["filename"]]
    talk = Dialogue("all", tuple(Utterance(id=f"{split}/{stem}", speaker="s") for stem in stems))
    rows = Precomputed(path=path, key="filename", key_pattern="{split}/{stem}").encode([talk])
    x = np.stack(list(rows.values()))
    assert x.shape == (n_rows, 8)
    gaps = np.isnan(x).sum(0)
    assert (gaps[3], gaps[6]) == (n_pitch, n_rate)
    assert gaps[:3].tolist() == [0, 0, 0]


@pytest.mark.skipif(meld_folder() is None, reason="no folder of DIALOGUE_SER_DATA has meld/praat")
def test_a_prefix_finds_the_data_folder(monkeypatch, dialogue) -> None:
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(meld_folder().parent))
    talk = dialogue(["a"] * 5, name="train/dia12")
    rows = Precomputed(path="meld:praat/meld_{split}_audio_features.csv", key_pattern="{split}/{stem}").encode([talk])
    assert all(row.shape == (8,) for row in rows.values())
    with pytest.raises(DialogueSerError):
        Precomputed(path="nowhere:x.csv").encode([talk])
