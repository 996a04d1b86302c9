"""What is found out of images by their heads: sizes as ``datasets`` decodes them, and what no model could read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import datasets
import PIL.Image
import PIL.PngImagePlugin
import pytest

from flagbench import BadData
from flagbench.models.inputs import MOST_PIXELS, Image
from flagbench.runners.data.checks import Place
from flagbench.runners.data.image_checks import check_images, size_of, sizes_of
from tests.pictures import drawn, image

PLACE = Place("T: a folder", "split test, corpus")


def stored(mode: str = "RGB", size: tuple[int, int] = (30, 20), kind: str = "PNG", orientation: int = 0) -> bytes:
    picture = PIL.Image.new(mode, size)
    exif = picture.getexif()
    if orientation:
        exif[0x0112] = orientation
    kept = BytesIO()
    picture.save(kept, kind, **({"exif": exif} if orientation else {}))
    return kept.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind", "orientation"),
    [
        ("RGB", "PNG", 0),
        ("P", "GIF", 0),
        ("L", "JPEG", 0),
        ("CMYK", "JPEG", 0),
        ("I;16", "PNG", 0),
        *(("RGB", "JPEG", turned) for turned in range(1, 9)),
        ("RGB", "TIFF", 0),
        *(("RGB", kind, turned) for kind in ("PNG", "WEBP", "TIFF") for turned in (1, 3, 6, 8)),
    ],
)
def test_a_size_is_that_of_the_picture_that_datasets_decodes(mode: str, kind: str, orientation: int) -> None:
    data = stored(mode, kind=kind, orientation=orientation)
    decoded = datasets.Image().decode_example({"bytes": data, "path": None})
    assert size_of(Image(data)) == decoded.size
    assert list(sizes_of([Image(data), None])) == [decoded.size]


XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The parts of a PNG with their kinds."""
    found, at = [], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at:end]))
        at = end
    return found


def behind(data: bytes, kind: bytes) -> bytes:
    """A PNG with the parts of a kind between its picture and its end."""
    parts = chunks(data)
    kept = [part for its, part in parts if its not in {kind, b"IEND"}]
    return b"".join([data[:8], *kept, *(part for its, part in parts if its == kind), parts[-1][1]])


def with_xmp(kind: str) -> bytes:
    picture, stored = PIL.Image.new("RGB", (30, 20)), BytesIO()
    if kind == "PNG":
        info = PIL.PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP)
        picture.save(stored, kind, pnginfo=info)
    else:
        picture.save(stored, kind, xmp=XMP.encode())
    return stored.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        behind(stored(orientation=6), b"eXIf"),
        with_xmp("PNG"),
        behind(with_xmp("PNG"), b"iTXt"),
        with_xmp("JPEG"),
        with_xmp("WEBP"),
    ],
    ids=["exif behind", "xmp", "xmp behind", "xmp of jpeg", "xmp of webp"],
)
def test_a_picture_is_turned_wherever_its_file_says_so(data: bytes) -> None:
    decoded = datasets.Image().decode_example({"bytes": data, "path": None})
    assert decoded.size == (20, 30)
    assert size_of(Image(data)) == Image(data).decoded().size == decoded.size


def test_the_first_image_that_cannot_be_read_is_named() -> None:
    good = image("red")
    check_images(PLACE, "image", [good, good])
    check_images(PLACE, "image", [good, None], absent=True)
    with pytest.raises(BadData, match=r"^T: a folder has no image in split test, corpus, column image, row 1 "):
        check_images(PLACE, "image", [good, None])
    broken = Image(b"GIF89a", name="b.gif")
    with pytest.raises(BadData, match=r"has an image that cannot be read, b\.gif \(.*\), in .*, column image, row 2 "):
        check_images(PLACE, "image", [good, good, broken, Image(b"")])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b"text", "it is no image"),
        (drawn("red")[:20], ""),
        (stored(kind="EPS"), "EPS is not read: convert it to PNG"),
    ],
)
def test_what_is_no_image_says_so_in_one_line(data: bytes, said: str) -> None:
    with pytest.raises(BadData) as error:
        size_of(Image(data))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_picture_that_fills_the_memory_is_refused_by_its_head() -> None:
    side = int(MOST_PIXELS**0.5) + 1
    with pytest.raises(BadData, match=r"pixels"):
        size_of(Image(stored("1", (side, side))))


def test_an_image_whose_file_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"the image .*gone\.png cannot be read \(No such file.*\): fix the data of T: test"
    ):
        size_of(Image(tmp_path / "gone.png", where="T: test"))
