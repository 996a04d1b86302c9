"""What a run over AIR-Bench leaves behind, and what may stand beside it in one folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.airbench.benchmark import AIR_BENCH, MINI
from flagbench.airbench.options import AirBenchOptions
from flagbench.models.baselines.bm25 import BM25
from flagbench.models.baselines.random import FakeEncoder, FakeScorer
from flagbench.models.loading.registry import published
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.values import Values
from flagbench.runners.benchmark import EvaluatedModel, Loaded
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.runners.run.plan import Plan, resolve
from flagbench.runners.search.ranking import Texts

_ENCODER = FakeEncoder(published()["flagbench/random"])
_SCORER = FakeScorer(published()["flagbench/random-reranker"])
_QA = "AIR-Bench_24.05_qa_wiki_zh_default"
_BOOK = "AIR-Bench_24.05_long-doc_book_en_a-brief-history-of-time_stephen-hawking"


def _loaded(name: str, passages: Mapping[str, str] | None = None) -> Loaded:
    request = RunRequest("m", "air-bench", tasks=(name,), mini=True)
    (task,) = AIR_BENCH.select(request)
    loaded = AIR_BENCH.load(task, Snapshots(MINI), request)
    if passages is None:
        return loaded
    return replace(loaded, content=replace(loaded.content, passages=Texts([*passages], [*passages.values()])))


def _hits(files: Mapping[str, str], ending: str) -> dict[str, dict[str, float]]:
    (text,) = (text for name, text in files.items() if name.endswith(ending))
    hits: dict[str, dict[str, float]] = json.loads(text)["search_results"]
    return hits


def test_queries_that_share_no_word_get_the_passages_that_trec_eval_puts_first() -> None:
    """All score 0, and of equal scores the larger id comes first: the ranking is the one that is scored."""
    passages = {f"doc-{number:04}": "zzz" for number in range(1_100)}
    files = AIR_BENCH.evaluate(
        _loaded(_QA, passages), EvaluatedModel(BM25(published()["flagbench/bm25"])), Silent(), None
    ).files
    for hits in _hits(files, "zh_default_test.json").values():
        assert list(hits.items()) == [(each, 0.0) for each in sorted(passages, reverse=True)[:1_000]]


def test_a_thousand_passages_are_kept_in_their_order() -> None:
    loaded = _loaded(_QA, {f"doc-{number:04}": f"passage {number // 2}" for number in range(1_200)})
    outcome = AIR_BENCH.evaluate(loaded, EvaluatedModel(_ENCODER), Silent(), None)
    for ending in ("zh_default_dev.json", "zh_default_test.json"):
        found = _hits(outcome.files, ending)
        assert len(found) == 10
        for hits in found.values():
            assert len(hits) == 1_000
            # Equal texts have equal scores: the larger id first, as trec_eval has them.
            assert list(hits) == sorted(hits, key=lambda passage: (hits[passage], passage), reverse=True)


def test_what_the_reranker_does_not_see_is_in_the_first_files_alone() -> None:
    outcome = AIR_BENCH.evaluate(_loaded(_QA), EvaluatedModel(_ENCODER, _SCORER, 7), Silent(), None)
    first, second = (
        _hits(outcome.files, f"{reranker}/qa/wiki/zh_default_dev.json")
        for reranker in ("NoReranker", "random-reranker")
    )
    assert {len(hits) for hits in first.values()} == {32}
    for query, hits in second.items():
        assert set(hits) == set(list(first[query])[:7])
    # The score is that of the last stage.
    (values,) = (text for name, text in outcome.files.items() if "per_query" in name)
    per_query = Values.from_json(values, {}).of("ndcg_at_10")
    assert outcome.scores["dev"]["default"] == pytest.approx(sum(per_query.values()) / len(per_query), abs=5.1e-6)
    alone = AIR_BENCH.evaluate(_loaded(_QA), EvaluatedModel(_ENCODER), Silent(), None)
    assert alone.scores != outcome.scores


@pytest.mark.parametrize(("name", "metric"), [(_QA, "ndcg_at_10"), (_BOOK, "recall_at_10")])
def test_the_score_is_the_main_metric_s(name: str, metric: str) -> None:
    outcome = AIR_BENCH.evaluate(_loaded(name), EvaluatedModel(_ENCODER), Silent(), None)
    (values,) = (text for path, text in outcome.files.items() if "per_query" in path)
    per_query = Values.from_json(values, {}).of(metric)
    assert outcome.scores == {"dev": {"default": pytest.approx(sum(per_query.values()) / len(per_query), abs=5.1e-6)}}


def test_what_is_to_be_known_of_a_score_is_one_line() -> None:
    """Of both splits, of the test split alone, and where a searcher found nothing as well."""
    options = AirBenchOptions(splits=("test",))
    request = RunRequest("m", "air-bench", tasks=(_QA,), mini=True, options=options)
    (task,) = AIR_BENCH.select(request)
    test = AIR_BENCH.load(task, Snapshots(MINI), request)
    nothing = "10 of 10 queries share no word with any passage: all passages score 0"
    words = EvaluatedModel(BM25(published()["flagbench/bm25"]))
    strange = replace(test, content=replace(test.content, passages=Texts(["a", "b"], ["zzz", "yyy"])))
    assert AIR_BENCH.evaluate(_loaded(_QA), EvaluatedModel(_ENCODER), Silent(), None).note == ""
    alone = AIR_BENCH.evaluate(test, EvaluatedModel(_ENCODER), Silent(), None)
    assert (alone.note, alone.scores) == ("test labels are not published", {})
    assert list(alone.files) == ["AIR-Bench_24.05/search_results/random/NoReranker/qa/wiki/zh_default_test.json"]
    found = AIR_BENCH.evaluate(strange, words, Silent(), None)
    assert found.note == f"{nothing}; test labels are not published"
    assert found.search is not None
    assert found.search["index"].startswith("bm25 lucene k1=")


@pytest.mark.parametrize(("name", "language"), [(_QA, "zh"), (_BOOK, "en")])
def test_a_searcher_is_told_the_language_of_the_dataset(
    name: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    index = BM25.index

    def noted(self: BM25, passages: Iterable[str], *, language: str) -> Any:
        told.append(language)
        return index(self, passages, language=language)

    monkeypatch.setattr(BM25, "index", noted)
    AIR_BENCH.evaluate(_loaded(name), EvaluatedModel(BM25(published()["flagbench/bm25"])), Silent(), None)
    assert told == [language]


def test_the_files_are_those_that_were_announced() -> None:
    for reranker in (None, _SCORER):
        outcome = AIR_BENCH.evaluate(_loaded(_QA), EvaluatedModel(_ENCODER, reranker, 5), Silent(), None)
        (task,) = AIR_BENCH.select(RunRequest("m", "air-bench", tasks=(_QA,)))
        names = AIR_BENCH.outputs(task, _ENCODER.spec, reranker.spec if reranker else None)
        assert set(names) == {name for name in outcome.files if "search_results" in name}
        assert len(names) == (4 if reranker else 2)


def test_the_splits_are_no_setting_and_all_else_is() -> None:
    (both,) = AIR_BENCH.select(RunRequest("m", "air-bench", tasks=(_QA,)))
    (dev,) = AIR_BENCH.select(RunRequest("m", "air-bench", tasks=(_QA,), options=AirBenchOptions(splits=("dev",))))
    assert both.splits != dev.splits
    assert AIR_BENCH.settings(both) == AIR_BENCH.settings(dev)
    changes = {"name": "x", "kind": "STS", "dataset": "a/b", "revision": "1", "main_score": "x", "group": "24.04"}
    for field, value in changes.items():
        assert AIR_BENCH.settings(replace(both, **{field: value})) != AIR_BENCH.settings(both), field  # type: ignore[arg-type]


# What may stand side by side.


def _plan(output: Path, **asked: Any) -> Plan:
    own = {each.name: asked.pop(each.name) for each in fields(AirBenchOptions) if each.name in asked}
    request = RunRequest("flagbench/random", "air-bench", mini=True, output=output, device="cpu", **asked)
    return resolve(replace(request, options=AirBenchOptions(**own)))


def _run(plan: Plan, change: Callable[[dict[str, Any]], None], status: Any = "success") -> None:
    """Leave a record of the first step of a plan with other settings."""
    step = plan.steps[0]
    settings = json.loads(json.dumps(step.settings))
    change(settings)
    record = TaskRecord(step.task.name, step.task.kind, status, settings, "other")
    run = RunRecord("air-bench", plan.model.spec.name, plan.model.spec.revision, {}, (), {}, {})
    plan.store.prepare()
    plan.store.write_task(run, record, {})
    plan.store.release()


CHANGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "model": lambda its: its["model"].update(query_max_length=7),
    "reranker": lambda its: its.update(reranker={"name": "r", "top_k": 3}),
    "store": lambda its: its.update(store="fp16"),
    "instruction": lambda its: its["instruction"].update(query="ask: "),
    "data": lambda its: its["data"].update(files="other"),
    "task": lambda its: its["task"].update(revision="other"),
}


@pytest.mark.parametrize("part", CHANGES)
def test_results_of_other_settings_are_not_mixed(part: str, tmp_path: Path) -> None:
    """Of another dataset only what is the same in all of a submission has to be equal."""
    zh = {"languages": ("zh",), "domains": ("wiki",)}
    _run(_plan(tmp_path, **zh), CHANGES[part])
    with pytest.raises(BadInput, match=rf"holds AIR-Bench 24\.05 results of other settings \({part}"):
        _plan(tmp_path, **zh)
    _plan(tmp_path, **zh, overwrite=True)
    other = {"languages": ("de",)}
    if part in {"model", "reranker", "store"}:
        with pytest.raises(BadInput, match="other settings"):
            _plan(tmp_path, **other)
        with pytest.raises(BadInput, match=r"choose another --output$"):
            _plan(tmp_path, **other, overwrite=True)
    else:
        _plan(tmp_path, **other)


def test_failed_tasks_and_other_versions_are_no_obstacle(tmp_path: Path) -> None:
    zh = {"languages": ("zh",), "domains": ("wiki",)}
    _run(_plan(tmp_path / "a", **zh), CHANGES["model"], "error")
    _plan(tmp_path / "a", **zh)
    _plan(tmp_path / "a", languages=("de",))
    _run(_plan(tmp_path / "b", **zh, versions=("24.04",)), CHANGES["model"])
    _plan(tmp_path / "b", **zh)
    with pytest.raises(BadInput, match=r"holds AIR-Bench 24\.04 results of other settings"):
        _plan(tmp_path / "b", **zh, versions=("24.04",))


def _write_results(plan: Plan, name: str, *, model: str) -> None:
    """A file of results of a model where a step of the plan has it."""
    path = plan.store.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"model_name": model, "reranker_name": "NoReranker", "benchmark_version": "AIR-Bench_24.05"}
    data = {"task_type": "qa", "domain": "wiki", "language": "zh", "dataset_name": "default"}
    split = "dev" if name.endswith("_dev.json") else "test"
    path.write_text(json.dumps(head | data | {"split": split, "search_results": {"q": {"d": 0.5}}}), encoding="utf-8")


@pytest.mark.parametrize("foreign", ["dev", "test"])
@pytest.mark.parametrize("recorded", ["no run", "no task", "no file", "the other file", "the same file", "both files"])
def test_a_file_of_another_model_that_no_run_recorded_is_not_written_over(
    recorded: str, foreign: str, tmp_path: Path
) -> None:
    """Only what the record of its own task names is known to be of the run."""
    zh = {"languages": ("zh",), "domains": ("wiki",)}
    plan = _plan(tmp_path, **zh)
    (step,) = plan.steps
    ((mine,), (other,)) = (
        [name for name in step.outputs if name.endswith(f"_{foreign}.json") is same] for same in (True, False)
    )
    files = {"the other file": (other,), "the same file": (mine,), "both files": (mine, other)}.get(recorded, ())
    if recorded != "no run":
        task = _BOOK if recorded == "no task" else step.task.name
        record = TaskRecord(task, "Retrieval", "success", dict(step.settings), "other", files=files)
        run = RunRecord("air-bench", plan.model.spec.name, plan.model.spec.revision, {}, (), {}, {})
        plan.store.prepare()
        plan.store.write_task(run, record, dict.fromkeys(files, ""))
        plan.store.release()
    _write_results(plan, mine, model="bge-m3")
    before = (plan.store.folder / mine).read_bytes()
    if mine in files:
        _plan(tmp_path, **zh)
    else:
        with pytest.raises(BadInput, match=r"holds results of model bge-m3.*; or write over it with --overwrite$"):
            _plan(tmp_path, **zh)
    _plan(tmp_path, **zh, overwrite=True)
    assert (plan.store.folder / mine).read_bytes() == before


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_file_of_the_model_s_own_that_a_kill_left_is_no_obstacle(split: str, tmp_path: Path) -> None:
    zh = {"languages": ("zh",), "domains": ("wiki",)}
    plan = _plan(tmp_path, **zh)
    (name,) = (name for name in plan.steps[0].outputs if name.endswith(f"_{split}.json"))
    _write_results(plan, name, model=Path(name).parts[-5])
    _plan(tmp_path, **zh)
    (plan.store.folder / name).write_text("{", encoding="utf-8")
    with pytest.raises(BadInput, match=r"is not JSON.*; or write over it with --overwrite$"):
        _plan(tmp_path, **zh)
    _plan(tmp_path, **zh, overwrite=True)
