"""Metrics against the definitions of their authors, computed from whole matrices of ranks."""

from __future__ import annotations

import numpy as np
import pytest

from flagbench.suites.composed.registry import rows
from flagbench.suites.composed.scoring import score

CANDIDATES = [f"c{number:03}" for number in range(120)]


def made(seed: int, queries: int, gold: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Random rankings of all candidates, and up to so many relevant ones of each query."""
    rng = np.random.default_rng(seed)
    rankings = {f"q{n}": [CANDIDATES[place] for place in rng.permutation(len(CANDIDATES))] for n in range(queries)}
    relevant = {
        query: sorted(rng.choice(CANDIDATES, size=rng.integers(1, gold + 1), replace=False)) for query in rankings
    }
    return rankings, relevant


def test_mean_precision_of_circo_is_over_as_many_as_can_be_found() -> None:
    rankings, gold = made(0, 40, 23)
    targets = {query: its[0] for query, its in gold.items()}
    found = score("circo", (5, 10, 25, 50), rankings, gold, subsets={}, targets=targets)
    assert list(found) == [f"{family}_at_{k}" for family in ("map", "recall") for k in (5, 10, 25, 50)]
    for query, ranked in rankings.items():
        labels = np.isin(ranked, gold[query])
        precisions = np.cumsum(labels) * labels / np.arange(1, len(ranked) + 1)
        for k in (5, 10, 25, 50):
            assert found[f"map_at_{k}"][query] == pytest.approx(
                precisions[:k].sum() / min(len(gold[query]), k), abs=1e-12
            )
            assert found[f"recall_at_{k}"][query] == float((np.array(ranked)[:k] == targets[query]).sum())
    # trec_eval's would be smaller where there are more relevant ones than k.
    assert any(len(its) > 5 for its in gold.values())


def test_recall_of_cirr_is_in_the_ranking_and_in_the_set() -> None:
    rankings, gold = made(1, 60, 1)
    subsets = {
        query: [each for each in ranked if each in {*ranked[:40:10], *gold[query]}]
        for query, ranked in rankings.items()
    }
    found = score("cirr", (1, 5, 10, 50), rankings, gold, subsets=subsets, targets={})
    for query, ranked in rankings.items():
        rank = ranked.index(gold[query][0]) + 1
        inner = subsets[query].index(gold[query][0]) + 1
        assert [found[f"recall_at_{k}"][query] for k in (1, 5, 10, 50)] == [float(rank <= k) for k in (1, 5, 10, 50)]
        assert [found[f"recall_subset_at_{k}"][query] for k in (1, 2, 3)] == [float(inner <= k) for k in (1, 2, 3)]
        assert found["recall_avg"][query] == ((rank <= 5) + (inner <= 1)) / 2


def test_recall_of_webqa_is_a_share_and_its_easy_recall_any_hit() -> None:
    rankings, gold = made(2, 50, 4)
    cutoffs = (1, 5, 10, 20, 50, 100)
    found = score("webqa", cutoffs, rankings, gold, subsets={}, targets={})
    assert set(found) == {f"{family}_at_{k}" for family in ("recall", "hit_rate", "mrr") for k in cutoffs}
    for k in cutoffs:
        for query, ranked in rankings.items():
            shared = np.intersect1d(gold[query], ranked[:k])
            ranks = [ranked.index(each) + 1 for each in gold[query]]
            assert found[f"recall_at_{k}"][query] == len(shared) / len(gold[query])
            assert found[f"hit_rate_at_{k}"][query] == float(len(shared) > 0)
            assert found[f"mrr_at_{k}"][query] == (1 / min(ranks) if min(ranks) <= k else 0.0)
    assert 0 < sum(found["recall_at_50"].values()) < sum(found["hit_rate_at_50"].values())


def test_recall_of_m_beir_is_any_hit() -> None:
    rankings, gold = made(3, 50, 4)
    found = score("mbeir", (1, 5, 10), rankings, gold, subsets={}, targets={})
    assert set(found) == {"hit_rate_at_1", "hit_rate_at_5", "hit_rate_at_10"}
    for query, ranked in rankings.items():
        assert found["hit_rate_at_5"][query] == float(bool(set(ranked[:5]) & set(gold[query])))


def test_a_query_of_which_nothing_is_found_counts_0() -> None:
    for layout in ("fashioniq", "webqa", "circo", "mbeir"):
        found = score(layout, (1, 5), {"a": []}, {"a": ["x"], "b": ["y"]}, subsets={}, targets={})
        assert all(values == {"a": 0.0, "b": 0.0} for values in found.values())


def test_the_main_score_of_each_task_is_one_of_its_metrics() -> None:
    for row in rows():
        rankings, gold = made(4, 3, 1)
        subsets = rankings if row.layout == "cirr" else {}
        targets = {query: its[0] for query, its in gold.items()} if row.layout == "circo" else {}
        found = score(row.layout, row.cutoffs, rankings, gold, subsets=subsets, targets=targets)
        assert row.main_score in found, row.name
