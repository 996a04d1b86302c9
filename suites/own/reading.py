"""The rows of a data set, each of them checked: what evaluate refuses at the first fault, validate lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flagbench.runners.data.pictures import IMAGE, kept
from flagbench.runners.data.retrieval import LARGEST_GRADE
from flagbench.runners.data.rows import CLUSTER
from flagbench.runners.mteb.made import SearchRows
from flagbench.suites.own import tables
from flagbench.suites.own.contents import Contents
from flagbench.suites.own.layouts import DataSet
from flagbench.suites.own.values import FIX, Report, id_of, new_id, rows_of, text_of, texts_of, whole_number_of


class _OfRows:
    """Takes the faults of rows; those of a whole only where no row has one, for rows left out are none of it."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._none = True

    def __call__(self, fault: str) -> None:
        self._none = False
        self._report(fault)

    def whole(self, fault: str) -> None:
        """Take a fault of a split or a data set."""
        if self._none:
            self._report(fault)


def read(data: DataSet, report: Report, *, decode: bool = False) -> Mapping[str, SearchRows | pa.Table]:
    """The rows of each split that is needed: of retrieval and reranking for a search, else a table.

    Args:
        data: The data set.
        report: Takes each fault.
        decode: Whether every image is decoded, to find those that were cut off; else only their heads are looked at.
    """
    rows, contents = _OfRows(report), Contents(data, decode=decode)
    if "qrels" in data.layout.needs:
        return {split: _searched(data, split, contents, rows) for split in data.splits}
    splits = [*data.splits, *(["train"] if data.kind == "Classification" else [])]
    if data.kind == "Reranking":
        return {split: _reranked(data, split, rows) for split in splits}
    made = {split: tables.table(data, split, contents, rows) for split in splits}
    if data.kind == "Classification":
        made = tables.of_one_type(made)
        tables.check_classes(data, made, rows.whole)
    return {split: tables.whole(data, split, table, rows.whole) for split, table in made.items()}


def _searched(data: DataSet, split: str, contents: Contents, report: _OfRows) -> SearchRows:
    passages: dict[str, None] = {}
    names = ["id", "title", *contents.columns("corpus", "text")]
    corpus = kept(_corpus(data, split, passages, contents, report), _schema(names, pa.large_string()), large=True)
    queries: dict[str, None] = {}
    names = ["id", *contents.columns("queries", "text"), *([CLUSTER] if CLUSTER in data.columns["queries"] else [])]
    asked = kept(_queries(data, split, queries, contents, report), _schema(names, pa.string()))
    qrels = _qrels(data, split, passages, queries, report)
    candidates = None
    if "candidates" in data.layout.needs:
        candidates = _candidates(data, split, passages, queries, report)
    if not any(grade > 0 for its in qrels.values() for grade in its.values()):
        report.whole(f"{data.folder}: no query of {split} has a relevant passage: {FIX}")
    return SearchRows(corpus, asked, qrels, candidates)


def _schema(names: Sequence[str], text: Any) -> pa.Schema:
    return pa.schema([(name, IMAGE if name == "image" else text) for name in names])


def _corpus(
    data: DataSet, split: str, passages: dict[str, None], contents: Contents, report: _OfRows
) -> Iterator[tuple[Any, ...]]:
    """Id, title, text and image of each passage; its id is added to the passages."""
    columns = data.columns["corpus"]
    for file, number, row in rows_of(data, "corpus", split):
        id_ = new_id(data, file, number, row, "corpus", passages, report)
        if id_ is not None:  # also of a passage that is left out: a label of it is no fault of its own
            passages[id_] = None
        title = text_of(file, number, row, columns["title"], report, empty=True) if "title" in columns else ""
        content = contents.read(file, number, row, "corpus", "text", report, titled=bool(title))
        if id_ is None or content is None or title is None:
            continue
        yield id_, title, *content
    if not passages:
        report.whole(f"{data.folder}: the corpus has no passages: {FIX}")


def _queries(
    data: DataSet, split: str, queries: dict[str, None], contents: Contents, report: _OfRows
) -> Iterator[tuple[Any, ...]]:
    """Id, text, image and cluster of each query; its id is added to the queries."""
    columns = data.columns["queries"]
    for file, number, row in rows_of(data, "queries", split):
        id_ = new_id(data, file, number, row, "queries", queries, report)
        if id_ is not None:
            queries[id_] = None
        content = contents.read(file, number, row, "queries", "text", report)
        if id_ is None or content is None:
            continue
        if CLUSTER not in columns:
            yield id_, *content
        elif row.get(columns[CLUSTER]) in (None, ""):  # a query on its own
            yield id_, *content, None
        elif (cluster := id_of(file, number, row, columns[CLUSTER], report, what="a name")) is not None:
            yield id_, *content, cluster


def _qrels(
    data: DataSet, split: str, passages: Mapping[str, Any], queries: Mapping[str, Any], report: Report
) -> dict[str, dict[str, int]]:
    columns = data.columns["qrels"]
    qrels: dict[str, dict[str, int]] = {}
    for file, number, row in rows_of(data, "qrels", split):
        if file.kind == "words" and len(row) != 4:
            report(f"{file.place(number)} has {len(row)} words instead of 4 (query, 0, passage, relevance): {FIX}")
            continue
        ids = [id_of(file, number, row, columns[column], report) for column in ("query-id", "corpus-id")]
        grade = whole_number_of(file, number, row, columns["relevance"], report)
        query, passage = ids
        if query is None or passage is None or grade is None:
            continue
        if not 0 <= grade <= LARGEST_GRADE:
            report(f"{file.place(number)} has the relevance {grade:.6g}, not one of 0 to {LARGEST_GRADE:,}: {FIX}")
            continue
        for id_, known, what in ((query, queries, "queries"), (passage, passages, "corpus")):
            if id_ not in known:
                report(f"{file.place(number)} has a label of '{id_:.80}', which is not in the {what}: {FIX}")
        if passage in qrels.get(query, {}):
            report(f"{file.place(number)} has a second label of query '{query:.80}' and passage '{passage:.80}': {FIX}")
        elif query in queries and passage in passages:
            qrels.setdefault(query, {})[passage] = grade
    return qrels


def _candidates(
    data: DataSet, split: str, passages: Mapping[str, Any], queries: Mapping[str, Any], report: Report
) -> dict[str, list[str]]:
    columns = data.columns["candidates"]
    found: dict[str, list[str]] = {}
    named: set[str] = set()  # also by rows that are left out
    for file, number, row in rows_of(data, "candidates", split):
        query = id_of(file, number, row, columns["query-id"], report)
        if query is not None:
            named.add(query)
        listed = row.get(columns["corpus-ids"])
        if not isinstance(listed, list) or not listed:
            report(f"{file.place(number)} has no list of passages in column {columns['corpus-ids']}: {FIX}")
            continue
        ids = [str(each) for each in listed]
        if query is None:
            continue
        for fault, wrong in (
            (f"candidates of '{query:.80}', which is not in the queries", query not in queries),
            (f"a second list of candidates of '{query:.80}'", query in found),
            (f"a candidate of '{query:.80}' twice", len(set(ids)) < len(ids)),
            ("a candidate that is no id", not all(isinstance(each, str | int) for each in listed)),
        ):
            if wrong:
                report(f"{file.place(number)} has {fault}: {FIX}")
        if absent := [id_ for id_ in ids if id_ not in passages]:
            report(f"{file.place(number)} has the candidate '{absent[0]:.80}', which is not in the corpus: {FIX}")
        else:
            found[query] = ids
    if lacking := [query for query in queries if query not in named]:
        report(f"{data.folder}: query '{lacking[0]:.80}' of {split} has no candidates: {FIX}")
    return found


def _reranked(data: DataSet, split: str, report: _OfRows) -> SearchRows:
    """Rows of a query with its positives and negatives: the candidates of a query are its own.

    Ids put negatives before positives where trec_eval breaks ties, as mteb's do for this form; a query without a
    positive or without a negative is a fault, which mteb leaves out.
    """
    columns = data.columns["rows"]
    queries: dict[str, str] = {}
    rows: list[tuple[str, str, str]] = []
    qrels: dict[str, dict[str, int]] = {}
    candidates: dict[str, list[str]] = {}
    for file, number, row in rows_of(data, "rows", split):
        query = text_of(file, number, row, columns["query"], report)
        lists = {what: texts_of(file, number, row, columns[what], report) for what in ("positives", "negatives")}
        positives, negatives = lists["positives"], lists["negatives"]
        if query is None or positives is None or negatives is None:
            continue
        id_ = f"{split}_query{len(queries)}"
        judged = {f"apositive_{id_}_{place:05}": (text, 1) for place, text in enumerate(positives)}
        judged |= {f"negative_{id_}_{place:05}": (text, 0) for place, text in enumerate(negatives)}
        queries[id_] = query
        rows += [(passage, "", text) for passage, (text, _) in judged.items()]
        qrels[id_] = {passage: grade for passage, (_, grade) in judged.items()}
        candidates[id_] = list(judged)
    if not queries:
        report.whole(f"{data.folder}: {split} has no rows: {FIX}")
    names = ["id", "title", "text"]
    corpus = kept(rows, _schema(names, pa.large_string()), large=True)
    return SearchRows(corpus, pa.table({"id": list(queries), "text": list(queries.values())}), qrels, candidates)
