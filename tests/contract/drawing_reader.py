"""A model that sees what the miniature of image tasks draws (flagbench/suites/mteb/drawings.py), without weights.

It counts the shapes of a drawing, looks at their colour, and tells a kind by how much of its frame it fills; of a text
it reads the words for the same. Beside an image a text says what is to be other. Importable, so that another process
can load it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from flagbench.models.contract import DENSE, Capability, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import Image, Input, Item, content_key, text_of
from flagbench.models.loading.registry import published
from flagbench.suites.mteb.drawings import COLOURS, NUMBERS, SHAPES
from tests.contract.scripted_images import BOTH

_FILLED = {"square": 1.0, "circle": np.pi / 4, "triangle": 0.55}
_COUNTS = range(1, 6)

READER = replace(published()["flagbench/random"], name="scripted/reader", adapter="scripted-reader", normalize=True)


def seen(image: Image) -> dict[str, str]:
    """Count, colour and shape of a drawing."""
    pixels = np.asarray(image.decoded().convert("RGB")).astype(int)
    drawn = (pixels < 250).any(axis=2)
    labels, count = scipy.ndimage.label(drawn)
    frame = scipy.ndimage.find_objects(labels)[0]
    filled = float(drawn[frame].mean())
    of = np.median(pixels[drawn], axis=0)
    return {
        "count": str(count),
        "colour": min(COLOURS, key=lambda name: float(np.abs(of - COLOURS[name]).sum())),
        "shape": min(_FILLED, key=lambda name: abs(filled - _FILLED[name])),
    }


def read(text: str) -> dict[str, str]:
    """What a text says of count, colour and shape."""
    found: dict[str, str] = {}
    for word in re.findall("[a-z]+|[0-9]", text.lower()):
        single = word.removesuffix("s")
        if word in NUMBERS:
            found["count"] = str(NUMBERS.index(word))
        elif word.isdigit():
            found["count"] = word
        elif word in COLOURS:
            found["colour"] = word
        elif single in SHAPES:
            found["shape"] = single
    return found


def vector(content: Input) -> NDArray[np.float64]:
    """A place for each count, colour and shape."""
    text = text_of(content)
    known: dict[str, str] = {}
    for image in content.images if isinstance(content, Item) else ():
        known = seen(image)
    known = {"count": known["count"]} if "How many" in text else known | read(text)
    places = [*map(str, _COUNTS), *COLOURS, *SHAPES]
    row = np.zeros(len(places))
    for value in known.values():
        row[places.index(value)] = 1.0
    unit: NDArray[np.float64] = row / max(1.0, float(np.linalg.norm(row)))
    return unit


class DrawingReader:
    """Embeds drawings, texts and both. It keeps what it was given.

    Attributes:
        encoded: All inputs so far.
    """

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = BOTH
    parts = DENSE
    device = "cpu"
    backend = "numpy"
    spec = READER

    def __init__(self) -> None:
        self.encoded: list[Input] = []

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract."""
        return functools.partial(self.encode, texts, role=role, instruction=instruction, parts=parts)

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        self.encoded += texts
        return Embeddings(dense=np.array([self.vector(each) for each in texts], dtype=np.float32))

    def vector(self, content: Input) -> NDArray[np.float64]:
        """Of one input."""
        return vector(content)


class Guesser(DrawingReader):
    """Has a random vector for each content: what a model scores that sees nothing."""

    spec = replace(READER, name="scripted/guesser")

    def vector(self, content: Input) -> NDArray[np.float64]:
        """Of one input: equal for equal contents."""
        row = np.random.default_rng(int.from_bytes(content_key(content), "big")).standard_normal(32)
        unit: NDArray[np.float64] = row / np.linalg.norm(row)
        return unit
