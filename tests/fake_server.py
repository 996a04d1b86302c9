"""A server of chat completions on 127.0.0.1 that does, request by request, what its script says."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GUARD = 20.0  # seconds after which a held request ends in any case


@dataclass(frozen=True)
class Reply:
    """What one request gets.

    Attributes:
        text: Content of a good answer; any JSON value, so that wrong types can be sent too.
        status: Another than 200 makes ``text`` the message of an error.
        headers: More headers.
        raw: Body in place of a good one.
        hold: Say nothing until ``release``.
        drop: Close the connection instead of an answer.
        drip: Send the body a byte at a time, with so many seconds between two; the connection stays open after it.
        reason: Phrase beside the status.
    """

    text: Any = "(A)"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    hold: bool = False
    drop: bool = False
    drip: float = 0.0
    reason: str | None = None


def completion(text: Any, prompt_tokens: int = 7, completion_tokens: int = 2, reason: str = "stop") -> bytes:
    """The body of a good answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    return json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # one that finds no room waits a second


class FakeServer:
    """Answers with the script's replies first, in the order in which requests come, then with ``answer``.

    Attributes:
        questions: Bodies of all chat requests, in the order in which they came.
        headers: Of the same.
        good: The user's texts of those that got an answer of status 200.
        models: What ``/models`` lists; a ``Reply`` in place of the list.
    """

    def __init__(self, script: Iterable[Reply] = (), answer: Callable[[dict[str, Any]], Reply | str] | None = None):
        self.script = list(script)
        self.answer = answer or (lambda body: user_text(body).upper())
        self.questions: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.good: list[str] = []
        self.models: Reply | list[str] = ["m"]
        self.released = threading.Event()
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def release(self) -> None:
        """Let all held requests go on."""
        self.released.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _next(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        with self._lock:
            self.questions.append(body)
            self.headers.append(headers)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            reply = self.script.pop(0) if self.script else self.answer(body)
        return reply if isinstance(reply, Reply) else Reply(reply)

    def _left(self, body: dict[str, Any], reply: Reply) -> None:
        with self._lock:
            self._at_once -= 1
            if reply.status == 200 and reply.raw is None and not reply.drop and "messages" in body:
                self.good.append(user_text(body))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # header and body are two writes, which else wait 40 ms for each other
            timeout = GUARD

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def do_GET(self) -> None:
                listed = server.models
                if isinstance(listed, list):
                    body = json.dumps({"data": [{"id": name} for name in listed]}).encode()
                    listed = Reply(raw=body)
                self._send(listed)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = server._next(body, dict(self.headers))
                if reply.hold:
                    server.released.wait(GUARD)
                server._left(body, reply)
                self._send(reply)

            def _send(self, reply: Reply) -> None:
                if reply.drop:
                    # With this option a close is a reset: the client sees a broken connection, not an end.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    self.connection.close()
                    return
                body = reply.raw
                if body is None and reply.status == 200:
                    body = completion(reply.text)
                elif body is None:
                    body = json.dumps({"error": {"message": reply.text, "type": "x"}}).encode()
                try:
                    self.send_response(reply.status, reply.reason)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body) + (1 if reply.drip else 0)))
                    self.end_headers()
                    if not reply.drip:
                        self.wfile.write(body)
                        return
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        if server.released.wait(reply.drip):
                            break
                    server.released.wait(GUARD)
                    self.close_connection = True
                except OSError:
                    self.close_connection = True  # the client went away

        return Handler


def user_text(body: Mapping[str, Any]) -> str:
    """The user's text of a request."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else next(part["text"] for part in content if part["type"] == "text")


def unused_port() -> int:
    """A port of 127.0.0.1 where nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
