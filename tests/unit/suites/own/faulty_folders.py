"""Folders that are no sound data set, with what is said of each."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping

import pyarrow as pa

from tests.unit.suites.own.folders import (
    CORPUS,
    LABELLED,
    PAIRS,
    QRELS,
    QUERIES,
    TRAINING,
    Change,
    candidates,
    in_place,
    labelled,
    lines,
    pairs,
    parquet,
    remove,
    retrieval,
    top_ranked,
    training,
    write,
)

UNSOUND: Mapping[str, tuple[Change, Change, str]] = {
    # Which data set it is.
    "no files": (lambda _: None, lambda _: None, "has no files of rows"),
    "no rows": (pairs, write("test.jsonl", ""), "test.jsonl has no rows: remove it"),
    "no corpus": (
        retrieval,
        remove("corpus.jsonl"),
        r"for corpus, queries and qrels it lacks a file of the corpus \(corpus.jsonl or corpus/\); test.tsv has",
    ),
    "no qrels": (
        retrieval,
        remove("qrels/test.tsv"),
        r"it lacks a file of the qrels \(qrels/test.tsv, test_qrels.jsonl, qrels.tsv or qrels.txt\); corpus.jsonl has",
    ),
    "a corpus of another name": (
        retrieval,
        lambda f: [remove("corpus.jsonl")(f), write("docs.jsonl", CORPUS)(f)],
        "it lacks a file of the corpus .*docs.jsonl has _id, text",
    ),
    "another name of ids": (
        retrieval,
        write("corpus.jsonl", [{"docno": "d1", "text": "x"}]),
        r"it lacks corpus: _id \(a column with another name: columns.corpus._id = \"its name\" in task.toml\); corpus",
    ),
    "another name of pairs": (
        pairs,
        write("test.jsonl", [{"sentence1": "a", "right": "b", "score": 1}]),
        r"lacks sentence2 or image2 \(a column with another name: columns.sentence2 = \"its name\" in task.toml, or "
        r"columns.image2 where it names image files\)",
    ),
    "an unknown column of a folder that is not told": (
        retrieval,
        lambda f: [remove("corpus.jsonl")(f), write("task.toml", '[columns]\nscorre = "a"\n')(f)],
        "columns.scorre names something that is none: remove it; there are _id, text, image, query-id, ",
    ),
    "an unknown column of a file": (
        retrieval,
        write("task.toml", '[columns.corpus]\nscore = "a"\n'),
        "columns.corpus.score names something that is none: remove it; there are _id, text, image, title$",
    ),
    "a column of files that are none": (
        retrieval,
        write("task.toml", '[columns.docs]\n_id = "a"\n'),
        "columns.docs is no group of files: it is one of corpus, queries, qrels, candidates$",
    ),
    "a column that the queries do not have": (
        retrieval,
        write("task.toml", '[columns.queries]\n_id = "qid"\n'),
        r"it lacks queries: qid \(",
    ),
    "other columns": (pairs, write("test.jsonl", [{"a": "x", "b": "y"}]), "expected is .*; test.jsonl has a, b"),
    "columns that are almost right": (
        lambda f: write("corpus.csv", "id,passage\nd1,x\n")(f),
        lambda _: None,
        "it lacks corpus: text or image, a file of the queries .*; corpus.csv has id, passage$",
    ),
    "pairs of equal texts": (
        pairs,
        write("test.jsonl", [{"sentence1": t, "sentence2": t, "score": n} for n, t in enumerate("abc")]),
        "all pairs of test are alike",
    ),
    "one pair alone": (
        pairs,
        write("test.jsonl", [{"sentence1": a, "sentence2": b, "score": n} for n, (a, b) in enumerate(("ab", "ba"))]),
        "all pairs of test are alike",
    ),
    "two layouts at once": (
        retrieval,
        write("test.jsonl", PAIRS),
        "may be corpus, queries and qrels .* and pairs with",
    ),
    "two files of one thing": (retrieval, write("corpus.csv", "_id,text\nd1,x\n"), "both hold the corpus: remove one"),
    "a score and a label": (
        pairs,
        write("test.jsonl", [{**row, "label": 1} for row in PAIRS]),
        "may be pairs with a score .STS. and pairs with a label",
    ),
    "no training rows": (labelled, remove("train.jsonl"), "for classification it lacks train, for clustering type = "),
    "no test rows": (labelled, remove("test.jsonl"), "has no split beside train"),
    "two splits": (
        lambda f: [write(f"{name}.jsonl", PAIRS)(f) for name in ("dev", "final")],
        lambda _: None,
        "has the splits dev, final: say which are scored with splits in",
    ),
    "an unknown split": (pairs, write("task.toml", 'splits = ["dev"]\n'), "names the split dev, and .* has test"),
    # task.toml.
    "an unknown key": (
        pairs,
        write("task.toml", 'titel = "x"\n'),
        r"task.toml cannot be read \(at titel: no such key\).*its keys are name, type",
    ),
    "an unknown type": (pairs, write("task.toml", 'type = "STSS"\n'), r"at type: 'STSS' is not one of Retrieval, "),
    "a language in words": (pairs, write("task.toml", 'language = "Chinese"\n'), "'Chinese' is not an ISO 639 code"),
    "no TOML": (pairs, write("task.toml", "x\n"), "task.toml cannot be read"),
    "a name that leads out": (pairs, write("task.toml", 'name = "../x"\n'), "'../x' cannot be the name of"),
    "a split twice": (pairs, write("task.toml", 'splits = ["test", "test"]\n'), "names the split test twice"),
    "deep TOML": (pairs, write("task.toml", "a = " + "[" * 100_000), "task.toml cannot be read"),
    "a column that is none": (
        pairs,
        write("task.toml", '[columns]\nsentense1 = "a"\n'),
        "columns.sentense1 names some",
    ),
    "a column that no file has": (retrieval, write("task.toml", '[columns]\ntitle = "a"\n'), "columns.title names a,"),
    "a link to nothing": (pairs, lambda f: (f / "task.toml").symlink_to(f / "gone"), "task.toml cannot be read"),
    "a metric for two classes": (
        lambda f: [write(f"{split}.jsonl", [{"text": t, "label": t} for t in "abc"])(f) for split in ("train", "test")],
        write("task.toml", 'metric = "ap"\n'),
        "ap is for two classes, and test has 3",
    ),
    # Files.
    "not JSON": (retrieval, write("queries.jsonl", '{"_id": "q1"\n'), r"queries.jsonl, line 1 is not JSON"),
    "a key twice": (pairs, write("test.jsonl", '{"score": 1, "score": 2}\n'), "has the key 'score' twice"),
    "not an object": (retrieval, write("queries.jsonl", "[1]\n"), "line 1 is not an object"),
    "mixed encodings": (
        retrieval,
        write("corpus.jsonl", lines(CORPUS).encode() + '{"_id": "d4", "text": "é"}\n'.encode("latin-1")),
        "corpus.jsonl, line 4 is not UTF-8",
    ),
    "a cut gzip": (
        retrieval,
        lambda f: [remove("corpus.jsonl")(f), write("corpus.jsonl.gz", gzip.compress(lines(CORPUS).encode())[:-9])(f)],
        r"corpus.jsonl.gz cannot be read .*: copy it again",
    ),
    "no gzip": (
        retrieval,
        lambda f: [remove("corpus.jsonl")(f), write("corpus.jsonl.gz", lines(CORPUS))(f)],
        "corpus.jsonl.gz cannot be read",
    ),
    "no parquet": (pairs, lambda f: [remove("test.jsonl")(f), write("test.parquet", "PAR1")(f)], "read as parquet"),
    "a pipe": (pairs, lambda f: [remove("test.jsonl")(f), os.mkfifo(f / "test.jsonl")], "is not a regular file"),
    "a value too many": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1,sentence2,score\na,b,1\nc,d,e,2\n")(f)],
        r"test.csv, line 3 has 4 values for 3 columns: .*a comma in it needs quotes",
    ),
    "values between semicolons": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1;sentence2;score\na;b;1\n")(f)],
        r"test.csv has one column, 'sentence1;sentence2;score': its values stand between ';', and CSV has commas there",
    ),
    "two columns of a name": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1,sentence2,score,score\na,b,1,2\n")(f)],
        "has two columns 'score'",
    ),
    "an open quote": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", 'sentence1,sentence2,score\n"a,b,1\n')(f)],
        "is not CSV",
    ),
    "a shard that is missing": (
        pairs,
        lambda f: (f / "test.jsonl").rename(f / "test-00001-of-00002.jsonl"),
        "shard 00000 of 00002 is missing",
    ),
    "a shard beside the whole": (pairs, write("test-00000-of-00001.jsonl", PAIRS), "both hold the rows of test"),
    "a file and its gzip": (pairs, write("test.jsonl.gz", gzip.compress(lines(PAIRS).encode())), "both hold the rows"),
    "a file in two folders": (pairs, write("data/test.jsonl", PAIRS), "both hold the rows of test: remove one"),
    "labels of all and of the split": (
        retrieval,
        write("qrels.tsv", QRELS),
        "test.tsv and qrels.tsv both hold the qrels of test",
    ),
    "texts of no characters": (
        pairs,
        lambda f: [remove("test.jsonl")(f), parquet(f, pa.array([b"\xff", b"b"]).cast(pa.string(), safe=False))],
        "test.parquet cannot be read as parquet .*codec",
    ),
    "years that are none": (
        pairs,
        lambda f: [remove("test.jsonl")(f), parquet(f, pa.array([2**62, 1], pa.timestamp("us")))],
        "test.parquet cannot be read as parquet .*out of range",
    ),
    # Rows.
    "an id twice": (retrieval, write("corpus.jsonl", [*CORPUS, CORPUS[0]]), "line 4 has the id 'd1', which is listed"),
    "a query twice": (
        retrieval,
        write("queries.jsonl", [*QUERIES, QUERIES[0]]),
        "queries.jsonl, line 3 has the id 'q1'",
    ),
    "no id": (
        retrieval,
        write("queries.jsonl", [*QUERIES, {"_id": None, "text": "x"}]),
        "has nothing instead of an id",
    ),
    "an empty text": (
        retrieval,
        write("corpus.jsonl", [*CORPUS, {"_id": "d4", "text": " "}]),
        "line 4 has an empty text",
    ),
    "a null text": (
        retrieval,
        write("queries.jsonl", [*QUERIES, {"_id": "q3", "text": None}]),
        "nothing instead of a text",
    ),
    "a number for a text": (
        pairs,
        write("test.jsonl", [*PAIRS, {**PAIRS[0], "sentence1": 7}]),
        "has 7 instead of a text",
    ),
    "a label of no passage": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td9\t1\n"),
        "label of 'd9', which is not in the corpus",
    ),
    "a label of no query": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q9\td1\t1\n"),
        "label of 'q9', which is not in the queries",
    ),
    "a second label": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td1\t2\n"),
        "line 4 has a second label of query 'q1'",
    ),
    "a grade in parts": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td2\t0.5\n"),
        "'0.5' instead of a whole number",
    ),
    "a grade in words": (retrieval, write("qrels/test.tsv", QRELS + "q1\td2\tyes\n"), "'yes' instead of a number"),
    "nothing relevant": (
        retrieval,
        write("qrels/test.tsv", QRELS.replace("\t1\n", "\t0\n")),
        "no query of test has a relevant",
    ),
    "three words of four": (
        retrieval,
        lambda f: [remove("qrels/test.tsv")(f), write("qrels.trec", "q1 0 d1 1\nq2 d2 1\n")(f)],
        "line 2 has 3 words instead of 4",
    ),
    "no negatives": (
        training,
        write("train.jsonl", [*TRAINING, {**TRAINING[0], "neg": []}]),
        "instead of a list of texts in column neg",
    ),
    "a score that is none": (
        pairs,
        write("test.jsonl", [*PAIRS, {**PAIRS[0], "score": "high"}]),
        "'high' instead of a number",
    ),
    "one score alone": (pairs, write("test.jsonl", PAIRS[:1] * 2), "test has one score alone"),
    "a label beside 0 and 1": (
        pairs,
        write("test.jsonl", [{"sentence1": "a", "sentence2": "b", "label": label} for label in (0, 1, 2)]),
        "line 3 has the label 2, and a pair has 0 or 1",
    ),
    "one class alone": (labelled, write("train.jsonl", LABELLED[:1]), "train has one label alone"),
    "a relevance below 0": (retrieval, write("qrels/test.tsv", QRELS + "q1\td2\t-2\n"), "has the relevance -2, not"),
    "a relevance of gigabytes": (
        retrieval,
        write("qrels/test.tsv", QRELS + "q1\td2\t3000000000\n"),
        "has the relevance 3e",
    ),
    "a relevance of 400 digits": (
        retrieval,
        write("qrels/test.tsv", QRELS + f"q1\td2\t1{'0' * 400}\n"),
        "line 4 has '1000.* instead of a number",
    ),
    "a score with a line under it": (
        pairs,
        lambda f: [remove("test.jsonl")(f), write("test.csv", "sentence1,sentence2,score\na,b,1\nc,d,2\ne,f,1_0\n")(f)],
        "'1_0' instead of a number",
    ),
    "an id with a NUL": (
        retrieval,
        write("corpus.jsonl", [*CORPUS, {"_id": "d1\0", "text": "x"}]),
        "line 4 has .* instead of an id",
    ),
    "candidates of no query": (candidates, top_ranked({"q9": ["d1"]}), "of 'q9', which is not in the queries"),
    "candidates twice": (candidates, top_ranked({"q1": ["d1"]}), "line 3 has a second list of candidates of 'q1'"),
    "a candidate twice": (
        retrieval,
        write(
            "top_ranked.jsonl",
            [{"query-id": q, "corpus-ids": ["d1", "d2", d]} for q, d in (("q1", "d3"), ("q2", "d2"))],
        ),
        "line 2 has a candidate of 'q2' twice",
    ),
    "labels that no training row has": (
        labelled,
        write("test.jsonl", [{"text": "a", "label": "v"}, {"text": "b", "label": "w"}]),
        "no label of test is one of train",
    ),
    "no label": (
        labelled,
        write("test.jsonl", [*LABELLED, {"text": "c", "label": None}]),
        "nothing instead of a label",
    ),
    "labels out of step": (
        lambda f: write("test.jsonl", [{"sentences": ["a", "b"], "labels": [1, 2]}])(f),
        write("test.jsonl", [{"sentences": ["a", "b"], "labels": [1, 2]}, {"sentences": ["a", "b"], "labels": [1]}]),
        "line 2 has not one label for each text",
    ),
    "a set of one class": (
        lambda f: write("test.jsonl", [{"sentences": ["a", "b"], "labels": [1, 2]}])(f),
        write("test.jsonl", [{"sentences": ["a", "b"], "labels": [1, 2]}, {"sentences": ["a", "b"], "labels": [1, 1]}]),
        "line 2 has one label alone for all texts in column labels",
    ),
    "pairs of one class": (pairs, write("test.jsonl", [{**row, "score": 1} for row in PAIRS]), "has one score alone"),
    "a score that is NaN": (
        pairs,
        in_place("test.csv", "sentence1,sentence2,score\na,b,nan\n"),
        "'nan' instead of a number",
    ),
    "NaN in JSON": (pairs, write("test.jsonl", '{"score": NaN}\n'), "line 1 holds NaN, which is no number of JSON"),
    "a score without end": (
        pairs,
        in_place("test.csv", "sentence1,sentence2,score\na,b,inf\n"),
        "'inf' instead of a number",
    ),
    "another encoding": (
        retrieval,
        write("queries.jsonl", lines(QUERIES).encode("utf-16")),
        "queries.jsonl, line 1 is not UTF-8",
    ),
    "half a character": (
        retrieval,
        write("queries.jsonl", '{"_id": "q1", "text": "\\ud800"}\n'),
        "line 1 holds half a surrogate pair",
    ),
    "a byte order mark in the middle": (
        retrieval,
        write("corpus.jsonl", lines(CORPUS) + "\ufeff" + lines(CORPUS[:1])),
        "line 4 is not JSON",
    ),
    "old line ends": (retrieval, write("qrels/test.tsv", QRELS.replace("\n", "\r").encode()), "line 1 is not TSV"),
    "labels without a heading": (
        retrieval,
        write("qrels/test.tsv", QRELS.partition("\n")[2]),
        "it lacks qrels: query-id, qrels: corpus-id, qrels: score",
    ),
    "labels without rows": (
        retrieval,
        write("qrels/test.tsv", QRELS.partition("\n")[0] + "\n"),
        "no query of test has",
    ),
    "deep JSON": (retrieval, write("queries.jsonl", '{"_id": ' + "[" * 100_000 + "\n"), "line 1 is nested too deeply"),
    "gzip in gzip": (
        pairs,
        in_place("test.jsonl.gz", gzip.compress(gzip.compress(lines(PAIRS).encode()))),
        "line 1 is not UTF-8",
    ),
    "a pointer in place of a file": (
        pairs,
        in_place("test.parquet", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n"),
        "cannot be read as parquet",
    ),
    "a page in place of a file": (pairs, in_place("test.csv", "<html><body>404</body></html>\n"), "expected is"),
    "a loop of links": (pairs, lambda f: (f / "loop").symlink_to(f), "is a link to a folder that it lies in"),
    "an id in parts": (
        retrieval,
        write("queries.jsonl", [*QUERIES, {"_id": 1.5, "text": "x"}]),
        "has 1.5 instead of an id",
    ),
    "a label in parts": (
        labelled,
        write("test.jsonl", [*LABELLED, {"text": "c", "label": 1.5}]),
        "1.5 instead of a label",
    ),
}
