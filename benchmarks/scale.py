"""Search over up to a million passages: time, memory, and the very ranking of brute force.

    python benchmarks/scale.py [--passages 1000000] [--queries 1000] [--rounds 1] [--without-mteb]
        [--retrieval dense|sparse|hybrid] [--own]

The encoder is the fake one: a Gaussian vector of 384 numbers for each text. Each size is a process of its own, of
FlagBench with an empty store, with the store that this leaves, and of mteb's own search over the same vectors. What is
compared is the time outside the encoder.

With ``sparse`` and ``hybrid`` (the weighted union of both lists) a passage also has up to 60 lexical weights and a
query up to 12, of 250,000 tokens some of which are frequent; mteb searches neither.

With ``--own`` the same texts are also evaluated as own data, from files in BEIR's layout to the result files: what that
takes beyond the search is reading, checking and scoring.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from measure import median, seconds_of, show

TOP_K = 1_000
SAMPLE = 20
VOCABULARY = 250_000
WEIGHTS = {"query": 12, "passage": 60}
HYBRID = (1.0, 0.3, 0.0)


def texts_of(kind: str, count: int) -> list[str]:
    return [f"{kind} {number} of the benchmark of scale" for number in range(count)]


def ids_of(kind: str, count: int) -> list[str]:
    return [f"{kind}{number}" for number in range(count)]


def resident() -> float:
    """Peak resident memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def ours(passages: int, queries: int, store: str, retrieval: str) -> dict[str, Any]:
    before_imports = resident()
    from flagbench.models.embedders.settings import M3Settings
    from flagbench.models.loading.registry import published
    from flagbench.runners.encoding.cache import EmbeddingCache
    from flagbench.runners.encoding.encode import TextEncoder
    from flagbench.runners.progress import Silent
    from flagbench.runners.search.ranking import Texts, rank
    from flagbench.runners.store.store import Store

    spec = replace(published()["flagbench/random"], own=M3Settings(retrieval, HYBRID))
    adapter = _Timed(_model(spec))
    cache = EmbeddingCache(Store(Path(store), cap_bytes=None, warn=print))
    encoder = TextEncoder(adapter, Silent(), cache)
    asked = Texts(ids_of("q", queries), texts_of("query", queries), "")
    corpus = Texts(ids_of("p", passages), texts_of("passage", passages), "")
    ready = resident()
    started = time.perf_counter()
    run, _ = rank(encoder, asked, corpus, None, top_k=TOP_K)
    elapsed = time.perf_counter() - started
    cache.store.close()
    peak = resident()
    return {
        "seconds": elapsed,
        "outside": elapsed - adapter.seconds,
        "interpreter": before_imports,
        "imported": ready,
        "peak": peak,
        "right": _like_brute_force(run, spec, passages, queries),
    }


def own(folder: str, store: str) -> dict[str, Any]:
    """A whole evaluation of own data."""
    before_imports = resident()
    from flagbench.models.loading.resolve import LoadedModels
    from flagbench.runners.progress import Silent
    from flagbench.runners.request import RunRequest
    from flagbench.runners.run import engine, plan
    from flagbench.suites.own.options import OwnOptions

    with tempfile.TemporaryDirectory() as output, LoadedModels() as loaded:
        request = RunRequest(
            "flagbench/random", "own", options=OwnOptions(Path(folder)), output=Path(output), store=Path(store)
        )
        started = time.perf_counter()
        (record,) = engine.run(plan.resolve(request), Silent(), loaded).records
        elapsed = time.perf_counter() - started
    if record.status != "success":
        raise SystemExit(record.error)
    return {
        "seconds": elapsed,
        "outside": elapsed - record.seconds["encode"],
        "stages": record.seconds,
        "interpreter": before_imports,
        "peak": resident(),
    }


def write_own(folder: Path, passages: int, queries: int) -> None:
    """The texts in BEIR's layout; a query has one relevant passage."""
    (folder / "qrels").mkdir(parents=True)
    for name, kind, count in (("corpus", "passage", passages), ("queries", "query", queries)):
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for id_, text in zip(ids_of(kind[0], count), texts_of(kind, count), strict=True):
                file.write(json.dumps({"_id": id_, "text": text}) + "\n")
    with (folder / "qrels" / "test.tsv").open("w", encoding="utf-8") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"q{number}\tp{number % passages}\t1\n" for number in range(queries))


def _model(spec: Any) -> Any:
    """The fake encoder, with lexical weights that depend on the kind and number of a text alone."""
    from flagbench.models.baselines.random import FakeEncoder
    from flagbench.models.embeddings import Embeddings

    class Model(FakeEncoder):
        parts = frozenset({"dense", "sparse"})

        def encode(self, texts: Any, *, role: Any, instruction: str = "", parts: Any) -> Embeddings:
            dense = super().encode(texts, role=role).dense if "dense" in parts else None
            return Embeddings(dense=dense, sparse=_weights(texts, role) if "sparse" in parts else None)

    return Model(spec)


def _weights(texts: Any, role: str) -> scipy.sparse.csr_array:
    numbers = np.array([int(text.split()[1]) for text in texts], dtype=np.uint64)
    count = WEIGHTS[role]
    salt = np.uint64(len(role) << 40)
    tokens = _uniform(numbers[:, None] * np.uint64(count) + np.arange(count, dtype=np.uint64) + salt)
    columns = np.sort((VOCABULARY * tokens**4).astype(np.int64), axis=1)
    again = np.zeros(columns.shape, dtype=bool)
    again[:, 1:] = columns[:, 1:] == columns[:, :-1]
    values = _uniform(columns.astype(np.uint64) + numbers[:, None] * np.uint64(VOCABULARY)).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum((~again).sum(axis=1))])
    return scipy.sparse.csr_array((values[~again], columns[~again], starts), shape=(len(texts), VOCABULARY))


def _uniform(numbers: Any) -> Any:
    """Numbers from 0 to 1 by a hash (splitmix64)."""
    mixed = (numbers + np.uint64(0x9E3779B97F4A7C15)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / 2**53


def _like_brute_force(run: Any, spec: Any, passages: int, queries: int) -> bool:
    """Whether the first thousand of a sample of queries are those of plain matrix products."""
    model = _model(spec)
    chosen = np.linspace(0, queries - 1, SAMPLE).astype(int)
    asked = texts_of("query", queries)
    mine = model.encode([asked[number] for number in chosen], role="query", parts=spec.parts)
    corpus = texts_of("passage", passages)
    dense, sparse = (np.zeros((SAMPLE, passages), dtype=np.float32) for _ in range(2))
    for start in range(0, passages, 50_000):
        part = slice(start, start + 50_000)
        its = model.encode(corpus[part], role="passage", parts=spec.parts)
        if "dense" in spec.parts:
            dense[:, part] = mine.dense @ its.dense.T
        if "sparse" in spec.parts:
            sparse[:, part] = (mine.sparse @ its.sparse.T).toarray()
    kept = min(TOP_K, passages)
    for number, one, other in zip(chosen, dense, sparse, strict=True):
        match spec.own.retrieval:
            case "dense":
                row = one
            case "sparse":
                row = other
            case _:
                row = HYBRID[0] * _highest(one, kept) + HYBRID[1] * _highest(other, kept)
        found = run[f"q{number}"]
        bound = np.partition(row, passages - kept)[passages - kept]
        rows = [int(passage_id[1:]) for passage_id in found]
        if len(found) != min(kept, np.count_nonzero(row)) or (row[rows] < bound - 1e-6).any():
            return False
        if np.abs(row[rows] - np.array(list(found.values()))).max() > 1e-5:
            return False
    return True


def _highest(scores: Any, kept: int) -> Any:
    """The scores, and 0 for all but the first."""
    return np.where(scores >= np.partition(scores, len(scores) - kept)[len(scores) - kept], scores, 0)


class _Timed:
    """The fake encoder, which counts the time spent in it."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.spec, self.device, self.backend = model.spec, model.device, model.backend
        self.capabilities, self.modalities, self.parts = model.capabilities, model.modalities, model.parts
        self.seconds = 0.0

    def encode(self, texts: Any, **arguments: Any) -> Any:
        started = time.perf_counter()
        found = self._model.encode(texts, **arguments)
        self.seconds += time.perf_counter() - started
        return found

    def prepare(self, texts: Any, **arguments: Any) -> Any:
        return lambda: self.encode(texts, **arguments)


def theirs(passages: int, queries: int) -> dict[str, Any]:
    before_imports = resident()
    import mteb
    from datasets import Dataset
    from mteb.models.search_wrappers import SearchEncoderWrapper
    from mteb.types import PromptType

    from flagbench.models.baselines.random import FakeEncoder
    from flagbench.models.loading.registry import published
    from flagbench.runners.mteb.bridge import model_meta

    spec = published()["flagbench/random"]
    timed = _Timed(FakeEncoder(spec))

    class Model:
        mteb_model_meta = model_meta(spec)

        def encode(self, inputs: Any, **_: Any) -> Any:
            texts = [text for batch in inputs for text in batch["text"]]
            return timed.encode(texts, role="passage").dense

        def similarity(self, one: Any, other: Any) -> Any:
            import torch

            return torch.as_tensor(one) @ torch.as_tensor(other).T

    task = mteb.get_task("SciFact").metadata
    corpus = Dataset.from_dict({"id": ids_of("p", passages), "text": texts_of("passage", passages)})
    asked = Dataset.from_dict({"id": ids_of("q", queries), "text": texts_of("query", queries)})
    ready = resident()
    started = time.perf_counter()
    search = SearchEncoderWrapper(Model())
    where = {"task_metadata": task, "hf_split": "test", "hf_subset": "default", "encode_kwargs": {"batch_size": 1024}}
    search.index(corpus, num_proc=None, **where)
    search.search(asked, top_k=TOP_K, num_proc=None, **where)
    elapsed = time.perf_counter() - started
    assert PromptType
    return {
        "seconds": elapsed,
        "outside": elapsed - timed.seconds,
        "interpreter": before_imports,
        "imported": ready,
        "peak": resident(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--without-mteb", action="store_true")
    parser.add_argument("--own", action="store_true", help="evaluate the same texts as own data too (default off)")
    parser.add_argument("--retrieval", choices=("dense", "sparse", "hybrid"), default="dense")
    options = parser.parse_args()
    with_mteb = options.retrieval == "dense" and not options.without_mteb
    sizes = [size for size in (10_000, 100_000, 1_000_000, 10_000_000) if size < options.passages] + [options.passages]
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            for size in sizes:
                shutil.rmtree(f"{scratch}/store", ignore_errors=True)
                sides = ["empty store", "warm store"]
                sides += ["mteb"] if size == sizes[-1] and with_mteb else []
                if options.own:
                    sides += ["own data, empty store", "own data, warm store"]
                    shutil.rmtree(f"{scratch}/own", ignore_errors=True)
                    write_own(Path(scratch) / "own", size, options.queries)
                for side in sides:
                    log = Path(scratch) / "log"
                    counts = [str(size), str(options.queries)]
                    if side == "mteb":
                        what = ["--theirs", *counts]
                    elif side.startswith("own"):
                        what = ["--own-data", f"{scratch}/own", f"{scratch}/store-of-own-{number}-{size}"]
                    else:
                        what = ["--ours", *counts, f"{scratch}/store", options.retrieval]
                    seconds_of([sys.executable, __file__, *what], log)
                    figures = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
                    print(f"round {number + 1}: {side}, {size:,}: {figures}", file=sys.stderr, flush=True)
                    found.setdefault((side, size), []).append(figures)
    rows = [
        [
            side,
            f"{size:,}",
            f"{_median(figures, 'seconds'):.1f}",
            f"{_median(figures, 'outside'):.2f}",
            f"{1e6 * _median(figures, 'outside') / size:.1f}",
            f"{_median(figures, 'peak') - _median(figures, 'interpreter'):.2f}",
            {True: "equal", False: "DIFFERENT"}[figures[0]["right"]] if "right" in figures[0] else "",
        ]
        for (side, size), figures in found.items()
    ]
    show(
        f"{options.retrieval}, {options.queries:,} queries, first {TOP_K:,} of each, 384 numbers a vector, "
        f"{options.rounds} rounds, medians",
        ["", "passages", "seconds", "outside the encoder", "µs a passage", "GiB above the interpreter", "brute force"],
        rows,
    )
    if ("mteb", sizes[-1]) in found:
        ratio = _median(found["empty store", sizes[-1]], "outside") / _median(found["mteb", sizes[-1]], "outside")
        print(f"outside the encoder, empty store: {ratio:.3f} of mteb's time")


def _median(figures: list[dict[str, Any]], key: str) -> float:
    return median([each[key] for each in figures])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--ours", passages, queries, store, retrieval]:
            print(json.dumps(ours(int(passages), int(queries), store, retrieval)))
        case ["--own-data", folder, store]:
            print(json.dumps(own(folder, store)))
        case ["--theirs", passages, queries]:
            print(json.dumps(theirs(int(passages), int(queries))))
        case _:
            main()
