"""Frames are read by their true numbers: videos whose frames carry their number are read back."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition

import flagbench.mlvu.frames as frames_module
from flagbench import BadData
from flagbench.mlvu.frames import probe, read_clip, scaled, timeline
from flagbench.mlvu.mini.signs import Sign, draw_sign, read_sign
from flagbench.models.prompts import Clip
from flagbench.models.video import VideoSettings
from tests.unit.video_files import MILLISECOND, begin_later, index_first, write_video

SETTINGS = (
    VideoSettings(8, sampler="mlvu"),
    VideoSettings(31, "uniform"),
    VideoSettings(256, "fps", fps=4.0),
    VideoSettings(5, "fps", fps=4.0),
    VideoSettings(1, sampler="mlvu"),
)
JUMPS = {"g": "40", "keyint_min": "40", "sc_threshold": "0"}


def uneven(count: int) -> list[int]:
    """Milliseconds of frames that come at very different distances."""
    return np.cumsum(np.random.default_rng(1).choice([7, 20, 40, 41, 300], count)).tolist()


KINDS: dict[str, dict[str, Any]] = {
    "gop-250": {"frames": 300},
    "short-gops": {"frames": 300, "options": JUMPS},
    "open-gops": {"frames": 300, "options": {**JUMPS, "x264-params": "open-gop=1:bframes=4:b-adapt=0"}},
    "all-keyframes": {"frames": 90, "options": {"g": "1"}},
    "uneven": {"frames": 200, "times": uneven(200), "options": JUMPS},
    "starts-late": {"frames": 120, "times": [1234 + 40 * each for each in range(120)], "options": JUMPS},
    "odd-sides": {"frames": 60, "size": (161, 121), "pixels": "yuv444p"},
}


@pytest.fixture(scope="module", params=KINDS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    kind: dict[str, Any] = KINDS[request.param]
    path = write_video(tmp_path_factory.mktemp("videos") / f"{request.param}.mp4", **kind)
    times = kind.get("times", [40 * each for each in range(kind["frames"])])
    return path, [(each - times[0]) / 1000 for each in times]


def numbers(clip: Clip) -> list[int]:
    assert clip.frames.dtype == np.uint8
    assert clip.indices.dtype == np.int64
    assert clip.times.dtype == np.float64
    assert len(clip.frames) == len(clip.indices) == len(clip.times)
    return [read_sign(frame).frame for frame in clip.frames]


def no_counting(*_: object) -> None:
    raise AssertionError("the packets are the frames")


def test_exactly_the_frames_that_were_asked_for(
    video: tuple[Path, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_module, "_times_by_decoding", no_counting)
    path, times = video
    with av.open(str(path)) as container:
        order = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert (order != sorted(order)) == (path.stem != "all-keyframes"), "there are B-frames"
    total, fps, duration = probe(path)
    assert total == len(times)
    assert fps == pytest.approx(total / duration)
    assert duration == pytest.approx(times[-1], abs=0.35)
    for settings in SETTINGS:
        clip = read_clip(path, settings)
        assert numbers(clip) == clip.indices.tolist()
        assert np.abs(clip.times - np.array(times)[clip.indices]).max() < 1e-3
        assert (clip.total_frames, clip.fps, clip.duration) == (total, fps, duration)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")]
)
def test_other_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str) -> None:
    if codec != "mpeg4":
        monkeypatch.setattr(frames_module, "_times_by_decoding", no_counting)
    fast = {"cpu-used": "8", "deadline": "realtime", "b": "400k"} if codec == "libvpx-vp9" else {"b": "2M", **JUMPS}
    path = write_video(tmp_path / name, 300, codec=codec, options=fast)
    assert probe(path) == pytest.approx((300, 25, 12), rel=1e-6)
    for settings in SETTINGS:
        clip = read_clip(path, settings)
        assert numbers(clip) == clip.indices.tolist()
        assert np.abs(clip.times - clip.indices / 25).max() < 2e-3


def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 200, options=JUMPS)
    begin_later(path, 57)
    assert probe(path) == pytest.approx((143, 25, 143 / 25)), "without decoding too"
    assert timeline(path)[0] == pytest.approx(np.arange(143) / 25)
    clip = read_clip(path, VideoSettings(16, "uniform"))
    assert clip.total_frames == 143
    assert numbers(clip) == (clip.indices + 57).tolist()
    assert np.abs(clip.times - clip.indices / 25).max() < 1e-9


def test_the_last_frame_is_shown_as_long_as_its_packet_says(tmp_path: Path) -> None:
    """Frames that come at 0, 1 and 1.1 s: where the file says nothing of the last, it is shown for the usual time."""
    path = write_video(tmp_path / "a.mkv", 4, times=[0, 1000, 1100, 1200], options={"bf": "0"})
    times, length = timeline(path)
    assert times == pytest.approx([0, 1, 1.1, 1.2])
    with av.open(str(path)) as container:
        last = [packet for packet in container.demux(video=0) if packet.size][-1]
        shown = float((last.duration or 0) * last.time_base) or 0.1
    assert length.duration == pytest.approx(1.2 + shown)
    assert length.fps == pytest.approx(4 / length.duration)


@pytest.mark.parametrize(
    ("times", "last", "seconds"),
    [
        ([0.0], 0.0, 1.0),
        ([0.0], 0.25, 0.25),
        ([0.0, 0.5], 0.0, 1.0),
        ([0.0, 0.5], -1.0, 1.0),
        ([0.0, 0.5], 0.125, 0.625),
        ([0.0, 0.5, 1.0, 4.0], 0.0, 4.5),
        ([0.0, 0.5, 1.5, 4.5], 0.0, 5.5),
    ],
)
def test_the_length_of_a_video_ends_with_its_last_frame(times: list[float], last: float, seconds: float) -> None:
    """Where nothing says how long that is shown, as long as the frames commonly are; a single one for a second."""
    found = frames_module._length(np.array(times), last, Path("a.mp4"))
    assert found == (len(times), len(times) / seconds, seconds)


@pytest.mark.parametrize(
    ("given", "times"),
    [
        ([1.5, 2.0, 4.0], [0.0, 0.5, 2.5]),
        ([2.0], [0.0]),
        ([], []),
        ([None], [0.0]),
        ([0.0, None, 1.0], [0.0, 0.1, 0.2]),
        ([0.0, 1.0, 1.0], [0.0, 0.1, 0.2]),
        ([0.0, 2.0, 1.0], [0.0, 0.1, 0.2]),
    ],
    ids=str,
)
def test_frames_whose_times_do_not_rise_come_evenly(
    given: list[float | None], times: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many a second as the stream says, 10 here."""
    stream = SimpleNamespace(average_rate=10, guessed_rate=7)
    monkeypatch.setattr(frames_module, "opened", lambda _: nullcontext((None, stream)))
    monkeypatch.setattr(frames_module, "_frames", lambda *_: [SimpleNamespace(time=each) for each in given])
    assert frames_module._times_by_decoding(Path("a.mp4")).tolist() == pytest.approx(times)
    for rates, second in (((0, 4), 0.25), ((None, None), 0.04)):
        stream.average_rate, stream.guessed_rate = rates
        monkeypatch.setattr(frames_module, "_frames", lambda *_: [SimpleNamespace(time=None)] * 3)
        assert frames_module._times_by_decoding(Path("a.mp4")).tolist() == pytest.approx([0, second, 2 * second])


def test_a_video_without_frames_has_no_length() -> None:
    with pytest.raises(BadData, match=r"^the video a\.mp4 has no frames that can be decoded; download it again$"):
        frames_module._length(np.array([]), 0.0, Path("a.mp4"))


@pytest.mark.parametrize("share", [0.6, 0.8, 0.85])
def test_a_video_without_an_index_that_ends_early_is_cut_off(tmp_path: Path, share: float) -> None:
    path = write_video(tmp_path / "a.mkv", 400, options=JUMPS)
    frames_module.check(path)
    data = path.read_bytes()
    with av.open(str(path)) as container:
        cut = [packet.pos for packet in container.demux(video=0) if packet.size][int(400 * share)]
    path.write_bytes(data[:cut])
    with pytest.raises(BadData, match=r"a\.mkv is cut off"):
        frames_module.check(path)


_LATE = [10_000 + 40 * each for each in range(60)]


@pytest.mark.parametrize("later", [False, True], ids=["from 0", "from 10 s"])
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "libx264"),
        ("a.webm", "libvpx"),
        ("a.ts", "libx264"),
        ("a.mp4", "libx264"),
        ("a.mov", "libx264"),
        ("a.flv", "libx264"),
        ("a.nut", "mpeg4"),
        ("a.wmv", "mpeg4"),
    ],
)
def test_every_frame_of_any_container_is_there_wherever_its_times_begin(
    tmp_path: Path, name: str, codec: str, later: bool
) -> None:
    path = write_video(tmp_path / name, 60, codec=codec, times=_LATE if later else None, options={"g": "20", "bf": "0"})

    frames_module.check(path)
    times, length = timeline(path)
    assert length.total_frames == 60
    assert times[0] == 0
    assert times == pytest.approx(np.arange(60) / 25, abs=0.002)
    clip = read_clip(path, VideoSettings(7, "uniform"))
    assert [read_sign(frame) for frame in clip.frames] == [Sign(7, int(number)) for number in clip.indices]


@pytest.mark.parametrize("name", ["a.mkv", "a.flv"])
@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("later", [False, True], ids=["from 0", "from 10 s"])
def test_a_file_that_begins_late_and_ends_early_is_cut_off(
    tmp_path: Path, name: str, share: float, later: bool
) -> None:
    path = write_video(tmp_path / name, 60, times=_LATE if later else None, options={"g": "20", "bf": "0"})
    with av.open(str(path)) as container:
        cut = [packet.pos for packet in container.demux(video=0) if packet.size][int(60 * share)]
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadData, match="is cut off"):
        frames_module.check(path)


def test_the_film_is_taken_where_a_still_comes_first(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 60, still=True)
    with av.open(str(path)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["mjpeg", "h264"]

    frames_module.check(path)
    assert probe(path).total_frames == 60
    clip = read_clip(path, VideoSettings(7, "uniform"))
    assert [read_sign(frame) for frame in clip.frames] == [Sign(7, int(number)) for number in clip.indices]


def test_the_cover_of_a_piece_of_music_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        sound: Any = container.add_stream("aac", rate=16000, layout="mono")
        cover: Any = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture))
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
        container.mux(cover.encode())
    for ask in (probe, lambda path: read_clip(path, VideoSettings(8, sampler="mlvu")), frames_module.check):
        with pytest.raises(BadData, match="has no video stream"):
            ask(path)


def test_a_video_shorter_than_what_is_asked_for(tmp_path: Path) -> None:
    clip = read_clip(write_video(tmp_path / "a.mp4", 3), VideoSettings(8, sampler="mlvu"))
    assert numbers(clip) == clip.indices.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    single = read_clip(write_video(tmp_path / "b.mp4", 1), VideoSettings(2, sampler="mlvu"))
    assert numbers(single) == [0, 0]
    assert single.duration == pytest.approx(0.04)


def test_no_frames_for_a_model_that_sees_none(tmp_path: Path) -> None:
    clip = read_clip(write_video(tmp_path / "a.mp4", 30), VideoSettings(0, sampler="mlvu"))
    assert (len(clip.frames), len(clip.indices), clip.total_frames) == (0, 0, 30)


def test_decoding_jumps_only_forward_and_only_past_a_keyframe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 400, options=JUMPS)
    stretches: list[tuple[int, int]] = []
    plain = frames_module._stretches
    monkeypatch.setattr(frames_module, "_stretches", lambda *given: stretches.extend(plain(*given)) or stretches)
    read_clip(path, VideoSettings(4, sampler="mlvu"))
    assert len(stretches) == 4
    assert all(begin % 40 == 0 for begin, _ in stretches), "each begins at a keyframe"
    assert all(end < begin for (_, end), (begin, _) in pairwise(stretches))
    stretches.clear()
    read_clip(path, VideoSettings(40, sampler="mlvu"))
    assert len(stretches) == 1, "nothing to win by a jump"


def test_a_container_that_jumps_elsewhere_is_read_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", 400, options=JUMPS)
    plain = frames_module._plan

    def astray(*given: object) -> object:
        plan = plain(*given)  # type: ignore[arg-type]
        plan.dts[1:] += 10**7
        return plan

    monkeypatch.setattr(frames_module, "_plan", astray)
    clip = read_clip(path, VideoSettings(4, sampler="mlvu"))
    assert numbers(clip) == clip.indices.tolist()


def test_packets_that_are_not_the_frames_are_decoded_to_be_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise frames_module._NotByPackets

    path = write_video(tmp_path / "a.mp4", 90)
    known = read_clip(path, VideoSettings(8, sampler="mlvu"))
    monkeypatch.setattr(frames_module, "_plan", fails)
    clip = read_clip(path, VideoSettings(8, sampler="mlvu"))
    assert numbers(clip) == known.indices.tolist()
    assert np.array_equal(clip.frames, known.frames)
    assert probe(path) == pytest.approx((90, 25, 3.6))


def test_frames_are_scaled_down_to_the_pixels_allowed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 60, size=(320, 180))
    clip = read_clip(path, VideoSettings(4, max_pixels=160 * 90, sampler="mlvu"))
    assert clip.frames.shape == (4, 90, 160, 3)
    assert numbers(clip) == clip.indices.tolist()
    assert read_clip(path, VideoSettings(4, max_pixels=320 * 180, sampler="mlvu")).frames.shape == (4, 180, 320, 3)


def test_sizes() -> None:
    assert scaled(1921, 1081, 0) == (1921, 1081)
    assert scaled(640, 360, 640 * 360) == (640, 360)
    for width, height in ((1920, 1080), (720, 1280), (641, 359), (3840, 200)):
        small = scaled(width, height, 100_000)
        assert small[0] % 2 == small[1] % 2 == 0
        assert 80_000 < small[0] * small[1] <= 100_000
        assert small[0] / small[1] == pytest.approx(width / height, rel=0.03)
    assert scaled(10000, 2, 100)[1] == 2


@pytest.mark.parametrize(
    ("degrees", "quarters"), [(90, 1), (180, 2), (-90, 3), (45, 0), (135, 0)], ids=lambda value: str(value)
)
def test_rotation_is_applied_where_pixels_stay_pixels(tmp_path: Path, degrees: int, quarters: int) -> None:
    upright = read_clip(write_video(tmp_path / "a.mp4", 10), VideoSettings(2, sampler="mlvu")).frames
    turned = read_clip(write_video(tmp_path / "b.mp4", 10, rotation=degrees), VideoSettings(2, sampler="mlvu")).frames
    assert upright.shape == (2, 120, 160, 3)
    assert turned.shape == ((2, 160, 120, 3) if quarters % 2 else (2, 120, 160, 3))
    assert np.array_equal(turned, np.rot90(upright, quarters, axes=(1, 2)))


def test_colours_stay_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:, :32], picture[:, 32:] = (220, 30, 30), (20, 40, 200)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    (frame,) = read_clip(path, VideoSettings(1, sampler="mlvu")).frames
    assert np.abs(frame[10, 10].astype(int) - (220, 30, 30)).max() < 12
    assert np.abs(frame[10, 50].astype(int) - (20, 40, 200)).max() < 12


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", 100).read_bytes()
    text, empty, headless = tmp_path / "text.mp4", tmp_path / "empty.mp4", tmp_path / "headless.mp4"
    text.write_text("not a video " * 1000)
    empty.touch()
    headless.write_bytes(whole[: len(whole) // 2])
    early = index_first(tmp_path / "whole.mp4", tmp_path / "early.mp4")
    data = early.read_bytes()
    early.write_bytes(data[: len(data) * 2 // 3])
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream_of_sound = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream_of_sound.encode(frame))
        container.mux(stream_of_sound.encode())
    for path, says in (
        (tmp_path / "none.mp4", "none.mp4 is missing; download it"),
        (empty, "empty.mp4 is empty; download it again"),
        (text, "text.mp4 is not a video, or is cut off or damaged"),
        (headless, "headless.mp4 is not a video, or is cut off or damaged"),
        (early, "early.mp4 is cut off"),
        (sound, "sound.mp4 has no video stream"),
    ):
        for ask in (probe, lambda path: read_clip(path, VideoSettings(8, sampler="mlvu")), frames_module.check):
            with pytest.raises(BadData, match=says) as caught:
                ask(path)
            assert "\n" not in str(caught.value)


def test_a_damaged_middle_is_passed_over(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 200, options=JUMPS)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)
    clip = read_clip(path, VideoSettings(16, sampler="mlvu"))
    assert len(clip.frames) == 16


def test_a_frame_that_the_decoder_leaves_out_is_no_frame(tmp_path: Path) -> None:
    """The packets say 20, the decoder gives 19: they are counted, and the first is at 0 although the file says 1.24."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuvj420p"
        stream.time_base = stream.codec_context.time_base = MILLISECOND
        for number in range(20):
            picture = np.full((120, 160, 3), 90, np.uint8)
            draw_sign(picture, Sign(7, number))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = 1240 + 40 * number, MILLISECOND
            (packet,) = stream.encode(frame)
            if number == 5:
                empty = av.Packet(b"no picture")
                empty.stream, empty.time_base, empty.is_keyframe = stream, packet.time_base, True
                empty.pts, empty.dts = packet.pts, packet.dts
                packet = empty
            container.mux(packet)
    left = [number for number in range(20) if number != 5]
    clip = read_clip(path, VideoSettings(40, "uniform"))
    assert clip.total_frames == 19
    assert numbers(clip) == [left[index] for index in clip.indices]
    assert clip.times == pytest.approx([0.04 * left[index] for index in clip.indices])
    assert clip.duration == pytest.approx(0.8)
    assert clip.fps == pytest.approx(19 / 0.8)
