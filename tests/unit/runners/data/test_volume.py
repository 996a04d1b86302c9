"""Texts counted in files, and the size of datasets that are not downloaded."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench import BadData
from flagbench.runners.data import hub_files
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.sources import Folder, HubRepo
from flagbench.runners.data.volume import bytes_beside, texts_in

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LINES = '{"a": "x", "b": ["y", "z"]}\n\n{"a": "x", "b": []}\n{"a": "v", "b": null}\n'


def file(path: Path, content: str | bytes) -> RowFile:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    made = RowFile.of(path)
    assert made is not None
    return made


def test_rows_are_counted_in_files_of_all_kinds(tmp_path: Path) -> None:
    csv = 'a,b\n"one\nof two lines",x\n\ny,z\n'
    pq.write_table(pa.table({"a": ["x"] * 25_000}), tmp_path / "rows.parquet")
    files = [
        (file(tmp_path / "rows.jsonl", LINES), 3),
        (file(tmp_path / "rows.jsonl.gz", gzip.compress(LINES.encode())), 3),
        (file(tmp_path / "rows.json", '[{"a": 1}, {"a": 2}]'), 2),
        (file(tmp_path / "rows.csv", csv), 2),
        (file(tmp_path / "rows.trec", "q 0 d 1\nq 0 e 1\n"), 2),
        (RowFile.of(tmp_path / "rows.parquet"), 25_000),
    ]
    for each, rows in files:
        assert each is not None
        assert each.count() == rows == sum(1 for _ in each.rows()), each.path.name
    (lines, _), *_ = files
    assert texts_in([lines, lines], ["a", "b"]) == 2 * (3 + 2)
    with pytest.raises(BadData, match="copy it again"):
        file(tmp_path / "cut.jsonl.gz", gzip.compress(LINES.encode())[:-9]).count()


@pytest.mark.parametrize(
    ("info", "size"),
    [
        ("dataset_info:\n  download_size: 1200\n", 1_200),
        ("dataset_info:\n- config_name: a\n  download_size: 3\n- config_name: b\n  download_size: 4\n", 7),
        ("dataset_info:\n- config_name: a\n  download_size: 3\n- config_name: b\n", None),
        ("dataset_info:\n  download_size: yes\n", None),
        ("dataset_info:\n  download_size: -1\n", None),
        ("license: mit\n", None),
    ],
)
def test_the_size_of_a_dataset_on_the_hub_is_what_its_cached_card_says(
    info: str, size: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repo = HubRepo("org/name", COMMIT)
    assert repo.size() is None
    card = tmp_path / "datasets--org--name" / "snapshots" / COMMIT / "README.md"
    card.parent.mkdir(parents=True)
    card.write_text(f"---\n{info}---\n", encoding="utf-8")
    assert repo.size() == size
    assert hub_files.cached_snapshot("org/name", "main") is None


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test.jsonl").write_bytes(b"12345")
    (tmp_path / ".cache").write_bytes(b"123")
    assert Folder(tmp_path).size() == 5


def test_files_that_rows_name_are_counted_once_and_within_the_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(b"1234567")
    (folder / "a.png").write_bytes(b"12345")
    (folder / "images" / "b.png").write_bytes(b"123")
    os.mkfifo(folder / "images" / "pipe.png")
    (folder / "link.png").symlink_to("../outside.png")
    strange = [
        "../outside.png",
        str(tmp_path / "outside.png"),
        "link.png",
        "images",
        "images/pipe.png",
        "no",
        "a\0",
        "",
    ]
    names = ["a.png", "./a.png", "images/b.png", None, *strange]
    lines = file(folder / "rows.jsonl", "".join(f"{json.dumps({'image': name})}\n" for name in names))
    assert bytes_beside([lines, lines], ["image", "absent"], folder) == 5 + 3


@pytest.mark.parametrize("statistics", [True, False])
def test_images_that_are_in_parquet_are_not_counted_again(tmp_path: Path, *, statistics: bool) -> None:
    (tmp_path / "a.png").write_bytes(b"12345")
    (tmp_path / "b.png").write_bytes(b"123")
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": b"12345", "path": "a.png"}, {"bytes": None, "path": "b.png"}]
    table = pa.table({"image": pa.array(rows, kind), "name": ["a.png", None], "size": [1, 2]})
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, row_group_size=1, write_statistics=statistics)
    rows_file = RowFile.of(path)
    assert rows_file is not None
    # Without statistics only the images themselves would tell that they are none.
    assert bytes_beside([rows_file], ["image"], tmp_path) == (3 if statistics else 0)
    assert bytes_beside([rows_file], ["name", "size", "absent"], tmp_path) == 5


def test_of_too_many_files_the_size_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flagbench.runners.data.volume._MOST_FILES", 2)
    rows = file(tmp_path / "rows.csv", "image\na.png\nb.png\na.png\n")
    assert bytes_beside([rows], ["image"], tmp_path) == 0
    assert bytes_beside([file(tmp_path / "more.csv", "image\nc.png\n"), rows], ["image"], tmp_path) is None
