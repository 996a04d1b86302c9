"""``benchmarks/gpu.py`` runs whole on any machine with ``--tiny``: the code that a machine with a GPU runs."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from flagbench.models.loading.resolve import resolve_model
from tests.conftest import ROOT
from tests.saying import saying

# Packages that a machine with a GPU may lack, and that no encoding, scoring or searching needs.
LACKING = (
    *("faiss", "datasets", "mteb", "rich", "pytrec_eval", "pydantic", "bm25s", "Stemmer", "av", "FlagEmbedding"),
    *("pyarrow", "pandas", "accelerate", "peft"),
)
FOREVER = "1000000"  # this machine may be busy
EMBEDDERS = ("bge-large", "bge-m3", "bge-small-zh", "bge-base", "qwen2-1.5b")
RERANKERS = ("bge-reranker-large", "gemma-2b-reranker")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Its modules, by name."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def run(folder: Path, *arguments: str, lacking: tuple[str, ...] = LACKING) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({lacking}))\n")
    environment = {**os.environ, "PYTHONPATH": str(folder), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--output", str(folder / "out"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


def test_all_of_it_runs_without_a_gpu_and_without_packages_that_it_does_not_need(tmp_path: Path) -> None:
    done = run(tmp_path, "--tiny", "--seconds", FOREVER)
    assert done.returncode == 0, done.stderr
    assert "it failed" not in done.stderr
    content = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    rows = content["rows"]
    ours = {(row["model"], row["inputs"]): row for row in rows if row["side"] == "FlagBench"}
    kinds = ("48 tokens", "questions", "abstracts")
    wanted = {(name, kind) for name in EMBEDDERS for kind in kinds}
    assert ours.keys() == wanted | {(name, kind) for name in RERANKERS for kind in ("48 tokens", "pairs")}
    for (name, kind), row in ours.items():
        assert row["backend"] == "torch (one token in the last layer)"
        assert row["cosine"] > 0.98, (name, kind)
        assert len(row["seconds"]) == 3
        assert row["tokens_per_second"] == pytest.approx(row["tokens"] / sorted(row["seconds"])[1])
        if kind == "48 tokens" and name != "gemma-2b-reranker":  # whose prompt comes on top
            assert row["tokens"] == 48 * row["texts"]
    assert {row["share"] for row in rows} == {row["peak_gib"] for row in rows} == {None}
    assert {row["side"] for row in rows} == {"FlagBench"}
    assert sum("sentence-transformers: it cannot be imported here" in line for line in content["skipped"]) == 6
    assert content["versions"]["FlagEmbedding"] == "not installed"
    (search,) = content["search"]
    assert search["searched by"] == f"torch {torch.__version__}, cpu"
    assert search["the processor's"] == f"numpy {np.__version__}, no FAISS here"
    assert search["equal to float64"] == search["equal within its error"] == search["queries compared"] == 20
    table = (tmp_path / "out" / "gpu.md").read_text(encoding="utf-8")
    assert done.stdout.strip() == table.strip()
    head = table.splitlines()[0]
    assert head.startswith(f"{content['date']}, ")
    for fact in (content["card"]["processor"], f"torch {torch.__version__}", f"numpy {np.__version__}"):
        assert fact in head
    assert "the figures mean nothing" in table
    for (name, kind), row in ours.items():
        line = next(line for line in table.splitlines() if line.startswith(f"| {name} | {kind} | FlagBench"))
        assert f"{row['tokens_per_second']:,.0f}" in line
        assert line.count("not measured") == 3


@pytest.mark.slow
def test_peers_run_the_same_inputs(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "--tiny",
        "--seconds",
        FOREVER,
        "--only",
        "bge-small-zh",
        "bge-reranker-large",
        "gemma-2b-reranker",
        lacking=("faiss",),
    )
    assert done.returncode == 0, done.stderr
    assert "it failed" not in done.stderr
    content = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    counts: dict[tuple[str, str], set[tuple[str, int, int]]] = {}
    for row in content["rows"]:
        counts.setdefault((row["model"], row["side"]), set()).add((row["inputs"], row["texts"], row["tokens"]))
    for name in ("bge-small-zh", "bge-reranker-large"):  # too few texts for batches of 128
        assert counts[name, "FlagBench"] == counts[name, "sentence-transformers, default"]
    assert counts.keys() == {
        *((name, "FlagBench") for name in ("bge-small-zh", "bge-reranker-large", "gemma-2b-reranker")),
        *((name, "sentence-transformers, default") for name in ("bge-small-zh", "bge-reranker-large")),
    }
    assert f"sentence-transformers {content['versions']['sentence-transformers']}" in done.stdout
    assert any("it has no prompt of an LLM reranker" in line for line in content["skipped"])


def test_what_there_is_no_time_for_is_named(tmp_path: Path, script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--output", str(tmp_path / "out"), "--tiny", "--seconds", "0"])
    with pytest.raises(SystemExit) as left:
        script("gpu").main()
    assert left.value.code == 1
    content = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    assert content["rows"] == []
    for name in (*EMBEDDERS, *RERANKERS):
        assert f"{name}: no time was left for it" in content["skipped"]


def test_each_part_has_an_equal_share_of_what_is_left(
    tmp_path: Path, script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu, card = script("gpu"), script("gpu_card")
    shares: dict[str, float] = {}

    class Part:
        def __init__(self, shape: Any, folder: Path, card: Any, report: Any, deadline: Any, _: Any) -> None:
            shares[shape.name] = deadline.seconds

        def measure(self) -> None:
            pass

    def broken(self: Any, *, tiny: bool) -> None:
        raise RuntimeError("CUDA error: no more pinned memory\nand so on")

    monkeypatch.setattr(gpu, "Part", Part)
    monkeypatch.setattr(gpu, "search", lambda *_: {"seconds": 1})
    monkeypatch.setattr(gpu, "_import", lambda: None)
    monkeypatch.setattr(card.Card, "rates", broken)
    report = gpu.measure(card.Card("cpu"), tmp_path, (), card.Deadline(8_000_000), tiny=False)
    assert shares == {
        "bge-large": pytest.approx(1_000_000, rel=1e-3),
        "bge-m3": pytest.approx(8_000_000 / 7, rel=1e-3),
        "bge-small-zh": pytest.approx(8_000_000 / 6, rel=1e-3),  # the search comes next
        "bge-base": pytest.approx(8_000_000 / 4, rel=1e-3),
        "bge-reranker-large": pytest.approx(8_000_000 / 3, rel=1e-3),
        "qwen2-1.5b": pytest.approx(8_000_000 / 2, rel=1e-3),
        "gemma-2b-reranker": pytest.approx(8_000_000, rel=1e-3),
    }
    assert report.search == [{"seconds": 1}]
    assert report.skipped == ["ceilings: it failed (RuntimeError: CUDA error: no more pinned memory)"]
    shares.clear()
    report = gpu.measure(card.Card("cpu"), tmp_path, ("bge-m3", "bge-base"), card.Deadline(40), tiny=False)
    assert shares == {"bge-m3": pytest.approx(25, abs=1), "bge-base": pytest.approx(40, abs=5)}


def test_without_a_gpu_it_says_how_to_run_it(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["torch sees no GPU here: run with --tiny, or on a machine with one"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["bge-large", "bge-m3", "qwen2-1.5b"])
def test_operations_are_those_that_torch_counts(name: str, script: Any) -> None:
    models = script("gpu_models")
    shape = next(each for each in models.SHAPES if each.name == name).tiny()
    config = models._config(shape)
    config._attn_implementation = "eager"  # the fused kernel of the processor is not counted
    model = getattr(transformers, shape.architecture)(config).eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(input_ids=torch.full((3, 20), 7), attention_mask=torch.ones(3, 20, dtype=torch.long))
    counted = counter.get_total_flops()
    if name != "qwen2-1.5b":
        pooler = 2 * 3 * shape.width**2
        assert counted - pooler == shape.operations([20, 20, 20])
    else:  # torch counts attention in full also where it is causal, and the rotation's small product
        attention = shape.layers * 4 * shape.heads * shape.head * 3 * 20**2
        assert counted - attention / 2 == pytest.approx(shape.operations([20, 20, 20]), rel=2e-3)


@pytest.mark.parametrize("name", ["bge-base", "bge-reranker-large", "qwen2-1.5b"])
def test_operations_of_one_token_in_the_last_layer_are_those_that_torch_counts(
    name: str, tmp_path: Path, script: Any
) -> None:
    models = script("gpu_models")
    shape = next(each for each in models.SHAPES if each.name == name).tiny()
    folder = models.write_checkpoint(tmp_path / "model", shape, "cpu")
    allowed: dict[str, Any] = {"trust_remote_code": False, "allow_pickle": False}
    settings = saying(dtype="bf16", max_length=shape.length)
    model = resolve_model(str(folder), None, settings, on_cpu=lambda: True, **allowed)
    # Neither oneDNN's products nor the fused kernel of attention are counted on a processor.
    eager = replace(model, spec=replace(model.spec, attention="eager"))
    adapter: Any = eager.load(device="cpu", batch_size=None, **allowed)
    assert adapter.backend == "torch (one token in the last layer)"
    inputs: Any = models.texts(shape, 3, None, 0)
    with FlopCounterMode(display=False) as counter:
        if shape.scores:
            adapter.score([(text, text) for text in inputs])
        else:
            adapter.encode(inputs, role="passage")
    counted, wanted = counter.get_total_flops(), shape.operations([shape.length] * 3, one_token=True)
    if shape.decoder:  # as below: attention of the first layer in full, and the rotation
        attention = 4 * shape.heads * shape.head * 3 * shape.length**2
        assert counted - attention / 2 == pytest.approx(wanted, rel=5e-3)
    else:
        again = 2 * 2 * 3 * shape.width**2  # keys and values of the one token, which its layer makes once more
        head = 2 * 3 * shape.width**2 + (2 * 3 * shape.width if shape.scores else 0)  # a pooler; or dense and logit
        assert counted - again - head == wanted


def test_operations_of_published_shapes(script: Any) -> None:
    """Counted by hand: 24 layers x 2 x (4 x 1024² + 2 x 1024 x 4096) + 24 x 4 x 512 x 1024 a token, and so on."""
    shapes = {shape.name: shape for shape in script("gpu_models").SHAPES}
    for name, million in (("bge-large", 654.3), ("bge-m3", 654.3), ("bge-base", 188.7), ("bge-small-zh", 29.4)):
        assert shapes[name].operations([512]) / 512 / 1e6 == pytest.approx(million, abs=0.06)


def test_natural_texts_have_the_lengths_that_the_page_states(script: Any) -> None:
    models = script("gpu_models")
    shape = models.SHAPES[0]
    for (median, deviation, least, most), count in ((models.QUESTIONS, 4_000), (models.ABSTRACTS, 1_000)):
        drawn = models.texts(shape, count, (median, deviation, least, most), 3)
        lengths = np.array([len(text.split()) - 1 for text in drawn])  # the number at its end is no word
        assert len(set(drawn)) == count
        assert np.median(lengths) == pytest.approx(median, rel=0.1)
        assert np.log(lengths).std() == pytest.approx(deviation, abs=0.08)
        assert least <= lengths.min() <= lengths.max() <= most


def test_spans_that_overlap_count_once(script: Any) -> None:
    joint_length = script("gpu_card").joint_length
    assert joint_length([]) == 0
    assert joint_length([(5.0, 7.0), (0.0, 2.0), (1.0, 3.0), (6.0, 6.5), (7.0, 8.0)]) == 6.0
