"""Samplers of frames: pure functions from a video's length to the numbers of frames, counted from 0.

A video with fewer frames than are asked for gives what its formula gives: as many numbers as asked, some of them twice.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.mlvu.options import SAMPLERS
from flagbench.models.video import VideoSettings

# Keeps a product like 0.1 * 30, which is a little above 3, from counting as one frame more.
_ROUNDING = 1e-9


def indices(total_frames: int, fps: float, settings: VideoSettings) -> NDArray[np.int64]:
    """Numbers of the frames to see, ``int64[k]``, never falling, each from 0 to ``total_frames - 1``.

    Args:
        total_frames: Frames of the video.
        fps: Frames a second of the video, on average.
        settings: How many, and by which sampler.

    Raises:
        BadInput: The video has no frames, or the settings make no sense.
    """
    if settings.sampler not in SAMPLERS:
        raise BadInput(f"unknown sampler '{settings.sampler}'; known: {', '.join(SAMPLERS)}")
    if settings.frames < 0:
        raise BadInput(f"{settings.frames} frames of a video cannot be seen; ask for 0 or more")
    if total_frames < 1:
        raise BadInput("the video has no frames: check the file")
    if settings.frames == 0:
        return np.zeros(0, np.int64)
    if settings.sampler == "mlvu":
        return mlvu(total_frames, settings.frames)
    if settings.sampler == "uniform":
        return uniform(total_frames, settings.frames)
    return per_second(total_frames, fps, settings.fps, settings.frames)


def mlvu(total_frames: int, count: int) -> NDArray[np.int64]:
    """MLVU's own formula: ``int(s / 2) + round(s * i)`` with ``s = (total_frames - 1) / count``, halves to even.

    Below ``count + 1`` frames some numbers come twice, as they do there.
    """
    segment = (total_frames - 1) / count
    offsets: NDArray[np.int64] = np.rint(segment * np.arange(count)).astype(np.int64)
    return offsets + int(segment / 2)


def uniform(total_frames: int, count: int) -> NDArray[np.int64]:
    """Evenly from the first frame to the last, both included, rounded down; the first alone where one is asked for."""
    steps = np.arange(count, dtype=np.int64)
    return steps * (total_frames - 1) // max(count - 1, 1)


def per_second(total_frames: int, fps: float, wanted: float, cap: int) -> NDArray[np.int64]:
    """So many frames a second from the first on; where that is more than the cap, ``uniform`` over the whole video.

    Frames are counted, not timed: in a video of variable rate they are as many a second on average. A rate above that
    of the video gives every frame once.

    Raises:
        BadInput: A rate is not above 0.
    """
    if not (wanted > 0 and math.isfinite(wanted)):
        raise BadInput(f"{wanted} frames a second cannot be seen; the sampler fps needs a rate above 0")
    if not (fps > 0 and math.isfinite(fps)):
        raise BadInput("the video's own rate is unknown; use the sampler mlvu or uniform")
    step = max(fps / wanted, 1.0)
    count = math.ceil(total_frames / step - _ROUNDING)
    if count > cap:
        return uniform(total_frames, cap)
    chosen: NDArray[np.int64] = np.floor(np.arange(count) * step + _ROUNDING).astype(np.int64)
    return chosen.clip(max=total_frames - 1)
