"""The few functions of torchvision with which transformers prepares videos, on torch alone.

The registries' builds of torchvision are for CUDA and break beside a CPU torch, so tests do not install it. Where it is
missing, a process of their own finds a package of that name that holds these functions (``write``).
"""

from __future__ import annotations

import enum
from pathlib import Path

import numpy as np
import torch


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def resize(image, size, interpolation=InterpolationMode.BILINEAR, antialias=True):
    mode = "bilinear" if interpolation is InterpolationMode.BILINEAR else "bicubic"
    flat = image.reshape(-1, *image.shape[-3:]).float()
    resized = torch.nn.functional.interpolate(flat, size=list(size), mode=mode, antialias=antialias)
    if not image.is_floating_point():
        resized = resized.round().clamp(0, 255).to(image.dtype)
    return resized.reshape(*image.shape[:-2], *resized.shape[-2:])


def normalize(image, mean, std, inplace=False):
    mean, std = (torch.as_tensor(each, dtype=image.dtype).reshape(-1, 1, 1) for each in (mean, std))
    return (image - mean) / std


def pad(image, padding, fill=0, padding_mode="constant"):
    left, top, right, bottom = padding
    return torch.nn.functional.pad(image, (left, right, top, bottom), mode=padding_mode, value=fill)


def crop(image, top, left, height, width):
    return image[..., top : top + height, left : left + width]


def grayscale_to_rgb(image):
    return image.expand(*image.shape[:-3], 3, *image.shape[-2:]) if image.shape[-3] == 1 else image


def to_dtype(image, dtype, scale=False):
    return image.to(dtype)


def pil_to_tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


_FILES = {
    "torchvision/__init__.py": "__version__ = '0.29.0'\n",
    "torchvision/io.py": "",
    "torchvision/transforms/__init__.py": "from tests.torchvision_stand_in import InterpolationMode\n",
    "torchvision/transforms/functional.py": "from tests.torchvision_stand_in import pil_to_tensor\n",
    "torchvision/transforms/v2/__init__.py": "",
    "torchvision/transforms/v2/functional.py": "from tests.torchvision_stand_in import *\n",
    "torchvision-0.29.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.29.0\n",
}

# What the real one does when it is imported, and what fails where its compiled operators cannot be loaded.
_SHAPES = (
    "import torch\n"
    "torch.library.register_fake('torchvision::nms')(lambda *a: None)\n"
    "torch.library.register_fake('torchvision::qnms')(lambda *a: None)\n"
)


def write(folder: Path, *, broken: bool = False) -> Path:
    """A folder for ``PYTHONPATH`` in which torchvision is these functions.

    Args:
        folder: To write into.
        broken: It fails when it is imported, as one of another build than torch's does.
    """
    files = dict(_FILES)
    files["torchvision/__init__.py"] += _SHAPES if broken else ""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
