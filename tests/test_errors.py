import inspect

import pytest

from dialogue_ser import errors
from dialogue_ser.errors import DialogueSerError, shown_problems, unknown_name

FAMILY = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_is_of_the_family_and_a_value_error(kind):
    assert issubclass(kind, DialogueSerError)
    assert issubclass(kind, ValueError)


def test_every_problem_is_kept_and_has_its_line():
    error = DialogueSerError("row 3: no text", "row 9: no text")
    assert error.problems == ("row 3: no text", "row 9: no text")
    assert str(error).splitlines() == list(error.problems)


def test_a_near_name_is_suggested_and_a_far_one_is_not():
    assert "did you mean 'minilm'?" in unknown_name("encoder", "minlm", ["opensmile", "minilm"])
    assert "did you mean" not in unknown_name("encoder", "zzz", ["opensmile", "minilm"])


def test_known_names_are_listed_sorted():
    assert unknown_name("x", "q", ["b", "a"]).endswith("known: a, b")


def missing_clips(number):
    names = ("the red house", "my  dog", "it's late", "ça va")
    return [
        f"t.csv row {i}: the file /c/{names[i % 4]} {i}.wav does not exist; correct the path" for i in range(number)
    ]


def test_many_problems_of_one_kind_are_ten_lines_and_a_count_and_all_stay_in_problems():
    error = DialogueSerError(*missing_clips(13_708))
    lines = str(error).splitlines()
    assert lines[:10] == list(error.problems[:10])
    assert lines[10:] == ["… and 13,698 more of this kind"]
    assert len(error.problems) == 13_708


@pytest.mark.parametrize(
    "problem",
    [
        "cp.csv row {n}: 1 bytes are not UTF-8 (\\x{n}); save the file as UTF-8",
        "t.csv row {n} (train/dia{n}_utt3): unknown emotion label {label!r}; known: joy, anger; correct it",
        "features.audio: {word}_utt{n}: 88 features, but the model was fitted on {n}",
        "row {n}: C:\\clips\\a {word} b\\{n}.wav is no sound; replace it",
        "dialogue {word} {other}: the end is before the start: correct one of them",
    ],
)
def test_texts_that_differ_in_numbers_names_paths_and_quotations_are_one_kind(problem):
    words = ["".join(chr(97 + (number // 7**k + k) % 26) for k in range(4)) for number in range(3000)]
    problems = [problem.format(n=n, label=f"it's {word}", word=word, other=words[-n]) for n, word in enumerate(words)]
    assert len(shown_problems(problems)) == 11


def test_every_kind_stays_visible_in_the_order_of_its_first_problem():
    problems = missing_clips(500)
    problems.insert(3, "t.csv: the header names the column text twice; rename one")
    problems += [f"t.csv row {i}: has no speaker; name one" for i in range(12)]
    shown = shown_problems(problems)
    assert shown[10:12] == ["… and 490 more of this kind", problems[3]]
    assert shown[-1] == "… and 2 more of this kind"
    assert len(shown) == 11 + 1 + 11


def test_problems_keep_their_order_if_none_is_left_out():
    problems = [f"row {i}: {'no text' if i % 2 else 'no speaker'}" for i in range(18)]
    assert shown_problems(problems) == problems


def test_a_thousand_kinds_are_no_flood():
    letters = "abcdefghij"
    problems = [" ".join(letters[int(digit)] * k for k, digit in enumerate(f"{i:06}", 1)) for i in range(1000)]
    assert len(shown_problems(problems)) < 200


def test_a_very_long_problem_is_cut_in_its_middle():
    (line,) = shown_problems([f"row 2: the id {'x' * 50_000} is odd; give it another name"])
    assert len(line) < 1100
    assert line.startswith("row 2: the id x")
    assert line.endswith("give it another name")
