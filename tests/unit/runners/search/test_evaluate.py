"""A small data set searched, re-ranked and scored, against rankings and metrics that are worked out by hand."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flagbench import BadData, BadInput
from flagbench.models.contract import DENSE
from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.registry import published
from flagbench.results.values import Values
from flagbench.results.worst_queries import Examples
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.progress import Silent
from flagbench.runners.search.evaluate import Part, RetrievalData, RetrievalResult, Scoring, evaluate
from flagbench.runners.search.metrics import Metric, Rule
from flagbench.runners.search.ranking import Texts
from tests.unit.fakes import Encoding
from tests.unit.fakes import Scoring as Reranking

PASSAGES = Texts([f"p{number:02}" for number in range(20)], [f"passage {number}" for number in range(20)])
QUERIES = {
    "dev": Texts(["q1", "q2", "q3", "q4"], ["one", "two", "three", "four"]),
    "test": Texts(["q1", "q9"], ["another one", "nine"]),
    "blind": Texts(["q1"], ["without labels"]),
}
QRELS: Mapping[str, dict[str, dict[str, int]]] = {
    "dev": {
        "q1": {"p00": 2, "p04": 1, "p07": 1, "p11": 0, "p13": 1, "p19": 2},
        "q2": {"p03": 1, "absent": 1, "p08": 1, "p17": 1},
        "q3": {"p01": 0, "p02": 0},
        "q4": {"p05": 1, "p06": 2, "p10": 1, "p12": 1, "p15": 1},
    },
    "test": {"q1": {"p02": 1, "p09": 1, "p14": 3}, "q9": {"p16": 1, "p18": 1}, "nobody asked": {"p01": 1}},
}
METRICS = {"ndcg": "nDCG", "recall": "Recall", "mrr": "MRR", "map": "MAP", "precision": "P"}


def numbers(text: str) -> list[float]:
    draw = random.Random(text)
    return [draw.gauss(0, 1) for _ in range(8)]


def likeness(query: str, passage: str) -> float:
    return sum(a * b for a, b in zip(numbers(query), numbers(passage), strict=True))


class Drawn(Encoding):
    """Each text has numbers of its own."""

    spec = replace(published()["flagbench/random"], similarity="dot", normalize=False, prompts=(("query", "ask "),))

    def encode(self, texts: Sequence[str], *, role: Any, instruction: str = "", parts: Any = DENSE) -> Embeddings:
        return Embeddings(dense=np.array([numbers(instruction + text) for text in texts], dtype=np.float32))


class Reversed(Reranking):
    """The later a passage stands in the corpus, the better."""

    spec = published()["flagbench/random-reranker"]

    def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
        return np.array([int(passage.split()[1]) for _, passage in pairs], dtype=np.float32)


class Index:
    library, method = "none", "first letters"

    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = passages

    def search(self, query: str, top_k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        rows = [] if query == "two" else sorted(range(20), key=lambda row: -likeness(query, self._passages[row]))
        scores = [likeness(query, self._passages[row]) for row in rows]
        return np.array(rows[:top_k], dtype=np.int64), np.array(scores[:top_k], dtype=np.float32)


class Searching:
    """Finds nothing for the query "two"."""

    spec = published()["flagbench/bm25"]
    capabilities = frozenset({"search"})
    device, backend = "cpu", "none"

    def index(self, passages: Iterator[str], *, language: str) -> Index:
        assert language == "en"
        return Index(list(passages))


def data(labels: Mapping[str, dict[str, dict[str, int]]] = QRELS) -> RetrievalData:
    parts = {split: Part(queries, labels.get(split)) for split, queries in QUERIES.items()}
    return RetrievalData("Small", "Retrieval", PASSAGES, parts, "en")


def scored(evaluated: Any, rule: Rule = "strict", metric: str = "nDCG@5", **how: Any) -> RetrievalResult:
    scoring = Scoring(Metric.parse(metric), (1, 3, 5), rule=rule, **{"top_k": 9} | how)
    return evaluate(data(), scoring, evaluated, Silent())


def rankings(split: str, instruction: str = "ask ") -> dict[str, list[str]]:
    """The passages per query, the likest first, without the code that is tested."""
    found = {}
    for query_id, query in zip(QUERIES[split].ids, QUERIES[split].texts, strict=True):
        likest = sorted(
            zip(PASSAGES.ids, PASSAGES.texts, strict=True), key=lambda its: -likeness(instruction + query, its[1])
        )
        found[query_id] = [id_ for id_, _ in likest[:9]]
    return found


def value(family: str, ranking: Sequence[str], judged: Mapping[str, int], k: int) -> float:
    """A metric by its definition."""
    gains = [judged.get(passage, 0) for passage in ranking[:k]]
    ideal = sorted((grade for grade in judged.values() if grade > 0), reverse=True)
    places = [place for place, gain in enumerate(gains, 1) if gain > 0]
    match family:
        case "ndcg":
            best = sum(grade / math.log2(place + 1) for place, grade in enumerate(ideal[:k], 1))
            return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1)) / best
        case "recall":
            return len(places) / len(ideal)
        case "precision":
            return len(places) / k
        case "mrr":
            return 1 / places[0] if places else 0.0
        case _:
            return sum(number / place for number, place in enumerate(places, 1)) / len(ideal)


def check(result: RetrievalResult, at: int, expected: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Hold a stage against rankings: its runs, the value of each query that counts, and the means."""
    stage = result.stages[at]
    assert {split: {query: list(hits) for query, hits in run.items()} for split, run in stage.runs.items()} == expected
    assert list(stage.scored) == ["dev", "test"]
    for split, its in stage.scored.items():
        counted = {query: judged for query, judged in QRELS[split].items() if any(judged.values())}
        for family in METRICS:
            for k in (1, 3, 5):
                values = {
                    query: value(family, expected[split].get(query, []), judged, k) for query, judged in counted.items()
                }
                assert its.values[f"{family}_at_{k}"] == pytest.approx(values, abs=1e-6)
                assert its.means[f"{family}_at_{k}"] == pytest.approx(sum(values.values()) / len(values), abs=1e-6)


def test_a_model_alone() -> None:
    result = scored(EvaluatedModel(Drawn()))
    check(result, 0, {split: rankings(split) for split in QUERIES})
    assert [stage.reranked for stage in result.stages] == [False]
    assert result.search is not None
    assert result.texts["asked"] == 27
    assert set(result.seconds) == {"encode", "search", "rerank", "score"}
    assert result.seconds["rerank"] == 0.0


@pytest.mark.parametrize("below", ["kept", "dropped"])
def test_a_reranker_behind_it(below: Any) -> None:
    result = scored(EvaluatedModel(Drawn(), Reversed(), 4), below=below)
    first = {split: rankings(split) for split in QUERIES}
    rest = 9 if below == "kept" else 4
    second = {
        split: {query: [*sorted(ids[:4], reverse=True), *ids[4:rest]] for query, ids in its.items()}
        for split, its in first.items()
    }
    assert [stage.reranked for stage in result.stages] == [False, True]
    check(result, 0, first)
    check(result, 1, second)
    assert result.scores == {
        split: {"default": its.means["ndcg_at_5"]} for split, its in result.stages[1].scored.items()
    }
    assert result.scores["dev"] != {"default": result.stages[0].scored["dev"].means["ndcg_at_5"]}


def test_a_searcher_that_finds_nothing_for_a_query() -> None:
    result = scored(EvaluatedModel(Searching()))
    expected = {split: rankings(split, "") for split in QUERIES}
    expected["dev"]["q2"] = []
    check(result, 0, expected)
    assert result.search is not None
    assert result.search.index == "first letters"
    assert result.notes[0] == "dev/default: 1 of 4 queries have no results and count 0"
    assert not any("share no word" in note for note in result.notes)
    # Filled, it gets the passages that trec_eval puts first of those with score 0: the larger ids.
    filled = scored(EvaluatedModel(Searching()), fill_empty=True)
    expected["dev"]["q2"] = sorted(PASSAGES.ids, reverse=True)[:9]
    check(filled, 0, expected)
    assert scored(EvaluatedModel(Drawn()), fill_empty=True).notes == scored(EvaluatedModel(Drawn())).notes
    assert filled.notes[0] == "1 of 7 queries share no word with any passage: all passages score 0"
    assert filled.notes[1:] == result.notes[1:]


def test_what_is_odd_about_labels_is_said_with_what_it_counts() -> None:
    assert scored(EvaluatedModel(Drawn())).notes == (
        "dev: 1 of 14 relevant passages are not in the corpus and cannot be found",
        "dev: 1 of 4 queries have no relevant passage and do not count",
        "test: 1 of 3 judged queries are not among the queries: not searched, and count 0",
    )
    assert "dev: 1 of 4 queries have no relevant passage and count 0" in scored(EvaluatedModel(Drawn()), "compat").notes


def test_the_other_rule_counts_other_queries() -> None:
    """A query without a relevant passage counts 0; one that is not searched counts in MRR alone."""
    result = scored(EvaluatedModel(Drawn()), "compat")
    found = {split: rankings(split) for split in ("dev", "test")}
    for split, searched, judged in (("dev", 4, 4), ("test", 2, 3)):
        means = result.stages[0].scored[split].means
        for family in METRICS:
            total = sum(
                value(family, found[split][query], QRELS[split][query], 5)
                for query in found[split]
                if any(QRELS[split][query].values())
            )
            assert means[f"{family}_at_5"] == pytest.approx(total / (judged if family == "mrr" else searched), abs=6e-6)


def test_the_files_hold_values_and_worst_queries_of_the_last_stage() -> None:
    result = scored(EvaluatedModel(Drawn(), Reversed(), 4), metric="Recall@3")
    files = result.files()
    last = result.stages[1].scored
    values = Values.from_json(files.pop(Values.file("Small")), {})
    assert values.parts == {split: {"default": its.values} for split, its in last.items()}
    worst = Examples.from_json(files.pop(Examples.file("Small")))
    assert files == {}
    assert worst.metric == "recall_at_3"
    every = [its.values["recall_at_3"][query] for its in last.values() for query in its.values["recall_at_3"]]
    assert [example.value for example in worst.queries] == sorted(every)
    texts = {(split, id_): text for split, its in QUERIES.items() for id_, text in zip(its.ids, its.texts, strict=True)}
    for example in worst.queries:
        assert example.text == texts.get((example.split, example.id), "")
        assert [passage.id for passage in example.found] == list(
            result.stages[1].runs[example.split].get(example.id, {})
        )[:5]


def test_without_labels_there_are_runs_alone() -> None:
    result = evaluate(data({}), Scoring(Metric.parse("nDCG@5"), (5,), top_k=9), EvaluatedModel(Drawn()), Silent())
    assert (result.scores, result.files(), result.notes) == ({}, {}, ())
    assert {split: [*run] for split, run in result.stages[0].runs.items()} == {
        split: list(queries.ids) for split, queries in QUERIES.items()
    }


def test_a_query_without_judgements_is_refused() -> None:
    with pytest.raises(BadData, match="no relevance judgements for 3 of 4 queries: 'q2', 'q3', 'q4'"):
        evaluate(data({"dev": {"q1": {"p00": 1}}}), Scoring(Metric("ndcg", 5), (5,)), EvaluatedModel(Drawn()), Silent())


@pytest.mark.parametrize(
    ("cutoffs", "top_k", "said"),
    [
        ((1, 3), 9, r"nDCG@5 is not computed at the cutoffs 1, 3"),
        ((1, 5), 4, r"nDCG@5 needs more passages than the 4 that are found per query"),
    ],
)
def test_a_metric_that_could_not_be_right_is_refused(cutoffs: tuple[int, ...], top_k: int, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Scoring(Metric("ndcg", 5), cutoffs, top_k=top_k)
    Scoring(Metric("ndcg", 5), (5,), top_k=5)


def test_what_a_scoring_is_unless_said_otherwise() -> None:
    scoring = Scoring(Metric("ndcg", 5), (5,))
    assert (scoring.rule, scoring.top_k, scoring.below, scoring.fill_empty) == ("strict", 1_000, "kept", False)


def test_each_stage_has_its_own_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that only the models move: 100 s for a text's vector, 7 s for the reranker."""
    now = 50.0

    class Slowly(Drawn):
        def encode(self, texts: Sequence[str], **asked: Any) -> Embeddings:
            nonlocal now
            now += 100 * len(texts)
            return super().encode(texts, **asked)

    class Reranking(Reversed):
        def score(self, pairs: Sequence[tuple[str, str]], *, instruction: str = "") -> NDArray[np.float32]:
            nonlocal now
            now += 7
            return super().score(pairs, instruction=instruction)

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    seconds = scored(EvaluatedModel(Slowly(), Reranking(), 4)).seconds
    assert seconds == {"encode": 2_700.0, "search": 0.0, "rerank": 7.0, "score": 0.0}
    assert scored(EvaluatedModel(Slowly())).seconds == {"encode": 2_700.0, "search": 0.0, "rerank": 0.0, "score": 0.0}
