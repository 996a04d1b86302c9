"""Seconds and memory of reading 8, 64 and 256 frames of a ten-minute video: FlagBench against other readers.

    python benchmarks/video.py [--rounds 3] [--video ten-minutes.mp4] [--others python]

The video is drawn first (640x360, 25 frames a second, H.264, GOP 250, B-frames; kept where --video names a file). Each
reading is a process of its own that opens the file and reads the frames of MLVU's formula; what it reads is checked by
the numbers drawn into the frames. ``--others`` is an interpreter that has decord, OpenCV or torchcodec, if this one has
not; those that it lacks too are left out. At the end: twenty questions on the video through the cache of frames.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT, FPS = 640, 360, 25
COUNTS = (8, 64, 256)
ROOT = Path(__file__).resolve().parent.parent

Result = dict[str, Any]


def flagbench(path: str, numbers: list[int]) -> Any:
    from flagbench.mlvu.frames import read_clip
    from flagbench.models.video import VideoSettings

    clip = read_clip(Path(path), VideoSettings(len(numbers), sampler="mlvu"))
    assert clip.indices.tolist() == numbers
    return clip.frames


def decord(path: str, numbers: list[int]) -> Any:
    return importlib.import_module("decord").VideoReader(path).get_batch(numbers).asnumpy()


def opencv(path: str, numbers: list[int]) -> Any:
    cv2 = importlib.import_module("cv2")
    video = cv2.VideoCapture(path)
    frames = []
    for number in numbers:
        video.set(cv2.CAP_PROP_POS_FRAMES, number)
        frames.append(cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB))
    return np.stack(frames)


def torchcodec(path: str, numbers: list[int]) -> Any:
    decoders = importlib.import_module("torchcodec.decoders")
    return decoders.VideoDecoder(path, dimension_order="NHWC").get_frames_at(numbers).data.numpy()


READERS: dict[str, tuple[str, Callable[[str, list[int]], Any]]] = {
    "FlagBench": ("flagbench.mlvu.frames", flagbench),
    "decord": ("decord", decord),
    "OpenCV": ("cv2", opencv),
    "torchcodec": ("torchcodec.decoders", torchcodec),
}


def peak() -> float:
    """Most memory of this process so far, in MB; getrusage would count what its parent had before it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024


def child(name: str, path: str, numbers: list[int]) -> None:
    """Read in this process, and print what it took as JSON."""
    from flagbench.mlvu.mini.signs import read_sign

    module, read = READERS[name]
    try:
        importlib.import_module(module)
    except Exception as error:  # a library may lack libraries of its own
        print(json.dumps({"missing": f"{type(error).__name__}: {str(error).splitlines()[0]}"}))
        return
    before = peak()
    started = time.perf_counter()
    frames = read(path, numbers)
    seconds = time.perf_counter() - started
    memory = peak() - before
    right = sum(read_sign(frame).frame == number % 4096 for frame, number in zip(frames, numbers, strict=True))
    print(json.dumps({"seconds": seconds, "megabytes": memory, "right": right}))


def draw(path: Path, minutes: float) -> None:
    """A texture that moves, with the number of each frame."""
    import av

    from flagbench.mlvu.mini.signs import Sign, draw_sign

    noise = np.random.default_rng(0).normal(0, 1, (HEIGHT, 2 * WIDTH, 3))
    for axis in (0, 1):
        noise = sum(np.roll(noise, step, axis) for step in range(12))
    texture = (128 + noise * (50 / noise.std())).clip(0, 255).astype(np.uint8)
    options = {"preset": "superfast", "crf": "26", "g": "250", "keyint_min": "250", "sc_threshold": "0", "bf": "3"}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(round(minutes * 60 * FPS)):
            left = abs(number * 2 % (2 * WIDTH) - WIDTH)
            picture = texture[:, left : left + WIDTH].copy()
            draw_sign(picture, Sign(1, number))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def measured(python: str, name: str, path: Path, numbers: list[int]) -> Result:
    command = [python, __file__, "--child", name, "--video", str(path), "--numbers", json.dumps(numbers)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]}
    result: Result = json.loads(done.stdout.splitlines()[-1])
    return result


def questions(path: Path) -> list[str]:
    """A row: twenty questions on one video, 64 frames each, through the cache."""
    from flagbench.mlvu.frame_cache import FrameCache
    from flagbench.mlvu.frames import read_clip
    from flagbench.models.video import VideoSettings

    decoded = []

    def read(video: Path, settings: VideoSettings) -> Any:
        decoded.append(video)
        return read_clip(video, settings)

    with tempfile.TemporaryDirectory() as folder:
        cache = FrameCache(Path(folder), read=read)
        seconds = []
        for _ in range(20):
            started = time.perf_counter()
            cache.clip(path, VideoSettings(64, sampler="mlvu")).frames.sum()
            seconds.append(time.perf_counter() - started)
    return [f"{len(decoded)}", f"{seconds[0]:.2f}", f"{np.median(seconds[1:]):.3f}", f"{sum(seconds):.2f}"]


def compare(path: Path, others: str, rounds: int) -> None:
    from measure import show, spread

    from flagbench.mlvu.frames import probe
    from flagbench.mlvu.samplers import mlvu

    started = time.perf_counter()
    length = probe(path)
    print(f"{length}, {path.stat().st_size / 1e6:.1f} MB, probed in {time.perf_counter() - started:.2f} s")
    results: dict[tuple[str, int], list[Result]] = {}
    missing: dict[str, str] = {}
    for number in range(rounds):
        for count in COUNTS:
            for name in [name for name in READERS if name not in missing]:
                python = sys.executable if name == "FlagBench" else others
                result = measured(python, name, path, mlvu(length.total_frames, count).tolist())
                if "missing" in result:
                    missing[name] = result["missing"]
                    continue
                results.setdefault((name, count), []).append(result)
                print(f"round {number + 1}/{rounds}: {name} {count} {result}", file=sys.stderr, flush=True)
    for name, why in missing.items():
        print(f"left out: {name} ({why})")
    rows = []
    for (name, count), found in sorted(results.items(), key=lambda item: item[0][1]):
        seconds = [each["seconds"] for each in found]
        speed = f"{count / float(np.median(seconds)):.1f}"
        memory = f"{np.median([each['megabytes'] for each in found]):.0f}"
        rows.append([str(count), name, spread(seconds), speed, memory, f"{min(each['right'] for each in found)}"])
    headings = ["frames", "reader", "seconds", "frames a second", "extra MB at peak", "right frames"]
    show("Frames of a ten-minute video, opening included", headings, rows)
    headings = ["decoded", "first question, s", "each other, s", "all, s"]
    show("Twenty questions on one video, 64 frames", headings, [questions(path)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--video", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--others", default=sys.executable)
    parser.add_argument("--child", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--numbers", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, str(given.video), given.numbers)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = given.video or Path(folder) / "video.mp4"
        if not path.exists():
            print(f"drawing {given.minutes:g} minutes", file=sys.stderr, flush=True)
            partial = path.with_suffix(".partial")
            draw(partial, given.minutes)
            partial.replace(path)
        compare(path, given.others, given.rounds)


if __name__ == "__main__":
    main()
