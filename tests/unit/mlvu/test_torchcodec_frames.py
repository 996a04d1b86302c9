"""torchcodec: the very frames that PyAV gives, by their drawn numbers; with a stand-in where it is not installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import Interpolation

from flagbench import BadData, BadInput
from flagbench.mlvu.benchmark import MINI, settings_of
from flagbench.mlvu.clips import read_clip
from flagbench.mlvu.frame_cache import key_of
from flagbench.mlvu.mini.signs import read_sign
from flagbench.mlvu.options import MlvuOptions
from flagbench.models.video import VideoSettings
from tests.unit.video_files import write_video

INSTALLED = importlib.util.find_spec("torchcodec") is not None
VIDEOS = sorted((MINI / "MLVU" / "MVLU" / "video" / "4_count").glob("*.mp4"))
# As the product has it, so that equal frames have equal pixels.
SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
SETTINGS = [VideoSettings(5, sampler="mlvu"), VideoSettings(40, sampler="uniform", max_pixels=9_000)]


class _Decoder:
    """Decodes as torchcodec's class of that name is documented to, and notes how it is asked."""

    asked: list[tuple[Any, ...]]

    def __init__(
        self,
        source: str,
        *,
        stream_index: int | None = None,
        dimension_order: str = "NCHW",
        seek_mode: str = "exact",
        device: str = "cpu",
    ) -> None:
        self.how = (dimension_order, seek_mode, device)
        with av.open(source) as container:
            film = container.decode(container.streams[stream_index or 0])
            pictures = [frame.to_ndarray(format="rgb24", interpolation=SCALING) for frame in film]
        frames = torch.from_numpy(np.stack(pictures))
        self.frames = frames if dimension_order == "NHWC" else frames.permute(0, 3, 1, 2)

    def get_frames_at(self, indices: Sequence[int]) -> Any:
        self.asked.append((*self.how, len(indices)))
        if any(not 0 <= each < len(self.frames) for each in indices):
            raise IndexError(f"Invalid frame index in {indices}")
        return SimpleNamespace(data=self.frames[list(indices)])


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[_Decoder]:
    """The decoder that stands in for torchcodec's."""
    decoder = type("VideoDecoder", (_Decoder,), {"asked": []})
    for name in ("torchcodec", "torchcodec.decoders"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["torchcodec.decoders"].VideoDecoder = decoder  # type: ignore[attr-defined]
    versions = {"torchcodec": "1.0"}
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: versions.get(name) or real(name))
    return decoder


def _same(path: Path, settings: VideoSettings) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of both decoders, of clips that are alike in all else."""
    ours, theirs = (read_clip(path, replace(settings, decoder=decoder)) for decoder in ("pyav", "torchcodec"))
    assert theirs.indices.tolist() == ours.indices.tolist() == [read_sign(frame).frame for frame in theirs.frames]
    assert theirs.times.tolist() == ours.times.tolist()
    assert (theirs.total_frames, theirs.fps, theirs.duration) == (ours.total_frames, ours.fps, ours.duration)
    assert theirs.frames.shape == ours.frames.shape
    return ours.frames.astype(int), theirs.frames.astype(int)


@pytest.mark.skipif(not INSTALLED, reason="torchcodec is not installed")
@pytest.mark.parametrize("settings", SETTINGS)
def test_its_frames_are_those_of_pyav(settings: VideoSettings) -> None:
    for path in VIDEOS:
        ours, theirs = _same(path, settings)
        assert np.abs(theirs - ours).mean() < 2.0
        assert np.abs(theirs - ours).mean() < np.abs(theirs[..., ::-1] - ours).mean(), "colours in their order"


@pytest.mark.parametrize("settings", [*SETTINGS, VideoSettings(12, sampler="uniform")])
def test_the_frames_of_a_decoder_like_it_are_those_of_pyav(settings: VideoSettings, stand_in: type[_Decoder]) -> None:
    for path in VIDEOS[:2]:
        ours, theirs = _same(path, settings)
        # Scaling starts from RGB here, and from the video's own colours there.
        assert np.abs(theirs - ours).mean() <= (1.0 if settings.max_pixels else 0.0)
    assert {each[:2] for each in stand_in.asked} == {("NHWC", "exact")}
    assert max(each[3] for each in stand_in.asked) <= 16


def test_many_frames_are_decoded_some_at_a_time_and_none_is_lost(tmp_path: Path, stand_in: type[_Decoder]) -> None:
    path = write_video(tmp_path / "a.mp4", 60)
    _same(path, VideoSettings(37, sampler="uniform"))
    assert [each[3] for each in stand_in.asked] == [16, 16, 5]
    stand_in.asked.clear()
    _same(path, VideoSettings(32, sampler="uniform"))
    assert [each[3] for each in stand_in.asked] == [16, 16]


def test_what_it_cannot_read_is_one_line(
    tmp_path: Path, stand_in: type[_Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Any, indices: Sequence[int]) -> None:
        raise RuntimeError("no such frame\nand a long story")

    monkeypatch.setattr(stand_in, "get_frames_at", fails)
    with pytest.raises(BadData, match=r"^torchcodec cannot read .*a\.mp4 \(no such frame\); use --decoder pyav$"):
        read_clip(write_video(tmp_path / "a.mp4", 20), VideoSettings(4, decoder="torchcodec", sampler="mlvu"))


def test_its_frames_are_kept_apart_from_those_of_pyav(
    tmp_path: Path, stand_in: type[_Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", 5)
    keys = [key_of(path, VideoSettings(4, decoder=each, sampler="mlvu")) for each in ("pyav", "torchcodec")]
    real = metadata.version
    for changed in ("torchcodec", "av"):
        monkeypatch.setattr(
            metadata, "version", lambda name, changed=changed: "0.0.1" if name == changed else real(name)
        )
        keys.append(key_of(path, VideoSettings(4, decoder="torchcodec", sampler="mlvu")))
    keys.append(key_of(path, VideoSettings(4, sampler="mlvu")))  # another av
    assert len(set(keys)) == len(keys)


@pytest.mark.usefixtures("stand_in")
def test_where_it_is_there_it_may_be_asked_for() -> None:
    assert settings_of(MlvuOptions(decoder="torchcodec")).decoder == "torchcodec"


@pytest.mark.skipif(INSTALLED, reason="torchcodec is installed")
def test_without_it_one_line_says_so() -> None:
    with pytest.raises(BadInput, match=r"^--decoder torchcodec: torchcodec is not installed"):
        settings_of(MlvuOptions(decoder="torchcodec"))
