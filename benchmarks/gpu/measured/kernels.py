"""A part: the kernels a GPU takes against torch's operations, values, gradients and microseconds.

On a CPU Triton's interpreter runs them, which says nothing of the compiled ones and nothing of time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.child import Part
from benchmarks.speed.contest import stopwatch
from dialogue_ser.nn.gru.cells import Gates, Slopes
from dialogue_ser.nn.gru.kernel_choice import ENVIRONMENT_VARIABLE, kernels_for
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.wiring import dialogue_rnn, emotion_rnn

TOLERANCES = {torch.float64: 1e-11, torch.float32: 5e-5}
SIZE = 150
ROWS = (30, 600, 10_000)
RUNS = 100
WIRINGS = {"EmotionRNN": emotion_rnn("update"), "DialogueRNN": dialogue_rnn("hold")}


@contextmanager
def forced(choice: str) -> Iterator[None]:
    """Torch's operations or Triton's kernels, whatever the device would take."""
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    os.environ[ENVIRONMENT_VARIABLE] = choice
    try:
        yield
    finally:
        os.environ.pop(ENVIRONMENT_VARIABLE)
        if before is not None:
            os.environ[ENVIRONMENT_VARIABLE] = before


def recurred(wiring: str, dtype: torch.dtype, device: torch.device, size: int) -> list[Tensor]:
    """ē and all gradients of a small batch, dropout included."""
    torch.manual_seed(1)
    sizes = {"global_dim": size, "party_dim": size, "emotion_dim": size}
    recurrence = DialogueRecurrence(24, WIRINGS[wiring], attention="general", dropout=0.2, **sizes)
    recurrence = recurrence.to(device, dtype).train()
    n_turns_B = torch.tensor([9, 6, 1])
    speaker_BT = torch.where(torch.arange(9) < n_turns_B[:, None], torch.arange(9) % 3, -1)
    x_BTD = torch.randn(3, 9, 24, dtype=dtype).to(device).requires_grad_()
    torch.manual_seed(2)  # the same dropout for both
    e_BTE, _ = recurrence(x_BTD, speaker_BT, n_turns_B)
    gradients = torch.autograd.grad(e_BTE.square().sum(), [x_BTD, *recurrence.parameters()])
    return [e_BTE.detach(), *gradients]


def largest_difference(wiring: str, dtype: torch.dtype, device: torch.device, size: int) -> float:
    """Of values and gradients, relative to the largest number of each tensor (or to 1, if that is smaller)."""
    results = []
    for choice in ("torch", "triton"):
        with forced(choice):
            results.append(recurred(wiring, dtype, device, size))
    pairs = zip(*results, strict=True)
    return max(float((one - other).abs().max() / one.abs().max().clamp_min(1.0)) for one, other in pairs)


def microseconds(choice: str, n_rows: int, device: torch.device) -> dict[str, float]:
    """Of one step, and of the slopes of a batch, in a queue of many."""
    with forced(choice):
        h = torch.randn(2, n_rows, SIZE, device=device)
        gates, out, mask = Gates(torch.zeros(2, SIZE, device=device), [n_rows]), torch.empty_like(h), torch.ones_like(h)
        gates.all.normal_()

        def many(run: Any) -> None:
            for _ in range(RUNS):
                run()

        runs = {
            "step": partial(gates.advance, 0, h, out, mask),
            "slopes": partial(Slopes, gates, h, mask, [n_rows]),
        }
        for run in runs.values():
            run()
        return {name: 1e6 * stopwatch(partial(many, run), device) / RUNS for name, run in runs.items()}


def timed(part: Part) -> str:
    """Finds the times of both by number of rows; gives a sentence."""
    times: dict[int, dict[str, dict[str, float]]] = {}
    for n_rows in ROWS:
        times[n_rows] = {choice: microseconds(choice, n_rows, part.device) for choice in ("torch", "triton")}
        part.found(microseconds_by_rows=times)
    step = {choice: found["step"] for choice, found in times[ROWS[1]].items()}
    return f"a step of {ROWS[1]} rows: torch {step['torch']:.1f} µs, kernel {step['triton']:.1f} µs"


def main() -> int:
    """Differences, then times."""
    part = Part(__doc__)
    if not part.is_cuda:
        os.environ["TRITON_INTERPRET"] = "1"  # read when triton is imported, which nobody has done yet
    with forced("auto"):
        takes_kernels = kernels_for(torch.empty(1, device=part.device)) is not None
    part.found(auto_takes_kernels=takes_kernels)
    differences: dict[str, dict[str, float]] = {}
    for dtype, allowed in TOLERANCES.items():
        for wiring in WIRINGS:
            found = largest_difference(wiring, dtype, part.device, SIZE if part.is_cuda else 8)
            differences[f"{wiring}, {dtype}"] = {"largest_difference": found, "allowed": allowed}
            part.found(differences=differences)
    bad = [name for name, one in differences.items() if not one["largest_difference"] <= one["allowed"]]
    told = [f"differences above what is allowed: {', '.join(bad)}" if bad else "equal to torch's operations"]
    if part.is_cuda:
        told.append(timed(part))
        if not takes_kernels:  # the log has the library's warning, which says why
            bad.append("auto")
            told.append("the library does not take the kernels by itself here: see the log")
    part.found(headline="; ".join(told))
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main())
