"""One request and its reply, bounded in time and size, ended from outside at any moment, the key hidden in all of it.

Requests run in one event loop, in a thread of its own that begins with the first and ends with ``close``: there a wait
for a server can be given up, whatever it waits for.
"""

from __future__ import annotations

import functools
import json
import threading
import time
import zlib
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import httpx2

from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.secret import Secret

if TYPE_CHECKING:
    import ssl

_CONNECT = 10.0  # seconds
_LONGEST_MESSAGE = 1 << 16
"""Bytes of a body that may be an error message: to look for the key in one takes many times its memory."""


class Again(Exception):
    """A request failed, and another may not. ``after``: seconds that the server wants to be left alone."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class TimedOut(Again):
    """A request took longer than it may.

    Attributes:
        begun: Whether its answer had begun.
        flag: What allows more; empty where nothing does.
    """

    def __init__(self, why: str, *, begun: bool = False, flag: str = "") -> None:
        super().__init__(why)
        self.begun, self.flag = begun, flag


class TooLarge(Exception):
    """A reply is larger than it may be."""


@dataclass(frozen=True)
class Reply:
    """What a server sent. Its texts come without the key; the bytes themselves are not given away.

    Attributes:
        status: Status code.
        retry_after: The header of that name; empty for none.
        arrived: When its last byte came, by ``time.monotonic``.
    """

    status: int
    retry_after: str
    _phrase: str = field(repr=False)
    _body: bytes = field(repr=False)
    _secret: Secret = field(repr=False)
    arrived: float = field(default=0.0, repr=False)

    def json(self) -> Any:
        """The value of the body.

        Raises:
            ValueError: It is not JSON.
            RecursionError: It is nested too deeply.
        """
        return self._secret.hide_in_json(json.loads(self._body))

    def numbers(self) -> Any:
        """The value of the body, for what is read of it as numbers: its texts may hold the key, and are not shown.

        Raises:
            ValueError: It is not JSON.
            RecursionError: It is nested too deeply.
        """
        return json.loads(self._body)

    def message(self) -> str:
        """The server's error message, in one line; of a body that is longer than any message the phrase alone."""
        if len(self._body) > _LONGEST_MESSAGE:
            return one_line(self._secret.hide(self._phrase[:_LONGEST_MESSAGE]))
        try:
            message = json.loads(self._body)
            message = message.get("error", message)
            message = message.get("message", message) if isinstance(message, dict) else message
        except (ValueError, AttributeError, RecursionError):
            message = self._body.decode("utf-8", "replace")
        return one_line(self._secret.hide(str(message))) or one_line(self._secret.hide(self._phrase))


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Those that a server of https is known by; to read them takes longer than most requests."""
    return httpx2.create_ssl_context()


class Exchange:
    """The connections to one server. Calls may come from several threads.

    Args:
        url: What paths are below.
        secret: The key, sent to this url and no other: redirects are not followed.
        connections: Kept open between requests.
        largest: Bytes of a reply at most, decompressed.
        body_timeout: Seconds from the first byte of a reply's body to its last.
    """

    def __init__(self, url: str, secret: Secret, *, connections: int, largest: int, body_timeout: float) -> None:
        self._secret, self._largest, self._body_timeout = secret, largest, body_timeout
        key = {"Authorization": f"Bearer {secret.reveal()}"} if secret else {}
        self._http = httpx2.AsyncClient(
            base_url=url,
            # Of the encodings only gzip: zlib can be held to a size.
            headers={"Accept-Encoding": "gzip", **key},
            timeout=httpx2.Timeout(None, connect=_CONNECT),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=connections),
            follow_redirects=False,
            verify=_certificates(),
        )
        self._lock = threading.Lock()
        self._running = ExitStack()
        self._portal: anyio.from_thread.BlockingPortal | None = None
        self._out: set[Future[Reply]] = set()

    def send(self, method: str, path: str, content: bytes | None, timeout: float, stop: Stop) -> Reply:
        """Send a request and wait for its reply.

        Args:
            method: GET or POST.
            path: Below the url.
            content: JSON.
            timeout: Seconds of the whole.
            stop: Ends the waiting when all is given up.

        Raises:
            Again: No reply came.
            TooLarge: A good one is larger than allowed.
            CancelledError: It was given up.
        """
        with self._lock:
            if self._portal is None:
                self._portal = self._running.enter_context(anyio.from_thread.start_blocking_portal(name="requests"))
            future = self._portal.start_task_soon(self._send, method, path, content, timeout)
            self._out.add(future)
        try:
            with stop.calling(future.cancel):
                return future.result()
        finally:
            future.cancel()  # of one who is interrupted while it waits
            self._out.discard(future)

    def close(self) -> None:
        """Give up what is on its way, and end connections and thread."""
        with self._lock:
            for future in list(self._out):
                future.cancel()
            if self._portal is not None:
                self._portal.call(self._http.aclose)
                self._portal = None
            self._running.close()

    async def _send(self, method: str, path: str, content: bytes | None, timeout: float) -> Reply:
        begun, why, flag = False, f"no answer came in {timeout:g} s", "--request-timeout"
        json_sent = {"Content-Type": "application/json"} if content is not None else None
        try:
            with anyio.move_on_after(timeout) as scope:
                async with self._http.stream(method, path, content=content, headers=json_sent) as response:
                    body = _Body(self._largest, response.headers.get("content-encoding", ""))
                    async for chunk in response.aiter_raw():
                        if not begun:
                            begun = True
                            why = f"an answer that had begun did not end in the {timeout:g} s of its request"
                            if (end := anyio.current_time() + self._body_timeout) < scope.deadline:
                                scope.deadline = end
                                why = f"an answer that had begun did not end in {self._body_timeout:g} s"
                                flag = "--body-timeout"
                        if not body.takes(chunk):
                            break
                    arrived = time.monotonic()
                    if body.too_large and response.status_code == 200:
                        raise TooLarge
                    headers = response.headers
                    retry_after, phrase = headers.get("retry-after", ""), response.reason_phrase
                    # Of one that is cut the key might be cut as well, and not be found.
                    content = b"" if body.too_large else bytes(body.content)
                    return Reply(response.status_code, retry_after, phrase, content, self._secret, arrived)
        except httpx2.TimeoutException:
            raise TimedOut(f"no connection came about in {_CONNECT:g} s") from None
        except httpx2.RequestError as error:
            raise Again(f"the connection failed ({reason(error, self._secret)})") from None
        raise TimedOut(why, begun=begun, flag=flag)


class _Body:
    """The body of a reply as it comes, decompressed no further than it may be."""

    def __init__(self, largest: int, encoding: str) -> None:
        self.content = bytearray()
        self.too_large = False
        self._largest, self._received = largest, 0
        encoding = encoding.strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise Again("the answer is in an encoding that was not asked for")
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in encoding else None

    def takes(self, chunk: bytes) -> bool:
        """Take a chunk; False where it is too much."""
        self._received += len(chunk)
        if self._gzip is not None:
            try:
                chunk = self._gzip.decompress(chunk, self._largest + 1 - len(self.content))
            except zlib.error:
                raise Again("the answer cannot be decompressed") from None
        self.content += chunk
        self.too_large = max(len(self.content), self._received) > self._largest
        return not self.too_large


def reason(error: Exception, secret: Secret) -> str:
    """The message of an error, or its name, in one line."""
    return one_line(secret.hide(str(error))) or type(error).__name__


def one_line(text: object) -> str:
    """A text in one line, of 300 characters at most. The key is hidden before."""
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:299]}…"
