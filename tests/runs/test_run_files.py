import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from dialogue_ser.errors import DialogueSerError, MissingDataError
from dialogue_ser.runs.run_files import RunFiles, to_json


def test_absent_optional_files_give_empty_values(tmp_path: Path) -> None:
    run = RunFiles(tmp_path)
    assert (run.config, run.environment, run.scores, run.history, run.summary) == ({}, {}, {}, (), {})
    assert run.attention("test", "d1") == {}
    assert run.name == tmp_path.name


def test_no_run_directory_is_an_error_that_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="train one"):
        RunFiles(tmp_path / "absent")


def test_a_torn_last_line_is_left_out_but_a_torn_middle_one_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"kind": "epoch", "epoch": 1}\n{"kind": "epo')
    assert [e["epoch"] for e in RunFiles(tmp_path).epochs] == [1]
    path.write_bytes(b'{"kind": "epoch", "epoch": 1, "name": "\xe2\x80\xa8"}\n\xff\xfe\x00\x00')  # a power cut
    assert [e["epoch"] for e in RunFiles(tmp_path).epochs] == [1]
    path.write_text('{"kind": "epo\n{"kind": "epoch", "epoch": 1}\n')
    with pytest.raises(DialogueSerError, match="row 1"):
        _ = RunFiles(tmp_path).history


def test_a_repeated_epoch_of_a_resumed_run_counts_once_with_its_newest_line(tmp_path: Path) -> None:
    lines = [{"kind": "epoch", "epoch": e, "seconds": s} for e, s in ((1, 1.0), (2, 2.0), (2, 9.0))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [(e["epoch"], e["seconds"]) for e in RunFiles(tmp_path).epochs] == [(1, 1.0), (2, 9.0)]


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "data: 3\n"])
def test_a_config_that_is_no_mapping_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(DialogueSerError, match=r"config\.yaml"):
        _ = RunFiles(tmp_path).config


def test_attention_is_found_by_split_and_dialogue_whatever_slashes_the_id_has(tmp_path: Path) -> None:
    keys = ("test/d1/forward", "test/d1/backward", "dev/d1/forward", "test/s/d1/forward", "test/d10/forward")
    save_file(
        {key: np.full((2, 2), i, dtype=np.float32) for i, key in enumerate(keys)}, tmp_path / "attention.safetensors"
    )
    run = RunFiles(tmp_path)
    assert {name: w[0, 0] for name, w in run.attention("test", "d1").items()} == {"forward": 0, "backward": 1}
    assert run.attention("dev", "d1")["forward"][0, 0] == 2
    assert run.attention("test", "s/d1")["forward"][0, 0] == 3
    assert run.attention("test", "test/d1")["forward"][0, 0] == 0


def test_damaged_attention_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "attention.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(DialogueSerError, match=r"attention\.safetensors"):
        RunFiles(tmp_path).attention("test", "d1")


def test_a_cross_validation_of_format_1_is_read_in_todays_keys(tmp_path: Path) -> None:
    part = {"ua": 0.4, "wa": 0.5, "macro_f1": 0.3, "macro_recall": 0.4, "weighted_recall": 0.5}
    chosen = {"dev_ua": [{"inverse_regularisation": 1.0, "ua": 0.2}]}
    published = [{"document": "E3", "scores": {"wa": {"value": 0.7, "std": None}, "ua": {"value": 0.6, "std": None}}}]
    scores = {"format": 1, "kind": "crossval", "pooled": part, "folds": [part | {"chosen": chosen}]}
    (tmp_path / "scores.json").write_text(json.dumps(scores | {"published": published}))
    found = RunFiles(tmp_path).scores
    expected = {"uar": 0.4, "accuracy": 0.5, "macro_f1": 0.3}
    assert found["pooled"] == expected
    assert found["folds"] == [expected | {"chosen": {"dev_scores": [{"inverse_regularisation": 1.0, "uar": 0.2}]}}]
    assert found["published"] == published  # scores that documents print keep their keys


def test_other_scores_are_read_as_they_are(tmp_path: Path) -> None:
    for scores in (
        {
            "format": 2,
            "kind": "crossval",
            "pooled": {"uar": 0.4, "wa": 3},
        },  # a user's metric may be called wa
        {"format": 1, "run": "x", "splits": {"test": {"scores": {"ua": 1}}}},
    ):
        (tmp_path / "scores.json").write_text(json.dumps(scores))
        assert RunFiles(tmp_path).scores == scores


def test_json_text_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"f1": float("nan")})


def test_an_epoch_line_without_its_epoch_names_the_row(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step"}\n{"kind": "epoch"}\n')
    with pytest.raises(DialogueSerError, match=r"metrics\.jsonl row 2: has no epoch"):
        _ = RunFiles(tmp_path).epochs
