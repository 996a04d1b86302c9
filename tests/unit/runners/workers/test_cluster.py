"""A pool that searches, with workers that follow a script; a real cluster is in tests/e2e/test_ray.py."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.contract import DENSE
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.search import index
from flagbench.runners.search.index import search_block
from flagbench.runners.search.ranking import Texts, rank
from flagbench.runners.workers.cluster import ClusterPool, _Shared
from flagbench.runners.workers.pool import Block, Facts, Message, WorkerError, WorkerLost
from tests.unit.worker_models import ENCODER

TEXTS = [f"passage {row}" for row in range(90)]
QUERIES = Texts([f"q{row}" for row in range(5)], TEXTS[10:60:10])
PASSAGES = Texts([f"p{row}" for row in range(90)], TEXTS)


@dataclass
class Script:
    """What the workers of a pool do at each block, in the order in which blocks come, and what they had.

    Attributes:
        fates: ``lost`` (at the first attempt, or ``always``), ``broken`` or ``fine``, of the first blocks.
        blocks: All that were given out, also again.
        encoded: Chunks.
    """

    fates: Sequence[str] = ()
    blocks: list[Block] = field(default_factory=list)
    encoded: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def given(self, block: Block) -> tuple[int, bool]:
        """Which block it is, and whether it was given out before."""
        with self._lock:
            different = list(dict.fromkeys(id(each.vectors) for each in self.blocks))
            self.blocks.append(block)
            again = id(block.vectors) in different
            return (different.index(id(block.vectors)) if again else len(different)), again

    def pool(self, workers: int = 2) -> ClusterPool:
        return ClusterPool(ENCODER, [functools.partial(Scripted, self)] * workers, "cpu")


class Scripted:
    def __init__(self, script: Script) -> None:
        self._script = script
        self._lost = False

    def ready(self) -> Facts:
        return Facts(frozenset({"encode"}), DENSE, "torch")

    def call(self, message: Message | Block, patience: float) -> Any:
        assert not self._lost, "a lost worker was asked again"
        if not isinstance(message, Block):
            with self._script._lock:
                self._script.encoded += 1
            _, _, texts, asked = message
            return FakeEncoder(ENCODER).encode(texts, **asked)
        number, again = self._script.given(message)
        match self._script.fates[number : number + 1]:
            case ["lost"] if again:
                pass
            case ["lost" | "always"]:
                self._lost = True
                raise WorkerLost("its node went away")
            case ["broken"]:
                raise WorkerError("ZeroDivisionError: not this one")
        return search_block(message.queries, message.vectors, message.k)

    def kill(self) -> None: ...


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (8, 10_000))
    monkeypatch.setattr(index, "_BLOCK_BYTES", 20 * 384 * 4)


def ranked(adapter: Any, search_worker: Callable[[], Any] | None) -> Any:
    return rank(TextEncoder(adapter, Silent()), QUERIES, PASSAGES, None, top_k=7, search_worker=search_worker)


@pytest.mark.parametrize("fates", [[], ["lost"], ["fine", "lost", "fine", "lost"]], ids=str)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_search_what_they_encode(workers: int, fates: list[str]) -> None:
    expected, local = ranked(FakeEncoder(ENCODER), None)
    script = Script(fates)
    pool = script.pool(workers)
    found, info = ranked(pool, lambda: pool)
    pool.close()
    assert found == expected
    assert (info.actor_blocks, info.devices, info.library) == (5, local.devices, local.library)  # of 20 vectors, and 10
    assert len(script.blocks) == 5 + fates.count("lost")
    assert sorted({len(block.vectors) for block in script.blocks}) == [10, 20]
    assert len({id(block.queries) for block in script.blocks}) == 1
    assert script.encoded == 1 + 12


def test_a_block_that_is_lost_twice_ends_the_task() -> None:
    pool = Script(["always"]).pool(3)
    with pytest.raises(ModelFault) as caught:
        pool.search(np.ones((1, 2), np.float32), np.ones((3, 2), np.float32), 1)
    lost = "its node went away"
    assert str(caught.value) == f"{ENCODER.name}: the same vectors could not be searched: {lost}; {lost}"
    pool.close()


def test_an_error_of_a_worker_is_not_tried_again() -> None:
    script = Script(["broken"])
    pool = script.pool()
    with pytest.raises(WorkerError, match="not this one"):
        ranked(pool, lambda: pool)
    pool.close()
    assert len({id(block.vectors) for block in script.blocks}) == len(script.blocks)
    assert not any(thread.name.startswith("prepare") for thread in threading.enumerate())  # nor is encoding left


class Memory:
    """A cluster's memory."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.held: dict[int, NDArray[np.float32]] = {}

    def put(self, value: NDArray[np.float32]) -> int:
        number = next(self._numbers)
        self.held[number] = value
        return number


def test_the_queries_of_a_search_are_put_once() -> None:
    memory = Memory()
    shared = _Shared(memory)
    one, other = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    assert [shared.reference(each) for each in (one, one, other, other, one)] == [0, 0, 1, 1, 2]
    assert [memory.held[number] is each for number, each in enumerate((one, other, one))] == [True] * 3
