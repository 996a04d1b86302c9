"""torchcodec, where it is installed: the very frames that PyAV gives, by their drawn numbers."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.mlvu.benchmark import MINI, settings_of
from flagbench.mlvu.clips import read_clip
from flagbench.mlvu.signs import read_sign
from flagbench.models.video import VideoSettings
from flagbench.runners.request import VideoRequest

VIDEOS = sorted((MINI / "MLVU" / "MVLU" / "video" / "4_count").glob("*.mp4"))


@pytest.mark.skipif(importlib.util.find_spec("torchcodec") is None, reason="torchcodec is not installed")
@pytest.mark.parametrize("settings", [VideoSettings(5), VideoSettings(40, sampler="uniform", max_pixels=9_000)])
def test_its_frames_are_those_of_pyav(settings: VideoSettings) -> None:
    from dataclasses import replace

    for path in VIDEOS:
        ours, theirs = (read_clip(path, replace(settings, decoder=decoder)) for decoder in ("pyav", "torchcodec"))
        assert theirs.indices.tolist() == ours.indices.tolist() == [read_sign(frame).frame for frame in theirs.frames]
        assert theirs.times.tolist() == ours.times.tolist()
        assert theirs.frames.shape == ours.frames.shape
        assert np.abs(theirs.frames.astype(int) - ours.frames).mean() < 2.0


@pytest.mark.skipif(importlib.util.find_spec("torchcodec") is not None, reason="torchcodec is installed")
def test_without_it_one_line_says_so() -> None:
    with pytest.raises(BadInput, match=r"^--decoder torchcodec: torchcodec is not installed"):
        settings_of(VideoRequest(decoder="torchcodec"))
