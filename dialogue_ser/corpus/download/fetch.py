"""Download public corpora.

The licence and the progress are shown, checksums are checked, and an interrupted download goes on where it stopped. A
file gets its name only when it is complete.
"""

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
from dialogue_ser.corpus.download.catalogue import PUBLISHED_CORPORA, PublishedFile
from dialogue_ser.corpus.download.locate import download_folder
from dialogue_ser.errors import ConfigError, CorpusError, unknown_name
from dialogue_ser.media.hashing import content_hash

_PIECE_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0


class ResumingDownloader:
    """A pooch downloader that keeps an incomplete file and asks the server only for the rest next time.

    Args:
        part: file for the bytes that have arrived so far.
        console: console that shows the progress bar.
    """

    def __init__(self, part: Path, console: Console) -> None:
        self.part = part
        self.console = console

    def __call__(self, url: str, output_file: str | Path, pooch_object: Any, check_only: bool = False) -> bool | None:
        """Download ``url``, and move it to ``output_file`` when it is complete. pooch prescribes the signature."""
        self.part.parent.mkdir(parents=True, exist_ok=True)
        # The ETag names the version of the file to which the bytes in self.part belong.
        etag_file = self.part.with_name(self.part.name + ".etag")
        n_before = self.part.stat().st_size if self.part.exists() and etag_file.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if n_before:
            headers |= {"Range": f"bytes={n_before}-", "If-Range": etag_file.read_text()}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()  # it is as long as the whole file or longer, so it is not a beginning of it
                raise requests.ConnectionError("the file on the server is not longer than the part that is here")
            response.raise_for_status()
            is_resumed = response.status_code == requests.codes.partial_content
            etag = response.headers.get("ETag", "")
            if etag and not etag.startswith("W/"):
                etag_file.write_text(etag)
            else:
                etag_file.unlink(missing_ok=True)
            length = response.headers.get("Content-Length")
            n_kept = n_before if is_resumed else 0
            total = None if length is None else int(length) + n_kept
            n_bytes = self._append(response, url, n_kept, total)
        if total is not None and n_bytes != total:
            raise requests.ConnectionError(f"the server announced {total} bytes, but {n_bytes} arrived")
        etag_file.unlink(missing_ok=True)
        shutil.move(self.part, output_file)
        return None

    def _append(self, response: requests.Response, url: str, n_kept: int, total: int | None) -> int:
        """Append the response of the server to the first ``n_kept`` bytes of the part file. Return its new size."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with (
            Progress(*columns, TimeRemainingColumn(), console=self.console) as progress,
            self.part.open("ab" if n_kept else "wb") as file,
        ):
            task = progress.add_task(url.rpartition("/")[2], total=total, completed=n_kept)
            for piece in response.iter_content(_PIECE_BYTES):
                file.write(piece)
                progress.update(task, advance=len(piece))
        return self.part.stat().st_size


def download(
    name: str, folder: Path | str | None = None, base_url: str | None = None, console: Console | None = None
) -> Path:
    """Download a public corpus. Files that are already there and complete are not downloaded again.

    Args:
        name: name in ``PUBLISHED_CORPORA``.
        folder: folder that gets the folder of the corpus; None = the first folder of DIALOGUE_SER_DATA, or ``data/``.
        base_url: another server with the same files, e.g. a mirror; None = the publisher's server.
        console: console for the licence and the progress; None = standard error.

    Returns:
        The folder of the corpus.

    Raises:
        ConfigError: the name is unknown.
        CorpusError: the server cannot be reached, stops sending, or sends another content than expected, or an archive
            is not safe to unpack. Files that were complete before stay as they were.
    """
    if name not in PUBLISHED_CORPORA:
        mend = "; the sample corpus needs no download, it is a part of the package" if name == "sample" else ""
        raise ConfigError(unknown_name("corpus to download", name, PUBLISHED_CORPORA) + mend)
    corpus = PUBLISHED_CORPORA[name]
    console = console or Console(stderr=True)
    target = (download_folder() if folder is None else Path(folder)) / corpus.folder
    base = (corpus.base_url if base_url is None else base_url).rstrip("/") + "/"
    console.print(f"{name}: {corpus.size}, from {base}\nlicence: {corpus.licence}", highlight=False, soft_wrap=True)
    for file in corpus.files:
        if file.unpack_to is not None and (target / file.unpack_to).is_dir():
            console.print(f"{target / file.unpack_to} is already there", highlight=False, soft_wrap=True)
            continue
        _fetch(file, base, target, console)
        if file.unpack_to is not None:
            unpack(target / file.name, target / file.unpack_to)
    console.print(f"{name} is in {target}; next: {corpus.afterwards}", highlight=False, soft_wrap=True)
    return target


def _fetch(file: PublishedFile, base: str, target: Path, console: Console) -> None:
    """Download one file with pooch, which writes a temporary file, checks it and renames it."""
    path = target / file.name
    if file.sha256 is not None and path.exists() and content_hash(path) != file.sha256:
        raise CorpusError(
            f"{path}: exists, but is not the published file (sha256 {file.sha256} expected), and is not overwritten; "
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
            f"{base + file.url}: cannot be fetched ({error}); check the connection and run the same command again: it "
            f"continues where it stopped. Or get the file in another way and save it as {path}"
        ) from error
    except ValueError as error:  # pooch raises it for a wrong checksum
        raise CorpusError(
            f"{base + file.url}: is not the published {file.name} (sha256 {file.sha256} expected) and was not kept; "
            "try again later, or use another server (--base_url)"
        ) from error
    except OSError as error:
        raise CorpusError(
            f"{target}: cannot be written ({error}); free some disk space or choose another folder"
        ) from error
    if file.sha256 is None:
        console.print(
            f"{file.name}: sha256 {content_hash(path)} (no published checksum is known to compare with)",
            highlight=False,
        )
