"""Metrics of composed retrieval as the authors of each task compute them, query by query.

===============================  ======================================================================================
recall_at_k                      |gold ∩ first k| / |gold|; of CIRCO whether its target image is among the first k
recall_subset_at_k               the same in the ranking of the five other images of a query's set (CIRR)
recall_avg                       (recall_at_5 + recall_subset_at_1) / 2 (CIRR)
hit_rate_at_k                    1 where any gold candidate is among the first k (VISTA's Easy_Recall, M-BEIR's Recall)
mrr_at_k                         1 / the rank of the first gold candidate, 0 beyond k
map_at_k                         the sum of the precisions at the ranks of gold candidates up to k, over min(|gold|, k):
                                 CIRCO's own, where trec_eval's divides by |gold|
===============================  ======================================================================================

Every mean is over all queries with labels. So score, each in its repository at github.com:

* CIRR: ``cirr_compute_val_metrics`` in miccunifi/SEARLE, ``src/validate.py``;
* CIRCO: miccunifi/CIRCO, ``src/evaluation.py``, which the test server runs;
* FashionIQ: FlagOpen/FlagEmbedding, ``research/BGE_VL/eval/eval_fashioniq.py``;
* WebQA: JUNJIE99/VISTA_Evaluation_FineTuning, ``webqa/BGE-base/eval_webqa.py``;
* M-BEIR: ``compute_recall_at_k`` in TIGER-AI-Lab/UniIR, ``src/common/mbeir_retriever.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from flagbench.runners.search.metrics import PerQuery

SUBSET_CUTOFFS = (1, 2, 3)
"""Of CIRR's second ranking."""

_FAMILIES: Mapping[str, Sequence[str]] = {
    "cirr": ("recall",),
    "fashioniq": ("recall", "mrr"),
    "circo": ("map",),
    "webqa": ("recall", "hit_rate", "mrr"),
    "mbeir": ("hit_rate",),
}
"""Metrics over all candidates, by layout."""


def recall(found: Sequence[str], gold: Collection[str], cutoff: int) -> float:
    """See above."""
    return len(set(found[:cutoff]).intersection(gold)) / len(gold)


def hit_rate(found: Sequence[str], gold: Collection[str], cutoff: int) -> float:
    """See above."""
    return float(any(each in gold for each in found[:cutoff]))


def mrr(found: Sequence[str], gold: Collection[str], cutoff: int) -> float:
    """See above."""
    return next((1 / rank for rank, each in enumerate(found[:cutoff], 1) if each in gold), 0.0)


def average_precision(found: Sequence[str], gold: Collection[str], cutoff: int) -> float:
    """See above, map_at_k."""
    total, seen = 0.0, 0
    for rank, each in enumerate(found[:cutoff], 1):
        if each in gold:
            seen += 1
            total += seen / rank
    return total / min(len(gold), cutoff)


_METRICS: Mapping[str, Callable[[Sequence[str], Collection[str], int], float]] = {
    "recall": recall,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": average_precision,
}


def score(
    layout: str,
    cutoffs: Sequence[int],
    rankings: Mapping[str, Sequence[str]],
    gold: Mapping[str, Collection[str]],
    *,
    subsets: Mapping[str, Sequence[str]],
    targets: Mapping[str, str],
) -> PerQuery:
    """The value of each metric of a task for each query with labels.

    Args:
        layout: Of the task's row.
        cutoffs: ``k`` of the metrics.
        rankings: Candidates by query, the best first.
        gold: Relevant candidates by query; those without one count 0.
        subsets: Second rankings by query; empty for none.
        targets: By query the candidate that recall is about; empty where it is about all relevant ones.

    Returns:
        Metric name -> query id -> value.
    """
    made: PerQuery = {}

    def add(name: str, value: Callable[[str], float]) -> None:
        made[name] = {query: value(query) if gold[query] else 0.0 for query in gold}

    for family in _FAMILIES[layout]:
        metric = _METRICS[family]
        for cutoff in cutoffs:
            add(
                f"{family}_at_{cutoff}",
                lambda query, of=metric, k=cutoff: of(rankings.get(query, ()), gold[query], k),  # type: ignore[misc]
            )
    for cutoff in cutoffs if targets else ():
        add(
            f"recall_at_{cutoff}",
            lambda query, k=cutoff: recall(rankings.get(query, ()), {targets[query]}, k),  # type: ignore[misc]
        )
    if subsets:
        for cutoff in SUBSET_CUTOFFS:
            add(
                f"recall_subset_at_{cutoff}",
                lambda query, k=cutoff: recall(subsets.get(query, ()), gold[query], k),  # type: ignore[misc]
            )
        add("recall_avg", lambda query: (made["recall_at_5"][query] + made["recall_subset_at_1"][query]) / 2)
    return made
