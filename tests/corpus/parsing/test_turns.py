"""Rows of a user's table become turns. See also tests/corpus/readers/test_table.py."""

import pytest

from dialogue_ser.corpus.parsing.columns import resolve_columns
from dialogue_ser.corpus.parsing.files import read_rows
from dialogue_ser.corpus.parsing.turns import TurnOptions, group_into_dialogues, read_turns, require_roles
from dialogue_ser.errors import CorpusError


def turns(tmp_path, content: str, columns=None, **options):
    (tmp_path / "a.csv").write_text(content)
    table = read_rows(tmp_path / "a.csv")
    problems: list[str] = []
    return read_turns(table, resolve_columns(table, columns), TurnOptions(**options), problems, []), problems


def test_votes_are_merged_by_the_label_map_and_decide_the_label(tmp_path):
    found, problems = turns(
        tmp_path,
        "text,n_happy,n_excited,n_sad,n_xxx\na,1,1,1,5\nb,1,0,1,\nc,,,,\n",
        columns={"votes": "n_"},
        label_map={"excited": "happy", "xxx": None},
    )
    assert not problems
    assert [turn.utterance.votes for turn in found] == [{"happy": 2, "sad": 1}, {"happy": 1, "sad": 1}, None]
    assert [turn.utterance.label for turn in found] == ["happy", None, None]


@pytest.mark.parametrize("count", ["many", "-1", "nan", "inf"])
def test_votes_that_are_not_counts_are_refused(tmp_path, count):
    _, problems = turns(tmp_path, f"text,n_sad\na,{count}\n", columns={"votes": "n_"})
    assert problems[0].startswith(f"a.csv row 2: n_sad: '{count}' is not a number of votes")


def test_targets_are_decimals_and_an_empty_cell_means_not_annotated(tmp_path):
    found, problems = turns(
        tmp_path,
        'text,val,aro\na,3.25,"2,5"\nb,, -1e-1 \nc,,\n',
        columns={"targets": {"valence": "val", "arousal": "aro"}},
    )
    assert not problems
    assert [turn.utterance.targets for turn in found] == [{"valence": 3.25, "arousal": 2.5}, {"arousal": -0.1}, {}]


def test_every_target_that_is_not_a_number_is_named_by_row(tmp_path):
    rows = 'a,high,nan\nb,3,3\nc,3,inf\nd,1.234,"1,234.5"\n'
    _, problems = turns(tmp_path, f"text,val,aro\n{rows}", columns={"targets": ["val", "aro"]})
    mend = "write a decimal such as 3.2, or leave the cell empty"
    assert problems == [
        f"a.csv row 2: val: 'high', aro: 'nan' are not numbers; {mend}",
        f"a.csv row 4: aro: 'inf' is not a number; {mend}",
        f"a.csv row 5: aro: '1,234.5' is not a number; {mend}",
    ]


@pytest.mark.parametrize(
    ("cell", "speaker"),
    [
        ("\"['Joey', 'Ross']\"", "Joey and Ross"),
        ('"[""Joey""]"', "Joey"),
        ('"[\'Joey\', ""Joey\'s Hand Twin""]"', "Joey and Joey's Hand Twin"),
        ("[Joey]", "[Joey]"),
        ("\"__import__('os').getcwd()\"", "__import__('os').getcwd()"),
        ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
    ],
)
def test_lists_of_speakers_are_joined_and_nothing_is_executed(tmp_path, cell, speaker):
    found, _ = turns(tmp_path, f"text,speaker\nhi,{cell}\n")
    assert found[0].utterance.speaker == speaker


def test_ids_come_from_the_table_or_from_the_position_in_the_dialogue(tmp_path):
    found, _ = turns(tmp_path, "text,dialogue,utterance_id\na,x,7\nb,y,u_1\nc,x,\n")
    dialogues = group_into_dialogues(found, "train")
    assert [[turn.id for turn in dialogue] for dialogue in dialogues] == [
        ["train/x_utt7", "train/x_utt1"],
        ["train/u_1"],
    ]


def test_the_error_about_missing_columns_says_that_the_delimiter_seems_wrong(tmp_path):
    (tmp_path / "a.csv").write_text("speaker:text:label\nAnn:hi:joy\n")
    table = read_rows(tmp_path / "a.csv")
    with pytest.raises(CorpusError, match="name it with the option delimiter"):
        require_roles(table, resolve_columns(table, None), need_annotation=True)


def test_a_file_name_that_no_file_can_have_is_a_missing_file(tmp_path):
    content = f"text,audio,label\nhi,{'x' * 300}.wav,joy\n"
    (problem,) = turns(tmp_path, content)[1]
    assert problem.startswith("a.csv row 2: the file ")
    assert ".wav does not exist" in problem
    found, problems = turns(tmp_path, content, on_bad="mask")
    assert (found[0].utterance.audio, problems) == (None, [])
