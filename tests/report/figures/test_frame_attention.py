"""Every attention head has its map, and the axes show time."""

import numpy as np
import pytest

from dialogue_ser.report.figures.frame_attention import FrameMap, frame_attention
from dialogue_ser.report.figures.theme import to_png


def _map(name: str, n: int, step_seconds: float | None = 0.1) -> FrameMap:
    weights = np.random.default_rng(n).random((n, n))
    return FrameMap(name=name, weights_LL=weights / weights.sum(1, keepdims=True), step_seconds=step_seconds)


def _panels(figure):
    """Return the axes with a map, without those of colour bars."""
    return [axes for axes in figure.axes if axes.get_images()]


@pytest.mark.parametrize("n_heads", [1, 3, 4, 6])
def test_every_head_has_its_panel_with_its_own_weights(n_heads):
    maps = [_map(f"audio, head {h}", 5 + h) for h in range(n_heads)]
    panels = _panels(frame_attention(maps, "dia0_utt3"))
    assert [axes.get_title(loc="left") for axes in panels] == [one.name for one in maps]
    for axes, one in zip(panels, maps, strict=True):
        [image] = axes.get_images()
        np.testing.assert_array_equal(image.get_array(), one.weights_LL)
        assert image.get_clim() == (0.0, one.weights_LL.max())


def test_axes_show_seconds_if_they_are_known_and_count_steps_otherwise():
    sound, words = _panels(frame_attention([_map("audio", 20), _map("text", 7, None)]))
    assert sound.get_images()[0].get_extent() == pytest.approx([0, 2.0, 2.0, 0])
    assert (sound.get_xlabel(), sound.get_ylabel()) == ("attention to, seconds", "attention from, seconds")
    assert words.get_images()[0].get_extent() == pytest.approx([0, 7, 7, 0])
    assert words.get_xlabel() == "attention to, step"


def test_one_step_alone_can_be_drawn_in_both_themes():
    for theme in ("light", "dark"):
        assert to_png(frame_attention([_map("audio", 1)], "short", theme)).startswith(b"\x89PNG")
