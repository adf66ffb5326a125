import json
import os
import time

import numpy as np
import pytest

from dialogue_ser.corpus.schema import Dialogue, Utterance
from dialogue_ser.features.core.traits import EncoderTraits
from dialogue_ser.features.store.feature_store import FeatureStore


class Numbered:
    """An encoder with one row per text and the fingerprint that the test gives."""

    modality, kind = "text", "vector"
    traits = EncoderTraits(context=(0, 0), reads=("text",))

    def __init__(self, name="numbered", **fingerprint):
        self.name, self._fingerprint = name, fingerprint

    def fingerprint(self):
        return self._fingerprint

    def encode(self, dialogues):
        return {turn.id: np.ones(2, np.float32) for dialogue in dialogues for turn in dialogue}


def fill(*encoders):
    for encoder in encoders:
        FeatureStore().table(encoder, [Dialogue("d", (Utterance(id="a", speaker="s", text="hi"),))])


def left():
    return sorted((entry.encoder, entry.fingerprint.get("size")) for entry in FeatureStore().entries())


@pytest.fixture
def two_sizes():
    fill(Numbered(size=1), Numbered(size=2), Numbered("other", size=3))


def test_list_shows_every_encoder(two_sizes, cli):
    status, out, err = cli("features", "list")
    assert (status, err) == (0, "")
    for entry in FeatureStore().entries():
        (line,) = [line for line in out.splitlines() if entry.digest in line]
        assert line.split()[0] == entry.encoder
        assert line.split()[2] == "1"


def test_list_counts_broken_shards_and_verify_sets_them_aside(two_sizes, cli):
    entry = FeatureStore().entries()[0]
    (shard,) = entry.folder.glob("shard-*")
    shard.write_bytes(shard.read_bytes()[:-1])
    _, out, _ = cli("features", "list")
    (line,) = [line for line in out.splitlines() if entry.digest in line]
    assert line.split()[-1] == "1"
    status, out, _ = cli("features", "verify")
    assert status == 1
    assert f"broken, set aside: {shard}" in out
    assert "3 shards read, 1 files broken, 1 utterances must be encoded again" in out
    status, out, _ = cli("features", "verify")
    assert (status, "2 shards read, 0 files broken" in out) == (0, True)


def test_nothing_is_deleted_without_a_yes(two_sizes, cli):
    status, out, _ = cli("features", "prune", "--encoder", "numbered")
    assert status == 0
    assert out.count("of that encoder") == 2
    assert "nothing deleted; --yes deletes it" in out
    assert len(left()) == 3
    cli("features", "prune", "--encoder", "numbered", "--yes")
    assert left() == [("other", 3)]


def test_features_must_meet_all_conditions(two_sizes, cli):
    old = FeatureStore().entries()[0]
    os.utime(old.folder / "encoder.json", (time.time() - 40 * 86400,) * 2)
    cli("features", "prune", "--encoder", "other", "--unused-days", "30", "--yes")
    assert len(left()) == 3
    status, out, _ = cli("features", "prune", "--unused-days", "30", "--yes")
    assert (status, "last used 40 d ago" in out) == (0, True)
    assert len(left()) == 2
    assert old.folder.name not in {entry.folder.name for entry in FeatureStore().entries()}


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (["--unused-days", "-1"], "--unused-days -1: must be at least 0"),
        (["--unused-days", "1e999"], "--unused-days"),
        (["--runs", ""], "--runs '': no such folder"),
        (["--runs", ".,"], "--runs '': no such folder"),
    ],
)
def test_a_typing_error_deletes_nothing(two_sizes, cli, tokens, message):
    status, _, err = cli("features", "prune", *tokens, "--yes")
    assert (status, message in err) == (2, True)
    assert len(left()) == 3


def test_reading_features_counts_as_use(two_sizes, cli):
    for entry in FeatureStore().entries():
        os.utime(entry.folder / "encoder.json", (time.time() - 40 * 86400,) * 2)
    fill(Numbered(size=1))
    cli("features", "prune", "--unused-days", "30", "--yes")
    assert left() == [("numbered", 1)]


def test_superseded_features_are_those_that_newer_software_has_made_again(cli):
    fill(Numbered(size=1, versions={"torch": "1"}), Numbered(size=2, versions={"torch": "1"}))
    for entry in FeatureStore().entries():
        os.utime(entry.folder / "index.parquet", (time.time() - 60,) * 2)
    fill(Numbered(size=1, versions={"torch": "2"}))
    cli("features", "prune", "--superseded", "--yes")
    assert left() == [("numbered", 1), ("numbered", 2)]
    versions = {entry.fingerprint["size"]: entry.fingerprint["versions"]["torch"] for entry in FeatureStore().entries()}
    assert versions == {1: "2", 2: "1"}


def test_features_that_no_run_uses_can_be_deleted(two_sizes, cli, tmp_path):
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    run.joinpath("environment.json").write_text(
        json.dumps({"feature_fingerprints": {"text": {"encoder": {"size": 2}}, "words": {"encoder": None}}})
    )
    status, _, err = cli("features", "prune", "--runs", tmp_path / "rnus", "--yes")
    assert (status, "no such folder" in err, len(left())) == (2, True, 3)
    cli("features", "prune", "--runs", tmp_path / "runs", "--yes")
    assert left() == [("numbered", 2)]


def test_an_unknown_encoder_is_named(two_sizes, cli):
    status, _, err = cli("features", "prune", "--encoder", "numberd")
    assert status == 2
    assert "did you mean 'numbered'" in err
