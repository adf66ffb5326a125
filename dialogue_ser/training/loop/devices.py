"""Devices and processes: the only module that uses the process-wide state of the library accelerate."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import broadcast
from torch import Tensor, cuda, nn, set_num_threads

from dialogue_ser.errors import ConfigError, TrainingError
from dialogue_ser.training.config.run_config import TrainingConfig

#: Variables that tell accelerate how many processes there are.
_WORLD_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Make the Accelerator of a run: it holds the device, autocast and, under ``accelerate launch``, the process group.

    accelerate keeps its state in process-wide singletons, but a second run in the same process may need another device
    or precision. So this state is reset first, except for a process group that is in use.

    Raises:
        ConfigError: the configuration needs CUDA or fp16, which this machine does not have; or ``accelerate launch``
            was asked for several processes and has started one.
    """
    _refuse_a_lone_process(os.environ)
    if config.device == "cuda" and not cuda.is_available():
        raise ConfigError("training.device: found 'cuda', but torch sees no GPU; use --training.device cpu or auto")
    is_cpu = config.device == "cpu" or not cuda.is_available()
    if config.precision == "fp16" and is_cpu:
        raise ConfigError("training.precision: 'fp16' needs a GPU; on a CPU use bf16 or no")
    is_single_process = not PartialState._shared_state or PartialState().num_processes == 1
    AcceleratorState._reset_state(reset_partial_state=is_single_process)
    accelerator = Accelerator(cpu=is_cpu, mixed_precision=config.precision)
    if config.threads:
        set_num_threads(config.threads)  # after Accelerator, which changes the number under `accelerate launch`
    return accelerator


def is_main_process() -> bool:
    """Return whether this process writes the files and prints; always True outside ``accelerate launch``."""
    return bool(PartialState().is_main_process)


def sum_over_ranks(accelerator: Accelerator, value: Tensor) -> Tensor:
    """Return the elementwise sum of a tensor over all processes; with one process, a copy.

    Raises:
        TrainingError: another process has ended.
    """
    with _exchange():
        total = accelerator.reduce(value, reduction="sum")
    assert isinstance(total, Tensor)
    return total


def gather_rows(accelerator: Accelerator, value: Tensor) -> Tensor:
    """Return the rows of all processes, one after another in the order of the processes. All have the same shape.

    Raises:
        TrainingError: another process has ended.
    """
    with _exchange():
        rows = accelerator.gather(value)
    assert isinstance(rows, Tensor)
    return rows


def most_of_ranks(accelerator: Accelerator, number: int) -> int:
    """Return the largest of the numbers that the processes have.

    Raises:
        TrainingError: another process has ended.
    """
    if accelerator.num_processes == 1:
        return number
    return int(gather_rows(accelerator, torch.tensor([number], device=accelerator.device)).max())


def is_true_anywhere(accelerator: Accelerator, value: bool) -> bool:
    """Return whether a value is true in any process. All processes get the same answer.

    Raises:
        TrainingError: another process has ended.
    """
    return bool(most_of_ranks(accelerator, int(value)))


@torch.no_grad()
def share_buffers(system: nn.Module, accelerator: Accelerator) -> None:
    """Give all processes the buffers of the main process, e.g. the running means of a batch norm.

    A batch norm sees only the share of its own process, so its running means differ. Without this, the processes would
    score dev with different models, and the saved model would be one of them.

    Raises:
        TrainingError: another process has ended.
    """
    if accelerator.num_processes == 1:
        return
    buffers = [buffer for buffer in system.buffers() if buffer.is_floating_point() and buffer.numel()]
    if not buffers:
        return
    with _exchange():
        values = broadcast(torch.cat([buffer.flatten().double() for buffer in buffers]))
    for buffer, value in zip(buffers, torch.split(values, [one.numel() for one in buffers]), strict=True):
        buffer.copy_(value.view_as(buffer))


def wait_for_all(accelerator: Accelerator) -> None:
    """Wait until all processes are here.

    Raises:
        TrainingError: another process has ended.
    """
    with _exchange():
        accelerator.wait_for_everyone()


@contextmanager
def main_first(accelerator: Accelerator) -> Iterator[None]:
    """A context that the main process goes through first, e.g. to write what the others then read.

    Raises:
        TrainingError: another process has ended.
    """
    if not accelerator.is_main_process:
        wait_for_all(accelerator)
    yield
    if accelerator.is_main_process:
        wait_for_all(accelerator)


@contextmanager
def _exchange() -> Iterator[None]:
    """A context in which processes exchange numbers. The libraries raise RuntimeError if one of them is gone."""
    try:
        yield
    except RuntimeError as error:
        if PartialState().num_processes == 1:
            raise
        raise TrainingError(
            f"process {PartialState().process_index} of {PartialState().num_processes}: another process of this run "
            "has ended or cannot be reached, so this one ends too; the message of the other process says why; the same "
            "command with --resume continues a run from its last checkpoint"
        ) from error


def _refuse_a_lone_process(environment: Mapping[str, str]) -> None:
    """Raise ConfigError if ``accelerate launch --cpu`` was asked for several processes.

    Without MPI it starts only one, and only its address for the other processes shows what was asked for.
    """
    is_lonely = environment.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1") and "MASTER_PORT" in environment
    if is_lonely and not any(name in environment for name in _WORLD_SIZES):
        raise ConfigError(
            "accelerate launch: several processes were asked for, but without MPI it starts one process on a CPU; use "
            "torchrun --nproc_per_node N, or --num_processes 1"
        )
