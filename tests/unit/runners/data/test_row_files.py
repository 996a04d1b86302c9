"""Files of rows that users bring: which are such, how their rows are numbered, and what of them is refused."""

from __future__ import annotations

import csv
import gzip
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench import BadData
from flagbench.runners.data import parquet_rows, row_files
from flagbench.runners.data.row_files import RowFile, check_whole, files_below


def file(path: Path, content: str | bytes) -> RowFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    made = RowFile.of(path)
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("name", "kind", "stem", "compressed", "shard"),
    [
        ("test.jsonl", "jsonl", "test", False, None),
        ("Test.NDJSON.GZ", "jsonl", "Test", True, None),
        ("v1.2.csv", "csv", "v1.2", False, None),
        ("test-00001-of-00002.tsv.gz", "tsv", "test", True, (1, 2)),
        ("a-00000-of-00010.parquet", "parquet", "a", False, (0, 10)),
        ("a-0-of-2.json", "json", "a-0-of-2", False, None),
        ("a-00000-of-00002-x.json", "json", "a-00000-of-00002-x", False, None),
        ("run.trec", "words", "run", False, None),
        ("qrels.qrel", "words", "qrels", False, None),
    ],
)
def test_a_name_says_what_is_in_a_file(
    name: str, kind: str, stem: str, compressed: bool, shard: tuple[int, int] | None
) -> None:
    found = RowFile.of(Path("folder") / name)
    assert found == RowFile(Path("folder") / name, kind, stem, compressed, shard)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["README.md", "rows", "rows.gz", "rows.parquet.gz", "rows.jsonl.zst"])
def test_a_name_of_another_kind_is_no_file_of_rows(name: str) -> None:
    assert RowFile.of(Path(name)) is None


def test_a_row_is_numbered_as_a_person_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the line in which it ends, from 1, of lines that may be blank; by its place in parquet and JSON, from 0."""
    monkeypatch.setattr(parquet_rows, "_ROWS_A_READ", 2)
    pq.write_table(pa.table({"a": [5, 6, 7]}), tmp_path / "rows.parquet")
    lines = '\ufeff{"a": "一"}\n \n\n{"a": null, "b": [1]}\n'
    cells = 'a,b\n\n"one\nof ""two""",007\n,x\n'
    expected: list[tuple[RowFile | None, list[tuple[int, dict[str, Any]]], str]] = [
        (file(tmp_path / "l.jsonl", lines), [(1, {"a": "一"}), (4, {"a": None, "b": [1]})], "line"),
        (
            file(tmp_path / "l.jsonl.gz", gzip.compress(lines.encode(), mtime=0)),
            [(1, {"a": "一"}), (4, {"a": None, "b": [1]})],
            "line",
        ),
        (file(tmp_path / "c.csv", cells), [(4, {"a": 'one\nof "two"', "b": "007"}), (5, {"a": "", "b": "x"})], "line"),
        (file(tmp_path / "c.tsv", "a\tb\n1,5\tx\n"), [(2, {"a": "1,5", "b": "x"})], "line"),
        (
            file(tmp_path / "w.txt", "q 0\td  1\n\nq\n"),
            [(1, dict(zip("0123", "q0d1", strict=True))), (3, {"0": "q"})],
            "line",
        ),
        (file(tmp_path / "j.json", '[{"a": 1}, {}]'), [(0, {"a": 1}), (1, {})], "row"),
        (RowFile.of(tmp_path / "rows.parquet"), [(0, {"a": 5}), (1, {"a": 6}), (2, {"a": 7})], "row"),
    ]
    for each, rows, word in expected:
        assert each is not None
        assert list(each.rows()) == rows, each.path.name
        assert each.count() == len(rows), each.path.name
        assert each.place(7) == f"{each.path}, {word} 7"


@pytest.mark.parametrize("blank", [b"\n", b" \t\r\n", "\u3000\n".encode()])
def test_any_number_of_blank_lines_is_passed_over_and_counted(tmp_path: Path, blank: bytes) -> None:
    content = b'{"a": 1}\n' + blank * 50_000 + b'  {"a": 2}\n\n{"a": 3}'
    for made in (file(tmp_path / "l.jsonl", content), file(tmp_path / "l.jsonl.gz", gzip.compress(content))):
        heard: list[float] = []
        assert [number for number, _ in made.rows(heard=heard.append)] == [1, 50_002, 50_004]
        assert (made.count(), made.columns()) == (3, ["a"])
        assert sum(heard) == made.size()


@pytest.mark.parametrize("others", [0, 30])
def test_a_list_of_parquet_has_a_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: int) -> None:
    """Values that are alike take no space in the file."""
    monkeypatch.setattr(parquet_rows, "_LONGEST_LIST", 10)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [["x"]] * others + [[""] * 11], "b": [1] * (others + 1)}), path)
    with pytest.raises(BadData, match=r"a\.parquet has a row with more than 10 values in column a: fix the data"):
        list(parquet_rows.rows(path))
    assert list(parquet_rows.rows(path, ["b"])) == [{"b": 1}] * (others + 1)


@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.json", "a.parquet"])
def test_all_of_a_file_is_heard_of(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"a": list("xyz")}), tmp_path / "a.parquet")
    content = {"a.csv": b"a\nx\ny\n", "a.tsv.gz": gzip.compress(b"a\nx\n"), "a.json": b'[{"a": 1}, {"a": 2}]'}
    made = file(tmp_path / name, content.get(name) or (tmp_path / "a.parquet").read_bytes())
    heard: list[float] = []
    rows = list(made.rows(heard=heard.append))
    assert sum(heard) == pytest.approx(made.size())
    assert rows == list(made.rows())


def test_columns_are_those_of_the_heading_or_of_the_first_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"b": [1], "a": [2]}), tmp_path / "rows.parquet")
    (parquet,) = files_below(tmp_path)
    found = [
        parquet.columns(),
        file(tmp_path / "a.csv", "b,a\n").columns(),
        file(tmp_path / "b.csv", "text\n").columns(),
        file(tmp_path / "a.jsonl", '{"b": 1, "a": 2}\n{"c": 1}\n').columns(),
        file(tmp_path / "a.json", "[]").columns(),
        file(tmp_path / "a.tsv", "").columns(),
        file(tmp_path / "a.trec", "q 0 d 1").columns(),
    ]
    assert found == [["b", "a"], ["b", "a"], ["text"], ["b", "a", "c"], [], [], []]
    for name, heading, wrong, right in (
        ("a.csv", "a;b", ";", "commas"),
        ("a.csv", "a\tb", "\t", "commas"),
        ("a.tsv", "a,b", ",", "tabs"),
    ):
        with pytest.raises(BadData) as caught:
            file(tmp_path / name, f"{heading}\n").columns()
        said = (
            f"has one column, {heading!r}: its values stand between {wrong!r}, and {name[2:].upper()} has {right} there"
        )
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"a": 1}\n\n[1]\n', ", line 3 is not an object with a value for each column: fix the data"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', ", line 2 is"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\xff"}\n', ", line 2 is not UTF-8 (invalid start byte): fix the data"),
        ("a.json", '{"a": 1}', " is not a list of objects, one for each row: fix the data, or write JSON lines"),
        ("a.json", '[{"a": 1}, 2]', " is not a list of objects, one for each row"),
        ("a.csv", "a,b,a\n1,2,3\n", " has two columns 'a': fix the data"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", ", line 3 has 3 values for 2 columns: fix the data (a value with a comma"),
        (
            "a.tsv",
            "a\tb\n1\n",
            ", line 2 has 1 values for 2 columns: fix the data (a value with a tab in it needs quotes)",
        ),
        ("a.csv", 'a,b\n1,"x"y\n', ", line 2 is not CSV ("),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n', mtime=0)[:-9], " cannot be read ("),
        ("a.parquet", b"PAR1", " cannot be read as parquet ("),
    ],
)
def test_a_faulty_file_is_named_with_its_line(tmp_path: Path, name: str, content: Any, said: str) -> None:
    bad = file(tmp_path / name, content)
    with pytest.raises(BadData) as caught:
        list(bad.rows())
    assert str(caught.value).startswith(f"{bad.path}{said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('q0\t"a\nq1\tb"\nq2\tc\n', 2),  # one row of two values for csv
        ('q0\ta\n"q1\tb\nq2"\tc\n', 3),
        ('q0\ta\nq1\t"b\n', 3),
        ('q0\ta\nq1\t"b', 3),
        ('q0\t"""a\nb"\n', 2),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_a_quote_in_tsv_takes_in_no_other_row(tmp_path: Path, rows: str, line: int, compressed: bool) -> None:
    content = f"id\ttext\n{rows}"
    bad = (
        file(tmp_path / "a.tsv.gz", gzip.compress(content.encode()))
        if compressed
        else file(tmp_path / "a.tsv", content)
    )
    for read in (lambda: list(bad.rows()), bad.count):
        with pytest.raises(BadData) as caught:
            read()
        said = (
            f"{bad.path}, line {line} has a value that begins with a quote and does not end in this line: fix the data"
        )
        assert str(caught.value).startswith(said)


def test_a_line_of_tsv_is_a_row_as_csv_reads_it(tmp_path: Path) -> None:
    """Every line alone; quotes within one, ends of lines of Windows and blank lines too."""
    lines = ['"a\tb"\tc', 'a "quoted" word\tx"', '"one ""two"""\t', "\t", "a,b\t'c'", "", "文\t ", '""\t"d"']
    wanted = [row for row in csv.reader(lines, delimiter="\t", strict=True) if row]
    for end in ("\n", "\r\n"):
        found = list(file(tmp_path / "a.tsv", end.join(["id\ttext", *lines, ""])).rows())
        assert [list(row.values()) for _, row in found] == wanted
        assert [number for number, _ in found] == [2, 3, 4, 5, 6, 8, 9]
    with pytest.raises(BadData, match=r"a\.tsv, line 2 is not TSV \("):
        list(file(tmp_path / "a.tsv", "id\ttext\na\rb\tc\n").rows())


def test_a_line_has_a_length_and_columns_of_parquet_one_name_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "_LONGEST", 10)
    assert file(tmp_path / "a.txt", f"{'x' * 9}\n{'y' * 10}").count() == 2
    with pytest.raises(BadData, match=r"a\.txt, line 2 is longer than 0 MiB: fix the data"):
        file(tmp_path / "a.txt", f"x\n{'y' * 11}").count()
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(table, tmp_path / "twice.parquet")
    (twice,) = [each for each in files_below(tmp_path) if each.kind == "parquet"]
    for read in (twice.columns, twice.count, lambda: list(twice.rows())):
        with pytest.raises(BadData, match=r"twice\.parquet has two columns 'a': fix the data"):
            read()


def test_a_text_that_many_rows_name_is_read_by_a_few_rows_at_once(tmp_path: Path) -> None:
    """A megabyte, written once: all rows at once would be gigabytes. What is read is what was written."""
    text = "x" * 1_000_000
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 2_000, pa.int32()), pa.array([text, "y"]))
    lists = pa.ListArray.from_arrays(pa.array(range(4_001), pa.int32()), words)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": words, "b": lists, "n": range(4_000)}), path, store_schema=False)
    assert path.stat().st_size < 1_000_000
    metadata = pq.read_metadata(path)
    sizes = [parquet_rows._sizes(path, metadata, names) for names in (["a"], ["a", "b"], ["n"], ["a", "b", "n"])]
    assert sizes == [[67], [33], [10_000], [33]]
    found = next(iter(RowFile(path, "parquet", "a").rows(["a", "b"])))
    assert found == (0, {"a": text, "b": [text]})


def test_rows_of_parquet_are_what_was_written(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": pa.array(["a", None, "b", "a"]),
            "list": pa.array([["x", "y"], None, [], ["x", None]]),
            "image": pa.array([{"bytes": b"1", "path": "u"}, None, {"bytes": None, "path": None}, None]),
            "map": pa.array([[("k", "v")], None, [], []], pa.map_(pa.string(), pa.string())),
            "kind": pa.array(["u", "v", None, "u"]).dictionary_encode(),
            "deep": pa.array([[{"k": ["v"]}], [], None, [None]]),
            "number": [1, 2, None, 4],
        }
    )
    path = tmp_path / "a.parquet"
    for options in ({}, {"use_dictionary": False}, {"store_schema": False}, {"row_group_size": 3}):
        pq.write_table(table, path, **options)  # type: ignore[arg-type]
        assert [row for _, row in RowFile(path, "parquet", "a").rows()] == table.to_pylist(), options
        assert list(RowFile(path, "parquet", "a").rows(["number", "none"]))[3] == (3, {"number": 4})


def test_files_below_a_folder_are_those_of_rows_by_name(tmp_path: Path) -> None:
    for name in ("b/test.csv", "a.jsonl", "b.md", ".hidden.jsonl", ".cache/x.jsonl", "b/a.json"):
        file(tmp_path / name, "") if name != "b.md" else (tmp_path / name).write_text("")
    assert [each.path.relative_to(tmp_path).as_posix() for each in files_below(tmp_path)] == [
        "a.jsonl",
        "b/a.json",
        "b/test.csv",
    ]


def _of(*names: str) -> list[RowFile]:
    found = [RowFile.of(Path(name)) for name in names]
    return [each for each in found if each]


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a.jsonl", "b.jsonl"],
        ["a-00000-of-00002.csv", "a-00001-of-00002.csv"],
        ["a-00001-of-00002.csv", "b.csv", "a-00000-of-00002.csv.gz"],
        ["a-00000-of-00001.csv"],
    ],
)
def test_files_that_make_a_whole(names: list[str]) -> None:
    check_whole(_of(*names), "the corpus")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a.jsonl", "b.csv", "sub/a.jsonl"], "a.jsonl and sub/a.jsonl both hold the corpus: remove one"),
        (["a.jsonl", "a.jsonl.gz"], "a.jsonl and a.jsonl.gz both hold the corpus: remove one"),
        (["a-00000-of-00002.csv", "a.csv"], "a-00000-of-00002.csv and a.csv both hold the corpus: remove one"),
        (["a.csv", "a-00000-of-00002.csv"], "a.csv and a-00000-of-00002.csv both hold the corpus: remove one"),
        (
            ["a-00000-of-00002.csv", "x/a-00000-of-00002.csv"],
            "a-00000-of-00002.csv and x/a-00000-of-00002.csv both hold the corpus: remove one",
        ),
        (
            ["b.csv", "a-00002-of-00003.csv"],
            "a-00002-of-00003.csv holds a part of the corpus, and shard 00000 of 00003 is missing: copy them again",
        ),
        (
            ["a-00000-of-00002.csv", "a-00001-of-00003.csv"],
            "a-00000-of-00002.csv holds a part of the corpus, and shard 00000 of 00003 is missing: copy them again",
        ),
        (
            ["a-00000-of-00001.csv", "a-00001-of-00001.csv"],
            "a-00000-of-00001.csv holds a part of the corpus, and it is beyond its shards: copy them again",
        ),
    ],
)
def test_files_that_make_none(names: list[str], said: str) -> None:
    with pytest.raises(BadData) as caught:
        check_whole(_of(*names), "the corpus")
    assert str(caught.value) == said


def archive(path: Path, members: dict[str, str], **writing: Any) -> Path:
    with zipfile.ZipFile(path, "w", **writing) as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


def test_files_of_an_archive_are_read_where_they_lie(tmp_path: Path) -> None:
    lines = '{"a": "x\u2028y"}\n\n{"a": 2}\n'
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = archive(tmp_path / "data.zip", {"data/a.jsonl": lines, "b.jsonl": "{}\n"}, compression=compression)
        found = RowFile.in_archive(path, "data/a.jsonl")
        assert found is not None
        assert (found.kind, found.name) == ("jsonl", "a")
        assert list(found.rows()) == [(1, {"a": "x\u2028y"}), (3, {"a": 2})]
        assert (found.count(), found.columns()) == (2, ["a"])
        assert found.place(3) == f"{path}, data/a.jsonl, line 3"
        assert RowFile.in_archive(path, "a.jsonl") is None
    assert [each.name for each in tmp_path.iterdir()] == ["data.zip"]


def test_an_archive_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "data.zip", {"a.jsonl": "{}\n", "b.jsonl": "{}\n"})
    with zipfile.ZipFile(path, "a") as opened, pytest.warns(UserWarning, match="Duplicate name"):
        opened.writestr("a.jsonl", '{"a": 1}\n')
    with pytest.raises(BadData, match=r"data\.zip has 2 files named a\.jsonl.*remove all but one"):
        RowFile.in_archive(path, "a.jsonl")
    assert RowFile.in_archive(path, "b.jsonl") is not None


def test_archives_that_are_none_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(f'{{"a": "{number:06}"}}\n' for number in range(5_000))
    path = archive(tmp_path / "data.zip", {"a.jsonl": lines})
    whole = path.read_bytes()
    for content, message in (
        (b"", "cannot be read as a zip archive"),
        (whole[:-30], "cannot be read as a zip archive"),
        (b"\0" * 20 + whole[20:], "cannot be read"),  # the name before the member is another
        (whole.replace(b"004000", b"004001"), "cannot be read"),  # another digit than was summed up
    ):
        path.write_bytes(content)
        with pytest.raises(BadData, match=message):
            list((RowFile.in_archive(path, "a.jsonl") or file(tmp_path / "x.jsonl", "")).rows())
    archive(path, {"a.jsonl": lines}, compression=zipfile.ZIP_BZIP2)
    with pytest.raises(BadData, match="encrypted, or compressed otherwise than by deflate"):
        list(RowFile(path, "jsonl", "a", member="a.jsonl").rows())
    path.write_bytes(whole)
    monkeypatch.setattr(row_files, "_LARGEST_MEMBER", 1_000)
    with pytest.raises(BadData, match="has more than 0 MiB"):
        list(RowFile(path, "jsonl", "a", member="a.jsonl").rows())
