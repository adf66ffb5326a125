"""The JSON schema that editors can use agrees with the reader of sweep files, as far as a schema can say a rule."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import dialogue_ser.search_space
from dialogue_ser.errors import ConfigError
from dialogue_ser.search_space.shapes import SHAPES
from dialogue_ser.search_space.sweep_reader import KEYS

SCHEMA = json.loads((Path(dialogue_ser.search_space.__file__).parent / "schema.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
SWEEPS = sorted((Path(__file__).parents[2] / "benchmarks" / "sweeps").glob("*.yaml"))
BASE = "method: random\nmetric: {name: dev/uar, goal: maximize}\nparameters:\n  lr: "


def test_the_schema_itself_is_one():
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def test_the_schema_has_all_keys_and_shapes():
    assert set(SCHEMA["properties"]) == set(KEYS)
    assert {*SHAPES, "nested", "parameter", "parameters", "metric"} == set(SCHEMA["definitions"])


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_sweep_of_the_repository_is_valid(path, read):
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))] == []
    read(path.read_text())


@pytest.mark.parametrize(
    "parameter",
    [
        "{value: null}",
        "{values: [1, a, null, [1], {a: 1}]}",
        "{values: [1, 2], probabilities: [0.5, 0.5]}",
        "{min: 1, max: 3}",
        "{min: 1.0, max: 3.5}",
        *(f"{{distribution: {name}, min: 1, max: 3}}" for name in SHAPES if "uniform" in name),
        *(f"{{distribution: {name}, q: 0.5}}" for name in SHAPES if name.startswith("q_") and "uniform" not in name),
        "{distribution: normal, mu: 1, sigma: 2}",
        "{distribution: log_normal}",
        "{distribution: beta, a: 0.5, b: 3}",
        "{parameters: {b.c-d: {parameters: {e: {value: 1}}}}}",
    ],
)
def test_what_the_reader_takes_is_valid(parameter, read):
    text = BASE + parameter
    read(text)
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "method: random",
        BASE + "3",
        BASE + "{}",
        BASE + "{values: []}",
        BASE + "{value: 1, q: 2}",
        BASE + "{min: 1e-4, max: 1.0}",
        BASE + "{min: 1, max: 3, q: 1}",
        BASE + "{distribution: log_uniform_values, min: 0, max: 3}",
        BASE + "{distribution: normal, sigma: -1}",
        BASE + "{distribution: q_normal, q: 0}",
        BASE + "{distribution: loguniform, min: 1, max: 3}",
        BASE + "{values: [1], probabilities: [-1]}",
        BASE + "{parameters: {}}",
        BASE + "{parameters: {a: {value: 1}}, b: 2}",
        BASE + "{lr: {values: [1]}}",
        BASE + "{value: 1}\n  1x: {value: 1}",
        BASE.replace("random", "randm") + "{value: 1}",
        BASE.replace("dev/uar", "test/uar") + "{value: 1}",
        BASE.replace("maximize", "max") + "{value: 1}",
        BASE.replace("metric:", "metrics:") + "{value: 1}",
        BASE + "{value: 1}\nrun_cap: 0",
        BASE + "{value: 1}\ncommand: a b",
        BASE + "{value: 1}\nmetrcs: 1",
        BASE + "{value: 1}\nearly_terminate: {type: hyperband}",
        BASE + "{value: 1}\nearly_terminate: {type: hyperband, max_iter: 9}",
        BASE + "{value: 1}\nearly_terminate: {type: hyperband, min_iter: 2, eta: 1}",
        "method: bayes\nparameters: {a: {value: 1}}",
    ],
)
def test_what_is_not_valid_is_refused_by_the_reader_too(text, read):
    assert list(VALIDATOR.iter_errors(yaml.safe_load(text)))
    with pytest.raises(ConfigError):
        read(text)
