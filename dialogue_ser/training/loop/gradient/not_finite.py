"""The message of a step whose numbers are not finite. It names the turns that are the most likely cause."""

from collections.abc import Sequence

import torch
from torch import Tensor

from dialogue_ser.batch.dialogue_batch import DialogueBatch


def not_finite_message(what: str, step: int, outputs: Sequence[tuple[DialogueBatch, Tensor]]) -> str:
    """Return an error message that names the turns which are the most likely cause.

    These are turns with bad features; if there are none, turns with bad outputs; otherwise all turns of the step.
    """
    turns: dict[str, list[str]] = {"features are": [], "outputs are": [], "turns were": []}
    for batch, scores_BTS in outputs:
        has_bad_input_BT = torch.zeros_like(batch.is_real_turn)
        for values in batch.features.values():
            if values.is_floating_point():
                has_bad_input_BT |= ~values.flatten(2).isfinite().all(dim=2)
        has_bad_output_BT = ~scores_BTS.isfinite().all(dim=2)
        for b, ids in enumerate(batch.utterance_ids):
            turns["features are"] += [name for t, name in enumerate(ids) if has_bad_input_BT[b, t]]
            turns["outputs are"] += [name for t, name in enumerate(ids) if has_bad_output_BT[b, t]]
            turns["turns were"] += ids
    cause = "the turns are in another process"
    for subject, names in turns.items():
        if names:
            more = f" and {len(names) - 10} more" if len(names) > 10 else ""
            state = "in the step" if subject == "turns were" else "not finite"
            cause = f"{subject} {state}: {', '.join(names[:10])}{more}"
            break
    return (
        f"step {step + 1}: the {what} is not finite ({cause}); nothing was updated and the last checkpoint is intact; "
        "lower --optimizer.learning_rate, set --optimizer.clip_norm, or check these features"
    )
