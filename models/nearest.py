"""Exact search on the device of a model, by torch: the vectors with the largest inner products per query.

Products are summed in float64 and rounded once to float32. So equal vectors have equal scores wherever they lie, and
neither the cut into tiles nor the device moves a score: what is left of a float64 sum's own order is one rounding in
some ten million. Sums in float32 would differ from the processor's in their last bits at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.device import free_memory, out_of_memory, release_memory

if TYPE_CHECKING:
    import torch

# Of free memory that a search may take; scores that are held at once where it is not known how much is free.
_SHARE = 0.25
_SCORES = 1 << 24
# Vectors of a tile: more do not make the products faster, fewer are not worth a try.
_MOST, _LEAST = 1 << 18, 1 << 10
# Queries of a tile.
_QUERIES = 1 << 12


def library() -> str:
    """What searches, with its version."""
    import torch

    return f"torch {torch.__version__}"


def largest_products(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, device: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The ``k`` vectors with the largest inner products, for each query.

    Vectors go to the device tile by tile, each once. Of vectors that tie with the last any are taken.

    Args:
        queries: ``float32[q, d]``.
        vectors: ``float32[n, d]``.
        k: At most ``n``.
        device: As torch names it; one that has float64.

    Returns:
        Scores ``float32[q, k]``, best first, and places ``int64[q, k]`` among the vectors.

    Raises:
        ModelFault: Not even a small tile fits into the memory of the device.
    """
    rows = _rows_at_once(queries, len(vectors), k, device)
    while True:
        try:
            return _search(queries, vectors, k, device, rows)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if rows <= _LEAST:
                raise ModelFault(
                    f"out of memory on {device} while {len(queries):,} queries are searched for: free its memory, or "
                    "run with --device cpu"
                ) from error
        release_memory()  # only here: the error holds the tile
        rows = max(_LEAST, rows // 2)


def _search(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int, device: str, rows: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    import torch

    with torch.inference_mode():
        wanted = [_there(queries[start : start + _QUERIES], device) for start in range(0, len(queries), _QUERIES)]
        best: list[tuple[torch.Tensor, torch.Tensor] | None] = [None] * len(wanted)
        for start in range(0, len(vectors), rows):
            tile = _there(vectors[start : start + rows], device).T
            for number, some in enumerate(wanted):
                best[number] = _merged(best[number], (some @ tile).float(), start, k)
        found = [each for each in best if each is not None]
        scores = torch.cat([values for values, _ in found]).cpu().numpy()
        places = torch.cat([numbers for _, numbers in found]).cpu().numpy()
    return scores, places


def _there(values: NDArray[np.float32], device: str) -> torch.Tensor:
    """The same numbers on a device, in float64; half as many bytes go there."""
    import torch

    # torch warns of arrays that cannot be written to, as those that another process shares.
    return torch.from_numpy(np.require(values, np.float32, ["C", "W"])).to(device).double()


def _merged(
    best: tuple[torch.Tensor, torch.Tensor] | None, scores: torch.Tensor, start: int, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The best of those so far and of a tile that begins at a place; best first."""
    import torch

    values, places = scores.topk(min(k, scores.shape[1]), dim=1)
    places = places + start
    if best is None:
        return values, places
    values, places = torch.cat([best[0], values], dim=1), torch.cat([best[1], places], dim=1)
    values, chosen = values.topk(min(k, values.shape[1]), dim=1)
    return values, places.gather(1, chosen)


def _rows_at_once(queries: NDArray[np.float32], vectors: int, k: int, device: str) -> int:
    """Vectors of a tile, by the memory that is free: its numbers twice, and its scores in both precisions."""
    some = max(1, min(len(queries), _QUERIES))
    if device.startswith("cuda"):
        room = _SHARE * free_memory(device) - 8.0 * queries.size - 24.0 * k * len(queries)
        rows = int(room / (12 * queries.shape[1] + 24 * some))
    else:
        rows = _SCORES // some
    return min(max(rows, _LEAST), _MOST, max(1, vectors))
