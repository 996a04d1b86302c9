"""The queries with a model's lowest values, and the texts shown of them."""

from __future__ import annotations

import base64
import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from flagbench import BadData
from flagbench.models.inputs import Image, Input, Item, line
from flagbench.results.worst_queries import COUNT, PASSAGES, Example, Examples, Passage, beginning
from flagbench.runners.search.hits import in_order
from flagbench.runners.search.metrics import Qrels, Run
from flagbench.runners.search.pictures import picture_of
from flagbench.runners.search.ranking import Texts

P = TypeVar("P", Example, Passage)

_NAME = 16
"""Hex digits of the name of a picture."""

InputsOf = Callable[[Collection[str]], Mapping[str, Input]]
"""Gives the inputs of some ids, by id; those it does not know may be left out."""


@dataclass(frozen=True)
class WorstQuery:
    """A query as it is kept, before pictures are made.

    Attributes:
        example: Its pictures have the names of their images.
        images: The first image of the query and of each passage that has one, by name.
    """

    example: Example
    images: Mapping[str, Image]


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


def worst_queries(searched: Searched, values: Mapping[str, float]) -> list[WorstQuery]:
    """The queries with the lowest values, the worst first and equal ones in their order, with texts and images.

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
                picture=_name(texts.get(passage)),
            )
            for passage in ids
        ]

    def images(query: str) -> dict[str, Image]:
        inputs = [queries.get(query), *(texts.get(each) for each in (*found[query][:PASSAGES], *relevant[query]))]
        return {name: image for each in inputs if (image := _image(each)) and (name := _name(each))}

    return [
        WorstQuery(
            Example(
                id=query,
                split=searched.split,
                subset=searched.subset,
                text=beginning(line(queries.get(query, ""))),
                value=float(values[query]),
                found=passages(query, found[query][:PASSAGES]),
                relevant=passages(query, relevant[query]),
                picture=_name(queries.get(query)),
            ),
            images(query),
        )
        for query in chosen
    ]


def worst_first(queries: Iterable[WorstQuery]) -> list[WorstQuery]:
    """As many of some queries as are kept, the worst first and equal ones in their order."""
    return heapq.nsmallest(COUNT, queries, key=lambda query: query.example.value)


def worst_of(task: str, metric: str, queries: Iterable[WorstQuery]) -> Examples:
    """The worst of the queries of all splits and subsets, with pictures.

    Args:
        task: Name.
        metric: The metric that the values are of.
        queries: The worst of each split and subset.
    """
    chosen = worst_first(queries)
    images = {name: image for query in chosen for name, image in query.images.items()}
    pictures = {name: made for name, image in images.items() if (made := picture_of(image))}

    def shown(each: P) -> P:
        return each if not each.picture or each.picture in pictures else replace(each, picture="")

    examples = [
        replace(
            shown(query.example),
            found=[shown(each) for each in query.example.found],
            relevant=[shown(each) for each in query.example.relevant],
        )
        for query in chosen
    ]
    return Examples(task, metric, examples, {name: base64.b64encode(made).decode() for name, made in pictures.items()})


def some_texts(texts: Texts, ids: Collection[str]) -> dict[str, Input]:
    """The inputs of some ids, by id.

    Args:
        texts: All of them.
        ids: Those wanted.
    """
    wanted = set(ids)
    return {id_: texts.texts[row] for row, id_ in enumerate(texts.ids) if id_ in wanted}


def _image(content: Input | None) -> Image | None:
    """The first image of an input, which is shown of it."""
    return content.images[0] if isinstance(content, Item) and content.images else None


def _name(content: Input | None) -> str:
    """The name of an input's picture: the beginning of its image's key; empty for none, or one that is unreadable."""
    image = _image(content)
    try:
        return image.key.hex()[:_NAME] if image else ""
    except BadData:
        return ""


def _relevant(grades: Mapping[str, int]) -> list[str]:
    """Relevant passages, the best grades first, as many as are shown."""
    return heapq.nlargest(PASSAGES, (each for each, grade in grades.items() if grade > 0), key=grades.__getitem__)
