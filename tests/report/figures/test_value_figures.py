import numpy as np
import pytest

from dialogue_ser.report.figures.theme import to_png
from dialogue_ser.report.figures.value_figures import MOST_DOTS, value_course, value_scatter

SCORES = {name: {"ccc": 0.5, "pearson_r": 0.6} for name in ("valence", "arousal", "dominance", "trust")}


@pytest.mark.parametrize("n_dimensions", [1, 2, 3, 4])
def test_every_dimension_has_a_panel_with_its_scores(n_dimensions: int) -> None:
    names = list(SCORES)[:n_dimensions]
    gold = np.random.default_rng(0).normal(3, 1, (50, n_dimensions))
    figure = value_scatter(gold, gold + 0.5, names, SCORES)
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    assert [title for title in titles if title] == names
    assert sum("CCC 0.500" in text.get_text() for axes in figure.axes for text in axes.texts) == n_dimensions
    assert to_png(figure).startswith(b"\x89PNG")


def test_missing_values_are_not_drawn_and_a_dimension_without_values_says_so() -> None:
    gold = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    figure = value_scatter(gold, np.ones((3, 2)), ["valence", "arousal"], SCORES)
    assert len(figure.axes[0].collections[0].get_offsets()) == 2
    assert "no turn is annotated" in figure.axes[1].texts[0].get_text()


def test_no_more_dots_than_can_be_seen_are_drawn() -> None:
    gold = np.linspace(0, 1, 3 * MOST_DOTS)[:, None]
    figure = value_scatter(gold, gold, ["valence"], SCORES)
    assert len(figure.axes[0].collections[0].get_offsets()) == MOST_DOTS


def test_constant_gold_has_no_fitted_line_and_is_drawn() -> None:
    figure = value_scatter(np.full((5, 1), 3.0), np.arange(5.0)[:, None], ["valence"], SCORES)
    assert len(figure.axes[0].lines) == 1  # only the line of agreement
    assert to_png(figure)


def test_a_dialogue_has_a_strip_per_dimension_with_every_turn() -> None:
    gold = np.array([[1.0, 2.0], [np.nan, 3.0], [2.0, 1.0]])
    figure = value_course(gold, gold + 1, ["valence", "arousal"], ["Ann", "Bo", "A very long name"])
    assert [axes.get_ylabel() for axes in figure.axes] == ["valence", "arousal"]
    predicted, known = figure.axes[0].lines
    assert len(predicted.get_xdata()) == 3
    assert int(np.isfinite(known.get_ydata()).sum()) == 2
    assert "A very lo…" in figure.axes[-1].get_xticklabels()[2].get_text()
