from pathlib import Path

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.evaluation.suite.suite_file import read_suite

LEAST = """\
{name: small, base: quickstart, seeds: [1, 2], systems: {erc: {model.name: emotion-rnn}, blind: {model.name: bigru},
mine: {model.name: "package.module:Class"}}, reference: blind}
"""


def written(folder: Path, text: str) -> Path:
    (folder / "suite.yaml").write_text(text)
    return folder / "suite.yaml"


def test_the_least_suite_is_read(tmp_path):
    suite, problems = read_suite(written(tmp_path, LEAST))
    assert problems == []
    assert (suite.name, suite.base, suite.seeds, suite.reference) == ("small", "quickstart", (1, 2), "blind")
    assert suite.systems["mine"] == {"model.name": "package.module:Class"}
    assert (suite.protocol, suite.split, suite.metrics, suite.encoders) == ("dev", "test", (), {})


def test_a_system_may_be_named_alone_and_a_suite_without_a_name_has_that_of_its_file(tmp_path):
    suite, problems = read_suite(written(tmp_path, "base: quickstart\nsystems: {a: bigru}\nencoders: {t: meld-text}\n"))
    assert problems == []
    assert (suite.name, suite.systems, suite.encoders) == (
        "suite", {"a": {"model.name": "bigru"}}, {"t": {"base": "meld-text"}}
    )  # fmt: skip


WRONG = """\
name: a/b
bases: quickstart
seeds: [1, 2, 1]
systems:
  "x:y": {model.name: bigru}
  empty:
  number: 3
protocol: tests
metrics: macro_f1
reference: [blind]
"""


def test_every_problem_is_named_with_its_line_in_one_pass(tmp_path):
    path = written(tmp_path, WRONG)
    _, problems = read_suite(path)
    assert {int(one.removeprefix(f"{path}:").partition(":")[0]) for one in problems} == {1, 2, 3, 5, 7, 8, 9, 10}
    text = "\n".join(problems)
    words = (
        "did you mean 'base'",
        "1 occurs twice",
        "the label may have",
        "expected a mapping such as {model.name",
        "unknown protocol 'tests'",
        "expected a list of names",
        "expected text",
    )
    assert [one for one in words if one not in text] == []


def test_keys_that_would_become_one_are_named(tmp_path):
    _, problems = read_suite(written(tmp_path, "systems: {1: bigru, '1': bigru, null: bigru, A: bigru, a: bigru}\n"))
    assert [one.partition(": ")[2] for one in problems] == [
        "systems: a key is empty (null); write a name, in quotes if it is null or ~",
        "systems.1: occurs twice, as a number and as text; keep one",
        "systems.a: there is 'A' already, and some file systems do not tell them apart; rename one",
    ]


@pytest.mark.parametrize("seeds", ["3", "[]", "[true]", "[-1]", "[a]", "[1.5]", "{a: 1}"])
def test_seeds_are_a_list_of_whole_numbers(tmp_path, seeds):
    _, problems = read_suite(written(tmp_path, f"base: quickstart\nsystems: {{a: bigru}}\nseeds: {seeds}\n"))
    assert [one.partition("suite.yaml:")[2][:8] for one in problems] == ["3: seeds"]


@pytest.mark.parametrize("text", ["[1]", "a: [", "", "\x00", "a: 1\na: 2", "name: x"])
def test_a_file_that_is_no_suite_is_an_error_and_no_traceback(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=r"suite\.yaml"):
        raise ConfigError(*read_suite(path)[1])
    with pytest.raises(ConfigError, match="cannot be read"):
        read_suite(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_suite(tmp_path)


TUNED = """\
base: quickstart
encoders: {text: {features: {audio: null}}, both: {}}
tuning:
  trials: 4
  parameters:
    training.batch_size: {values: [8, 16]}
systems:
  a:
    model.name: bigru
    parameters: {model.options.hidden_dim: {min: 8, max: 16}}
    encoders: {text: {model.options.dropout: 0.5}}
  b: emotion-rnn
"""


def test_tuning_has_parameters_of_all_systems_and_of_single_ones(tmp_path):
    suite, problems = read_suite(written(tmp_path, TUNED))
    assert problems == []
    assert suite.systems == {"a": {"model.name": "bigru"}, "b": {"model.name": "emotion-rnn"}}
    assert suite.with_encoder == {"a": {"text": {"model.options.dropout": 0.5}}}
    assert (suite.tuning.trials, suite.tuning.seed) == (4, 1)
    assert list(suite.tuning.of("a")) == ["training.batch_size", "model.options.hidden_dim"]
    assert list(suite.tuning.of("b")) == ["training.batch_size"]
    assert read_suite(written(tmp_path, "seeds: [7]\n" + TUNED))[0].tuning.seed == 7


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("trials: 4", "trials: 0", 4, "expected a whole number of at least 1"),
        ("trials: 4", "trials: 1000000000", 4, "expected at most 1,000 trials"),
        ("trials: 4", "trails: 4", 4, "did you mean 'trials'"),
        ("{values: [8, 16]}", "[8, 16]", 6, "expected a mapping such as {values"),
        ("{min: 8, max: 16}", "{min: 16, max: 8}", 10, "min < max"),
        ("{text: {model", "{txt: {model", 11, "did you mean 'text'"),
        ("{text: {model.options.dropout: 0.5}}", "{text: 3}", 11, "found 3, expected a mapping"),
        (
            "tuning:\n  trials: 4\n  parameters:\n    training.batch_size: {values: [8, 16]}\n",
            "",
            6,
            "add to the suite",
        ),
    ],
)
def test_what_is_wrong_with_tuning_is_named_with_its_line(tmp_path, old, new, line, message):
    assert old in TUNED
    _, problems = read_suite(written(tmp_path, TUNED.replace(old, new)))
    assert len(problems) == 1
    assert f"suite.yaml:{line}: " in problems[0]
    assert message in problems[0]


def test_tuning_without_a_parameter_is_refused(tmp_path):
    _, problems = read_suite(written(tmp_path, "base: quickstart\nsystems: {a: bigru}\ntuning: {trials: 3}\n"))
    assert len(problems) == 1
    assert "there is nothing to tune" in problems[0]
