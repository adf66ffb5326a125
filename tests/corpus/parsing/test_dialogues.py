"""Which rows are one dialogue: what a column says, then blank lines, then every row alone, with a warning."""

import pytest

from dialogue_ser.corpus.parsing.columns import resolve_columns
from dialogue_ser.corpus.parsing.dialogues import dialogue_names, rule_of
from dialogue_ser.corpus.parsing.files import read_rows
from dialogue_ser.errors import ConfigError, CorpusError

PLAIN = "speaker,text\nA,hi\nB,ho\nA,he\n"
BLANKS = "speaker,text\n\nA,hi\nB,ho\n\nA,he\n"


def names(tmp_path, content: str, rule: str | None = None, columns=None) -> tuple[list[str], list[str]]:
    """Return the names of the dialogues and the warnings."""
    (tmp_path / "chat.csv").write_text(content)
    table = read_rows(tmp_path / "chat.csv")
    warnings: list[str] = []
    return dialogue_names(table, resolve_columns(table, columns), rule_of(rule, columns), warnings), warnings


def test_a_column_or_several_name_the_dialogue(tmp_path):
    assert names(tmp_path, "dialogue,text\nx,hi\ny,ho\n") == (["x", "y"], [])
    several = {"dialogue": ["Season", "Scene_ID"]}
    assert names(tmp_path, "Season,Scene_ID,text\n1,1,hi\n1,2,ho\n", columns=several) == (["1-1", "1-2"], [])


def test_without_a_column_every_row_is_a_dialogue_and_one_warning_names_the_choices(tmp_path):
    found, (warning,) = names(tmp_path, "Season,Scene_ID,text\n1,1,hi\n1,1,ho\n")
    assert found == ["row2", "row3"]
    assert "every row is a dialogue of one turn" in warning
    assert "columns: {dialogue: [Season, Scene_ID]}" in warning
    assert "dialogue: file" in warning
    assert "dialogue: none" in warning


def test_blank_lines_separate_dialogues(tmp_path):
    found, (warning,) = names(tmp_path, BLANKS)
    assert found == ["1", "1", "2"]
    assert "blank lines divide the rows into 2 blocks; every block is a dialogue" in warning


def test_a_blank_line_after_every_row_separates_nothing(tmp_path):
    assert names(tmp_path, PLAIN.replace("\n", "\n\n"))[0] == ["row3", "row5", "row7"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("none", ["row3", "row4", "row6"]), ("file", ["chat"] * 3), ("blank-lines", ["1", "1", "2"])],
)
def test_a_stated_rule_is_followed_without_a_warning(tmp_path, rule, expected):
    assert names(tmp_path, BLANKS, rule) == (expected, [])


def test_a_stated_rule_wins_over_a_column(tmp_path):
    assert names(tmp_path, "dialogue,text\nx,hi\ny,ho\n", "file") == (["chat", "chat"], [])


def test_a_column_that_is_mapped_to_null_says_none(tmp_path):
    assert names(tmp_path, "dialogue,text\nx,hi\nx,ho\n", columns={"dialogue": None}) == (["row2", "row3"], [])


def test_the_rule_column_needs_a_column_and_unknown_rules_are_named(tmp_path):
    with pytest.raises(CorpusError, match=r"no column for dialogue \(dialogue, dialogue_id"):
        names(tmp_path, PLAIN, "column")
    with pytest.raises(ConfigError, match="unknown rule 'fil'; did you mean 'file'"):
        names(tmp_path, PLAIN, "fil")
