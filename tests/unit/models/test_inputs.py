"""Inputs: equal by content, keys that the store knows, costs that batches are cut by, and a line to show."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image as Pillow

from flagbench import BadData, BadInput
from flagbench.models import inputs
from flagbench.models.adapters import ADAPTERS, modalities
from flagbench.models.inputs import (
    TEXT,
    Image,
    Input,
    Item,
    content_key,
    cost,
    line,
    needs,
    pair_key,
    plain,
    readable,
    readable_pair,
    text_of,
)
from flagbench.models.loading.deferred import Deferred
from flagbench.models.loading.registry import published
from tests.pictures import drawn, image

RED, BLUE = image("red"), image("blue")
BOTH = TEXT | {"image"}


def _blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


# Images.


def test_images_are_equal_by_their_bytes_under_whatever_name(tmp_path: Path) -> None:
    for name in ("one.png", "other.png"):
        (tmp_path / name).write_bytes(drawn("red"))
    one, other = Image(tmp_path / "one.png"), Image(tmp_path / "other.png")
    assert one == other == RED
    assert len({one, other, RED}) == 1
    assert one != BLUE
    assert Item("a", (one,)) == Item("a", (RED,)) != Item("a", (BLUE,))
    assert hash(Item("a", (one,))) == hash(Item("a", (other,)))
    assert RED != "red"


def test_other_bytes_of_the_same_pixels_are_another_image() -> None:
    assert Image(drawn("red", kind="BMP")) != RED


def test_an_image_on_disk_is_read_when_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "late.png"
    late = Image(path)
    item = Item("a", (late,))
    assert (line(item), cost(item)) == ("a [image late.png]", 1 + 1_024)
    assert late == item.images[0], "the very same is equal without a look"
    path.write_bytes(drawn("red"))
    assert late.read() == drawn("red")
    assert late == RED


def test_an_image_that_changed_after_its_key_was_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(drawn("red"))
    changing = Image(path)
    assert changing.key == RED.key
    path.write_bytes(drawn("blue"))
    with pytest.raises(BadData, match=r"a\.png has changed since it was first read: run again$"):
        changing.read()


def test_an_absent_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"^the image .*absent\.png cannot be read \(No such file or directory\): fix the data$"
    ):
        content_key(Item("", (Image(tmp_path / "absent.png"),)))


def test_a_pipe_a_device_or_a_folder_is_refused_at_once(tmp_path: Path) -> None:
    """Nobody writes to the pipe, and the device has no end."""
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "endless.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    for name in ("pipe.png", "endless.png", "folder.png"):
        with pytest.raises(BadData, match=rf"^the image .*{name} is not a regular file: fix the data of T: test$"):
            Image(tmp_path / name, where="T: test").read()


def test_an_image_goes_to_another_process_as_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(drawn("red"))
    sent = pickle.dumps(Item("a", (Image(path),)))
    path.unlink()
    assert pickle.loads(sent) == Item("a", (RED,))


def test_a_damaged_image_is_called_the_same_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(drawn("red")[:40])
    for here in (Image(path, where="T: test, row 1"), Image(path), Image(path.read_bytes(), name=f"{path}, row 3")):
        there = pickle.loads(pickle.dumps(here))
        assert (here.called, here.name) == (there.called, there.name)
        assert str(path) in there.called
        assert there.where == here.where
    assert Image(b"", name="in/parts, row 3").name == "parts, row 3"


@pytest.mark.parametrize("on_disk", [False, True])
def test_more_bytes_than_are_read_are_refused(on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = drawn("red")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    monkeypatch.setattr(inputs, "MOST_BYTES", len(data))
    assert Image(path if on_disk else data).read() == data
    monkeypatch.setattr(inputs, "MOST_BYTES", len(data) - 1)
    with pytest.raises(BadData, match=rf"has {len(data)} bytes, and at most {len(data) - 1} are read: make it smaller"):
        Image(path if on_disk else data).read()


def test_a_decoded_image_is_what_was_drawn() -> None:
    picture = image("red", "blue").decoded()
    assert picture.size == (16, 8)
    assert (picture.getpixel((0, 0)), picture.getpixel((15, 7))) == ((255, 0, 0), (0, 0, 255))


def test_more_pixels_than_are_decoded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MOST_PIXELS", 64)
    assert RED.decoded().size == (8, 8)
    monkeypatch.setattr(inputs, "MOST_PIXELS", 63)
    with pytest.raises(BadData, match="cannot be decoded: it has 64 pixels, and at most 63 are decoded"):
        RED.decoded()


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_small_file_of_a_huge_picture_is_refused(side: int) -> None:
    """Pillow warns of the first and refuses the second by itself."""
    stored = BytesIO()
    Pillow.new("1", (side, side)).save(stored, "PNG")
    with pytest.raises(BadData, match="cannot be decoded"):
        Image(stored.getvalue()).decoded()


def test_what_pillow_warns_of_and_reads_is_no_fault() -> None:
    """Warnings are errors here; on a terminal they would stand among the lines of a run."""
    stored = BytesIO()
    Pillow.effect_noise((4, 4), 90).convert("P").save(stored, "PNG", transparency=bytes([0, 128, 255]))
    with pytest.warns(UserWarning, match="Transparency"):
        Pillow.open(BytesIO(stored.getvalue())).convert("RGB")
    assert Image(stored.getvalue()).decoded().size == (4, 4)


@pytest.mark.parametrize("data", [b"", b"no image", drawn("red")[:45]], ids=["empty", "text", "cut"])
def test_what_is_no_image_is_refused_when_decoded(data: bytes) -> None:
    with pytest.raises(BadData, match=r"^the image [0-9a-f]{8} cannot be decoded: "):
        Image(data).decoded()


def test_nothing_is_imported_for_an_item_but_to_decode_it() -> None:
    code = (
        "import sys; from flagbench.models.inputs import *; content_key(Item('a', (Image(b'x'),)));"
        "sys.exit(bool({'PIL', 'numpy', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ)).returncode == 0


# Keys.


@pytest.mark.parametrize("text", ["", "a", "中文", "\udcff", "a" * 10_000])
def test_the_key_of_a_text_is_the_hash_that_stores_have(text: str) -> None:
    wanted = _blake(text.encode("utf-8", "surrogatepass"))
    assert content_key(text) == content_key(Item(text)) == wanted


def test_the_key_of_a_text_is_for_ever() -> None:
    """Stores on disk have it."""
    assert content_key("句").hex() == "f52a4a03d3dadca924b6ae635018fa25"


@pytest.mark.parametrize(
    "other",
    [
        "a",
        Item("a", (BLUE,)),
        Item("b", (RED,)),
        Item("", (RED,)),
        Item("a", (RED, RED)),
        Item("a", (RED, BLUE)),
        Item("a" + RED.key.hex()),
        Item((b"a" + RED.key).decode("latin-1"), ()),
    ],
)
def test_other_contents_have_other_keys(other: Input) -> None:
    assert content_key(other) != content_key(Item("a", (RED,)))


def test_the_order_of_images_counts() -> None:
    assert content_key(Item("", (RED, BLUE))) != content_key(Item("", (BLUE, RED)))


def test_a_text_that_ends_in_the_key_of_an_image_is_told_from_the_image() -> None:
    sly = Image(b"18597")  # whose key can be written as a text, as that of one in ten thousand
    assert content_key(Item("a" + sly.key.decode(), (RED,))) != content_key(Item("a", (sly, RED)))


def test_no_text_has_the_key_of_an_item() -> None:
    """Not even one of the very bytes that are hashed for the item."""
    body = (1).to_bytes(8, "big") + b"a" + RED.key
    assert content_key(Item("a", (RED,))) != _blake(body)


def test_the_key_of_two_texts_is_the_hash_that_stores_have() -> None:
    assert pair_key(("ab", "c")) == pair_key((Item("ab"), "c")) == _blake(b"2 abc")
    assert pair_key(("a", "bc")) == _blake(b"1 abc")


def test_pairs_with_images_are_told_apart() -> None:
    red, blue = Item("", (RED,)), Item("", (BLUE,))
    pairs: list[tuple[Input, Input]] = [
        ("a", "b"), ("a", red), (red, "a"), ("a", blue), (red, blue), (blue, red), ("", red), (Item("a", (RED,)), "")
    ]  # fmt: skip
    assert len({pair_key(pair) for pair in pairs}) == len(pairs)
    assert pair_key((red, "a")) == pair_key((Item("", (image("red"),)), Item("a")))


# Cost, line and text.


def test_the_cost_of_a_text_is_its_length_and_each_image_adds_the_same() -> None:
    assert [cost(each) for each in ("", "中文", Item("中文"))] == [0, 2, 2]
    assert cost(Item("ab", (RED,))) - 2 == (cost(Item("", (RED, BLUE)))) / 2 > 1_000


def test_a_line_shows_a_text_as_it_is_and_images_by_name(tmp_path: Path) -> None:
    assert line(" as\nit is ") == line(Item(" as\nit is ")) == " as\nit is "
    assert line(Item("a", (Image(tmp_path / "x.png"), RED))) == f"a [image x.png] [image {RED.key.hex()[:8]}]"
    assert line(Item("", (Image(tmp_path / "x.png"),))) == "[image x.png]"


def test_the_text_of_an_input() -> None:
    assert [text_of(each) for each in ("a", Item("a"), Item("a", (RED,)), Item("", (RED,)))] == ["a", "a", "a", ""]


# What a model takes.


def test_an_item_without_images_is_its_text() -> None:
    assert plain(Item("a")) == "a"
    assert plain("a") == "a"
    assert plain(Item("a", (RED,))) == Item("a", (RED,))


def test_what_an_input_needs() -> None:
    assert needs("a") == needs("") == needs(Item("")) == TEXT
    assert needs(Item("a", (RED,))) == BOTH
    assert needs(Item("", (RED,))) == {"image"}


def test_an_input_comes_to_a_model_in_its_plainest_form() -> None:
    assert readable(Item("a"), TEXT, "org/m") == "a"
    assert readable(Item("a", (RED,)), BOTH, "org/m") == Item("a", (RED,))
    assert readable(Item("", (RED,)), frozenset({"image"}), "org/m") == Item("", (RED,))
    pair = ("a", "b")
    assert readable_pair(pair, TEXT, "org/m") is pair
    for given in (("a", Item("b")), (Item("a"), "b"), (Item("a"), Item("b"))):
        assert readable_pair(given, TEXT, "org/m") == pair
    seen: tuple[Input, Input] = (Item("a", (RED,)), "b")
    assert readable_pair(seen, BOTH, "org/m") is seen


def test_an_input_that_a_model_does_not_take_is_refused_with_what_would() -> None:
    with pytest.raises(BadInput, match=r"^org/m takes text, and 'a \[image .{8}\]' has images: choose a model that "):
        readable(Item("a", (RED,)), TEXT, "org/m")
    with pytest.raises(BadInput, match=r"^org/m takes images, and 'b' has text: choose a model that takes text$"):
        readable("b", frozenset({"image"}), "org/m")
    with pytest.raises(BadInput, match=r"choose a model that takes text and images$"):
        readable_pair(("q", Item("a", (RED,))), TEXT, "org/m")
    with pytest.raises(BadInput, match=rf"^org/m takes text, and '{'x' * 40}' has images: "):
        readable(Item("x" * 90, (RED,)), TEXT, "org/m")


def test_a_model_that_is_not_loaded_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    deferred = Deferred(published()["BAAI/bge-m3"], "cpu", lambda: pytest.fail("it was loaded"))
    assert deferred.modalities == TEXT
    monkeypatch.setitem(cast("Any", ADAPTERS), "m3", replace(ADAPTERS["m3"], modalities=BOTH))
    assert deferred.modalities == BOTH


def test_the_adapters_that_take_images() -> None:
    taking = {adapter for adapter in ADAPTERS if modalities(adapter) != TEXT}
    assert taking == {"visualized", "two-towers", "hub-code", "random", "random-reranker"}
    assert all(modalities(adapter) == {"text", "image"} for adapter in taking)
