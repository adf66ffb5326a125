"""Engines decide where encoding happens: in this process, in worker processes, or (``ray_engine``) on a cluster.

An engine takes units of work and yields their rows in any order. The store makes the units, so every engine multiplies
the same matrices. Results are therefore equal bit for bit, if a worker process has as many threads as the process with
which it is compared.
"""

import os
import signal
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import DialogueSerError, FeatureError, MediaError
from dialogue_ser.features.core.api import Array, UtteranceEncoder
from dialogue_ser.features.core.bad_clips import BadClipsError
from dialogue_ser.features.core.recipe import EncoderRecipe
from dialogue_ser.many.cores import SAFE_PATH, count_workers, end_with_parent, thread_limits

# One more worker process saves time only if it gets at least this many utterances.
_MIN_UTTERANCES_PER_WORKER = 64
# Every worker process has this many units in its queue, so that it never waits for the next one.
_QUEUED_UNITS_PER_WORKER = 2


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """The utterances that are encoded in one call.

    Args:
        dialogues: dialogues with all turns that the encoder must see.
        wanted: ids of the utterances whose rows are needed.
    """

    dialogues: Sequence[Dialogue]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of encoding a unit.

    Args:
        rows: arrays by utterance id.
        bad_clips: one sentence per clip that cannot be used. The rows of the other clips are present.
        error: the error that left the unit without any rows, or None.
    """

    rows: Mapping[str, Array]
    bad_clips: tuple[str, ...] = ()
    error: DialogueSerError | None = None


# A generator, because the store closes it after an error; this ends the workers.
Outcomes = Generator[tuple[WorkUnit, Outcome], None, None]


class Engine(Protocol):
    """The interface of engines.

    Attributes:
        runs_in_process: True if units are encoded in this process. An encoder can then report its own progress.
    """

    runs_in_process: bool

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[WorkUnit]) -> Outcomes:
        """Yield every unit with its outcome in any order. The next unit is taken only when a worker has time for it.

        Raises:
            FeatureError: a worker died, or cannot be started.
        """
        ...


class InProcess:
    """Encodes one unit after the other in this process."""

    runs_in_process = True

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[WorkUnit]) -> Outcomes:
        """Yield every unit with its outcome, in the order of the units."""
        for unit in units:
            yield unit, encode_unit(encoder, unit.dialogues)


class WorkerProcesses:
    """Encodes in worker processes of this machine. Useful for encoders that use only one core.

    Every worker process is a new Python interpreter (nothing is forked) with its own encoder. It ignores Ctrl-C. It
    ends when this process ends, also if this process is killed.

    Args:
        workers: number of worker processes; 0 = one per CPU core.

    Raises:
        ConfigError: the number of workers is negative.
    """

    runs_in_process = False

    def __init__(self, workers: int = 0) -> None:
        self.workers = count_workers(workers)

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[WorkUnit]) -> Outcomes:
        """Yield every unit with its outcome as soon as it is finished.

        Raises:
            FeatureError: a worker process died.
        """
        from concurrent.futures import FIRST_COMPLETED, Future, wait

        # Unlike multiprocessing's spawn, loky does not run the user's script again. The script needs no __main__ guard.
        from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]
        from joblib.externals.loky.process_executor import TerminatedWorkerError  # type: ignore[import-untyped]

        _start_trackers()
        executor = ProcessPoolExecutor(
            max_workers=self.workers,
            initializer=_start_worker,
            initargs=(recipe_of(encoder), os.getpid()),
            env=thread_limits(self.workers) | SAFE_PATH,
        )
        running: dict[Future[Outcome], WorkUnit] = {}

        def finished() -> Iterator[tuple[WorkUnit, Outcome]]:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()

        try:
            for unit in units:
                running[executor.submit(_encode_in_worker, unit.dialogues)] = unit
                if len(running) >= _QUEUED_UNITS_PER_WORKER * self.workers:
                    yield from finished()
            while running:
                yield from finished()
        except TerminatedWorkerError as error:
            raise FeatureError(
                f"encoder {encoder.name!r}: a worker process died ({_first_line(error)}); finished rows are stored; "
                "run the command again, with fewer --workers if the memory was not enough"
            ) from error
        finally:
            executor.shutdown(wait=True, kill_workers=True)


def engine_for(encoder: UtteranceEncoder, n_utterances: int) -> Engine:
    """Return the best engine for a number of utterances. Only an encoder with ``processes`` gets worker processes.

    >>> type(engine_for(object(), 5000)).__name__
    'InProcess'
    """
    workers = min(count_workers(getattr(encoder, "processes", 1)), n_utterances // _MIN_UTTERANCES_PER_WORKER)
    return WorkerProcesses(workers) if workers > 1 else InProcess()


def collect_rows(outcomes: Iterable[tuple[WorkUnit, Outcome]]) -> Iterator[tuple[WorkUnit, Mapping[str, Array]]]:
    """Yield every unit with its rows as soon as they arrive.

    Raises:
        DialogueSerError: a unit has no rows at all.
        MediaError: raised after the last unit, for the bad clips of all units together.
    """
    problems: dict[str, None] = {}
    for unit, outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        for problem in outcome.bad_clips:
            problems.pop(problem, None)  # so that the sentence that says how to mend it comes last
            problems[problem] = None
        yield unit, outcome.rows
    if problems:
        raise MediaError(*problems)


def encode_unit(encoder: UtteranceEncoder, dialogues: Sequence[Dialogue]) -> Outcome:
    """Encode dialogues. An error that a user can fix becomes a part of the outcome and is not raised."""
    try:
        return Outcome(dict(encoder.encode(dialogues)))
    except MediaError as error:
        return Outcome(error.rows if isinstance(error, BadClipsError) else {}, error.problems)
    except DialogueSerError as error:
        return Outcome({}, error=error)


def recipe_of(encoder: UtteranceEncoder) -> EncoderRecipe | UtteranceEncoder:
    """Return what a worker gets: the recipe to build the encoder, or the encoder itself if it has no recipe."""
    recipe = getattr(encoder, "recipe", None)
    return recipe if isinstance(recipe, EncoderRecipe) else encoder


class WorkerEncoder:
    """The encoder of one worker. It is built for the first unit, so that an error becomes the outcome of this unit.

    Args:
        recipe: how to build the encoder, or the encoder itself.
    """

    def __init__(self, recipe: EncoderRecipe | UtteranceEncoder) -> None:
        self._recipe = recipe
        self._encoder: UtteranceEncoder | None = None

    def encode(self, dialogues: Sequence[Dialogue]) -> Outcome:
        """Encode one unit."""
        from dialogue_ser.features.registry import build_in_worker

        if self._encoder is None:
            try:
                recipe = self._recipe
                self._encoder = build_in_worker(recipe) if isinstance(recipe, EncoderRecipe) else recipe
            except DialogueSerError as error:
                return Outcome({}, error=error)
        return encode_unit(self._encoder, dialogues)


def _start_trackers() -> None:
    """Start the two helper processes that loky starts with the first worker, so that they do not import user's files.

    They get the environment of this process, and loky has no way to give them another one.
    """
    from multiprocessing import resource_tracker

    from joblib.externals.loky.backend import resource_tracker as loky_tracker  # type: ignore[import-untyped]

    before = {name: os.environ.get(name) for name in SAFE_PATH}
    os.environ.update(SAFE_PATH)
    try:
        resource_tracker.ensure_running()
        loky_tracker.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _WorkerState:
    """The state of a worker process."""

    encoder: WorkerEncoder


def _start_worker(recipe: EncoderRecipe | UtteranceEncoder, parent: int) -> None:
    """Prepare a worker process: it ignores Ctrl-C, and a thread ends it as soon as its parent process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _WorkerState.encoder = WorkerEncoder(recipe)
    end_with_parent(parent)


def _encode_in_worker(dialogues: Sequence[Dialogue]) -> Outcome:
    """Encode one unit in a worker process."""
    return _WorkerState.encoder.encode(dialogues)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
