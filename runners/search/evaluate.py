"""Search, re-rank and score over (queries, corpus, qrels), for whichever benchmark has these.

What becomes of odd data (over how many queries a mean is taken, ``metrics.DENOMINATORS`` says):

* a query whose passages are all judged irrelevant is searched; what it counts, the rule says;
* a query that the qrels lack altogether is refused, as a mistake;
* a query of the qrels that is not among the queries is never searched; what it counts, the rule says;
* a relevant passage that the corpus lacks can never be found, and counts as not found.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from flagbench import BadInput
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.retrieval import oddities
from flagbench.runners.progress import Progress
from flagbench.runners.search.hits import Below, Run, in_order
from flagbench.runners.search.index import IndexInfo
from flagbench.runners.search.metrics import Metric, PerQuery, Qrels, Rule, means, per_query
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.search.worst import Searched, WorstQuery, some_texts, worst_of, worst_queries

_SUBSET = "default"
_MISSING: Mapping[Rule, str] = {"compat": "and not counted, but for MRR, where they count 0", "strict": "and count 0"}
"""What becomes of judged queries that are not searched (``metrics.DENOMINATORS``)."""


@dataclass(frozen=True)
class Part:
    """The queries of one split.

    Attributes:
        queries: Without instruction.
        qrels: Their labels; None where these are not published.
    """

    queries: Texts
    qrels: Qrels | None = None


@dataclass(frozen=True)
class RetrievalData:
    """A data set of retrieval.

    Attributes:
        name: Of the task; it chooses the instructions.
        kind: Type of the task; it chooses them as well.
        passages: The corpus, without instruction.
        parts: By split. All are searched in one pass over the corpus; two may have queries of one id.
        language: Of the texts, ISO 639-1; empty where it is not known.
    """

    name: str
    kind: str
    passages: Texts
    parts: Mapping[str, Part]
    language: str = ""


@dataclass(frozen=True)
class Scoring:
    """Settings of a search and its scoring.

    Attributes:
        metric: The main score.
        cutoffs: ``k`` of all metrics that are computed; that of the main score is among them.
        rule: How means are taken (``runners/search/metrics.py``).
        top_k: Passages found per query.
        below: What becomes of the passages that a reranker does not see.
        fill_empty: Whether a query of which nothing is found gets passages with score 0.
    """

    metric: Metric
    cutoffs: tuple[int, ...]
    rule: Rule = "strict"
    top_k: int = 1_000
    below: Below = "kept"
    fill_empty: bool = False

    def __post_init__(self) -> None:
        if self.metric.cutoff not in self.cutoffs:
            raise BadInput(f"{self.metric.title} is not computed at the cutoffs {', '.join(map(str, self.cutoffs))}")
        if self.metric.cutoff > self.top_k:
            raise BadInput(f"{self.metric.title} needs more passages than the {self.top_k:,} that are found per query")


@dataclass(frozen=True)
class Scored:
    """The scores of one split.

    Attributes:
        means: By the names of all metrics.
        values: By these names and the query.
        worst: The queries with the lowest main score.
    """

    means: Mapping[str, float]
    values: PerQuery
    worst: Sequence[WorstQuery]


@dataclass(frozen=True)
class Stage:
    """Rankings and scores of the model alone, or after the reranker.

    Attributes:
        reranked: Whether the reranker has been there.
        runs: By split; the passages per query in trec_eval's order.
        scored: By split, where there are labels.
    """

    reranked: bool
    runs: Mapping[str, Run]
    scored: Mapping[str, Scored]


@dataclass(frozen=True)
class RetrievalResult:
    """A data set, searched and scored.

    Attributes:
        data: The data set.
        scoring: How it was searched and scored.
        stages: The model alone, and after it the reranker where there is one.
        search: What searched last; None when nothing did.
        seconds: Wall time of ``encode``, ``search``, ``rerank`` and ``score``.
        texts: What was encoded.
        notes: What the user must know of the scores.
    """

    data: RetrievalData
    scoring: Scoring
    stages: tuple[Stage, ...]
    search: IndexInfo | None
    seconds: Mapping[str, float]
    texts: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def scores(self) -> dict[str, dict[str, float]]:
        """The main score after the last stage, by split and subset, as a record has it."""
        name = self.scoring.metric.name
        return {split: {_SUBSET: its.means[name]} for split, its in self.stages[-1].scored.items()}

    def files(self) -> dict[str, str]:
        """The text of the files of values and of worst queries after the last stage; none without labels."""
        scored, name, metric = self.stages[-1].scored, self.data.name, self.scoring.metric.name
        if not scored:
            return {}
        values = Values(name, {split: {_SUBSET: its.values} for split, its in scored.items()})
        worst = worst_of(name, metric, [query for its in scored.values() for query in its.worst])
        return {Values.file(name): values.to_json(), Examples.file(name): worst.to_json()}


def evaluate(data: RetrievalData, scoring: Scoring, evaluated: EvaluatedModel, progress: Progress) -> RetrievalResult:
    """Search a data set, re-rank where there is a reranker, and score each stage of every split with labels.

    Args:
        data: The data set.
        scoring: How it is searched and scored.
        evaluated: The model, maybe with a reranker.
        progress: The progress to report to.

    Raises:
        ModelFault: The model gave something unusable.
        BadData: The qrels lack a query, or no query of a split counts.
    """
    task = (data.name, data.kind)
    retriever = Retriever.of(evaluated, progress)
    queries = _merged(data.parts)
    run = _retrieved(retriever, data, queries, scoring)
    if scoring.fill_empty and not retriever.replays:
        notes = [*_fill_empty(run, data.passages.ids, scoring.top_k)]
    else:
        for split, part in data.parts.items():
            names = [f"{split}/{query_id}" for query_id in part.queries.ids]
            labels = {f"{split}/{query_id}": its for query_id, its in part.qrels.items()} if part.qrels else None
            retriever.note_empty((split, _SUBSET), run, names, labels)
        notes = retriever.notes
    stages = [(False, run)]
    rerank_seconds = 0.0
    if evaluated.reranker:
        started = time.perf_counter()
        stages.append((True, retriever.rerank(task, run, queries, data.passages, below=scoring.below)))
        rerank_seconds = time.perf_counter() - started
    started = time.perf_counter()
    made = tuple(_stage(data, scoring, found, reranked=reranked) for reranked, found in stages)
    return RetrievalResult(
        data=data,
        scoring=scoring,
        stages=made,
        search=retriever.index_info,
        seconds={
            "encode": retriever.counts.seconds,
            "search": retriever.search_seconds,
            "rerank": rerank_seconds,
            "score": time.perf_counter() - started,
        },
        texts=retriever.counts.as_dict(),
        notes=(*notes, *_oddities(data, scoring.rule)),
    )


def _retrieved(retriever: Retriever, data: RetrievalData, queries: Texts, scoring: Scoring) -> Run:
    """The rankings of all queries, under the ids of ``_merged``."""
    if not retriever.replays:
        task, names = (data.name, data.kind), [query for part in data.parts.values() for query in part.queries.ids]
        return retriever.retrieve(
            task, queries, data.passages, top_k=scoring.top_k, language=data.language, names=names
        )
    run: Run = {}
    for split, part in data.parts.items():
        made = retriever.replay((data.name, split, _SUBSET), part.queries.ids, data.passages.ids, top_k=scoring.top_k)
        run |= {f"{split}/{query_id}": hits for query_id, hits in made.items()}
    return run


def _merged(parts: Mapping[str, Part]) -> Texts:
    """The queries of all splits, for one pass; an id is made ``split/id``, since two splits may share one."""
    ids = [f"{split}/{query_id}" for split, part in parts.items() for query_id in part.queries.ids]
    return Texts(ids, [text for part in parts.values() for text in part.queries.texts])


def _stage(data: RetrievalData, scoring: Scoring, found: Run, *, reranked: bool) -> Stage:
    runs = {split: _of_split(found, split, part.queries.ids) for split, part in data.parts.items()}
    scored = {
        split: _score(data, scoring, split, part.qrels, runs[split])
        for split, part in data.parts.items()
        if part.qrels is not None
    }
    return Stage(reranked, runs, scored)


def _of_split(found: Run, split: str, query_ids: Sequence[str]) -> Run:
    """The rankings of a split's queries under their own ids, taken out of those of all splits."""
    run: Run = {}
    for query_id in query_ids:
        hits = found.pop(f"{split}/{query_id}")  # so that there is one copy of them
        run[query_id] = {passage_id: hits[passage_id] for passage_id in in_order(hits)}
    return run


def _score(data: RetrievalData, scoring: Scoring, split: str, qrels: Qrels, run: Run) -> Scored:
    values = per_query(qrels, run, scoring.cutoffs, scoring.rule)
    searched = Searched(
        split,
        _SUBSET,
        run,
        qrels,
        partial(some_texts, data.parts[split].queries),
        partial(some_texts, data.passages),
    )
    worst = worst_queries(searched, values[scoring.metric.name])
    return Scored(means(qrels, values, scoring.rule), values, worst)


def _fill_empty(run: Run, passage_ids: Sequence[str], top_k: int) -> Iterator[str]:
    """Give queries that share no word with any passage (BM25) the passages that come first of those with score 0.

    A mean over the others alone would flatter the model.

    Args:
        run: Changed in place.
        passage_ids: All of them.
        top_k: Passages per query.

    Yields:
        What is to be said of it.
    """
    empty = [query_id for query_id, found in run.items() if not found]
    if empty:
        first = dict.fromkeys(heapq.nlargest(top_k, passage_ids), 0.0)
        run.update({query_id: dict(first) for query_id in empty})
        yield f"{len(empty)} of {len(run)} queries share no word with any passage: all passages score 0"


def _oddities(data: RetrievalData, rule: Rule) -> Iterator[str]:
    """Remarks on oddities of the labels, a line each."""
    for split, part in data.parts.items():
        if part.qrels is None:
            continue
        yield from oddities(split, part.qrels, part.queries.ids, data.passages.ids, _MISSING[rule])
        if hopeless := sum(not any(grade > 0 for grade in its.values()) for its in part.qrels.values()):
            counted = "do not count" if rule == "strict" else "count 0"
            yield f"{split}: {hopeless:,} of {len(part.qrels):,} queries have no relevant passage and {counted}"
