"""One model in several places: an adapter whose chunks go to workers as they become free.

Nothing is shared between the workers and nothing is collective: each loads the model, gets texts and sends numbers
back. A worker that dies or hangs is replaced, where it can be, and its chunk given away once more; the second time the
task fails. Where the workers live is up to ``processes.py`` (this machine) and ``cluster.py`` (Ray).
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput, FlagbenchError, ModelFault
from flagbench.models.contract import DENSE, Adapter, Capability, LayeredScorer, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT, Input, Modality, Pair
from flagbench.models.spec import ModelSpec

# A worker hangs when a chunk takes longer than this, and longer than so many times the longest one before it.
PATIENCE_SECONDS = 1_800.0
_PATIENCE_TIMES = 20.0
_ATTEMPTS = 2

Load = Callable[..., Adapter]
"""``load(device=…)`` gives the model on a device. Sent to the workers, so it must be picklable."""

Message = tuple[str, ModelSpec, list[Any], dict[str, Any]]
"""Name of a call of the adapter, the spec it is read at, the texts or pairs, and the arguments."""


@dataclass(frozen=True)
class Block:
    """A block of a corpus that a worker is to search; what comes back is ``BlockHits``.

    Attributes:
        queries: ``float32[q, d]``, the very same array for all blocks of one search.
        vectors: ``float32[n, d]``.
        k: Found per query.
    """

    queries: NDArray[np.float32]
    vectors: NDArray[np.float32]
    k: int


class WorkerLost(Exception):
    """A worker died or hung."""


class WorkerError(Exception):
    """An error raised by a worker's code, with its traceback."""


@dataclass(frozen=True)
class Facts:
    """Facts about the adapter that a worker loaded."""

    capabilities: frozenset[Capability]
    parts: frozenset[Part]
    backend: str
    modalities: frozenset[Modality] = TEXT


class Worker(Protocol):
    """One place where the model is loaded, as the pool sees it."""

    def ready(self) -> Facts:
        """Wait until the model is loaded.

        Raises:
            BadInput: It cannot be.
            WorkerLost: The worker died meanwhile, or there is no place for it.
        """
        ...

    def call(self, message: Message | Block, patience: float) -> Any:
        """Have the worker do something.

        Args:
            message: What. Blocks come only from pools that search.
            patience: Seconds to wait.

        Raises:
            WorkerLost: It died, or took longer.
            WorkerError: Its code failed.
        """
        ...

    def kill(self) -> None:
        """End it, whatever it does."""
        ...


class Pool:
    """An adapter that is loaded by each of several workers.

    Attributes:
        spec: As the model's.
        device: Where the workers are; ``cpu`` when all are on processors.
        lanes: Chunks that can run at the same time.
    """

    def __init__(
        self,
        spec: ModelSpec,
        starts: Sequence[Callable[[], Worker]],
        device: str,
        *,
        patience: float = PATIENCE_SECONDS,
        end: Callable[[], object] = lambda: None,
    ) -> None:
        """Start the workers and wait until each has loaded the model.

        Args:
            spec: Of the model.
            starts: Each starts one worker, and starts it again when it was lost.
            device: Where they are.
            patience: Seconds after which a chunk's worker hangs, if no chunk before was that slow.
            end: Called when the pool is closed and nothing of it runs any more.

        Raises:
            BadInput: The model cannot be loaded.
            ModelFault: A worker died while it loaded.
        """
        self.spec = spec
        self.device = device
        self.lanes = len(starts)
        self._patience = patience
        self._longest = 0.0
        self._workers: dict[int, Worker] = {}
        self._starts = starts
        self._free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._changing = threading.Lock()
        self._replacing: list[threading.Thread] = []
        self._end = end
        try:
            for number, start in enumerate(starts):
                self._workers[number] = start()
            facts = [worker.ready() for worker in self._workers.values()]
        except BaseException as error:
            self.close()
            if isinstance(error, WorkerLost):
                raise ModelFault(f"{spec.name} could not be loaded: {error}") from error
            raise
        for number in self._workers:
            self._free.put(number)
        self.capabilities, self.parts, self.backend = facts[0].capabilities, facts[0].parts, facts[0].backend
        self.modalities = facts[0].modalities

    def reading(self, spec: ModelSpec) -> Pool:
        """The same workers, which read a layerwise reranker at the cutoff layer of another spec."""
        other = object.__new__(type(self))
        other.__dict__ = self.__dict__ | {"spec": spec}
        return other

    def prepare(self, texts: Sequence[Any], **arguments: Any) -> Callable[[], Any]:
        """See the contract of encoders and scorers. What it returns may be called from several threads at once."""
        call = "encode" if "encode" in self.capabilities else "score"
        return lambda: self._run((call, self.spec, list(texts), arguments))

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        return cast("Embeddings", self.prepare(texts, role=role, instruction=instruction, parts=parts)())

    def score(self, pairs: Sequence[Pair], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        return cast("NDArray[np.float32]", self.prepare(pairs, instruction=instruction)())

    def close(self) -> None:
        """End the workers, and wait for whoever is replacing one; a second time does nothing."""
        with self._changing:
            if self._closed.is_set():
                return
            self._closed.set()
        for worker in list(self._workers.values()):
            worker.kill()
        self._free.put(None)
        for thread in self._replacing:
            thread.join()
        self._end()

    def _run(self, message: Message | Block) -> Any:
        reasons: list[str] = []
        for _ in range(_ATTEMPTS):
            number = self._free.get()
            if number is None:
                self._free.put(None)  # for the next who waits
                reasons.append("no worker is left")
                break
            started = time.monotonic()
            try:
                result = self._workers[number].call(message, max(self._patience, _PATIENCE_TIMES * self._longest))
            except WorkerLost as error:
                reasons.append(str(error))
                self._begin_to_replace(number)
                continue
            except BaseException:
                self._free.put(number)
                raise
            self._free.put(number)
            self._longest = max(self._longest, time.monotonic() - started)
            return result
        what = (
            "the same vectors could not be searched"
            if isinstance(message, Block)
            else "the same texts could not be run"
        )
        raise ModelFault(f"{self.spec.name}: {what}: {'; '.join(reasons)}")

    def _begin_to_replace(self, number: int) -> None:
        """Not waited for: another worker may be free long before a new one has loaded the model."""
        with self._changing:
            if self._closed.is_set():
                return
            thread = threading.Thread(target=self._replace, args=(number,), name="replace", daemon=True)
            self._replacing.append(thread)
            thread.start()

    def _replace(self, number: int) -> None:
        """A new worker in the place of a lost one; where there can be none, the others go on alone."""
        try:
            self._workers[number].kill()
            if self._closed.is_set():
                return
            self._workers[number] = self._starts[number]()
            if self._closed.is_set():  # close may have gone through the workers before this one was among them
                self._workers[number].kill()
                return
            self._workers[number].ready()
        except Exception:  # whatever keeps it from starting
            lost = self._workers.pop(number)
            if not self._workers:
                self._free.put(None)
            lost.kill()
            return
        self._free.put(number)


class Served:
    """The model in a worker, and its answers."""

    def __init__(self, load: Load, device: str) -> None:
        self._adapter: Any = load(device=device)

    def facts(self) -> Facts:
        """Facts about the loaded adapter."""
        adapter = self._adapter
        return Facts(
            adapter.capabilities,
            getattr(adapter, "parts", frozenset()),
            adapter.backend,
            getattr(adapter, "modalities", TEXT),
        )

    def answer(self, message: Message) -> Any:
        """Answer a message."""
        call, spec, texts, arguments = message
        adapter = self._adapter
        # Other adapters serve every spec that the pool reads: it differs from theirs by its name alone.
        if spec != adapter.spec and isinstance(adapter, LayeredScorer):
            adapter = adapter.reading(spec)
        return getattr(adapter, call)(texts, **arguments)


def outcome(call: Callable[[], Any]) -> Any:
    """Result of a call, or the error that it raised, in a form that can be sent."""
    try:
        return call()
    except FlagbenchError as error:
        return (BadInput if error.exit_code == BadInput.exit_code else ModelFault)(str(error))
    except Exception as error:  # whatever it is, the pool is told
        return WorkerError(f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}")


def unwrapped(answer: Any) -> Any:
    """Return the result of ``outcome``, or raise its error."""
    if isinstance(answer, BaseException):
        raise answer
    return answer
