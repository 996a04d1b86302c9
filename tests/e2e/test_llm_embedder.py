"""LLM-Embedder's tasks as a user runs them: the miniature data, with scores recomputed from whole matrices."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.request import RunRequest
from flagbench.suites.llm_embedder import reader_evaluation
from flagbench.suites.llm_embedder.benchmark import LLM_EMBEDDER
from flagbench.suites.llm_embedder.loading import Collection
from flagbench.suites.llm_embedder.registry import row_of
from tests.causal_checkpoints import write_causal
from tests.e2e.commands import here, one_line
from tests.e2e.test_own import records, score
from tests.unit.suites.llm_embedder.scripted_reader import ScriptedReader
from tests.unit.suites.llm_embedder.test_reading import popqa

MODEL = "flagbench/random"
MINI = Path(str(LLM_EMBEDDER.mini_data())) / "llm-embedder"


def evaluate(output: Path, *arguments: str | Path) -> dict[str, dict[str, Any]]:
    result = here("evaluate", *arguments, "--benchmark", "llm-embedder", "--mini", "--no-store", "--output", output)
    assert result.returncode == 0, result.stderr
    return records(output)


def collection(name: str) -> Collection:
    found = LLM_EMBEDDER.load(row_of(name).task, Snapshots(LLM_EMBEDDER.mini_data()), RunRequest("m", "llm-embedder"))
    assert isinstance(found.content, Collection)
    return found.content


def rankings(found: Collection) -> dict[str, list[int]]:
    """The rows of all passages per query, by the vectors of the random encoder."""
    from flagbench.models.loading.overrides import Overrides
    from flagbench.models.loading.resolve import resolve_model

    model = resolve_model(MODEL, None, Overrides(), trust_remote_code=False, allow_pickle=False)
    encoder: Any = model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    queries, passages = (
        encoder.encode(list(its.texts), role=role).dense
        for its, role in ((found.queries, "query"), (found.passages, "passage"))
    )
    order = np.argsort(-(queries @ passages.T), axis=1, kind="stable")
    return dict(zip(found.queries.ids, order.tolist(), strict=True))


def test_scores_are_those_of_a_whole_matrix(tmp_path: Path) -> None:
    recorded = evaluate(tmp_path, MODEL)
    assert set(recorded) == {"ToolBench", "QReCC", "NQRetrieval"}
    for task, cutoff in (("ToolBench", 5), ("QReCC", 3)):
        found = collection(task)
        values = []
        for query, ranking in rankings(found).items():
            labels = found.labels[query]
            gained = sum(1 / np.log2(rank + 2) for rank, row in enumerate(ranking[:cutoff]) if row in labels)
            values.append(gained / sum(1 / np.log2(rank + 2) for rank in range(min(len(labels), cutoff))))
        assert 0 < np.mean(values) < 1
        assert score(recorded[task]) == pytest.approx(np.mean(values), abs=1e-9)
    (folder,) = {path.parent for path in tmp_path.rglob("NQRetrieval.json") if path.parent.name == "v1"}
    metrics = json.loads((folder / "NQRetrieval.json").read_text())["metrics"]
    found = collection("NQRetrieval")
    for cutoff in (1, 5, 20):
        hits = [
            any(f"river {found.answers[query][0]}." in found.passages.texts[row] for row in ranking[:cutoff])
            for query, ranking in rankings(found).items()
        ]
        assert metrics[f"hit_rate_at_{cutoff}"] == pytest.approx(np.mean(hits))
    # Twenty of fifty passages: a model without a thought of them finds four of ten, give or take two standard errors.
    assert score(recorded["NQRetrieval"]) == pytest.approx(0.4, abs=2 * np.sqrt(0.4 * 0.6 / 10))


def test_words_find_the_towns_and_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    recorded = evaluate(tmp_path, "bm25")
    assert score(recorded["QReCC"]) == score(recorded["NQRetrieval"]) == 1.0
    assert 0.9 < score(recorded["ToolBench"]) < 1.0  # the label that is listed twice
    again = here("evaluate", "bm25", "--benchmark", "llm-embedder", "--mini", "--output", tmp_path)
    assert "ToolBench: finished before" in again.stderr
    page = tmp_path / "page.html"
    assert here("report", tmp_path, "--html", page).returncode == 0
    assert "LLM-Embedder" in page.read_text(encoding="utf-8")


def test_two_models_end_with_what_puts_them_side_by_side(tmp_path: Path) -> None:
    flags = ("--benchmark", "llm-embedder", "--mini", "--tasks", "QReCC", "--output", tmp_path / "two runs")
    ran = here("evaluate", MODEL, "bm25", *flags)
    command = shlex.split(ran.stderr.splitlines()[-1])
    assert command[:3] == ["then:", "flagbench", "compare"]
    compared = here(*command[2:])
    assert compared.returncode == 0, compared.stderr
    assert "Δ is to flagbench/random" in " ".join(compared.stdout.split())
    single = here("evaluate", "bm25", *flags)
    assert "flagbench compare" not in single.stderr


def test_a_reranker_orders_what_was_retrieved(tmp_path: Path) -> None:
    plain = evaluate(tmp_path / "a", "bm25", "--tasks", "ToolBench")
    mixed = evaluate(tmp_path / "b", "bm25", "--tasks", "ToolBench", "--reranker", "flagbench/random-reranker")
    assert score(plain["ToolBench"]) > score(mixed["ToolBench"])


def test_queries_are_mixed_with_generations(tmp_path: Path) -> None:
    queries = collection("ToolBench").queries
    made = tmp_path / "made.jsonl"
    rows = [{"query": text, "generation": f"a tool for {text}"} for text in queries.texts]
    made.write_text("".join(json.dumps(row) + "\n" for row in rows))
    chosen = ("--tasks", "ToolBench", "--query-mix", made)
    mixed = evaluate(tmp_path / "out", MODEL, *chosen)
    weighted = evaluate(tmp_path / "other", MODEL, *chosen, "--query-mix-weights", "0,1")
    plain = evaluate(tmp_path / "plain", MODEL, "--tasks", "ToolBench")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["flagbench__random-query-mix"]
    assert mixed["ToolBench"]["settings"]["model"]["query_mix"]["weights"] == [0.2, 0.8]
    assert score(weighted["ToolBench"]) == score(plain["ToolBench"]) != score(mixed["ToolBench"])
    made.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    failed = here("evaluate", MODEL, "--benchmark", "llm-embedder", "--mini", "--output", tmp_path / "third", *chosen)
    assert failed.returncode == 2
    assert f"{made} has no generation for 1 of 20 queries of ToolBench (ids: 0): add a line" in failed.stderr
    line = one_line(here("evaluate", MODEL, "--benchmark", "cmteb", "--mini", "--tasks", "STSB", "--query-mix", made))
    assert "--query-mix mixes queries, and STSB has none" in line
    line = one_line(here("evaluate", MODEL, "--benchmark", "cmteb", "--mini", "--query-mix-weights", "1"))
    assert "expected two numbers that are not negative, as 0.2,0.8, not '1'" in line


def test_a_checkpoint_reads_what_was_retrieved(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "reader", "llama", None)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    recorded = evaluate(tmp_path / "out", "bm25", "--tasks", "MSC", "--reader", folder)["MSC"]
    rows = [json.loads(line) for line in (MINI / "chat/msc/test.json").read_text().splitlines()]
    losses = []
    for number, row in enumerate(rows):
        # BM25 finds the one turn that names the town, which is the one of its number.
        text = f"{row['history'][number]}\nSpeaker 1: {row['query']}\nSpeaker 2: {row['answers'][0]}"
        ids = torch.tensor([words(text)["input_ids"]])
        labels = ids.clone()
        labels[0, : -len(words(row["answers"][0], add_special_tokens=False)["input_ids"])] = -100
        with torch.inference_mode():
            losses.append(float(model(ids, labels=labels).loss))
    assert score(recorded) == pytest.approx(-np.mean(losses), abs=1e-5)
    shown = float(recorded["note"].rpartition("perplexity ")[2])
    assert shown == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)
    assert recorded["settings"]["options"]["reader"]["adapter"] == "text-lm"
    again = here(
        "evaluate",
        "bm25",
        "--benchmark",
        "llm-embedder",
        "--mini",
        "--tasks",
        "MSC",
        "--reader",
        folder,
        "--output",
        tmp_path / "out",
    )
    assert "MSC: finished before" in again.stderr
    none = evaluate(tmp_path / "none", "bm25", "--tasks", "MSC", "--reader", folder, "--knowledge", "none")["MSC"]
    assert score(none) != score(recorded)


def test_readers_and_retrieval_stand_beside_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_evaluation, "find_reader", lambda *_: ScriptedReader(popqa))
    chosen = ("bm25", "--tasks", "PopQA,ToolBench,LRLM", "--reader", "team/reader")
    recorded = evaluate(tmp_path, *chosen)
    assert score(recorded["PopQA"]) == 1.0
    assert recorded["PopQA"]["note"].startswith("unverified: the published value depends on solved examples")
    assert "options" not in recorded["ToolBench"]["settings"]
    retrieval = here(
        "evaluate", "bm25", "--benchmark", "llm-embedder", "--mini", "--tasks", "ToolBench", "--output", tmp_path
    )
    assert "ToolBench: finished before" in retrieval.stderr
    shown = here("show", tmp_path).stdout
    assert "nats" in shown
    printed = here("score", "llm-embedder", tmp_path).stdout
    assert "PopQA, read by team/reader" in printed
    assert "perplexity" in printed
    assert "ndcg_at_5" in printed
    (result,) = tmp_path.glob("*/v1/PopQA.json")
    result.write_text('{"task": "PopQA", "metrics": {"accuracy": "x"}}')
    assert f"{result} is not as it was written" in one_line(here("score", "llm-embedder", tmp_path))
    page = tmp_path / "page.html"
    assert here("report", tmp_path, "--html", page).returncode == 0
    verified = here("verify", tmp_path, "--against", "BAAI/llm-embedder", "--accept-counts")
    missing = next(line for line in verified.stdout.splitlines() if "MSC" in line)
    assert "-2.60" in missing  # log(13.4832): nats, and no percent
    assert "missing" in missing
    assert "not judged" in verified.stdout


def test_what_cannot_run_is_one_line(tmp_path: Path) -> None:
    line = one_line(here("evaluate", MODEL, "--benchmark", "llm-embedder", "--output", tmp_path))
    assert "reads --data DIR: unpack llm-embedder.tar.gz" in line or "3 of 3 tasks have no usable data" in line
    line = one_line(here("evaluate", MODEL, "--benchmark", "llm-embedder", "--mini", "--groups", "reader"))
    assert "need a language model that reads what is retrieved: name one with --reader" in line
    asked = ("evaluate", MODEL, "--benchmark", "llm-embedder", "--mini", "--tasks", "MSC", "--reader")
    for name in ("bm25", "BAAI/bge-m3", "flagbench/first-letter"):
        said = f"--reader {name}: it writes no texts of its own; name a causal language model"
        assert said in one_line(here(*asked, name))
    assert "no such model directory" in one_line(here(*asked, tmp_path / "absent"))
    line = one_line(here("evaluate", MODEL, "--benchmark", "llm-embedder", "--data", tmp_path, "--tasks", "QReCC"))
    assert "has no llm-embedder/convsearch/qrecc/test.concat.json" in line
