"""Compute the frozen features of a corpus once, before the first fold, and measure the time and memory for it."""

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
    """Time and memory that the features of one modality needed.

    Args:
        utterances: number of utterances in the corpus.
        encoded: number of utterances that were encoded now. The features of the others were in the store.
        seconds: wall-clock time in seconds.
        peak_memory_bytes: largest resident size of this process so far, libraries included.
        worker_memory_bytes: largest measured resident size of all worker processes together; 0 without worker
            processes. It is measured each time some utterances are done.
    """

    utterances: int
    encoded: int
    seconds: float
    peak_memory_bytes: int
    worker_memory_bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return asdict(self)


def extract(
    pipelines: Mapping[str, FeaturePipeline],
    dialogues: Sequence[Dialogue],
    store: FeatureStore,
    report: Callable[[str], Report] | None = None,
) -> dict[str, Extraction]:
    """Fill the store with the features of every modality.

    Args:
        pipelines: modality → unfitted pipeline without transforms. This function fits them, so do not use them again.
        dialogues: all dialogues of the corpus.
        store: store of frozen features.
        report: function that gets a modality and returns a function, which is called with the numbers of utterances
            that are encoded and that are to encode.

    Raises:
        MediaError: clips cannot be used. The message names all of them.
        FeatureError: features cannot be computed.
    """
    found = {}
    for modality, pipeline in pipelines.items():
        notify = report(modality) if report is not None else None
        encoded = worker_bytes = 0

        def count(done: int, total: int, notify: Report | None = notify) -> None:
            nonlocal encoded, worker_bytes
            encoded = max(encoded, done)
            # The worker processes end with the encoding, so their memory must be measured here.
            worker_bytes = max(worker_bytes, worker_memory_bytes())
            if notify is not None:
                notify(done, total)

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
    """Return the resident memory of all processes that a process has started, directly or through others.

    Memory that several of them share is counted for each of them.

    Args:
        process_id: id of the process; None = this process.
    """
    total = 0
    for child in psutil.Process(process_id).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # the process may have ended, or belong to another user
            total += int(child.memory_info().rss)
    return total
