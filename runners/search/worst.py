"""The queries with a model's lowest values, and the texts shown of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from flagbench.models.inputs import Input, line
from flagbench.results.worst_queries import COUNT, PASSAGES, Example, Examples, Passage, beginning
from flagbench.runners.search.hits import in_order
from flagbench.runners.search.metrics import Qrels, Run
from flagbench.runners.search.ranking import Texts

InputsOf = Callable[[Collection[str]], Mapping[str, Input]]
"""Gives the inputs of some ids, by id; those it does not know may be left out."""


@dataclass(frozen=True)
class Searched:
    """One split and subset after a search.

    Attributes:
        split: Its name.
        subset: Its name.
        run: What was found.
        qrels: What is relevant.
        queries: Their texts.
        passages: Their texts.
    """

    split: str
    subset: str
    run: Run
    qrels: Qrels
    queries: InputsOf
    passages: InputsOf


def worst_queries(searched: Searched, values: Mapping[str, float]) -> list[Example]:
    """The queries with the lowest values, the worst first and equal ones in their order, with texts.

    Args:
        searched: What was found and what is relevant.
        values: By query.
    """
    chosen = heapq.nsmallest(COUNT, values, key=values.__getitem__)
    queries = searched.queries(chosen)
    found = {query: in_order(searched.run.get(query, {})) for query in chosen}
    relevant = {query: _relevant(searched.qrels.get(query, {})) for query in chosen}
    shown = {passage for query in chosen for passage in (*found[query][:PASSAGES], *relevant[query])}
    texts = searched.passages(shown)

    def passages(query: str, ids: Iterable[str]) -> list[Passage]:
        ranks = {passage: rank for rank, passage in enumerate(found[query], 1)}
        grades = searched.qrels.get(query, {})
        return [
            Passage(
                id=passage,
                text=beginning(line(texts.get(passage, ""))),
                rank=ranks.get(passage),
                score=float(searched.run[query][passage]) if passage in ranks else None,
                relevance=int(grades.get(passage, 0)),
            )
            for passage in ids
        ]

    return [
        Example(
            id=query,
            split=searched.split,
            subset=searched.subset,
            text=beginning(line(queries.get(query, ""))),
            value=float(values[query]),
            found=passages(query, found[query][:PASSAGES]),
            relevant=passages(query, relevant[query]),
        )
        for query in chosen
    ]


def worst_of(task: str, metric: str, examples: Iterable[Example]) -> Examples:
    """The worst of the queries of all splits and subsets.

    Args:
        task: Name.
        metric: The metric that the values are of.
        examples: The worst of each split and subset.
    """
    return Examples(task, metric, heapq.nsmallest(COUNT, examples, key=lambda example: example.value))


def some_texts(texts: Texts, ids: Collection[str]) -> dict[str, Input]:
    """The inputs of some ids, by id.

    Args:
        texts: All of them.
        ids: Those wanted.
    """
    wanted = set(ids)
    return {id_: texts.texts[row] for row, id_ in enumerate(texts.ids) if id_ in wanted}


def _relevant(grades: Mapping[str, int]) -> list[str]:
    """Relevant passages, the best grades first, as many as are shown."""
    return heapq.nlargest(PASSAGES, (each for each, grade in grades.items() if grade > 0), key=grades.__getitem__)
