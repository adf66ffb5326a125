"""What every family asks of an answer: clear errors, no traceback, and warnings that were given."""

import contextlib
import io
import logging
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.faults.core.case import Failed
from dialogue_ser.errors import DialogueSerError

MAX_LINE = 4000
MAX_LINES = 30
MAX_PRINTED = 40_000
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
T = TypeVar("T")


@dataclass(frozen=True)
class Refused:
    """A refusal with clear sentences."""

    problems: tuple[str, ...]

    def __str__(self) -> str:
        return short(self.problems[0])


@dataclass(frozen=True)
class Ran:
    """A command that ended.

    Args:
        status: its exit status.
        out: what it printed on standard output.
        err: what it printed on standard error.
    """

    status: int
    out: str
    err: str


def short(text: object, most: int = 160) -> str:
    """Return a text as one line of at most so many characters."""
    line = " ".join(str(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def answer(call: Callable[[], T]) -> T | Refused:
    """Call a function of the library. An error for users becomes a Refused, after a look at its sentences.

    Raises:
        Failed: the error has no clear sentences.
        Exception: any other error of the function.
    """
    try:
        return call()
    except DialogueSerError as error:
        problems = error.problems or (str(error),)
        _check_sentences(problems)
        return Refused(tuple(problems))


@contextlib.contextmanager
def failures_name(what: str) -> Iterator[None]:
    """Name the fault in every failure. Whatever else is raised, a stray SystemExit too, is a failure.

    Args:
        what: the fault, e.g. ``"state.json: bit 5 of byte 12"``.

    Raises:
        Failed: anything was raised.
    """
    try:
        yield
    except Failed as failure:
        raise Failed(f"{what}: {failure}") from failure
    except BaseException as error:
        raise Failed(f"{what}: {traced(error)}") from error


def traced(error: BaseException) -> str:
    """Return what an error is and the last line of the library that it passed. Print its traceback, too."""
    traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if "/dialogue_ser/" in frame.filename), frames[-1])
    return short(f"traceback: {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}", 300)


def command(tokens: Sequence[str]) -> Ran:
    """Run a command line in this process and look at what it prints.

    Raises:
        Failed: an error has no clear sentence, or there is a flood of them.
        Exception: what would be a traceback.
    """
    from dialogue_ser.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(tokens)
    ran = Ran(status, out.getvalue(), err.getvalue())
    if "Traceback (most recent call last)" in ran.err + ran.out:
        raise Failed(f"a traceback was printed: {short(ran.err[-300:])}")
    if len(ran.err) > MAX_PRINTED:
        raise Failed(f"{len(ran.err)} characters of errors and warnings were printed")
    if status not in (0, 2):
        raise Failed(f"exit status {status}: {short(ran.err)}")
    if status == 2:
        errors = [line.removeprefix("error: ") for line in ran.err.splitlines() if line.startswith("error: ")]
        _check_sentences(errors)
    return ran


def _check_sentences(problems: Sequence[str]) -> None:
    if not problems or not any(problem.strip() for problem in problems):
        raise Failed("the error says nothing")
    if len(problems) > MAX_LINES:
        raise Failed(f"{len(problems)} errors are listed; first: {short(problems[0])}")
    for problem in problems:
        if "\n" in problem.strip() or len(problem) > MAX_LINE or _CONTROL.search(problem):
            raise Failed(f"the error is no clear line ({len(problem)} characters): {short(problem)!r}")


@contextlib.contextmanager
def warnings_given() -> Iterator[list[str]]:
    """Collect the warnings that the library logs."""
    found: list[str] = []

    class _Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    handler, logger = _Keep(logging.WARNING), logging.getLogger("dialogue_ser")
    logger.addHandler(handler)
    try:
        yield found
    finally:
        logger.removeHandler(handler)


def require_equal(found: Any, right: Any, where: str = "") -> None:
    """Compare values built from mappings, lists and plain values.

    Raises:
        Failed: they differ; the message names the first difference.
    """
    if isinstance(right, dict) and isinstance(found, dict):
        for key in [*right, *(key for key in found if key not in right)]:
            if key not in found or key not in right:
                raise Failed(f"{where}{key}: {'is missing' if key not in found else 'should not be there'}")
            require_equal(found[key], right[key], f"{where}{key}: ")
    elif isinstance(right, list) and isinstance(found, list):
        if len(found) != len(right):
            raise Failed(f"{where}{len(found)} items in place of {len(right)}")
        for number, (one, other) in enumerate(zip(found, right, strict=True)):
            require_equal(one, other, f"{where}{number}: ")
    elif found != right:
        raise Failed(f"{where}{short(repr(found), 60)} in place of {short(repr(right), 60)}")
