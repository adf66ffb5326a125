"""The common look of all figures: the colour of each emotion, light and dark themes, and figures as PNG."""

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

Theme = Literal["light", "dark"]

# The colours differ in lightness as well as in hue: one can tell them apart in grey print and with most kinds of colour
# blindness.
EMOTION_COLOURS: Mapping[str, str] = {
    "neutral": "#a3acb8",
    "surprise": "#1aa5a0",
    "fear": "#6d4fa3",
    "sadness": "#3a78c9",
    "joy": "#f0b429",
    "disgust": "#6f8f2f",
    "anger": "#d5433b",
    "excited": "#f28a30",
    "frustrated": "#9c4f3f",
    "boredom": "#7d7468",
    "positive": "#f0b429",
    "negative": "#d5433b",
}
SYNONYMS: Mapping[str, str] = {
    "happy": "joy", "happiness": "joy", "joyful": "joy", "sad": "sadness", "angry": "anger", "fearful": "fear",
    "scared": "fear", "surprised": "surprise", "disgusted": "disgust", "excitement": "excited", "calm": "neutral",
    "frustration": "frustrated", "peaceful": "neutral", "mad": "anger", "bored": "boredom",
}  # fmt: skip
SPARE_COLOURS = ("#4c9f70", "#c06fb0", "#8a6d3b", "#5b8def", "#b5651d", "#2f7f86", "#c9485b", "#7a9e1f")

#: Largest width and height of a picture. A larger one needs much memory and is no easier to read.
MOST_PIXELS = 6000

PALETTE: Mapping[Theme, Mapping[str, str]] = {
    "light": {"ink": "#1d232b", "soft": "#6a7481", "line": "#d9dee5", "paper": "#ffffff", "accent": "#2f6fdb",
              "second": "#c2571a"},
    "dark": {"ink": "#e6eaf0", "soft": "#98a2b0", "line": "#333b46", "paper": "#1a1f26", "accent": "#74a5ff",
             "second": "#f0995a"},
}  # fmt: skip


def colours_of(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour per label, the same in every figure: that of the emotion if it has one, else a spare one.

    >>> colours_of(["joy", "smugness"])
    {'joy': '#f0b429', 'smugness': '#4c9f70'}
    """
    colours: dict[str, str] = {}
    spare = 0
    for label in labels:
        name = label.strip().lower()
        known = EMOTION_COLOURS.get(SYNONYMS.get(name, name))
        if known is None or known in colours.values():
            known = SPARE_COLOURS[spare % len(SPARE_COLOURS)]
            spare += 1
        colours[label] = known
    return colours


def ink_on(colour: str) -> str:
    """Return black or white: the one with more contrast to a background colour (formula of the WCAG).

    >>> ink_on("#f0b429"), ink_on("#6d4fa3")
    ('#14181d', '#ffffff')
    """
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#14181d" if (luminance + 0.05) / 0.058 > 1.05 / (luminance + 0.05) else "#ffffff"


@contextmanager
def themed(theme: Theme) -> Iterator[Mapping[str, str]]:
    """Give figures that are drawn inside this context the colours of a theme; yield its palette."""
    palette = PALETTE[theme]
    settings: dict[Any, Any] = {
        "font.family": "DejaVu Sans", "font.size": 9, "text.parse_math": False, "axes.titlesize": 10,
        "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
        "text.color": palette["ink"], "axes.labelcolor": palette["soft"], "axes.titlecolor": palette["ink"],
        "axes.edgecolor": palette["line"], "xtick.color": palette["soft"], "ytick.color": palette["soft"],
        "grid.color": palette["line"], "grid.linewidth": 0.7, "figure.facecolor": palette["paper"],
        "axes.facecolor": palette["paper"], "savefig.facecolor": palette["paper"], "legend.frameon": False,
        "legend.labelcolor": palette["ink"], "figure.constrained_layout.w_pad": 0.09,
        "figure.constrained_layout.h_pad": 0.09, "figure.dpi": 100,
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield palette


def to_png(figure: Figure, dots_per_inch: float = 144) -> bytes:
    """Return a figure as PNG. The same figure always gives the same bytes.

    A figure that would be wider or higher than MOST_PIXELS has fewer dots per inch.
    """
    buffer = io.BytesIO()
    dots_per_inch = min(dots_per_inch, MOST_PIXELS / max(figure.get_size_inches()))
    with warnings.catch_warnings():
        # Letters that the font lacks, e.g. in a speaker's name, are drawn as boxes. The transcript shows them right.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        # bbox_inches="tight" is not needed, because the figures have a layout, and it would draw everything twice.
        figure.savefig(buffer, format="png", dpi=dots_per_inch, metadata={"Software": ""})
    return buffer.getvalue()
