"""What a run says about the epoch that the test split would have chosen (``training.protocol: legacy-test-peek``)."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dialogue_ser.metrics.table import Metric

logger = logging.getLogger(__name__)

WARNING = (
    "This epoch was chosen on the split that is scored, so its scores are too high. They show the size of this habit. "
    "Do not publish them as scores of the system."
)


def peek_of(epochs: Sequence[Mapping[str, Any]], metric: Metric, split: str, kept_epoch: int) -> dict[str, Any]:
    """Return the entry ``legacy_test_peek`` of the summary (docs/architecture.md), and log its warning.

    Args:
        epochs: the lines of epochs in metrics.jsonl, each with ``test``.
        metric: metric that chooses.
        split: name of the test split.
        kept_epoch: epoch that the run keeps.
    """
    scores = {row["epoch"]: row["test"] for row in epochs if row.get("test")}
    defined = [epoch for epoch in scores if scores[epoch].get(metric.key) is not None]
    best = max(defined, key=lambda epoch: metric.sign * scores[epoch][metric.key], default=None)
    kept = scores.get(kept_epoch, {})
    gap = None
    if best is not None and kept.get(metric.key) is not None:
        gap = metric.sign * (scores[best][metric.key] - kept[metric.key])
    found = "the same epoch" if best == kept_epoch else f"epoch {best} instead of {kept_epoch}"
    logger.warning("legacy-test-peek: %s would have chosen %s. %s", split, found, WARNING)
    return {
        "split": split,
        "select": metric.key,
        "epoch": best,
        "scores": {} if best is None else scores[best],
        "kept_epoch": kept_epoch,
        "kept_scores": kept,
        "gap": gap,
        "warning": WARNING,
    }
