"""Pixels against plain Pillow, bit for bit: sizes, kinds of images, and what is refused."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from flagbench import BadData
from flagbench.models import pixels as own
from flagbench.models.inputs import Image
from flagbench.models.pixels import CLIP_MEAN, CLIP_STD, Preparation, pixels_of, to_levels, visualized_preparation
from tests.parity.pictures_by_pillow import as_mteb_has_it, torchvision_pixels, transformers_pixels

SIZES = [
    *((224, 224), (225, 224), (224, 227), (231, 224), (448, 300), (300, 448), (1, 1), (2, 500), (500, 2), (640, 480)),
    *((223, 223), (37, 61), (61, 37), (1000, 999), (100, 231), (229, 101), (3, 4), (800, 224), (224, 801), (333, 777)),
]
VISUALIZED = visualized_preparation(224)
CLIP = Preparation(224, 224, shortest=224, crop=True, mean=CLIP_MEAN, std=CLIP_STD)
SIGLIP = Preparation(224, 224, resized=(224, 224), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def noise(width: int, height: int, mode: str = "RGB") -> Pillow.Image:
    random = np.random.default_rng(width * 1009 + height)
    return Pillow.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def encoded(picture: Pillow.Image, kind: str = "PNG", **more: object) -> bytes:
    stored = BytesIO()
    picture.save(stored, kind, **more)
    return stored.getvalue()


def made(preparation: Preparation, data: bytes) -> np.ndarray:
    """What a model is given for one image, ``float32[3, h, w]``."""
    found = to_levels(torch.from_numpy(pixels_of([Image(data)], preparation)), torch.from_numpy(preparation.levels))
    return found[0].numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_twenty_sizes_to_the_last_bit(size: tuple[int, int]) -> None:
    data = encoded(noise(*size))
    picture = as_mteb_has_it(data)
    assert np.array_equal(made(VISUALIZED, data), torchvision_pixels(picture, 224))
    assert np.array_equal(made(CLIP, data), transformers_pixels(picture, "clip", 224))
    assert np.array_equal(made(SIGLIP, data), transformers_pixels(picture, "siglip", 224))


def _animated() -> bytes:
    return encoded(noise(40, 30), "GIF", save_all=True, append_images=[noise(40, 31).resize((40, 30))])


def _turned(orientation: int) -> bytes:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    return encoded(noise(40, 30), "JPEG", exif=exif)


def _sixteen_bits() -> bytes:
    values = np.random.default_rng(3).integers(0, 65_536, (30, 40), dtype=np.uint16)
    return encoded(Pillow.fromarray(values))


def _transparent_palette() -> bytes:
    return encoded(noise(40, 30).convert("P"), "PNG", transparency=3)


KINDS = {
    "palette": encoded(noise(40, 30).convert("P")),
    "palette of transparent colours": _transparent_palette(),
    "grey": encoded(noise(40, 30, "L")),
    "black and white": encoded(noise(40, 30, "1")),
    "grey with alpha": encoded(noise(40, 30, "LA")),
    "alpha": encoded(Pillow.merge("RGBA", [*noise(40, 30).split(), noise(30, 40, "L").resize((40, 30))])),
    "CMYK": encoded(noise(40, 30, "CMYK"), "JPEG"),
    "16 bits": _sixteen_bits(),
    "numbers": encoded(Pillow.fromarray(np.arange(1_200, dtype=np.float32).reshape(30, 40)), "TIFF"),
    "animated": _animated(),
    "1 by 1": encoded(noise(1, 1)),
    "WebP": encoded(noise(40, 30), "WEBP"),
    **{f"turned {number}": _turned(number) for number in range(1, 9)},
    "turned in no known way": _turned(9),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_what_mteb_has(kind: str) -> None:
    picture = as_mteb_has_it(KINDS[kind])
    assert Image(KINDS[kind]).decoded().mode == "RGB"
    assert np.array_equal(np.asarray(Image(KINDS[kind]).decoded()), np.asarray(picture))
    assert np.array_equal(made(VISUALIZED, KINDS[kind]), torchvision_pixels(picture, 224))
    assert np.array_equal(made(CLIP, KINDS[kind]), transformers_pixels(picture, "clip", 224))


def test_an_image_is_turned_upright_and_an_animation_is_its_first_frame() -> None:
    assert Image(KINDS["turned 6"]).decoded().size == (30, 40)
    first = np.asarray(Pillow.open(BytesIO(KINDS["animated"])).convert("RGB"))
    assert np.array_equal(np.asarray(Image(KINDS["animated"]).decoded()), first)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused_by_name(kind: str) -> None:
    data = encoded(noise(64, 64), kind)
    with pytest.raises(BadData, match=r"^the image [0-9a-f]{8} cannot be decoded: .+$") as caught:
        pixels_of([Image(data[: len(data) // 2])], CLIP)
    assert "\n" not in str(caught.value)


def test_an_image_that_runs_a_program_is_not_read() -> None:
    data = encoded(noise(8, 8), "EPS")
    with pytest.raises(BadData, match="cannot be decoded: EPS is not read: convert it to PNG"):
        Image(data).decoded()


def test_a_thin_image_is_not_grown_beyond_what_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MOST_PIXELS", 100_000)
    with pytest.raises(BadData, match=r"is 2 by 500 pixels, and resized it would have more than 100,000: cut it"):
        pixels_of([Image(encoded(noise(2, 500)))], CLIP)


def test_the_first_image_that_cannot_be_read_is_named() -> None:
    good = Image(encoded(noise(8, 8)))
    with pytest.raises(BadData, match=r"the image .* cannot be decoded: Pillow knows no such format"):
        pixels_of([good, Image(b"text"), good], CLIP)


@pytest.mark.parametrize("size", [(7, 9), (12, 5), (5, 12), (8, 8), (9, 9)], ids=str)
def test_what_is_not_resized_is_cropped_or_framed_in_black(size: tuple[int, int]) -> None:
    data = encoded(noise(*size))
    preparation = Preparation(8, 8, crop=True)
    wanted = transformers_pixels(as_mteb_has_it(data), "crop", 8)
    assert np.array_equal(made(preparation, data), wanted)


def test_an_image_of_another_size_is_refused_where_none_is_resized() -> None:
    with pytest.raises(BadData, match="is 9 by 8 pixels, and the model takes 8 by 8 and resizes none"):
        pixels_of([Image(encoded(noise(9, 8)))], Preparation(8, 8))


def test_no_images() -> None:
    assert pixels_of([], CLIP).shape == (0, 3, 224, 224)
    assert to_levels(torch.zeros((0, 3, 4, 4), dtype=torch.uint8), torch.from_numpy(CLIP.levels)).shape == (0, 3, 4, 4)
