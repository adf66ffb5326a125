"""The one place that knows accelerate's process and device state."""

from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor, cuda, set_num_threads

from dialogue_ser.errors import ConfigError
from dialogue_ser.training.config.run_config import TrainingConfig


def make_accelerator(config: TrainingConfig) -> Accelerator:
    """Accelerator for a run: device, autocast and, under ``accelerate launch``, the process group.

    accelerate keeps its state in process-wide singletons; a second run in one process may want another device or
    precision, so that state (never a living process group) is dropped first.

    Raises:
        ConfigError: CUDA or fp16 asked for where it does not exist.
    """
    if config.device == "cuda" and not cuda.is_available():
        raise ConfigError("training.device: 'cuda', but torch sees no GPU; use --training.device cpu or auto")
    is_cpu = config.device == "cpu" or not cuda.is_available()
    if config.precision == "fp16" and is_cpu:
        raise ConfigError("training.precision: 'fp16' needs a GPU; use bf16 or no on CPU")
    is_alone = not PartialState._shared_state or PartialState().num_processes == 1
    AcceleratorState._reset_state(reset_partial_state=is_alone)
    accelerator = Accelerator(cpu=is_cpu, mixed_precision=config.precision)
    if config.threads:
        set_num_threads(config.threads)  # after accelerate, which sets its own number under `accelerate launch`
    return accelerator


def is_main_process() -> bool:
    """Whether this process is the one of a run that writes and prints; True outside ``accelerate launch``."""
    return bool(PartialState().is_main_process)


def sum_over_ranks(accelerator: Accelerator, value: Tensor) -> Tensor:
    """Elementwise sum over all processes (a copy when there is one process)."""
    total = accelerator.reduce(value, reduction="sum")
    assert isinstance(total, Tensor)
    return total
