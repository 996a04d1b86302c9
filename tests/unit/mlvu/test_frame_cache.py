"""Frames kept on disk, and clips decoded ahead."""

from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import threading
import time
import zlib
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from flagbench import BadData, BadInput
from flagbench.mlvu.frame_cache import SUFFIX, FrameCache, Prefetch, by_video, key_of
from flagbench.mlvu.frames import read_clip
from flagbench.mlvu.mini.signs import read_sign
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings
from flagbench.runners.data.file_digests import of_ends
from tests.unit.video_files import write_video

SETTINGS = VideoSettings(4, sampler="mlvu")


def made(number: int, frames: int = 4) -> Clip:
    values = np.random.default_rng(number).integers(0, 256, (frames, 20, 30, 3), np.uint8)
    return Clip(values, np.arange(frames), np.arange(frames) / 3, 100 + number, 29.97, 3.34)


def same(one: Clip, other: Clip) -> bool:
    arrays = ("frames", "indices", "times")
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in arrays
    ) and replace(one, **dict.fromkeys(arrays)) == replace(other, **dict.fromkeys(arrays))


class Reader:
    """Gives the clip whose number a file holds, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, path: Path, settings: VideoSettings) -> Clip:
        self.asked.append(path.name)
        return made(int(path.read_text()), settings.frames)


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.mp4" for number in range(4)]
    for number, path in enumerate(paths):
        path.write_text(str(number))
    return paths


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "frames"


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(SUFFIX))


def test_a_video_is_decoded_once(videos: list[Path], folder: Path) -> None:
    read = Reader()
    first = FrameCache(folder, read=read).clip(videos[1], SETTINGS)
    again = FrameCache(folder, read=read).clip(videos[1], SETTINGS)
    assert read.asked == ["1.mp4"]
    assert same(first, again)
    assert same(again, made(1))
    assert isinstance(again.frames.base, np.memmap)
    assert type(again.frames) is np.ndarray


def test_writing_into_frames_changes_no_entry(videos: list[Path], folder: Path) -> None:
    cache = FrameCache(folder, read=Reader())
    cache.clip(videos[0], SETTINGS)
    cache.clip(videos[0], SETTINGS).frames[:] = 0
    assert same(cache.clip(videos[0], SETTINGS), made(0))


def test_a_clip_without_frames(videos: list[Path], folder: Path) -> None:
    read = Reader()
    for _ in range(2):
        clip = FrameCache(folder, read=read).clip(videos[0], VideoSettings(0, sampler="mlvu"))
        assert clip.frames.shape[0] == 0
    assert read.asked == ["0.mp4"]


def test_the_same_content_elsewhere_is_the_same_video(videos: list[Path], folder: Path) -> None:
    read = Reader()
    cache = FrameCache(folder, read=read)
    cache.clip(videos[0], SETTINGS)
    copy = videos[0].with_name("copy.mp4")
    copy.write_bytes(videos[0].read_bytes())
    cache.clip(copy, SETTINGS)
    assert read.asked == ["0.mp4"]
    videos[0].write_text("3")
    assert same(cache.clip(videos[0], SETTINGS), made(3))


def test_what_changes_frames_changes_the_entry(videos: list[Path]) -> None:
    settings = [
        SETTINGS,
        VideoSettings(8, sampler="mlvu"),
        VideoSettings(4, "uniform"),
        VideoSettings(4, "fps", fps=1.0),
        VideoSettings(4, "fps", fps=2.0),
        VideoSettings(4, max_pixels=100, sampler="mlvu"),
    ]
    assert len({key_of(videos[0], each) for each in settings}) == len(settings)
    other = VideoSettings(4, prompt="no-prefill", answer="options", max_new_tokens=99, sampler="mlvu")
    assert key_of(videos[0], other) == key_of(videos[0], SETTINGS), "prompts are no matter"


def test_the_key_of_a_large_file_is_of_its_head_middle_and_tail(tmp_path: Path) -> None:
    data = bytearray(np.random.default_rng(0).bytes(3_000_000))
    seen = set()
    for place in (None, 0, len(data) // 2, len(data) - 1):
        if place is not None:
            data[place] ^= 1
        (tmp_path / "a").write_bytes(data)
        seen.add(key_of(tmp_path / "a", SETTINGS))
    assert len(seen) == 4
    with pytest.raises(BadData, match=r"none\.mp4 cannot be read: No such file"):
        key_of(tmp_path / "none.mp4", SETTINGS)


@pytest.mark.parametrize("place", [2, 100, 200, 4000, -3, -20, -60])
def test_a_damaged_entry_is_decoded_anew(videos: list[Path], folder: Path, place: int) -> None:
    read = Reader()
    cache = FrameCache(folder, read=read)
    cache.clip(videos[2], SETTINGS)
    (entry,) = entries(folder)
    data = bytearray(entry.read_bytes())
    data[place] ^= 0x40
    entry.write_bytes(data)
    assert same(cache.clip(videos[2], SETTINGS), made(2))
    assert same(cache.clip(videos[2], SETTINGS), made(2))
    assert len(read.asked) <= 2


@pytest.mark.parametrize("length", [0, 5, 300, -1])
def test_an_entry_cut_short_is_decoded_anew(videos: list[Path], folder: Path, length: int) -> None:
    read = Reader()
    cache = FrameCache(folder, read=read)
    cache.clip(videos[2], SETTINGS)
    (entry,) = entries(folder)
    entry.write_bytes(entry.read_bytes()[:length])
    assert same(cache.clip(videos[2], SETTINGS), made(2))
    assert read.asked == ["2.mp4"] * 2


def test_the_longest_unused_make_room(videos: list[Path], folder: Path) -> None:
    read = Reader()
    FrameCache(folder, read=read).clip(videos[0], SETTINGS)
    size = entries(folder)[0].stat().st_size
    cache = FrameCache(folder, cap_bytes=size * 5 // 2, read=read)
    cache.clip(videos[1], SETTINGS)
    for age, path in zip((100, 50), videos, strict=False):
        os.utime(folder / (key_of(path, SETTINGS) + SUFFIX), (time.time() - age,) * 2)
    cache.clip(videos[0], SETTINGS)
    cache.clip(videos[2], SETTINGS)
    assert {path.stem for path in entries(folder)} == {key_of(videos[number], SETTINGS) for number in (0, 2)}


def test_entries_of_just_the_cap_stay(videos: list[Path], folder: Path) -> None:
    FrameCache(folder, read=Reader()).clip(videos[0], SETTINGS)
    size = entries(folder)[0].stat().st_size
    for cap, left in ((2 * size, 2), (2 * size - 1, 1), (size, 1), (size - 1, 0)):
        cache = FrameCache(folder / str(cap), cap_bytes=cap, read=Reader())
        for path in videos[:2]:
            cache.clip(path, SETTINGS)
        assert [path.stat().st_size for path in entries(folder / str(cap))] == [size] * left


def test_the_newest_stays_whatever_the_clock_says(videos: list[Path], folder: Path) -> None:
    FrameCache(folder, read=Reader()).clip(videos[0], SETTINGS)
    (old,) = entries(folder)
    os.utime(old, (time.time() + 1_000,) * 2)
    FrameCache(folder, cap_bytes=old.stat().st_size * 3 // 2, read=Reader()).clip(videos[1], SETTINGS)
    assert [path.stem for path in entries(folder)] == [key_of(videos[1], SETTINGS)]


def test_an_entry_is_on_the_disk_before_it_has_its_name(
    videos: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut leaves a whole entry, or none."""
    synced: list[bytes] = []
    sync = os.fsync

    def keep(handle: int) -> None:
        sync(handle)
        assert entries(folder) == []
        (unfinished,) = folder.iterdir()
        synced.append(unfinished.read_bytes())

    monkeypatch.setattr("os.fsync", keep)
    FrameCache(folder, read=Reader()).clip(videos[0], SETTINGS)
    assert synced == [path.read_bytes() for path in entries(folder)]
    assert len(synced) == 1


def test_an_entry_may_be_read_by_others_and_is_no_longer_than_it_must_be(videos: list[Path], folder: Path) -> None:
    """The files of ``tempfile`` are for their owner alone; a folder of frames may be shared."""
    FrameCache(folder, read=Reader()).clip(videos[0], SETTINGS)
    (entry,) = entries(folder)
    assert entry.stat().st_mode & 0o777 == 0o644
    data = entry.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    rest = data[-16 - length : -16]
    assert data[-16:-8] == b"FBclip\x01\n"
    assert int.from_bytes(data[-4:], "little") == zlib.crc32(rest)
    clip = made(0)
    assert json.loads(rest) == {
        "crc": zlib.crc32(clip.frames.tobytes()),
        "indices": [0, 1, 2, 3],
        "times": [0.0, 1 / 3, 2 / 3, 1.0],
        "total_frames": 100,
        "fps": 29.97,
        "duration": 3.34,
    }
    assert np.array_equal(np.load(io.BytesIO(data[: -16 - length])), clip.frames)


def test_an_entry_above_the_cap_is_not_kept(videos: list[Path], folder: Path) -> None:
    assert same(FrameCache(folder, cap_bytes=10, read=Reader()).clip(videos[0], SETTINGS), made(0))
    assert entries(folder) == []


def test_a_full_disk_does_not_end_the_run(videos: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    lines: list[str] = []
    cache = FrameCache(folder, warn=lines.append, read=Reader())
    monkeypatch.setattr("os.fsync", full)
    for path in videos:
        cache.clip(path, SETTINGS)
    assert lines == [f"cannot keep frames in {folder}: No space left on device; videos are decoded in every run"]
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_swept_up(folder: Path) -> None:
    folder.mkdir(parents=True)
    old, new = folder / ".a.partial", folder / ".b.partial"
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    FrameCache(folder)
    assert list(folder.iterdir()) == [new]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match=r"cannot use .*file/frames for frames: Not a directory; name another folder"):
        FrameCache(tmp_path / "file" / "frames")


def in_a_process(folder: Path, videos: list[Path], cap: int | None) -> None:
    cache = FrameCache(folder, cap, read=Reader())
    for turn in range(40):
        number = turn * 7 % len(videos)
        assert same(cache.clip(videos[number], SETTINGS), made(number))


def test_two_processes_at_once(videos: list[Path], folder: Path) -> None:
    """Each removes entries that the other has read or is about to read."""
    cap = 16_000
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=in_a_process, args=(folder, videos, cap)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert all(not path.name.endswith(".partial") for path in folder.iterdir())


def test_a_real_video(tmp_path: Path, folder: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 60)
    settings = VideoSettings(7, "uniform", max_pixels=9_000)
    FrameCache(folder).clip(path, settings)
    again = FrameCache(folder, read=lambda *_: pytest.fail("decoded again")).clip(path, settings)
    assert same(again, read_clip(path, settings))
    assert [read_sign(frame).frame for frame in again.frames] == again.indices.tolist() == [0, 9, 19, 29, 39, 49, 59]
    assert again.times == pytest.approx(again.indices / 25)
    assert (again.total_frames, again.fps, again.duration) == pytest.approx((60, 25, 2.4))


def test_a_film_behind_a_still_is_not_read_from_an_entry_that_held_the_still(tmp_path: Path, folder: Path) -> None:
    """Entries that were made when the first stream was read: under the name that every video had then."""
    settings = VideoSettings(7, "uniform")
    film, ordinary = write_video(tmp_path / "still.mkv", 60, still=True), write_video(tmp_path / "a.mkv", 60)
    for path in (film, ordinary):
        text = json.dumps([1, metadata.version("av"), of_ends(path), "uniform", 7, 0.0, 0])
        former = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        assert (key_of(path, settings) == former) == (path == ordinary)
        stand_in = write_video(tmp_path / "stand-in.mkv", 1, size=(320, 240))
        FrameCache(folder, read=lambda _, settings, stand_in=stand_in: read_clip(stand_in, settings)).clip(
            stand_in, settings
        )
        (folder / f"{key_of(stand_in, settings)}{SUFFIX}").rename(folder / f"{former}{SUFFIX}")

    cache = FrameCache(folder)
    assert same(cache.clip(film, settings), read_clip(film, settings))
    assert same(
        FrameCache(folder, read=lambda *_: pytest.fail("decoded again")).clip(film, settings),
        cache.clip(film, settings),
    )
    assert cache.clip(ordinary, settings).total_frames == 1, "an entry of an ordinary video stays valid"


@pytest.mark.parametrize(
    "rest", [b"[]", b"{}", b"[" * 10_000, b'{"crc": 1, "crc": 2}', b'{"crc": NaN}', b'{"crc": null, "indices": {}}']
)
def test_an_entry_whose_rest_is_no_clip_is_decoded_anew(videos: list[Path], folder: Path, rest: bytes) -> None:
    read = Reader()
    cache = FrameCache(folder, read=read)
    cache.clip(videos[2], SETTINGS)
    (entry,) = entries(folder)
    data = entry.read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    end = b"FBclip\x01\n" + len(rest).to_bytes(4, "little") + zlib.crc32(rest).to_bytes(4, "little")
    entry.write_bytes(data[: -16 - length] + rest + end)
    assert same(cache.clip(videos[2], SETTINGS), made(2))
    assert read.asked == ["2.mp4"] * 2


def test_a_pipe_in_place_of_an_entry_is_not_waited_for(videos: list[Path], folder: Path) -> None:
    cache = FrameCache(folder, read=Reader())
    os.mkfifo(folder / (key_of(videos[1], SETTINGS) + SUFFIX))
    for _ in range(2):
        assert same(cache.clip(videos[1], SETTINGS), made(1))


def test_questions_by_video() -> None:
    asked = [("a", 1), ("b", 2), ("a", 3)]
    assert by_video(asked, lambda item: Path(item[0])) == {Path("a"): [("a", 1), ("a", 3)], Path("b"): [("b", 2)]}


def test_prefetch_reads_each_video_once_and_in_order(videos: list[Path]) -> None:
    read = Reader()
    ahead = Prefetch([*videos, *videos], lambda path: read(path, SETTINGS))
    for number, (path, clip) in enumerate(ahead):
        assert path == videos[number]
        assert isinstance(clip, Clip)
        assert same(clip, made(number))
    assert read.asked == [path.name for path in videos]


def test_prefetch_is_ahead_but_not_far(videos: list[Path]) -> None:
    begun: list[Path] = []
    third = threading.Event()

    def read(path: Path) -> Clip:
        begun.append(path)
        if len(begun) == 3:
            third.set()
        return made(0)

    for path, _ in Prefetch(videos, read, ahead=2):
        if path == videos[0]:
            assert third.wait(5), "the two that come next are decoded meanwhile"
            time.sleep(0.05)
            assert begun == videos[:3]


def test_prefetch_goes_on_after_an_unreadable_video(videos: list[Path]) -> None:
    def read(path: Path) -> Clip:
        if path == videos[1]:
            raise BadData("1.mp4 is cut off")
        return made(0)

    results = [clip for _, clip in Prefetch(videos, read)]
    assert [isinstance(each, BadData) for each in results] == [False, True, False, False]


def test_prefetch_ends_early_and_passes_other_errors_on(videos: list[Path]) -> None:
    read = Reader()
    for _ in Prefetch(videos, lambda path: read(path, SETTINGS), ahead=1):
        break
    assert len(read.asked) <= 2

    def fails(_: Path) -> Clip:
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        list(Prefetch(videos, fails))
    assert list(Prefetch([], fails)) == []
    with pytest.raises(ValueError, match="at least one"):
        Prefetch(videos, fails, ahead=0)
