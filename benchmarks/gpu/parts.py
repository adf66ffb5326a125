"""The parts of the run: what each shows, how it starts, and its time limit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.headlines import of_recurrence, told

Result = Mapping[str, Any]
MOST_SECONDS = 480
"""All limits together, on a GPU."""
CPU_PATIENCE = 6
"""On a CPU, where a run only shows whether everything runs, the limits are this many times as long."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One child process.

    Args:
        name: its name on the command line and in the record.
        what: what it shows, one sentence.
        arguments: device, whether it has to be quick, and the file for its JSON → what follows ``python``.
        seconds: after which it is stopped, on a GPU.
        environment: environment variables for the child process.
        needs_cuda: why nothing is shown without a GPU: its code runs there, but does not count; None = it counts.
        headline: makes one line from its JSON.
    """

    name: str
    what: str
    arguments: Callable[[str, bool, Path], list[str]]
    seconds: float
    environment: Mapping[str, str] = field(default_factory=dict)
    needs_cuda: str | None = None
    headline: Callable[[Result], str] = told


def _module(name: str) -> Callable[[str, bool, Path], list[str]]:
    """A module of :mod:`benchmarks.gpu.measured`, which takes the options of :mod:`benchmarks.gpu.child`."""

    def arguments(device: str, is_quick: bool, result: Path) -> list[str]:
        own = ["--device", device, "--result", str(result)] + ["--quick"] * is_quick
        return ["-m", f"benchmarks.gpu.measured.{name}", *own]

    return arguments


def _recurrence(device: str, is_quick: bool, result: Path) -> list[str]:
    size = ["--batches", "1", "--repeats", "1"] if is_quick else ["--batches", "6", "--repeats", "3"]
    threads = ["--threads", "1"] if device == "cpu" else []
    return ["-m", "benchmarks.recurrence", "--quick", "--device", device, *size, *threads, "--json", str(result)]


PARTS: tuple[Part, ...] = (
    Part(
        name="kernels",
        what="Triton kernels against torch's operations: a step, and the recurrence with all gradients",
        arguments=_module("kernels"),
        seconds=50,
        needs_cuda="Triton's interpreter ran in place of compiled kernels",
    ),
    Part(
        name="waiting",
        what="a train step of every model under torch.cuda.set_sync_debug_mode('error')",
        arguments=_module("waiting"),
        seconds=35,
        needs_cuda="the steps ran, but a CPU is never waited for",
    ),
    Part(
        name="launches",
        what="kernel launches of a train step, and the operations that cost most",
        arguments=_module("launches"),
        seconds=35,
        needs_cuda="operations were counted, not launches",
    ),
    Part(
        name="recurrence-auto",
        what="the recurrence against the plain loop, with the kernels a GPU takes by itself",
        arguments=_recurrence,
        seconds=60,
        environment={"DIALOGUE_SER_KERNELS": "auto"},
        headline=of_recurrence,
    ),
    Part(
        name="recurrence-torch",
        what="the same with torch's operations",
        arguments=_recurrence,
        seconds=60,
        environment={"DIALOGUE_SER_KERNELS": "torch"},
        headline=of_recurrence,
    ),
    Part(
        name="training",
        what="ten epochs of MELD text beside the CPU: losses within a tolerance, seconds",
        arguments=_module("training"),
        seconds=95,
        needs_cuda="the CPU was compared with itself",
    ),
    Part(
        name="finetuning",
        what="one epoch of MiniLM fine-tuned on MELD in bf16",
        arguments=_module("finetuning"),
        seconds=45,
    ),
    Part(
        name="inference",
        what="10,000 dialogues labelled",
        arguments=_module("inference"),
        seconds=25,
    ),
    Part(
        name="tests",
        what="the tests marked for CUDA",
        arguments=_module("marked_tests"),
        seconds=75,
        needs_cuda="the CPU stood in for the GPU",
    ),
)
