import dataclasses
import importlib.metadata
import json
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from dialogue_ser.training.config.run_config import FeatureConfig, RunConfig, TrainingConfig, WandbConfig
from dialogue_ser.training.record.environment import (
    config_differences,
    config_hash,
    describe_environment,
    environment_differences,
)
from dialogue_ser.versions import installed_version

CONFIG = RunConfig(features={"text": FeatureConfig(encoder="minilm", options={"k": 1})})


def described(**overrides: object) -> dict:
    return describe_environment(CONFIG, "abc", {"text": {"encoder": {"k": (1, 2)}}}, n_ranks=1) | overrides


def test_it_names_versions_machine_data_and_command():
    environment = described()
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["corpus_fingerprint"] == "abc"
    assert environment["config_hash"] == config_hash(CONFIG)
    assert environment["threads"] == torch.get_num_threads()
    assert environment["command"]
    json.dumps(environment)


def test_an_environment_written_and_read_again_does_not_differ():
    assert environment_differences(json.loads(json.dumps(described())), described()) == []


def test_differences_that_may_change_results_are_listed_and_others_are_not():
    before = json.loads(json.dumps(described()))
    before["packages"]["numpy"] = "0.1"
    before["packages"]["opensmile"] = "0.1"
    before["cpu"] = "another"
    found = environment_differences(before, described(corpus_fingerprint="xyz", n_ranks=2))
    assert [difference.split(":")[0] for difference in found] == [
        "version of numpy", "corpus (fingerprint)", "number of processes"
    ]  # fmt: skip
    features = environment_differences(before, described(feature_fingerprints={"text": {"encoder": {"k": [9]}}}))
    assert "features.text.encoder.k: the run has [1, 2], now [9]" in features


def test_settings_that_change_no_number_may_differ():
    free = dataclasses.replace(
        CONFIG, name="other", wandb=WandbConfig(mode="offline"), training=TrainingConfig(workers=2, keep_checkpoints=5)
    )
    assert config_differences(CONFIG, free) == []
    assert config_hash(CONFIG) != config_hash(free)


def test_other_settings_are_listed_also_those_only_one_side_has():
    other = dataclasses.replace(CONFIG, seed=2, features={"text": FeatureConfig(encoder="minilm", options={"j": 1})})
    assert config_differences(CONFIG, other) == [
        "seed: the run has 1, now 2",
        "features.text.options.k: the run has 1, now None",
        "features.text.options.j: the run has None, now 1",
    ]


def test_the_files_of_a_package_are_read_once_in_a_process(monkeypatch):
    found = installed_version("numpy")
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: pytest.fail(f"{name} is read again"))
    assert installed_version("numpy") == found


def test_a_package_that_is_not_installed_has_no_version():
    with pytest.raises(PackageNotFoundError, match="no-such-package"):
        installed_version("no-such-package")
