"""From images to the pixels that a model takes: resized and cropped by Pillow, several at a time.

Nothing here goes through torchvision, whose builds on the registries break beside a torch for the processor. Pixels
stay bytes until the model runs: a quarter of the memory, and what they become is a table of 256 numbers a channel.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flagbench import BadData
from flagbench.models.inputs import MOST_PIXELS, Image

if TYPE_CHECKING:
    import torch

BICUBIC = 3
"""Pillow's number of the filter."""

FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Names of Pillow's filters by their numbers."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Of red, green and blue in CLIP's training images (OpenAI's CLIP, clip/clip.py)."""

# Threads that decode: Pillow lets go of Python's lock while it does. More only fill the memory.
_MOST_THREADS = 16


@dataclass(frozen=True)
class Preparation:
    """How a model wants its images.

    Attributes:
        height: Of what the model takes.
        width: The same.
        shortest: What the shorter side is resized to, in proportion; 0 where both are resized to ``resized``.
        resized: Height and width that an image is resized to without regard to proportion; None where it is not.
        crop: Whether the middle of ``height`` by ``width`` is cut out.
        half_even: Whether half a pixel of the crop's offset is rounded to an even number, as torchvision does, and not
            down, as transformers does.
        resample: Pillow's number of the filter.
        scale: What a byte is multiplied with in float64 before it becomes float32, as in transformers; 0 to divide by
            255 in float32, as in torchvision; None to leave it.
        mean: Taken from each channel.
        std: What each channel is divided by after that.
    """

    height: int
    width: int
    shortest: int = 0
    resized: tuple[int, int] | None = None
    crop: bool = False
    half_even: bool = False
    resample: int = BICUBIC
    scale: float | None = 1 / 255
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)

    def pixels(self, image: Image) -> NDArray[np.uint8]:
        """The bytes of one image, ``uint8[3, height, width]``.

        Raises:
            BadData: As ``Image.decoded``; it is too long and thin to be resized, or has another size than the model
                takes and is not to be resized.
        """
        picture = image.decoded()
        size = self._resized(picture.width, picture.height)
        if size != (picture.width, picture.height):
            if size[0] * size[1] > MOST_PIXELS:
                raise BadData(
                    f"the image {image.called} is {picture.width} by {picture.height} pixels, and resized it would "
                    f"have more than {MOST_PIXELS:,}: cut it"
                )
            picture = picture.resize(size, self.resample)
        found = np.asarray(picture)
        if self.crop:
            found = self._cropped(found)
        if found.shape[:2] != (self.height, self.width):
            raise BadData(
                f"the image {image.called} is {found.shape[1]} by {found.shape[0]} pixels, and the model takes "
                f"{self.width} by {self.height} and resizes none"
            )
        return np.ascontiguousarray(found.transpose(2, 0, 1))

    @property
    def levels(self) -> NDArray[np.float32]:
        """What each byte becomes in each channel, ``float32[3, 256]``."""
        values = np.arange(256)
        if self.scale is None:
            scaled = values.astype(np.float32)
        elif self.scale == 0:
            scaled = values.astype(np.float32) / np.float32(255)
        else:
            scaled = (values.astype(np.float64) * self.scale).astype(np.float32)
        mean, std = np.array(self.mean, dtype=np.float32), np.array(self.std, dtype=np.float32)
        levels: NDArray[np.float32] = (scaled[None, :] - mean[:, None]) / std[:, None]
        return levels

    def __str__(self) -> str:
        """What is done, for evidence: ``224 by 224 pixels, bicubic, the middle, mean …, deviation …``."""
        size = f"{self.width} by {self.height} pixels, {FILTERS[self.resample]}{', the middle' if self.crop else ''}"
        return f"{size}, {_channels('mean', self.mean)}, {_channels('deviation', self.std)}"

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of a picture when it is resized."""
        if self.resized is not None:
            return self.resized[1], self.resized[0]
        if not self.shortest:
            return width, height
        longest = int(self.shortest * max(width, height) / min(width, height))
        return (self.shortest, longest) if width <= height else (longest, self.shortest)

    def _cropped(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The middle; where the picture is smaller, black around it, as transformers has it."""
        height, width = picture.shape[:2]
        if height < self.height or width < self.width:
            grown = np.zeros((max(height, self.height), max(width, self.width), 3), dtype=np.uint8)
            top, left = -((height - grown.shape[0]) // 2), -((width - grown.shape[1]) // 2)
            grown[top : top + height, left : left + width] = picture
            picture = grown
        top, left = self._offset(picture.shape[0] - self.height), self._offset(picture.shape[1] - self.width)
        return picture[top : top + self.height, left : left + self.width]

    def _offset(self, left_over: int) -> int:
        return round(left_over / 2) if self.half_even else left_over // 2


def _channels(name: str, values: Sequence[float]) -> str:
    """A number of each channel, or the one that all of them have."""
    shown = [f"{value:.4g}" for value in values]
    return f"{name} {shown[0] if len(set(shown)) == 1 else ' '.join(shown)}"


def visualized_preparation(side: int) -> Preparation:
    """How EVA-CLIP, and with it Visualized-BGE, wants its images (eva_clip/transform.py of research/visual_bge).

    Args:
        side: Height and width of what the tower takes.
    """
    return Preparation(
        side, side, shortest=side, crop=True, half_even=True, scale=0, mean=CLIP_MEAN, std=CLIP_STD
    )  # fmt: skip


def pixels_of(images: Sequence[Image], preparation: Preparation) -> NDArray[np.uint8]:
    """The bytes of some images, decoded by several threads.

    Args:
        images: Any number.
        preparation: How the model wants them.

    Returns:
        ``uint8[n, 3, height, width]``.

    Raises:
        BadData: As ``Preparation.pixels``, of the first that cannot be read.
    """
    found = np.empty((len(images), 3, preparation.height, preparation.width), dtype=np.uint8)

    def fill(row: int) -> None:
        found[row] = preparation.pixels(images[row])

    with ThreadPoolExecutor(min(_threads(), max(1, len(images))), thread_name_prefix="decode") as pool:
        for done in [pool.submit(fill, row) for row in range(len(images))]:
            done.result()
    return found


def to_levels(pixels: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """What a model is given for bytes.

    Args:
        pixels: ``uint8[n, 3, h, w]``.
        levels: ``[3, 256]``, of ``Preparation.levels``, on the same device.

    Returns:
        ``[n, 3, h, w]`` of the dtype of ``levels``.
    """
    import torch

    found = [levels[channel].index_select(0, pixels[:, channel].reshape(-1).int()) for channel in range(3)]
    shape = (len(pixels), *pixels.shape[2:])
    return torch.stack([each.reshape(shape) for each in found], dim=1)


def _threads() -> int:
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(_MOST_THREADS, own)
