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
