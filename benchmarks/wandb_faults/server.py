"""A small W&B server on loopback: it works, or it fails in one of the ways that are tried.

It answers the questions that W&B's service asks for one run, and keeps what it is sent.
"""

import json
import re
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KINDS = ("live", "silent", "error", "refusing")
"""live; accepts and never answers; answers 500; answers 401 to every key."""

SILENT_SECONDS = 600.0


class FakeServer(ThreadingHTTPServer):
    """A server of one kind.

    Args:
        kind: one of KINDS. It may be changed while the server runs.
        delay_seconds: a live server takes this long to answer an upload.
    """

    daemon_threads = True

    def __init__(self, kind: str, delay_seconds: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind, self.delay_seconds = kind, delay_seconds
        self.lines: dict[str, list[dict[str, Any]]] = {}
        self.runs: list[dict[str, Any]] = []
        self.uploads: dict[str, bytes] = {}
        self.operations: list[str] = []
        self.artifacts: list[dict[str, Any]] = []
        self.is_complete = False
        self.exit_code: int | None = None
        self.closing = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a connection that W&B's service has closed."""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of history that were sent."""
        return [line for name, lines in self.lines.items() if name.endswith("history.jsonl") for line in lines]

    @property
    def summary(self) -> dict[str, Any]:
        """The summary that was sent last."""
        found = [line for name, lines in self.lines.items() if name.endswith("summary.json") for line in lines]
        return found[-1] if found else {}


@contextmanager
def fake_server(kind: str, delay_seconds: float = 0.0) -> Iterator[FakeServer]:
    """Run a server in a thread of this process."""
    server = FakeServer(kind, delay_seconds)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FakeServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        self._answer(b"")

    def do_PUT(self) -> None:
        self._answer(self._body())

    def do_POST(self) -> None:
        self._answer(self._body())

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return zlib.decompress(body, 47) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, body: bytes) -> None:
        kind = self.server.kind
        if kind == "silent":
            self.server.closing.wait(SILENT_SECONDS)
            self.close_connection = True
            return
        if kind == "error":
            self._send(500, {"errors": [{"message": "internal error"}]})
        elif kind == "refusing":
            self._send(401, {"errors": [{"message": "user is not logged in"}]})
        elif self.path.startswith("/graphql"):
            asked = json.loads(body or b"{}")
            self._send(200, {"data": _answer_of(self.server, asked.get("query", ""), asked.get("variables") or {})})
        elif "file_stream" in self.path:
            self._keep_lines(json.loads(body or b"{}"))
            self._send(200, {})
        else:
            time.sleep(self.server.delay_seconds)
            self.server.uploads[self.path.partition("?")[0]] = body
            self._send(200, {})

    def _keep_lines(self, sent: dict[str, Any]) -> None:
        for name, part in (sent.get("files") or {}).items():
            lines = self.server.lines.setdefault(name, [])
            del lines[part.get("offset", 0) :]
            lines += [json.loads(line) for line in part.get("content", []) if line.strip()]
        self.server.is_complete |= bool(sent.get("complete"))
        if "exitcode" in sent:
            self.server.exit_code = sent["exitcode"]

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _answer_of(server: FakeServer, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the data that answer a question of W&B's service."""
    name = re.search(r"(?:query|mutation)\s+(\w+)", query)
    operation = name.group(1) if name else query.split("{")[0].strip()
    server.operations.append(operation)
    make = _ANSWERS.get(operation)
    return {} if make is None else make(server, variables)


def _viewer(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    viewer = {"id": "VIEWER", "entity": "someone", "username": "someone", "email": "", "flags": "{}"}
    return {"viewer": viewer | {"teams": {"edges": []}}}


def _resume_status(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a run that may be resumed."""
    known = any(run["name"] == variables["name"] for run in server.runs)
    history = server.history
    bucket = {
        "id": "RUN", "name": variables["name"], "summaryMetrics": json.dumps(server.summary), "displayName": "",
        "logLineCount": 0, "historyLineCount": len(history), "eventsLineCount": 0,
        "historyTail": json.dumps([json.dumps(line) for line in history[-1:]]), "eventsTail": "[]", "config": "{}",
        "tags": [], "notes": None, "wandbConfig": '{"t": {}}',
    }  # fmt: skip
    return {"model": {**_project(variables["project"]), "id": "PROJECT", "bucket": bucket if known else None}}


def _upsert_run(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    server.runs.append(variables)
    bucket = {
        "id": "RUN", "name": variables["name"], "displayName": variables.get("displayName") or "", "description": "",
        "config": "{}", "sweepName": variables.get("sweep"), "historyLineCount": len(server.history),
        "project": _project(variables.get("project") or "uncategorized"),
    }  # fmt: skip
    return {"upsertBucket": {"bucket": bucket, "inserted": len(server.runs) == 1}}


def _project(name: str) -> dict[str, Any]:
    return {"name": name, "entity": {"id": "ENTITY", "name": "someone"}}


def _run_files(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    files = [{"name": name, "uploadUrl": f"{server.url}/files/{name}"} for name in variables["files"]]
    return {"createRunFiles": {"runID": "RUN", "uploadHeaders": [], "files": files}}


def _artifact(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    server.artifacts.append(variables["input"])
    artifact = {"id": f"A{len(server.artifacts)}", "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
    return {"createArtifact": {"artifact": artifact}}


def _manifest(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    number = variables.get("artifactID") or variables.get("artifactId") or "A0"
    file = _file(server, f"{number}/manifest.json")
    return {"createArtifactManifest": {"artifactManifest": {"id": f"M{number}", "file": file}}}


def _artifact_files(server: FakeServer, variables: dict[str, Any]) -> dict[str, Any]:
    wanted = variables.get("input", {}).get("artifactFiles") or variables.get("files") or []
    nodes = [
        {"node": _file(server, f"{one['artifactID']}/{one['name']}") | {"artifact": {"id": one["artifactID"]}}}
        for one in wanted
    ]
    return {"createArtifactFiles": {"files": {"edges": nodes}}}


def _file(server: FakeServer, name: str) -> dict[str, Any]:
    url = f"{server.url}/artifacts/{name}"
    return {
        "id": name, "name": name, "displayName": name, "uploadUrl": url, "uploadHeaders": [], "storagePath": name,
        "uploadMultipartUrls": None,
    }  # fmt: skip


_ANSWERS = {
    "CreateArtifact": _artifact,
    "CreateArtifactManifest": _manifest,
    "CreateArtifactFiles": _artifact_files,
    "CommitArtifact": lambda server, variables: {"commitArtifact": {"artifact": {"id": "A", "digest": ""}}},
    "ServerFeaturesQuery": lambda server, variables: {"serverInfo": {"features": []}},
    "Viewer": _viewer,
    "RunResumeStatus": _resume_status,
    "UpsertBucket": _upsert_run,
    "CreateRunFiles": _run_files,
    "ArtifactType": lambda server, variables: {"project": {"artifact": None}},
}
