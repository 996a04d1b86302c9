"""Rows with images: none is read before it is asked for, none is decoded, and all stay on disk whatever maps them."""

from __future__ import annotations

import os
import pickle
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from datasets import Image as ImageFeature

from flagbench import BadData
from flagbench.models.inputs import Image, Item
from flagbench.runners.data import texts
from flagbench.runners.data.image_rows import ImageRows, is_of_images
from flagbench.runners.data.sources import Folder
from flagbench.runners.data.texts import ImageColumn, ItemColumn, is_images
from tests.pictures import drawn, image

KIND = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
COLOURS = ("red", "lime", "blue", "yellow")


def table(**more: Any) -> pa.Table:
    images = [{"bytes": drawn(colour), "path": f"{colour}.png"} for colour in COLOURS]
    return pa.table({"img": pa.array(images, KIND), "label": [0, 1, 0, 1], **more})


@pytest.fixture
def rows() -> ImageRows:
    features = Features({"img": ImageFeature(), "label": ClassLabel(names=["one", "two"])})
    return ImageRows.of(table(), "T: test", features)


def colours(images: Any) -> list[str]:
    return [next(name for name in COLOURS if each == image(name)) for each in images]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows whose bytes were read."""
    seen: list[int] = []
    real = texts._Cell.__call__

    def reading(self: Any) -> bytes:
        seen.append(self._row)
        return real(self)

    monkeypatch.setattr(texts._Cell, "__call__", reading)
    return seen


def test_an_image_is_read_when_its_key_or_bytes_are_asked_for(rows: ImageRows, read: list[int]) -> None:
    images = rows["img"]
    items = list(ItemColumn(images, ["a", "b", "c", "d"]))
    assert [each["img"].where for each in rows] == [
        f"T: test, column img, row {row} (counted from 0)" for row in range(4)
    ]
    assert [each.images[0].name for each in items if isinstance(each, Item)] == [f"{name}.png" for name in COLOURS]
    assert read == []
    assert images[2].key == image("blue").key
    assert read == [2]
    assert colours(images) == list(COLOURS)


def test_rows_that_are_chosen_mapped_filtered_or_renamed_keep_their_images(rows: ImageRows) -> None:
    mapped = rows.map(lambda row, at: {"id": f"q{at}"}, with_indices=True, remove_columns=["label"], num_proc=4)
    assert isinstance(mapped, ImageRows)
    assert mapped["id"] == ["q0", "q1", "q2", "q3"]
    found = {
        "mapped": mapped,
        "backwards": rows.select([3, 1]),
        "range": rows.select(range(1, 3)),
        "again": rows.select([3, 2, 0]).select([2, 0]),
        "filtered": rows.filter(lambda row: row["label"] == 1),
        "of a dict": DatasetDict({"test": rows}).filter(lambda row: row["label"] == 1)["test"],
        "renamed": rows.rename_column("img", "image").rename_column("image", "img"),
        "wrapped": ImageRows.of(Dataset(rows.data).select([2])),
    }
    assert {name: colours(its["img"]) for name, its in found.items()} == {
        "mapped": list(COLOURS),
        "backwards": ["yellow", "lime"],
        "range": ["lime", "blue"],
        "again": ["red", "yellow"],
        "filtered": ["lime", "yellow"],
        "of a dict": ["lime", "yellow"],
        "renamed": list(COLOURS),
        "wrapped": ["blue"],
    }
    assert all(isinstance(its, ImageRows) for its in found.values())
    assert found["backwards"]["label"] == [1, 1]
    assert found["again"]["img"][1].where == "T: test, column img, row 3 (counted from 0)"
    assert [row["img"] for row in found["backwards"]] == [image("yellow"), image("lime")]
    assert rows.features["label"].names == ["one", "two"]
    assert found["backwards"].features["label"].names == ["one", "two"]


def test_what_is_mapped_lies_on_disk(rows: ImageRows) -> None:
    before = pa.total_allocated_bytes()
    kept = rows.map(lambda row: {"other": row["label"]})
    assert pa.total_allocated_bytes() - before < 4_096
    assert colours(kept["img"]) == list(COLOURS)


def test_images_are_declared_and_never_decoded(rows: ImageRows) -> None:
    assert rows.features["img"] == ImageFeature(decode=False)
    assert ImageRows.of(rows.cast_column("img", ImageFeature())).features["img"] == ImageFeature(decode=False)
    assert rows[0]["img"] == {"bytes": drawn("red"), "path": "red.png"}
    assert rows.images == ["img"]
    assert is_of_images(rows)
    assert not is_of_images(rows.select_columns(["label"]))
    assert [dict(row) for row in rows.select_columns(["label"])] == [{"label": each} for each in (0, 1, 0, 1)]


def test_a_row_may_lack_its_image_and_a_type_tells_what_is_one() -> None:
    stored = [{"bytes": drawn("red"), "path": None}, None, {"bytes": None, "path": None}]
    column = pa.chunked_array([pa.array(stored[:1], KIND), pa.array(stored[1:], KIND)])
    assert list(ImageColumn(column)) == [image("red"), None, None]
    assert ImageColumn(column)[-3].name == image("red").key.hex()[:8]  # type: ignore[union-attr]
    assert list(ImageColumn(column[1:])) == [None, None]
    assert is_images(pa.struct([("path", pa.string()), ("bytes", pa.large_binary())]))
    for other in (
        pa.string(),
        pa.struct([("bytes", pa.binary())]),
        pa.struct([("bytes", pa.string()), ("path", pa.string())]),
    ):
        assert not is_images(other)


def test_an_image_goes_to_workers_with_its_name_and_place(rows: ImageRows) -> None:
    sent = pickle.loads(pickle.dumps(rows["img"][1]))
    assert (sent, sent.name, sent.where) == (image("lime"), "lime.png", "T: test, column img, row 1 (counted from 0)")


def test_an_image_is_called_by_the_column_that_the_data_has(rows: ImageRows) -> None:
    where = "T: test, column img, row 0 (counted from 0)"
    renamed = rows.rename_column("img", "image").select([0, 2])
    again = renamed.map(lambda row: {"more": row["label"]}).rename_column("image", "picture")
    assert [each["image"][0].where for each in (renamed,)] == [where] == [again["picture"][0].where]
    assert rows.rename_column("label", "target")["img"][0].where == where


# From files.


def test_parquet_of_the_hub_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagbench.runners.data.image_rows.ROWS_A_READ", 3)
    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    for shard in range(2):
        Dataset(table(id=[f"{shard}{row}" for row in range(4)])).cast_column("img", ImageFeature()).to_parquet(
            str(folder / "data" / f"test-{shard:05}-of-00002.parquet")
        )
    found = Folder(folder).read_with_images(None, "test")
    assert found["id"] == [f"{shard}{row}" for shard in range(2) for row in range(4)]
    assert colours(found["img"]) == [*COLOURS, *COLOURS]
    assert found.features["label"] == Value("int64")


def test_a_tar_file_of_the_hub_is_read(tmp_path: Path) -> None:
    """As in webdataset: what has one name but for its ending is a row."""
    folder = tmp_path / "repo"
    (folder / "test").mkdir(parents=True)
    with tarfile.open(folder / "test" / "0.tar", "w") as file:
        for number, colour in enumerate(COLOURS):
            parts = {"png": drawn(colour), "cls": str(number % 2).encode()}
            for ending in sorted(parts, reverse=bool(number % 2)):
                entry = tarfile.TarInfo(f"{number}.{ending}")
                entry.size = len(parts[ending])
                file.addfile(entry, BytesIO(parts[ending]))
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: test/*.tar\n---\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    found = Folder(folder).read_with_images(None, "test")
    assert found["cls"] == [0, 1, 0, 1]
    assert colours(found["png"]) == list(COLOURS)
    assert found["png"][1].name == "1.png"


def test_images_in_files_stay_there(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    (folder / "test").mkdir(parents=True)
    for colour in COLOURS:
        (folder / "test" / f"{colour}.png").write_bytes(drawn(colour))
    found = Folder(folder).read_with_images(None, "test")
    assert sorted(colours(found["image"])) == sorted(COLOURS)
    first: Image = found["image"][0]
    first_file = folder / "test" / first.name
    first_file.write_bytes(drawn("black"))
    assert found["image"][0] == image("black")


def test_a_path_without_bytes_is_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "repo" / "data").mkdir(parents=True)
    (tmp_path / "repo" / "pictures").mkdir()
    (tmp_path / "repo" / "pictures" / "a.png").write_bytes(drawn("blue"))
    file = tmp_path / "repo" / "data" / "test-00000-of-00001.parquet"

    def read_with(path: str) -> ImageRows:
        stored = pa.array([{"bytes": drawn("red"), "path": "../any name"}, {"bytes": None, "path": path}], KIND)
        pq.write_table(pa.table({"img": stored}), file)
        return Folder(tmp_path / "repo").read_with_images(None, "test")

    assert colours(read_with("pictures/a.png")["img"]) == ["red", "blue"]
    (tmp_path / "out.png").write_bytes(drawn("blue"))
    (tmp_path / "repo" / "inner.png").symlink_to("pictures/a.png")
    (tmp_path / "repo" / "outer.png").symlink_to(tmp_path / "out.png")
    (tmp_path / "repo" / "endless.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "repo" / "pipe.png")
    assert colours(read_with("inner.png")["img"]) == ["red", "blue"]
    for name in ("../out.png", str(tmp_path / "out.png"), "outer.png", "endless.png", "pipe.png", "pictures", "no.png"):
        line = rf"split 'test' has the image '{name}' in column img, row 1 .*not a regular file in .*; fix the data$"
        with pytest.raises(BadData, match=line):
            read_with(name)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_column_of_bytes_is_one_of_images(kind: pa.DataType, tmp_path: Path) -> None:
    stored = pa.array([drawn("red"), None, drawn("blue")], kind)
    pq.write_table(pa.table({"img": stored, "label": ["a", "b", "c"]}), tmp_path / "test-00000-of-00001.parquet")
    found = Folder(tmp_path).read_with_images(None, "test")
    assert list(found["img"]) == [image("red"), None, image("blue")]
    assert found["label"] == ["a", "b", "c"]


def test_files_of_the_hubs_cache_are_links_to_blobs_of_their_repository(tmp_path: Path) -> None:
    repo = tmp_path / "datasets--a--b"
    snapshot = repo / "snapshots" / ("0123456789" * 4)
    (snapshot / "data").mkdir(parents=True)
    (repo / "blobs").mkdir()
    (repo / "blobs" / "x").write_bytes(drawn("blue"))
    (tmp_path / "out.png").write_bytes(drawn("blue"))
    stored = pa.array([{"bytes": None, "path": "a.png"}], KIND)
    pq.write_table(pa.table({"img": stored}), snapshot / "data" / "test-00000-of-00001.parquet")
    (snapshot / "a.png").symlink_to("../../blobs/x")
    assert colours(Folder(snapshot).read_with_images(None, "test")["img"]) == ["blue"]
    (snapshot / "a.png").unlink()
    (snapshot / "a.png").symlink_to("../../../out.png")
    with pytest.raises(
        BadData, match=r"has the image 'a\.png' in column img, row 0 .*, which is not a regular file in"
    ):
        Folder(snapshot).read_with_images(None, "test")
