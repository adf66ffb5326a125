import io

from dialogue_ser.many.jobs import Outcome
from dialogue_ser.many.progress import Shown


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_lines_say_what_is_done_what_failed_and_how_long_it_takes():
    clock, stream = Clock(), io.StringIO()
    with Shown("runs", stream, clock) as shown:
        shown.begin(5, 1)
        clock.now = 30.0
        shown.tick({"a": 0.5})
        shown.ended("a", Outcome(status="finished", seconds=30.2))
        clock.now = 61.0
        shown.ended("b", Outcome(status="failed", reason="file x: bad\nmore"))
        clock.now = 70.0
        shown.tick({"c": 0.25})
        clock.now = 122.0
        shown.tick({"c": 0.5, "d": 0.5})
        shown.tick({"c": 0.5, "d": 0.5})
    assert stream.getvalue().splitlines() == [
        "1 of 5 runs are finished already",
        "[2/5] a: 30 s, about 50 s left",
        "[3/5] b: FAILED: file x: bad, about 37 s left",
        "3 of 5 done; now c 50%, d 50%, about 41 s left",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_the_lines_of_what_has_ended():
    stream = Terminal()
    with Shown("runs", stream) as shown:
        shown.begin(2, 0)
        shown.tick({"[red]a": 0.5})
        shown.ended("[red]a", Outcome(status="finished", seconds=1))
        shown.tick({})
    text = stream.getvalue()
    assert "[1/2] [red]a: 1 s" in text
    assert "1/2" in text
