"""The client of a model's server: how often it is asked, what is asked again, and a key that is written nowhere.

The key comes from the environment and goes into one header only.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import NoReturn, TypeVar

import httpx2

from flagbench import BadInput, ModelFault

KEYS = ("FLAGBENCH_API_KEY", "OPENAI_API_KEY")
"""Environment variables that may hold the key; the first that is set is taken."""

_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_ASKED_FOR, _PROBE = 1.0, 60.0, 600.0, 10.0  # seconds

T = TypeVar("T")


@dataclass(frozen=True)
class RateLimit:
    """Rate limit, retry policy and connection of a server. None of it moves a score.

    Attributes:
        concurrency: Questions that are asked at the same time.
        per_minute: Requests a minute at most, repeated ones included; 0 for no limit.
        attempts: Requests for one answer at most.
        timeout: Seconds without a byte from the server after which a request has failed.
    """

    concurrency: int = 4
    per_minute: float = 0.0
    attempts: int = 6
    timeout: float = 300.0

    def __post_init__(self) -> None:
        if self.concurrency < 1 or self.attempts < 1 or self.timeout <= 0 or self.per_minute < 0:
            raise BadInput(f"{self}: concurrency and attempts are at least 1, timeout above 0, per_minute not below")


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


class Again(Exception):
    """A request failed, and another may not. ``after``: seconds that the server wants to be left alone."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


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
        self._http = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(rate_limit.timeout, connect=min(rate_limit.timeout, _PROBE), pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=rate_limit.concurrency),
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def listed(self) -> list[str]:
        """Ask the server which models it has: one request, never repeated.

        Returns:
            Their names; none where there is no list.

        Raises:
            BadInput: No server answers there, it does not take the key, or it is not ready.
        """
        try:
            response = self._http.get("models", timeout=_PROBE)
        except httpx2.RequestError as error:
            raise BadInput(
                self.hide(f"no server answers at {self.url} ({reason(error)}): start it, or correct the url")
            ) from None
        status = response.status_code
        if status >= 500 or 300 <= status < 400:
            raise BadInput(f"{self.url} answers {status}: wait until the server is ready, or correct the url")
        if status in (401, 403):
            self._refuse(response)
        try:
            return sorted(str(each["id"]) for each in response.json()["data"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return []

    def post(self, path: str, body: bytes, read: Callable[[httpx2.Response], T], stop: threading.Event) -> T | None:
        """Send JSON, again while the failure may pass.

        Args:
            path: Below the url.
            body: JSON.
            read: What an answer of status 200 says; it raises ``Again`` where that cannot be used.
            stop: Ends the waiting.

        Returns:
            What was read; None when all stopped before it came.

        Raises:
            BadInput: The server refuses the request.
            ModelFault: No usable answer after all attempts.
        """
        tried = 0
        while self._pace.turn(stop):
            try:
                return read(self._request(path, body))
            except Again as error:
                tried += 1
                if tried == self._rate_limit.attempts:
                    message = self.hide(f"{self._name}: no answer after {tried} attempts, the last: {error}")
                    raise ModelFault(f"{message}; see the server's log, or allow more attempts") from None
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tried - 1)) * (0.5 + self._clock.chance() / 2)
                self._pace.hold(error.after)
                self._clock.wait(stop, max(wait, error.after))
        return None

    def count(self, **more: int) -> None:
        """Add to the counts."""
        with self._lock:
            self.usage.update(more)

    def hide(self, text: str) -> str:
        """A text without the key, which some servers repeat when they complain of it."""
        return text.replace(self._key, "***") if self._key else text

    def _request(self, path: str, body: bytes) -> httpx2.Response:
        """One request; an ``Again`` where the next may succeed."""
        self.count(requests=1)
        try:
            response = self._http.post(path, content=body, headers={"Content-Type": "application/json"})
        except httpx2.TimeoutException:
            raise Again(f"nothing came for {self._rate_limit.timeout:g} s") from None
        except httpx2.RequestError as error:
            raise Again(f"the connection failed ({reason(error)})") from None
        status = response.status_code
        if status in (408, 429) or status >= 500:
            wait = seconds_to_wait(response.headers.get("retry-after", ""))
            if wait > _LONGEST_ASKED_FOR:
                raise ModelFault(f"{self._name}: the server asks to be left alone for {wait:g} s; run again then")
            raise Again(f"{status} {error_message(response)}", wait)
        if status != 200:
            self._refuse(response)
        return response

    def _refuse(self, response: httpx2.Response) -> NoReturn:
        """A refusal that no repetition fixes."""
        status, message = response.status_code, error_message(response)
        key = f"the key in {self._key_name} is not taken" if self._key else f"it wants a key: set {KEYS[0]}"
        fix = key if status in (401, 403) else self._fix(status, message)
        raise BadInput(self.hide(f"{self._name}: {self.url} answers {status}: {message}; {fix}"))


def error_message(response: httpx2.Response) -> str:
    """The error message of a server, in one line."""
    try:
        message = response.json()
        message = message.get("error", message)
        message = message.get("message", message) if isinstance(message, dict) else message
    except (ValueError, AttributeError, RecursionError):
        message = response.text
    return one_line(message) or response.reason_phrase


def reason(error: Exception) -> str:
    """The message of an error, or its name, in one line."""
    return one_line(error) or type(error).__name__


def one_line(text: object) -> str:
    """A text in one line, of 300 characters at most."""
    line = " ".join(str(text).split())
    return line if len(line) <= 300 else f"{line[:299]}…"


def seconds_to_wait(retry_after: str) -> float:
    """A Retry-After header, which has seconds or a date; 0 where neither can be read."""
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def environment_key() -> tuple[str, str]:
    """Name and value of the key; empty where there is none, as most servers of one's own want none."""
    for name in KEYS:
        if value := os.environ.get(name, "").strip():
            if not (value.isascii() and value.isprintable()):
                raise BadInput(f"{name} holds characters that no key has; set it anew")
            return name, value
    return "", ""


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
