"""The result of a part in one line."""

from collections.abc import Mapping
from typing import Any

GOAL = 15.0
"""Plain loop ÷ ours in training, on a GPU."""


def told(result: Mapping[str, Any]) -> str:
    """The headline that the part itself gives.

    >>> told({"headline": "equal"}), told({})
    ('equal', '')
    """
    return str(result.get("headline", ""))


def of_recurrence(result: Mapping[str, Any]) -> str:
    """The ratio for which there is a goal.

    >>> of_recurrence({"ratios": {"train_vs_loop": 16.24, "train_vs_loop_listeners": 20.0, "infer_vs_loop": 5.0}})
    'train: plain loop ÷ ours 16.2 (goal on a GPU ≥ 15), with listeners 20.0; inference 5.0'
    """
    ratios = result["ratios"]
    return (
        f"train: plain loop ÷ ours {ratios['train_vs_loop']:.1f} (goal on a GPU ≥ {GOAL:g}), with listeners "
        f"{ratios['train_vs_loop_listeners']:.1f}; inference {ratios['infer_vs_loop']:.1f}"
    )
