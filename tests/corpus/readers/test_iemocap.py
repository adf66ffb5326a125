"""IEMOCAP: the facts of docs/data.md on the real release, and rules and faults on a generated one."""

import shutil
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from dialogue_ser.corpus.download.locate import find_data
from dialogue_ser.corpus.readers import read_corpus
from dialogue_ser.corpus.schema import Corpus, Dialogue, Utterance, utterances
from dialogue_ser.errors import ConfigError, CorpusError, MissingDataError


@pytest.fixture(scope="module")
def tree(tmp_path_factory, write_iemocap) -> Path:
    return write_iemocap(tmp_path_factory.mktemp("iemocap"))


@pytest.fixture
def own(tree, tmp_path) -> Path:
    """A copy of session 1 that a test can change."""
    shutil.copytree(tree / "Session1", tmp_path / "Session1")
    return tmp_path


def read(folder: Path, labels: str = "4-class", **options: str) -> Corpus:
    return read_corpus("iemocap", folder, labels, **options)


def turns_of(corpus: Corpus) -> list[Utterance]:
    return list(utterances(corpus.split("all")))


# --- the real files ---------------------------------------------------------------------------------------------

REAL_COUNTS = {
    "anger": (289, 1103), "excited": (663, 1041), "frustrated": (971, 1849), "happy": (284, 595), "sad": (608, 1084),
    "neutral": (1099, 1708), "surprise": (60, 107), "fear": (8, 40), "disgust": (1, 2), "other": (1, 3),
}  # fmt: skip


@pytest.fixture(scope="module")
def release() -> Path:
    try:
        return find_data("iemocap")
    except MissingDataError as error:
        pytest.skip(f"IEMOCAP is licensed on request: {error}")


def test_the_release_counts_turns_emotions_and_speakers(release):
    mixed, improvised = (turns_of(read(release, "all", scenario=one)) for one in ("mixed", "improvised"))
    assert len(mixed) == 10039
    counts = [Counter(turn.label for turn in turns) for turns in (improvised, mixed)]
    assert {label: tuple(count[label] for count in counts) for label in REAL_COUNTS} == REAL_COUNTS
    assert counts[1]["undecided"] == 10039 - sum(both for _, both in REAL_COUNTS.values())
    assert len({turn.speaker for turn in mixed}) == 10
    assert len(turns_of(read(release, "4-class"))) == 5531


# --- counts of the generated tree -------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["improvised", "scripted"])
def test_emotions_have_the_counts_that_were_written_by_hand(tree, iemocap_facts, scenario):
    turns = turns_of(read(tree, "10-class", scenario=scenario, view="dialogue"))
    assert Counter(turn.label for turn in turns) == iemocap_facts.COUNTS[scenario]
    assert len(turns) == iemocap_facts.N_TURNS[scenario]
    assert {turn.attributes["scenario"] for turn in turns} == {scenario}


def test_four_classes_have_the_counts_that_were_written_by_hand(tree, iemocap_facts):
    facts = iemocap_facts.N_FOUR_CLASSES
    turns = turns_of(read(tree))
    assert Counter(turn.label for turn in turns) == {"happy": 35, "sad": 20, "neutral": 20, "anger": 20}
    assert Counter(turn.attributes["session"] for turn in turns) == dict.fromkeys("12345", facts["session"])
    assert Counter(turn.speaker for turn in turns) == {
        f"Ses0{session}{sex}": facts[sex] for session in range(1, 6) for sex in "FM"
    }
    by_scenario = {scenario: len(turns_of(read(tree, scenario=scenario))) for scenario in ("improvised", "scripted")}
    assert by_scenario == {scenario: facts[scenario] for scenario in by_scenario}


@pytest.mark.parametrize(("labels", "n_turns"), [("5-class", 115), ("6-class", 115), ("10-class", 127), ("all", 142)])
def test_larger_label_sets_include_more_turns(tree, labels, n_turns):
    corpus = read(tree, labels)
    assert len(turns_of(corpus)) == n_turns
    assert {turn.label for turn in turns_of(corpus)} == set(corpus.label_set)
    assert corpus.label_set.name == labels


# --- what a turn is ---------------------------------------------------------------------------------------------


def test_a_turn_has_speaker_label_text_times_sound_and_attributes(tree):
    turns = {turn.id: turn for turn in turns_of(read(tree))}
    turn = turns["all/Ses01F_impro01_M000"]
    assert (turn.speaker, turn.label, turn.votes) == ("Ses01M", "anger", {"anger": 2})
    assert turn.text == "Stop it, I have had enough. Well, number 1."
    assert (turn.start_seconds, turn.end_seconds) == (3.25, 4.0)
    assert turn.audio is not None
    assert turn.audio.path == tree / "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
    assert (turn.audio.start_seconds, turn.audio.end_seconds) == (None, None)
    assert turn.attributes == {"session": "1", "scenario": "improvised", "gender": "male"}
    assert turn.origin == "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt row 59"
    assert turns["all/Ses05M_script01_1_F002"].attributes == {
        "session": "5", "scenario": "scripted", "gender": "female"
    }  # fmt: skip


def test_utterances_are_dialogues_of_one_turn(tree):
    corpus = read(tree)
    assert set(map(len, corpus.split("all"))) == {1}
    assert all(one.id == one.utterances[0].id for one in corpus.split("all"))
    assert corpus.warnings == (
        "15 turns have no majority and are left out (ties: unlabelled)",
        "32 turns have a class outside 4-class and are left out",
        "1 turns have no valence, arousal and dominance (Ses05M_script01_1b_M000)",
        "2 ratings lie outside 1 to 5 and are kept (Ses05M_script01_1b_F000: valence 5.5, Ses05M_script01_1b_F000: "
        "arousal 0.5)",
    )


def test_dialogues_are_whole_and_ordered_by_start_although_turns_overlap(tree):
    corpus = read(tree, view="dialogue")
    dialogues = {one.id: one for one in corpus.split("all")}
    assert len(dialogues) == 11
    first = dialogues["all/Ses01F_impro01"]
    assert [turn.id[-4:] for turn in first] == [
        f"{sex}{number:03}" for number in range(7) for sex in "FM"
    ]  # fmt: skip
    starts = [turn.start_seconds for turn in first]
    assert starts == sorted(starts)
    assert any(after.start_seconds < before.end_seconds for before, after in pairwise(first))
    assert first.speakers == ("Ses01F", "Ses01M")
    unlabelled = [turn for turn in turns_of(corpus) if turn.label is None]
    assert len(unlabelled) == 15 + 32
    assert all(turn.votes is None and turn.text and turn.audio for turn in unlabelled)


def test_ties_follow_the_policy(tree):
    nobody, merging, two_two = "Ses03F_impro01_F006", "Ses03F_impro01_M006", "Ses03M_script01_1_F006"

    def found(ties, labels="4-class"):
        turns = {turn.id.removeprefix("all/"): turn for turn in turns_of(read(tree, labels, ties=ties))}
        return [
            turns[name].label or turns[name].votes if name in turns else "out" for name in (nobody, merging, two_two)
        ]

    assert found("unlabelled") == ["out", "out", "out"]
    assert found("recount") == ["out", "happy", "out"]
    assert found("first") == ["neutral", "happy", "anger"]
    assert found("soft") == ["out", {"neutral": 1, "happy": 2}, "out"]
    assert found("soft", "6-class")[2] == {"anger": 2, "frustrated": 2}
    assert found("unlabelled", "all") == ["undecided"] * 3
    with pytest.raises(ConfigError, match="expected one of unlabelled, recount, first, soft"):
        read(tree, ties="second")


# --- valence, arousal, dominance --------------------------------------------------------------------------------


def test_targets_are_the_annotators_means_with_every_label_set(tree, iemocap_facts):
    turn = next(turn for turn in turns_of(read(tree)) if turn.id == "all/Ses01F_impro01_M000")
    means = iemocap_facts.ratings("ang", 1)
    assert turn.targets == dict(zip(("valence", "arousal", "dominance"), means, strict=True))
    for labels in ("4-class", "all", "shared-4", "vad"):
        assert read(tree, labels).dimensions == ("valence", "arousal", "dominance")


def test_vad_has_no_classes_and_every_turn_that_has_ratings(tree):
    corpus = read(tree, "vad")
    assert corpus.label_set is None
    turns = {turn.id.removeprefix("all/"): turn for turn in turns_of(corpus)}
    assert len(turns) == 142 - 1
    assert {(turn.label, turn.votes) for turn in turns.values()} == {(None, None)}
    assert "Ses03F_impro01_F006" in turns  # nobody agreed on its class
    odd = turns["Ses05M_script01_1b_F000"]
    assert odd.targets == {"valence": 5.5, "arousal": 0.5, "dominance": 3.0}
    assert corpus.warnings == (
        "1 turns have no valence, arousal and dominance and are left out (Ses05M_script01_1b_M000)",
        "2 ratings lie outside 1 to 5 and are kept (Ses05M_script01_1b_F000: valence 5.5, Ses05M_script01_1b_F000: "
        "arousal 0.5)",
    )


def test_with_vad_dialogues_stay_whole(tree):
    turns = turns_of(read(tree, "vad", view="dialogue"))
    assert len(turns) == 142
    assert [turn.id for turn in turns if not turn.targets] == ["all/Ses05M_script01_1b_M000"]


def test_impossible_ratings_do_not_count_and_give_a_warning(own):
    path = own / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if "_F000\tneu" in line:
            lines[number] = line.partition("\tneu\t")[0] + "\tneu\t[0.0000, 5.5001, 2.0000]"
        if "_M000\tang" in line:
            lines[number] = line.partition("\tang\t")[0] + "\tang\t[, nan, ]"
    path.write_text("\n".join(lines))
    corpus = read(own)
    turns = {turn.id: turn for turn in turns_of(corpus)}
    assert turns["all/Ses01F_impro01_F000"].targets == {"dominance": 2.0}
    assert turns["all/Ses01F_impro01_M000"].targets == {}
    assert corpus.warnings[-3:] == (
        "1 turns have no valence, arousal and dominance (Ses01F_impro01_M000)",
        "1 turns lack one or two of valence, arousal and dominance (Ses01F_impro01_F000)",
        "2 ratings are not possible as a mean and do not count (Ses01F_impro01_F000: valence 0, Ses01F_impro01_F000: "
        "arousal 5.5001)",
    )


def test_malformed_ratings_are_listed_with_the_other_bad_lines(own):
    path = own / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    text = path.read_text().replace("_F001\tsad", "_F001\tsadd").replace("_F000\tneu\t[", "_F000\tneu\t[x, ")
    path.write_text(text)
    with pytest.raises(CorpusError) as caught:
        read(own)
    assert len(caught.value.problems) == 2
    assert "(Ses01F_impro01_F000): '[x, 2." in caught.value.problems[0]


def test_targets_do_not_change_the_fingerprint_of_a_corpus_with_classes(tree):
    corpus = read(tree)
    stripped = tuple(Dialogue(one.id, tuple(replace(turn, targets={}) for turn in one)) for one in corpus.split("all"))
    before = replace(corpus, splits={"all": stripped}, dimensions=())
    assert corpus.fingerprint() == before.fingerprint() == before.fingerprint(with_targets=True)
    assert corpus.fingerprint(with_targets=True) != corpus.fingerprint()


# --- files ------------------------------------------------------------------------------------------------------


def test_missing_clips_are_all_named_or_masked_and_counted(own):
    clips = own / "Session1/sentences/wav"
    for name in ("Ses01F_impro01/Ses01F_impro01_F001", "Ses01M_script01_1/Ses01M_script01_1_M000"):
        (clips / f"{name}.wav").unlink()
    (clips / "Ses01F_impro01/Ses01F_impro01_F006.wav").unlink()  # this turn has no class of the label set
    with pytest.raises(CorpusError) as caught:
        read(own)
    assert caught.value.problems == (
        "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F001.wav: no such file; add it, or mask what is missing "
        "(--data.on_bad mask)",
        "Session1/sentences/wav/Ses01M_script01_1/Ses01M_script01_1_M000.wav: no such file; add it, or mask what is "
        "missing (--data.on_bad mask)",
    )
    masked = read(own, on_bad="mask")
    assert [turn.id for turn in turns_of(masked) if turn.audio is None] == [
        "all/Ses01F_impro01_F001", "all/Ses01M_script01_1_M000"
    ]  # fmt: skip
    assert "2 turns have no clip and are masked (Session1/sentences" in masked.warnings[-1]


def test_the_generated_tree_can_lack_clips(tmp_path, write_iemocap):
    write_iemocap(tmp_path, missing=["Ses02F_impro01_M001"])
    with pytest.raises(CorpusError, match=r"Ses02F_impro01_M001\.wav: no such file"):
        read(tmp_path)


def test_if_all_clips_are_missing_one_sentence_says_so(own):
    shutil.rmtree(own / "Session1/sentences")
    with pytest.raises(CorpusError) as caught:
        read(own)
    assert len(caught.value.problems) == 1
    assert "and all 19 clips" in caught.value.problems[0]


def test_missing_transcripts_are_an_error_or_masked_and_missing_lines_a_warning(own):
    transcripts = own / "Session1/dialog/transcriptions"
    (transcripts / "Ses01M_script01_1.txt").unlink()
    lines = (transcripts / "Ses01F_impro01.txt").read_text().splitlines()
    (transcripts / "Ses01F_impro01.txt").write_text("\n".join(line for line in lines if "_M001 " not in line))
    with pytest.raises(CorpusError, match=r"Session1/dialog/transcriptions/Ses01M_script01_1\.txt: no such file"):
        read(own)
    masked = read(own, on_bad="mask")
    assert "1 turns have no transcript (Ses01F_impro01_M001)" in masked.warnings
    assert any("1 dialogues have no transcripts and are masked" in warning for warning in masked.warnings)
    assert sum(turn.text is None for turn in turns_of(masked)) == 1 + 9


def test_dialogues_and_sessions_without_evaluations_are_left_out_with_a_warning(own, tree):
    (own / "Session1/dialog/EmoEvaluation/Ses01M_script01_1.txt").unlink()
    corpus = read(own)
    assert {turn.attributes["scenario"] for turn in turns_of(corpus)} == {"improvised"}
    assert "1 dialogues have no evaluation and are left out (Ses01M_script01_1.txt)" in corpus.warnings
    shutil.copytree(tree / "Session2", own / "Session2")
    shutil.rmtree(own / "Session2/dialog/EmoEvaluation")
    corpus = read(own)
    assert {turn.attributes["session"] for turn in turns_of(corpus)} == {"1"}
    assert any(warning.startswith("3 dialogues have no evaluation and are left out") for warning in corpus.warnings)


def test_one_error_names_all_bad_lines_of_all_files(own):
    folder = own / "Session1/dialog/EmoEvaluation"
    for dialogue, old, new in (
        ("Ses01F_impro01", "_F001\tsad", "_F001\tsadd"),
        ("Ses01M_script01_1", "[2.0000 - 3.0000]", "[2.0000 - 1.0000]"),
        ("Ses01M_script01_1", "Ses01M_script01_1_M001\tsad", "Ses01M_script01_1_M000\tsad"),
    ):
        path = folder / f"{dialogue}.txt"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(CorpusError) as caught:
        read(own)
    text = str(caught.value)
    assert "Ses01F_impro01.txt row 11 (Ses01F_impro01_F001): unknown emotion 'sadd'; did you mean 'sad'" in text
    assert "times 2.0–1.0 s; the end is before the start" in text
    assert "id 'all/Ses01M_script01_1_M000' is also the id of" in text


def test_votes_for_no_class_give_a_warning(own):
    path = own / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    path.write_text(path.read_text().replace("C-E1:\tSadness;", "C-E1:\tPride;"))
    corpus = read(own)
    assert "2 votes are for no class and do not count (Session1/dialog" in corpus.warnings[-1]


def test_a_part_of_the_release_can_be_read_and_a_folder_without_sessions_is_missing_data(
    own, tree, tmp_path, monkeypatch
):
    assert {turn.attributes["session"] for turn in turns_of(read(own))} == {"1"}
    with pytest.raises(MissingDataError, match="no Session1/dialog/EmoEvaluation; give the folder"):
        read(tmp_path / "Session1")
    monkeypatch.setenv("DIALOGUE_SER_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "iemocap").symlink_to(tree)
    assert len(turns_of(read_corpus("iemocap", labels="4-class"))) == 95
    with pytest.raises(ConfigError, match="unknown label set '4-classes'; did you mean '4-class'"):
        read(tree, "4-classes")


def test_the_fingerprint_depends_on_the_options(tree):
    seen = {read(tree).fingerprint(), read(tree, "shared-4").fingerprint(), read(tree, ties="first").fingerprint()}
    assert len({*seen, read(tree, view="dialogue").fingerprint()}) == 4
    assert read(tree).fingerprint() in seen


def test_an_evaluation_in_the_folder_of_another_session_is_one_error_or_set_aside(own):
    clean = read(own).fingerprint()
    source = next((own / "Session1" / "dialog" / "EmoEvaluation").glob("Ses01*.txt"))
    (own / "Session2" / "dialog" / "EmoEvaluation").mkdir(parents=True)
    shutil.copy(source, own / "Session2" / "dialog" / "EmoEvaluation")
    with pytest.raises(CorpusError) as caught:
        read(own)
    (problem,) = caught.value.problems
    assert problem.startswith(f"Session2/dialog/EmoEvaluation/{source.name}: lies in Session2, but its name says")
    corpus = read(own, on_bad="mask")
    assert corpus.fingerprint() == clean
    assert any(warning.startswith("set aside: Session2/") for warning in corpus.warnings)


def test_a_clip_in_the_folder_of_another_dialogue_is_named_with_both_paths(own):
    folder = own / "Session1" / "sentences" / "wav"
    clip = next((folder / "Ses01F_impro01").glob("*.wav"))
    clip.rename(folder / "Ses01M_script01_1" / clip.name)
    with pytest.raises(CorpusError) as caught:
        read(own, "all")
    (problem,) = [problem for problem in caught.value.problems if clip.name in problem]
    assert problem.startswith(f"Session1/sentences/wav/Ses01F_impro01/{clip.name}: no such file, but ")
    assert f"Session1/sentences/wav/Ses01M_script01_1/{clip.name} has its name; add it, or mask" in problem
