"""Retrieval metrics: their names, and their values through pytrec_eval, query by query and as means.

What the value of one query is divided by (a passage is relevant where its grade is above 0, whether or not the corpus
has it: one that is absent can never be found, and counts here all the same):

=============  =========================================================================================
nDCG@k         the DCG of the query's relevant passages in their best order, cut at k
MAP@k          the number of its relevant passages
Recall@k       the number of its relevant passages
Precision@k    k, also where fewer passages were found
HitRate@k      1
MRR@k          the rank of the first relevant passage
=============  =========================================================================================

Means are taken after either of two rules, of which ``DENOMINATORS`` says over how many queries.

``compat`` is what a leaderboard's own package prints, ``strict`` what trec_eval's conventions ask for:

==================  ===================================================  ==========================================
\\                   compat                                               strict
==================  ===================================================  ==========================================
a query that the    does not count: the first four metrics are means     counts 0 in every metric
run lacks           over the queries of the run (MRR: counts 0)
judged queries      count 0 (in MRR too)                                 do not count
without a
relevant passage
MRR, equal scores   in the order of the run, compared as doubles         trec_eval's: larger id first, compared in
                                                                         single precision, as in the other metrics
figures             rounded to 5 places                                  as they are
==================  ===================================================  ==========================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self, get_args

from flagbench import BadData, BadInput, first_few

Rule = Literal["compat", "strict"]
Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]
PerQuery = dict[str, dict[str, float]]

RULES: tuple[Rule, ...] = get_args(Rule)

Counted = Literal["searched", "judged", "answerable"]
"""Queries that the run has; that have judgements; that have a relevant passage."""

MEASURES = {
    "ndcg": "ndcg_cut",
    "map": "map_cut",
    "recall": "recall",
    "precision": "P",
    "hit_rate": "success",
    "mrr": "recip_rank",
}
"""Families of metrics, and what trec_eval calls them. It cuts all but the last."""

_COMPUTED = ("ndcg", "map", "recall", "precision")  # with mrr, what per_query gives
_TITLES = {"ndcg": "nDCG", "map": "MAP", "recall": "Recall", "precision": "Precision", "hit_rate": "HitRate"}
_FAMILIES = {family.replace("_", ""): family for family in MEASURES} | {"p": "precision"}
_SPELLED = re.compile(r"(\w+?)(?:@|_at_)([1-9][0-9]{0,6})", re.ASCII)

DENOMINATORS: Mapping[Rule, Mapping[str, Counted]] = {
    "compat": {**dict.fromkeys(_COMPUTED, "searched"), "mrr": "judged"},
    "strict": dict.fromkeys((*_COMPUTED, "mrr"), "answerable"),
}
"""By rule and family: over how many queries the mean is taken."""

_PLACES = 5


@dataclass(frozen=True)
class Metric:
    """A metric of rankings.

    Attributes:
        family: A key of ``MEASURES``.
        cutoff: Passages of a ranking that count.
    """

    family: str
    cutoff: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a metric in either spelling, ``nDCG@10`` or ``ndcg_at_10``, in any case.

        Raises:
            BadInput: It is not a metric of rankings.
        """
        match = _SPELLED.fullmatch(text)
        family = _FAMILIES.get(match[1].lower().replace("_", "")) if match else None
        if match is None or family is None:
            known = ", ".join(cls(each, 10).title for each in MEASURES)
            raise BadInput(
                f"'{text}' is not a metric of rankings: expected one such as {known}, with its cutoff after @"
            )
        return cls(family, int(match[2]))

    @property
    def name(self) -> str:
        """As in files: ``ndcg_at_10``."""
        return f"{self.family}_at_{self.cutoff}"

    @property
    def title(self) -> str:
        """As people write it: ``nDCG@10``."""
        return f"{_TITLES.get(self.family, self.family.upper())}@{self.cutoff}"

    @property
    def measure(self) -> str:
        """As trec_eval names its value of a query: ``ndcg_cut_10``; its reciprocal rank is never cut."""
        measure = MEASURES[self.family]
        return measure if self.family == "mrr" else f"{measure}_{self.cutoff}"


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """Names of all metrics, ``ndcg_at_1`` to ``mrr_at_1000``, in the order in which they are written."""
    return [metric.name for metric in _metrics((*_COMPUTED, "mrr"), cutoffs)]


def per_query(qrels: Qrels, run: Run, cutoffs: Sequence[int], rule: Rule = "compat") -> PerQuery:
    """The value of each metric for each query that counts.

    Args:
        qrels: Relevance (above 0 is relevant) by query and passage.
        run: Finite scores by query and passage, in any order.
        cutoffs: ``k`` of the metrics.
        rule: See above.

    Returns:
        Metric name -> query id -> value; the names are those of ``metric_names``, in its order.

    Raises:
        BadData: The run has a query that the qrels lack, or no query that counts, or an id is not valid text.
    """
    import pytrec_eval

    _check(qrels, run)
    # To trec_eval the run's order means nothing; the order of the queries does to the last digit of a sum.
    cut = ",".join(map(str, cutoffs))
    measures = {f"{MEASURES[family]}.{cut}" for family in _COMPUTED} | {MEASURES["mrr"]}
    found = pytrec_eval.RelevanceEvaluator({query: dict(judged) for query, judged in qrels.items()}, measures).evaluate(
        {query: dict(hits) for query, hits in run.items()}
    )
    if rule == "strict":
        counted = [query for query, judged in qrels.items() if any(value > 0 for value in judged.values())]
        ranks = {query: _rank(found[query]["recip_rank"]) for query in counted if query in found}
    else:
        counted = list(found)
        ranks = {query: _first_relevant(qrels[query], hits) for query, hits in run.items()}
    if not counted:
        raise BadData("none of the queries counts: the run is empty, or no passage is judged relevant")
    values: PerQuery = {
        metric.name: {query: found.get(query, {}).get(metric.measure, 0.0) for query in counted}
        for metric in _metrics(_COMPUTED, cutoffs)
    }
    for metric in _metrics(("mrr",), cutoffs):
        values[metric.name] = {
            query: 1.0 / rank if (rank := ranks.get(query, 0)) and rank <= metric.cutoff else 0.0
            for query in (ranks if rule == "compat" else counted)
        }
    return values


def means(qrels: Qrels, values: Mapping[str, Mapping[str, float]], rule: Rule = "compat") -> dict[str, float]:
    """The mean of each metric.

    Args:
        qrels: As given to ``per_query``.
        values: What ``per_query`` gave, with the same rule.
        rule: See above.
    """
    found = {}
    for name, by_query in values.items():
        # Values are of the queries that were searched or that can be answered; those judged may be more.
        judged = DENOMINATORS[rule][Metric.parse(name).family] == "judged"
        mean = sum(by_query.values()) / len(qrels if judged else by_query)
        found[name] = round(mean, _PLACES) if rule == "compat" else mean
    return found


def _metrics(families: Sequence[str], cutoffs: Sequence[int]) -> list[Metric]:
    return [Metric(family, cutoff) for family in families for cutoff in cutoffs]


def _check(qrels: Qrels, run: Run) -> None:
    from flagbench.runners.data.retrieval import check_grades  # with Arrow

    unknown = [query for query in run if query not in qrels]
    if unknown:
        raise BadData(
            f"no relevance judgements for {len(unknown):,} of {len(run):,} queries: {first_few(map(repr, unknown), 3)}"
        )
    check_grades("the data", qrels)
    for query, passages in (*qrels.items(), *run.items()):
        try:
            ids = "".join((query, *passages))
            ids.encode()
        except UnicodeEncodeError as error:
            # pytrec_eval does not look whether its own encoding worked, and takes the process down.
            raise BadData(f"an id of query {query!r} is not valid text (half of a surrogate pair)") from error
        if "\0" in ids:  # where pytrec_eval would end it
            raise BadData(f"an id of query {query!r:.80} has a NUL in it; fix the data")


def _rank(reciprocal: float) -> int:
    """The rank behind trec_eval's recip_rank; 0 for none."""
    return round(1 / reciprocal) if reciprocal else 0


def _first_relevant(judged: Mapping[str, int], hits: Mapping[str, float]) -> int:
    """Rank of the first relevant passage, equal scores in the order of the run; 0 for none."""
    ranked = sorted(hits, key=hits.__getitem__, reverse=True)
    return next((rank for rank, passage in enumerate(ranked, 1) if judged.get(passage, 0) > 0), 0)
