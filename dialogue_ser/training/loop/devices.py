"""Devices and processes: the only module that uses the process-wide state of the library accelerate."""

from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, cuda, set_num_threads

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import TrainingConfig


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Make the Accelerator of a run: it holds the device, autocast and, under ``accelerate launch``, the process group.

    accelerate keeps its state in process-wide singletons, but a second run in the same process may need another device
    or precision. So this state is reset first, except for a process group that is in use.

    Raises:
        ConfigError: the configuration needs CUDA or fp16, which this machine does not have.
    """
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
    """Return the elementwise sum of a tensor over all processes; with one process, a copy."""
    total = accelerator.reduce(value, reduction="sum")
    assert isinstance(total, Tensor)
    return total
