"""Frames by torchcodec, on a GPU where torch sees one: faster there, and not the very pixels that PyAV gives.

Which frames, and when they are shown, is worked out by ``mlvu/frames.py`` as for PyAV. ``--decoder torchcodec`` asks
for it, and the result says so: another decoder rounds colours otherwise.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from flagbench import BadData, BadInput
from flagbench.mlvu.containers import opened
from flagbench.mlvu.frames import scaled, timeline, to_rgb
from flagbench.mlvu.samplers import indices
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings

# Frames that are decoded at once: full-size ones of a large video would not all fit.
_AT_ONCE = 16


def check_installed() -> None:
    """See whether torchcodec can be used.

    Raises:
        BadInput: It is not installed, or not made for this torch, or finds no FFmpeg.
    """
    if importlib.util.find_spec("torchcodec") is None:
        raise BadInput("--decoder torchcodec: torchcodec is not installed; install the one that fits your torch")
    try:
        _video_decoder()
    except (ImportError, OSError, RuntimeError) as error:
        message = str(error).strip().splitlines()[0]
        raise BadInput(
            f"--decoder torchcodec: it cannot be imported ({message}); it needs FFmpeg's libraries and the torch that "
            "it was made for"
        ) from error


def read_clip(path: Path, settings: VideoSettings) -> Clip:
    """``mlvu/frames.py``'s ``read_clip`` with the pixels of torchcodec.

    Raises:
        BadData: The video cannot be read.
    """
    times, length = timeline(path)
    numbers = indices(length.total_frames, length.fps, settings)
    unique, places = np.unique(numbers, return_inverse=True)
    return Clip(_pictures(path, unique, settings.max_pixels)[places], numbers, times[numbers], *length)


def _pictures(path: Path, numbers: NDArray[np.int64], max_pixels: int) -> NDArray[np.uint8]:
    """Frames by their numbers.

    Args:
        path: The video.
        numbers: ``int64[k]``, ascending, each once.
        max_pixels: Of a frame; larger ones are scaled down as those of PyAV are.

    Returns:
        ``uint8[k, h, w, 3]``, RGB.

    Raises:
        BadData: The video cannot be read, or torchcodec counts fewer frames.
    """
    from flagbench.models.device import resolve_device

    device = resolve_device("auto")
    with opened(path) as (_, stream):
        film = stream.index
    try:
        decoder = _video_decoder()(
            str(path),
            stream_index=film,
            dimension_order="NHWC",
            seek_mode="exact",
            device=device if device.startswith("cuda") else "cpu",
        )
        parts = [
            decoder.get_frames_at(indices=numbers[start : start + _AT_ONCE].tolist()).data.cpu().numpy()
            for start in range(0, len(numbers), _AT_ONCE)
        ]
    except (RuntimeError, ValueError, IndexError) as error:
        message = str(error).strip().splitlines()[0]
        raise BadData(f"torchcodec cannot read the video {path} ({message}); use --decoder pyav") from error
    frames: NDArray[np.uint8] = np.concatenate(parts)
    height, width = frames.shape[1:3]
    if scaled(width, height, max_pixels) == (width, height):
        return frames
    return np.stack([to_rgb(av.VideoFrame.from_ndarray(frame, format="rgb24"), max_pixels) for frame in frames])


def _video_decoder() -> Any:
    from torchcodec.decoders import VideoDecoder

    return VideoDecoder
