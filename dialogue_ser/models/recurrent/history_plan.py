"""Where everything lies when histories are read: index arrays, made on the CPU and copied to the device in one go."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from dialogue_ser.batch.histories import histories, step_order
from dialogue_ser.batch.turns import Ints, TurnIndex, steps_within
from dialogue_ser.nn.transfer import send


class Sequences(NamedTuple):
    """Sequences for one recurrence: where their steps come from, and where they go.

    Args:
        source: for each packed step, the row it is made of.
        target: for each packed step, the row it is written to.
        sizes: number of sequences that have a first, second, … step.
    """

    source: Tensor
    target: Tensor
    sizes: list[int]


class HistoryPlan(NamedTuple):
    """The histories of some turns on the device.

    Args:
        query: the turns.
        own: sequences of the turns of the query's speaker: from turns to steps.
        others: the same for the turns of all other speakers.
        memory_source: for each packed step of the memory, the step it reads.
        memory_sizes: number of memories that have a first, second, … step.
        missing: for each sequence of the memory, the number of turns by which it is shorter than the window.
        entry: for each pair of a query and a turn of its history, the packed step of the memory.
        cell: for each such pair, its place in a table ``[Q · L]``.
        is_visible: which places of the table ``[Q, L]`` are turns of the history.
        n_steps: number of steps of all runs.
    """

    query: Tensor
    own: Sequences
    others: Sequences
    memory_source: Tensor
    memory_sizes: list[int]
    missing: Tensor
    entry: Tensor
    cell: Tensor
    is_visible: Bool[Tensor, "query past"]
    n_steps: int


def plan_histories(
    turns: TurnIndex, query_Q: Ints, n_past: int, device: torch.device, *, is_shared: bool
) -> HistoryPlan:
    """The plan for the histories of some turns.

    Args:
        turns: the turns of the batch.
        query_Q: the turns whose histories are read.
        n_past: most turns of a history.
        device: where the plan is used.
        is_shared: histories with the same beginning have one memory together; false = every turn has its own.
    """
    found = histories(turns, query_Q, n_past)
    arrays = {"query": query_Q}
    sizes = {}
    for name, rows in (("own", np.flatnonzero(found.is_own_S)), ("others", np.flatnonzero(~found.is_own_S))):
        order = step_order(np.bincount(found.run_S[rows], minlength=len(found.length_R)))
        arrays[f"{name} target"] = rows[order.row_S]
        arrays[f"{name} source"] = found.node_S[rows[order.row_S]]
        sizes[name] = order.sizes
    length_M = found.length_R if is_shared else found.length_Q
    memory = step_order(length_M)
    width = max(1, int(found.length_Q.max(initial=0)))
    arrays["memory"] = memory.row_S if is_shared else found.row_E[memory.row_S]
    arrays["missing"] = n_past - length_M[memory.sequence_R]
    arrays["entry"] = memory.place_S[found.row_E] if is_shared else memory.place_S
    arrays["cell"] = found.query_E * width + steps_within(found.length_Q)
    arrays["visible"] = (np.arange(width) < found.length_Q[:, None]).astype(np.int64)
    sent = dict(zip(arrays, send(list(arrays.values()), device), strict=True))
    return HistoryPlan(
        query=sent["query"],
        own=Sequences(sent["own source"], sent["own target"], sizes["own"]),
        others=Sequences(sent["others source"], sent["others target"], sizes["others"]),
        memory_source=sent["memory"],
        memory_sizes=memory.sizes,
        missing=sent["missing"],
        entry=sent["entry"],
        cell=sent["cell"],
        is_visible=sent["visible"].view(len(query_Q), width).bool(),
        n_steps=len(found.node_S),
    )
