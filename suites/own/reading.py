"""The rows of a data set, each of them checked: what evaluate refuses at the first fault, validate lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from flagbench.runners.data.retrieval import LARGEST_GRADE
from flagbench.runners.data.row_files import RowFile
from flagbench.runners.data.texts import on_disk
from flagbench.runners.mteb.made import SearchRows
from flagbench.suites.own.layouts import DataSet

Report = Callable[[str], None]
"""Takes a fault, a line; it may raise, else the row is left out."""

_ROWS_A_BATCH = 10_000
_CORPUS = pa.schema([(name, pa.large_string()) for name in ("id", "title", "text")])
_FIX = "fix the data"
_SHOWN = 60  # characters of a value
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")


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


def read(data: DataSet, report: Report) -> Mapping[str, SearchRows | pa.Table]:
    """The rows of each split that is needed: of retrieval and reranking for a search, else a table.

    Args:
        data: The data set.
        report: Takes each fault.
    """
    rows = _OfRows(report)
    if "qrels" in data.layout.needs:
        return {split: _searched(data, split, rows) for split in data.splits}
    splits = [*data.splits, *(["train"] if data.kind == "Classification" else [])]
    if data.kind == "Reranking":
        return {split: _reranked(data, split, rows) for split in splits}
    tables = {split: _table(data, split, rows) for split in splits}
    if data.kind == "Classification":
        tables = _of_one_type(tables)
        _check_classes(data, tables, rows.whole)
    return {split: _whole(data, split, table, rows.whole) for split, table in tables.items()}


# Retrieval.


def _searched(data: DataSet, split: str, report: _OfRows) -> SearchRows:
    passages: dict[str, None] = {}
    corpus = on_disk(_corpus(data, split, passages, report), _CORPUS)
    queries: dict[str, str] = {}
    for file, number, row in _rows(data, "queries", split):
        id_ = _new_id(data, file, number, row, "queries", queries, report)
        text = _text(file, number, row, data.columns["queries"]["text"], report)
        if id_ is not None and text is not None:
            queries[id_] = text
    qrels = _qrels(data, split, passages, queries, report)
    candidates = None
    if "candidates" in data.layout.needs:
        candidates = _candidates(data, split, passages, queries, report)
    if not any(grade > 0 for its in qrels.values() for grade in its.values()):
        report.whole(f"{data.folder}: no query of {split} has a relevant passage: {_FIX}")
    table = pa.table({"id": list(queries), "text": list(queries.values())})
    return SearchRows(corpus, table, qrels, candidates)


def _corpus(data: DataSet, split: str, passages: dict[str, None], report: _OfRows) -> Iterator[pa.Table]:
    """The corpus in batches; its ids are added to the passages."""
    columns = data.columns["corpus"]
    batch: list[tuple[str, str, str]] = []
    for file, number, row in _rows(data, "corpus", split):
        id_ = _new_id(data, file, number, row, "corpus", passages, report)
        title = _text(file, number, row, columns["title"], report, empty=True) if "title" in columns else ""
        text = _text(file, number, row, columns["text"], report, empty=bool(title))
        if id_ is None or text is None or title is None:
            continue
        passages[id_] = None
        batch.append((id_, title, text))
        if len(batch) == _ROWS_A_BATCH:
            yield _batch(batch)
            batch = []
    if not passages:
        report.whole(f"{data.folder}: the corpus has no passages: {_FIX}")
    yield _batch(batch)


def _batch(rows: Sequence[tuple[str, str, str]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table([pa.array(column, pa.large_string()) for column in columns], schema=_CORPUS)


def _qrels(
    data: DataSet, split: str, passages: Mapping[str, Any], queries: Mapping[str, Any], report: Report
) -> dict[str, dict[str, int]]:
    columns = data.columns["qrels"]
    qrels: dict[str, dict[str, int]] = {}
    for file, number, row in _rows(data, "qrels", split):
        if file.kind == "words" and len(row) != 4:
            report(f"{file.place(number)} has {len(row)} words instead of 4 (query, 0, passage, relevance): {_FIX}")
            continue
        ids = [_id(file, number, row, columns[column], report) for column in ("query-id", "corpus-id")]
        grade = _whole_number(file, number, row, columns["relevance"], report)
        query, passage = ids
        if query is None or passage is None or grade is None:
            continue
        if not 0 <= grade <= LARGEST_GRADE:
            report(f"{file.place(number)} has the relevance {grade:.6g}, not one of 0 to {LARGEST_GRADE:,}: {_FIX}")
            continue
        for id_, known, what in ((query, queries, "queries"), (passage, passages, "corpus")):
            if id_ not in known:
                report(f"{file.place(number)} has a label of '{id_:.80}', which is not in the {what}: {_FIX}")
        if passage in qrels.get(query, {}):
            report(
                f"{file.place(number)} has a second label of query '{query:.80}' and passage '{passage:.80}': {_FIX}"
            )
        elif query in queries and passage in passages:
            qrels.setdefault(query, {})[passage] = grade
    return qrels


def _candidates(
    data: DataSet, split: str, passages: Mapping[str, Any], queries: Mapping[str, Any], report: Report
) -> dict[str, list[str]]:
    columns = data.columns["candidates"]
    found: dict[str, list[str]] = {}
    for file, number, row in _rows(data, "candidates", split):
        query = _id(file, number, row, columns["query-id"], report)
        listed = row.get(columns["corpus-ids"])
        if not isinstance(listed, list) or not listed:
            report(f"{file.place(number)} has no list of passages in column {columns['corpus-ids']}: {_FIX}")
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
                report(f"{file.place(number)} has {fault}: {_FIX}")
        if absent := [id_ for id_ in ids if id_ not in passages]:
            report(f"{file.place(number)} has the candidate '{absent[0]:.80}', which is not in the corpus: {_FIX}")
        else:
            found[query] = ids
    if lacking := [query for query in queries if query not in found]:
        report(f"{data.folder}: query '{lacking[0]:.80}' of {split} has no candidates: {_FIX}")
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
    for file, number, row in _rows(data, "rows", split):
        query = _text(file, number, row, columns["query"], report)
        lists = {what: _texts(file, number, row, columns[what], report) for what in ("positives", "negatives")}
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
        report.whole(f"{data.folder}: {split} has no rows: {_FIX}")
    corpus = on_disk((_batch(rows[at : at + _ROWS_A_BATCH]) for at in range(0, len(rows), _ROWS_A_BATCH)), _CORPUS)
    return SearchRows(corpus, pa.table({"id": list(queries), "text": list(queries.values())}), qrels, candidates)


# Rows that stand alone.


def _table(data: DataSet, split: str, report: Report) -> pa.Table:
    columns = data.columns["rows"]
    if data.kind in ("STS", "PairClassification"):
        made = _pairs(data, split, columns, report)
    elif "sentences" in columns:
        made = _sets(data, split, columns, report)
    else:
        made = _labelled(data, split, columns, report)
        made["label"] = list(map(str, made["label"]))
        if data.kind == "Clustering":  # one set
            made = {"sentences": [made["text"]], "labels": [made["label"]]}
    return pa.table(made)


def _pairs(data: DataSet, split: str, columns: Mapping[str, str], report: Report) -> dict[str, list[Any]]:
    scored = data.kind == "STS"
    made: dict[str, list[Any]] = {"sentence1": [], "sentence2": [], "score" if scored else "labels": []}
    for file, number, row in _rows(data, "rows", split):
        texts = [_text(file, number, row, columns[column], report) for column in ("sentence1", "sentence2")]
        read_value = _number if scored else _whole_number
        value = read_value(file, number, row, columns["score" if scored else "label"], report)
        if not scored and value not in (0, 1, None):
            report(f"{file.place(number)} has the label {value}, and a pair has 0 or 1: {_FIX}")
        elif None not in (*texts, value):
            for column, cell in zip(made.values(), (*texts, value), strict=True):
                column.append(cell)
    return made


def _labelled(data: DataSet, split: str, columns: Mapping[str, str], report: Report) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = {"text": [], "label": []}  # labels of all splits are brought to one type later
    for file, number, row in _rows(data, "rows", split):
        text = _text(file, number, row, columns["text"], report)
        label = _label(file, number, row, columns["label"], row.get(columns["label"]), report)
        if text is not None and label is not None:
            made["text"].append(text)
            made["label"].append(label)
    return made


def _sets(data: DataSet, split: str, columns: Mapping[str, str], report: Report) -> dict[str, list[Any]]:
    made: dict[str, list[Any]] = {"sentences": [], "labels": []}
    for file, number, row in _rows(data, "rows", split):
        texts = _texts(file, number, row, columns["sentences"], report)
        listed = row.get(columns["labels"])
        if texts is None:
            continue
        if not isinstance(listed, list) or len(listed) != len(texts):
            report(f"{file.place(number)} has not one label for each text in column {columns['labels']}: {_FIX}")
            continue
        labels = [_label(file, number, row, columns["labels"], value, report) for value in listed]
        if None in labels:
            continue
        named = list(map(str, labels))
        if len(set(named)) < 2:  # any clustering of them has the best score
            report(f"{file.place(number)} has one label alone for all texts in column {columns['labels']}: {_FIX}")
            continue
        made["sentences"].append(texts)
        made["labels"].append(named)
    return made


def _of_one_type(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Labels as numbers where all of them in all splits are, as mteb's are; else as texts: 1 and "1" are one label."""
    columns = {split: table.column("label") for split, table in tables.items()}
    if all(_WHOLE.fullmatch(label) for column in columns.values() for label in column.unique().to_pylist()):
        columns = {split: column.cast(pa.int64()) for split, column in columns.items()}
    return {split: table.set_column(1, "label", columns[split]) for split, table in tables.items()}


def _check_classes(data: DataSet, tables: Mapping[str, pa.Table], report: Report) -> None:
    """See that the classes of a split can be found, and that its main score is one for so many."""
    trained = set(tables["train"].column("label").to_pylist())
    for split in data.splits:
        there = set(tables[split].column("label").to_pylist())
        if there and trained and not there & trained:
            report(f"{data.folder}: no label of {split} is one of train: {_FIX}")
        if data.said.metric == "ap" and len(there) != 2:
            report(f"{data.folder}: the metric ap is for two classes, and {split} has {len(there)}: choose another")


def _whole(data: DataSet, split: str, table: pa.Table, report: Report) -> pa.Table:
    """See that a split can be scored as a whole."""
    if not len(table):
        report(f"{data.folder}: {split} has no rows: {_FIX}")
        return table
    last = table.column_names[-1]
    values = table.column(last).combine_chunks()
    flat = values.flatten() if pa.types.is_list(values.type) else values
    if len(flat.unique()) < 2:
        report(f"{data.folder}: {split} has one {last.rstrip('s')} alone, and two different ones are needed: {_FIX}")
    elif data.kind == "STS" and len(set(_unlike(table))) < 2:
        report(f"{data.folder}: all pairs of {split} are alike (two equal texts, or the same two): {_FIX}")
    return table


def _unlike(table: pa.Table) -> Iterator[frozenset[str]]:
    """The pairs by what a model can tell apart: those of two equal texts all have the similarity 1."""
    for one, other in zip(table["sentence1"].to_pylist(), table["sentence2"].to_pylist(), strict=True):
        yield frozenset((one, other)) if one != other else frozenset()


# Values.


def _rows(data: DataSet, holds: str, split: str) -> Iterator[tuple[RowFile, int, Mapping[str, Any]]]:
    for file in data.files(holds, split):
        for number, row in file.rows():
            yield file, number, row


def _new_id(
    data: DataSet,
    file: RowFile,
    number: int,
    row: Mapping[str, Any],
    holds: str,
    known: Mapping[str, Any],
    report: Report,
) -> str | None:
    id_ = _id(file, number, row, data.columns[holds]["id"], report)
    if id_ in known:
        report(f"{file.place(number)} has the id '{id_:.80}', which is listed twice: {_FIX}")
        return None
    return id_


def _id(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> str | None:
    value = row.get(column)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value and "\0" not in value:
        return value
    report(f"{file.place(number)} has {_shown(value)} instead of an id in column {column}: {_FIX}")
    return None


def _text(
    file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report, *, empty: bool = False
) -> str | None:
    value = row.get(column)
    if value is None and empty:
        return ""
    if isinstance(value, str) and (empty or value.strip()):
        return value
    report(f"{file.place(number)} has {_shown(value)} instead of a text in column {column}: {_FIX}")
    return None


def _texts(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> list[str] | None:
    value = row.get(column)
    if isinstance(value, list) and value and all(isinstance(each, str) and each.strip() for each in value):
        return value
    report(f"{file.place(number)} has {_shown(value)} instead of a list of texts in column {column}: {_FIX}")
    return None


def _number(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> float | None:
    value = row.get(column)
    try:
        found = float(value) if not isinstance(value, bool) and "_" not in str(value) else None  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = None
    if found is not None and abs(found) < float("inf"):
        return found
    report(f"{file.place(number)} has {_shown(value)} instead of a number in column {column}: {_FIX}")
    return None


def _whole_number(file: RowFile, number: int, row: Mapping[str, Any], column: str, report: Report) -> int | None:
    value = row.get(column)
    found = _number(file, number, {column: int(value)} if isinstance(value, bool) else row, column, report)
    if found is None or found == int(found):
        return None if found is None else int(found)
    report(f"{file.place(number)} has {_shown(value)} instead of a whole number in column {column}: {_FIX}")
    return None


def _label(
    file: RowFile, number: int, row: Mapping[str, Any], column: str, value: Any, report: Report
) -> str | int | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) or (isinstance(value, str) and value.strip()):
        return value
    report(f"{file.place(number)} has {_shown(value)} instead of a label in column {column}: {_FIX}")
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str) and not value.strip():
        return "an empty text"
    text = f"{value!r:.61}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
