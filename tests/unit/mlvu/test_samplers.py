"""Which frames of a video are chosen."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.mlvu.options import SAMPLERS, Sampler
from flagbench.mlvu.samplers import indices
from flagbench.models.video import VideoSettings


def chosen(total: int, frames: int, sampler: Sampler = "mlvu", *, video: float = 25.0, fps: float = 0.0) -> list[int]:
    result = indices(total, video, VideoSettings(frames, sampler, fps))
    assert result.dtype == np.int64
    return result.tolist()


def test_the_official_formula_on_a_worked_example() -> None:
    assert chosen(15000, 8) == [937, 2812, 4687, 6562, 8437, 10311, 12186, 14061]


def test_the_official_formula_is_that_of_the_published_code() -> None:
    for total in (1, 2, 7, 16, 17, 999, 15001):
        for count in (1, 2, 8, 16, 17):
            segment = float(total - 1) / count
            assert chosen(total, count) == [int(segment / 2) + round(segment * i) for i in range(count)]


def test_uniform_has_both_ends() -> None:
    assert chosen(101, 5, "uniform") == [0, 25, 50, 75, 100]
    assert chosen(10, 4, "uniform") == [0, 3, 6, 9]
    assert chosen(10, 1, "uniform") == [0]


def test_frames_a_second() -> None:
    assert chosen(100, 8, "fps", fps=2.0) == [0, 12, 25, 37, 50, 62, 75, 87]
    assert chosen(100, 64, "fps", fps=5.0) == list(range(0, 100, 5))
    assert chosen(30, 64, "fps", video=30.0, fps=10.0) == list(range(0, 30, 3))
    assert chosen(6, 64, "fps", fps=60.0) == list(range(6)), "no frame twice where the video is slower"
    assert chosen(3, 64, "fps", fps=0.01) == [0]


@pytest.mark.parametrize("video", ["10", "15", "23.976", "24", "25", "29.97", "30", "59.94", "60"])
def test_frames_a_second_are_those_of_exact_fractions(video: str) -> None:
    """``0.1 * 30`` is a little above 3 and ``0.29 * 100`` a little below 29: neither moves a frame."""
    for wanted in ("0.1", "0.3", "0.7", "1", "1.1", "2.9", "3", "9.99", "7.992"):
        step = Fraction(video) / Fraction(wanted)
        for total in (29, 30, 31, 100, 299, 300, 301, 3000):
            expected = [math.floor(number * step) for number in range(math.ceil(total / step))]
            assert chosen(total, 10_000, "fps", video=float(video), fps=float(wanted)) == expected


def test_more_frames_a_second_than_the_cap_are_spread_over_the_whole() -> None:
    assert chosen(101, 5, "fps", fps=2.0) == [0, 25, 50, 75, 100]
    assert chosen(101, 9, "fps", fps=2.0)[-1] == 100, "just at the cap: 12.5 frames apart"


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_in_range_in_order_and_as_many_as_asked(sampler: Sampler) -> None:
    for total in (*range(1, 40), 1000, 15000, 813_750):
        for count in (1, 2, 3, 8, 16, 31, 256):
            numbers = chosen(total, count, sampler, fps=25.0 if sampler == "fps" else 0.0)
            assert numbers[0] >= 0
            assert numbers[-1] < total
            assert numbers == sorted(numbers)
            assert len(numbers) == (min(total, count) if sampler == "fps" else count)
            if total > count:
                assert len(set(numbers)) == count


def test_a_short_video_gives_what_the_formula_gives() -> None:
    assert chosen(3, 8) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert chosen(1, 4) == [0, 0, 0, 0]
    assert chosen(3, 6, "uniform") == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_frames_for_a_model_that_sees_none(sampler: Sampler) -> None:
    assert chosen(10, 0, sampler) == []


@pytest.mark.parametrize(
    ("total", "video", "settings", "says"),
    [
        (10, 25.0, VideoSettings(4, "first"), "unknown sampler 'first'"),  # type: ignore[arg-type]
        (10, 25.0, VideoSettings(-1, sampler="mlvu"), "-1 frames"),
        (0, 25.0, VideoSettings(4, sampler="mlvu"), "the video has no frames"),
        (10, 25.0, VideoSettings(4, "fps"), "needs a rate above 0"),
        (10, 0.0, VideoSettings(4, "fps", 1.0), "rate is unknown"),
    ],
)
def test_what_makes_no_sense_is_refused(total: int, video: float, settings: VideoSettings, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        indices(total, video, settings)
