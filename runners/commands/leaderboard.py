"""The local leaderboards: a server of one page, made anew when the runs under a folder have changed."""

from __future__ import annotations

import errno
import hashlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from flagbench import BadInput, in_one_line
from flagbench.paths import check_folder
from flagbench.results.page import Language
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.render import page, policy
from flagbench.results.page.view import leaderboards, look
from flagbench.results.readable import readable
from flagbench.results.runs import Run
from flagbench.runners.commands.command_line import command_of

_RECORD = Path("flagbench") / "run.json"
_WAIT = 30
"""Seconds that a browser may take over a request."""


_Facts = Callable[[Sequence[Run]], Mapping[str, Benchmark]]


class Leaderboard:
    """All runs under a folder, as a page.

    Args:
        folder: Where to look, at any depth.
        language: Of the page.
        benchmarks: Gives those that runs may be of, by the name that records have.
    """

    def __init__(self, folder: Path, language: Language, benchmarks: _Facts) -> None:
        check_folder(folder, "name one with results of flagbench evaluate below it")
        self.folder = folder
        self._language = language
        self._benchmarks = benchmarks
        self._lock = threading.Lock()
        self._made: tuple[str, str] = ("", "")

    def files(self) -> list[Path]:
        """The run.json files, by path."""
        return record_files(self.folder)

    def version(self) -> str:
        """A name of the state of the files, which changes when one is added, removed or written."""
        return _version(self.files())

    def page(self) -> str:
        """The page of the files as they are now."""
        with self._lock:  # of several browsers the first has it made
            files = self.files()
            version = _version(files)
            if version != self._made[0]:
                self._made = (version, self._page(files, version))
            return self._made[1]

    def _page(self, files: list[Path], version: str) -> str:
        runs, unreadable = readable(files, self.folder, partial(look, by_query=False))
        shown = leaderboards(runs, self._benchmarks(runs))
        return page(shown, self._language, unreadable=unreadable, version=version, command_of=command_of)


def record_files(root: Path) -> list[Path]:
    """The run.json files below a folder, by path. Folders below that of a run are not looked into.

    One that may not be read is named like a run, so that it is listed among those that cannot be.
    """
    found: list[Path] = []
    for folder, inside, _ in os.walk(root, onerror=lambda fault: found.append(Path(fault.filename) / _RECORD)):
        file = Path(folder) / _RECORD
        if os.path.lexists(file):
            found.append(file)
            inside.clear()
        inside[:] = [name for name in inside if not name.startswith(".") or _is_of_model(name)]
    return sorted(found)


def _is_of_model(name: str) -> bool:
    """Whether a hidden folder may be that of a model, whose organisation is named so; unfinished ones are none."""
    return "__" in name.strip("_") and not name.endswith(".unfinished")


def _version(files: list[Path]) -> str:
    lines = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue  # removed since it was found
        lines.append(f"{file}\0{state.st_mtime_ns}\0{state.st_size}\0{state.st_ino}")
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


class Server(ThreadingHTTPServer):
    """Answers with a leaderboard.

    Args:
        board: What it shows.
        host: Address to listen on.
        port: 0 for any free one.
    """

    daemon_threads = True

    def __init__(self, board: Leaderboard, host: str, port: int) -> None:
        self.board = board
        self.names = {host.lower(), "localhost", socket.gethostname().lower()}
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """As the library binds, without asking a name server what the address is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    """Serve the page, and the version of the files behind it."""

    server: Server
    server_version = "flagbench"
    sys_version = ""
    timeout = _WAIT

    def do_GET(self) -> None:
        """The page, or the version; nothing else is there, and no path leads to a file."""
        path = self.path.partition("?")[0]
        if not self._named_rightly():
            self._send(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to its own address alone\n")
        elif path == "/":
            try:
                self._send(HTTPStatus.OK, self.server.board.page(), "text/html")
            except BadInput as error:  # a file went away while it was read
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{in_one_line(error)}\n")
        elif path == "/version":
            self._send(HTTPStatus.OK, self.server.board.version() + "\n")
        else:
            self._send(HTTPStatus.NOT_FOUND, "there is nothing here but /\n")

    def _refuse(self) -> None:
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "only GET\n")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _refuse  # noqa: N815 - the library's names

    def _named_rightly(self) -> bool:
        """Tell whether the browser reached this server by an address or a name of its own.

        A page of elsewhere whose name was made to lead here (DNS rebinding) would else be able to read the answers.
        """
        host = self.headers.get("Host", "")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower() in self.server.names
        return True

    def _send(self, status: HTTPStatus, text: str, kind: str = "text/plain") -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in _headers(kind, len(body)):
            self.send_header(name, value)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log no requests."""


def _headers(kind: str, length: int) -> Iterator[tuple[str, str]]:
    yield "Content-Type", f"{kind}; charset=utf-8"
    yield "Content-Length", str(length)
    yield "Content-Security-Policy", f"{policy(served=True)}; frame-ancestors 'none'"
    yield "X-Content-Type-Options", "nosniff"
    yield "X-Frame-Options", "DENY"
    yield "Referrer-Policy", "no-referrer"
    yield "Cross-Origin-Resource-Policy", "same-origin"
    yield "Cross-Origin-Opener-Policy", "same-origin"
    yield "Cache-Control", "no-store"


def listen(board: Leaderboard, host: str, port: int) -> Server:
    """A server that is ready to serve.

    Raises:
        BadInput: It cannot listen there.
    """
    try:
        return Server(board, host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BadInput(f"port {port} of {host} is in use: choose another --port, or 0 for any free one") from error
        raise BadInput(f"cannot listen on port {port} of {host}: {error.strerror}; choose another") from error
    except (UnicodeError, TypeError) as error:  # the name cannot be encoded
        raise BadInput(f"--host {host} is not an address") from error
