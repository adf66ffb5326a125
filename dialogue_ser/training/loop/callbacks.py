"""Callbacks: code that the training loop calls after each step, after each epoch and at its end."""

from collections.abc import Callable, Sequence
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.registry import Registry, Target
from dialogue_ser.training.loop.state import TrainState


class Callback:
    """Base class of callbacks. Its methods do nothing; a subclass overrides the ones it needs.

    The loop calls several callbacks in the order in which they are given.
    """

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """Called after each optimizer step; ``row`` is the line of this step in metrics.jsonl."""

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """Called after an epoch was evaluated on dev.

        Args:
            state: position of the run; it already points at the next epoch.
            row: the line of the finished epoch in metrics.jsonl.
        """

    def on_interrupt(self, state: TrainState) -> None:
        """Called between two steps when a signal stops the run."""

    def on_end(self, state: TrainState) -> None:
        """Called once after the last epoch."""


def _check_callback(name: str, found: Any) -> Callable[[], Callback]:
    """Return a registered object if it is a class of callbacks or a function; raise ConfigError otherwise."""
    if not callable(found) or (isinstance(found, type) and not issubclass(found, Callback)):
        raise ConfigError(
            f"callback {name!r}: is no subclass of dialogue_ser.training.loop.callbacks.Callback and no function that "
            "returns a callback; name one that is"
        )
    return found  # type: ignore[no-any-return]


#: Callbacks of the user: subclasses of :class:`Callback`, or functions that return a callback. Both take no arguments.
CALLBACKS: Registry[Callable[[], Callback]] = Registry("callback", "dialogue_ser.callbacks", {}, check=_check_callback)


def register_callback(name: str) -> Callable[[Target], Target]:
    """Return a decorator that registers a subclass of :class:`Callback` under a name.

    Raises:
        ConfigError: the name contains a colon, or another class already has it.
    """
    return CALLBACKS.register(name)


def find_callbacks(names: Sequence[str]) -> list[Callable[[], Callback]]:
    """Return the classes or functions that ``training.callbacks`` names; they are not called yet.

    Raises:
        ConfigError: a name does not exist, or it is not a callback.
    """
    return [CALLBACKS.find(name) for name in names]


def make_callbacks(names: Sequence[str]) -> list[Callback]:
    """Make new callbacks from the names in ``training.callbacks``.

    Raises:
        ConfigError: a name does not exist, it is not a callback, or it cannot be made.
    """
    found = []
    for name, make in zip(names, find_callbacks(names), strict=True):
        try:
            callback = make()
        except Exception as error:  # the user's code may raise anything
            raise ConfigError(
                f"callback {name!r}: cannot be made without arguments: {type(error).__name__}: {error}; "
                "correct its code"
            ) from error
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callback {name!r}: returns an object of type {type(callback).__name__}; it must return an instance "
                "of a subclass of dialogue_ser.training.loop.callbacks.Callback"
            )
        found.append(callback)
    return found
