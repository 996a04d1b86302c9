"""Own data with images as a user runs it: scores against a naive search, and what is refused.

The model reads drawn colours (``tests/contract/scripted_images.py``), under the name of one that ships.
"""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flagbench.models.adapters import ADAPTERS, Row
from flagbench.models.inputs import Image, Input, Item
from tests.contract.scripted_images import BOTH, ColourEncoder
from tests.e2e.commands import here, one_line
from tests.e2e.test_own import records, score
from tests.pictures import drawn
from tests.unit.suites.own.faulty_pictures import SOUND, UNSOUND, labelled, pictures
from tests.unit.suites.own.folders import lines, write

MODEL = "flagbench/random"
COLOURS = ("red", "lime", "blue", "yellow", "black", "white")


def load(spec: Any, directory: Path, loading: Any) -> ColourEncoder:
    """The scripted model, under the settings of another."""
    encoder = ColourEncoder()
    encoder.spec = replace(spec, normalize=True)
    return encoder


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, "random", Row(f"{__name__}:load", modalities=BOTH))  # type: ignore[arg-type]


def evaluate(folder: Path, output: Path, *more: str) -> dict[str, dict[str, Any]]:
    result = here("evaluate", MODEL, "--benchmark", "own", "--data-set", folder, "--output", output, *more)
    assert result.returncode == 0, result.stderr
    return records(output)


def row(id_: str, text: str, colours: tuple[str, ...], columns: str, folder: Path) -> dict[str, str]:
    """A row with a text, an image or both, as columns say."""
    made = {"_id": id_}
    if "t" in columns:
        made["text"] = text
    if "i" in columns:
        made["image"] = f"images/{id_}.png"
        write(made["image"], drawn(*colours))(folder)
    return made


def item(row: Mapping[str, str], folder: Path) -> Input:
    images = (Image(folder / row["image"]),) if row.get("image") else ()
    return Item(row.get("text", ""), images) if images else row["text"]


def _mixtures(rng: np.random.Generator, count: int) -> list[tuple[str, ...]]:
    """Stripes of so many colours that no two inputs are as near to a third."""
    return [tuple(rng.choice(COLOURS, size=37)) for _ in range(count)]


def naive_ndcg(
    queries: list[dict[str, str]], corpus: list[dict[str, str]], qrels: dict[str, set[str]], at: Path
) -> float:
    """nDCG@10 from its definition, over a search of all by inner product, ties as trec_eval breaks them."""
    encoder = ColourEncoder()
    vectors = [
        np.asarray(encoder.encode([item(row, at) for row in rows], role="query").dense) for rows in (queries, corpus)
    ]
    scores = vectors[0] @ vectors[1].T
    found = []
    for number, query in enumerate(queries):
        order = sorted(
            range(len(corpus)), key=lambda place: (scores[number, place], corpus[place]["_id"]), reverse=True
        )
        relevant = qrels[query["_id"]]
        gain = sum(1 / math.log2(rank + 2) for rank, place in enumerate(order[:10]) if corpus[place]["_id"] in relevant)
        found.append(gain / sum(1 / math.log2(rank + 2) for rank in range(min(10, len(relevant)))))
    return sum(found) / len(found)


@pytest.mark.parametrize("corpus", ["i", "it", "t"])
@pytest.mark.parametrize("queries", ["i", "it", "t"])
def test_retrieval_of_every_direction_has_the_score_of_a_naive_search(
    queries: str, corpus: str, tmp_path: Path
) -> None:
    folder = tmp_path / "shapes"
    rng = np.random.default_rng(0)
    passages, asked = (
        [row(f"{kind}{n:02}", " ".join(mixed), mixed, columns, folder) for n, mixed in enumerate(_mixtures(rng, count))]
        for kind, columns, count in (("d", corpus, 21), ("q", queries, 6))
    )
    # Labels that the colours do not give away, so that the score is between 0 and 1.
    qrels = {f"q{n:02}": {passages[3 * n]["_id"], passages[(5 * n + 2) % 21]["_id"]} for n in range(6)}
    write("corpus.jsonl", passages)(folder)
    write("queries.jsonl", asked)(folder)
    labels = [
        {"query-id": query, "corpus-id": its, "score": 1} for query, all_ in qrels.items() for its in sorted(all_)
    ]
    write("qrels.jsonl", labels)(folder)
    record = evaluate(folder, tmp_path / "out", "--no-store")["shapes"]
    wanted = naive_ndcg(asked, passages, qrels, folder)
    assert 0.1 < wanted < 0.95
    assert score(record) == pytest.approx(wanted, abs=5.1e-6)  # mteb rounds to five places
    assert record["settings"]["task"].get("modalities", ["text"]) == [
        each for each, letter in (("text", "t"), ("image", "i")) if letter in queries + corpus
    ]


def hybrid(folder: Path) -> tuple[list[dict[str, str]], list[dict[str, str]], dict[str, set[str]]]:
    """One corpus of texts, of images, and of both."""
    rng = np.random.default_rng(1)
    corpus = [
        row(f"{kind}{n}", " ".join(mixed), mixed, kind, folder)
        for kind in ("t", "i", "it")
        for n, mixed in enumerate(_mixtures(rng, 8))
    ]
    queries = [row(f"q{n}", " ".join(mixed), (), "t", folder) for n, mixed in enumerate(_mixtures(rng, 6))]
    qrels = {f"q{n}": {f"i{n}", f"t{n}", f"it{n + 1}"} for n in range(6)}
    write("corpus.jsonl", corpus)(folder)
    write("queries.jsonl", queries)(folder)
    labels = [
        {"query-id": query, "corpus-id": its, "score": 1} for query, all_ in qrels.items() for its in sorted(all_)
    ]
    write("qrels.jsonl", labels)(folder)
    return queries, corpus, qrels


def test_a_hybrid_corpus_is_one_index(tmp_path: Path) -> None:
    folder = tmp_path / "hybrid"
    queries, corpus, qrels = hybrid(folder)
    record = evaluate(folder, tmp_path / "out")["hybrid"]
    assert score(record) == pytest.approx(naive_ndcg(queries, corpus, qrels, folder), abs=5.1e-6)
    assert record["texts"]["distinct"] == 30
    again = here("evaluate", MODEL, "--benchmark", "own", "--data-set", folder, "--output", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    found = records(tmp_path / "again")["hybrid"]
    assert found["texts"]["encoded"] == 0  # by the bytes of the images
    assert score(found) == score(record)


def test_images_in_files_and_in_rows_are_the_same_data(tmp_path: Path) -> None:
    for name in ("files", "rows"):
        folder = tmp_path / name / "set"
        hybrid(folder)
        if name == "rows":
            rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
            images = [(folder / each["image"]).read_bytes() if "image" in each else None for each in rows]
            (folder / "corpus.jsonl").unlink()
            columns = {"_id": [each["_id"] for each in rows], "text": [each.get("text") for each in rows]}
            pq.write_table(pa.table({**columns, "image": pa.array(images, pa.binary())}), folder / "corpus.parquet")
    one, two = (evaluate(tmp_path / name / "set", tmp_path / f"out-{name}")["set"] for name in ("files", "rows"))
    assert one["data"]["content"] == two["data"]["content"]
    assert score(one) == score(two)
    # The very same names with another picture are other data.
    output, folder = tmp_path / "out-files", tmp_path / "files/set"
    command = ("evaluate", MODEL, "--benchmark", "own", "--data-set", folder, "--output", output)
    assert "set: finished before" in here(*command).stderr
    write("images/i0.png", drawn("white"))(folder)
    assert "set runs again: settings differ: data.content" in here(*command).stderr


def test_classes_clusters_and_pairs_of_images(tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    for split, sizes in (("train", range(4, 12)), ("test", range(12, 16))):
        rows = []
        for name in COLOURS:
            for size in sizes:
                place = f"pictures/{name}{size}.png"
                for kind in ("classes", "clusters", "both"):
                    write(place, drawn(name, size=size))(sets / kind)
                rows.append({"image": place, "label": name})
        write(f"{split}.jsonl", rows)(sets / "classes")
        write(f"{split}.jsonl", [{**each, "text": "what is it"} for each in rows])(sets / "both")
    write("test.jsonl", rows)(sets / "clusters")
    write("task.toml", 'type = "Clustering"\n')(sets / "clusters")
    pairs = []
    for one in range(6):
        for two in range(6):
            for name in (COLOURS[one], COLOURS[two]):
                write(f"{name}.png", drawn(name))(sets / "likeness")
                write(f"{name}.png", drawn(name))(sets / "captions")
            pairs.append((COLOURS[one], COLOURS[two], int(one == two)))
    write("test.jsonl", [{"image1": f"{a}.png", "image2": f"{b}.png", "score": n} for a, b, n in pairs])(
        sets / "likeness"
    )
    write("test.jsonl", [{"sentence1": a, "image2": f"{b}.png", "label": n} for a, b, n in pairs])(sets / "captions")
    found = evaluate(sets, tmp_path / "out", "--no-store")
    assert {name: record["settings"]["task"]["kind"] for name, record in found.items()} == {
        "both": "Classification",
        "captions": "PairClassification",
        "classes": "Classification",
        "clusters": "Clustering",
        "likeness": "STS",
    }
    assert {name: round(score(found[name]), 6) for name in ("both", "captions", "classes", "clusters")} == {
        "both": 1.0,
        "captions": 1.0,
        "classes": 1.0,
        "clusters": 1.0,
    }
    # Spearman's correlation of 6 equal pairs and 30 others whose similarities are above one another or not.
    assert 0.5 < score(found["likeness"]) < 1


def test_a_sample_of_own_data_with_images_runs(tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    hybrid(sets / "hybrid")
    for name in ("labelled", "clusters", "pairs"):
        (sets / name).mkdir(parents=True)
        SOUND[name](sets / name)
    assert set(evaluate(sets, tmp_path / "out", "--profile", "smoke")) == {"hybrid", "labelled", "clusters", "pairs"}


@pytest.mark.parametrize("name", ["no such file", "a link that leads out", "cut off", "bytes that are no image"])
def test_a_faulty_image_is_one_line_of_both_commands(name: str, tmp_path: Path) -> None:
    make, change, said = UNSOUND[name]
    folder = tmp_path / "set"
    folder.mkdir()
    make(folder)
    change(folder)
    for command in ("validate", "evaluate"):
        where = ("--data-set", folder, "--output", tmp_path / "out", "--no-store")
        result = here(command, MODEL, "--benchmark", "own", *where)
        assert result.returncode == 2, result.stderr
        faults = [line for line in result.stderr.splitlines() if line.startswith("flagbench: ")]
        if name != "cut off" or command == "validate":
            assert re.search(said, faults[0]), faults[0]
        assert command == "validate" or len(faults) == 1
        assert "Traceback" not in result.stderr
    assert not list((tmp_path / "out").rglob("set.json"))


@pytest.mark.parametrize("kind", ["searched", "labelled"])
def test_an_image_that_is_cut_off_within_parquet_is_named_by_file_and_row(kind: str, tmp_path: Path) -> None:
    """Its head is sound, so that only decoding finds it."""
    folder = tmp_path / "set"
    folder.mkdir()
    (pictures if kind == "searched" else labelled)(folder)
    stripes = drawn(*COLOURS, *COLOURS, size=50)
    images = [drawn("red"), stripes[: len(stripes) * 2 // 3]]
    name, others = ("corpus", {"_id": ["d1", "d2"]}) if kind == "searched" else ("test", {"label": ["red", "blue"]})
    (folder / f"{name}.jsonl").unlink()
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n")(folder)
    if kind == "labelled":
        shutil.rmtree(folder / "qrels")
    pq.write_table(pa.table({**others, "image": pa.array(images, pa.binary())}), folder / f"{name}.parquet")
    result = here("evaluate", MODEL, "--benchmark", "own", "--data-set", folder, "--output", tmp_path / "out")
    assert result.returncode == 2
    line = result.stderr.splitlines()[-1]
    assert line.startswith("flagbench: the image ")
    assert f"/set/{name}.parquet, row 1 cannot be decoded: " in line


def test_what_was_recognised_is_said_and_a_model_of_texts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    pictures(folder)
    where = ("--benchmark", "own", "--data-set", folder, "--output", tmp_path / "out")
    said = (
        "set: Retrieval, corpus, queries and qrels, from corpus.jsonl, qrels/test.tsv, queries.jsonl; corpus of images"
    )
    assert said in here("validate", MODEL, *where).stdout
    listed = here("tasks", "--benchmark", "own", "--data-set", folder)
    assert listed.returncode == 0, listed.stderr
    line = one_line(here("evaluate", "bm25", *where))
    assert "takes text, and set has images: choose a model that takes images" in line


def test_names_of_images_are_no_markup_in_a_report(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    name = '"><script>alert(1)<'
    write(f"{name}.png", drawn("red"))(folder)
    write("blue.png", drawn("blue"))(folder)
    write("corpus.jsonl", lines([{"_id": "d1", "image": f"{name}.png"}, {"_id": "d2", "image": "blue.png"}]))(folder)
    write("queries.jsonl", [{"_id": "q", "text": "blue"}])(folder)
    write("qrels.jsonl", [{"query-id": "q", "corpus-id": "d1", "score": 1}])(folder)
    evaluate(folder, tmp_path / "out")
    page = tmp_path / "page.html"
    result = here("report", tmp_path / "out", "--html", page)
    assert result.returncode == 0, result.stderr
    assert "<script>alert(1)" not in page.read_text(encoding="utf-8")
