"""AIR-Bench as a user runs it: search, score and submit, and the official package over the files that come of it."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench.airbench.benchmark import MINI
from flagbench.models.baselines.analysis import Analyzer
from tests.e2e.commands import here, one_line
from tests.e2e.test_families import models

__all__ = ["models"]

RANDOM = "flagbench/random"
SELECT = ["--benchmark", "air-bench", "--mini"]
ZH = "AIR-Bench_24.05_qa_wiki_zh_default"
FOLDER = "flagbench__random/v1"
FOUND = f"{FOLDER}/AIR-Bench_24.05/search_results/random/NoReranker"


def evaluate(output: Path, *more: str | Path, model: str | Path = RANDOM) -> subprocess.CompletedProcess[str]:
    return here("evaluate", model, *SELECT, "--output", output, *more)


def tasks_of(output: Path) -> dict[str, dict[str, Any]]:
    (path,) = output.glob("*/*/flagbench/run.json")
    found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["tasks"]
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over all of the miniature 24.05; not to be written to."""
    output = tmp_path_factory.mktemp("air")
    result = evaluate(output)
    assert result.returncode == 0, result.stderr
    return output


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    """A copy of that run."""
    return shutil.copytree(done, tmp_path / "run")


# The main job.


def test_each_split_of_each_dataset_has_its_file(done: Path) -> None:
    assert set(files_of(done / FOUND)) == {
        "qa/wiki/zh_default_dev.json",
        "qa/wiki/zh_default_test.json",
        "qa/wiki/de_default_dev.json",
        "qa/wiki/de_default_test.json",
        "qa/law/en_default_dev.json",
        "qa/law/en_default_test.json",
        "long-doc/book/en_origin-of-species_darwin_test.json",
        "long-doc/book/en_a-brief-history-of-time_stephen-hawking_dev.json",
    }
    tasks = tasks_of(done)
    assert {name: list(task["scores"]) for name, task in tasks.items() if "darwin" in name} == {
        "AIR-Bench_24.05_long-doc_book_en_origin-of-species_darwin": []
    }
    assert all(task["data"]["status"] == "differs" for task in tasks.values())


def test_changed_dev_labels_are_scored_again(tmp_path: Path) -> None:
    """They lie in a repo of their own; test results, which need none, stay."""
    data, output = shutil.copytree(MINI, tmp_path / "data"), tmp_path / "out"
    select = ["--benchmark", "air-bench", "--domains", "wiki", "--languages", "zh", "--data", data, "--output", output]
    assert here("evaluate", RANDOM, *select).returncode == 0
    before = tasks_of(output)[ZH]
    labels = next((data / "AIR-Bench").glob("qrels-qa_wiki_zh*/*/*dev*.jsonl"))
    rows = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
    turned = [json.dumps(row | {"relevance": 1 - int(row["relevance"] > 0)}) + "\n" for row in rows]
    labels.write_text("".join(turned), encoding="utf-8")
    test_only = here("evaluate", RANDOM, *select, "--splits", "test")
    assert f"{ZH}: finished before" in test_only.stderr
    again = here("evaluate", RANDOM, *select)
    assert "its labels have changed" in again.stderr
    after = tasks_of(output)[ZH]
    assert after["scores"] != before["scores"]
    assert (after["digest"], after["files"]) == (before["digest"], before["files"])
    assert f"{ZH}: finished before" in here("evaluate", RANDOM, *select).stderr


def test_the_commands_that_a_run_ends_with_work(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    again = evaluate(run)
    said = again.stdout + again.stderr
    commands = [line.removeprefix("then: ") for line in said.splitlines() if line.startswith("then: ")]
    assert [command.split()[1] for command in commands] == ["score", "submit"]
    for command in commands:
        result = here(*shlex.split(command)[1:])
        assert result.returncode == 0, (command, result.stderr)


def test_results_of_the_miniature_data_are_not_looked_for_on_the_hub(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line ends with the whole command, for a folder above the run and for one inside of it."""
    monkeypatch.chdir(tmp_path)
    form = ("--model-name", "a b", "--model-url", "https://example.org")
    for folder in (done, done / FOUND):
        for asked in (("score", "air-bench", folder), ("submit", "air-bench", folder, *form)):
            line = one_line(here(*asked))
            assert " holds results of the miniature data, which the hub does not have: use flagbench " in line
            command = shlex.split(line.partition(": use flagbench ")[2])
            assert command[:2] == [asked[0], "air-bench"]
            assert here(*command, "--overwrite").returncode == 0
    lost = shutil.copytree(done / FOUND, tmp_path / "random" / "NoReranker")  # without the record of the run
    assert "HF_HUB_OFFLINE" in one_line(here("score", "air-bench", lost))


def test_the_score_command_gives_the_scores_of_the_run(done: Path, tmp_path: Path) -> None:
    result = here("score", "air-bench", done, "--mini", "--json", tmp_path / "scores.json")
    assert result.returncode == 0, result.stderr
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["random"]["NoReranker"]
    of_run = tasks_of(done)[ZH]["scores"]["dev"]["default"]
    assert scores["qa"]["wiki"]["zh"]["default"]["ndcg_at_10"] == of_run
    assert f"{100 * of_run:.2f}" in result.stdout
    assert "* not the official data: scores are not comparable with published ones" in result.stdout


def test_the_values_of_each_query_are_kept(done: Path) -> None:
    path = done / FOLDER / "flagbench" / "per_query" / f"{ZH}.json"
    values = json.loads(path.read_text(encoding="utf-8"))["values"]["dev"]["default"]["ndcg_at_10"]
    mean = sum(values.values()) / len(values)
    assert mean == pytest.approx(tasks_of(done)[ZH]["scores"]["dev"]["default"], abs=5e-6)


def test_the_worst_queries_are_kept_with_texts(done: Path) -> None:
    folder = done / FOLDER / "flagbench"
    values = json.loads((folder / "per_query" / f"{ZH}.json").read_text(encoding="utf-8"))["values"]["dev"]["default"]
    examples = json.loads((folder / "worst_queries" / f"{ZH}.json").read_text(encoding="utf-8"))
    lowest = sorted(values["ndcg_at_10"].values())[: len(examples["queries"])]
    assert [each["value"] for each in examples["queries"]] == lowest
    for each in examples["queries"]:
        assert each["text"]
        assert each["relevant"]
        assert all(passage["text"] for passage in (*each["found"], *each["relevant"]))
        assert [passage["rank"] for passage in each["found"]] == [1, 2, 3, 4, 5]


def test_the_archive_has_the_test_files_alone(done: Path, tmp_path: Path) -> None:
    submit = ["submit", "air-bench", done, "--mini", "--model-name", "random", "--model-url", "https://example.org/r"]
    result = here(*submit, "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    (archive,) = tmp_path.glob("*.zip")
    with zipfile.ZipFile(archive) as opened:
        assert all(name.endswith("_test.json") for name in opened.namelist())
        for name in opened.namelist():
            assert opened.read(name) == (done / FOUND / name).read_bytes()
    before = archive.read_bytes()
    line = one_line(here(*submit, "--output", tmp_path))
    assert archive.name in line
    assert "--overwrite" in line
    assert archive.read_bytes() == before


# The official package.


def _reference(found: Path, version: str, split: str, qrels: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the official evaluator computes of a reranker's folder."""
    reference = pytest.importorskip("air_benchmark.evaluation_utils", reason="air-benchmark is not installed")
    loader = reference.DataLoader(version)
    monkeypatch.setattr(loader, "load_qrels", lambda **wanted: qrels(wanted))
    cutoffs = [1, 3, 5, 10, 50, 100, 1000]
    results: dict[str, Any] = reference.Evaluator(loader).evaluate_results(str(found), k_values=cutoffs, split=split)
    return {
        f"{version}_{kind}_{domain}_{language}_{name}": values
        for kind, domains in results.items()
        for domain, languages in domains.items()
        for language, datasets in languages.items()
        for name, values in datasets.items()
    }


def test_the_official_package_reads_the_files_and_agrees_on_dev(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def qrels(wanted: dict[str, str]) -> dict[str, dict[str, int]]:
        repo = "qrels-{task_type}_{domain}_{language}-dev".format(**wanted)
        name = wanted["dataset_name"].replace("-", "_")
        rows = (MINI / "AIR-Bench" / repo / "AIR-Bench_24.05" / f"qrels_{name}_dev.jsonl").read_text(encoding="utf-8")
        found: dict[str, dict[str, int]] = {}
        for row in map(json.loads, rows.splitlines()):
            found.setdefault(row["qid"], {})[row["docid"]] = row["relevance"]
        return found

    theirs = _reference(done / FOUND, "AIR-Bench_24.05", "dev", qrels, monkeypatch)
    result = here("score", "air-bench", done, "--mini", "--json", tmp_path / "scores.json")
    assert result.returncode == 0, result.stderr
    ours = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))["random"]["NoReranker"]
    assert len(theirs) == 4
    for name, values in theirs.items():
        kind, domain, language, dataset = name.removeprefix("AIR-Bench_24.05_").split("_", maxsplit=3)
        assert values == ours[kind][domain][language][dataset]
        assert len(values) == 35


def test_the_official_package_reads_the_files_of_24_04(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evaluate(tmp_path, "--benchmark-version", "24.04")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0].strip() == "AIR-Bench mini"
    assert result.stdout.count("test labels are not") == 3
    found = tmp_path / FOUND.replace("24.05", "24.04")
    assert set(files_of(found)) == {
        "qa/wiki/en_default.json",
        "qa/wiki/zh_default.json",
        "long-doc/book/en_origin-of-species_darwin.json",
    }

    from flagbench.airbench.search_results import read
    from flagbench.runners.search.metrics import means, per_query

    made: dict[str, dict[str, dict[str, int]]] = {}

    def qrels(wanted: dict[str, str]) -> dict[str, dict[str, int]]:
        """Labels that nobody published: the third passage that was found, and one that was not found."""
        path = found / wanted["task_type"] / wanted["domain"] / "{language}_{dataset_name}.json".format(**wanted)
        hits = read(path).hits
        for query, its in hits.items():
            first, _, third, *_ = its
            made.setdefault(path.stem, {})[query] = {third: 1, first: 0, "nowhere": 1}
        return made[path.stem]

    theirs = _reference(found, "AIR-Bench_24.04", "test", qrels, monkeypatch)
    assert len(theirs) == 3
    for path in found.rglob("*.json"):
        hits = read(path).hits
        values = per_query(made[path.stem], hits, (1, 3, 5, 10, 50, 100, 1000))
        name = f"AIR-Bench_24.04_{path.parts[-3]}_{path.parts[-2]}_{path.stem}"
        assert means(made[path.stem], values) == theirs[name]
        assert 0 < theirs[name]["mrr_at_3"] < 1


# A folder, again and again.


def test_what_is_finished_is_skipped(run: Path) -> None:
    before = files_of(run)
    result = evaluate(run)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("finished before with the same settings, skipped") == 5
    assert files_of(run) == before


def test_splits_may_be_asked_for_one_after_the_other(done: Path, tmp_path: Path) -> None:
    for split in ("test", "dev"):
        assert evaluate(tmp_path, "--splits", split, "--languages", "zh").returncode == 0
    for name, data in files_of(tmp_path / FOUND).items():
        assert data == (done / FOUND / name).read_bytes()
    task = tasks_of(tmp_path)[ZH]
    assert task["scores"] == tasks_of(done)[ZH]["scores"]
    assert len(task["files"]) == 4
    result = evaluate(tmp_path, "--languages", "zh")
    assert "skipped" in result.stderr


def test_a_lost_file_is_made_again(run: Path, done: Path) -> None:
    lost = run / FOUND / "qa" / "wiki" / "zh_default_test.json"
    lost.unlink()
    result = evaluate(run)
    assert f"{ZH} runs again: its result file is gone" in result.stderr
    assert lost.read_bytes() == (done / FOUND / "qa/wiki/zh_default_test.json").read_bytes()


def test_results_of_other_settings_are_not_mixed(run: Path) -> None:
    before = files_of(run)
    other = ["--max-length", "32"]
    line = one_line(evaluate(run, *other, "--languages", "zh"))
    assert "holds AIR-Bench 24.05 results of other settings (model.query_max_length 512 -> 32" in line
    assert line.endswith("choose another --output, or make them anew with --overwrite")
    # Nor when those that would be left beside them are other datasets.
    line = one_line(evaluate(run, *other, "--languages", "zh", "--overwrite"))
    assert line.endswith("choose another --output")
    assert files_of(run) == before
    result = evaluate(run, *other, "--overwrite")
    assert result.returncode == 0, result.stderr
    replaced = run / FOLDER / "flagbench" / "replaced"
    assert len([path for path in replaced.rglob("*.json") if "search_results" in path.parts]) == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda text: text.replace('"model_name": "random"', '"model_name": "bge-m3"'),
            "holds results of model bge-m3",
        ),
        (lambda text: text[: len(text) // 2], "is not JSON"),
    ],
    ids=["another model's", "truncated"],
)
def test_a_file_that_no_run_made_is_not_overwritten(tmp_path: Path, done: Path, change: Any, said: str) -> None:
    path = tmp_path / FOUND / "qa" / "wiki" / "zh_default_dev.json"
    path.parent.mkdir(parents=True)
    text = change((done / FOUND / "qa/wiki/zh_default_dev.json").read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    line = one_line(evaluate(tmp_path, "--languages", "zh"))
    assert said in line
    assert line.endswith("or write over it with --overwrite")
    assert path.read_text(encoding="utf-8") == text
    assert evaluate(tmp_path, "--languages", "zh", "--overwrite").returncode == 0


def test_a_file_that_a_killed_run_left_is_no_obstacle(tmp_path: Path, done: Path) -> None:
    path = tmp_path / FOUND / "qa" / "wiki" / "zh_default_dev.json"
    path.parent.mkdir(parents=True)
    shutil.copy(done / FOUND / "qa/wiki/zh_default_dev.json", path)
    assert evaluate(tmp_path, "--languages", "zh").returncode == 0


# Models.


def test_a_reranker_has_files_of_its_own(done: Path, tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--languages", "zh", "--reranker", "flagbench/random-reranker", "--rerank-top-k", "7")
    assert result.returncode == 0, result.stderr
    (folder,) = tmp_path.glob("*/*/AIR-Bench_24.05/search_results/random")
    assert {path.name for path in folder.iterdir()} == {"NoReranker", "random-reranker"}
    for name, data in files_of(folder / "NoReranker").items():
        assert data == (done / FOUND / name).read_bytes()
        again = json.loads((folder / "random-reranker" / name).read_text(encoding="utf-8"))
        assert again["reranker_name"] == "random-reranker"
        first = json.loads(data)["search_results"]
        for query, hits in again["search_results"].items():
            assert set(hits) == set(list(first[query])[:7])
            assert list(hits.values()) == sorted(hits.values(), reverse=True)


@pytest.mark.parametrize("retrieval", ["sparse", "colbert", "hybrid"])
def test_m3_searches_with_each_of_its_parts(models: Path, tmp_path: Path, retrieval: str) -> None:
    result = evaluate(tmp_path, "--languages", "zh", "--retrieval", retrieval, "--allow-pickle", model=models / "m3")
    assert result.returncode == 0, result.stderr
    (folder,) = tmp_path.glob(f"*/*/AIR-Bench_24.05/search_results/m3-{retrieval}/NoReranker")
    hits = json.loads((folder / "qa/wiki/zh_default_test.json").read_text(encoding="utf-8"))["search_results"]
    assert len(hits) == 10
    assert all(hits.values())


def test_bm25_is_a_baseline(tmp_path: Path) -> None:
    result = evaluate(tmp_path, "--types", "qa", model="bm25")
    assert result.returncode == 0, result.stderr
    scores = {name: task["scores"]["dev"]["default"] for name, task in tasks_of(tmp_path).items()}
    assert len(scores) == 3
    for name, score in scores.items():
        assert score == pytest.approx(_by_hand(name), abs=5.1e-6), name
        assert score > 0.3, "better than chance"


def _by_hand(name: str) -> float:
    """nDCG@10 of BM25 (k1 0.9, b 0.4, as Lucene scores) on a dataset of questions, written out."""
    version, _, domain, language, _ = name.split("_", maxsplit=1)[1].split("_")
    analyzer = Analyzer(language)

    def rows(kind: str, repo: str) -> list[dict[str, Any]]:
        path = MINI / "AIR-Bench" / repo / f"AIR-Bench_{version}" / f"{kind}.jsonl"
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def words(text: str) -> Counter[str]:
        return Counter(form for form in map(analyzer.form, analyzer.words(text)) if form)

    repo = f"qa_{domain}_{language}"
    passages = {row["id"]: words(row["text"]) for row in rows("corpus_default", repo)}
    mean = sum(its.total() for its in passages.values()) / len(passages)
    df = Counter(word for its in passages.values() for word in its)
    labels: dict[str, dict[str, int]] = {}
    for row in rows("qrels_default_dev", f"qrels-{repo}-dev"):
        labels.setdefault(row["qid"], {})[row["docid"]] = row["relevance"]
    values = []
    for row in rows("queries_default_dev", repo):
        scores = {
            passage: sum(
                count
                * math.log(1 + (len(passages) - df[word] + 0.5) / (df[word] + 0.5))
                * its[word]
                / (its[word] + 0.9 * (0.6 + 0.4 * its.total() / mean))
                for word, count in words(row["text"]).items()
            )
            for passage, its in passages.items()
        }
        ranked = sorted(scores, key=lambda passage: (np.float32(scores[passage]), passage), reverse=True)[:10]
        gains = labels[row["id"]]
        ideal = sorted(gains.values(), reverse=True)[:10]
        gained = sum(gains.get(passage, 0) / math.log2(rank) for rank, passage in enumerate(ranked, 2))
        values.append(gained / sum(gain / math.log2(rank) for rank, gain in enumerate(ideal, 2)))
    return sum(values) / len(values)


# Bad input.


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--benchmark-version", "24.06"], "unknown benchmark version '24.06'; did you mean"),
        (["--domains", "laws"], "unknown domain 'laws'; did you mean law?"),
        (["--languages", "zz"], "unknown language 'zz'"),
        (["--types", "qaa"], "unknown task type 'qaa'; did you mean qa?"),
        (["--datasets", "defaul"], "unknown dataset 'defaul'; did you mean default?"),
        (["--splits", "train"], "unknown split 'train'"),
        (["--benchmark-version", "24.04", "--splits", "dev"], "AIR-Bench 24.04 has no dev split (test only)"),
        (["--domains", "news", "--languages", "zh"], "--mini has none of these datasets"),
        (["--group", "core"], "--group belongs to --benchmark cmteb"),
    ],
)
def test_a_wrong_choice_is_one_line(tmp_path: Path, flags: list[str], said: str) -> None:
    assert said in one_line(evaluate(tmp_path / "out", *flags))
    assert not (tmp_path / "out").exists()


def test_flags_of_air_bench_are_refused_elsewhere(tmp_path: Path) -> None:
    line = one_line(here("evaluate", RANDOM, "--mini", "--domains", "law", "--output", tmp_path))
    assert line == "flagbench: --domains belongs to --benchmark mteb or air-bench: drop it, or choose one of these"


def test_a_reranker_alone_finds_nothing(tmp_path: Path) -> None:
    line = one_line(evaluate(tmp_path, model="flagbench/random-reranker"))
    assert "is a reranker and gives no vectors" in line


def test_a_hit_that_the_corpus_lacks_is_not_submitted(run: Path, tmp_path: Path) -> None:
    path = run / FOUND / "qa" / "wiki" / "zh_default_test.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    query = next(iter(data["search_results"]))
    data["search_results"][query]["doc-elsewhere"] = 0.01
    path.write_text(json.dumps(data), encoding="utf-8")
    submit = ["submit", "air-bench", run, "--mini", "--model-name", "x", "--model-url", "https://example.org"]
    line = one_line(here(*submit, "--output", tmp_path / "zips"))
    assert "doc-elsewhere" in line
    assert not list(tmp_path.rglob("*.zip"))


def test_the_list_of_tasks_says_how_large_they_are() -> None:
    result = here("tasks", "--benchmark", "air-bench", "--languages", "zh", "--domains", "wiki")
    assert result.returncode == 0, result.stderr
    assert "1,011,604" in result.stdout
    assert "335 dev, 1,344 test" in result.stdout
    assert "about 563.5 M tokens to encode" in result.stdout
