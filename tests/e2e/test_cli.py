"""The commands as a user types them, in processes of their own where nothing else shows what is meant."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flagbench.cmteb.benchmark import CMTEB
from flagbench.models.loading.registry import published
from tests.checkpoints import add_sentence_transformers, write_bert
from tests.conftest import MINI, ROOT
from tests.e2e.commands import flagbench, here, loaded_by, one_line


@pytest.mark.parametrize("arguments", [["--help"], ["tasks"], ["tasks", "--benchmark", "cmteb"], ["models"]])
def test_lists_start_without_the_heavy_imports(arguments: list[str]) -> None:
    modules, out = loaded_by(*arguments)
    heavy = {"torch", "mteb", "transformers", "datasets", "faiss", "sklearn", "numpy", "scipy", "peft"}
    assert not heavy & modules
    assert out


_OF_A_MODEL = {"torch", "transformers", "peft"}
_OF_SCORES = {"mteb", "datasets", "sklearn", "faiss", "pandas", "scipy", "polars"}


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """The command that evaluates a checkpoint on all of the miniature data, once it was run: all vectors are kept."""
    folder = tmp_path_factory.mktemp("encoded")
    model = add_sentence_transformers(write_bert(folder / "model"))
    command = ["evaluate", model, "--mini", "--output", folder / "results", "--store", folder / "store"]
    assert here(*command, "--device", "cpu").returncode == 0
    return command


def test_a_run_whose_tasks_are_finished_imports_neither_a_model_nor_what_scores_it(encoded: list[str | Path]) -> None:
    modules, out = loaded_by(*encoded)
    assert not modules & (_OF_A_MODEL | _OF_SCORES)
    assert "Avg" in out


def test_validate_imports_neither_a_model_nor_what_scores_it(encoded: list[str | Path]) -> None:
    for more in ([], ["--overwrite"]):
        modules, out = loaded_by("validate", *encoded[1:], *more)
        assert not modules & (_OF_A_MODEL | {"mteb", "sklearn", "faiss"})
        assert "STSB" in out


def test_a_run_whose_vectors_are_kept_imports_no_model_and_of_mteb_its_tasks_alone(encoded: list[str | Path]) -> None:
    modules, _ = loaded_by(*encoded, "--overwrite", "--types", "retrieval,reranking,classification,clustering")
    assert not modules & _OF_A_MODEL
    modules, out = loaded_by(*encoded, "--overwrite")
    assert not modules & (_OF_A_MODEL - {"torch"})  # mteb compares pairs by torch
    assert "mteb.abstasks.sts" in modules
    assert not modules & {"mteb.get_tasks", "mteb.cache", "mteb.benchmarks", "mteb.tasks.bitext_mining"}
    assert "Avg" in out


_WATCHED = (
    "import gc, sys\n"
    "watched = {}\n"
    "def note(event, arguments):\n"
    "    if event == 'import':\n"
    "        watched.setdefault(arguments[0].partition('.')[0], gc.isenabled())\n"
    "sys.addaudithook(note)\n"
    "from flagbench.runners.commands.cli import main\n"
    "try:\n    main(sys.argv[1:])\n"
    "except SystemExit as leave:\n    assert leave.code == 0, leave.code\n"
    "print({name: watched[name] for name in ('datasets', 'mteb', 'sklearn', 'torch')}, gc.isenabled())\n"
)
"""Runs a command, and prints whether garbage was looked for when a package was first imported, and at the end."""


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """A watched process that evaluates a model and data of the hub's cache while offline, and where its results are."""
    folder = tmp_path_factory.mktemp("cached")
    hub = folder / "home" / "hub"
    revision = published()["BAAI/bge-small-zh-v1.5"].revision
    write_bert(hub / "models--BAAI--bge-small-zh-v1.5" / "snapshots" / revision, positions=512)
    for task in CMTEB.tasks():
        if task.name in ("LCQMC", "CovidRetrieval"):
            repo = hub / f"datasets--{task.dataset.replace('/', '--')}"
            shutil.copytree(MINI / task.dataset, repo / "snapshots" / task.revision)
    arguments = ["evaluate", "BAAI/bge-small-zh-v1.5", "--tasks", "LCQMC,CovidRetrieval", "--device", "cpu"]
    folders = ["--output", str(folder / "out"), "--store", str(folder / "store")]
    result = subprocess.run(
        [sys.executable, "-c", _WATCHED, *arguments, *folders],
        cwd=ROOT,
        env=os.environ | {"HF_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    return result, folder / "out"


def test_a_run_imports_the_large_packages_while_no_garbage_is_looked_for(
    cached: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    result, _ = cached
    assert result.returncode == 0, result.stderr
    last = result.stdout.strip().splitlines()[-1]
    assert last == "{'datasets': False, 'mteb': False, 'sklearn': False, 'torch': False} True"


def test_hub_model_and_hub_data_from_the_cache_while_offline(
    cached: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    result, output = cached
    assert result.returncode == 0, result.stderr
    revision = published()["BAAI/bge-small-zh-v1.5"].revision
    run = output / "BAAI__bge-small-zh-v1.5" / revision / "flagbench" / "run.json"
    record = json.loads(run.read_text(encoding="utf-8"))
    (task,) = (task for task in CMTEB.tasks() if task.name == "LCQMC")
    assert record["tasks"]["LCQMC"]["data"]["source"] == f"hub C-MTEB/LCQMC@{task.revision}"
    assert record["spec"]["prompts"][0][1] == "为这个句子生成表示以用于检索相关文章："


def test_tasks_lists_all_rows() -> None:
    result = here("tasks")
    assert result.returncode == 0
    for name in ("T2Retrieval", "STSB", "CLSClusteringP2P.v2", "STS22", "T2RerankingEn2Zh"):
        assert name in result.stdout


def test_models_lists_published_checkpoints() -> None:
    result = here("models")
    assert "BAAI/bge-large-zh-v1.5" in result.stdout
    assert "Reranking-query" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "flagbench/random", "--tasks", "LCQM", "--mini"], "did you mean LCQMC"),
        (["evaluate", "flagbench/random", "--benchmark", "cmtb"], "did you mean cmteb"),
        (["evaluate", "flagbench/random", "--types", "stss", "--mini"], "did you mean STS"),
        (["evaluate", "./no-such-folder", "--mini"], "no such model directory: ./no-such-folder"),
        (["evaluate", "bge-small-zh-v1.5", "--mini"], "did you mean BAAI/bge-small-zh-v1.5"),
        (["evaluate", "nobody/nothing", "--mini"], "HF_HUB_OFFLINE is set"),
        (["evaluate", "flagbench/random", "--tasks", "LCQMC"], "HF_HUB_OFFLINE is set"),
        (["evaluate", "flagbench/random", "--data", "/no/such", "--tasks", "LCQMC"], "--data /no/such: no such folder"),
        (["evaluate", "flagbench/random", "--data", ".", "--tasks", "LCQMC"], "dataset C-MTEB/LCQMC is not in "),
        (["evaluate", "flagbench/random", "--mini", "--data", "."], "drop --mini or --data"),
        (["evaluate", "flagbench/random", "--mini", "--tasks", "QBQTC"], "--mini has no QBQTC"),
        (["evaluate", "flagbench/random", "--mini", "--subsets", "zh"], "--subsets belongs to --benchmark mteb"),
        (["evaluate", "flagbench/random-reranker", "--mini", "--types", "sts"], "is a reranker"),
        (["evaluate", "flagbench/random", "--mini", "--max-length", "0"], "expected a whole number above 0"),
        (["evaluate", "flagbench/random", "--mini", "--pooling", "mode"], "invalid choice: 'mode'"),
        (["evaluate", "flagbench/random", "--mini", "--name", "noslash"], "expected the form org/name"),
        (["evaluate", "flagbench/random", "--benchmark", "mteb"], "--benchmark mteb needs --tasks"),
        (["evaluate", "flagbench/random", "--benchmark", "mteb", "--tasks", "SciFacts"], "did you mean SciFact"),
        (["evaluate"], "required: MODEL"),
        (["evalute"], "unknown command 'evalute'; did you mean evaluate"),
        (["tasks", "--benchmark", "airbunch"], "unknown benchmark 'airbunch'; did you mean air-bench"),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments: list[str], said: str) -> None:
    assert said in one_line(here(*arguments))


def test_a_process_that_is_given_bad_input_writes_one_line() -> None:
    """Nothing beside it, by what was imported or at its end."""
    assert "did you mean LCQMC" in one_line(flagbench("evaluate", "flagbench/random", "--tasks", "LCQM", "--mini"))


def test_output_that_is_a_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("mine", encoding="utf-8")
    said = one_line(here("evaluate", "flagbench/random", "--mini", "--output", target / "below"))
    assert "is a file, not a folder" in said
    assert target.read_text(encoding="utf-8") == "mine"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str | Path], subprocess.CompletedProcess[str], Path]:
    """The command that runs all of the miniature data, what its process printed, and the folder of its results."""
    output = tmp_path_factory.mktemp("whole") / "results"
    command = ["evaluate", "flagbench/random", "--benchmark", "cmteb", "--mini", "--output", output]
    return command, flagbench(*command), output


def test_results_are_read_by_mteb(whole: tuple[list[str | Path], subprocess.CompletedProcess[str], Path]) -> None:
    import mteb

    output = whole[2]
    written = {path for path in output.glob("*/*/*.json") if path.name != "model_meta.json"}
    tasks = sorted(mteb.results.TaskResult.from_disk(path).task_name for path in written)
    assert len(tasks) == 12
    assert tasks == sorted(path.stem for path in written)
    (model,) = mteb.ResultCache(output.parent).load_results(require_model_meta=True).model_results
    assert (model.model_name, model.model_revision) == ("flagbench/random", "v1")
    assert sorted(result.task_name for result in model.task_results) == tasks


def test_mini_run_writes_what_mteb_reads_and_is_skipped_when_repeated(
    whole: tuple[list[str | Path], subprocess.CompletedProcess[str], Path],
) -> None:
    command, first, output = whole
    assert first.returncode == 0, first.stderr
    assert "Avg" in first.stdout
    assert "not the official data" in first.stdout
    folder = output / "flagbench__random" / "v1"
    written = {path.stem for path in folder.glob("*.json")} - {"model_meta"}
    assert len(written) == 12
    run = json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))
    assert run["spec"]["name"] == "flagbench/random"
    assert run["environment"]["versions"]["mteb"]
    assert set(run["tasks"]) == written
    assert all(record["data"]["status"] == "differs" for record in run["tasks"].values())
    assert run["tasks"]["CovidRetrieval"]["search"]["index"] == "flat, in blocks"

    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    second = here(*command)
    assert second.returncode == 0
    assert second.stderr.count("skipped") == 12
    assert second.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.json")} == before

    third = here(*command, "--tasks", "LCQMC,CovidRetrieval", "--query-instruction", "问：")
    assert "CovidRetrieval runs again: settings differ: instruction.query '' -> '问：'" in third.stderr
    assert "LCQMC: finished before" in third.stderr
    assert (folder / "flagbench" / "replaced").is_dir()


def test_a_reranker_runs_the_reranking_tasks(tmp_path: Path) -> None:
    result = here("evaluate", "flagbench/random-reranker", "--mini", "--types", "reranking", "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "T2Reranking" in result.stdout


def test_model_with_nan_weights_fails_its_tasks_with_code_1(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = add_sentence_transformers(write_bert(tmp_path / "broken"))
    weights = load_file(model / "model.safetensors")
    name = "encoder.layer.1.output.dense.weight"
    save_file(weights | {name: weights[name] * float("nan")}, model / "model.safetensors", metadata={"format": "pt"})
    out = tmp_path / "out"
    result = here("evaluate", model, "--mini", "--tasks", "LCQMC,STSB", "--output", out, "--device", "cpu")
    assert result.returncode == 1
    assert result.stdout == ""
    said = [line for line in result.stderr.splitlines() if line.startswith("flagbench: ")]
    assert len(said) == 2
    assert all("gave NaN or infinite values" in line for line in said)
    assert not list(out.glob("*/*/*.json"))
    run = json.loads(next(out.glob("*/*/flagbench/run.json")).read_text(encoding="utf-8"))
    assert {record["status"] for record in run["tasks"].values()} == {"error"}


def test_a_task_with_bad_rows_fails_and_the_others_go_on(tmp_path: Path) -> None:
    for repo, rows in {
        "C-MTEB/LCQMC": [{"sentence1": "好", "sentence2": each, "score": int(each == "坏")} for each in (" ", "坏")],
        "mteb/STSB": [{"sentence1": f"第{i}句", "sentence2": f"句{i % 3}", "score": i % 6} for i in range(12)],
    }.items():
        folder = tmp_path / "data" / repo / "data"
        folder.mkdir(parents=True)
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (folder / "test-00000-of-00001.jsonl").write_text(text, encoding="utf-8")
    result = here(
        *["evaluate", "flagbench/random", "--tasks", "LCQMC,STSB"],
        *["--data", tmp_path / "data", "--output", tmp_path / "out"],
    )
    assert result.returncode == 2
    assert "empty text in split test, column sentence2, row 0" in result.stderr
    assert [path.name for path in (tmp_path / "out").glob("*/*/STSB.json")] == ["STSB.json"]
    assert not list((tmp_path / "out").glob("*/*/LCQMC.json"))


def test_validate_says_what_would_run_and_writes_nothing(tmp_path: Path) -> None:
    model = write_bert(tmp_path / "bge-small-zh-v1.5" / "checkpoint-20")
    out = tmp_path / "out"
    result = here("validate", model, "--mini", "--output", out, "--device", "cpu", "--dtype", "bf16")
    assert result.returncode == 0, result.stderr
    assert "bge-small-zh-v1.5/checkpoint-20" in result.stdout
    assert "'为这个句子生成表示以用于检索相关文章：' before Retrieval-query, Reranking-query" in result.stdout
    assert "dtype: 'bf16', as asked for" in result.stdout
    assert not out.exists()


def test_a_reranker_behind_an_encoder(tmp_path: Path) -> None:
    command = ["evaluate", "flagbench/random", "--mini", "--types", "retrieval", "--output", tmp_path]
    result = here(*command, "--reranker", "flagbench/random-reranker", "--rerank-top-k", "20")
    assert result.returncode == 0, result.stderr
    assert "first 20 re-ranked by flagbench/random-reranker at v1" in result.stderr
    folder = tmp_path / "flagbench__random+random-reranker" / "v1+v1"
    scores = json.loads((folder / "EcomRetrieval.json").read_text(encoding="utf-8"))["scores"]["dev"][0]
    run = json.loads((folder / "flagbench" / "run.json").read_text(encoding="utf-8"))
    assert run["reranker"]["top_k"] == 20

    alone = here(*command)
    assert alone.returncode == 0
    folder = tmp_path / "flagbench__random" / "v1"
    before = json.loads((folder / "EcomRetrieval.json").read_text(encoding="utf-8"))["scores"]["dev"][0]
    assert scores["ndcg_at_10"] != before["ndcg_at_10"]
    assert scores["recall_at_20"] == before["recall_at_20"]
    assert scores["recall_at_100"] == before["recall_at_100"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["flagbench/random", "--types", "sts", "--reranker", "flagbench/random-reranker"], "do not retrieve"),
        (["flagbench/random", "--types", "retrieval", "--reranker", "flagbench/random"], "not a reranker"),
        (["flagbench/random-reranker", "--types", "reranking", "--reranker", "flagbench/random-reranker"], "itself"),
        (["flagbench/random", "--types", "retrieval", "--reranker", "./none"], "no such model directory"),
    ],
)
def test_a_reranker_in_the_wrong_place_is_refused(arguments: list[str], said: str) -> None:
    assert said in one_line(here("evaluate", *arguments, "--mini"))


def test_models_show_says_what_was_detected_from_what(tmp_path: Path) -> None:
    model = add_sentence_transformers(write_bert(tmp_path / "mine"), pooling="cls", prompts={"query": "问："})
    result = here("models", "show", model, "--max-length", "32")
    assert result.returncode == 0, result.stderr
    assert "settings  cls pooling, normalised, cosine, 32 tokens, fp32" in result.stdout
    assert "pooling: cls, from modules.json and its pooling folder" in result.stdout
    assert "query_max_length: 32, as asked for" in result.stdout
    assert "instruct  '问：' before queries" in result.stdout
    assert "no such model directory" in one_line(here("models", "show", "./none"))


def test_the_fake_models_need_no_torch() -> None:
    code = (
        "import sys\n"
        "from flagbench.models.loading.overrides import Overrides\n"
        "from flagbench.models.loading.resolve import resolve_model\n"
        "model = resolve_model('flagbench/random', None, Overrides(), trust_remote_code=False, allow_pickle=False)\n"
        "adapter = model.load(device='cpu', batch_size=None, trust_remote_code=False, allow_pickle=False)\n"
        "assert adapter.encode(['a', 'b'], role='query').dense.shape == (2, 384)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_two_checkpoints_of_one_name_have_a_column_each(tmp_path: Path) -> None:
    folders = [
        add_sentence_transformers(write_bert(tmp_path / side / "ckpt", seed=seed)) for seed, side in enumerate("ab")
    ]
    result = here("evaluate", *folders, "--mini", "--tasks", "STSB", "--output", tmp_path / "o", "--device", "cpu")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("local/ckpt@") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "x", "--profil", "quick"], "unknown flag '--profil'; did you mean --profile"),
        (["evaluate", "x", "--profil=quick"], "unknown flag '--profil'; did you mean --profile"),
        (["evaluate", "x", "--benchmark", "mlvu", "--frame", "3"], "unknown flag '--frame'; did you mean --frames"),
        (["check", "--baseline", "a", "--candidate", "b", "--rules", "c", "--junitt", "d"], "did you mean --junit"),
        (["score", "mlvu", "x", "--judg", "y"], "see flagbench score mlvu --help"),
    ],
)
def test_a_flag_that_is_none_is_refused_with_the_nearest_ones(arguments: list[str], said: str) -> None:
    """Abbreviations among them: what is one flag's today may be two's in the next release."""
    assert said in one_line(here(*arguments))
