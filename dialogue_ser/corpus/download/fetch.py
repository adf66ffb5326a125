"""Fetch public corpora: licence shown, progress shown, checksum checked, resumed after an interruption, atomic."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from dialogue_ser.corpus.download.archives import unpack
from dialogue_ser.corpus.download.catalogue import SOURCES, SourceFile
from dialogue_ser.corpus.download.locate import download_folder
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name
from dialogue_ser.media.hashing import content_hash

_PIECE_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0


class ResumingDownloader:
    """A pooch downloader that keeps what it has got and asks the server for the rest next time.

    Args:
        part: file that holds the beginning between attempts.
        console: where the progress bar goes.
    """

    def __init__(self, part: Path, console: Console) -> None:
        self.part = part
        self.console = console

    def __call__(self, url: str, output_file: str | Path, pooch_object: Any, check_only: bool = False) -> bool | None:
        """Fetch ``url`` and move it to ``output_file`` when complete (signature as pooch wants it)."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        mark = self.part.with_name(self.part.name + ".etag")  # the version the beginning belongs to
        have = self.part.stat().st_size if self.part.exists() and mark.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": mark.read_text()}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()  # the beginning is as long as the whole: it cannot be one
                raise requests.ConnectionError("the server has less than was fetched before")
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            etag = answer.headers.get("ETag", "")
            if etag and not etag.startswith("W/"):
                mark.write_text(etag)
            else:
                mark.unlink(missing_ok=True)
            length = answer.headers.get("Content-Length")
            total = None if length is None else int(length) + (have if resumed else 0)
            got = self._store(answer, url, have if resumed else 0, total)
        if total is not None and got != total:
            raise requests.ConnectionError(f"{total} bytes were promised, {got} came")
        mark.unlink(missing_ok=True)
        shutil.move(self.part, output_file)
        return None

    def _store(self, answer: requests.Response, url: str, have: int, total: int | None) -> int:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with (
            Progress(*columns, TimeRemainingColumn(), console=self.console) as progress,
            self.part.open("ab" if have else "wb") as file,
        ):
            task = progress.add_task(url.rpartition("/")[2], total=total, completed=have)
            for piece in answer.iter_content(_PIECE_BYTES):
                file.write(piece)
                progress.update(task, advance=len(piece))
        return self.part.stat().st_size


def download(
    name: str, folder: Path | str | None = None, base_url: str | None = None, console: Console | None = None
) -> Path:
    """Fetch a public corpus; files that are there and whole are not fetched again.

    Args:
        name: key of ``SOURCES``.
        folder: that holds corpora; None = DIALOGUE_SER_DATA or ``data/``. The corpus becomes a folder in it.
        base_url: another server with the same files, e.g. a mirror; None = the publisher's.
        console: for licence and progress; None = standard error.

    Returns:
        The corpus's folder.

    Raises:
        ConfigError: unknown name.
        CorpusError: the server cannot be reached, breaks off, or sends another content than expected; an archive that
            is not safe to unpack. What was complete before stays as it was.
    """
    if name not in SOURCES:
        mend = "; the sample corpus needs no download, it is part of the repository" if name == "sample" else ""
        raise ConfigError(unknown_name("corpus to download", name, SOURCES) + mend)
    source = SOURCES[name]
    console = console or Console(stderr=True)
    target = (download_folder() if folder is None else Path(folder)) / source.folder
    base = (source.base_url if base_url is None else base_url).rstrip("/") + "/"
    console.print(f"{name}: {source.size}, from {base}\nlicence: {source.licence}", highlight=False, soft_wrap=True)
    for file in source.files:
        if file.unpack_to is not None and (target / file.unpack_to).is_dir():
            console.print(f"{target / file.unpack_to} is already there", highlight=False, soft_wrap=True)
            continue
        _fetch(file, base, target, console)
        if file.unpack_to is not None:
            unpack(target / file.name, target / file.unpack_to)
    console.print(f"{name} is in {target}; next: {source.afterwards}", highlight=False, soft_wrap=True)
    return target


def _fetch(file: SourceFile, base: str, target: Path, console: Console) -> None:
    """One file, by pooch: into a temporary file, checked, then renamed."""
    there = target / file.name
    if file.sha256 is not None and there.exists() and content_hash(there) != file.sha256:
        raise CorpusError(
            f"{there}: exists and is not the published file (sha256 {file.sha256} expected); it is not overwritten: "
            "move it away and run the same command again"
        )
    downloader: Callable[..., Any] = ResumingDownloader(target / ".partial" / file.name, console)
    pooch.get_logger().setLevel(logging.WARNING)
    try:
        pooch.retrieve(
            base + file.url,
            known_hash=None if file.sha256 is None else f"sha256:{file.sha256}",
            fname=file.name,
            path=target,
            downloader=downloader,
        )
    except requests.RequestException as error:
        raise CorpusError(
            f"{base + file.url}: cannot be fetched ({error}); check the connection and run the same command again, it "
            f"goes on where it stopped; or fetch the file by other means and put it to {target / file.name}"
        ) from error
    except ValueError as error:  # pooch's word for a wrong checksum
        raise CorpusError(
            f"{base + file.url}: is not the published {file.name} (sha256 {file.sha256} expected); it was not kept. "
            "Try again later, or use another server (--base_url)"
        ) from error
    except OSError as error:
        raise CorpusError(f"{target}: cannot be written ({error}); make room or choose another folder") from error
    if file.sha256 is None:
        found = content_hash(target / file.name)
        console.print(f"{file.name}: sha256 {found} (none is published to compare with)", highlight=False)
