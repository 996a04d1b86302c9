"""Small pictures beside the worst queries: of what kinds of images, how large, and of which queries."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from flagbench.models.inputs import Image, Input, Item
from flagbench.results.worst_queries import COUNT, PICTURE_BYTES, Examples
from flagbench.runners.search.pictures import SIDE, picture_of
from flagbench.runners.search.worst import Searched, worst_first, worst_of, worst_queries
from tests.pictures import drawn, image

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def stored(picture: Any, kind: str = "PNG", **options: Any) -> Image:
    out = BytesIO()
    picture.save(out, kind, **options)
    return Image(out.getvalue())


def opened(picture: Image) -> Any:
    made = picture_of(picture)
    assert made is not None
    assert len(made) <= PICTURE_BYTES
    return Pillow.open(BytesIO(made))


def near(picture: Any, place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    return max(abs(one - other) for one, other in zip(picture.getpixel(place), colour, strict=True)) < 40


def turned() -> Image:
    """Red above blue as a camera keeps it that lies on its side: EXIF says to turn it by a quarter."""
    picture = Pillow.new("RGB", (64, 32), RED)
    picture.paste(BLUE, (32, 0, 64, 32))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    return stored(picture, "JPEG", exif=exif, quality=95)


def halves(mode: str) -> Any:
    picture = Pillow.new("RGB", (200, 100), RED)
    picture.paste(BLUE, (100, 0, 200, 100))
    return picture.convert(mode)


@pytest.mark.parametrize(
    ("picture", "size", "left", "right"),
    [
        (stored(halves("RGB")), (96, 48), RED, BLUE),
        (stored(halves("RGB").resize((20, 10))), (20, 10), RED, BLUE),
        (stored(halves("P")), (96, 48), RED, BLUE),
        (stored(halves("CMYK"), "TIFF"), (96, 48), RED, BLUE),
        (stored(halves("RGB"), "GIF", save_all=True, append_images=[halves("L")]), (96, 48), RED, BLUE),
        (stored(Pillow.new("RGBA", (300, 300), (255, 0, 0, 0))), (96, 96), RED, RED),
        (stored(Pillow.new("L", (10, 5_000), 255)), (1, 96), WHITE, WHITE),
        (stored(Pillow.fromarray(np.full((50, 50), 65_535, dtype=np.uint16))), (50, 50), WHITE, WHITE),
        (stored(Pillow.fromarray(np.full((50, 50), 32_768, dtype=np.uint16))), (50, 50), WHITE, WHITE),
        (stored(Pillow.new("1", (1, 1), 1)), (1, 1), WHITE, WHITE),
        (turned(), (32, 64), RED, RED),
    ],
)  # fmt: skip
def test_a_picture_is_small_and_looks_like_its_image(
    picture: Image, size: tuple[int, int], left: tuple[int, int, int], right: tuple[int, int, int]
) -> None:
    made = opened(picture)
    assert (made.format, made.mode, made.size) == ("JPEG", "RGB", size)
    assert near(made, (0, 0), left)
    assert near(made, (made.width - 1, 0), right)
    assert SIDE == 96


def test_noise_takes_no_more_room_than_there_is() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    assert opened(stored(Pillow.fromarray(noise))).size == (96, 96)


def test_what_cannot_be_shown_has_no_picture(tmp_path: Path) -> None:
    whole = drawn("red", size=200, kind="JPEG")
    bomb = Pillow.new("1", (9_000, 9_000))
    for source in (b"", b"no image", whole[: len(whole) // 2], tmp_path / "absent.png"):
        assert picture_of(Image(source)) is None
    assert picture_of(stored(bomb)) is None


def searched(queries: dict[str, Input], passages: dict[str, Input], split: str = "test") -> Searched:
    """Each query finds all passages, the last first, and the first one is relevant."""
    run = {query: {name: float(score) for score, name in enumerate(passages)} for query in queries}
    qrels = {query: {next(iter(passages)): 1} for query in queries}
    return Searched(split, "default", run, qrels, lambda _: queries, lambda _: passages)


def colour(kept: Examples, name: str) -> Any:
    return Pillow.open(BytesIO(base64.b64decode(kept.pictures[name]))).getpixel((2, 2))


def test_queries_and_passages_have_the_picture_of_their_first_image(tmp_path: Path) -> None:
    """Equal images are kept once; what is broken is beside the others without one."""
    renamed = tmp_path / "<b>name.png"
    renamed.write_bytes(drawn("red"))
    queries: dict[str, Input] = {"q1": Item("and wider", (image("red"), image("blue"))), "q2": "in words"}
    passages: dict[str, Input] = {
        "same": Item("", (Image(renamed),)),
        "blue": Item("", (image("blue"),)),
        "text": "no image",
        "broken": Item("", (Image(b"none"),)),
        "gone": Item("gone", (Image(tmp_path / "gone.png"),)),
    }
    kept = worst_of("A", "m", worst_queries(searched(queries, passages), {"q1": 0.0, "q2": 0.5}))
    one, two = kept.queries
    assert len(kept.pictures) == 2
    assert two.picture == ""
    found = {each.id: each.picture for each in one.found}
    assert found["same"] == one.relevant[0].picture == one.picture
    assert [found[name] for name in ("text", "broken", "gone")] == ["", "", ""]
    red, blue = colour(kept, one.picture), colour(kept, found["blue"])
    assert (red[0] > 200 > 60 > red[2], blue[2] > 200 > 60 > blue[0]) == (True, True)
    assert one.relevant[0].text == "[image <b>name.png]"
    assert Examples.from_json(kept.to_json()) == kept


def test_pictures_are_of_the_queries_that_are_kept_alone() -> None:
    """Of the worst of several subsets together."""
    worst = []
    for number, colours in enumerate(("red", "blue", "lime")):
        queries: dict[str, Input] = {f"q{at}": Item(str(at), (image(colours, size=8 + at),)) for at in range(15)}
        values = {name: number + at / 100 for at, name in enumerate(queries)}
        worst = worst_first([*worst, *worst_queries(searched(queries, {"p": "p"}, colours), values)])
    assert len(worst) == COUNT
    kept = worst_of("A", "m", worst)
    assert [each.split for each in kept.queries] == ["red"] * 15 + ["blue"] * 5
    assert len(kept.pictures) == 20
    assert len(kept.to_json()) < 60_000


def test_a_task_of_texts_keeps_nothing_about_pictures() -> None:
    kept = worst_of("A", "m", worst_queries(searched({"q": "a"}, {"p": "b"}), {"q": 0.0}))
    assert "picture" not in kept.to_json()
