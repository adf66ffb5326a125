import dataclasses
import inspect
import re

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config import run_config
from dialogue_ser.training.config.files import config_from_dict, config_to_dict, dump_config, load_config
from dialogue_ser.training.config.run_config import (
    OptimizerConfig,
    RunConfig,
    TrainingConfig,
)


def test_yaml_brings_back_an_equal_configuration(tmp_path, full):
    (tmp_path / "config.yaml").write_text(dump_config(full))
    assert load_config(tmp_path / "config.yaml") == full
    assert config_from_dict(config_to_dict(full)) == full


def test_no_and_1e_3_are_understood_although_yaml_1_1_reads_them_differently(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("optimizer: {learning_rate: 1e-3}\ntraining: {precision: no}\n")
    config = load_config(path)
    assert config.optimizer.learning_rate == 0.001
    assert config.training.precision == "no"


def test_every_setting_has_a_help_text():
    sections = [one for one in vars(run_config).values() if dataclasses.is_dataclass(one)]
    bare = [
        f"{section.__name__}.{setting.name}"
        for section in sections
        for setting in dataclasses.fields(section)
        if not re.search(rf"^    {setting.name}: ", inspect.getdoc(section) or "", re.MULTILINE)
    ]
    assert bare == [], f"write a line under Args: in the docstring of the dataclass for {', '.join(bare)}"


def test_an_empty_file_is_the_defaults(tmp_path):
    (tmp_path / "config.yaml").write_text("")
    assert load_config(tmp_path / "config.yaml") == RunConfig()


def test_every_problem_is_listed_with_its_place_and_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        config_from_dict(
            {
                "seeed": 1,
                "optimizer": {"learning_rat": 1, "name": "rmsprop"},
                "training": {"epochs": 2.5, "batch_size": True, "device": 3},
                "features": {"text": {"transforms": "l2"}},
                "loss": {"soft_labels": "yes"},
                "wandb": "offline",
            },
            where="my.yaml",
        )
    message = str(caught.value)
    for part in (
        "my.yaml: seeed: unknown setting 'seeed'; did you mean 'seed'?",
        "optimizer.learning_rat: unknown setting 'learning_rat'; did you mean 'learning_rate'?",
        "optimizer.name: found 'rmsprop', expected one of adamw, adam, sgd",
        "training.epochs: found 2.5, expected a whole number",
        "training.batch_size: found True, expected a whole number",
        "training.device: found 3",
        "features.text.transforms: found 'l2', expected a list",
        "features.text.encoder: is missing",
        "loss.soft_labels: found 'yes', expected true or false",
        "wandb: found 'offline', expected a mapping",
    ):
        assert part in message


@pytest.mark.parametrize(
    ("content", "message"),
    [("[1, 2]", "expected a mapping"), ("a: [", "is not YAML"), ("!!python/object:os.system {}", "is not YAML")],
)
def test_files_that_are_no_mapping_are_refused_and_run_no_code(tmp_path, content, message):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "config.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "missing.yaml")


def test_numbers_out_of_range_are_all_named():
    with pytest.raises(ConfigError) as caught:
        TrainingConfig(epochs=0, batch_size=-1, ema_decay=1.5)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "training.epochs", "training.batch_size", "training.ema_decay"
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"my.yaml: training\.epochs: found 0, expected at least 1"):
        config_from_dict({"training": {"epochs": 0}}, where="my.yaml")
    with pytest.raises(ConfigError, match=r"optimizer\.warmup_fraction: found 1\.2, expected at most 1"):
        OptimizerConfig(warmup_fraction=1.2)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate: found (nan|inf), expected a finite number"):
        OptimizerConfig(learning_rate=value)


def test_numbers_that_would_end_the_process_are_refused():
    with pytest.raises(ConfigError, match=r"training\.threads: found 100000, expected at most 1024"):
        TrainingConfig(threads=100_000)
    with pytest.raises(ConfigError, match=r"optimizer\.learning_rate: found 1e\+300, expected at most"):
        OptimizerConfig(learning_rate=1e300)
    with pytest.raises(ConfigError, match=r"seed: found -1, expected at least 0"):
        RunConfig(seed=-1)
    with pytest.raises(ConfigError, match=r"attention_turns: found 0, expected at least 1.*save_attention to false"):
        RunConfig(attention_turns=0)


@pytest.mark.parametrize("name", ["", ".", "..", "../evil", "/tmp/evil", "a/b", "a\\b"])
def test_a_run_name_never_leads_out_of_the_folder_of_runs(name):
    with pytest.raises(ConfigError, match="expected the name of one folder"):
        RunConfig(name=name)
