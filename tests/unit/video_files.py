"""Videos whose every frame carries its own number, written in a moment."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from flagbench.mlvu.mini.signs import Sign, draw_sign

MILLISECOND = Fraction(1, 1000)


def write_video(
    path: Path,
    frames: int = 60,
    *,
    size: tuple[int, int] = (160, 120),
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: Mapping[str, str] | None = None,
    rotation: int = 0,
    still: bool = False,
) -> Path:
    """A video at 25 frames a second, or with its frames at the given milliseconds; GOP 250 and B-frames.

    With ``still`` its first stream is a picture of another size, without the mark of a cover.
    """
    width, height = size
    speed = {"preset": "ultrafast", "b-pyramid": "normal"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        picture_first: Any = container.add_stream("mjpeg", rate=1) if still else None
        wanted = {"g": "250", "bf": "3", "threads": "1", **speed, **(options or {})}
        stream: Any = container.add_stream(codec, rate=25, options=wanted)
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        unit = Fraction(1, 25) if times is None else MILLISECOND
        stream.time_base = stream.codec_context.time_base = unit
        if rotation:
            stream.set_display_rotation(rotation)
        if still:
            picture_first.width, picture_first.height, picture_first.pix_fmt = 320, 240, "yuvj420p"
            white = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 255, np.uint8), format="rgb24")
            white = white.reformat(format="yuvj420p")
            white.pts = 0
            container.mux(picture_first.encode(white) + picture_first.encode())
        for number in range(frames):
            picture = np.full((height, width, 3), 40 + number % 100, np.uint8)
            picture[: height // 2, : (number * 5) % width] = 200
            draw_sign(picture, Sign(7, number))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number if times is None else times[number], unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def index_first(source: Path, target: Path) -> Path:
    """The same video with its index before its packets, as files for the web have it."""
    with av.open(str(source)) as whole, av.open(str(target), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return target


def begin_later(path: Path, frames: int) -> None:
    """Change the edit list of an mp4 file at 25 frames a second, so that its first frames are not shown."""
    data = bytearray(path.read_bytes())
    timescale = data.index(b"mdhd") + 4 + 12
    ticks = struct.unpack_from(">I", data, timescale)[0] * frames // 25
    media_time = data.index(b"elst") + 4 + 8 + 4
    (before,) = struct.unpack_from(">i", data, media_time)
    struct.pack_into(">i", data, media_time, before + ticks)
    path.write_bytes(data)
