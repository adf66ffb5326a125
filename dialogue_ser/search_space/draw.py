"""Draw the parameters of a trial: the same seed, trial and name give the same value, whatever else is drawn."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from dialogue_ser.search_space.shapes import Nested, Parameter


def draw(parameters: Mapping[str, Parameter], seed: int, trial: int) -> dict[str, Any]:
    """Return a value for every parameter. A nested parameter gives a dict.

    A value depends on the seed, the trial and the name of its parameter only. The order of the names, and what is drawn
    beside it, have no effect. The name of a parameter inside of others has dots: ``optimizer.lr`` and the ``lr`` nested
    in ``optimizer`` get the same share.

    Args:
        parameters: name → parameter.
        seed: seed of the sweep, at least 0.
        trial: number of the trial, at least 0.
    """
    return _drawn(parameters, seed, trial, "")


def share_of(name: str, seed: int, trial: int) -> float:
    """Return the share in [0, 1) of a parameter in a trial.

    Args:
        name: name of the parameter, with dots if it is nested.
        seed: seed of the sweep.
        trial: number of the trial.
    """
    return float(np.random.default_rng([seed, trial, zlib.crc32(name.encode())]).random())


def _drawn(parameters: Mapping[str, Parameter], seed: int, trial: int, above: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, one in parameters.items():
        path = f"{above}{name}"
        if isinstance(one, Nested):
            found[name] = _drawn(one.parameters, seed, trial, f"{path}.")
        else:
            found[name] = one.at(share_of(path, seed, trial))
    return found
