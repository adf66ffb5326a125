"""The rows of a batch that several processes share, for a loss that is no sum over turns.

Examples are 1 − CCC, which is one number for a set of turns, and the contrastive loss, which needs pairs of turns. The
processes exchange the outputs of their turns, and each one computes the loss of all of them. It knows the gradient of
its own outputs only. The sum of these gradients over all processes is the gradient of the whole batch.
"""

import torch
from accelerate import Accelerator
from torch import Tensor

from dialogue_ser.tasks.base import Task
from dialogue_ser.training.loop.devices import gather_rows


def rows_of_all(accelerator: Accelerator | None, outputs_NS: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of all processes, in the same order everywhere. All processes call this together.

    Args:
        accelerator: process group; None = this process is alone.
        outputs_NS: outputs ``[N, S]`` of the turns of this process; N may be 0.
        target: their targets, ``[N]`` or ``[N, S]``.

    Returns:
        outputs and targets of the turns of all processes; only the outputs of this process have a gradient.
    """
    if accelerator is None or accelerator.num_processes == 1:
        return outputs_NS, target
    n_scores, n_rows = outputs_NS.shape[1], len(outputs_NS)
    n_of_ranks: list[int] = gather_rows(accelerator, torch.tensor([n_rows], device=accelerator.device)).tolist()
    target_NS = target[:, None] if target.ndim == 1 else target
    # float64 holds classes and outputs of every precision, so a process without turns need not know their types.
    own = torch.cat([outputs_NS.detach().double(), target_NS.double()], dim=1)
    padded = own.new_zeros(1, max(n_of_ranks), own.shape[1])
    padded[0, :n_rows] = own
    pieces = [piece[:n] for piece, n in zip(gather_rows(accelerator, padded), n_of_ranks, strict=True)]
    outputs = [piece[:, :n_scores].to(outputs_NS.dtype) for piece in pieces]
    outputs[accelerator.process_index] = outputs_NS
    targets_NS = torch.cat([piece[:, n_scores:] for piece in pieces]).to(target.dtype)
    return torch.cat(outputs), targets_NS[:, 0] if target.ndim == 1 else targets_NS


def no_rows(task: Task, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the outputs and targets of a process that has no share of a batch."""
    outputs_NS = torch.zeros(0, task.n_scores, device=device)
    return outputs_NS, outputs_NS[:, 0] if task.gives_probabilities else outputs_NS


def counted_once(accelerator: Accelerator | None, value: Tensor) -> Tensor:
    """Return a number that all processes have computed so that its sum over them is this number.

    The main process gives the number and the others 0. The gradient stays everywhere.
    """
    return value if accelerator is None or accelerator.is_main_process else value - value.detach()
