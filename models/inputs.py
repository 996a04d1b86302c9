"""Inputs of models: a text, or an item of a text and images, with content key, cost and display text.

Between a benchmark and an adapter an input is its key (equal contents are one; the cache goes by it), its cost (what
batches are cut by) and a line to show. None of that decodes an image.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath
from typing import Any, Literal, get_args

from flagbench import BadData, BadInput, in_one_line
from flagbench.files import open_file

Modality = Literal["text", "image"]
"""Modality of an input, of a task's data and of a model."""

MODALITIES: tuple[Modality, ...] = get_args(Modality)

TEXT: frozenset[Modality] = frozenset({"text"})

MOST_BYTES = 64 * 1024**2
"""Of a stored image that is read."""

MOST_PIXELS = 64 * 1024**2
"""Of an image that is decoded; a small file can hold a picture that fills the memory."""

# What an image adds to the cost of its item, in characters: about what a text costs of as many tokens as an embedder
# makes of one (50 to 577; 196 and 256 in Visualized-BGE).
_IMAGE_COST = 1_024

RUN_PROGRAMS = frozenset({"EPS", "WMF"})
"""Formats of Pillow that run another program to draw what is in the file."""

_KEY_BYTES = 16
_ORIENTATION = 0x0112  # the tag of EXIF


class Image:
    """An image as it is stored, encoded as PNG, JPEG or what else Pillow reads; equal bytes are one image.

    One on disk is read when its key or its bytes are asked for, and its bytes are not held. It is sent to workers as
    its bytes, since the path may be of this machine alone.

    Attributes:
        where: Of what data it is, and which row of them, for messages; may be empty.
    """

    __slots__ = ("_key", "_name", "_source", "where")

    def __init__(self, source: bytes | Path | Callable[[], bytes], *, name: str = "", where: str = "") -> None:
        """Take an image without looking at it.

        Args:
            source: Its encoded bytes, the file that has them, or what reads them.
            name: Of its file, where the source has none; of a path the whole is shown in messages.
            where: See above.
        """
        self._source = source
        self._name = name
        self._key: bytes | None = None
        self.where = where

    @property
    def key(self) -> bytes:
        """Hash of its bytes as stored; equal images under different names have one key.

        Raises:
            BadData: As ``read``.
        """
        if self._key is None:
            self._key = _hash(self._bytes())
        return self._key

    @property
    def name(self) -> str:
        """The name of its file; where it has none, the beginning of its key."""
        path = self._source if isinstance(self._source, Path) else PurePath(self._name)
        return path.name or self.key.hex()[:8]

    def read(self) -> bytes:
        """Its encoded bytes.

        Raises:
            BadData: They cannot be read, lie in no regular file, are too many, or are no longer those of its key.
        """
        found = self._bytes()
        if isinstance(self._source, Path) and self._key is not None and _hash(found) != self._key:
            raise BadData(f"the image {self._source} has changed since it was first read: run again")
        return found

    def decoded(self) -> Any:
        """The picture as a scorer of mteb gets it, a ``PIL.Image.Image`` in RGB (docs/adr/0022-…).

        Turned upright as its EXIF says; of an animation the first frame; colours as Pillow converts them: alpha is
        dropped, and of 16 bits what is above 255 is white.

        Raises:
            BadInput: Pillow is not installed.
            BadData: It is no image, has too many pixels, or is of a format that runs another program; else as ``read``.
        """
        try:
            import PIL.Image
            import PIL.ImageOps
        except ImportError:
            raise BadInput("Pillow reads images and is not installed: pip install 'flagbench[images]'") from None
        data = self.read()
        # Of damaged files that it reads all the same, and of sizes, which are refused here; threads decode, so that it
        # cannot be for a while only.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            picture: Any = PIL.Image.open(BytesIO(data))
            pixels = picture.width * picture.height
            if pixels > MOST_PIXELS:
                raise ValueError(f"it has {pixels:,} pixels, and at most {MOST_PIXELS:,} are decoded")
            if picture.format in RUN_PROGRAMS:
                raise ValueError(f"{picture.format} is not read: convert it to PNG")
            picture.load()
            # As in the Image feature of datasets, from which mteb has it, and then as mteb converts it.
            if picture.getexif().get(_ORIENTATION) is not None:
                picture = PIL.ImageOps.exif_transpose(picture)
            return picture.convert("RGB")
        except PIL.UnidentifiedImageError as error:  # whose message has the address of an object
            raise BadData(f"the image {self.called} cannot be decoded: Pillow knows no such format") from error
        except Exception as error:  # Pillow has no root for what its readers raise on damaged or hostile files
            raise BadData(f"the image {self.called} cannot be decoded: {in_one_line(error)}") from error

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Image) and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Image({self.name})"

    def __reduce__(self) -> tuple[Callable[..., Image], tuple[bytes, str, str]]:
        return _received, (self.read(), str(self._source) if isinstance(self._source, Path) else self._name, self.where)

    @property
    def called(self) -> str:
        """The image in messages: by its file or its name, and by where it is."""
        name = str(self._source) if isinstance(self._source, Path) else self._name or self.name
        return f"{name} ({self.where})" if self.where else name

    def _bytes(self) -> bytes:
        if not isinstance(self._source, Path):
            found = self._source if isinstance(self._source, bytes) else self._source()
            _refuse_large(self.where or "in memory", len(found))
            return found
        try:
            with open_file(self._source, f"fix the data{self.where and f' of {self.where}'}", error=BadData) as file:
                size = os.fstat(file.fileno()).st_size
                found = file.read(size) if size <= MOST_BYTES else b""  # of one that grows meanwhile, no more
        except BadData as error:
            raise BadData(f"the image {error}") from error
        except OSError as error:  # of a disk or a server that fails
            raise BadData(f"the image {self.called} cannot be read: {error.strerror or error}") from error
        _refuse_large(f"{self._source} ({self.where})" if self.where else str(self._source), size)
        return found


def _received(data: bytes, name: str, where: str) -> Image:
    """An image as a worker gets it."""
    return Image(data, name=name, where=where)


@dataclass(frozen=True)
class Item:
    """A text with images; two of the same text and the same images are equal.

    Attributes:
        text: May be empty.
        images: In their order; without any, the item is its text in all that is made of it.
    """

    text: str
    images: tuple[Image, ...] = ()


Input = str | Item
"""Input of a model."""

Pair = tuple[Input, Input]
"""A query and a passage."""


def content_key(content: Input) -> bytes:
    """Hash (16 bytes) of an input: equal contents have equal keys, and others have others.

    Raises:
        BadData: An image cannot be read.
    """
    if isinstance(content, str):
        return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
    if not content.images:
        return content_key(content.text)
    text = content.text.encode("utf-8", "surrogatepass")
    parts = [len(text).to_bytes(8, "big"), text, *(image.key for image in content.images)]
    return _hash(b"".join(parts), b"text and images")


def pair_key(pair: Pair) -> bytes:
    """Hash (16 bytes) of a query and a passage, in this order.

    Raises:
        BadData: An image cannot be read.
    """
    query, passage = plain(pair[0]), plain(pair[1])
    if isinstance(query, str) and isinstance(passage, str):
        # The length of the query keeps ("ab", "c") and ("a", "bc") apart.
        return content_key(f"{len(query)} {query}{passage}")
    return _hash(content_key(query) + content_key(passage), b"pair with images")


def cost(content: Input) -> int:
    """Cost of an input, in characters of text: inputs of similar cost make a batch."""
    if isinstance(content, str):
        return len(content)
    return len(content.text) + _IMAGE_COST * len(content.images)


def line(content: Input) -> str:
    """Display text of an input: its text, and the names of its images."""
    if isinstance(content, str):
        return content
    return " ".join([*([content.text] if content.text else []), *(f"[image {each.name}]" for each in content.images)])


def text_of(content: Input) -> str:
    """The text of an input, without its images."""
    return content if isinstance(content, str) else content.text


def plain(content: Input) -> Input:
    """An input in its plainest form: an item without images is its text."""
    return content if isinstance(content, str) or content.images else content.text


def needs(content: Input) -> frozenset[Modality]:
    """Modalities that an input needs; an item without a text does not need ``text``."""
    content = plain(content)
    if isinstance(content, str):
        return TEXT
    return TEXT | {"image"} if content.text else frozenset({"image"})


def one_image(content: Input, model: str) -> tuple[Image, str]:
    """The image of an item, and its text, for a model that takes one image at a time.

    Args:
        content: With at least one image.
        model: Name of the model.

    Raises:
        BadInput: It has several.
    """
    if isinstance(content, str) or len(content.images) != 1:
        number = 0 if isinstance(content, str) else len(content.images)
        raise BadInput(
            f"{model} takes one image at a time, and '{line(content)[:60]}' has {number}: give each image an item of "
            "its own"
        )
    return content.images[0], content.text


def readable(content: Input, modalities: frozenset[Modality], model: str) -> Input:
    """An input as a model gets it, in its plainest form.

    Args:
        content: The input.
        modalities: What the model takes.
        model: Its name.

    Raises:
        BadInput: The input has what the model does not take.
    """
    if isinstance(content, str) and "text" in modalities:
        return content  # at once: there are millions of them
    content = plain(content)
    lacking = needs(content) - modalities
    if lacking:
        raise BadInput(
            f"{model} takes {joined(modalities)}, and '{line(content)[:40]}' has {joined(lacking)}: "
            f"choose a model that takes {joined(needs(content))}"
        )
    return content


def readable_pair(pair: Pair, modalities: frozenset[Modality], model: str) -> Pair:
    """A pair as a model gets it: the very same where it is in its plainest form.

    Args:
        pair: Query and passage.
        modalities: What the model takes.
        model: Its name.

    Raises:
        BadInput: Either has what the model does not take.
    """
    query, passage = readable(pair[0], modalities, model), readable(pair[1], modalities, model)
    return pair if query is pair[0] and passage is pair[1] else (query, passage)


_NAMES = {"text": "text", "image": "images"}


def joined(modalities: Iterable[str]) -> str:
    """Modalities in words: ``text``, ``images``, ``text and images``."""
    present = set(modalities)
    return " and ".join(name for modality, name in _NAMES.items() if modality in present)


def _hash(data: bytes, kind: bytes = b"") -> bytes:
    return hashlib.blake2b(data, digest_size=_KEY_BYTES, person=kind).digest()


def _refuse_large(name: str, size: int) -> None:
    if size > MOST_BYTES:
        raise BadData(f"the image {name} has {size:,} bytes, and at most {MOST_BYTES:,} are read: make it smaller")
