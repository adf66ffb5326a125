import io

from rich.console import Console

from dialogue_ser.training.loop.progress import ProgressBar
from dialogue_ser.training.loop.state import TrainState


def drawn(is_shown: bool | None, *, is_terminal: bool) -> str:
    text = io.StringIO()
    bar = ProgressBar(4, "uar", is_shown, Console(file=text, force_terminal=is_terminal, width=120))
    state = TrainState(step=2, epoch=2, best_score=0.5, best_epoch=1)
    bar.on_step(state, {"epoch": 1, "loss": 0.25})
    bar.on_epoch(state, {"dev": {"uar": 0.5}})
    bar.on_step(state, {"epoch": 2, "loss": 0.125})
    bar.on_end(state)
    return text.getvalue()


def test_a_terminal_sees_loss_and_best_dev_score():
    text = drawn(None, is_terminal=True)
    assert "loss 0.1250" in text
    assert "dev uar 0.5000 (best 0.5000)" in text


def test_nothing_is_drawn_elsewhere_or_where_it_is_switched_off():
    assert drawn(None, is_terminal=False).strip() == ""
    assert drawn(False, is_terminal=True).strip() == ""
