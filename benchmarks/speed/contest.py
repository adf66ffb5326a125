"""Candidates that read the same dialogues, and their timing: in turn, in one process, medians and ratios."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from benchmarks.speed.plain_loop import PlainDialogueRNN, one_hot_speakers
from dialogue_ser.nn.recurrence.dialogue_recurrence import DialogueRecurrence
from dialogue_ser.nn.recurrence.wiring import Wiring, dialogue_rnn, emotion_rnn

INPUT_DIM = 600
DROPOUT = 0.1
LEARNING_RATE = 1e-4
N_LOOP_PARTIES = 9  # MELD's most crowded dialogue; the columns of every published implementation
WIRINGS: Mapping[str, Wiring] = {
    "DialogueRNN": dialogue_rnn("hold"),
    "DialogueRNN, listeners": dialogue_rnn("update"),
    "EmotionRNN": emotion_rnn("update"),
}


@dataclass(frozen=True, kw_only=True)
class Work:
    """One batch in the form that each candidate needs. Speakers and lengths stay on the CPU.

    Args:
        x_BTD: inputs on the device, padded.
        speaker_BT: party ids, −1 on padding.
        n_turns_B: real turns.
        x_TBD: the same inputs with the turn first, for the plain loop.
        speaks_TBP: one-hot speakers, for the plain loop.
    """

    x_BTD: Tensor
    speaker_BT: Tensor
    n_turns_B: Tensor
    x_TBD: Tensor
    speaks_TBP: Tensor

    @property
    def n_turns(self) -> int:
        """Real turns of the batch."""
        return int(self.n_turns_B.sum())

    def with_gradient(self) -> "Work":
        """The same batch with inputs that need a gradient. It is not for the plain loop."""
        return replace(self, x_BTD=self.x_BTD.clone().requires_grad_())


def work(
    speaker_BT: Tensor,
    n_turns_B: Tensor,
    *,
    device: torch.device,
    loop_parties: int | None = N_LOOP_PARTIES,
    seed: int = 0,
) -> Work:
    """Random inputs for dialogues of a given shape.

    Args:
        speaker_BT: party ids, −1 on padding.
        n_turns_B: real turns.
        device: where the inputs go.
        loop_parties: columns of the plain loop's one-hot. None: the batch has no inputs for the loop.
        seed: of the inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    x_BTD = torch.randn(*speaker_BT.shape, INPUT_DIM, generator=generator).to(device)
    x_TBD = speaks_TBP = x_BTD.new_empty(0)
    if loop_parties is not None:
        x_TBD = x_BTD.transpose(0, 1).contiguous()
        speaks_TBP = one_hot_speakers(speaker_BT, n_turns_B, loop_parties, torch.float32).to(device)
    return Work(x_BTD=x_BTD, speaker_BT=speaker_BT, n_turns_B=n_turns_B, x_TBD=x_TBD, speaks_TBP=speaks_TBP)


class Candidate:
    """A recurrence that can be trained and run.

    Args:
        module: its weights.
        read: emotion states of a batch, padded or packed.
        device: where it runs.
    """

    def __init__(self, module: nn.Module, read: Callable[[Work], Tensor], device: torch.device) -> None:
        self.module, self.read = module.to(device), read
        self.optimizer = torch.optim.Adam(module.parameters(), lr=LEARNING_RATE, fused=True)

    def backward(self, batch: Work) -> None:
        """Run forward and backward."""
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        batch.x_BTD.grad = None
        torch.autograd.backward(self.read(batch).square().mean())

    def train(self, batch: Work) -> None:
        """Run forward, backward and the optimizer step."""
        self.backward(batch)
        self.optimizer.step()

    def infer(self, batch: Work) -> None:
        """Run forward in evaluation mode, without gradients."""
        self.module.eval()
        with torch.no_grad():
            self.read(batch)


def ours(
    system: str, device: torch.device, *, attention: str = "general", engine: str = "auto", dropout: float = DROPOUT
) -> Candidate:
    """The recurrence of the package with the wiring of one system."""
    recurrence = DialogueRecurrence(
        INPUT_DIM,
        WIRINGS[system],
        attention=attention,
        dropout=dropout,
        engine=engine,  # type: ignore[arg-type]
    )
    return Candidate(recurrence, lambda batch: recurrence(batch.x_BTD, batch.speaker_BT, batch.n_turns_B)[0], device)


def plain(listeners: bool, device: torch.device) -> Candidate:
    """The plain loop."""
    loop = PlainDialogueRNN(INPUT_DIM, listeners=listeners, dropout=DROPOUT)
    return Candidate(loop, lambda batch: loop(batch.x_TBD, batch.speaks_TBP, batch.n_turns_B), device)


def packed(gru: nn.GRU, device: torch.device) -> Candidate:
    """GRU of torch over packed turns."""

    def read(batch: Work) -> Tensor:
        rows = pack_padded_sequence(batch.x_BTD, batch.n_turns_B, batch_first=True, enforce_sorted=False)
        output: Tensor = gru(rows)[0].data
        return output

    return Candidate(gru, read, device)


def interleaved(
    contest: Mapping[str, Sequence[Callable[[], None]]],
    repeats: int,
    device: torch.device,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, list[list[float]]]:
    """Seconds of every run ``[round][step]``. Every second round is in reverse order. Candidates must be warm.

    Args:
        contest: name → steps, timed one by one: what disturbs the machine then spoils a step, not a round.
        repeats: rounds.
        device: waited for before the clock starts and before it stops.
        advance: called after each candidate's steps.
    """
    names = list(contest)
    seconds: dict[str, list[list[float]]] = {name: [] for name in names}
    for round_ in range(repeats):
        for name in names[::-1] if round_ % 2 else names:
            seconds[name].append([stopwatch(run, device) for run in contest[name]])
            advance()
    return seconds


def typical(rounds: Sequence[Sequence[float]]) -> float:
    """Seconds of all steps together, each step with its median over the rounds.

    >>> typical([[1, 5], [1, 2], [9, 2]])
    3.0
    """
    return float(sum(statistics.median(times) for times in zip(*rounds, strict=True)))


def stopwatch(run: Callable[[], None], device: torch.device) -> float:
    """Seconds of a run, with everything that it queued on the device."""
    synchronize(device)
    started = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - started


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished. On the CPU there is nothing to wait for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def without_tf32() -> None:
    """Switch TF32 off: products of single-precision matrices stay exact, in cuDNN too."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def machine(device: torch.device) -> dict[str, Any]:
    """The machine, with its load average, which shows whether other work was running."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = models[0] if models else cpu
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    parts = [accelerator, f"{cpu}, {os.cpu_count()} cores", f"{torch.get_num_threads()} threads", platform.platform()]
    return {
        "line": "; ".join(part for part in parts if part),
        "platform": platform.platform(),
        "cpu": cpu,
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": accelerator or "cpu",
        "load_average_before": load_average(),
    }


def load_average() -> float | None:
    """Load average of the last minute: how busy the machine was, with this and other work."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
