"""Frames of a video by their true numbers, decoded with PyAV.

What a container says of itself (frames, rate, seconds) is not trusted. ``probe`` reads all packets without decoding
one: those that are shown, in the order of their presentation times, are the frames of the video. So B-frames, edit
lists, a start other than 0 and a varying rate need no rules of their own. Where packets are not frames (no times, twice
the same, or the decoder leaves one out) the video is decoded once to be counted, which is slow and as exact.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from flagbench import BadData
from flagbench.mlvu.containers import check_end, check_index, opened
from flagbench.mlvu.samplers import indices
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings

# The same pictures on every processor; costs no more.
_SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
# Of a seek and a new start of the decoder, in packets that could be decoded meanwhile.
_SEEK_COST = 8


class Probe(NamedTuple):
    """Length of a video: frames, frames a second on average, seconds."""

    total_frames: int
    fps: float
    duration: float


@dataclass(frozen=True)
class _Plan:
    """The packets of a video, in the order in which they are decoded.

    Attributes:
        pts: ``int64[packets]`` presentation times, in units of the stream.
        dts: ``int64[packets]`` decoding times.
        keys: ``int64[m]`` places of packets that decoding can begin at.
        shown: ``int64[n]`` places of the packets of the n frames, in the order of presentation.
        times: ``float64[n]`` seconds of the frames, the first at 0.
        length: What there is to know of the whole.
        seekable: Whether a decoding time names one packet.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    keys: NDArray[np.int64]
    shown: NDArray[np.int64]
    times: NDArray[np.float64]
    length: Probe
    seekable: bool


class _NotByPackets(Exception):
    """The packets of a video are not its frames."""


def probe(path: Path) -> Probe:
    """True number of frames, frames a second on average, and seconds of a video.

    All packets are read and none is decoded: about as fast as the disk is.

    Raises:
        BadData: The file is missing, empty, cut off, not a video, or has no frames.
    """
    return timeline(path)[1]


def timeline(path: Path) -> tuple[NDArray[np.float64], Probe]:
    """Seconds of all frames, ``float64[n]``, the first at 0; and the length of the video.

    Raises:
        BadData: As ``probe``.
    """
    with opened(path) as (container, stream):
        try:
            plan = _plan(container, stream, path)
            return plan.times, plan.length
        except _NotByPackets:
            pass
    times = _times_by_decoding(path)
    return times, _length(times, 0.0, path)


def read_clip(path: Path, settings: VideoSettings) -> Clip:
    """The frames that the settings ask for, in one pass from the first to the last.

    Rotation that the file asks for is applied; pixels that are not square are left as they are. A frame of more than
    ``max_pixels`` is scaled down (bicubic), to even sides; only the frames asked for are kept in memory.

    Raises:
        BadData: The file is missing, empty, cut off, not a video, or has no frames.
        BadInput: The settings make no sense.
    """
    with opened(path) as (container, stream):
        try:
            plan = _plan(container, stream, path)
            numbers = indices(plan.length.total_frames, plan.length.fps, settings)
            unique, places = np.unique(numbers, return_inverse=True)
            pictures = _Pictures(len(unique), settings.max_pixels)
            _decode_wanted(container, stream, plan, plan.shown[unique], pictures)
            return _clip(pictures, numbers, places, plan.times, plan.length)
        except _NotByPackets:
            pass
    return _read_by_decoding(path, settings)


def check(path: Path) -> None:
    """Check that a video can be read, without reading the whole: its first frame, and that its end is there.

    Raises:
        BadData: It cannot.
    """
    with opened(path) as (container, stream):
        check_index(stream, path)
        if next(_frames(container, stream), None) is None:
            raise _no_frames(path)
        check_end(container, path)


def _plan(container: InputContainer, stream: VideoStream, path: Path) -> _Plan:
    """Read all packets of a stream.

    Raises:
        BadData: The file ends before its index does, or has no frames.
        _NotByPackets: They do not determine the frames.
    """
    rows = array("q")
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if packet.pts is None:
            raise _NotByPackets
        decoded_at = packet.pts if packet.dts is None else packet.dts
        rows.extend((packet.pts, decoded_at, packet.is_keyframe, packet.is_discard, packet.duration or 0))
    check_index(stream, path)
    table = np.array(rows, np.int64).reshape(-1, 5)
    pts, dts, duration = table[:, 0], table[:, 1], table[:, 4]
    (visible,) = np.nonzero(table[:, 3] == 0)
    if not len(visible):
        raise _no_frames(path)
    shown = visible[np.argsort(pts[visible], kind="stable")]
    if (np.diff(pts[shown]) == 0).any():
        raise _NotByPackets
    unit = float(stream.time_base or 0)
    times = (pts[shown] - pts[shown[0]]) * unit
    return _Plan(
        pts=pts,
        dts=dts,
        keys=np.flatnonzero(table[:, 2]),
        shown=shown,
        times=times,
        length=_length(times, float(duration[shown[-1]]) * unit, path),
        seekable=bool((np.diff(dts) > 0).all()),
    )


def _length(times: NDArray[np.float64], last: float, path: Path) -> Probe:
    """Length of a video from the times of its frames and the seconds that the last is shown, 0 for unknown."""
    if not len(times):
        raise _no_frames(path)
    if last <= 0:
        last = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    duration = float(times[-1]) + last
    return Probe(len(times), len(times) / duration, duration)


def _decode_wanted(
    container: InputContainer, stream: VideoStream, plan: _Plan, wanted: NDArray[np.int64], pictures: _Pictures
) -> None:
    """Decode the packets at the wanted places, given in the order of presentation, and keep their pictures.

    Decoding goes forward, and jumps to a keyframe only if it lies between here and the next wanted frame. At the end
    of a stretch the decoder is emptied, so that nothing after the last wanted frame is decoded in vain.

    Raises:
        _NotByPackets: The decoder leaves a wanted frame out.
    """
    places: dict[int | None, int] = {int(plan.pts[place]): number for number, place in enumerate(wanted)}
    context = stream.codec_context
    # Only H.264 says of a frame that no other one needs it, whatever layers there are.
    skips = context.name == "h264"
    for begin, end in _stretches(plan, wanted):
        position = _jump(container, stream, plan, begin)
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if skips:
                context.skip_frame = "DEFAULT" if packet.pts in places else "NONREF"
            for frame in _decoded(packet):
                pictures.keep(places.get(frame.pts), frame)
            position += 1
            if position > end:
                break
        for frame in context.decode(None):
            pictures.keep(places.get(frame.pts), frame)
    if not pictures.complete:
        raise _NotByPackets


def _stretches(plan: _Plan, wanted: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last place of the packets to decode, stretch by stretch."""
    stretches: list[tuple[int, int]] = []
    key_times = plan.pts[plan.keys]
    for place in wanted.tolist():
        before = plan.keys[(key_times <= plan.pts[place]) & (plan.keys <= place)]
        begin = int(before[-1]) if len(before) and plan.seekable else 0
        if stretches and begin <= stretches[-1][1] + _SEEK_COST:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], place))
        else:
            stretches.append((begin, place))
    return stretches


def _jump(container: InputContainer, stream: VideoStream, plan: _Plan, begin: int) -> int:
    """Go to a keyframe, or to an earlier place if the container takes us there; the place that comes next."""
    for target in (int(plan.dts[begin]), int(plan.pts[begin])) if begin else ():
        container.seek(target, stream=stream)
        first = next((packet for packet in container.demux(stream) if packet.size), None)
        place = int(np.searchsorted(plan.dts, first.dts)) if first and first.dts is not None else len(plan.dts)
        if place <= begin and first and (plan.pts[place], plan.dts[place]) == (first.pts, first.dts):
            container.seek(target, stream=stream)
            return place
    container.seek(int(plan.dts[0]), stream=stream)
    return 0


class _Pictures:
    """The pictures that are kept, ``uint8[k, h, w, 3]``."""

    def __init__(self, count: int, max_pixels: int) -> None:
        self._count, self._max_pixels = count, max_pixels
        self._size = (0, 0)
        self._missing = set(range(count))
        self.array = np.zeros((count, 0, 0, 3), np.uint8)

    @property
    def complete(self) -> bool:
        """True when all are there."""
        return not self._missing

    def keep(self, number: int | None, frame: VideoFrame) -> None:
        """Keep a frame under its number; None for one that is not wanted."""
        if number not in self._missing:
            return
        if not self.array.size:
            self._size = scaled(frame.width, frame.height, self._max_pixels)
        # A video whose frames change their size is brought to that of the first one.
        picture = _resized(frame, *self._size)
        if frame.rotation % 90 == 0:
            picture = np.rot90(picture, frame.rotation // 90)
        if not self.array.size:
            self.array = np.empty((self._count, *picture.shape), np.uint8)
        self.array[number] = picture
        self._missing.discard(number)


def scaled(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Width and height of a frame scaled down to so many pixels: even, and of nearly the same shape; 0 for as it is."""
    if not max_pixels or width * height <= max_pixels:
        return width, height
    factor = (max_pixels / (width * height)) ** 0.5
    return max(int(width * factor) // 2 * 2, 2), max(int(height * factor) // 2 * 2, 2)


def to_rgb(frame: VideoFrame, max_pixels: int) -> NDArray[np.uint8]:
    """A frame's pixels, ``uint8[h, w, 3]``, scaled down to so many."""
    return _resized(frame, *scaled(frame.width, frame.height, max_pixels))


def _resized(frame: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
    picture = frame.reformat(width, height, format="rgb24", interpolation=_SCALING, threads=1).to_ndarray()
    return cast("NDArray[np.uint8]", picture)


def _clip(
    pictures: _Pictures,
    numbers: NDArray[np.int64],
    places: NDArray[np.intp],
    times: NDArray[np.float64],
    length: Probe,
) -> Clip:
    """The clip of the kept pictures; a number that was asked for twice has its picture twice."""
    frames = pictures.array if len(places) == len(pictures.array) else pictures.array[places]
    return Clip(frames, numbers, times[numbers], *length)


def _frames(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in container.demux(stream):
        yield from _decoded(packet)


def _decoded(packet: Packet[VideoStream]) -> list[VideoFrame]:
    """Frames that a packet brings forth; none for a damaged one, as players have it."""
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return []


def _times_by_decoding(path: Path) -> NDArray[np.float64]:
    """Seconds of all frames that the decoder gives, the first at 0; evenly where it gives no times."""
    with opened(path) as (container, stream):
        found = [frame.time for frame in _frames(container, stream)]
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    times = np.array([np.nan if each is None else each for each in found], np.float64)
    if np.isnan(times).any() or (np.diff(times) <= 0).any():
        times = np.arange(len(found)) / rate
    return times - times[:1]


def _read_by_decoding(path: Path, settings: VideoSettings) -> Clip:
    """``read_clip`` by counting what the decoder gives: for videos whose packets are not their frames."""
    times = _times_by_decoding(path)
    length = _length(times, 0.0, path)
    numbers = indices(length.total_frames, length.fps, settings)
    unique, places = np.unique(numbers, return_inverse=True)
    wanted = {number: place for place, number in enumerate(unique.tolist())}
    pictures = _Pictures(len(unique), settings.max_pixels)
    with opened(path) as (container, stream):
        for number, frame in enumerate(_frames(container, stream)):
            pictures.keep(wanted.get(number), frame)
            if pictures.complete:
                break
    return _clip(pictures, numbers, places, times, length)


def _no_frames(path: Path) -> BadData:
    return BadData(f"the video {path} has no frames that can be decoded; download it again")
