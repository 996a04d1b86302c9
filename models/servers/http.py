"""The client of a model's server: how often it is asked, what is asked again, and which key it is asked with.

The key comes from the environment and goes into one header only.
"""

from __future__ import annotations

import math
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeVar

import httpx2

from flagbench import BadInput, ModelFault
from flagbench.files import MIB
from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Again, Exchange, Reply, TimedOut, TooLarge, one_line
from flagbench.models.servers.secret import Secret

KEYS = ("FLAGBENCH_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first that is set is taken."""

_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_ASKED_FOR, _PROBE = 1.0, 60.0, 600.0, 10.0  # seconds

T = TypeVar("T")


class Refused(BadInput):
    """A server refuses a request, and no repetition fixes that.

    Attributes:
        status: Status code of the reply.
        said: Its message, in one line.
    """

    def __init__(self, text: str, status: int, said: str) -> None:
        super().__init__(text)
        self.status, self.said = status, said


class NoAnswer(ModelFault):
    """A server fails a request each time that it is sent."""


class Unanswered(BadInput):
    """No server answers at an address."""


@dataclass(frozen=True)
class RateLimit:
    """Rate limit, retry policy and connection of a server. None of it moves a score.

    Attributes:
        concurrency: Questions that are asked at the same time.
        per_minute: Requests a minute at most, repeated ones included; 0 for no limit.
        attempts: Requests for one answer at most.
        timeouts: Of those, requests that may time out: a server that hangs thrice hangs.
        timeout: Seconds of a whole request, from the connection to the last byte of the reply.
        body_timeout: Seconds from the first byte of a reply's body to its last.
        largest_reply: Bytes of a reply at most, decompressed.
    """

    concurrency: int = 4
    per_minute: float = 0.0
    attempts: int = 6
    timeouts: int = 3
    timeout: float = 300.0
    body_timeout: float = 10.0
    largest_reply: int = 4 * MIB

    def __post_init__(self) -> None:
        if (
            min(self.concurrency, self.attempts, self.timeouts, self.largest_reply) < 1
            or not 0 <= self.per_minute < math.inf
        ):
            raise BadInput(
                f"{self}: concurrency, attempts, timeouts and largest_reply are at least 1, per_minute 0 or a "
                "number above it"
            )
        if not (self.timeout > 0 and self.body_timeout > 0):
            raise BadInput(f"{self}: timeout and body_timeout are above 0")


@dataclass(frozen=True)
class Clock:
    """Clock of the client: seconds that rise, a wait that an event ends, and the jitter, in [0, 1)."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    chance: Callable[[], float] = random.random


RATE_LIMIT, CLOCK = RateLimit(), Clock()


class Pace:
    """Lets requests through one by one, so many a minute, and none while the server wants to be left alone."""

    def __init__(self, per_minute: float, clock: Clock) -> None:
        self._gap = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._next = -float("inf")
        self._lock = threading.Lock()

    def turn(self, stop: threading.Event) -> bool:
        """Wait for the next turn; False when there is none because all stops."""
        while not stop.is_set():
            with self._lock:
                now = self._clock.now()
                if now >= self._next:
                    self._next = now + self._gap
                    return True
                left = self._next - now
            self._clock.wait(stop, left)
        return False

    def hold(self, seconds: float) -> None:
        """No turns for so long."""
        with self._lock:
            self._next = max(self._next, self._clock.now() + seconds)


class Client:
    """Requests to one server. Calls may come from several threads; they share the pace and the counts.

    Attributes:
        url: The server's.
        usage: ``requests``, failed ones too, and what else the caller counts.

    Raises:
        BadInput: The key cannot be sent.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        rate_limit: RateLimit = RATE_LIMIT,
        clock: Clock = CLOCK,
        fix: Callable[[int, str], str] = lambda status, message: "see the server's log",
    ) -> None:
        """Connect to nothing yet.

        Args:
            url: Up to and with ``/v1``.
            name: Of the model, for messages.
            rate_limit: How the server is asked.
            clock: What time is.
            fix: What helps against a refusal, by its status and what the server says; a key's are known here.
        """
        self.url = url
        self.usage: Counter[str] = Counter()
        self._name, self._fix = name, fix
        self._rate_limit, self._clock = rate_limit, clock
        self._pace = Pace(rate_limit.per_minute, clock)
        self._lock = threading.Lock()
        self._key_name, self._key = environment_key()
        self._exchange = Exchange(
            url,
            self._key,
            connections=rate_limit.concurrency,
            largest=rate_limit.largest_reply,
            body_timeout=rate_limit.body_timeout,
        )

    def close(self) -> None:
        """Give up what is on its way, and close the connections."""
        self._exchange.close()

    def listed(self) -> list[str]:
        """Ask the server which models it has: one request, never repeated.

        Returns:
            Their names; none where there is no list.

        Raises:
            BadInput: No server answers there, it does not take the key, or it is not ready.
        """
        try:
            return sorted(str(each["id"]) for each in self.get("models")["data"])
        except (TypeError, LookupError):
            return []

    def unlisted(self, model: str) -> str:
        """Which models the server has, in one line, where it lists some and not this one; else empty.

        Args:
            model: Its name there.

        Raises:
            BadInput: See ``listed``.
        """
        there = self.listed()
        if not there or model in there:
            return ""
        return f"{self.url} does not list {model}; it has {one_line(', '.join(there))}"

    def get(self, path: str) -> Any:
        """Ask for what a server says of itself: one request, never repeated.

        Args:
            path: Below the url.

        Returns:
            The JSON value; None where there is none, whatever the server says instead.

        Raises:
            Unanswered: No server answers there.
            BadInput: It does not take the key, or it is not ready.
        """
        try:
            reply = self._exchange.send("GET", path, None, _PROBE, Stop())
        except Again as error:
            if isinstance(error, TimedOut) and error.begun:  # one answers, and what it is asked next says more
                return []
            raise Unanswered(f"no server answers at {self.url} ({error}): start it, or correct the url") from None
        except TooLarge:
            return None
        status = reply.status
        if 300 <= status < 400:
            raise BadInput(f"{self.url} answers {status}, and sends requests elsewhere: correct the url")
        if status >= 500:
            raise BadInput(f"{self.url} answers {status}: wait until the server is ready, or correct the url")
        if status in (401, 403):
            self._refuse(reply)
        try:
            return reply.json()
        except (ValueError, RecursionError):
            return None

    def post(self, path: str, body: bytes, read: Callable[[Reply], T], stop: Stop) -> T | None:
        """Send JSON, again while the failure may pass.

        Args:
            path: Below the url.
            body: JSON.
            read: What an answer of status 200 says; it raises ``Again`` where that cannot be used.
            stop: Ends the waiting; for a reply on its way too, where all is given up.

        Returns:
            What was read; None when all stopped before it came.

        Raises:
            Refused: The server refuses the request.
            NoAnswer: No usable answer after all attempts.
            ModelFault: One is too large.
        """
        tried = timeouts = 0
        while self._pace.turn(stop):
            try:
                return read(self._request(path, body, stop))
            except CancelledError:
                return None
            except Again as error:
                tried, timeouts = tried + 1, timeouts + isinstance(error, TimedOut)
                if tried == self._rate_limit.attempts or timeouts == self._rate_limit.timeouts:
                    longer = error.flag if isinstance(error, TimedOut) else ""
                    fix = f"or allow more seconds with {longer}" if longer else "and run again when it answers"
                    message = f"{self._name}: no answer after {tried} attempts, the last: {error}"
                    raise NoAnswer(f"{message}; see the server's log, {fix}") from None
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tried - 1)) * (0.5 + self._clock.chance() / 2)
                self._pace.hold(error.after)
                self._clock.wait(stop, max(wait, error.after))
        return None

    def count(self, **more: int) -> None:
        """Add to the counts."""
        with self._lock:
            self.usage.update(more)

    def _request(self, path: str, body: bytes, stop: Stop) -> Reply:
        """One request; an ``Again`` where the next may succeed."""
        self.count(requests=1)
        try:
            reply = self._exchange.send("POST", path, body, self._rate_limit.timeout, stop)
        except TooLarge:
            largest = self._rate_limit.largest_reply
            raise ModelFault(
                f"{self._name}: an answer is larger than {largest / MIB:,.3g} MiB, the most that is read of one; "
                "see what the server sends, or allow more with --reply-size"
            ) from None
        status = reply.status
        if status in (408, 429) or status >= 500:
            wait = seconds_to_wait(reply.retry_after)
            if wait > _LONGEST_ASKED_FOR:
                raise ModelFault(f"{self._name}: the server asks to be left alone for {wait:g} s; run again then")
            raise Again(f"{status} {reply.message()}", wait)
        if status != 200:
            self._refuse(reply)
        return reply

    def _refuse(self, reply: Reply) -> NoReturn:
        """A refusal that no repetition fixes."""
        status, message = reply.status, reply.message()
        key = f"the key in {self._key_name} is not taken" if self._key else f"it wants a key: set {KEYS[0]}"
        moved = "it sends requests elsewhere, where none is sent after them: correct the url"
        fix = key if status in (401, 403) else moved if 300 <= status < 400 else self._fix(status, message)
        raise Refused(f"{self._name}: {self.url} answers {status}: {message}; {fix}", status, message)


def seconds_to_wait(retry_after: str) -> float:
    """A Retry-After header, which has seconds or a date; 0 where neither can be read."""
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def environment_key() -> tuple[str, Secret]:
    """Name and value of the key; empty where there is none, as most servers of one's own want none.

    Raises:
        BadInput: It cannot be sent.
    """
    for name in KEYS:
        if value := os.environ.get(name, "").strip():
            if not (value.isascii() and value.isprintable()):
                raise BadInput(f"{name} holds characters that no key has; set it anew")
            return name, Secret(value)
    return "", Secret("")


def key_line() -> str:
    """Where the key comes from, in one line, without the key.

    Raises:
        BadInput: It cannot be sent.
    """
    name, _ = environment_key()
    return f"key: from {name}" if name else f"key: none ({KEYS[0]} is not set)"


def plain_url(url: str) -> str:
    """A url that may be written down; one that may hold a secret is refused and not repeated."""
    try:
        parsed = httpx2.URL(url.strip())
    except httpx2.InvalidURL:
        raise BadInput("the server's url cannot be read; it looks like http://localhost:8000/v1") from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise BadInput(f"the server's url may hold a place only: leave out what is more, and put the key in {KEYS[0]}")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise BadInput(f"'{url}' is not the url of a server; it looks like http://localhost:8000/v1")
    return str(parsed).rstrip("/")
