"""Own data with images: what is read of it, and each fault as one line that names file, row and fix."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flagbench.runners.mteb.made import SearchRows
from flagbench.suites.own.layouts import find
from flagbench.suites.own.reading import read
from tests.pictures import drawn
from tests.unit.suites.own.faulty_pictures import SOUND, UNSOUND, clusters, labelled, named, pairs, pictures
from tests.unit.suites.own.folders import write
from tests.unit.suites.own.test_faults import faults


def rows(folder: Path, split: str = "test") -> Any:
    (data,) = find(folder)
    return read(data, pytest.fail, decode=True)[split]


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_folder_with_images_has_no_fault(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    SOUND[name](folder)
    assert faults(folder) == []


@pytest.mark.parametrize("name", UNSOUND)
def test_an_unsound_folder_with_images_is_named(name: str, tmp_path: Path) -> None:
    make, change, said = UNSOUND[name]
    folder = tmp_path / "set"
    folder.mkdir()
    make(folder)
    change(folder)
    found = faults(folder)
    assert found, said
    assert re.search(said, found[0]), found[0]
    assert str(folder) in found[0]
    # Of a passage that is left out, a label is a fault too.
    assert all("which is not in the corpus" in each for each in found[1:])
    assert all("\n" not in each and len(each) < 800 for each in found)


def test_images_stay_in_their_files(tmp_path: Path) -> None:
    pictures(tmp_path)
    (data,) = find(tmp_path)
    assert data.modalities == ("text", "image")
    assert (data.has("corpus"), data.has("queries")) == (("image",), ("text",))
    assert "; corpus of images (column image); scored on test" in data.evidence[0]
    found = rows(tmp_path)
    assert isinstance(found, SearchRows)
    assert found.corpus.to_pylist() == [
        {"id": id_, "title": "", "image": {"bytes": None, "path": str(tmp_path.resolve() / f"images/{id_}.png")}}
        for id_ in ("d1", "d2", "d3")
    ]
    assert found.queries.to_pylist() == [{"id": "q1", "text": "red"}, {"id": "q2", "text": "blue"}]


def test_texts_and_images_make_one_corpus(tmp_path: Path) -> None:
    pictures(tmp_path)
    named(None, text="red")(tmp_path)
    (data,) = find(tmp_path)
    assert "; corpus of text and images (column image)" in data.evidence[0]
    found = rows(tmp_path).corpus.to_pylist()
    assert [(row["text"], row["image"] is None) for row in found] == [("red", True), ("", False), ("", False)]


def test_rows_with_images_have_the_columns_that_mteb_has_for_them(tmp_path: Path) -> None:
    for make, columns in (
        (labelled, {"image": "image", "label": "label"}),
        (clusters, {"image": "image", "label": "label"}),
        (pairs, {"image1": "image1", "image2": "image2", "score": "score"}),
    ):
        folder = tmp_path / make.__name__
        folder.mkdir()
        make(folder)
        table = rows(folder)
        assert isinstance(table, pa.Table)
        assert table.column_names == list(columns)
    assert rows(tmp_path / "clusters")["label"].to_pylist() == [0, 1]
    assert rows(tmp_path / "labelled")["label"].to_pylist() == ["red", "blue"]


def test_columns_of_images_have_the_names_that_a_task_file_gives(tmp_path: Path) -> None:
    for colour in ("red", "blue"):
        write(f"{colour}.png", drawn(colour))(tmp_path)
    write("test.csv", "left,right,grade\nred.png,blue.png,1\nred.png,red.png,2\n")(tmp_path)
    write("task.toml", '[columns]\nimage1 = "left"\nimage2 = "right"\nscore = "grade"\n')(tmp_path)
    found = rows(tmp_path).to_pylist()
    assert [Path(row["image2"]["path"]).name for row in found] == ["blue.png", "red.png"]


def test_names_of_image_files_among_texts_are_warned_of_and_the_fix_works(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pictures(folder)
    names = [{"_id": id_, "text": f"images/{id_}.png"} for id_ in ("d1", "d2", "d3")]
    write("corpus.jsonl", names)(folder)
    (data,) = find(folder)
    assert data.modalities == ("text",)
    assert data.evidence[1] == (
        "set: WARNING: column text of corpus.jsonl names image files, and they are read as texts: name the column "
        'image, or say columns.corpus.image = "text" in task.toml'
    )
    write("task.toml", 'columns.corpus.image = "text"\n')(folder)
    (data,) = find(folder)
    assert (data.has("corpus"), len(data.evidence)) == (("image",), 1)
    (folder / "task.toml").unlink()
    strange = ("a" * 300 + ".png", "a\0b.png", "images/d1.png/.png", "images.png", "https://a.example/b.png")
    for other in ("a red thing.", "images/none.png", "../outside.png", *strange):
        write("corpus.jsonl", [*names[:2], {"_id": "d3", "text": other}])(folder)
        assert len(find(folder)[0].evidence) == 1, other


@pytest.mark.parametrize(
    ("row", "column", "fix"),
    [
        ({"query": "d1.png", "pos": ["a text"], "neg": ["another"]}, "query", "give a corpus, queries, qrels and"),
        ({"query": "a text", "pos": ["d1.png"], "neg": ["another"]}, "pos", "give a corpus, queries, qrels and"),
        ({"query": "a text", "pos": ["a"], "neg": ["d1.png", "d2.png"]}, "neg", "give a corpus, queries, qrels and"),
        ({"sentences": ["d1.png", "d2.png"], "labels": [0, 1]}, "sentences", "give each image a row of its own"),
        ({"sentence1": "a text", "sentence2": "d2.png", "score": 1}, "sentence2", "name the column image2, or say"),
    ],
)
def test_each_column_of_texts_is_looked_at_for_names_of_images(
    tmp_path: Path, row: dict[str, Any], column: str, fix: str
) -> None:
    for name in ("d1", "d2"):
        write(f"{name}.png", drawn("red"))(tmp_path)
    write("test.jsonl", [row, row])(tmp_path)
    _, line = find(tmp_path)[0].evidence
    assert f"WARNING: column {column} of test.jsonl names image files, and they are read as texts: {fix}" in line


def test_images_of_rows_are_written_in_bounded_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flagbench.runners.data import pictures as stored

    SOUND["in rows"](tmp_path)
    whole = rows(tmp_path).corpus
    monkeypatch.setattr(stored, "_BYTES_A_BATCH", 1)
    pieces = rows(tmp_path).corpus
    assert whole.column("image").num_chunks == 1
    assert pieces.column("image").num_chunks >= 3
    assert pieces.to_pylist() == whole.to_pylist()
