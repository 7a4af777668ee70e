"""Hands out the page and keeps the answers: the standard library's server, and nothing of `private/` ever leaves it."""

import json
import re
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from counterpoint.listening.answers import Log, Rater, Record, Unknown, Withdrawal, record_of
from counterpoint.listening.study import ITEMS, PUBLIC, load_study

LARGEST = 65536
"""Bytes of what may be sent."""
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json", ".wav": "audio/wav"}
POLICY = "default-src 'self'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
NAME = re.compile(r"[A-Za-z0-9_-]+\.[a-z0-9]+")


class Server(ThreadingHTTPServer):
    """A listening test's folder on a port; `log` keeps what is sent."""

    daemon_threads = True

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 8000):
        """Raises ValueError where the folder is no test, OSError where the port is taken."""
        self.folder = folder.resolve()
        self.log = Log(self.folder, load_study(folder))
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except BaseException:
            self.log.close()
            raise

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A listener who goes away in the middle of a sound is no news; whatever else goes wrong is."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def server_close(self) -> None:
        """The port is free, and the file of answers closed."""
        super().server_close()
        self.log.close()


def find(folder: Path, target: str) -> Path | None:
    """The file that a request's path means: index.html, items.json or one of the public folders'; None for all others."""
    parts = [part for part in unquote(urlsplit(target).path).split("/") if part]
    if parts in ([], ["index.html"]):
        return folder / "index.html"
    if parts == [ITEMS]:
        return folder / ITEMS
    if len(parts) != 2 or parts[0] not in PUBLIC or not NAME.fullmatch(parts[1]):
        return None
    path = folder / parts[0] / parts[1]
    return path if path.is_file() and path.resolve().is_relative_to(folder / parts[0]) else None


def byte_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header (RFC 9110, section 14); None for the whole, where no valid single range is asked.

    Raises ValueError where the range lies beyond the end.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (asked or "").strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    if last and first and int(last) < start:
        return None
    if start >= size:
        raise ValueError("The range begins beyond the end.")
    return start, end


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD for files, POST api/records, DELETE api/raters/ID."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "counterpoint", ""
    timeout = 60

    def _test(self) -> Server:
        assert isinstance(self.server, Server)
        return self.server

    def do_GET(self) -> None:
        self._file(body=True)

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_POST(self) -> None:
        content = self._body()
        if content is None:
            return
        if urlsplit(self.path).path != "/api/records":
            return self._say(HTTPStatus.NOT_FOUND, {"error": "There is nothing here; records go to api/records."})
        try:
            self._keep(record_of(json.loads(content)))
        except (ValueError, RecursionError) as error:  # the latter: brackets without end
            self._say(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def do_DELETE(self) -> None:
        if self._body(needed=False) is None:
            return
        parts = urlsplit(self.path).path.split("/")
        if parts[:3] != ["", "api", "raters"] or len(parts) != 4:
            return self._say(HTTPStatus.NOT_FOUND, {"error": "There is nothing here; a rater is at api/raters/NUMBER."})
        try:
            self._keep(record_of({"kind": "withdrawal", "rater": parts[3]}))
        except ValueError as error:
            self._say(HTTPStatus.BAD_REQUEST, {"error": str(error)})

    def _keep(self, record: Record) -> None:
        """Acknowledged means: on the disk."""
        try:
            kept = self._test().log.add(record)
        except Unknown as error:
            return self._say(HTTPStatus.GONE, {"error": str(error)})
        except OSError as error:
            return self._say(HTTPStatus.INSUFFICIENT_STORAGE, {"error": f"Not kept: {error.strerror}."})
        told = {"order": kept.order} if isinstance(kept, Rater) else {"withdrawn": isinstance(kept, Withdrawal)}
        self._say(HTTPStatus.OK, {"kept": True, **told})

    def _body(self, needed: bool = True) -> bytes | None:
        """What was sent; None where it was refused, for its kind, its size, or because another site's page sends it."""
        length = self.headers.get("Content-Length", "" if needed else "0")
        origin = self.headers.get("Origin")
        problem = None
        if not length.isdecimal() or int(length) > LARGEST:
            problem = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        elif needed and self.headers.get_content_type() != "application/json":
            problem = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        elif origin is not None and urlsplit(origin).netloc != self.headers.get("Host"):
            problem = HTTPStatus.FORBIDDEN
        if problem is not None:
            self.close_connection = True
            self._say(problem, {"error": f"Not kept: {problem.phrase.lower()}."})
            return None
        return self.rfile.read(int(length))

    def _file(self, body: bool) -> None:
        path = find(self._test().folder, self.path)
        if path is None:
            return self._say(HTTPStatus.NOT_FOUND, {"error": "There is no such file."}, body)
        size = path.stat().st_size
        try:
            part = byte_range(self.headers.get("Range"), size)
        except ValueError:
            self.send_response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            self.send_header("Content-Range", f"bytes */{size}")
            return self._end({"Content-Length": "0"})
        first, last = part or (0, size - 1)
        self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        kind = TYPES.get(path.suffix, "application/octet-stream")
        self._end({"Content-Type": kind, "Content-Length": str(last - first + 1), "Accept-Ranges": "bytes"})
        if body:
            with path.open("rb") as file:
                file.seek(first)
                self.wfile.write(file.read(last - first + 1))

    def _say(self, status: HTTPStatus, content: dict[str, Any], body: bool = True) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self._end({"Content-Type": "application/json", "Content-Length": str(len(data))})
        if body:
            self.wfile.write(data)

    def _end(self, headers: dict[str, str]) -> None:
        fixed = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": POLICY}
        for name, value in {**headers, **fixed, "Referrer-Policy": "no-referrer"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Listeners' addresses are nobody's business."""
