"""Rankings that were made before, as a user types it: scored, re-ranked, fused, compared, and what is refused."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.rankings.run_files import read_run_file
from tests.e2e.commands import here, one_line
from tests.unit.results.test_schema import faults
from tests.unit.suites.own.folders import retrieval

BM25 = "flagbench/bm25"
RERANKER = "flagbench/random-reranker"
QUERIES = {"q1": "red apples", "q2": "green pears", "q3": "blue plums", "q4": "not judged"}
PASSAGES = {
    f"p{number}": text for number, text in enumerate(["red apples", "green pears", "blue plums", "red", "figs"])
}
QRELS = {"q1": {"p0": 2, "p3": 1}, "q2": {"p1": 1}, "q3": {"p2": 1}}
RUN = {
    "q1": {"p3": 3.0, "p4": 2.0, "p0": 1.0},
    "q2": {"p0": 0.5, "p1": 0.5},
    "q4": {"p0": 1.0},
}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A data set in the layout of BEIR; one of its queries has no labels."""
    folder = tmp_path / "fruits"
    (folder / "qrels").mkdir(parents=True)
    for name, texts in (("queries", QUERIES), ("corpus", PASSAGES)):
        rows = [json.dumps({"_id": id_, "text": text}) for id_, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    lines = [f"{query}\t{passage}\t{grade}" for query, its in QRELS.items() for passage, grade in its.items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]), encoding="utf-8")
    return folder


def trec(path: Path, run: Mapping[str, Mapping[str, float]]) -> Path:
    lines = [
        f"{query} Q0 {passage} {rank} {score!r} test\n"
        for query, hits in run.items()
        for rank, (passage, score) in enumerate(sorted(hits.items(), key=lambda hit: -hit[1]), 1)
    ]
    text = "".join(lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def in_order(hits: Mapping[str, float]) -> list[str]:
    """As trec_eval orders passages: of those that tie, the larger id first."""
    return sorted(hits, key=lambda passage: (hits[passage], passage), reverse=True)


def ndcg(judged: Mapping[str, int], hits: Mapping[str, float]) -> float:
    """nDCG@10 from its definition."""
    gains = [judged.get(passage, 0) for passage in in_order(hits)[:10]]
    best = sorted(judged.values(), reverse=True)[:10]
    dcg, ideal = (sum(gain / math.log2(rank + 2) for rank, gain in enumerate(each)) for each in (gains, best))
    return dcg / ideal


def record(output: Path, name: str) -> dict[str, Any]:
    """The run.json of a model below an output folder, valid by the published schema."""
    (path,) = output.glob(f"{name}/*/flagbench/run.json")
    text = path.read_text(encoding="utf-8")
    assert faults("run", text) == []
    found: dict[str, Any] = json.loads(text)
    return found


def values(output: Path, task: str) -> list[dict[str, Any]]:
    """The values per query of all runs below an output folder."""
    files = sorted(output.glob(f"*/*/flagbench/per_query/{task}.json"))
    return [json.loads(path.read_text(encoding="utf-8"))["values"] for path in files]


def done(*arguments: str | Path) -> str:
    result = here(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stderr


def test_a_run_over_own_data_has_the_score_of_its_definition(own: Path, tmp_path: Path) -> None:
    path, output = trec(tmp_path / "shop.trec.gz", RUN), tmp_path / "out"
    command = ["score", "own", path, "--data-set", own, "--output", output]
    assert "rankings of fruits: shop.trec.gz, TREC run, 3 queries, 6 results" in done(*command)
    task = record(output, "local__shop")["tasks"]["fruits"]
    assert task["scores"]["test"]["default"] == pytest.approx(
        sum(ndcg(QRELS[query], RUN.get(query, {})) for query in QRELS) / 3, abs=1e-5
    )
    assert "1 of 3 queries have no results and count 0" in task["note"]
    assert "1 ranking of queries without labels left out" in task["note"]
    same = tmp_path / "shop.json"
    same.write_text(json.dumps(RUN), encoding="utf-8")
    again = ["score", "own", same, "--data-set", own, "--task", "fruits", "--output", output]
    assert "finished before with the same settings" in done(*again), "the form of a file is no setting"
    trec(path, RUN | {"q3": {"p2": 1.0}})
    assert "runs again: settings differ: rankings.digest" in done(*command)
    done("score", "own", same, "--data-set", own, "--output", tmp_path / "other", "--model-name", "team/x")
    for follows in (["show"], ["compare", tmp_path / "other"], ["report", "--html", tmp_path / "page.html"]):
        done(follows[0], output, *follows[1:])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("q1 Q0 p0 1 0.5 t\nq9 Q0 p0 1 0.5 t\n", "has query ids that are not in fruits (test): 1 of 2, such as 'q9'"),
        ("q1 Q0 p9 1 0.5 t\n", "has passage ids that are not in the corpus of fruits: 1, such as 'p9' of query 'q1'"),
        ("q1 Q0 p0 1 nan t\n", "line 1 has the score 'nan', which is no finite number"),
        ("q1 Q0 p0 1 2 t\nq1 Q0 p0 2 1 t\n", "line 2 has passage 'p0' of query 'q1' again"),
        ("q1 Q0 p0 1", "line 1 has 4 words"),
    ],
)
def test_a_faulty_run_is_one_line(content: str, line: str, own: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text(content, encoding="utf-8")
    result = here("score", "own", path, "--data-set", own, "--output", tmp_path / "out")
    assert (result.returncode, result.stdout) == (2, "")
    assert line in result.stderr.splitlines()[-1]


def test_candidates_are_re_ranked_as_what_bm25_finds(tmp_path: Path) -> None:
    """Over the miniature data of mteb's tasks and of AIR-Bench; the largest difference of a query is 0."""
    for benchmark, tasks, kept in (
        ("cmteb", ["CovidRetrieval", "EcomRetrieval"], "flagbench/predictions"),
        ("air-bench", ["AIR-Bench_24.05_qa_wiki_zh_default"], "AIR-Bench_24.05/search_results"),
    ):
        what = ["--benchmark", benchmark, "--mini", "--tasks", ",".join(tasks), "--no-store", "--rerank-top-k", "7"]
        output = tmp_path / benchmark
        done("evaluate", BM25, *what, "--save-predictions", "--output", tmp_path / "first")
        done("evaluate", BM25, "--reranker", RERANKER, *what, "--output", output)
        runs = next((tmp_path / "first").glob("flagbench__bm25/*")) / kept
        done("evaluate", RERANKER, "--candidates", runs, *what, "--output", output)
        for task in tasks:
            first, second = values(output, task)
            assert first == second
        one = record(output, f"local__{runs.name}+random-reranker")
        assert one["reranker"]["top_k"] == 7
        assert len(one["tasks"][tasks[0]]["settings"]["rankings"]["digest"]) == 32


def test_runs_over_other_candidates_do_not_compare(own: Path, tmp_path: Path) -> None:
    for name, run in (("a", RUN), ("b", {**RUN, "q3": {"p2": 1.0}})):
        path = trec(tmp_path / f"{name}.trec", run)
        where = ["--benchmark", "own", "--data-set", own, "--output", tmp_path / name, "--no-store"]
        done("evaluate", RERANKER, "--candidates", path, *where)
        done("score", "own", path, "--data-set", own, "--output", tmp_path / "plain")
    assert "differ in fruits: candidates" in one_line(here("compare", tmp_path / "a", tmp_path / "b"))
    rules = tmp_path / "gate.toml"
    rules.write_text('[[rule]]\ntasks = ["*"]\nmax-drop = 50.0\n', encoding="utf-8")
    gate = here("check", "--baseline", tmp_path / "a", "--candidate", tmp_path / "b", "--rules", rules)
    assert gate.returncode == 2
    assert "INCONCLUSIVE" in gate.stdout
    assert here("compare", tmp_path / "plain").returncode == 0, "rankings alone are what is compared"
    assert here("compare", tmp_path / "plain" / "local__a", tmp_path / "a").returncode == 0, "nor what a reranker adds"


Refused = Callable[..., str]


@pytest.fixture
def refused(own: Path, tmp_path: Path) -> Refused:
    path = trec(tmp_path / "run.trec", RUN)

    def run(*arguments: str | Path) -> str:
        named = [own if each == "OWN" else path if each == "RUN" else each for each in arguments]
        return one_line(here(*named, "--output", tmp_path / "refused"))

    return run


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("score own RUN", "--benchmark own needs --data-set DIR"),
        ("score own absent.trec --data-set OWN", "absent.trec does not exist"),
        ("score own OWN --data-set OWN", "has no run file of fruits"),
        ("score cmteb RUN --mini", "a run file is of retrieval or reranking tasks, and Ocnli"),
        ("score cmteb RUN --mini --tasks CovidRetrieval,EcomRetrieval", "is of one task, and 2 are chosen"),
        ("score mteb RUN", "--benchmark mteb needs --tasks"),
        ("score own RUN --data-set OWN --model-name a/b/c", "expected a name, or org/name"),
        (f"evaluate {BM25} --candidates RUN --mini --tasks EcomRetrieval", "bm25 searches without vectors, and --cand"),
        ("evaluate flagbench/random --candidates RUN --mini --tasks EcomRetrieval", "random gives vectors, and --cand"),
        (f"evaluate {RERANKER} --candidates RUN --reranker x --mini --tasks EcomRetrieval", "drop --reranker"),
        (f"evaluate {RERANKER} --candidates RUN --mini --types reranking", "--candidates are of retrieval tasks, and"),
        (f"evaluate {RERANKER} --candidates RUN --mini --profile smoke --tasks EcomRetrieval", "draws some: drop it"),
        (f"evaluate {RERANKER} --candidates 100 --mini", "expected a run file, not '100'; --dense-candidates takes"),
        (f"evaluate {RERANKER} --candidates RUN --benchmark mlvu --mini", "MLVU ranks no passages"),
    ],
)
def test_wrong_inputs_are_one_line(arguments: str, line: str, refused: Refused) -> None:
    assert line in refused(*arguments.split())


def test_kept_runs_are_fused_scored_and_fused_again(own: Path, tmp_path: Path) -> None:
    where = ["--benchmark", "own", "--data-set", own]
    second = {"q1": {"p0": 9.0, "p1": 8.0}, "q2": {"p1": 1.0}, "q3": {"p2": 3.0, "p0": 1.0}}
    for name, run in (("a", RUN), ("b", second)):
        done("score", "own", trec(tmp_path / f"{name}.trec", run), "--data-set", own, "--output", tmp_path / name)
    a, b, out = tmp_path / "a", tmp_path / "b", tmp_path / "out"
    done("fuse", a, b, *where, "--output", out)
    done("fuse", a, b, *where, "--output", out, "--by", "weights", "--weights", "3,1", "--model-name", "team/hybrid")
    fused = record(out, "local__rrf-a-b")
    assert fused["spec"]["fusion"]["parts"] == ["local/a@run-file", "local/b@run-file"]
    wanted: dict[str, dict[str, float]] = {query: {} for query in QRELS}
    for query, into in wanted.items():
        for hits in (RUN.get(query, {}), second[query]):
            for rank, passage in enumerate(in_order(hits), 1):
                into[passage] = into.get(passage, 0.0) + 1 / (60 + rank)
    task = fused["tasks"]["fruits"]
    assert "test/default: local/a has no results for 1 of 3 queries" in task["note"]
    assert "local/b" not in task["note"]
    assert task["scores"]["test"]["default"] == pytest.approx(
        sum(ndcg(QRELS[query], wanted[query]) for query in QRELS) / 3, abs=1e-5
    )
    kept = read_run_file(next(out.glob("local__rrf-a-b/*")) / "flagbench/predictions/fruits_predictions.json")
    for query, hits in kept.parts["test", "default"].items():
        assert hits == pytest.approx(wanted[query])
    assert here("compare", a, b, out).returncode == 0
    done("fuse", out / "local__rrf-a-b", a, *where, "--by", "dbsf", "--output", tmp_path / "again")
    assert "is of --benchmark own: name it" in one_line(here("fuse", a, b, "--mini", "--output", tmp_path / "refused"))
    for arguments, line in (
        ([a], "one run is nothing to fuse"),
        ([a, a], "is named twice"),
        ([a, b, "--weights", "1,2"], "--weights are of --by weights"),
        ([a, b, "--by", "weights"], "needs a weight for each of the 2 runs"),
        ([a, b, "--rrf-k", "9" * 26], "expected a whole number up to 1,000,000,000, not '9999"),
        ([a, b, "--tasks", "nuts"], "has no nuts: choose tasks that all runs have"),
        ([a, out], "holds 2 runs: give one of"),
    ):
        assert line in one_line(here("fuse", *where, *arguments, "--output", tmp_path / "refused"))


def test_parts_over_other_data_or_without_rankings_are_refused(own: Path, tmp_path: Path) -> None:
    def run(name: str, *more: str) -> Path:
        what = ["--benchmark", "own", "--data-set", own, "--no-store", "--output", tmp_path / name]
        done("evaluate", BM25, *what, *more)
        return tmp_path / name

    queries = own / "queries.jsonl"
    queries.write_text(queries.read_text(encoding="utf-8").replace("blue plums", "nuts"), encoding="utf-8")
    a, without = run("a", "--save-predictions"), run("without")
    (found,) = record(a, "flagbench__bm25")["tasks"].values()
    assert found["note"] == "test/default: 1 of 3 queries have no results and count 0", "as score says of its rankings"
    perfect = [ndcg(judged, {}) if query == "q3" else 1.0 for query, judged in QRELS.items()]
    assert found["scores"]["test"]["default"] == pytest.approx(sum(perfect) / 3, abs=1e-5)
    where = ["--benchmark", "own", "--data-set", own, "--output", tmp_path / "out"]
    assert "has kept no rankings of fruits: evaluate fruits again with --save-predictions --overwrite" in one_line(
        here("fuse", a, without, *where)
    )
    corpus = own / "corpus.jsonl"
    corpus.write_text(corpus.read_text(encoding="utf-8").replace("figs", "kiwi"), encoding="utf-8")
    other = run("other", "--save-predictions")
    assert "differ in fruits: the content of the data in test/corpus" in one_line(here("fuse", a, other, *where))
    shared = run("shared", "--save-predictions")
    corpus.write_text(corpus.read_text(encoding="utf-8").replace("kiwi", "dates"), encoding="utf-8")
    result = here("fuse", other, shared, *where)
    assert (result.returncode, result.stdout) == (2, "")
    assert "fruits is not the data that was ranked (the content of the data in test/corpus" in result.stderr
    run("a")
    assert not list(a.rglob("fruits_predictions.json")), "those of other settings are no part of the new result"


@pytest.mark.slow
def test_scifact_is_re_ranked_alike_from_a_trec_run(shared_data: Path, tmp_path: Path) -> None:
    """300 queries, 100 candidates each; the largest difference of a query is 0."""
    what = ["--benchmark", "mteb", "--tasks", "SciFact", "--data", shared_data, "--no-store"]
    done("evaluate", BM25, *what, "--save-predictions", "--output", tmp_path / "first")
    (predictions,) = (tmp_path / "first").rglob("SciFact_predictions.json")
    path = trec(tmp_path / "bm25.trec.gz", read_run_file(predictions).parts["test", "default"])
    done("evaluate", BM25, "--reranker", RERANKER, *what, "--output", tmp_path / "both")
    done("evaluate", RERANKER, "--candidates", path, *what, "--output", tmp_path / "both")
    first, second = (each["test"]["default"]["ndcg_at_10"] for each in values(tmp_path / "both", "SciFact"))
    assert len(first) == 300
    assert max(abs(first[query] - second[query]) for query in first) == 0


_NO_UTF_8 = os.fsdecode(b"caf\xe9")
"""As Python gives the name of a file, or an argument, in Latin-1."""


@pytest.mark.parametrize("name", [_NO_UTF_8, "a\nflagbench: all good", "a\x1b[2J"], ids=["latin", "break", "escape"])
def test_a_run_file_whose_name_is_none_of_a_model_is_refused(name: str, own: Path, tmp_path: Path) -> None:
    """Before anything is written; under a name of its own it is scored, and no line begins with what its name says."""
    path = trec(tmp_path / f"{name}.trec", RUN)
    output = tmp_path / "out"
    own_data = ("--data-set", own, "--output", output)
    scored = one_line(here("score", "own", path, *own_data))
    candidates = one_line(here("evaluate", RERANKER, "--candidates", path, "--benchmark", "own", *own_data))
    for said in (scored, candidates):
        assert said.isprintable()
        assert "cannot be the name of a model" in said
    assert "rename the file, or give a name with --model-name" in scored
    assert candidates.endswith("; rename the file")
    assert not output.exists()
    if name == _NO_UTF_8:
        return
    printed = done("score", "own", path, "--data-set", own, "--output", output, "--model-name", "team/run")
    assert "flagbench: all good" not in [line[:19] for line in printed.splitlines()]
    assert [each.name for each in output.iterdir()] == ["team__run"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "flagbench/random", "--query-instruction", _NO_UTF_8],
        ["evaluate", "flagbench/random", "--passage-instruction", _NO_UTF_8],
        ["evaluate", f"./{_NO_UTF_8}"],
        ["evaluate", "flagbench/random", "--tasks", f"fruits,{_NO_UTF_8}"],
        ["validate", "flagbench/random", "--revision", _NO_UTF_8],
    ],
    ids=["query", "passage", "model", "tasks", "revision"],
)
def test_an_argument_that_is_no_utf_8_is_refused_by_its_flag(arguments: list[str], own: Path, tmp_path: Path) -> None:
    more = ["--output", tmp_path / "out"] if arguments[0] == "evaluate" else []
    said = one_line(here(*arguments, "--benchmark", "own", "--data-set", own, *more))
    assert "'caf\N{REPLACEMENT CHARACTER}'" in said or "./caf\N{REPLACEMENT CHARACTER}" in said
    assert "is not UTF-8: write it so" in said
    assert arguments[-2] in said or "argument MODEL" in said
    assert not (tmp_path / "out").exists()


def test_folders_may_have_names_that_are_no_utf_8(own: Path, tmp_path: Path) -> None:
    """Of data, of results and of a cache: what records say of them is printable."""
    (own / "task.toml").write_text('name = "fruits"\n', encoding="utf-8")
    folder = own.rename(tmp_path / _NO_UTF_8)
    output, store = tmp_path / f"out-{_NO_UTF_8}", tmp_path / f"store-{_NO_UTF_8}"
    done("evaluate", BM25, "--benchmark", "own", "--data-set", folder, "--output", output, "--store", store)
    assert record(output, "flagbench__bm25")["tasks"]["fruits"]["status"] == "success"
    (folder / "qrels" / "test.tsv").rename(folder / "qrels" / f"{_NO_UTF_8}.tsv")
    assert "is not UTF-8" in one_line(here("evaluate", BM25, "--benchmark", "own", "--data-set", folder))


def test_a_run_file_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    retrieval(tmp_path / "mine")
    (tmp_path / "bad.trec").write_text("q1 Q0 nowhere 1 2.0 x\n", encoding="utf-8")
    out = tmp_path / "out"
    result = here("score", "own", tmp_path / "bad.trec", "--data-set", tmp_path / "mine", "--output", out)
    assert "has passage ids that are not in the corpus" in result.stderr
    assert result.returncode == 2
    assert list(out.iterdir()) == []
