"""How long turns are, in seconds, as the corpus of a run states it."""

from pathlib import Path

import numpy as np

from dialogue_ser.corpus.schema import Utterance, utterances
from dialogue_ser.errors import DialogueSerError
from dialogue_ser.metrics.confusion import FloatArray
from dialogue_ser.metrics.predictions import Predictions
from dialogue_ser.training.config.files import load_record
from dialogue_ser.training.data.corpus import corpus_of
from dialogue_ser.trust import Trust, only_code


def turn_seconds(run: Path, turns: Predictions, trust_code: Trust = False) -> tuple[FloatArray | None, str]:
    """Return the length of every turn in seconds, NaN where it is not known.

    The times are those that the corpus states. No sound is decoded.

    Args:
        run: run directory; its config.yaml says where the corpus is.
        turns: the turns.
        trust_code: code that config.yaml may name, e.g. the user's own reader, see :mod:`~dialogue_ser.trust`.

    Returns:
        the lengths and "", or None and a sentence that says why none is known.
    """
    unknown = "The lengths of the turns in seconds are not known"
    if not (run / "config.yaml").is_file():
        return None, f"{unknown}: the run has no config.yaml."
    try:
        with only_code(trust_code):
            corpus = corpus_of(load_record(run / "config.yaml").data, every_fold=True)
    except DialogueSerError as error:
        return None, f"{unknown}: the corpus cannot be read ({error.problems[0]})."
    known = {turn.id: _seconds(turn) for some in corpus.splits.values() for turn in utterances(some)}
    found_N = np.array([known.get(str(name), np.nan) for name in turns.frame["utterance_id"]], dtype=np.float64)
    if np.isnan(found_N).all():
        return None, f"{unknown}: the corpus states no times."
    return found_N, ""


def _seconds(turn: Utterance) -> float:
    spans = [(turn.start_seconds, turn.end_seconds)]
    if turn.audio is not None:
        spans.append((turn.audio.start_seconds or 0.0, turn.audio.end_seconds))
    return next((end - start for start, end in spans if start is not None and end is not None), float("nan"))
