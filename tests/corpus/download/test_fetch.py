"""Downloads from a server on this machine."""

import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from rich.console import Console

from dialogue_ser.corpus.download import fetch as fetch_module
from dialogue_ser.corpus.download.catalogue import PUBLISHED_CORPORA, PublishedCorpus, PublishedFile
from dialogue_ser.corpus.download.fetch import download
from dialogue_ser.errors import ConfigError, CorpusError

CONTENT = bytes(range(256)) * 4000


@dataclass
class Server:
    url: str = ""
    content: bytes = CONTENT
    etag: str | None = '"one"'
    break_after: int | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.requests.append((self.path, wanted))
            if self.path != "/mirror/a.bin":
                self.send_error(404)
                return
            start = 0
            if wanted and self.headers.get("If-Range") == state.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(state.content):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(state.content) - start))
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(state.content[start:][: state.break_after])

        def log_message(self, *arguments) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.url = f"http://127.0.0.1:{running.server_port}/mirror"
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def fetch(server, tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    output = io.StringIO()

    def run(sha256: str | None = hashlib.sha256(CONTENT).hexdigest(), unpack_to: str | None = None):
        corpus = PublishedCorpus(
            folder="own",
            base_url="http://127.0.0.1:9/never-used/",
            files=(PublishedFile(url="a.bin", name="a.bin", sha256=sha256, unpack_to=unpack_to),),
            licence="CC0, made for this test",
            size="1 MB",
            afterwards="nothing",
        )
        monkeypatch.setattr(fetch_module, "PUBLISHED_CORPORA", {"own": corpus})
        return download("own", tmp_path, base_url=server.url, console=Console(file=output, width=200)), output

    return run


def test_files_arrive_completely_and_licence_and_progress_are_shown(fetch, tmp_path):
    folder, output = fetch()
    assert folder == tmp_path / "own"
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert "licence: CC0, made for this test" in output.getvalue()
    assert "a.bin" in output.getvalue()


def test_files_that_are_there_are_not_fetched_again(fetch, server):
    fetch()
    fetch()
    assert len(server.requests) == 1


def test_a_broken_connection_is_a_clear_error_and_the_next_run_fetches_the_rest(fetch, server, tmp_path):
    server.break_after = 300_000
    with pytest.raises(CorpusError, match=r"mirror/a\.bin: cannot be fetched .*run the same command again"):
        fetch()
    assert not (tmp_path / "own" / "a.bin").exists()
    server.break_after = None
    folder, _ = fetch()
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert server.requests[1][1] == "bytes=262144-"  # only whole pieces of 256 KiB are kept


def test_if_the_file_on_the_server_has_changed_it_is_fetched_from_its_beginning(fetch, server):
    server.break_after = 300_000
    with pytest.raises(CorpusError):
        fetch()
    server.break_after, server.etag, server.content = None, '"two"', CONTENT[::-1]
    folder, _ = fetch(sha256=hashlib.sha256(CONTENT[::-1]).hexdigest())
    assert (folder / "a.bin").read_bytes() == CONTENT[::-1]


def test_without_an_etag_a_download_begins_again(fetch, server):
    server.break_after, server.etag = 300_000, None
    with pytest.raises(CorpusError):
        fetch()
    server.break_after = None
    folder, _ = fetch()
    assert (folder / "a.bin").read_bytes() == CONTENT
    assert server.requests[1][1] is None


def test_a_file_that_became_shorter_is_fetched_again_at_the_third_attempt(fetch, server):
    server.break_after = 300_000
    with pytest.raises(CorpusError):
        fetch()
    server.break_after, server.content = None, b"short"
    digest = hashlib.sha256(b"short").hexdigest()
    with pytest.raises(CorpusError, match="not longer than the part that is here"):
        fetch(sha256=digest)
    folder, _ = fetch(sha256=digest)
    assert (folder / "a.bin").read_bytes() == b"short"


def test_wrong_checksum_keeps_nothing(fetch, tmp_path):
    with pytest.raises(CorpusError, match=r"is not the published a\.bin .*not kept"):
        fetch(sha256="0" * 64)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_other_content_of_the_same_name_is_not_overwritten(fetch, server, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.bin").write_bytes(b"mine")
    with pytest.raises(CorpusError, match="not overwritten"):
        fetch()
    assert (tmp_path / "own" / "a.bin").read_bytes() == b"mine"
    assert not server.requests


def test_unknown_checksum_is_computed_and_shown(fetch):
    _, output = fetch(sha256=None)
    assert hashlib.sha256(CONTENT).hexdigest() in output.getvalue()


def test_a_download_that_is_not_an_archive_is_not_unpacked(fetch, tmp_path):
    with pytest.raises(CorpusError, match="cannot be unpacked"):
        fetch(sha256=None, unpack_to="clips")
    assert not (tmp_path / "own" / "clips").exists()


def test_missing_files_and_servers_that_do_not_answer_are_clear_errors(server, tmp_path):
    with pytest.raises(CorpusError, match=r"train_sent_emo\.csv: cannot be fetched \(404"):
        download("meld", tmp_path, base_url=server.url, console=Console(file=io.StringIO()))
    with pytest.raises(CorpusError, match="cannot be fetched"):
        download("meld", tmp_path, base_url="http://127.0.0.1:1/", console=Console(file=io.StringIO()))


def test_the_error_about_an_unknown_name_names_the_most_similar_one(tmp_path):
    with pytest.raises(ConfigError, match="unknown corpus to download 'mled'; did you mean 'meld'"):
        download("mled", tmp_path)
    with pytest.raises(ConfigError, match="sample corpus needs no download"):
        download("sample", tmp_path)


def test_every_published_corpus_has_a_licence_and_an_https_address():
    for corpus in PUBLISHED_CORPORA.values():
        assert corpus.licence
        assert corpus.base_url.startswith("https://")
