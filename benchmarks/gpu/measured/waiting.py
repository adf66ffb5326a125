"""A part: no model makes the host wait for the GPU inside a train step, seen by torch's own watch on CUDA.

Forward, loss, backward and the optimizer's step of every registered model run under
``torch.cuda.set_sync_debug_mode("error")``. How often a whole step of the trainer waits is counted beside it: it reads
its numbers once, at its end.
"""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from benchmarks.gpu.child import Part
from benchmarks.gpu.measured.steps import INPUTS, batch_of, learner_of, train_step
from dialogue_ser.models import MODELS

LAST_FRAMES = 3


@contextmanager
def watched(mode: Literal["error", "warn"], *, is_cuda: bool) -> Iterator[None]:
    """What waits for a GPU is an error, or a warning; nothing on a CPU."""
    if not is_cuda:
        yield
        return
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode(mode)
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def seen(model: str, names: tuple[str, ...], part: Part) -> dict[str, Any]:
    """What waited in a model's step, if anything did, and how often the trainer's step waits."""
    learner = learner_of(model, {}, names, part.device)
    batch = batch_of(names)
    batch = batch.pin_memory() if part.is_cuda else batch
    learner.step([batch], 0)  # kernels are compiled and compared with torch's before they are used, which waits
    found: dict[str, Any] = {"waits_at": None}
    try:
        with watched("error", is_cuda=part.is_cuda):
            loss = train_step(learner, batch)
        found["loss"] = float(loss)
    except RuntimeError as error:
        frames = traceback.extract_tb(error.__traceback__)[-LAST_FRAMES:]
        found["waits_at"] = [f"{frame.filename}:{frame.lineno} {frame.line}" for frame in frames]
        found["error"] = str(error).partition("\n")[0]
    with warnings.catch_warnings(record=True) as caught, watched("warn", is_cuda=part.is_cuda):
        warnings.simplefilter("always")
        learner.step([batch], 1)
    found["waits_of_a_trainers_step"] = sum("synchroniz" in str(warning.message) for warning in caught)
    return found


def main() -> int:
    """All models, each on vectors and on everything at once."""
    part = Part(__doc__)
    found = {
        f"{model}, {'+'.join(names)}": seen(model, names, part)
        for model in MODELS
        for names in (("vector",), tuple(INPUTS))
    }
    waiting = [name for name, one in found.items() if one["waits_at"]]
    told = f"{len(found) - len(waiting)} of {len(found)} steps never wait" + (
        f"; these do: {', '.join(waiting)}" if waiting else ""
    )
    part.found(steps=found, headline=told)
    return int(bool(waiting))


if __name__ == "__main__":
    raise SystemExit(main())
