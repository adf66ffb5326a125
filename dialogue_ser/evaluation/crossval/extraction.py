"""Frozen features of a corpus made once, before any fold asks for them, with the time and memory that took."""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from dialogue_ser.corpus.schema import Dialogue
from dialogue_ser.features.store.feature_store import FeatureStore
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.training.record.outputs import peak_memory_bytes

Report = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """What making one modality's features took.

    Args:
        utterances: in the corpus.
        encoded: of these, encoded now; the others lay in the store.
        seconds: wall clock.
        peak_memory_bytes: largest resident size of this process so far, libraries included.
        worker_memory_bytes: most that its worker processes together were seen to hold, looked at whenever some
            utterances were done; 0 without any.
    """

    utterances: int
    encoded: int
    seconds: float
    peak_memory_bytes: int
    worker_memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return asdict(self)


def extract(
    pipelines: Mapping[str, FeaturePipeline],
    dialogues: Sequence[Dialogue],
    store: FeatureStore,
    report: Callable[[str], Report] | None = None,
) -> dict[str, Extraction]:
    """Fill the store with every modality's features.

    Args:
        pipelines: modality → unfitted pipeline without transforms; fitted here, so of no further use.
        dialogues: the whole corpus.
        store: where features are kept.
        report: modality → function that is called with (done, total) utterances to encode.

    Raises:
        MediaError: clips that cannot be used, all of them.
        FeatureError: features that cannot be made.
    """
    found = {}
    for modality, pipeline in pipelines.items():
        tell = report(modality) if report is not None else None
        encoded = worker_bytes = 0

        def count(done: int, total: int, tell: Report | None = tell) -> None:
            nonlocal encoded, worker_bytes
            encoded = max(encoded, done)
            worker_bytes = max(worker_bytes, worker_memory_bytes())  # they end with the encoding
            if tell is not None:
                tell(done, total)

        started = time.perf_counter()
        pipeline.fit(dialogues, store, count)
        seconds = time.perf_counter() - started
        found[modality] = Extraction(
            utterances=sum(map(len, dialogues)),
            encoded=encoded,
            seconds=seconds,
            peak_memory_bytes=peak_memory_bytes(),
            worker_memory_bytes=worker_bytes,
        )
    return found


def worker_memory_bytes(process_id: int | None = None) -> int:
    """What all living children of a process, and theirs, hold resident now; pages they share are counted once for each.

    Args:
        process_id: of the process; None = this one.
    """
    total = 0
    for child in psutil.Process(process_id).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended, or belongs to somebody else
            total += int(child.memory_info().rss)
    return total
