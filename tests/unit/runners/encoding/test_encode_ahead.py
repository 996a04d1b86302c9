"""The next chunk is prepared while the model runs on this one; whatever goes wrong surfaces as itself."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.contract import DENSE
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT
from flagbench.models.loading.registry import published
from flagbench.models.passes import passed
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.cache import CachedEmbeddings, EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder, score_pairs
from flagbench.runners.progress import Silent
from flagbench.runners.store.store import Store

Opened = Callable[..., Store]
SPEC = published()["flagbench/random"]
TEXTS = [letter * (10 - row) for row, letter in enumerate("abcdefgh")]  # longest first
PAIRS = [(text, text) for text in TEXTS]
CHUNKS = 4
SECONDS = 30.0  # nobody waits so long unless something is broken


@pytest.fixture(autouse=True)
def current(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Devices that were made the current ones, each with the thread; there is none here."""
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(encode, "make_current", lambda device: made.append((threading.current_thread().name, device)))
    return made


@pytest.fixture(autouse=True)
def chunks_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_CHUNK_CPU", (2, 1_000))
    monkeypatch.setattr(encode, "_CHUNK_GPU", (2, 1_000))


class Watched:
    """An encoder and a reranker that tells what is done where; something may be done at each step.

    Attributes:
        steps: ``prepare`` or ``run``, number of the chunk, and name of the thread, in the order in which they ended.
    """

    capabilities = frozenset({"encode", "score"})
    parts = DENSE
    modalities = TEXT
    backend = "numpy"
    spec = SPEC

    def __init__(self, at: Callable[[str, int], None] = lambda step, chunk: None, device: str = "cpu") -> None:
        self.device = device
        self.steps: list[tuple[str, int, str]] = []
        self._at = at

    def prepare(self, items: Sequence[Any], **asked: Any) -> Callable[[], Any]:
        chunk = (TEXTS if isinstance(items[0], str) else PAIRS).index(items[0]) // 2
        self._did("prepare", chunk)

        def run() -> Any:
            self._did("run", chunk)
            if "role" in asked:
                return FakeEncoder(SPEC).encode(items, role=asked["role"])
            return np.array([len(query) for query, _ in items], dtype=np.float32)

        return run

    def _did(self, step: str, chunk: int) -> None:
        self._at(step, chunk)
        self.steps.append((step, chunk, threading.current_thread().name))

    def done(self, step: str) -> list[int]:
        return [chunk for each, chunk, _ in self.steps if each == step]


def embed(adapter: Any, cache: EmbeddingCache | None = None) -> NDArray[np.float32]:
    return TextEncoder(adapter, Silent(), cache).encode(TEXTS, role="passage")


def score(adapter: Any, cache: EmbeddingCache | None = None) -> NDArray[np.float32]:
    return score_pairs(adapter, PAIRS, instruction="", progress=Silent(), cache=cache)


DEVICES = ("cpu", "cuda:0")
WAYS = pytest.mark.parametrize("way", [embed, score])


def idle() -> bool:
    """Whether no thread that prepares, or runs a model, is left."""
    return not any(thread.name.startswith(("prepare", "run")) for thread in threading.enumerate())


def truth(way: Callable[..., Any]) -> NDArray[np.float32]:
    if way is embed:
        return FakeEncoder(SPEC).encode(TEXTS, role="passage").dense
    return np.array([len(text) for text in TEXTS], dtype=np.float32)


@WAYS
def test_the_next_chunk_is_prepared_while_the_model_runs(way: Callable[..., Any]) -> None:
    """A pass ends only when the chunk after it is there, and that none other is."""
    prepared = [threading.Event() for _ in range(CHUNKS)]

    def at(step: str, chunk: int) -> None:
        if step == "prepare":
            prepared[chunk].set()
        elif chunk + 1 < CHUNKS:
            assert prepared[chunk + 1].wait(SECONDS)
            assert [event.is_set() for event in prepared] == [number <= chunk + 1 for number in range(CHUNKS)]

    adapter = Watched(at)
    np.testing.assert_array_equal(way(adapter), truth(way))
    assert adapter.done("prepare") == adapter.done("run") == [0, 1, 2, 3]
    here = threading.current_thread().name
    assert {name for step, _, name in adapter.steps if step == "run"} == {here}
    elsewhere = {name for step, _, name in adapter.steps if step == "prepare"}
    assert len(elsewhere) == 1
    assert elsewhere.pop().startswith("prepare")
    assert idle()


@WAYS
def test_the_model_runs_while_the_next_chunk_is_prepared(way: Callable[..., Any]) -> None:
    ran = [threading.Event() for _ in range(CHUNKS)]

    def at(step: str, chunk: int) -> None:
        if step == "run":
            ran[chunk].set()
        elif chunk > 1:
            assert ran[chunk - 2].is_set()
        elif chunk == 1:
            assert ran[0].wait(SECONDS)

    np.testing.assert_array_equal(way(Watched(at)), truth(way))


class Odd(Exception):
    """Nothing that FlagBench knows."""


@WAYS
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("error", [Odd("as it is"), BadInput("one line"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("broken", range(CHUNKS))
@pytest.mark.parametrize("step", ["prepare", "run"])
def test_an_error_surfaces_as_itself_and_what_came_before_is_kept(
    step: str, broken: int, error: BaseException, device: str, way: Callable[..., Any], opened: Opened
) -> None:
    def at(where: str, chunk: int) -> None:
        if (where, chunk) == (step, broken):
            raise error

    adapter, again = Watched(at, device), Watched(device=device)
    with pytest.raises(type(error)) as caught:
        way(adapter, EmbeddingCache(opened()))
    assert caught.value is error
    assert adapter.done("run") == list(range(broken))
    assert idle()
    np.testing.assert_array_equal(way(again, EmbeddingCache(opened())), truth(way))
    assert again.done("run") == list(range(broken, CHUNKS))


@pytest.mark.parametrize("device", DEVICES)
def test_who_takes_no_more_chunks_leaves_nothing_running(device: str) -> None:
    adapter = Watched(device=device)
    chunks = TextEncoder(adapter, Silent()).chunks(TEXTS, role="passage", parts=DENSE)
    rows, found = next(chunks)
    assert rows.tolist() == [0, 1]
    assert isinstance(found, Embeddings)
    chunks.close()
    assert idle()
    assert adapter.done("run") == list(range(len(adapter.done("run"))))
    assert adapter.done("run") == [0] or device != "cpu"


# On a GPU


@WAYS
def test_on_a_gpu_the_model_runs_while_the_chunk_before_is_kept(
    way: Callable[..., Any], opened: Opened, current: list[tuple[str, str]]
) -> None:
    """A chunk is put into the store only once the model runs on the next one, in a thread of its own."""
    begun = [threading.Event() for _ in range(CHUNKS)]
    cache, kept = EmbeddingCache(opened()), itertools.count()
    put = CachedEmbeddings.put

    def waits(self: Any, *given: Any) -> Any:
        number = next(kept)
        assert begun[min(number + 1, CHUNKS - 1)].wait(SECONDS)
        return put(self, *given)

    adapter = Watched(lambda step, chunk: begun[chunk].set() if step == "run" else None, "cuda:1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CachedEmbeddings, "put", waits)
        np.testing.assert_array_equal(way(adapter, cache), truth(way))
    assert adapter.done("run") == [0, 1, 2, 3]
    assert next(kept) == CHUNKS
    assert {name for step, _, name in adapter.steps if step == "run"} == {"run_0"}
    assert current == [("run_0", "cuda:1")]
    assert idle()


@WAYS
def test_an_interrupted_caller_waits_for_one_pass_and_not_for_a_chunk(way: Callable[..., Any], opened: Opened) -> None:
    """Ctrl-C falls into the caller, while the model would have passes for hours."""
    interrupted, ended = threading.Event(), threading.Event()

    def at(step: str, chunk: int) -> None:
        if (step, chunk) != ("run", 1):
            return
        assert interrupted.wait(SECONDS)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            passed(1)
        ended.set()

    def interrupts(*_: Any) -> Any:
        interrupted.set()
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CachedEmbeddings, "put", interrupts)
        with pytest.raises(KeyboardInterrupt):
            way(Watched(at, "cuda:0"), EmbeddingCache(opened()))
    assert not ended.is_set()
    assert idle()


def test_nothing_is_prepared_that_the_store_has(opened: Opened) -> None:
    embed(Watched(), EmbeddingCache(opened()))
    adapter = Watched()
    np.testing.assert_array_equal(embed(adapter, EmbeddingCache(opened())), truth(embed))
    assert adapter.steps == []
