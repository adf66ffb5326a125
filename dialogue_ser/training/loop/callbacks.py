"""The few places where something may hook into the loop, and hooks of the user's own."""

from collections.abc import Callable, Sequence
from typing import Any

from dialogue_ser.errors import ConfigError
from dialogue_ser.registry import Registry, Target
from dialogue_ser.training.loop.state import TrainState


class Callback:
    """Does nothing; a subclass overrides what it needs. Callbacks are called in the order they are given."""

    def on_step(self, state: TrainState, row: dict[str, Any]) -> None:
        """After an optimizer step; ``row`` is its line of metrics.jsonl."""

    def on_epoch(self, state: TrainState, row: dict[str, Any]) -> None:
        """After an epoch was evaluated; ``state`` already points at the next epoch, ``row`` is its metrics line."""

    def on_interrupt(self, state: TrainState) -> None:
        """At the step boundary where a signal stops the run."""

    def on_end(self, state: TrainState) -> None:
        """When training is done."""


def _check_callback(name: str, found: Any) -> Callable[[], Callback]:
    if not callable(found) or (isinstance(found, type) and not issubclass(found, Callback)):
        raise ConfigError(
            f"callback {name!r}: is no subclass of dialogue_ser.training.loop.callbacks.Callback and no function that "
            "makes one; name one that is"
        )
    return found  # type: ignore[no-any-return]


#: Hooks of the user's own: subclasses of :class:`Callback` without arguments, or functions that make one.
CALLBACKS: Registry[Callable[[], Callback]] = Registry("callback", "dialogue_ser.callbacks", {}, check=_check_callback)


def register_callback(name: str) -> Callable[[Target], Target]:
    """A decorator that registers a subclass of :class:`Callback` under a name.

    Raises:
        ConfigError: the name holds a colon, or belongs to another class.
    """
    return CALLBACKS.register(name)


def find_callbacks(names: Sequence[str]) -> list[Callable[[], Callback]]:
    """Classes or functions that ``training.callbacks`` names; none is made.

    Raises:
        ConfigError: a name that does not exist, or something else than a callback.
    """
    return [CALLBACKS.find(name) for name in names]


def own_callbacks(names: Sequence[str]) -> list[Callback]:
    """The callbacks that ``training.callbacks`` names, made anew.

    Raises:
        ConfigError: a name that does not exist, or something else than a callback.
    """
    found = []
    for name, make in zip(names, find_callbacks(names), strict=True):
        try:
            callback = make()
        except Exception as error:  # it is somebody's program and may raise anything
            raise ConfigError(
                f"callback {name!r}: cannot be made without arguments: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callback {name!r}: gives {type(callback).__name__}; let it be a subclass of "
                "dialogue_ser.training.loop.callbacks.Callback"
            )
        found.append(callback)
    return found
