import numpy as np
import pytest

from dialogue_ser.report.figures.theme import to_png
from dialogue_ser.report.figures.timeline import DialogueView, attention_heat_map, dialogue_view, emotion_timeline

LABELS = ("neutral", "joy", "anger")


def _view(n_turns: int, attention: dict[str, np.ndarray] | None = None, gold: str | None = "joy") -> DialogueView:
    rng = np.random.default_rng(n_turns)
    p = rng.dirichlet(np.ones(3), size=n_turns)
    return DialogueView(
        split="test",
        dialogue_id="d",
        speakers=tuple(f"speaker {i % 5}" for i in range(n_turns)),
        texts=("…",) * n_turns,
        gold=(gold,) * n_turns,
        predicted=tuple(LABELS[i] for i in p.argmax(-1)),
        probabilities_TC=p,
        labels=LABELS,
        attention=attention or {},
    )


@pytest.mark.parametrize("n_turns", [1, 2, 33])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_timeline_has_room_for_every_turn(n_turns: int, theme: str) -> None:
    figure = emotion_timeline(_view(n_turns), theme)
    figure.draw_without_rendering()
    lanes = figure.axes[1]
    first, second = (lanes.transData.transform((x, 0))[0] for x in (1, 2))
    assert (second - first) / figure.dpi >= 0.4
    assert lanes.get_xlim()[1] >= n_turns + 0.5
    assert len(lanes.get_yticklabels()) == min(n_turns, 5)


def test_tiles_show_the_prediction_and_gold_only_where_it_differs() -> None:
    view = _view(12)
    texts = [text.get_text() for text in emotion_timeline(view).axes[1].texts]
    wrong = [p for p, g in zip(view.predicted, view.gold, strict=True) if p != g]
    assert len(texts) == 12 + len(wrong)
    assert texts.count("joy") == view.n_right + len(wrong)


def test_probabilities_are_stacked_to_one() -> None:
    bars = emotion_timeline(_view(6)).axes[2].containers
    assert len(bars) == 3
    tops = np.sum([[bar.get_height() for bar in container] for container in bars], axis=0)
    np.testing.assert_allclose(tops, 1)


def test_an_unlabelled_dialogue_can_be_drawn_and_counts_no_turn() -> None:
    view = _view(3, gold=None)
    assert (view.n_right, view.n_labelled) == (0, 0)
    assert to_png(emotion_timeline(view)).startswith(b"\x89PNG")


def test_attended_turns_are_the_strongest_other_turns_of_both_directions() -> None:
    forward, backward = np.zeros((4, 4)), np.zeros((4, 4))
    forward[2] = [0.7, 0.2, 0.1, 0]
    backward[2] = [0, 0, 0, 1.0]
    backward[0] = [0, 0.1, 0.1, 0.1]
    view = _view(4, {"forward": forward, "backward": backward})
    assert view.attended_turns(2) == [(3, 1.0), (0, 0.7)]
    assert view.attended_turns(0) == []
    assert view.attended_turns(1) == []
    arcs = emotion_timeline(view).axes[0].patches
    assert len(arcs) == 2


def test_attention_of_another_size_is_left_out(write_run, tmp_path) -> None:
    from dialogue_ser.metrics.predictions import read_predictions

    test = read_predictions(write_run(tmp_path / "run") / "predictions.parquet").split("test")
    view = dialogue_view(test, "dia3", {"forward": np.ones((33, 33)), "padded": np.ones((40, 40))})
    assert (len(view), list(view.attention)) == (33, ["forward"])


def test_the_attention_map_shows_the_weights() -> None:
    weights = np.tril(np.full((5, 5), 0.25), -1)
    axes = attention_heat_map(_view(5, {"forward": weights}), "forward").axes[0]
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), weights)


def test_names_in_any_script_and_with_dollars_are_drawn_without_warning() -> None:
    view = _view(2)
    object.__setattr__(view, "speakers", ("莫妮卡", "$Ross_{$"))
    assert to_png(emotion_timeline(view)).startswith(b"\x89PNG")
