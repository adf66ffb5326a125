"""Pictures of long dialogues have a limited size and show the turns that matter."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from dialogue_ser.report.figures import theme
from dialogue_ser.report.figures.frame_attention import FrameMap, frame_attention
from dialogue_ser.report.figures.long_dialogues import MOST_CELLS, MOST_TURNS, pooled, window
from dialogue_ser.report.figures.timeline import DialogueView, attention_heat_map, emotion_timeline
from dialogue_ser.report.figures.value_figures import shown_turns, value_course


def _view(n_turns: int, n_speakers: int = 2) -> DialogueView:
    """Return a dialogue in which only the turns from 301 to 330 change their label."""
    gold = ["joy" if 300 <= turn < 330 and turn // 2 % 2 else "neutral" for turn in range(n_turns)]
    return DialogueView(
        split="test",
        dialogue_id="d",
        speakers=tuple(f"speaker {turn % n_speakers}" for turn in range(n_turns)),
        texts=("…",) * n_turns,
        gold=tuple(gold),
        predicted=("joy",) * n_turns,
        probabilities_TC=np.full((n_turns, 2), 0.5),
        labels=("neutral", "joy"),
        attention={"forward": np.eye(n_turns, k=-1)},
    )


def _pixels(figure: Figure) -> int:
    return int(max(figure.get_size_inches()) * 144)


def test_a_timeline_of_a_long_dialogue_shows_the_turns_with_the_most_shifts_under_their_own_numbers() -> None:
    view = _view(2000)
    part = view.shown_part()
    assert len(part) == MOST_TURNS
    assert part.n_before <= 300
    assert part.n_before + len(part) >= 330
    assert part.gold == view.gold[part.n_before : part.n_before + MOST_TURNS]
    figure = emotion_timeline(view)
    assert figure.axes[2].get_xticklabels()[0].get_text() == str(part.n_before + 1)
    assert _pixels(figure) == _pixels(emotion_timeline(_view(MOST_TURNS)))
    assert len(figure.axes[0].patches) == MOST_TURNS - 1  # the arcs to the turn before


def test_a_dialogue_of_sixty_turns_is_shown_whole() -> None:
    view = _view(MOST_TURNS)
    assert view.shown_part().n_before == 0
    assert len(view.shown_part()) == MOST_TURNS
    assert np.asarray(attention_heat_map(view, "forward").axes[0].images[0].get_array()).shape == (60, 60)


def test_a_map_of_a_long_dialogue_keeps_its_highest_weights_in_a_picture_of_limited_size() -> None:
    figure = attention_heat_map(_view(2000), "forward")
    cells = np.asarray(figure.axes[0].images[0].get_array())
    assert len(cells) <= MOST_CELLS
    assert (cells.diagonal() == 1).all()
    assert len(figure.axes[0].get_yticklabels()) <= 40
    assert _pixels(figure) <= 2000


def test_pooled_cells_ignore_nan_and_have_the_highest_weight() -> None:
    weights = np.full((7, 7), np.nan)
    weights[6, 3] = 0.5
    cells, n_turns = pooled(weights, most=3)
    assert n_turns == 3
    assert np.nan_to_num(cells).tolist() == [[0, 0, 0], [0, 0, 0], [0, 0.5, 0]]


def test_a_map_inside_a_long_utterance_has_no_more_cells_than_pixels() -> None:
    weights = np.zeros((3000, 3000), dtype=np.float32)
    weights[2999, 0] = 0.7
    [axes, _] = frame_attention([FrameMap(name="audio", weights_LL=weights, step_seconds=0.01)]).axes
    cells = np.asarray(axes.images[0].get_array())
    assert len(cells) <= 400
    assert cells[-1, 0] == pytest.approx(0.7)
    assert axes.images[0].get_extent() == pytest.approx([0, 30, 30, 0])


def test_the_values_of_a_long_dialogue_are_shown_where_the_errors_are_largest() -> None:
    gold = np.zeros((900, 1))
    predicted = gold.copy()
    gold[0] = np.nan
    predicted[500:520] = 1
    turns = shown_turns(gold, predicted)
    assert turns.start <= 500 < 520 <= turns.stop
    figure = value_course(gold, predicted, ["valence"], ["A"] * 900)
    assert figure.axes[0].get_xticklabels()[0].get_text() == f"{turns.start + 1}\nA"
    assert _pixels(figure) <= 4000


def test_no_picture_has_more_pixels_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theme, "MOST_PIXELS", 300)
    png = theme.to_png(Figure(figsize=(50, 2)))
    assert int.from_bytes(png[16:20]) <= 300


def test_equal_windows_give_the_first_one() -> None:
    assert window(np.ones(100)) == slice(0, MOST_TURNS)
