"""Draw, encode and describe the miniature of the dev set beside this file: ``python -m flagbench.mlvu.mini.make``.

Every video shows what its questions ask for, and a sign in each of its frames that a program can read (``signs.py``):
its number, the number of the frame, and the right options of the questions on it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flagbench.mlvu.mini.scenes import COLOURS, FPS, HEIGHT, WIDTH, Film, anomaly, count, ego, needle, order, plot
from flagbench.mlvu.mini.signs import LETTERS, PLACES, Sign, draw_sign, place_of

MINI = Path(__file__).parent
_ROOT = Path("MLVU") / "MVLU"


@dataclass(frozen=True)
class Question:
    """One row of an annotation file.

    Attributes:
        film: The video that it is on.
        text: The question.
        answer: The right answer.
        wrong: The three other options; empty for an open question.
        points: What a good answer to an open question says.
    """

    film: Film
    text: str
    answer: str
    wrong: tuple[str, ...] = ()
    points: tuple[str, ...] = ()


def questions() -> dict[str, list[Question]]:
    """All questions by the name of their annotation file, in the order of its rows."""
    plots = [plot(number) for number in range(4)]
    orders = [order(number) for number in range(4)]
    return {
        "1_plotQA": [each for film in plots for each in _on_plot(film)],
        "2_needle": [each for number in range(4) for each in _on_needle(needle(number))],
        "3_ego": [each for number in range(4) for each in _on_ego(ego(number))],
        "4_count": [each for number in range(4) for each in _on_count(count(number))],
        "5_order": [each for film in orders for each in _on_order(film)],
        "6_anomaly_reco": [each for number in range(4) for each in _on_anomaly(anomaly(number))],
        "7_topic_reasoning": [each for film in plots for each in _on_topic(film)],
        "8_sub_scene": [_on_sub_scene(film) for film in orders[:3]],
        "9_summary": [_on_summary(film) for film in plots[:3]],
    }


_TYPES = ("plotQA", "findNeedle", "ego", "count", "order", "anomaly_reco", "topic_reasoning", "subPlot", "summary")


def rows() -> dict[str, list[dict[str, Any]]]:
    """The annotation files by name: rows with the fields of the published ones."""
    files = {}
    for (name, asked), kind in zip(questions().items(), _TYPES, strict=True):
        files[name] = [
            {
                "video": each.film.name,
                "duration": each.film.frames / FPS,
                "question": each.text,
                **({"candidates": options(name, number, each)} if each.wrong else {}),
                "answer": each.answer,
                "question_type": kind,
                **({"scoring_points": list(each.points)} if each.points else {}),
            }
            for number, each in enumerate(asked)
        ]
    return files


def options(name: str, number: int, question: Question) -> list[str]:
    """The four options of a question; the right one is at each letter equally often in every block of four rows."""
    shuffled = random.Random(f"{name} {number // 4}").sample(range(4), 4)
    others = random.Random(f"{name} {number} others").sample(question.wrong, 3)
    others.insert(shuffled[number % 4], question.answer)
    return others


def letters_of(film: Film) -> str:
    """The letters of a video's sign: the right option of each question on it, in the place of that question.

    Raises:
        ValueError: Two questions on it have the same place; word one of them otherwise.
    """
    letters: dict[int, str] = {}
    for name, asked in questions().items():
        for number, each in enumerate(asked):
            if each.film.name == film.name and each.wrong:
                place = place_of(each.text)
                if place in letters:
                    raise ValueError(f"{film.name}: '{each.text}' has the place of another question")
                letters[place] = LETTERS[options(name, number, each).index(each.answer)]
    return "".join(letters.get(place, LETTERS[0]) for place in range(PLACES))


def pictures(film: Film) -> list[NDArray[np.uint8]]:
    """All frames of a video, ``uint8[120, 160, 3]``, with their signs."""
    letters = letters_of(film)
    drawn = []
    for number in range(film.frames):
        picture = film.draw(number)
        draw_sign(picture, Sign(film.number, number, letters))
        drawn.append(picture)
    return drawn


def encode(path: Path, frames: Sequence[NDArray[np.uint8]]) -> None:
    """Write an H.264 file; the same bytes with the same version of PyAV."""
    import av

    # One thread and no names of versions: else the bytes depend on the machine.
    exact = {"fflags": "+bitexact", "movflags": "+faststart"}
    with av.open(str(path), "w", container_options=exact) as container:
        settings = {"preset": "slow", "crf": "30", "g": "250", "bf": "3", "threads": "1", "flags": "+bitexact"}
        stream = container.add_stream("libx264", rate=FPS, options=settings)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write(root: Path, videos: bool = True) -> None:
    """Write the miniature below a folder, in place of what is there; a video on which two files ask lies in both."""
    base = root / _ROOT
    shutil.rmtree(base, ignore_errors=True)
    (base / "json").mkdir(parents=True)
    for name, listed in rows().items():
        text = json.dumps(listed, indent=4, ensure_ascii=False) + "\n"
        (base / "json" / f"{name}.json").write_text(text, encoding="utf-8")
    done: dict[str, Path] = {}
    for name, asked in questions().items() if videos else ():
        folder = base / "video" / name
        folder.mkdir(parents=True)
        for film in {each.film.name: each.film for each in asked}.values():
            path = folder / film.name
            if film.name in done:
                shutil.copyfile(done[film.name], path)
            else:
                encode(path, pictures(film))
            done[film.name] = path


def _choice(film: Film, text: str, answer: str, among: Sequence[str]) -> Question:
    """A question whose other options are drawn from a list."""
    others = [each for each in dict.fromkeys(among) if each != answer]
    return Question(film, text, answer, tuple(random.Random(f"{film.name} {text}").sample(others, 3)))


def _on_plot(film: Film) -> list[Question]:
    first, last = film.facts["first"], film.facts["last"]
    return [
        _choice(film, "What colour is the shape that crosses the screen first?", first[1], list(COLOURS)),
        _choice(film, "Which shape crosses the screen last?", last[0], film.facts["shapes"]),
    ]


def _on_topic(film: Film) -> list[Question]:
    return [
        _choice(film, "What is the main colour of the background?", film.facts["ground"], list(COLOURS)),
        _choice(film, "What is this video about?", film.facts["topic"], film.facts["topics"]),
    ]


def _on_needle(film: Film) -> list[Question]:
    shape, colour = film.facts["picture"]
    return [
        _choice(film, "Which shape is on the picture that is shown for a moment?", shape, film.facts["shapes"]),
        _choice(film, "What colour is the picture that is shown for only a moment?", colour, list(COLOURS)),
    ]


def _on_ego(film: Film) -> list[Question]:
    doors = film.facts["doors"]
    return [
        _choice(film, "What colour was the first door that I passed?", doors[0], list(COLOURS)),
        _choice(film, "What colour was the last door I walked past ", doors[-1], list(COLOURS)),
    ]


def _on_count(film: Film) -> list[Question]:
    asked = "In this video, how many times does the screen flash {} in total?"
    numbers = [str(each) for each in range(1, 7)]
    return [_choice(film, asked.format(colour), str(times), numbers) for colour, times in film.facts["flashes"].items()]


def _on_order(film: Film) -> list[Question]:
    shown = film.facts["colours"]
    found = []
    for listed in (sorted(shown), sorted(shown, reverse=True)):
        events = "; ".join(f"({number})The screen is {colour}" for number, colour in enumerate(listed, 1))
        answer = "->".join(str(listed.index(colour) + 1) for colour in shown)
        others = ["->".join(random.Random(f"{film.name} {listed} {each}").sample("1234", 4)) for each in range(20)]
        text = f"Arrange the following events from the video in the correct chronological order: {events}."
        found.append(_choice(film, text, answer, others))
    return found


def _on_anomaly(film: Film) -> list[Question]:
    return [
        _choice(film, text, film.facts["kind"], film.facts["kinds"])
        for text in (
            "Does this surveillance footage contain any anomalies? If yes, which kind of anomaly?",
            "Is there any abnormality in this surveillance video? If so, what type of abnormality is it?",
        )
    ]


def _on_sub_scene(film: Film) -> Question:
    colours = film.facts["colours"]
    points = (f"The screen turns {colours[1]} after it was {colours[0]}", f"It turns {colours[2]} next")
    text = f"Please describe what follows when the screen is {colours[0]}."
    return Question(film, text, ". ".join(points) + ".", points=points)


def _on_summary(film: Film) -> Question:
    crossings = ", then ".join(f"a {colour} {shape}" for shape, colour in film.facts["crossings"])
    text = "Please summarize this video, including its main content."
    return Question(film, text, f"On a {film.facts['ground']} background {crossings} cross the screen.")


if __name__ == "__main__":
    write(MINI)
