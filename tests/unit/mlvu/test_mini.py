"""The miniature of the dev set: the published layout and fields, and answers that can be read off its frames."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.mlvu.frames import probe, read_clip
from flagbench.mlvu.mini import make
from flagbench.mlvu.mini.make import MINI, pictures, questions, rows, write
from flagbench.mlvu.mini.scenes import FPS, HEIGHT, WIDTH
from flagbench.mlvu.mini.signs import COLUMNS, LETTERS, PLACES, ROWS, Sign, answer, draw_sign, place_of, read_sign
from flagbench.mlvu.videos import find
from flagbench.models.video import VideoSettings

JSON = MINI / "MLVU" / "MVLU" / "json"
FILES: dict[str, list[dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(JSON.glob("*.json"))
}
CHOICE = {name: listed for name, listed in FILES.items() if "candidates" in listed[0]}
FILMS = {each.film.name: each.film for asked in questions().values() for each in asked}


def test_the_files_are_what_the_script_writes(tmp_path: Path) -> None:
    write(tmp_path, videos=False)
    made = {path.name: path.read_bytes() for path in (tmp_path / "MLVU" / "MVLU" / "json").iterdir()}
    assert made == {path.name: path.read_bytes() for path in JSON.iterdir()}
    assert rows() == FILES


def test_the_published_files_and_fields() -> None:
    names = "1_plotQA 2_needle 3_ego 4_count 5_order 6_anomaly_reco 7_topic_reasoning 8_sub_scene 9_summary"
    assert list(FILES) == names.split()
    fields = {"video", "duration", "question", "answer", "question_type"}
    for name, listed in FILES.items():
        more = {"8_sub_scene": {"scoring_points"}, "9_summary": set()}.get(name, {"candidates"})
        assert all(row.keys() == fields | more for row in listed)
        assert len({row["question_type"] for row in listed}) == 1
    types = " ".join(listed[0]["question_type"] for listed in FILES.values())
    assert types == "plotQA findNeedle ego count order anomaly_reco topic_reasoning subPlot summary"


@pytest.mark.parametrize("listed", CHOICE.values(), ids=CHOICE)
def test_options(listed: list[dict[str, Any]]) -> None:
    assert len(listed) == 8
    assert all(len(set(row["candidates"])) == 4 and row["answer"] in row["candidates"] for row in listed)
    assert Counter(row["candidates"].index(row["answer"]) for row in listed) == dict.fromkeys(range(4), 2)
    assert len({(row["video"], row["question"]) for row in listed}) == 8
    assert len({row["video"] for row in listed}) == 4


def test_open_questions() -> None:
    assert all(row["scoring_points"] for row in FILES["8_sub_scene"])
    assert [len(FILES[name]) for name in ("8_sub_scene", "9_summary")] == [3, 3]


def test_some_videos_serve_several_tasks() -> None:
    tasks = Counter(name for listed in FILES.values() for name in {row["video"] for row in listed})
    assert Counter(tasks.values()) == {1: 17, 2: 4, 3: 3}


def test_the_videos_are_there_and_small() -> None:
    wanted = {name: [row["video"] for row in listed] for name, listed in FILES.items()}
    found = find(MINI, wanted)
    assert found.message() == ""
    assert set(MINI.rglob("*.mp4")) == set(found.paths.values())
    assert sum(path.stat().st_size for path in MINI.rglob("*") if path.is_file()) < 500_000
    for (task, name), path in found.paths.items():
        film = FILMS[name]
        assert probe(path) == pytest.approx((film.frames, FPS, film.frames / FPS))
        assert 8 <= film.frames / FPS <= 12
        assert all(row["duration"] == film.frames / FPS for row in FILES[task] if row["video"] == name)


def test_whoever_reads_the_frames_has_every_answer() -> None:
    for name, listed in CHOICE.items():
        for row in listed:
            clip = read_clip(MINI / "MLVU" / "MVLU" / "video" / name / row["video"], VideoSettings(8, sampler="mlvu"))
            signs = [read_sign(frame) for frame in clip.frames]
            assert [sign.frame for sign in signs] == clip.indices.tolist()
            letters = {answer(sign, row["question"]) for sign in signs}
            assert letters == {LETTERS[row["candidates"].index(row["answer"])]}
            assert {sign.video for sign in signs} == {FILMS[row["video"]].number}


def test_the_videos_show_what_the_script_draws() -> None:
    for name in ("plot_0.mp4", "needle_2.mp4", "count_1.mp4"):
        path = next(MINI.rglob(name))
        clip = read_clip(path, VideoSettings(6, "uniform"))
        drawn = pictures(FILMS[name])
        for frame, number in zip(clip.frames, clip.indices, strict=True):
            assert frame.shape == (HEIGHT, WIDTH, 3)
            assert np.abs(frame.astype(int) - drawn[number]).mean() < 8


def test_two_questions_in_one_place_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "place_of", lambda _: 0)
    with pytest.raises(ValueError, match="has the place of another question"):
        make.letters_of(FILMS["plot_0.mp4"])


def test_counted_flashes_are_those_that_are_drawn() -> None:
    for row in FILES["4_count"]:
        film = FILMS[row["video"]]
        colour = row["question"].split("flash ")[1].split(" ")[0]
        wanted = np.array(make.COLOURS[colour])
        lit = [bool((film.draw(number)[0, 0] == wanted).all()) for number in range(film.frames)]
        begins = sum(now and not before for before, now in zip([False, *lit], lit, strict=False))
        assert str(begins) == row["answer"]


@pytest.mark.parametrize("size", [(120, 160), (121, 161), (720, 1280), (45, 60)])
def test_signs_survive_noise_and_any_size(size: tuple[int, int]) -> None:
    chance = np.random.default_rng(0)
    for number in (0, 1, 777, 4095):
        letters = "".join(chance.choice(list(LETTERS), PLACES))
        frame = np.full((*size, 3), 120, np.uint8)
        draw_sign(frame, Sign(number % 256, number, letters))
        noisy = (frame + chance.normal(0, 25, frame.shape)).clip(0, 255).astype(np.uint8)
        assert read_sign(noisy) == Sign(number % 256, number, letters)


def test_a_frame_without_a_sign() -> None:
    with pytest.raises(ValueError, match="no sign"):
        read_sign(np.full((120, 160, 3), 200, np.uint8))
    frame = np.zeros((120, 160, 3), np.uint8)
    draw_sign(frame, Sign(3, 5))
    for block in range(ROWS * COLUMNS):
        broken = frame.copy()
        top, left = 96 + 8 * (block // COLUMNS), 8 * (block % COLUMNS)
        broken[top : top + 8, left : left + 8] = 255 - broken[top, left]
        with pytest.raises(ValueError, match="no sign"):
            read_sign(broken)


def test_places_of_questions() -> None:
    assert place_of(" What? ") == place_of("What?")
    assert {place_of(str(number)) for number in range(200)} == set(range(PLACES))
