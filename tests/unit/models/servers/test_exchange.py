"""The bounds of one exchange at their very limits: bytes of a reply, and the time of the whole request."""

from __future__ import annotations

import contextlib
import gzip
import random
import socketserver
import threading
from collections.abc import Iterator

import httpx2
import pytest

from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Again, Exchange, TimedOut, TooLarge, _Body
from flagbench.models.servers.secret import Secret

LARGEST = 1000


@pytest.mark.parametrize("piece", [1, 7, 5000])
@pytest.mark.parametrize("size", [0, 1, LARGEST - 1, LARGEST, LARGEST + 1, 3 * LARGEST])
@pytest.mark.parametrize("encoding", ["", "identity", " GZIP", "x-gzip"])
def test_a_reply_may_be_of_just_the_largest_size(encoding: str, size: int, piece: int) -> None:
    body, content = _Body(LARGEST, encoding), bytes(size)
    sent = gzip.compress(content) if "gzip" in encoding.lower() else content
    taken = all(body.takes(sent[begin : begin + piece]) for begin in range(0, len(sent), piece))
    assert taken == (not body.too_large) == (size <= LARGEST)
    if taken:
        assert bytes(body.content) == content
    assert len(body.content) <= max(LARGEST + 1, piece if not body._gzip else 0)


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_what_was_received_counts_as_well_as_what_it_unpacks_to(more: int, taken: bool) -> None:
    sent = gzip.compress(random.Random(0).randbytes(500), compresslevel=0)
    assert len(sent) > 500
    assert _Body(len(sent) - more, "gzip").takes(sent) is taken


class _Late(socketserver.StreamRequestHandler):
    """Sends all but the last byte of a reply, and that one when it is released."""

    released = threading.Event()

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n123")
        self.released.wait(1.5)
        with contextlib.suppress(OSError):  # the client went away
            self.wfile.write(b"4")


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_Late, "released", threading.Event())
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Late) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        _Late.released.set()
        server.shutdown()


def _sent(url: str, *, timeout: float = 20.0, body_timeout: float = 20.0, largest: int = LARGEST) -> object:
    exchange = Exchange(url, Secret(""), connections=1, largest=largest, body_timeout=body_timeout)
    try:
        return exchange.send("GET", "/", None, timeout, Stop()).json()
    finally:
        exchange.close()


@pytest.mark.parametrize("shorter", ["timeout", "body_timeout"])
def test_the_shorter_of_the_two_times_ends_a_reply_that_has_begun(url: str, shorter: str) -> None:
    with pytest.raises(TimedOut):
        _sent(url, **{shorter: 0.3})  # type: ignore[arg-type]


@pytest.mark.parametrize(("largest", "fits"), [(4, True), (3, False)])
def test_a_reply_that_ends_in_time_is_read_to_its_limit(url: str, largest: int, fits: bool) -> None:
    _Late.released.set()
    if fits:
        assert _sent(url, largest=largest) == 1234
    else:
        with pytest.raises(TooLarge):
            _sent(url, largest=largest)


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (httpx2.ConnectTimeout("slow"), TimedOut, "no connection came about in 10 s"),
        (httpx2.ConnectError("sk-0123 is\nrefused"), Again, "the connection failed (*** is refused)"),
        (httpx2.ReadError(""), Again, "the connection failed (ReadError)"),
    ],
)
def test_a_connection_that_fails_is_told_by_its_reason(error: Exception, kind: type[Again], says: str) -> None:
    def fail(request: httpx2.Request) -> httpx2.Response:
        raise error

    exchange = Exchange("http://h", Secret("sk-0123"), connections=1, largest=9, body_timeout=1.0)
    exchange._http = httpx2.AsyncClient(base_url="http://h", transport=httpx2.MockTransport(fail))
    with pytest.raises(Again) as caught:
        exchange.send("GET", "/", None, 5.0, Stop())
    exchange.close()
    assert (type(caught.value), str(caught.value), caught.value.after) == (kind, says, 0.0)
