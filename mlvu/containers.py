"""Video files: opened at the stream that is the film, and found to be whole without reading them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from flagbench import BadData

# The last packet of a whole file begins after this share of the duration that its header states.
_TAIL = 0.9
# Formats whose header states the time of the end, and not how long it is from the first packet to there.
_FROM_ZERO = {"matroska", "webm", "asf", "nut"}


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video file and its film, where it has stills as well; what fails inside becomes one line that names the file.

    Raises:
        BadData: The file is missing, empty, cut off or not a video.
    """
    if not path.is_file():
        raise BadData(f"the video {path} is missing; download it")
    if not path.stat().st_size:
        raise BadData(f"the video {path} is empty; download it again")
    try:
        with av.open(str(path)) as container:
            stream = _film(container)
            if stream is None:
                raise BadData(f"{path} has no video stream; put the video itself there")
            # Threads of a frame each would be filled and emptied at every seek, which costs more than they bring.
            stream.codec_context.thread_type = "SLICE"
            yield container, stream
    except av.error.InvalidDataError as error:
        raise BadData(f"{path} is not a video, or is cut off or damaged; download it again") from error
    except av.error.FFmpegError as error:
        raise BadData(f"the video {path} cannot be read ({error.strerror}); download it again") from error


def film_place(path: Path) -> int:
    """The place of the film among the streams of pictures that are no covers: 0 where nothing comes before it.

    Returns:
        0 for what is no video, too: decoding says what is wrong with it.
    """
    try:
        with opened(path) as (container, film):
            return [each.index for each in _pictures(container)].index(film.index)
    except BadData:
        return 0


def _film(container: InputContainer) -> VideoStream | None:
    """The stream that FFmpeg and decord take: the best by FFmpeg's own rule, and not the cover of a piece of music."""
    best = container.streams.best("video")
    films = _pictures(container)
    return next((each for each in films if best is not None and each.index == best.index), films[0] if films else None)


def _pictures(container: InputContainer) -> list[VideoStream]:
    return [each for each in container.streams.video if not each.disposition & Disposition.attached_pic]


def check_index(stream: VideoStream, path: Path) -> None:
    """The last packet that the index of the file names must be in the file.

    Raises:
        BadData: It is not.
    """
    if any(entry.pos + entry.size > path.stat().st_size for entry in stream.index_entries[-1:]):
        raise _cut_off(path)


def check_end(container: InputContainer, path: Path) -> None:
    """In a file without an index of where the last packet ends, there must be packets near the end that it states.

    Raises:
        BadData: There are none.
    """
    if not container.duration or "mp4" in container.format.name:
        return
    start = (container.start_time or 0) / av.time_base
    end = container.duration / av.time_base
    if not _FROM_ZERO & set(container.format.name.split(",")):
        end += start
    if _last(container, end) - start < _TAIL * (end - start):
        raise _cut_off(path)


def _last(container: InputContainer, end: float) -> float:
    """Seconds at which the last packet begins; of streams that are played, as others may have no times.

    Args:
        container: Wherever it is.
        end: Where it should end; all is read of one that cannot be gone to its end.
    """
    streams = [each for each in container.streams if each.type in ("video", "audio", "subtitle")]
    last = -math.inf
    for target in (end, 0.0):
        with suppress(av.error.FFmpegError):
            container.seek(int(target * av.time_base))
            for packet in container.demux(streams):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    last = max(last, float(packet.pts * packet.time_base))
        if last > -math.inf:
            return last
    return last


def _cut_off(path: Path) -> BadData:
    return BadData(f"the video {path} is cut off: the file is shorter than it says; download it again")
