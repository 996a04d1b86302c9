"""Small folders of own data: a sound one of each layout, and changes that make others of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CORPUS = [{"_id": "d1", "text": "一"}, {"_id": "d2", "text": "二"}, {"_id": "d3", "text": "三"}]
QUERIES = [{"_id": "q1", "text": "哪个是一"}, {"_id": "q2", "text": "哪个是二"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
PAIRS = [{"sentence1": "a", "sentence2": "b", "score": 1.5}, {"sentence1": "c", "sentence2": "d", "score": 3}]
LABELLED = [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]
TRAINING = [{"query": "a", "pos": ["b"], "neg": ["c", "d"]}]

Change = Callable[[Path], Any]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write(name: str, content: str | bytes | list[Any]) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else lines(content), encoding="utf-8")

    return change


def remove(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def in_place(name: str, content: str | bytes) -> Change:
    """Another file in place of the pairs."""
    return lambda folder: [remove("test.jsonl")(folder), write(name, content)(folder)]


def retrieval(folder: Path) -> None:
    for change in (write("corpus.jsonl", CORPUS), write("queries.jsonl", QUERIES), write("qrels/test.tsv", QRELS)):
        change(folder)


def pairs(folder: Path) -> None:
    write("test.jsonl", PAIRS)(folder)


def labelled(folder: Path) -> None:
    for split in ("train", "test"):
        write(f"{split}.jsonl", LABELLED)(folder)


def training(folder: Path) -> None:
    write("train.jsonl", TRAINING)(folder)


RANKED = {"q1": ["d1", "d2"], "q2": ["d2", "d3"]}


def candidates(folder: Path) -> None:
    retrieval(folder)
    top_ranked({})(folder)


def top_ranked(more: Mapping[str, list[str]]) -> Change:
    rows = [{"query-id": query, "corpus-ids": ids} for query, ids in (*RANKED.items(), *more.items())]
    return write("top_ranked.jsonl", rows)


def parquet(folder: Path, first: pa.Array) -> None:
    columns = {"sentence1": first, "sentence2": ["a", "b"], "score": [1, 2]}
    pq.write_table(pa.table(columns), folder / "test.parquet")


SOUND: Mapping[str, Change] = {
    "retrieval": retrieval,
    "pairs": pairs,
    "labelled": labelled,
    "training": training,
    "TREC": lambda f: [retrieval(f), remove("qrels/test.tsv")(f), write("qrels.txt", "q1 0 d1 1\nq2 0 d2 1\n")(f)],
    "a note beside it": lambda f: [retrieval(f), write("LICENSE.txt", "free\n")(f), write(".hidden.jsonl", "{")(f)],
    "numbers for ids": lambda f: [
        write("corpus.jsonl", [{"id": 1, "text": "一"}])(f),
        write("queries.jsonl", [{"id": 2, "text": "二"}])(f),
        write("qrels.jsonl", [{"qid": 2, "docid": 1, "relevance": 1}])(f),
    ],
    "a null title": lambda f: [retrieval(f), write("corpus.jsonl", [{**row, "title": None} for row in CORPUS])(f)],
    "no text under a title": lambda f: [
        retrieval(f),
        write("corpus.jsonl", [{"_id": row["_id"], "title": row["text"], "text": ""} for row in CORPUS])(f),
    ],
    "other names": lambda f: [
        write("test.csv", "left,right,grade\na,b,1.5\nc,d,2\n")(f),
        write("task.toml", '[columns]\nsentence1 = "left"\nsentence2 = "right"\nscore = "grade"\n')(f),
    ],
    "a byte order mark": lambda f: write("test.csv", "\ufeffsentence1,sentence2,score\na,b,1\nc,d,2\n")(f),
    "shards": lambda f: [write(f"test-0000{n}-of-00002.jsonl", PAIRS)(f) for n in (0, 1)],
    "labels as numbers and as texts": lambda f: [
        write("train.jsonl", [{"text": "a", "label": 1}, {"text": "b", "label": "x"}])(f),
        write("test.jsonl", [{"text": "a", "label": "1"}, {"text": "b", "label": "x"}])(f),
    ],
    "clusters": lambda f: [write("test.jsonl", LABELLED)(f), write("task.toml", 'type = "Clustering"\n')(f)],
    "line ends of other systems": lambda f: [
        retrieval(f),
        write("corpus.jsonl", lines(CORPUS).replace("\n", "\r\n"))(f),
        write("qrels/test.tsv", QRELS.replace("\n", "\r\n"))(f),
    ],
    "byte order marks of lines": lambda f: [
        retrieval(f),
        write("corpus.jsonl", "\ufeff" + lines(CORPUS))(f),
        write("qrels/test.tsv", "\ufeff" + QRELS)(f),
    ],
    "values of several lines": lambda f: write("test.csv", 'sentence1,sentence2,score\n"a\n""b""",c,1\nd,e,2\n')(f),
    "queries without labels": lambda f: [
        retrieval(f),
        write("queries.jsonl", [*QUERIES, {"_id": "q3", "text": "x"}])(f),
    ],
}
