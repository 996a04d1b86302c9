"""Models behind a server that speaks OpenAI's chat completions: vLLM, SGLang, llama.cpp, or a paid service.

A question is one POST to ``<url>/chat/completions``, at temperature 0. The frames go before the text, each as an
``image_url`` of base64 JPEG, which every such server takes, or all in one ``video_url`` (``data:video/jpeg``), which
vLLM takes and which keeps them a video for models that pair frames. The key comes from the environment and goes into
one header only.
"""

from __future__ import annotations

import json
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args

import httpx2
import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.contract import Capability, Loading
from flagbench.models.servers.chat import (
    JPEG,
    KEYS,
    Again,
    Images,
    environment_key,
    error_message,
    image_parts,
    one_line,
    plain_url,
    read_completion,
    reason,
    seconds_to_wait,
)
from flagbench.models.servers.settings import ServerSettings
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoPrompt, VideoSettings

_OWN = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "seed", "stream", "n"}
_FIRST_WAIT, _LONGEST_WAIT, _LONGEST_ASKED_FOR, _PROBE = 1.0, 60.0, 600.0, 10.0  # seconds


@dataclass(frozen=True)
class RateLimit:
    """How a server is asked. None of it moves a score.

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
    """What time is for the client: seconds that rise, a wait that an event ends, and the jitter, in [0, 1)."""

    now: Callable[[], float] = time.monotonic
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    chance: Callable[[], float] = random.random


_RATE_LIMIT, _CLOCK = RateLimit(), Clock()


class _Pace:
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


class _Round:
    """The threads of one call of ``answers``. Daemons: an interrupted run must not wait minutes for a server."""

    def __init__(self, ask: Callable[[VideoPrompt, threading.Event], str | None]) -> None:
        self.stop = threading.Event()
        self._ask = ask
        self._todo: queue.SimpleQueue[tuple[int, VideoPrompt] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, str | BaseException | None]] = queue.SimpleQueue()
        self._threads = self.out = 0

    def put(self, item: tuple[int, VideoPrompt]) -> None:
        """Have a question asked."""
        self._todo.put(item)
        self.out += 1
        if self._threads < self.out:
            threading.Thread(target=self._work, daemon=True).start()
            self._threads += 1

    def get(self) -> tuple[int, str | BaseException | None]:
        """Wait for the next answer, or the error in its place; None for a question that was given up."""
        result = self._done.get()
        self.out -= 1
        return result

    def close(self) -> None:
        """Let the threads end."""
        self.stop.set()
        for _ in range(self._threads):
            self._todo.put(None)

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            try:
                self._done.put((item[0], self._ask(item[1], self.stop)))
            except BaseException as error:
                self._done.put((item[0], error))


class ApiModel:
    """Answers through a server. Calls may come from several threads; they share the pace and the counts.

    Attributes:
        usage: ``requests`` (failed ones too), ``answers``, ``prompt_tokens`` and ``completion_tokens`` as the server
            counts them, ``cut`` (answers that ended at the limit of tokens) and ``empty`` ones, as a model gives that
            reasons up to the limit.

    Raises:
        BadInput: The key cannot be sent.
    """

    capabilities: frozenset[Capability] = frozenset({"generate"})
    device = "server"
    backend = "api"

    def __init__(self, spec: ModelSpec, rate_limit: RateLimit = _RATE_LIMIT, clock: Clock = _CLOCK) -> None:
        self.spec = spec
        self.usage: Counter[str] = Counter()
        self._wire = spec.own_as(ServerSettings).wire()
        self._url = str(self._wire["url"])
        self._rate_limit, self._clock = rate_limit, clock
        self._pace = _Pace(rate_limit.per_minute, clock)
        self._lock = threading.Lock()
        self._key_name, self._key = environment_key()
        self._client = httpx2.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx2.Timeout(rate_limit.timeout, connect=min(rate_limit.timeout, _PROBE), pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=rate_limit.concurrency),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def check(self) -> str:
        """Ask the server which models it has, before any question: one request, never repeated.

        Returns:
            What is odd, in one line: the model is not in its list, which is no error, as servers know aliases. Empty
            where all is well, or there is no list.

        Raises:
            BadInput: No server answers there, it does not take the key, or it is not ready.
        """
        try:
            response = self._client.get("models", timeout=_PROBE)
        except httpx2.RequestError as error:
            raise BadInput(
                self._hide(f"no server answers at {self._url} ({reason(error)}): start it, or correct the url")
            ) from None
        status = response.status_code
        if status >= 500 or 300 <= status < 400:
            raise BadInput(f"{self._url} answers {status}: wait until the server is ready, or correct the url")
        if status in (401, 403):
            self._refuse(response)
        try:
            served = sorted(str(each["id"]) for each in response.json()["data"])
        except (ValueError, TypeError, LookupError, RecursionError):
            return ""
        if not served or self._wire["model"] in served:
            return ""
        return self._hide(f"{self._url} does not list {self._wire['model']}; it has {one_line(', '.join(served))}")

    def generate(self, prompts: Sequence[VideoPrompt], *, max_new_tokens: int) -> list[str]:
        """See the contract. An answer that cannot be had loses the others; ``answers`` gives them as they come."""
        texts = [""] * len(prompts)
        for index, text in self.answers(prompts, max_new_tokens=max_new_tokens):
            texts[index] = text
        return texts

    def score_options(
        self, prompts: Sequence[VideoPrompt], options: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        """See the contract: never."""
        raise BadInput(f"{self.spec.name}: a server gives no probabilities of options; let it generate the answer")

    def answers(self, prompts: Iterable[VideoPrompt], *, max_new_tokens: int) -> Iterator[tuple[int, str]]:
        """Answer greedily, and give each answer as it comes, so that the caller can write it down.

        Args:
            prompts: Taken one by one, in the caller's thread, when there is room: ``concurrency`` at a time.
            max_new_tokens: Tokens of an answer at most.

        Yields:
            The number of the prompt, counted from 0, and its answer, in the order in which answers come.

        Raises:
            BadInput: The server refuses a question, or a prompt has a prefill.
            ModelFault: No usable answer after all attempts. What was on its way by then is yielded before, as it is
                before an error of ``prompts``.
        """
        threads = _Round(lambda prompt, stop: self._ask(prompt, max_new_tokens, stop))
        source = enumerate(prompts)
        fault: BaseException | None = None
        try:
            while True:
                while fault is None and threads.out < self._rate_limit.concurrency:
                    try:
                        threads.put(next(source))
                    except StopIteration:
                        break
                    except Exception as error:
                        fault = error
                if not threads.out:
                    break
                index, result = threads.get()
                if isinstance(result, BaseException):
                    fault = fault or result
                    threads.stop.set()
                elif result is not None:
                    yield index, result
            if fault is not None:
                raise fault
        finally:
            threads.close()

    def _ask(self, prompt: VideoPrompt, max_new_tokens: int, stop: threading.Event) -> str | None:
        """One answer; None when all stopped before it came."""
        body, tried = self._body(prompt, max_new_tokens), 0
        while self._pace.turn(stop):
            try:
                return self._request(body)
            except Again as error:
                tried += 1
                if tried == self._rate_limit.attempts:
                    said = self._hide(f"{self.spec.name}: no answer after {tried} attempts, the last: {error}")
                    raise ModelFault(f"{said}; see the server's log, or allow more attempts") from None
                wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (tried - 1)) * (0.5 + self._clock.chance() / 2)
                self._pace.hold(error.after)
                self._clock.wait(stop, max(wait, error.after))
        return None

    def _body(self, prompt: VideoPrompt, max_new_tokens: int) -> bytes:
        if prompt.prefill:
            raise BadInput(
                f"{self.spec.name}: a server cannot go on from '{prompt.prefill}'; use the prompt no-prefill"
            )
        content: str | list[dict[str, Any]] = prompt.user
        if prompt.clip is not None and len(prompt.clip.frames):
            content = [*image_parts(prompt.clip, str(self._wire["images"])), {"type": "text", "text": prompt.user}]
        system = [{"role": "system", "content": prompt.system}] if prompt.system else []
        body = {
            "model": self._wire["model"],
            "messages": [*system, {"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": max_new_tokens,
            **({"seed": int(self._wire["seed"])} if "seed" in self._wire else {}),
            **json.loads(str(self._wire["extra"])),
        }
        return json.dumps(body).encode()

    def _request(self, body: bytes) -> str:
        """One request; an ``Again`` where the next may succeed."""
        self._count(requests=1)
        try:
            response = self._client.post("chat/completions", content=body, headers={"Content-Type": "application/json"})
        except httpx2.TimeoutException:
            raise Again(f"nothing came for {self._rate_limit.timeout:g} s") from None
        except httpx2.RequestError as error:
            raise Again(f"the connection failed ({reason(error)})") from None
        status = response.status_code
        if status in (408, 429) or status >= 500:
            asked = seconds_to_wait(response.headers.get("retry-after", ""))
            if asked > _LONGEST_ASKED_FOR:
                raise ModelFault(f"{self.spec.name}: the server asks to be left alone for {asked:g} s; run again then")
            raise Again(f"{status} {error_message(response)}", asked)
        if status != 200:
            self._refuse(response)
        text, counts = read_completion(response)
        self._count(answers=1, empty=int(not text.strip()), **counts)
        return text

    def _count(self, **more: int) -> None:
        with self._lock:
            self.usage.update(more)

    def _refuse(self, response: httpx2.Response) -> NoReturn:
        """A refusal that no repetition mends."""
        status, said = response.status_code, error_message(response)
        key = f"the key in {self._key_name} is not taken" if self._key else f"it wants a key: set {KEYS[0]}"
        name = f"is '{self._wire['model']}' its name there, and does the url end as it should (/v1)?"
        mend = {401: key, 403: key, 404: name}.get(status, "does it take images, and so many frames and tokens?")
        if status in (400, 422) and "seed" in said:
            mend = "let no seed be sent"
        raise BadInput(self._hide(f"{self.spec.name}: {self._url} answers {status}: {said}; {mend}"))

    def _hide(self, text: str) -> str:
        """A text without the key, which some servers repeat when they complain of it."""
        return text.replace(self._key, "***") if self._key else text


def api_model(
    name: str,
    url: str,
    video: VideoSettings,
    *,
    images: Images = "image_url",
    seed: int | None = 0,
    extra: Mapping[str, Any] | None = None,
    revision: str = "server",
) -> ModelSpec:
    """The spec of a model behind a server; nothing is asked of it.

    Args:
        name: As the server calls it.
        url: Up to and with ``/v1``. It is part of the spec: another server may have other weights of that name.
        video: The prompt must be ``no-prefill`` and the answer generated.
        images: How frames are sent.
        seed: For servers that are not deterministic at temperature 0; None for those that refuse one.
        extra: More fields of every request (``mm_processor_kwargs``).
        revision: Of the weights, where it is known: a server does not say.

    Raises:
        BadInput: One of them is not possible.
    """
    if not name.strip():
        raise BadInput("the model on the server has no name: name one of those that the server lists")
    if video.prompt != "no-prefill":
        raise BadInput(f"api/{name}: a server cannot go on from the beginning of an answer; use the prompt no-prefill")
    if video.answer != "generate":
        raise BadInput(f"api/{name}: a server gives no probabilities of options; let it generate the answer")
    if images not in get_args(Images):
        raise BadInput(f"api/{name}: frames are sent as {' or '.join(get_args(Images))}, not as '{images}'")
    if own := _OWN & set(extra or {}):
        raise BadInput(f"api/{name}: {', '.join(sorted(own))} cannot be an extra field: FlagBench sets it")
    return ModelSpec(
        name=f"api/{name}",
        revision=revision,
        family="api",
        adapter="api",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
        own=ServerSettings.of(
            video,
            url=plain_url(url),
            model=name,
            images=images,
            jpeg=JPEG,
            extra=json.dumps(extra or {}, sort_keys=True),
            seed=seed,
        ),
    )


def load(spec: ModelSpec, directory: Path, loading: Loading) -> ApiModel:
    """Nothing is read: the spec is all there is."""
    return ApiModel(spec)
