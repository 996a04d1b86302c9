"""Metrics of LLM-Embedder's retrieval, query by query, as its authors compute them.

=============  ========================================================================================================
ndcg_at_k      the sum of 1 / log2(rank + 1) over relevant passages among the first k, over the same sum over the first
               min(|labels|, k) ranks
recall_at_k    relevant passages among the first k, each counted once, over |labels|
mrr_at_k       1 / the rank of the first relevant passage, 0 beyond k
hit_rate_at_k  1 where any of the first k passages has an answer in it (``has_answer``)
=============  ========================================================================================================

Labels are row numbers of the corpus, and a list that may name one twice: it then counts once as found and twice in
|labels|, so that nDCG and recall of such a query stay below 1; with pytrec_eval, whose labels are a set, they would
reach 1. Means are over the queries that have a ranking: one of which nothing is found (BM25) does not count, and by
trec_eval's conventions it would count 0.

So score FlagOpen/FlagEmbedding, ``research/llm_embedder/src/retrieval/metrics.py``, and for answers
``evalnq.py`` beside it, which is facebookresearch/DPR's ``qa_validation.py``.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

_TOKENS = r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]"

Values = dict[str, dict[str, float]]
"""Metric name -> query id -> value."""


def ndcg(ranking: Sequence[int], labels: Sequence[int], cutoff: int) -> float:
    """See above."""
    relevant = set(labels)
    gained = sum(1 / math.log2(rank + 1) for rank, row in enumerate(ranking[:cutoff], 1) if row in relevant)
    return gained / sum(1 / math.log2(rank + 1) for rank in range(1, min(len(labels), cutoff) + 1))


def recall(ranking: Sequence[int], labels: Sequence[int], cutoff: int) -> float:
    """See above."""
    return len(set(labels).intersection(ranking[:cutoff])) / len(labels)


def mrr(ranking: Sequence[int], labels: Sequence[int], cutoff: int) -> float:
    """See above."""
    relevant = set(labels)
    return next((1 / rank for rank, row in enumerate(ranking[:cutoff], 1) if row in relevant), 0.0)


_METRICS: Mapping[str, Callable[[Sequence[int], Sequence[int], int], float]] = {
    "ndcg": ndcg,
    "recall": recall,
    "mrr": mrr,
}


def score(
    families: Sequence[str],
    cutoffs: Sequence[int],
    rankings: Mapping[str, Sequence[int]],
    labels: Mapping[str, Sequence[int]],
) -> Values:
    """The value of each metric for each query that has a ranking.

    Args:
        families: Of metrics.
        cutoffs: ``k`` of each.
        rankings: Rows of the corpus by query, the best first; those of an empty ranking do not count.
        labels: Relevant rows by query, at least one.
    """
    return {
        f"{family}_at_{cutoff}": {
            query: _METRICS[family](ranking, labels[query], cutoff) for query, ranking in rankings.items() if ranking
        }
        for family in families
        for cutoff in cutoffs
    }


def score_answers(cutoffs: Sequence[int], first_hits: Mapping[str, int]) -> Values:
    """hit_rate_at_k for each query.

    Args:
        cutoffs: Each ``k``.
        first_hits: By query the rank of the first passage that has an answer in it, from 1; 0 for none.
    """
    return {
        f"hit_rate_at_{cutoff}": {query: float(0 < rank <= cutoff) for query, rank in first_hits.items()}
        for cutoff in cutoffs
    }


def has_answer(answers: Sequence[Sequence[str]], text: str) -> bool:
    """Whether the tokens of any answer stand in a text, one after the other.

    Args:
        answers: ``tokens`` of each.
        text: A passage.
    """
    found = tokens(text)
    return any(
        any(found[start : start + len(answer)] == list(answer) for start in range(len(found) - len(answer) + 1))
        for answer in answers
    )


def tokens(text: str) -> list[str]:
    """The tokens of a text as DPR's SimpleTokenizer makes them, in small letters, of canonical decomposition (NFD)."""
    return [match.lower() for match in _pattern().findall(unicodedata.normalize("NFD", text))]


@cache
def _pattern() -> Any:
    import regex  # not for a list of tasks

    return regex.compile(_TOKENS, flags=regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)
