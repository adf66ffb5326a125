from pathlib import Path

import pytest

#: Two dialogues of two speakers, and one of one turn.
TURNS = [
    ("train", "t", "Ann", "fine", "a"),
    ("test", "d1", "Ann", "one", "a"),
    ("test", "d1", "Bo", "two words", "b"),
    ("test", "d1", "Ann", "now three words", "b"),
    ("test", "d1", "Bo", None, "b"),
    ("test", "d2", "Ann", "one", "a"),
    ("test", "d2", "Cy", "one", None),
    ("test", "d2", "Cy", "one", "a"),
    ("test", "d3", "Bo", "one", "b"),
]


def rows(*p_of_a: float) -> list[tuple[float, float]]:
    """Return probabilities of the classes a and b from those of a."""
    return [(p, 1 - p) for p in p_of_a]


#: Labels on test: x1 a b b b a a b b; x2 a b a b a a b b; y b b b b b a b a. Gold: a b b b a – a b.
SYSTEMS = {
    "x": {
        1: rows(0.9, 0.9, 0.1, 0.1, 0.2, 0.9, 0.9, 0.4, 0.0),
        2: rows(0.9, 0.7, 0.3, 0.7, 0.4, 0.9, 0.9, 0.2, 0.0),
    },
    "y": {1: rows(0.9, 0.2, 0.2, 0.2, 0.3, 0.1, 0.9, 0.3, 1.0)},
}


@pytest.fixture
def folder(tmp_path, write_error_suite) -> Path:
    """The folder of a suite of two systems: x with two seeds, y with one as the reference."""
    made: Path = write_error_suite(tmp_path / "suite", TURNS, SYSTEMS, reference="y")
    return made
