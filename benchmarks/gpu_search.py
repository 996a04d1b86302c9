"""Search on a device for ``gpu.py``: a million vectors through the product's own search, compared with the processor's.

The vectors are random, of length 1, every hundredth a copy of another. Compared are rankings as trec_eval orders them,
over all vectors and for the first queries: with sums in float64 on the processor, which must agree in every place, and
with the processor's own search in float32 (FAISS where it can be imported, else numpy), which may order two vectors
differently where their scores lie closer than its own error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gpu_card import Card
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Run = dict[str, dict[str, float]]

# Vectors that come at once, as from an encoder, and that the processor multiplies at once.
_PIECE, _BLOCK = 16_384, 65_536


@dataclass(frozen=True)
class Sizes:
    """What is searched.

    Attributes:
        vectors: In the corpus.
        width: Numbers of each.
        queries: Searched for on the device.
        checked: Of them those that are compared.
        top_k: Found for each.
    """

    vectors: int = 1_000_000
    width: int = 1_024
    queries: int = 1_000
    checked: int = 100
    top_k: int = 1_000


TINY = Sizes(3_000, 64, 20, 20, 50)


def search(card: Card, sizes: Sizes) -> dict[str, Any]:
    """Figures of one search."""
    vectors, queries = _unit(card, sizes.vectors, sizes.width, 1), _unit(card, sizes.queries, sizes.width, 2)
    copies = np.arange(0, sizes.vectors, 100)
    vectors[copies] = vectors[(copies + 37) % sizes.vectors]
    ids = [f"p{number:09}" for number in np.random.default_rng(3).permutation(sizes.vectors)]
    run_on(card.device, queries[:1], vectors[: 2 * _PIECE], ids[: 2 * _PIECE], sizes.top_k)  # warm
    elapsed, (run, info) = card.seconds(lambda: run_on(card.device, queries, vectors, ids, sizes.top_k))
    alone, _ = card.seconds(lambda: _alone(card.device, queries, vectors, sizes.top_k))
    few = queries[: sizes.checked]
    exact = _by_products(few, vectors, ids, sizes.top_k, np.float64)
    here, (plain, by) = card.seconds(lambda: _plain(few, vectors, ids, sizes.top_k))
    names = list(exact)
    return {
        "vectors": sizes.vectors,
        "width": sizes.width,
        "queries": sizes.queries,
        "top_k": sizes.top_k,
        "searched by": f"{info.library}, {info.devices}",
        "seconds": round(alone, 3),
        "with ids and ties": round(elapsed, 3),
        "queries compared": sizes.checked,
        "equal to float64": sum(order(run[name]) == order(exact[name]) for name in names),
        "the processor's": by,
        "its seconds for those": round(here, 3),
        "equal to it": sum(order(run[name]) == order(plain[name]) for name in names),
        "equal within its error": sum(_alike(run[name], plain[name]) for name in names),
    }


def run_on(device: str, queries: Vectors, vectors: Vectors, ids: list[str], top_k: int) -> tuple[Run, Any]:
    """The product's search, with a model on a device: passages by their ids."""
    from flagbench.runners.search.hits import retrieve

    names = [f"q{number}" for number in range(len(queries))]
    return retrieve(names, queries, ids, np.arange(len(vectors)), _pieces(vectors), top_k=top_k, device=device)


def _alone(device: str, queries: Vectors, vectors: Vectors, top_k: int) -> Any:
    """The search of vectors by their numbers."""
    from flagbench.runners.search.hits import TIES
    from flagbench.runners.search.index import StreamSearch

    stream = StreamSearch(queries, top_k + TIES, device=device)
    for rows, piece in _pieces(vectors):
        stream.add(rows, piece)
    return stream.finish()


def _pieces(vectors: Vectors) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
    for start in range(0, len(vectors), _PIECE):
        piece = vectors[start : start + _PIECE]
        yield np.arange(start, start + len(piece)), piece


def order(ranked: dict[str, float]) -> list[str]:
    """As trec_eval orders them: by score, then by id, both falling."""
    return sorted(ranked, key=lambda passage: (ranked[passage], passage), reverse=True)


def _plain(queries: Vectors, vectors: Vectors, ids: list[str], top_k: int) -> tuple[Run, str]:
    """The processor's own search in float32, and what that is here."""
    if importlib.util.find_spec("faiss") is not None:
        run, info = run_on("cpu", queries, vectors, ids, top_k)
        return run, f"{info.library}, {info.devices}"
    return _by_products(queries, vectors, ids, top_k, np.float32), f"numpy {np.__version__}, no FAISS here"


def _by_products(queries: Vectors, vectors: Vectors, ids: list[str], top_k: int, dtype: type[Any]) -> Run:
    """Plain matrix products, rounded to float32, and a whole sort of all that could be among the first."""
    names = np.array(ids, dtype=object)
    scores = np.concatenate(
        [
            (queries.astype(dtype) @ vectors[start : start + _BLOCK].astype(dtype).T).astype(np.float32)
            for start in range(0, len(vectors), _BLOCK)
        ],
        axis=1,
    )
    kept = min(top_k, len(ids))
    run: Run = {}
    for number, row in enumerate(scores):
        last = np.partition(row, len(row) - kept)[len(row) - kept]
        rows = np.flatnonzero(row >= last)
        best = order(dict(zip(names[rows].tolist(), row[rows].tolist(), strict=True)))[:kept]
        found = dict(zip(names[rows].tolist(), row[rows].tolist(), strict=True))
        run[f"q{number}"] = {passage: found[passage] for passage in best}
    return run


def _alike(ours: dict[str, float], plain: dict[str, float]) -> bool:
    """Whether two rankings differ only where scores lie within the larger one's error of one another."""
    both = ours.keys() & plain.keys()
    error = max((abs(ours[passage] - plain[passage]) for passage in both), default=0.0)
    firsts = zip(order(ours), order(plain), strict=True)
    lowest = min(ours.values(), default=0.0)
    return all(abs(ours[one] - ours.get(other, lowest)) <= 2 * error for one, other in firsts if one != other)


def _unit(card: Card, rows: int, width: int, seed: int) -> Vectors:
    """Random vectors of length 1, drawn on the device."""
    import torch

    generator = torch.Generator(card.device).manual_seed(seed)
    drawn = torch.randn(rows, width, generator=generator, device=card.device)
    unit: Vectors = torch.nn.functional.normalize(drawn, dim=1).cpu().numpy()
    return unit
