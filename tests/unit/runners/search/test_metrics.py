from __future__ import annotations

import math
import random
import struct

import pytest

from flagbench import BadData, BadInput
from flagbench.runners.search.metrics import DENOMINATORS, MEASURES, Metric, Qrels, Run, means, metric_names, per_query

CUTOFFS = (1, 3, 5, 10, 50, 100, 1000)


def random_case(seed: int) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Qrels and a run with ties, near ties, queries without results and queries without relevant passages."""
    rng = random.Random(seed)
    passages = [f"p{number}" for number in range(30)]
    queries = [f"q{number}" for number in range(rng.randint(1, 12))]
    qrels = {
        query: {each: rng.choice([0, 0, 1, 1, 2]) for each in rng.sample(passages, rng.randint(1, 12))}
        for query in queries
    }
    run = {
        query: {
            each: rng.choice([rng.randrange(3), rng.randrange(3) + rng.random() * 1e-9, rng.uniform(-1, 1)])
            for each in rng.sample(passages, rng.randint(0, 25))
        }
        for query in rng.sample(queries, rng.randint(1, len(queries)))
    }
    return qrels, run


@pytest.mark.parametrize("seed", range(60))
def test_compat_is_the_official_package(seed: int) -> None:
    pytest.importorskip("air_benchmark")
    from air_benchmark.evaluation_utils.evaluator import Evaluator

    qrels, run = random_case(seed)
    ours = means(qrels, per_query(qrels, run, CUTOFFS), "compat")
    theirs = Evaluator.compute_metrics(qrels, run, list(CUTOFFS))
    assert list(ours.items()) == list(theirs.items())


def naive(qrels: Qrels, run: Run) -> dict[str, float]:
    """trec_eval's metrics from their definitions: queries with a relevant passage count, results or not."""
    counted = [query for query, judged in qrels.items() if any(value > 0 for value in judged.values())]
    values: dict[str, list[float]] = {name: [] for name in metric_names(CUTOFFS)}
    for query in counted:
        judged, hits = qrels[query], run.get(query, {})
        # trec_eval keeps scores in single precision; of equal ones the larger id comes first.
        ranked = sorted(
            hits, key=lambda each: (struct.unpack("f", struct.pack("f", hits[each]))[0], each), reverse=True
        )
        gains = [judged.get(each, 0) for each in ranked]
        ideal = sorted((value for value in judged.values() if value > 0), reverse=True)
        for k in CUTOFFS:
            found = [rank for rank, gain in enumerate(gains[:k], 1) if gain > 0]
            values[f"ndcg_at_{k}"].append(dcg(gains[:k]) / dcg(ideal[:k]))
            precisions = [number / rank for number, rank in enumerate(found, 1)]
            values[f"map_at_{k}"].append(sum(precisions) / len(ideal))
            values[f"recall_at_{k}"].append(len(found) / len(ideal))
            values[f"precision_at_{k}"].append(len(found) / k)
            values[f"mrr_at_{k}"].append(1 / found[0] if found else 0.0)
    return {name: sum(each) / len(each) for name, each in values.items()}


def dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


@pytest.mark.parametrize("seed", range(60))
def test_strict_is_what_the_definitions_say(seed: int) -> None:
    qrels, run = random_case(seed)
    expected = naive(qrels, run)
    ours = means(qrels, per_query(qrels, run, CUTOFFS, "strict"), "strict")
    assert list(ours) == list(expected) == metric_names(CUTOFFS)
    assert ours == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(60))
def test_compat_is_strict_over_other_queries(seed: int) -> None:
    """The same without the official package: strict, checked above, over the run's queries, and MRR by hand."""
    qrels, run = random_case(seed)
    ours = means(qrels, per_query(qrels, run, CUTOFFS), "compat")
    hopeful = {query: judged for query, judged in qrels.items() if query in run and any(judged.values())}
    strict = naive(hopeful, run) if hopeful else dict.fromkeys(ours, 0.0)
    ranked = {query: sorted(hits, key=hits.__getitem__, reverse=True) for query, hits in run.items()}
    for name, value in ours.items():
        expected = strict[name] * len(hopeful) / len(run)
        if name.startswith("mrr_"):
            found = [[qrels[query].get(each, 0) > 0 for each in its] for query, its in ranked.items()]
            cut = [its[: int(name.split("_")[-1])] for its in found]
            expected = sum(1 / (its.index(True) + 1) for its in cut if True in its) / len(qrels)
        assert value == pytest.approx(expected, abs=0.5e-5 + 1e-12)
        assert value == round(value, 5)


def test_rules_differ_where_they_say() -> None:
    qrels = {"found": {"b": 1}, "lost": {"a": 1}, "hopeless": {"a": 0}}
    run = {"found": {"a": 0.5, "b": 0.5}, "hopeless": {"a": 1.0}}

    compat = per_query(qrels, run, (1, 10), "compat")
    assert compat["recall_at_10"] == {"found": 1.0, "hopeless": 0.0}
    assert compat["mrr_at_10"] == {"found": 0.5, "hopeless": 0.0}, "a comes first in the run"
    assert means(qrels, compat, "compat")["recall_at_10"] == 0.5
    assert means(qrels, compat, "compat")["mrr_at_10"] == round(0.5 / 3, 5)

    strict = per_query(qrels, run, (1, 10), "strict")
    assert strict["recall_at_10"] == {"found": 1.0, "lost": 0.0}
    assert strict["mrr_at_10"] == {"found": 1.0, "lost": 0.0}, "of equal scores the larger id comes first"
    assert means(qrels, strict, "strict")["mrr_at_10"] == 0.5


@pytest.mark.parametrize("rule", ["compat", "strict"])
def test_queries_without_judgements_are_refused(rule: str) -> None:
    with pytest.raises(BadData, match="no relevance judgements for 1 of 2 queries: 'odd'"):
        per_query({"q": {"a": 1}}, {"q": {"a": 1.0}, "odd": {"a": 1.0}}, (1,), rule)  # type: ignore[arg-type]


def test_of_many_queries_without_judgements_the_first_three_are_named() -> None:
    run = {query: {"a": 1.0} for query in ("q", "e", "d", "c", "b", "a")}
    with pytest.raises(BadData) as caught:
        per_query({"q": {"a": 1}}, run, (1,))
    assert str(caught.value) == "no relevance judgements for 5 of 6 queries: 'e', 'd', 'c' and 2 more"


@pytest.mark.parametrize(
    ("qrels", "run", "rule"), [({"q": {"a": 1}}, {}, "compat"), ({"q": {"a": 0}}, {"q": {"a": 1.0}}, "strict")]
)
def test_nothing_to_average_is_refused(qrels: Qrels, run: Run, rule: str) -> None:
    with pytest.raises(BadData, match="none of the queries counts"):
        per_query(qrels, run, (1,), rule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("qrels", "run"),
    [
        ({"q": {"a": 1}}, {"q": {"\ud800": 1.0}}),
        ({"q": {"\ud800": 1}}, {"q": {"a": 1.0}}),
        ({"\ud800": {"a": 1}}, {"\ud800": {"a": 1.0}}),
    ],
)
def test_ids_that_would_take_pytrec_eval_down_are_refused(qrels: Qrels, run: Run) -> None:
    with pytest.raises(BadData, match="is not valid text"):
        per_query(qrels, run, (1,))


@pytest.mark.parametrize(
    ("text", "name", "title", "measure"),
    [
        ("nDCG@10", "ndcg_at_10", "nDCG@10", "ndcg_cut_10"),
        ("ndcg_at_10", "ndcg_at_10", "nDCG@10", "ndcg_cut_10"),
        ("Recall@100", "recall_at_100", "Recall@100", "recall_100"),
        ("MAP@1000", "map_at_1000", "MAP@1000", "map_cut_1000"),
        ("P@5", "precision_at_5", "Precision@5", "P_5"),
        ("precision_at_5", "precision_at_5", "Precision@5", "P_5"),
        ("hit_rate_at_3", "hit_rate_at_3", "HitRate@3", "success_3"),
        ("HitRate@3", "hit_rate_at_3", "HitRate@3", "success_3"),
        ("mrr@10", "mrr_at_10", "MRR@10", "recip_rank"),
    ],
)
def test_a_metric_is_read_in_both_spellings(text: str, name: str, title: str, measure: str) -> None:
    metric = Metric.parse(text)
    assert (metric.name, metric.title, metric.measure) == (name, title, measure)
    assert Metric.parse(metric.name) == Metric.parse(metric.title) == metric


@pytest.mark.parametrize(
    "text",
    ["", "ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@1.5", "ndcg@１０", "recall@10 ", "accuracy", "cv_recall_at_1"],
)
def test_what_is_no_metric_of_rankings_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"is not a metric of rankings: expected one such as nDCG@10, MAP@10"):
        Metric.parse(text)


def test_measures_are_those_that_pytrec_eval_gives() -> None:
    import pytrec_eval

    metrics = [Metric(family, 3) for family in MEASURES]
    wanted = {metric.measure if metric.family == "mrr" else f"{MEASURES[metric.family]}.3" for metric in metrics}
    found = pytrec_eval.RelevanceEvaluator({"q": {"a": 1, "b": 1}}, wanted).evaluate({"q": {"a": 1.0, "c": 2.0}})["q"]
    assert found.keys() == {metric.measure for metric in metrics}
    assert found["success_3"] == 1.0
    assert found["recall_3"] == 0.5


@pytest.mark.parametrize("rule", ["compat", "strict"])
def test_means_are_over_the_queries_that_the_table_says(rule: str) -> None:
    """Every value is 1 where something was found, so a mean is one over the number of queries that it is over."""
    qrels = {"found": {"a": 1}, "lost": {"a": 1}, "hopeless": {"a": 0}, "hopeless too": {"a": 0}, "lost too": {"a": 1}}
    run = {"found": {"a": 1.0}, "hopeless": {"a": 1.0}}
    counts = {"searched": 2, "judged": 5, "answerable": 3}
    values = per_query(qrels, run, (1,), rule)  # type: ignore[arg-type]
    for name, mean in means(qrels, values, rule).items():  # type: ignore[arg-type]
        counted = DENOMINATORS[rule][Metric.parse(name).family]  # type: ignore[index]
        assert mean == pytest.approx(1 / counts[counted], abs=1e-5), name


def test_passages_that_the_corpus_lacks_count_as_never_found() -> None:
    values = per_query({"q": {"a": 1, "absent": 1}}, {"q": {"a": 2.0, "b": 1.0}}, (2,), "strict")
    assert values["recall_at_2"]["q"] == 0.5
    assert values["map_at_2"]["q"] == 0.5
    assert values["ndcg_at_2"]["q"] == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert values["precision_at_2"]["q"] == 0.5
    assert values["mrr_at_2"]["q"] == 1.0


@pytest.mark.parametrize("grade", [-3, 3_000_000_000])
def test_grades_that_take_trec_eval_down_are_refused(grade: int) -> None:
    """Below 0 it writes before a table's begin, and it makes one of as many places as the highest grade."""
    with pytest.raises(BadData, match=r"has labels of query 'q' up to .*fix the data"):
        per_query({"q": {"d": grade}}, {"q": {"d": 1.0}}, cutoffs=(10,), rule="strict")


def test_ids_that_trec_eval_would_cut_are_refused() -> None:
    with pytest.raises(BadData, match="has a NUL in it"):
        per_query({"q": {"d": 1}}, {"q": {"d\0a": 1.0, "d\0b": 0.5}}, cutoffs=(10,), rule="strict")
