"""Quantised vectors of mteb's tasks without a search, as their own evaluators get them: as floats.

Bits are 1 and -1, so their cosine ranks as the Hamming distance does; nothing is rescored, so ``binary+rescore`` is
``binary`` here. The bytes of int8 vectors are laid between the ranges of

* classification and regression: the training texts that the task draws (with cross-validation, all texts);
* clustering: the texts that are clustered together;
* all others (pairs, summaries, parallel texts, images with their labels): all inputs of the split and subset. mteb asks
  for one column after the other, so the task is scored twice: first by the floats, whose score is dropped, then by the
  bytes of the same floats. The model encodes once.
"""

from __future__ import annotations

import functools
import importlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from flagbench.models.quantised import Ranges, signs
from flagbench.models.view import View
from flagbench.results.kinds import FITTED, RANKED
from flagbench.runners.encoding.notes import VectorNotes
from flagbench.runners.mteb.version import COSINES

_CLUSTERED = frozenset({"Clustering", "ImageClustering"})

Vectors = NDArray[np.float32]


class Quantiser:
    """Quantises what one task's evaluators ask for.

    Attributes:
        rehearses: Whether each split is to be scored twice, the first time in a ``rehearsal``.
    """

    def __init__(self, view: View, kind: str, notes: VectorNotes, *, joint: bool = False) -> None:
        """Begin.

        Args:
            view: How vectors are quantised.
            kind: mteb's type of the task.
            notes: Takes the ranges.
            joint: Whether the subsets of a split are columns of the same rows, which share their ranges.
        """
        self._int8 = view.vectors == "int8"
        self._fitted = kind in FITTED - _CLUSTERED
        self._notes = notes
        self._joint = joint
        self.rehearses = self._int8 and kind not in FITTED | RANKED
        self._rehearsing = False
        self._waiting: dict[str, deque[Vectors]] = {}
        self._ranges: dict[str, Ranges] = {}

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """While it lasts, mteb's evaluators get cosines of bits without the noise of floats, so that equal Hamming
        distances tie, which a rank correlation of so few values depends on.
        """
        with ExitStack() as stack:
            for module, name in {} if self._int8 else COSINES.items():
                exact = _exact_distances if name == "paired_cosine_distances" else _exact_cosines
                owner = importlib.import_module(module)
                stack.enter_context(patch.object(owner, name, functools.partial(exact, getattr(owner, name))))
            yield

    def similarities(self, found: Any, embeddings: Any) -> Any:
        """Cosines of quantised vectors, those of bits without the noise of floats.

        Args:
            found: Array or tensor of floats, of any shape.
            embeddings: Some of the vectors that they are of, ``[n, d]`` or ``[d]``.
        """
        return found if self._int8 else _exact_cosines(lambda *_: found, embeddings)

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """While it lasts, floats are given and kept."""
        self._rehearsing = True
        try:
            yield
        finally:
            self._rehearsing = False
            self._notes.ranges += self._ranges.values()

    def begin_split(self) -> None:
        """Forget what the last split had."""
        self._waiting, self._ranges = {}, {}

    def vectors(self, encode: Callable[[], Vectors], subset: str) -> Vectors:
        """The quantised vectors of the inputs that an evaluator asks for, ``float32[n, d]``.

        Args:
            encode: Gives their floats.
            subset: Of the task.
        """
        if not self._int8:
            return signs(encode())
        part = "" if self._joint else subset
        if self.rehearses and not self._rehearsing:
            return self._ranges[part].quantise(self._waiting[part].popleft())
        found = encode()
        if self._rehearsing:
            self._waiting.setdefault(part, deque()).append(found)
        elif self._fitted and part in self._ranges:
            return self._ranges[part].quantise(found)
        own = Ranges.of([found])
        if own is None:  # no inputs
            return found
        if self._rehearsing:
            known = self._ranges.get(part)
            self._ranges[part] = known.joined(own) if known else own
            return found
        self._ranges[part] = own
        self._notes.ranges.append(own)
        return own.quantise(found)


def _exact_cosines(cosines: Callable[..., Any], *vectors: Any) -> Any:
    """Cosines of bits, each the one of a whole Hamming distance of ``h``: ``1 - 2 h / d``."""
    half = vectors[0].shape[-1] / 2
    return 1 - ((1 - cosines(*vectors)) * half).round() / half


def _exact_distances(distances: Callable[..., Any], *vectors: Any) -> Any:
    """Cosine distances of bits, each that of a whole Hamming distance of ``h``: ``2 h / d``."""
    half = vectors[0].shape[-1] / 2
    return (distances(*vectors) * half).round() / half
