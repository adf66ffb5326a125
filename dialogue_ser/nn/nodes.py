"""Real turns as rows of a matrix, and back: a graph has no padding."""

from jaxtyping import Float, Int
from torch import Tensor


def to_nodes(x_BTD: Float[Tensor, "batch turn feature"], row_N: Int[Tensor, " node"]) -> Float[Tensor, "node feature"]:
    """The rows of the real turns, dialogue after dialogue.

    Args:
        x_BTD: padded vectors.
        row_N: ``TurnIndex.row_N`` on the device of x.
    """
    return x_BTD.flatten(0, 1).index_select(0, row_N)


def to_turns(
    x_ND: Float[Tensor, "node feature"], row_N: Int[Tensor, " node"], n_dialogues: int, n_turns: int
) -> Float[Tensor, "batch turn feature"]:
    """The padded form ``[B, T, D]`` of the rows; exactly 0 on padding."""
    x_MD = x_ND.new_zeros(n_dialogues * n_turns, x_ND.shape[1]).index_copy(0, row_N, x_ND)
    return x_MD.view(n_dialogues, n_turns, -1)
