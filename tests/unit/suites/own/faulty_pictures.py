"""Folders of own data with images, sound and with a fault, with what is said of each."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flagbench.models.inputs import MOST_BYTES
from tests.pictures import drawn
from tests.unit.suites.own.folders import QRELS, Change, write

IMAGES = {"d1": "red", "d2": "blue", "d3": "lime"}
QUERIES = [{"_id": "q1", "text": "red"}, {"_id": "q2", "text": "blue"}]


def pictures(folder: Path) -> None:
    """Three images in files that two texts search."""
    for id_, colour in IMAGES.items():
        write(f"images/{id_}.png", drawn(colour))(folder)
    write("corpus.jsonl", [{"_id": id_, "image": f"images/{id_}.png"} for id_ in IMAGES])(folder)
    write("queries.jsonl", QUERIES)(folder)
    write("qrels/test.tsv", QRELS)(folder)


def named(name: Any, *, text: str | None = None) -> Change:
    """The first passage with another image."""

    def change(folder: Path) -> None:
        first = {"_id": "d1", "image": name, **({} if text is None else {"text": text})}
        write("corpus.jsonl", [first, *({"_id": id_, "image": f"images/{id_}.png"} for id_ in ("d2", "d3"))])(folder)

    return change


def in_its_place(content: bytes) -> Change:
    return write("images/d1.png", content)


def bomb(side: int) -> bytes:
    """A PNG whose head says that it is so many pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def link(to: str) -> Change:
    def change(folder: Path) -> None:
        (folder.parent / "outside.png").write_bytes(drawn("red"))
        (folder / "images/d1.png").unlink()
        (folder / "images/d1.png").symlink_to(to)

    return change


def pipe(folder: Path) -> None:
    (folder / "images/d1.png").unlink()
    os.mkfifo(folder / "images/d1.png")


def parquet(first: Any) -> Change:
    """The corpus in parquet, its first image as given."""

    def change(folder: Path) -> None:
        (folder / "corpus.jsonl").unlink()
        others = [{"bytes": drawn(colour), "path": None} for colour in list(IMAGES.values())[1:]]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"_id": list(IMAGES), "image": pa.array([first, *others], kind)})
        pq.write_table(table, folder / "corpus.parquet")

    return change


def huge(folder: Path) -> None:
    with (folder / "images/d1.png").open("wb") as file:
        file.truncate(MOST_BYTES + 1)


def labelled(folder: Path) -> None:
    for split in ("train", "test"):
        rows = [{"image": f"{colour}.png", "label": colour} for colour in ("red", "blue")]
        write(f"{split}.jsonl", rows)(folder)
    for colour in ("red", "blue"):
        write(f"{colour}.png", drawn(colour))(folder)


def clusters(folder: Path) -> None:
    labelled(folder)
    (folder / "train.jsonl").unlink()
    write("task.toml", 'type = "Clustering"\n')(folder)


def pairs(folder: Path) -> None:
    labelled(folder)
    (folder / "train.jsonl").unlink()
    rows = [{"image1": "red.png", "image2": f"{colour}.png", "score": n} for n, colour in enumerate(("blue", "red"))]
    write("test.jsonl", rows)(folder)


SOUND: Mapping[str, Change] = {
    "in files": pictures,
    "in rows": lambda f: [pictures(f), parquet({"bytes": drawn("red"), "path": "d1.png"})(f)],
    "in rows by name": lambda f: [pictures(f), parquet({"bytes": None, "path": "images/d1.png"})(f)],
    "a text in place of an image": lambda f: [pictures(f), named(None, text="red")(f)],
    "a text beside an image": lambda f: [pictures(f), named("images/d1.png", text="red")(f)],
    "a link in the folder": lambda f: [pictures(f), link("d2.png")(f)],
    "labelled": labelled,
    "clusters": clusters,
    "pairs": pairs,
}

_AT = r"corpus\.jsonl, line 1 has "
UNSOUND: Mapping[str, tuple[Callable[[Path], Any], Change, str]] = {
    "no such file": (
        pictures,
        named("images/d9.png"),
        _AT + r"the image 'images/d9.png', and .* has no such file: fix",
    ),
    "no image": (
        pictures,
        in_its_place(b"not an image"),
        _AT + "the image .*d1.png' .it is no image",
    ),
    "nothing in it": (pictures, in_its_place(b""), _AT + "the image .* .it is empty"),
    "cut off": (
        pictures,
        in_its_place(drawn("red", size=64)[:-30]),
        _AT + "the image .* .the image .* cannot be decoded",
    ),
    "a bomb": (
        pictures,
        in_its_place(bomb(10_000)),
        _AT + "the image .* .it has 100,000,000 pixels, and at most 67,1",
    ),
    "a larger bomb": (pictures, in_its_place(bomb(30_000)), _AT + "the image .* .Image size"),
    "too many bytes": (
        pictures,
        huge,
        _AT + "the image .* has 67,108,865 bytes, and at most 67,108,864 are read",
    ),
    "above the folder": (
        pictures,
        named("../outside.png"),
        _AT + "the image '../outside.png', which is not a file below",
    ),
    "elsewhere": (pictures, named("/etc/hostname"), _AT + "the image '/etc/hostname', which is not a file below"),
    "a link that leads out": (
        pictures,
        link("../../outside.png"),
        _AT + "the image 'images/d1.png', which is not a file",
    ),
    "a link to nothing": (pictures, link("gone.png"), _AT + "the image 'images/d1.png', and .* has no such file"),
    "an address": (pictures, named("https://example.org/d1.png"), _AT + "the image 'https.*', which is an address"),
    "a folder": (pictures, named("images"), _AT + "the image 'images', which is no regular file"),
    "a pipe": (pictures, pipe, _AT + "the image .*, which is no regular file"),
    "a NUL": (pictures, named("a\0b"), _AT + "the image 'a.*', which is not a file below"),
    "a long name": (pictures, named("a" * 5_000), _AT + "the image 'a.*, which cannot be read .File name too long"),
    "a number": (pictures, named(7), _AT + "7 instead of an image, which is its bytes or the name of a file"),
    "a list": (pictures, named(["a"]), _AT + r"\['a'\] instead of an image"),
    "nothing": (pictures, named(None), _AT + "nothing instead of an image in column image"),
    "neither": (pictures, named(None, text=" "), _AT + "an empty text in column text and no image in column image"),
    "neither of both": (pictures, named(None, text=""), _AT + "an empty text in column text and no image in"),
    "a number for the text": (pictures, named("images/d1.png", text=7), _AT + "7 instead of a text"),  # type: ignore[arg-type]
    "bytes that are no image": (
        pictures,
        parquet({"bytes": b"not an image", "path": "d1.png"}),
        r"corpus.parquet, row 0 has an image .it is no image",
    ),
    "no bytes and no name": (
        pictures,
        parquet({"bytes": None, "path": None}),
        "corpus.parquet, row 0 has nothing instead of an image in column image",
    ),
    "the first of the file behind many": (
        pictures,
        lambda f: write(
            "corpus.jsonl",
            [{"_id": f"d{n}", "text": "x"} for n in range(1_000)] + [{"_id": "e", "image": "images/d1.png"}],
        )(f),
        r"corpus.jsonl, line 1001 has the first image of the file in column image: put it among the first rows of ",
    ),
    "texts beside images to cluster": (
        clusters,
        lambda f: write("test.jsonl", [{"image": f"{c}.png", "text": c, "label": c} for c in ("red", "blue")])(f),
        "has texts and images to cluster, and mteb clusters either",
    ),
    "no label": (
        labelled,
        lambda f: write("test.jsonl", [{"image": "red.png", "label": c} for c in ("red", "blue", None)])(f),
        "test.jsonl, line 3 has nothing instead of a label",
    ),
    "half a pair": (
        pairs,
        lambda f: write(
            "test.jsonl",
            [
                {"image1": "red.png", "image2": "blue.png", "score": 0},
                {"image1": "red.png", "image2": "red.png", "score": 1},
                {"image1": "red.png", "score": 1},
            ],
        )(f),
        "test.jsonl, line 3 has nothing instead of an image in column image2",
    ),
    "pairs of equal images": (
        pairs,
        lambda f: [
            write("copy.png", drawn("red"))(f),
            write(
                "test.jsonl",
                [
                    {"image1": "red.png", "image2": "copy.png", "score": 0},
                    {"image1": "blue.png", "image2": "blue.png", "score": 1},
                ],
            )(f),
        ],
        r"all pairs of test are alike \(two equal images, or the same two\)",
    ),
    "one pair of images alone": (
        pairs,
        lambda f: write(
            "test.jsonl",
            [
                {"image1": "red.png", "image2": "blue.png", "score": 0},
                {"image1": "blue.png", "image2": "red.png", "score": 1},
            ],
        )(f),
        "all pairs of test are alike",
    ),
    "a column that no file has": (
        pictures,
        write("task.toml", '[columns]\nimage = "picture"\n'),
        "it lacks corpus: text or image",
    ),
}
