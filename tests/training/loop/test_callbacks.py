"""Callbacks of the user: they are called in the order of their names, and checked before anything is written."""

import sys
from types import SimpleNamespace
from unittest import mock

import pytest

from dialogue_ser.errors import ConfigError
from dialogue_ser.runs.run_files import RunFiles
from dialogue_ser.training.loop.callbacks import CALLBACKS, Callback, make_callbacks
from dialogue_ser.training.run import train

seen: list[tuple[str, str, int]] = []


class First(Callback):
    name = "first"

    def on_step(self, state, row):
        seen.append((self.name, "step", row["step"]))

    def on_epoch(self, state, row):
        seen.append((self.name, "epoch", row["epoch"]))

    def on_end(self, state):
        seen.append((self.name, "end", state.step))


class Second(First):
    name = "second"


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these classes importable under the name ``own_callbacks``."""
    seen.clear()
    module = SimpleNamespace(First=First, make=lambda: Second(), number=3, Bare=type("Bare", (), {}))
    monkeypatch.setitem(sys.modules, "own_callbacks", module)


def test_they_are_called_at_every_step_and_epoch_and_at_the_end_in_the_order_of_their_names(tiny, tmp_path):
    names = ["own_callbacks:make", "own_callbacks:First"]
    run = train(tiny.tiny_config(**{"training.callbacks": names, "training.epochs": 2}), tmp_path / "run")
    expected = []
    for row in RunFiles(run.folder).history:
        if row["kind"] in ("step", "epoch"):
            expected += [(name, row["kind"], row[row["kind"]]) for name in ("second", "first")]
    assert len(expected) == 2 * (10 + 2)
    assert seen == [*expected, ("second", "end", 10), ("first", "end", 10)]


def test_the_rows_they_get_are_already_written(tiny, tmp_path, monkeypatch):
    lines = []

    class Reader(Callback):
        def on_epoch(self, state, row):
            lines.append((RunFiles(tmp_path / "run").history[-1], dict(row), (tmp_path / "run/checkpoints").is_dir()))

    monkeypatch.setattr(sys.modules["own_callbacks"], "First", Reader)
    train(tiny.tiny_config(**{"training.callbacks": ["own_callbacks:First"], "training.epochs": 1}), tmp_path / "run")
    assert [row["epoch"] for _, row, _ in lines] == [1]
    assert all(written == row and has_checkpoint for written, row, has_checkpoint in lines)


def test_each_run_and_each_member_makes_its_own(tiny, tmp_path):
    made = []
    with mock.patch.dict(CALLBACKS.registered):

        @CALLBACKS.register("counting")
        class Counting(Callback):
            def __init__(self):
                self.n_epochs = 0
                made.append(self)

            def on_epoch(self, state, row):
                self.n_epochs += 1

        settings = {"training.callbacks": ["counting"], "training.epochs": 1, "training.ensemble": 2}
        train(tiny.tiny_config(**settings), tmp_path / "run")
    assert [one.n_epochs for one in made] == [1, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_callbacks:number", r"callback 'own_callbacks:number': is no subclass of \S+ and no function"),
        ("own_callbacks:Bare", r"callback 'own_callbacks:Bare': is no subclass of \S+\.Callback and no function"),
        ("own_callbacks:Frist", "Frist"),
        ("frist", "unknown callback 'frist'"),
    ],
)
def test_anything_else_than_a_callback_is_refused_before_anything_is_written(tiny, tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        make_callbacks([name])
    with pytest.raises(ConfigError, match=message):
        train(tiny.tiny_config(**{"training.callbacks": [name]}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_function_that_makes_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules["own_callbacks"], "make", lambda: 3)
    with pytest.raises(
        ConfigError,
        match=r"callback 'own_callbacks:make': returns an object of type int; .* of a subclass of \S+\.Callback",
    ):
        make_callbacks(["own_callbacks:make"])
