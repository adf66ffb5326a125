"""A part: 10,000 dialogues labelled: turns a second, of the model alone and of the whole path from text to table.

The features are counts of letters, so that no encoder's time is measured. Lengths and speakers are those of
``launches``'s dialogues over and over.
"""

from itertools import cycle, islice

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.child import Part
from benchmarks.gpu.measured.launches import LENGTHS, SIZES
from benchmarks.speed.contest import stopwatch
from dialogue_ser.batch.collate import collate
from dialogue_ser.corpus.schema import Dialogue, LabelSet, Utterance
from dialogue_ser.features.registry import register_encoder
from dialogue_ser.inference.classifier import DialogueClassifier
from dialogue_ser.inputs.pipeline import FeaturePipeline
from dialogue_ser.models import build_model

N_DIALOGUES, QUICK_DIALOGUES = 10_000, 200
BATCH_SIZES = (32, 512)
LABELS = LabelSet("emotion", ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"))
WORDS = ("well", "no", "great", "stop", "sure", "never", "lovely")


@register_encoder("benchmark-letters", modality="text")
def letters(texts: list[str]) -> NDArray[np.float32]:
    """Counts of letters [N, 26]."""
    return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], dtype=np.float32)


def made_up(n_dialogues: int) -> list[Dialogue]:
    """Dialogues of three people."""
    return [
        Dialogue(
            f"d{number}",
            tuple(
                Utterance(id=f"d{number}_{turn}", speaker="ABC"[turn % 3], text=WORDS[(number + turn) % len(WORDS)])
                for turn in range(length)
            ),
        )
        for number, length in enumerate(islice(cycle(LENGTHS), n_dialogues))
    ]


def main() -> int:
    """The model alone on batches that are ready, then the classifier."""
    part = Part(__doc__)
    dialogues = made_up(QUICK_DIALOGUES if part.is_quick else N_DIALOGUES)
    n_turns = sum(map(len, dialogues))
    pipeline = FeaturePipeline.build("text", "benchmark-letters", transforms=["standardise"]).fit(dialogues[:64])
    torch.manual_seed(0)
    model = build_model("emotion-rnn", SIZES, {"text": pipeline.spec}, len(LABELS)).to(part.device).eval()
    classifier = DialogueClassifier(model, LABELS, {"text": pipeline})
    table = {"text": pipeline.table(dialogues)}
    found: dict[str, dict[str, float]] = {}
    for size in BATCH_SIZES:
        pieces = [dialogues[start : start + size] for start in range(0, len(dialogues), size)]
        batches = [collate(piece, table, LABELS).to(part.device) for piece in pieces]

        @torch.inference_mode()
        def label(batches: list = batches) -> None:  # type: ignore[type-arg]
            for batch in batches:
                model(batch)

        label(batches[:1])
        found[f"model alone, {size} dialogues a batch"] = {"turns_a_second": n_turns / stopwatch(label, part.device)}
        part.found(turns=n_turns, dialogues=len(dialogues), speeds=found)
    classifier.predict_proba(dialogues[:64])
    for size in BATCH_SIZES:
        seconds = stopwatch(lambda size=size: classifier.predict_proba(dialogues, batch_size=size), part.device)  # type: ignore[misc]
        found[f"text to probabilities, {size} dialogues a batch"] = {"turns_a_second": n_turns / seconds}
        part.found(speeds=found)
    told = "; ".join(f"{name} {one['turns_a_second']:,.0f}" for name, one in found.items())
    part.found(headline=f"{n_turns} turns of {len(dialogues)} dialogues, turns a second: {told}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
