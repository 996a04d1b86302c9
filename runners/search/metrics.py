"""Retrieval metrics through pytrec_eval, query by query and as means, after either of two rules.

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

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from flagbench import BadData, first_few

Rule = Literal["compat", "strict"]
Qrels = Mapping[str, Mapping[str, int]]
Run = Mapping[str, Mapping[str, float]]
PerQuery = dict[str, dict[str, float]]

RULES: tuple[Rule, ...] = get_args(Rule)

_MEASURES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}
_PLACES = 5


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """Names of all metrics, ``ndcg_at_1`` to ``mrr_at_1000``, in the order in which they are written."""
    return [f"{family}_at_{cutoff}" for family in (*_MEASURES, "mrr") for cutoff in cutoffs]


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
        BadData: The run has a query that the qrels lack, or no query that counts, or an id is no valid text.
    """
    import pytrec_eval

    _check(qrels, run)
    # To trec_eval the run's order means nothing; the order of the queries does to the last digit of a sum.
    measures = {f"{measure}.{','.join(map(str, cutoffs))}" for measure in _MEASURES.values()} | {"recip_rank"}
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
        f"{family}_at_{cutoff}": {query: found.get(query, {}).get(f"{measure}_{cutoff}", 0.0) for query in counted}
        for family, measure in _MEASURES.items()
        for cutoff in cutoffs
    }
    for cutoff in cutoffs:
        values[f"mrr_at_{cutoff}"] = {
            query: 1.0 / rank if (rank := ranks.get(query, 0)) and rank <= cutoff else 0.0
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
    if rule == "strict":
        return {name: sum(by_query.values()) / len(by_query) for name, by_query in values.items()}
    return {
        name: round(sum(by_query.values()) / len(qrels if name.startswith("mrr_") else by_query), _PLACES)
        for name, by_query in values.items()
    }


def _check(qrels: Qrels, run: Run) -> None:
    unknown = [query for query in run if query not in qrels]
    if unknown:
        raise BadData(
            f"no relevance judgements for {len(unknown):,} of {len(run):,} queries: {first_few(map(repr, unknown), 3)}"
        )
    for query, passages in (*qrels.items(), *run.items()):
        try:
            query.encode()
            "".join(passages).encode()
        except UnicodeEncodeError as error:
            # pytrec_eval does not look whether its own encoding worked, and takes the process down.
            raise BadData(f"an id of query {query!r} is no valid text (half of a surrogate pair)") from error


def _rank(reciprocal: float) -> int:
    """The rank behind trec_eval's recip_rank; 0 for none."""
    return round(1 / reciprocal) if reciprocal else 0


def _first_relevant(judged: Mapping[str, int], hits: Mapping[str, float]) -> int:
    """Rank of the first relevant passage, equal scores in the order of the run; 0 for none."""
    ranked = sorted(hits, key=hits.__getitem__, reverse=True)
    return next((rank for rank, passage in enumerate(ranked, 1) if judged.get(passage, 0) > 0), 0)
