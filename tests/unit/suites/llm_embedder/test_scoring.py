"""Metrics of LLM-Embedder's retrieval against values by hand, whole matrices and pytrec_eval."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import pytrec_eval
from numpy.typing import NDArray

from flagbench.suites.llm_embedder.scoring import has_answer, ndcg, recall, score, score_answers, tokens


def naive(ranking: list[int], labels: list[int], k: int) -> tuple[float, float, float]:
    """nDCG, recall and MRR as their definitions say, over vectors of all ranks."""
    gains: NDArray[np.float64] = np.isin(ranking[:k], labels).astype(float)
    discounts = 1 / np.log2(np.arange(2, len(ranking) + 2))
    ideal = np.zeros(len(ranking))
    ideal[: min(len(labels), k)] = 1
    hits = np.flatnonzero(gains)
    found = len(np.intersect1d(labels, ranking[:k])) / len(labels)
    reciprocal = 1 / (hits[0] + 1) if len(hits) else 0.0
    return float((gains * discounts[: len(gains)]).sum() / (ideal * discounts).sum()), found, reciprocal


def test_all_metrics_are_those_of_a_naive_recomputation_and_of_trec_eval() -> None:
    random = np.random.default_rng(3)
    rankings = {str(query): random.permutation(40)[:20].tolist() for query in range(30)}
    labels = {query: random.choice(40, random.integers(1, 6), replace=False).tolist() for query in rankings}
    found = score(["ndcg", "recall", "mrr"], [1, 3, 5], rankings, labels)
    qrels = {query: dict.fromkeys(map(str, its), 1) for query, its in labels.items()}
    run = {query: {str(row): -float(rank) for rank, row in enumerate(its)} for query, its in rankings.items()}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.1,3,5", "recall.1,3,5"}).evaluate(run)
    for query, ranking in rankings.items():
        for k in (1, 3, 5):
            ours = [found[f"{family}_at_{k}"][query] for family in ("ndcg", "recall", "mrr")]
            assert ours == pytest.approx(naive(ranking, labels[query], k))
            assert ours[:2] == pytest.approx([theirs[query][f"ndcg_cut_{k}"], theirs[query][f"recall_{k}"]])


def test_a_label_that_is_listed_twice_counts_once_as_found_and_twice_in_the_ideal() -> None:
    assert recall([7, 3], [7, 7], 5) == 0.5
    assert ndcg([7, 3], [7, 7], 5) == pytest.approx(1 / (1 + 1 / log2(3)))
    assert ndcg([7, 3], [7, 7], 1) == 1.0
    assert (ndcg([7, 3], [7, 7], 5), recall([7, 3], [7, 7], 5)) == pytest.approx(naive([7, 3, 1, 2, 4], [7, 7], 5)[:2])


def test_queries_without_a_ranking_do_not_count() -> None:
    assert score(["mrr"], [1], {"a": [2], "b": []}, {"a": [2], "b": [1]}) == {"mrr_at_1": {"a": 1.0}}


@pytest.mark.parametrize(
    ("answer", "text", "found"),
    [
        ("New York", "He moved to new york, in 1960.", True),
        ("New York", "He moved to new-york.", False),  # the hyphen is a token
        ("York new", "new york", False),
        ("café", "the cafe\u0301 was shut", True),  # composed and decomposed
        ("1,000", "about 1,000 people", True),
        ("1000", "about 1,000 people", False),
        ("U.S.", "in the U.S. alone", True),
        ("art", "a start", False),
        ("東京", "首都は東京です", False),  # all of it is one token
    ],
)
def test_answers_are_looked_for_token_by_token(answer: str, text: str, found: bool) -> None:
    assert has_answer([tokens(answer)], text) is found


def test_hit_rates_are_of_the_first_passage_with_an_answer() -> None:
    found = score_answers([1, 5], {"a": 1, "b": 3, "c": 0, "d": 6})
    assert found == {
        "hit_rate_at_1": {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0},
        "hit_rate_at_5": {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0},
    }
