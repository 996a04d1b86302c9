"""Draws the miniature data, in the layouts of the authors: ``python -m flagbench.suites.composed.make_mini FOLDER``.

Images are stripes of colours. A query shows one colour and asks for another, and what it wants shows both, so a model
that sees colours and reads their names finds it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "lime": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
}
_SIDE = 8

Drawing = tuple[str, ...]
"""The colours of an image's stripes, from left to right."""


def draw(folder: Path) -> None:
    """Write all data sets, each below its ``<org>/<name>``.

    Args:
        folder: It is made.
    """
    _cirr(folder / "Cuberick-Orion/CIRR")
    _fashioniq(folder / "XiaoxiaoGuo/fashion-iq")
    _circo(folder / "miccunifi/CIRCO")
    _webqa(folder / "JUNJIE99/VISTA_Evaluation")
    _mbeir(folder / "TIGER-Lab/M-BEIR")


def drawings() -> list[Drawing]:
    """Each colour alone, and each two side by side."""
    return [(colour,) for colour in COLOURS] + list(combinations(COLOURS, 2))


def _wanted() -> Iterator[tuple[str, str, Drawing]]:
    """What a query shows, what it asks for, and what it wants."""
    for own, other in permutations(COLOURS, 2):
        yield own, other, next(each for each in drawings() if set(each) == {own, other})


def _name(drawing: Drawing) -> str:
    return "-".join(drawing)


def _image(path: Path, drawing: Drawing) -> None:
    import PIL.Image

    picture = PIL.Image.new("RGB", (_SIDE * len(drawing), _SIDE))
    for place, colour in enumerate(drawing):
        picture.paste(COLOURS[colour], (place * _SIDE, 0, (place + 1) * _SIDE, _SIDE))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n", encoding="utf-8")


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _cirr(root: Path) -> None:
    for part, folder in (("val", "dev"), ("test1", "test1")):
        names = {drawing: f"{folder}-{_name(drawing)}" for drawing in drawings()}
        for drawing, name in names.items():
            _image(root / "img_raw" / folder / f"{name}.png", drawing)
        _json(root / f"image_splits/split.rc2.{part}.json", {name: f"./{folder}/{name}.png" for name in names.values()})
        rows = []
        for number, (own, other, target) in enumerate(_wanted()):
            pairs = [drawing for drawing in drawings() if len(drawing) == 2 and own in drawing]
            row = {
                "pairid": 100 + number,
                "reference": names[(own,)],
                "caption": f"add {other}",
                "img_set": {"id": number, "members": [names[each] for each in ((own,), *pairs)]},
            }
            rows.append(row | ({"target_hard": names[target]} if part == "val" else {}))
        _json(root / f"captions/cap.rc2.{part}.json", rows)


def _fashioniq(root: Path) -> None:
    for drawing in drawings():
        _image(root / "images" / f"{_name(drawing)}.png", drawing)
    wanted = list(_wanted())
    for number, category in enumerate(("dress", "shirt", "toptee")):
        _json(root / f"image_splits/split.{category}.val.json", list(map(_name, drawings())))
        rows = [
            {"target": _name(target), "candidate": own, "captions": [f"is more {other}", "has two colours"]}
            for own, other, target in wanted[number::3]
        ]
        _json(root / f"captions/cap.{category}.val.json", rows)


def _circo(root: Path) -> None:
    every = drawings() + [(two, one) for one, two in combinations(COLOURS, 2)]
    ids = {drawing: number for number, drawing in enumerate(every, 1)}
    coco = root / "COCO2017_unlabeled"
    for drawing, number in ids.items():
        _image(coco / "unlabeled2017" / f"{number:012}.png", drawing)
    images = [{"id": number, "file_name": f"{number:012}.png"} for number in ids.values()]
    _json(coco / "annotations/image_info_unlabeled2017.json", {"images": images})
    for part in ("val", "test"):
        rows = []
        for number, (own, other, target) in enumerate(_wanted()):
            gold = [ids[target], ids[target[1], target[0]]]
            row = {
                "reference_img_id": ids[(own,)],
                "relative_caption": f"has {other} in it",
                "shared_concept": "a picture of stripes",
                "id": number,
            }
            rows.append(row | ({"target_img_id": gold[0], "gt_img_ids": gold} if part == "val" else {}))
        _json(root / f"annotations/{part}.json", rows)


def _webqa(root: Path) -> None:
    texts = [{"content": number, "text": f"{colour} is a colour"} for number, colour in enumerate(COLOURS)]
    pairs = list(combinations(COLOURS, 2))
    images = []
    for number, pair in enumerate(pairs, 100):
        _image(root / "images" / f"{_name(pair)}.jpg", pair)
        images.append({"content": number, "text": f"stripes number {number}", "image": _name(pair)})
    queries = [
        {"q_text": f"what is {colour}", "positive": [number], "type": "text"} for number, colour in enumerate(COLOURS)
    ]
    queries += [
        {"q_text": f"where are {one} and {two}", "positive": [number], "type": "mm_it"}
        for number, (one, two) in enumerate(pairs, 100)
    ]
    _lines(root / "text_corpus.jsonl", texts)
    _lines(root / "mm_it_corpus.jsonl", images)
    _lines(root / "val_query.jsonl", queries)


def _mbeir(root: Path) -> None:
    folder = "mbeir_images/fashioniq_images"
    for drawing in drawings():
        _image(root / folder / f"{_name(drawing)}.png", drawing)
    ids = {drawing: f"7:{number}" for number, drawing in enumerate(drawings(), 1)}
    pool = [
        {"did": id_, "txt": None, "img_path": f"{folder}/{_name(drawing)}.png", "modality": "image"}
        for drawing, id_ in ids.items()
    ]
    others = [{"did": "0:1", "txt": "a text of another data set", "img_path": None, "modality": "text"}]
    queries, labels = [], []
    for number, (own, other, target) in enumerate(_wanted(), 1):
        queries.append(
            {
                "qid": f"7:{number}",
                "query_txt": f"more {other}",
                "query_img_path": f"{folder}/{own}.png",
                "query_modality": "image,text",
                "pos_cand_list": [ids[target]],
            }
        )
        labels.append(f"7:{number} 0 {ids[target]} 1 7\n")
    _lines(root / "cand_pool/local/mbeir_fashioniq_task7_cand_pool.jsonl", pool)
    _lines(root / "cand_pool/global/mbeir_union_test_cand_pool.jsonl", pool + others)
    _lines(root / "query/test/mbeir_fashioniq_task7_test.jsonl", queries)
    path = root / "qrels/test/mbeir_fashioniq_task7_test_qrels.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(labels), encoding="utf-8")


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
