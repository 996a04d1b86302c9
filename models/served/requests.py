"""Requests of several texts each, many at a time: replies as they come, and smaller ones where one is refused."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from flagbench import BadInput
from flagbench.models.servers.concurrent import Round, Stop
from flagbench.models.servers.http import Refused

R = TypeVar("R")

MOST_TEXTS, MOST_CHARACTERS = 32, 100_000
"""Of a request without a word: what a text-embeddings-inference takes of texts, and a third of the 300,000 tokens that
OpenAI's reference allows even where each character is a token."""

_TOO_MANY = frozenset({400, 413, 422})
"""Refusals of a request that may be too large; a text that is too long gets the same."""
_OF_COUNT = re.compile(r"batch|too many|array|at most \d+ (?:inputs|items|texts|documents)", re.IGNORECASE)


class Requests(Generic[R]):
    """What is sent of many texts.

    Attributes:
        most: Texts of a request; fewer once a server has refused so many.
    """

    def __init__(self, most: int = MOST_TEXTS) -> None:
        self.most = most

    def batches(self, costs: Sequence[int], groups: Sequence[object] = ()) -> Iterator[tuple[int, ...]]:
        """Cut texts into requests, in their order.

        Args:
            costs: Characters of each text.
            groups: Of each text, what it has in common with others of its request; empty where any may go together.

        Yields:
            Positions of the texts of a request: one, or several with ``MOST_CHARACTERS`` in all at most.
        """
        batch: list[int] = []
        characters = 0
        for position, cost in enumerate(costs):
            other = bool(groups and batch and groups[batch[-1]] != groups[position])
            if batch and (other or len(batch) >= self.most or characters + cost > MOST_CHARACTERS):
                yield tuple(batch)
                batch, characters = [], 0
            batch.append(position)
            characters += cost
        if batch:
            yield tuple(batch)

    def replies(
        self,
        batches: Iterator[tuple[int, ...]],
        ask: Callable[[Sequence[int], Stop], R | None],
        concurrency: int,
        alone: Callable[[int, Refused], BadInput],
    ) -> Iterator[tuple[tuple[int, ...], R]]:
        """Send requests in threads of their own.

        Args:
            batches: Taken one by one, in the caller's thread, when there is room.
            ask: Sends one and reads its reply; None when all stopped before it came.
            concurrency: Requests at the same time.
            alone: What is said of a text that is refused although it is sent alone.

        Yields:
            The positions of a request, and what came, in the order in which replies come.

        Raises:
            BadInput: A text is refused.
            ModelFault: A server fails, or gives nothing usable. Replies to the other requests on their way come before.
        """
        threads: Round[tuple[int, ...], R] = Round(ask)
        sent: dict[int, tuple[int, ...]] = {}
        halves: deque[tuple[int, ...]] = deque()
        fault: BaseException | None = None
        number = 0
        try:
            while True:
                while fault is None and threads.out < concurrency:
                    batch = halves.popleft() if halves else next(batches, None)
                    if batch is None:
                        break
                    sent[number] = batch
                    threads.put((number, batch))
                    number += 1
                if not threads.out:
                    break
                which, result = threads.get()
                batch = sent.pop(which)
                if isinstance(result, Refused) and result.status in _TOO_MANY:
                    if len(batch) > 1:
                        halves.extendleft(reversed(self._halved(batch, result)))
                        continue
                    result = alone(batch[0], result)
                if isinstance(result, BaseException):
                    fault = fault or result
                    threads.stop.set()
                elif result is not None:
                    yield batch, result
            if fault is not None:
                raise fault
        finally:
            threads.close()

    def _halved(self, batch: tuple[int, ...], refusal: Refused) -> list[tuple[int, ...]]:
        middle = (len(batch) + 1) // 2
        if refusal.status == 413 or _OF_COUNT.search(refusal.said):
            self.most = min(self.most, middle)
        return [batch[:middle], batch[middle:]]
