"""Actors of a cluster as workers, over a stand-in for Ray; a real cluster is in tests/e2e/test_ray.py."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.contract import DENSE
from flagbench.runners.search.index import search_block
from flagbench.runners.workers.cluster import _Actor, _Shared
from flagbench.runners.workers.pool import Block, Facts, Message, WorkerError, WorkerLost
from tests.unit.worker_models import ENCODER


class _Actors:
    """A connected cluster whose actors do what they are asked here, and what was asked of it."""

    class exceptions:  # noqa: N801
        class RayError(Exception): ...

        class GetTimeoutError(RayError): ...

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.fault: Exception | None = None
        self.made: Any = None

    def is_initialized(self) -> bool:
        return True

    def put(self, value: Any) -> Any:
        self.events.append("put")
        return value

    def remote(self, kind: Any) -> Any:
        def options(**asked: Any) -> Any:
            self.events.append(asked)
            return SimpleNamespace(remote=lambda *given: self._handle(kind(*given)))

        return SimpleNamespace(options=options)

    def _handle(self, made: Any) -> Any:
        self.made = made
        names = ("facts", "answer", "search")
        calls = {
            name: SimpleNamespace(remote=functools.partial(functools.partial, getattr(made, name))) for name in names
        }
        return SimpleNamespace(**calls)

    def get(self, reference: Any, *, timeout: float) -> Any:
        self.events.append(timeout)
        if self.fault:
            raise self.fault
        return reference()

    def kill(self, handle: Any) -> None:
        self.events.append("killed")


def test_an_actor_answers_and_is_lost_as_a_worker() -> None:
    ray = _Actors()
    devices: list[str] = []

    def load(*, device: str) -> FakeEncoder:
        devices.append(device)
        return FakeEncoder(ENCODER)

    actor = _Actor(ray, _Shared(ray), load, "cpu", {"num_cpus": 3})
    assert ray.events == [{"max_restarts": 0, "max_task_retries": 0, "num_cpus": 3}]
    assert actor.ready() == Facts(frozenset({"encode"}), DENSE, "numpy", frozenset({"text", "image"}))
    assert (devices, ray.events[1:]) == (["cpu"], [600.0])
    given: Message = ("encode", ENCODER, ["a", "b"], {"role": "query"})
    expected = FakeEncoder(ENCODER).encode(["a", "b"], role="query").dense
    assert expected is not None
    assert actor.call(given, 7.0).dense.tobytes() == expected.tobytes()
    queries, vectors = expected, np.concatenate([expected[::-1], expected])
    hits = actor.call(Block(queries, vectors, 3), 8.0)
    alone = search_block(queries, vectors, 3)
    assert np.array_equal(hits.scores, alone.scores)
    assert np.array_equal(hits.places, alone.places)
    assert ray.events[2:] == [7.0, "put", 8.0]
    with pytest.raises(WorkerError, match="AttributeError"):
        actor.call(("no such call", ENCODER, [], {}), 1.0)
    ray.fault = ray.exceptions.GetTimeoutError("late")
    with pytest.raises(WorkerLost) as caught:
        actor.call(given, 7.4)
    assert str(caught.value) == "a Ray worker gave no answer in 7 s"
    ray.fault = ray.exceptions.RayError("its node died\nand more")
    with pytest.raises(WorkerLost) as caught:
        actor.call(given, 7.0)
    assert str(caught.value) == "a Ray worker was lost: its node died"
    actor.kill()
    assert ray.events[-1] == "killed"


def test_an_actor_that_cannot_load_says_why() -> None:
    def load(*, device: str) -> FakeEncoder:
        raise BadInput(f"no weights on {device}")

    ray = _Actors()
    actor = _Actor(ray, _Shared(ray), load, "cuda:0", {})
    with pytest.raises(BadInput, match="no weights on cuda:0"):
        actor.ready()
