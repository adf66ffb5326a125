"""The pictures of a page: drawn for light and dark, embedded in the page, and written as files beside it."""

import base64
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from dialogue_ser.durable import short_name, write_atomically
from dialogue_ser.report.figures.theme import Theme, to_png

DOTS_PER_PIXEL = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure as it is embedded in a page.

    Args:
        name: name of the file under figures/, without ``.png``.
        light: PNG for light pages; it is also written as a file.
        dark: PNG for dark pages.
        alt: text that describes the picture for people who cannot see it.
    """

    name: str
    light: bytes
    dark: bytes
    alt: str

    @property
    def light_address(self) -> str:
        """Return the light PNG as a ``data:`` address."""
        return _address(self.light)

    @property
    def dark_address(self) -> str:
        """Return the dark PNG as a ``data:`` address."""
        return _address(self.dark)

    @property
    def width(self) -> int:
        """Return the width on the page, in CSS pixels."""
        return int(struct.unpack(">I", self.light[16:20])[0] / DOTS_PER_PIXEL)


class Gallery:
    """Collects the pictures of one page."""

    def __init__(self) -> None:
        self._pictures: list[Picture] = []

    def draw(self, name: str, figure: Callable[[Theme], Figure], alt: str) -> Picture:
        """Draw a picture in both themes, keep it, and return it.

        Args:
            name: name of the file, without ``.png``.
            figure: function that draws the figure in a theme.
            alt: text that describes the picture for people who cannot see it.
        """
        picture = Picture(name=name, light=to_png(figure("light")), dark=to_png(figure("dark")), alt=alt)
        self._pictures.append(picture)
        return picture

    def write(self, folder: Path) -> None:
        """Write the light version of every picture as ``NAME.png`` into a folder; create the folder if necessary."""
        folder.mkdir(exist_ok=True)
        for picture in self._pictures:
            write_atomically(folder / f"{picture.name}.png", picture.light)


def file_stem(name: str) -> str:
    """Return a name that may stand in the name of a file: without odd characters, and not too long.

    >>> file_stem("test_test/dia 1")
    'test_test_dia_1'
    """
    return short_name(re.sub(r"[^\w.-]+", "_", name))


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
