"""Frames of a video through the library that the settings name."""

from __future__ import annotations

from pathlib import Path

from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings


def read_clip(path: Path, settings: VideoSettings) -> Clip:
    """The frames that the settings ask for: see ``mlvu/frames.py``.

    Raises:
        BadData: The file is missing, empty, cut off, not a video, or has no frames.
        BadInput: The settings make no sense, or the library is not installed.
    """
    if settings.decoder == "torchcodec":
        from flagbench.mlvu import torchcodec_frames

        return torchcodec_frames.read_clip(path, settings)
    from flagbench.mlvu import frames

    return frames.read_clip(path, settings)
