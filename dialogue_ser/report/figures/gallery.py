"""The pictures of a page: drawn for light and dark, embedded, and kept as files beside it."""

import base64
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from dialogue_ser.durable import write_atomically
from dialogue_ser.report.figures.theme import Theme, to_png

DOTS_PER_PIXEL = 1.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure as it is embedded.

    Args:
        name: file name under figures/, without ``.png``.
        light: PNG for light pages, also the file that is written.
        dark: PNG for dark pages.
        alt: what it shows, for who cannot see it.
    """

    name: str
    light: bytes
    dark: bytes
    alt: str

    @property
    def light_address(self) -> str:
        """The light PNG as a ``data:`` address."""
        return _address(self.light)

    @property
    def dark_address(self) -> str:
        """The dark PNG as a ``data:`` address."""
        return _address(self.dark)

    @property
    def width(self) -> int:
        """Width on the page, in CSS pixels."""
        return int(struct.unpack(">I", self.light[16:20])[0] / DOTS_PER_PIXEL)


class Gallery:
    """Collects the pictures of one page."""

    def __init__(self) -> None:
        self._pictures: list[Picture] = []

    def draw(self, name: str, figure: Callable[[Theme], Figure], alt: str) -> Picture:
        """Draw a picture in both themes.

        Args:
            name: of its file, without ``.png``.
            figure: theme → figure.
            alt: what it shows, for who cannot see it.
        """
        image = Picture(name=name, light=to_png(figure("light")), dark=to_png(figure("dark")), alt=alt)
        self._pictures.append(image)
        return image

    def write(self, folder: Path) -> None:
        """Write the light version of every picture as ``NAME.png`` into a folder, which is made if it is absent."""
        folder.mkdir(exist_ok=True)
        for image in self._pictures:
            write_atomically(folder / f"{image.name}.png", image.light)


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
