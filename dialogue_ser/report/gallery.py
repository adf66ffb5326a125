"""The pictures of a page: drawn for light and dark, embedded, and kept as files beside it."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from dialogue_ser.durable import write_atomically
from dialogue_ser.report.html import Picture
from dialogue_ser.report.theme import Theme, to_png

#: (file name without .png, theme → figure, what it shows) → picture.
Draw = Callable[[str, Callable[[Theme], Figure], str], Picture]


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
