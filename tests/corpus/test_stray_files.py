"""Of files with one name, the one that lies where it belongs is kept; every other file is an error or set aside."""

from pathlib import Path

from dialogue_ser.corpus.stray_files import SetAside, one_of_each_name

ROOT = Path("corpus")


def sorted_out(*files: tuple[str, str], on_bad: str = "error") -> tuple[list[str], SetAside]:
    aside = SetAside(ROOT, on_bad)
    kept = one_of_each_name([(ROOT / file, misplaced) for file, misplaced in files], aside)
    return [aside.name(file) for file in kept], aside


def test_the_misplaced_one_of_two_equal_names_goes_wherever_it_stands():
    for files in ([("a/x.wav", "is misplaced"), ("b/x.wav", "")], [("b/x.wav", ""), ("a/x.wav", "is misplaced")]):
        kept, aside = sorted_out(*files)
        assert kept == ["b/x.wav"]
        (problem,) = aside.problems
        assert problem.startswith("a/x.wav: is misplaced; b/x.wav has the same name; move it out of the folder")
        assert "--data.on_bad mask" in problem
        assert aside.warnings == []


def test_two_files_that_lie_right_name_each_other():
    kept, aside = sorted_out(("a/x.wav", ""), ("b/x.wav", ""))
    assert kept == ["a/x.wav"]
    assert aside.problems[0].startswith("b/x.wav: has the same name as a/x.wav;")


def test_files_that_are_all_misplaced_are_all_named():
    kept, aside = sorted_out(("a/x.wav", "is misplaced"), ("b/x.wav", "is misplaced"), ("c/y.wav", "is misplaced"))
    assert kept == []
    assert [problem.partition(":")[0] for problem in aside.problems] == ["a/x.wav", "b/x.wav", "c/y.wav"]
    assert "has the same name" not in aside.problems[2]


def test_files_that_are_set_aside_are_no_error_but_a_warning():
    kept, aside = sorted_out(("a/x.wav", ""), ("b/x.wav", "is misplaced"), on_bad="mask")
    assert kept == ["a/x.wav"]
    assert aside.problems == []
    assert aside.warnings == ["set aside: b/x.wav: is misplaced; a/x.wav has the same name"]
