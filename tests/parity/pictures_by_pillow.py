"""Plain Pillow and numpy for what torchvision and transformers make of an image, step by step as their sources have it.

Neither is used, since torchvision does not run beside a torch for the processor. All give ``[3, side, side]``.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


def as_mteb_has_it(data: bytes) -> Pillow.Image:
    """datasets' Image feature, and then mteb's ``_transform_image_to_rgb``."""
    picture = Pillow.open(BytesIO(data))
    picture.load()
    if picture.getexif().get(0x0112) is not None:
        picture = ImageOps.exif_transpose(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def torchvision_pixels(picture: Pillow.Image, side: int) -> NDArray[np.float64]:
    """torchvision's Resize, CenterCrop, ToTensor and Normalize in float32, as eva_clip/transform.py has them."""
    width, height = picture.size
    short, long = min(width, height), max(width, height)
    longer = int(side * long / short)
    size = (side, longer) if width <= height else (longer, side)
    picture = picture.resize(size, Pillow.Resampling.BICUBIC) if size != picture.size else picture
    left, top = round((picture.width - side) / 2.0), round((picture.height - side) / 2.0)
    picture = picture.crop((left, top, left + side, top + side))
    values = np.asarray(picture.convert("RGB"), dtype=np.uint8).transpose(2, 0, 1).astype(np.float32)
    values = values / np.float32(255)
    mean, std = (np.array(each, dtype=np.float32).reshape(3, 1, 1) for each in (MEAN, STD))
    return ((values - mean) / std).astype(np.float64)


def transformers_pixels(picture: Pillow.Image, kind: str, side: int) -> NDArray[np.float32]:
    """transformers' ``PilBackend`` with the settings of CLIP or SigLIP, or with a crop alone (``crop``)."""
    width, height = picture.size
    if kind == "siglip":
        picture = picture.resize((side, side), Pillow.Resampling.BICUBIC)
    elif kind == "clip":
        short, long = (width, height) if width <= height else (height, width)
        size = (side, int(side * long / short)) if width <= height else (int(side * long / short), side)
        picture = picture.resize(size, Pillow.Resampling.BICUBIC)
    values = np.array(picture).transpose(2, 0, 1)
    if kind != "siglip":
        values = _middle(values, side)
    scaled = (values.astype(np.float64) * 0.00392156862745098).astype(np.float32)
    if kind == "crop":
        return scaled
    means, stds = (MEAN, STD) if kind == "clip" else ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mean, std = np.array(means, dtype=np.float32), np.array(stds, dtype=np.float32)
    found: NDArray[np.float32] = ((scaled.T - mean) / std).T
    return found


def _middle(values: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """``center_crop`` of transformers' image_transforms.py, which pads what is too small."""
    height, width = values.shape[1:]
    top, left = (height - side) // 2, (width - side) // 2
    if top >= 0 and left >= 0:
        return values[:, top : top + side, left : left + side]
    grown = np.zeros((3, max(side, height), max(side, width)), dtype=values.dtype)
    above, before = -((height - grown.shape[1]) // 2), -((width - grown.shape[2]) // 2)
    grown[:, above : above + height, before : before + width] = values
    top, left = top + above, left + before
    return grown[:, max(0, top) : top + side, max(0, left) : left + side]
