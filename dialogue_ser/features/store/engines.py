"""Where encoding happens: in this process, in worker processes of this machine, or (``ray_engine``) on a cluster.

An engine is given units of work and gives back their rows, in any order. Units are cut by the store, not by the engine,
so every engine multiplies the same matrices: results are the same bit for bit, as long as a worker has as many threads
as the process it is compared with.
"""

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.errors import ConfigError, DialogueSerError, FeatureError, MediaError
from dialogue_ser.features.core.api import Array, UtteranceEncoder
from dialogue_ser.features.core.bad_clips import BadClipsError
from dialogue_ser.features.core.recipe import EncoderRecipe

# Utterances for which starting one more worker process pays.
_MIN_UTTERANCES_PER_WORKER = 64
# Units a worker has in its queue, so that it never waits for the process that hands them out.
_QUEUED = 2
_WATCH_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Unit:
    """What is encoded in one call.

    Args:
        dialogues: with the turns that the encoder must see.
        wanted: ids of the utterances whose rows are asked for.
    """

    dialogues: Sequence[Dialogue]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit.

    Args:
        rows: arrays by utterance id.
        bad_clips: one sentence per clip that cannot be used; the others' rows are there.
        error: why there are no rows at all, or None.
    """

    rows: Mapping[str, Array]
    bad_clips: tuple[str, ...] = ()
    error: DialogueSerError | None = None


class Engine(Protocol):
    """Encodes units somewhere.

    Attributes:
        runs_in_process: in this process, so that an encoder may report its own progress.
    """

    runs_in_process: bool

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[Unit]) -> Iterator[tuple[Unit, Outcome]]:
        """Every unit with its outcome, in any order; asks for the next unit only when somebody can work on it.

        Raises:
            FeatureError: a worker died, or cannot be started.
        """
        ...


class InProcess:
    """One unit after the other, in this process."""

    runs_in_process = True

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[Unit]) -> Iterator[tuple[Unit, Outcome]]:
        """Every unit with its outcome, in order."""
        for unit in units:
            yield unit, encode_unit(encoder, unit.dialogues)


class WorkerProcesses:
    """Worker processes of this machine, each with an encoder of its own: for encoders that keep one core busy.

    They are fresh interpreters (nothing is forked), leave Ctrl-C to this process, and end when it does, killed or not.

    Args:
        workers: processes; 0 = one per CPU core.

    Raises:
        ConfigError: fewer than 0.
    """

    runs_in_process = False

    def __init__(self, workers: int = 0) -> None:
        self.workers = count_workers(workers)

    def outcomes(self, encoder: UtteranceEncoder, units: Iterable[Unit]) -> Iterator[tuple[Unit, Outcome]]:
        """Every unit with its outcome, as they come.

        Raises:
            FeatureError: a worker process died.
        """
        from concurrent.futures import FIRST_COMPLETED, Future, wait

        # loky, unlike multiprocessing's spawn, does not run the user's script again: it needs no __main__ guard.
        from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]
        from joblib.externals.loky.process_executor import TerminatedWorkerError  # type: ignore[import-untyped]

        pool = ProcessPoolExecutor(
            max_workers=self.workers,
            initializer=_begin,
            initargs=(recipe_of(encoder), os.getpid()),
            env=thread_limits(self.workers),
        )
        running: dict[Future[Outcome], Unit] = {}

        def finished() -> Iterator[tuple[Unit, Outcome]]:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()

        try:
            for unit in units:
                running[pool.submit(_encode, unit.dialogues)] = unit
                if len(running) >= _QUEUED * self.workers:
                    yield from finished()
            while running:
                yield from finished()
        except TerminatedWorkerError as error:
            raise FeatureError(
                f"encoder {encoder.name!r}: a worker process died ({_first_line(error)}); what was finished is stored: "
                "run it again, with fewer --workers if memory ran out"
            ) from error
        finally:
            pool.shutdown(wait=True, kill_workers=True)


def engine_for(encoder: UtteranceEncoder, n_utterances: int) -> Engine:
    """Where it is best encoded: an encoder that asks for ``processes`` gets workers where there is enough to do.

    >>> type(engine_for(object(), 5000)).__name__
    'InProcess'
    """
    workers = min(count_workers(getattr(encoder, "processes", 1)), n_utterances // _MIN_UTTERANCES_PER_WORKER)
    return WorkerProcesses(workers) if workers > 1 else InProcess()


def rows_of(outcomes: Iterable[tuple[Unit, Outcome]]) -> Iterator[tuple[Unit, Mapping[str, Array]]]:
    """Every unit with its rows, as they come.

    Raises:
        DialogueSerError: a unit has no rows at all.
        MediaError: after the last unit, one error for the bad clips of all.
    """
    problems: dict[str, None] = {}
    for unit, outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        for problem in outcome.bad_clips:
            problems.pop(problem, None)  # what all of them say (how to mend it) ends up last
            problems[problem] = None
        yield unit, outcome.rows
    if problems:
        raise MediaError(*problems)


def encode_unit(encoder: UtteranceEncoder, dialogues: Sequence[Dialogue]) -> Outcome:
    """Encode, and put what a user can mend into the outcome instead of raising it."""
    try:
        return Outcome(dict(encoder.encode(dialogues)))
    except MediaError as error:
        return Outcome(error.rows if isinstance(error, BadClipsError) else {}, error.problems)
    except DialogueSerError as error:
        return Outcome({}, error=error)


def recipe_of(encoder: UtteranceEncoder) -> "EncoderRecipe | UtteranceEncoder":
    """What to send to a worker: how to build the encoder, or the encoder itself where nobody knows that."""
    recipe = getattr(encoder, "recipe", None)
    return recipe if isinstance(recipe, EncoderRecipe) else encoder


def built(recipe: "EncoderRecipe | UtteranceEncoder") -> UtteranceEncoder:
    """The encoder in a worker."""
    if not isinstance(recipe, EncoderRecipe):
        return recipe
    from dialogue_ser.features.registry import build_in_worker

    return build_in_worker(recipe)


def count_workers(asked: int) -> int:
    """Workers for ``--workers N``; 0 = one per core this process may use.

    Raises:
        ConfigError: fewer than 0.

    >>> count_workers(3)
    3
    """
    if asked < 0:
        raise ConfigError(f"--workers {asked}: must be at least 0 (0 = one per CPU core)")
    return asked or _cpu_count()


def thread_limits(workers: int) -> dict[str, str]:
    """Environment of a worker: its share of the cores, or less where the environment already says so."""
    share = max(1, _cpu_count() // workers)
    said = os.environ.get("OMP_NUM_THREADS", "")
    threads = str(min(share, int(said)) if said.isdigit() and int(said) > 0 else share)
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)


def _cpu_count() -> int:
    import joblib  # type: ignore[import-untyped]

    return int(joblib.cpu_count())


class _Worker:
    """State of a worker process."""

    recipe: Any = None
    encoder: UtteranceEncoder | None = None


def _begin(recipe: Any, parent: int) -> None:
    """First thing in a worker: Ctrl-C is the parent's business, and without a parent there is nothing to do."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Worker.recipe = recipe

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


def _encode(dialogues: Sequence[Dialogue]) -> Outcome:
    """One unit in a worker; the encoder is built with the first."""
    if _Worker.encoder is None:
        try:
            _Worker.encoder = built(_Worker.recipe)
        except DialogueSerError as error:
            return Outcome({}, error=error)
    return encode_unit(_Worker.encoder, dialogues)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
