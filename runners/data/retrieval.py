"""The shape of a retrieval data set: queries, a corpus, labels of pairs, and candidates; shared by the benchmarks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from flagbench import BadData, first_few
from flagbench.runners.data.checks import Place, check_columns, check_numbers, check_present

Qrels = Mapping[str, Mapping[str, int]]

LARGEST_GRADE = 100_000
"""Of a label: trec_eval counts passages by grade in a table of as many places, one for each query."""


def grade_of(digits: str) -> int | None:
    """The grade of a label that is a text: 0 to ``LARGEST_GRADE`` in digits of ASCII; None for anything else."""
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(LARGEST_GRADE)):
        return None
    return grade if (grade := int(digits)) <= LARGEST_GRADE else None


def check_pairs(place: Place, table: pa.Table, query: str, passage: str, relevance: str) -> None:
    """See that rows of labels have a query, a passage and a whole number, and each pair once.

    Args:
        place: Of the rows.
        table: With these columns.
        query: Name of the column of query ids.
        passage: Name of the column of passage ids.
        relevance: Name of the column of grades.

    Raises:
        BadData: A row has not, or a pair is listed twice.
    """
    check_columns(place, table.column_names, [query, passage, relevance])
    for column in (query, passage):
        check_present(place, column, table.column(column), "no id")
    check_numbers(place, relevance, table.column(relevance), whole=True, most=LARGEST_GRADE)
    pairs = table.select([query, passage])
    counts = pairs.group_by([query, passage]).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts.column("count_all"), 1))
    if len(twice):
        pair = (twice.column(query)[0].as_py(), twice.column(passage)[0].as_py())
        same = zip(table.column(query).to_pylist(), table.column(passage).to_pylist(), strict=True)
        _, row = [row for row, each in enumerate(same) if each == pair][:2]
        raise place.refuse(
            f"a second label of query '{pair[0]}' and passage '{pair[1]}', which are listed twice,", passage, row
        )


def check_grades(source: str, qrels: Qrels) -> None:
    """See that trec_eval can count the labels of each query.

    Args:
        source: Where they are, as the beginning of a sentence.
        qrels: See ``check_labels``.

    Raises:
        BadData: See ``check_labels``.
    """
    for query, its in qrels.items():
        highest = max(its.values(), default=0)
        if not 0 <= highest <= LARGEST_GRADE:
            raise BadData(
                f"{source} has labels of query '{query:.80}' up to {highest:.6g}, and the highest is to be one of 0 to "
                f"{LARGEST_GRADE:,}; fix the data"
            )


def check_labels(place: Place, qrels: Qrels, query_ids: Collection[str], passage_ids: Collection[str]) -> None:
    """See that labels are of these queries and this corpus at all, and that trec_eval can count them.

    Args:
        place: Of the labels.
        qrels: ``{query id: {passage id: relevance}}``.
        query_ids: Of all queries.
        passage_ids: Of the corpus.

    Raises:
        BadData: None of the judged queries, or of their passages, is there; a grade is beyond ``LARGEST_GRADE``, or
            all those of a query are below 0, which takes the process down.
    """
    check_grades(place.source, qrels)
    judged = {passage: None for its in qrels.values() for passage in its}
    for what, wanted, there in (("queries", list(qrels), query_ids), ("passages", list(judged), passage_ids)):
        known = there if isinstance(there, set | frozenset | dict) else set(there)
        if not any(each in known for each in wanted):
            raise BadData(
                f"{place.source} has labels in {place.part} none of whose {len(wanted):,} {what} is there (labels: "
                f"{_shown(wanted)}; {what}: {_shown(list(there))}){_as_numbers(wanted, known)}; fix the data"
            )


def oddities(
    part: str, qrels: Qrels, query_ids: Collection[str], passage_ids: Collection[str], missing: str
) -> Iterator[str]:
    """Remarks on labels that can be scored all the same, a line each.

    Args:
        part: Name of the split.
        qrels: See ``check_labels``.
        query_ids: Of the queries that are searched.
        passage_ids: Of the corpus.
        missing: What the benchmark's rule makes of judged queries that are not among the queries.
    """
    wanted = {passage for its in qrels.values() for passage, grade in its.items() if grade > 0}
    if absent := wanted.difference(passage_ids):
        yield (
            f"{part}: {len(absent):,} of {len(wanted):,} relevant passages are not in the corpus and cannot be found"
            f"{_as_numbers(list(absent), set(passage_ids))}"
        )
    if lost := len(qrels.keys() - set(query_ids)):
        yield f"{part}: {lost:,} of {len(qrels):,} judged queries are not among the queries: not searched, {missing}"


def check_candidates(
    place: Place, candidates: Mapping[str, Sequence[str] | None], query_ids: Collection[str], passage_ids: set[str]
) -> None:
    """See that each query has candidates, all of them in the corpus.

    Args:
        place: Of the candidates.
        candidates: ``{query id: passage ids}``.
        query_ids: Of the queries that are searched.
        passage_ids: Of the corpus.

    Raises:
        BadData: One has not.
    """
    for query in query_ids:
        its = candidates.get(query)
        if not its:
            raise place.whole(f"no candidates of query '{query}'")
        for passage in its:
            if passage not in passage_ids:
                raise BadData(
                    f"{place.source} has the candidate {passage!r:.80} of query '{query}' in {place.part}, and no such "
                    "passage in the corpus; fix the data"
                )


def _shown(ids: Sequence[str]) -> str:
    return first_few((repr(each) for each in ids), 2)


def _as_numbers(wanted: Sequence[str], known: Collection[str]) -> str:
    """A hint where ids would be there, were they not read as numbers, which have no zeros before them."""
    there = {each.lstrip("0") for each in known}
    if any(each.isdigit() and each.lstrip("0") in there for each in wanted):
        return ": ids were read as numbers and have lost their leading zeros, so write them as texts"
    return ""
