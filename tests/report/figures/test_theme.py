from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb

from dialogue_ser.report.figures.theme import EMOTION_COLOURS, colours_of, ink_on

MELD = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")


def _contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        c = np.array(to_rgb(colour))
        return float(np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_seven_emotions_have_seven_colours_that_differ_clearly() -> None:
    colours = [np.array(to_rgb(colour)) for colour in colours_of(MELD).values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(colours, 2)) > 0.25


def test_text_on_every_emotions_colour_is_readable() -> None:
    for colour in EMOTION_COLOURS.values():
        assert _contrast(colour, ink_on(colour)) >= 4.0, colour


def test_synonyms_of_an_emotion_have_its_colour() -> None:
    assert colours_of(["Happy", "sad"]) == {"Happy": EMOTION_COLOURS["joy"], "sad": EMOTION_COLOURS["sadness"]}


def test_labels_of_one_corpus_never_share_a_colour() -> None:
    labels = ["joy", "happiness", "excitement", "excited", "smug", "wry", "neutral", "calm"]
    assert len(set(colours_of(labels).values())) == len(labels)
