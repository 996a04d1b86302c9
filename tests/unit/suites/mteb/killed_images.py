"""Image tasks in a process that may kill itself, which a test starts: STORE LOG CHUNKS.

The log gets the key of each image that was encoded. With a number of chunks, the process kills itself when it is asked
for the next one with images after so many.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Item
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.progress import Silent
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.runners.store.store import Store
from flagbench.suites.mteb.options import MtebOptions
from tests.contract.drawing_reader import Guesser

NAMES = ("TUBerlinT2IRetrieval", "CIRRIT2IRetrieval", "CIFAR10", "CIFAR10Clustering")


class Killed(Guesser):
    """Notes what it encodes."""

    def __init__(self, log: Path, chunks: int) -> None:
        super().__init__()
        self._log, self._chunks = log, chunks
        self._done = 0

    def encode(self, texts: Any, **asked: Any) -> Embeddings:
        items = [each for each in texts if isinstance(each, Item)]
        if items and self._chunks and self._done == self._chunks:
            os.kill(os.getpid(), signal.SIGKILL)
        found = super().encode(texts, **asked)
        self._done += bool(items)
        with self._log.open("a", encoding="utf-8") as file:
            file.writelines(f"{each.text.replace(' ', '_')}{each.images[0].key.hex()}\n" for each in items)
        return found


def run(store: Path, log: Path, chunks: int) -> dict[str, Any]:
    """The scores of all tasks."""
    benchmark: Any = find_benchmark("mteb")
    request = RunRequest("m", "mteb", tasks=NAMES, options=MtebOptions())
    kept = Store(store, cap_bytes=None, warn=print)
    adapter = Killed(log, chunks)
    scores = {}
    for row in benchmark.select(request):
        loaded = benchmark.load(row, Snapshots(benchmark.mini_data()), request)
        model = EvaluatedModel(adapter, cache=EmbeddingCache(kept))
        scores[row.name] = benchmark.evaluate(loaded, model, Silent(), None).scores
    kept.close()
    return scores


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
