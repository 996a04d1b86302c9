"""Frames of videos on disk, so that a video is decoded once; and decoding ahead while the model works.

An entry is one file, named by a hash of the video's content and of the settings that change its frames: the array as
NumPy writes it, which is mapped and not read, then the rest as JSON, then 16 bytes that say where that begins and what
its check is. Two processes may use one folder: an entry appears whole, and where both miss it both decode it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from flagbench import BadData, BadInput
from flagbench.files import open_file, parse_json
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings
from flagbench.runners.data import file_digests

SUFFIX = ".frames"
_PARTIAL = ".partial"
_FORMAT = 1
_END = struct.Struct("<8sII")
_MAGIC = b"FBclip\x01\n"
# What a killed process left half written; younger ones may be another's.
_STALE_SECONDS = 3600.0

Item = TypeVar("Item")


def key_of(path: Path, settings: VideoSettings) -> str:
    """The name of a video's entry: its content, what changes frames, and the version of the decoder.

    The stream that is read is named where a still comes before the film: such an entry once held the still.

    Raises:
        BadData: The file cannot be read.
    """
    from flagbench.mlvu.containers import film_place

    moving = (settings.sampler, settings.frames, settings.fps, settings.max_pixels)
    decoders = [metadata.version("av"), *([metadata.version("torchcodec")] if settings.decoder == "torchcodec" else [])]
    try:
        content = file_digests.of_ends(path)
    except OSError as error:
        raise BadData(f"the video {path} cannot be read: {error.strerror}; download it again") from error
    place = film_place(path)
    text = json.dumps([_FORMAT, *decoders, content, *moving, *([{"stream": place}] if place else [])])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class FrameCache:
    """Decoded and scaled frames of videos in a folder.

    Args:
        folder: Made when it is not there.
        cap_bytes: Size of all entries at most: the least recently used ones are removed; None for no limit.
        warn: Takes a line when the folder cannot be written; the run goes on without it.
        read: Decodes a video; ``flagbench.mlvu.clips.read_clip`` by default.

    Raises:
        BadInput: The folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        cap_bytes: int | None = None,
        *,
        warn: Callable[[str], None] = lambda _: None,
        read: Callable[[Path, VideoSettings], Clip] | None = None,
    ) -> None:
        self._folder, self._cap, self._warn, self._read = folder, cap_bytes, warn, read or _read_clip
        self._warned = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, status in _files(folder, _PARTIAL):
                if time.time() - status.st_mtime > _STALE_SECONDS:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise BadInput(f"cannot use {folder} for frames: {error.strerror}; name another folder") from error

    def clip(self, path: Path, settings: VideoSettings) -> Clip:
        """The clip of a video: from its entry, or decoded and kept. Writing into its frames changes no entry.

        Raises:
            BadData: The video cannot be read.
        """
        entry = self._folder / (key_of(path, settings) + SUFFIX)
        found = _load(entry)
        if found:
            with suppress(OSError):
                os.utime(entry)
            return found
        clip = self._read(path, settings)
        try:
            _save(entry, clip)
            self._make_room(entry)
        except OSError as error:
            if not self._warned:
                self._warn(f"cannot keep frames in {self._folder}: {error.strerror}; videos are decoded in every run")
            self._warned = True
        return clip

    def _make_room(self, newest: Path) -> None:
        """Remove the longest unused entries above the cap, at last the newest too if it alone is above it."""
        if self._cap is None:
            return
        entries = _files(self._folder, SUFFIX)
        total = sum(status.st_size for _, status in entries)
        for path, status in sorted(entries, key=lambda entry: (entry[0] == newest, entry[1].st_mtime_ns)):
            if total <= self._cap:
                return
            # A process that has it mapped keeps its bytes until it lets go.
            path.unlink(missing_ok=True)
            total -= status.st_size


def by_video(items: Iterable[Item], video: Callable[[Item], Path]) -> dict[Path, list[Item]]:
    """Items (questions, say) by their video, both in the order in which they first come."""
    groups: dict[Path, list[Item]] = {}
    for item in items:
        groups.setdefault(video(item), []).append(item)
    return groups


class Prefetch:
    """Clips of videos, one after the other, the next ones decoded in a thread while the caller works on one.

    Args:
        paths: The videos; each is read once, however often it comes.
        read: Gives the clip of a video.
        ahead: Clips at most that wait to be taken, the one being decoded among them.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[Path], Clip], ahead: int = 2) -> None:
        if ahead < 1:
            raise ValueError("at least one clip must be decoded ahead")
        self._paths, self._read, self._ahead = list(dict.fromkeys(paths)), read, ahead

    def __iter__(self) -> Generator[tuple[Path, Clip | BadData]]:
        """Each video with its clip, or with why it has none: one unreadable video does not end the others."""
        waiting: deque[tuple[Path, Future[Clip | BadData]]] = deque()
        left = iter(self._paths)
        threads = ThreadPoolExecutor(1, "decode")
        try:
            for path in self._paths[: self._ahead]:
                waiting.append((next(left), threads.submit(self._clip, path)))
            while waiting:
                path, future = waiting.popleft()
                result = future.result()
                del future
                for following in left:
                    waiting.append((following, threads.submit(self._clip, following)))
                    break
                yield path, result
                del result
        finally:
            # Whoever leaves early does not wait for more than the video at hand.
            threads.shutdown(cancel_futures=True)

    def _clip(self, path: Path) -> Clip | BadData:
        try:
            return self._read(path)
        except BadData as error:
            return error


def _read_clip(path: Path, settings: VideoSettings) -> Clip:
    from flagbench.mlvu.clips import read_clip

    return read_clip(path, settings)


def _files(folder: Path, suffix: str) -> list[tuple[Path, os.stat_result]]:
    """Files of a kind; those that another process removes meanwhile are left out."""
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if path.name.endswith(suffix):
                found.append((path, path.stat()))
    return found


def _save(entry: Path, clip: Clip) -> None:
    """Write an entry whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    frames = np.ascontiguousarray(clip.frames)
    rest = {
        "crc": zlib.crc32(frames.data),
        "indices": clip.indices.tolist(),
        "times": clip.times.tolist(),
        "total_frames": clip.total_frames,
        "fps": clip.fps,
        "duration": clip.duration,
    }
    text = json.dumps(rest, separators=(",", ":")).encode()
    handle, name = tempfile.mkstemp(dir=entry.parent, prefix=".", suffix=_PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, frames, allow_pickle=False)
            file.write(text)
            file.write(_END.pack(_MAGIC, len(text), zlib.crc32(text)))
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(entry)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _load(entry: Path) -> Clip | None:
    """The clip of an entry; None where there is none, or a damaged one."""
    try:
        with open_file(entry, "remove it") as file:
            size = file.seek(-_END.size, os.SEEK_END)
            magic, length, crc = _END.unpack(file.read(_END.size))
            file.seek(size - length)
            text = file.read(length)
        if magic != _MAGIC or zlib.crc32(text) != crc:
            return None
        rest: dict[str, Any] = parse_json(text)
        frames: NDArray[np.uint8] = _mapped(entry)
        if zlib.crc32(np.ascontiguousarray(frames).data) != rest["crc"]:
            return None
        return Clip(
            frames,
            np.array(rest["indices"], np.int64),
            np.array(rest["times"], np.float64),
            rest["total_frames"],
            rest["fps"],
            rest["duration"],
        )
    except (BadInput, OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(entry: Path) -> NDArray[np.uint8]:
    """The array at the beginning of an entry; its pages are copied when they are written to.

    Raises:
        ValueError: There is none.
    """
    with entry.open("rb") as file:
        np.lib.format.read_magic(file)
    return np.asarray(np.load(entry, mmap_mode="c", allow_pickle=False))
