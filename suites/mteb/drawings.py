"""Miniature data of tasks with images: 300 drawings of shapes, in the layout of the repos that mteb's tasks read.

A drawing has some shapes of one kind and one colour on white, each apart from the others, so that whoever counts them,
measures how much of its frame a shape fills, and looks at its colour knows all there is to know. Written anew by

    python -m flagbench.suites.mteb.drawings suites/mteb/mini
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 20, 30),
    "green": (20, 150, 60),
    "blue": (30, 60, 220),
    "orange": (255, 150, 0),
}
SHAPES = ("circle", "square", "triangle")
NUMBERS = ("zero", "one", "two", "three", "four", "five")

_SIDE = 48  # pixels of a drawing
_CELLS = 3  # along each side, of which a shape stands in one
_SIZES = (9, 12)  # pixels of a shape, both included: less than a cell by a margin
_CLASSES = 10


@dataclass(frozen=True)
class Drawing:
    """What is drawn.

    Attributes:
        count: 1 to 5 shapes.
        colour: A key of ``COLOURS``.
        shape: One of ``SHAPES``.
    """

    count: int
    colour: str
    shape: str

    @property
    def words(self) -> str:
        """``three red circles``."""
        return f"{NUMBERS[self.count]} {self.colour} {self.shape}{'s' if self.count > 1 else ''}"

    def png(self, seed: int) -> bytes:
        """The drawing as a PNG.

        Args:
            seed: Says where the shapes stand, and how large they are.
        """
        import PIL.Image
        import PIL.ImageDraw

        places = np.random.RandomState(seed)  # whose stream NumPy keeps as it is (NEP 19)
        picture = PIL.Image.new("RGB", (_SIDE, _SIDE), "white")
        pen = PIL.ImageDraw.Draw(picture)
        cell = _SIDE // _CELLS
        for number in places.permutation(_CELLS**2)[: self.count]:
            size = int(places.randint(_SIZES[0], _SIZES[1] + 1))
            left, top = (cell * int(at) + int(places.randint(1, cell - size)) for at in divmod(int(number), _CELLS))
            box = (left, top, left + size, top + size)
            if self.shape == "circle":
                pen.ellipse(box, fill=COLOURS[self.colour])
            elif self.shape == "square":
                pen.rectangle(box, fill=COLOURS[self.colour])
            else:
                corners = [(left, top + size), (left + size, top + size), (left + size // 2, top)]
                pen.polygon(corners, fill=COLOURS[self.colour])
        kept = BytesIO()
        picture.quantize(2 + len(COLOURS)).save(kept, "PNG", optimize=True)
        return kept.getvalue()


Row = dict[str, Any]
Config = tuple[str, str, list[Row]]
"""Name, split and rows."""


class _Pens:
    """Draws each time anew: equal drawings are other pictures."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, drawing: Drawing) -> Row:
        self.drawn += 1
        return {"bytes": drawing.png(self.drawn), "path": f"{self.drawn:03}.png"}


def repos() -> Iterator[tuple[str, Sequence[Config], Mapping[str, Sequence[str]]]]:
    """Each repo: its name, its configs, and the names of the classes of columns that have some."""
    pens = _Pens()
    every = [Drawing(*its) for its in itertools.product(range(1, 5), COLOURS, SHAPES)]
    yield "mteb/tu-berlin", _searched(pens, every), {}
    yield "mteb/mbeir_cirr_task7", _composed(pens), {}
    yield "mteb/arxivqa_test_subsampled_beir", _documents(pens), {}
    yield "mteb/CV-Bench", [("default", "test", [_counted(pens, number) for number in range(16)])], {}
    classes = [(colour, shape) for shape in SHAPES for colour in COLOURS][:_CLASSES]
    names = [f"{colour} {shape}" for colour, shape in classes]
    rows = {
        split: [
            {"img": pens(Drawing(1, *its)), "label": label} for _ in range(each) for label, its in enumerate(classes)
        ]
        for split, each in (("train", 6), ("test", 5))
    }
    yield "mteb/cifar10", [("default", split, its) for split, its in rows.items()], {"label": names}
    yield "mteb/rendered-sts12", [("default", "test", [_pair(pens, number) for number in range(20)])], {}
    yield "facebook/winoground", [("default", "test", [_crossed(pens, number) for number in range(10)])], {}


def _searched(pens: _Pens, every: Sequence[Drawing]) -> list[Config]:
    """A query for each drawing, in words."""
    corpus = [{"id": f"d{number}", "image": pens(its), "modality": "image"} for number, its in enumerate(every)]
    queries = [{"id": f"q{number}", "text": its.words, "modality": "text"} for number, its in enumerate(every)]
    return _judged(corpus, queries, [(number, number) for number in range(len(every))])


def _composed(pens: _Pens) -> list[Config]:
    """A drawing and what is other in the one that is wanted."""
    every = [Drawing(*its) for its in itertools.product(range(1, 4), COLOURS, SHAPES)]
    corpus = [{"id": f"d{number}", "image": pens(its), "text": None} for number, its in enumerate(every)]
    queries, found = [], []
    colours = list(COLOURS)
    for number in range(18):
        seen = every[2 * number]
        if number % 2:
            other = replace(seen, colour=colours[(colours.index(seen.colour) + 1) % len(colours)])
            text = f"the same in {other.colour}"
        else:
            other = replace(seen, shape=SHAPES[(SHAPES.index(seen.shape) + 1) % len(SHAPES)])
            text = f"as many, each a {other.shape}"
        queries.append({"id": f"q{number}", "image": pens(seen), "text": text})
        found.append((number, every.index(other)))
    return _judged(corpus, queries, found)


def _judged(corpus: list[Row], queries: list[Row], found: Sequence[tuple[int, int]]) -> list[Config]:
    qrels = [{"query-id": f"q{query}", "corpus-id": f"d{passage}", "score": 1} for query, passage in found]
    return [("corpus", "test", corpus), ("queries", "test", queries), ("qrels", "test", qrels)]


def _documents(pens: _Pens) -> list[Config]:
    """Questions for the page that has the answer, in the layout of ViDoRe."""
    pages = [Drawing(count, colour, "square") for count in (2, 3, 5) for colour in COLOURS]
    corpus = [{"corpus-id": number, "image": pens(its)} for number, its in enumerate(pages)]
    queries = [
        {"query-id": number, "query": f"Which page has {its.words}?", "language": "english"}
        for number, its in enumerate(pages)
    ]
    qrels = [{"query-id": number, "corpus-id": number, "score": 1} for number in range(len(pages))]
    return [("corpus", "test", corpus), ("queries", "test", queries), ("qrels", "test", qrels)]


def _counted(pens: _Pens, number: int) -> Row:
    """A question of how many, with four answers. The images are files."""
    its = Drawing(1 + number % 4, list(COLOURS)[number // 4], SHAPES[number % 3])
    beside = ("idx", "type", "filename", "source", "source_dataset", "source_filename", "target_class", "target_size")
    return {
        **dict.fromkeys((*beside, "bbox", "prompt"), ""),
        "task": "Count",
        "image": pens(its),
        "question": f"How many {its.shape}s are in the image?",
        "choices": ["1", "2", "3", "4"],
        "answer": f"({'ABCD'[its.count - 1]})",
    }


def _pair(pens: _Pens, number: int) -> Row:
    """Two drawings, and how much of their count, colour and shape is alike."""
    colours, unlike = list(COLOURS), number % 4
    one = Drawing(1 + number // 5, colours[number % 3], SHAPES[number % 2])
    other = Drawing(
        one.count + 1 if unlike > 0 else one.count,
        colours[number % 3 + 1] if unlike > 1 else one.colour,
        "triangle" if unlike > 2 else one.shape,
    )
    return {"sentence1": pens(one), "sentence2": pens(other), "score": 5 * (3 - unlike) / 3}


def _crossed(pens: _Pens, number: int) -> Row:
    """Two drawings with one word between their captions."""
    one = Drawing(1 + number % 5, list(COLOURS)[number % 4], SHAPES[number % 3])
    other = replace(one, shape=SHAPES[(number + 1) % 3])
    return {"image_0": pens(one), "image_1": pens(other), "caption_0": one.words, "caption_1": other.words}


def write(folder: Path) -> None:
    """Write all repos below a folder."""
    for name, configs, classes in repos():
        repo = folder / name
        lines = []
        for config, split, rows in configs:
            files = "data" if config == "default" else config
            as_files = name == "mteb/CV-Bench"
            lines += [f"- config_name: {config}", "  data_files:"] if f"- config_name: {config}" not in lines else []
            lines += [f"  - split: {split}", f"    path: {files}/{split}{'/*' if as_files else '-*.parquet'}"]
            (repo / files).mkdir(parents=True, exist_ok=True)
            if as_files:
                _write_files(repo / files / split, rows)
            else:
                _write_parquet(repo / files / f"{split}-00000-of-00001.parquet", rows, classes)
        title = f"# {name.partition('/')[2]} (miniature)"
        said = f"Drawn for this project in the layout of `{name}`; see `../../README.md`."
        text = "\n".join(["---", "configs:", *lines, "---", "", title, "", said, ""])
        (repo / "README.md").write_text(text, encoding="utf-8")


def _write_files(folder: Path, rows: Sequence[Row]) -> None:
    """A file for each image, and one for what else the rows have."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for row in rows:
        (folder / row["image"]["path"]).write_bytes(row["image"]["bytes"])
        others = {name: value for name, value in row.items() if name != "image"}
        lines.append(json.dumps({"file_name": row["image"]["path"], **others}))
    (folder / "metadata.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _write_parquet(path: Path, rows: Sequence[Row], classes: Mapping[str, Sequence[str]]) -> None:
    import datasets

    features = datasets.Features()
    for name, value in rows[0].items():
        if name in classes:
            features[name] = datasets.ClassLabel(names=list(classes[name]))
        elif isinstance(value, dict):
            features[name] = datasets.Image()
        elif isinstance(value, list):
            features[name] = datasets.List(datasets.Value("string"))
        else:
            kinds: Mapping[type, str] = {int: "int64", float: "float64"}
            features[name] = datasets.Value(kinds.get(type(value), "string"))
    columns = {name: [row[name] for row in rows] for name in features}
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(path))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
