"""Every kind of family through the command line, and what it says when its flags and files do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import filled
from tests.checkpoints import add_sentence_transformers, write_bert, write_json
from tests.e2e.commands import flagbench, here, one_line

pytestmark = pytest.mark.usefixtures("one_thread")

RERANKING = ["--mini", "--tasks", "T2Reranking"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny random checkpoints."""
    folder = tmp_path_factory.mktemp("models")
    add_sentence_transformers(write_bert(folder / "bert"))
    filled.write_filled_m3(folder / "m3")
    filled.write_filled_gemma_reranker(folder / "gemma")
    filled.write_filled_minicpm(folder / "minicpm")
    filled.write_filled_cost_wise_gemma(folder / "lightweight")
    filled.write_xlmr_reranker(folder / "cross-encoder")
    filled.write_filled_mistral(folder / "icl")
    write_json(folder / "adapter" / "adapter_config.json", {"base_model_name_or_path": str(folder / "gone")})
    (folder / "adapter" / "adapter_model.safetensors").write_bytes((folder / "bert" / "model.safetensors").read_bytes())
    return folder


def records(output: Path) -> dict[str, dict[str, object]]:
    return {
        path.parts[-4]: json.loads(path.read_text(encoding="utf-8")) for path in output.glob("*/*/flagbench/run.json")
    }


@pytest.mark.parametrize("retrieval", ["sparse", "colbert", "hybrid"])
def test_m3_ranks_by_its_parts(models: Path, tmp_path: Path, retrieval: str) -> None:
    command = ["evaluate", models / "m3", "--mini", "--tasks", "CovidRetrieval,T2Reranking", "--retrieval", retrieval]
    result = here(*command, "--allow-pickle", "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    (record,) = records(tmp_path).values()
    assert list(records(tmp_path)) == [f"local__m3-{retrieval}"]
    assert record["spec"]["retrieval"] == retrieval
    assert {task["status"] for task in record["tasks"].values()} == {"success"}
    meta = json.loads(next(tmp_path.glob("*/*/model_meta.json")).read_text(encoding="utf-8"))
    assert meta["model_type"] == [{"colbert": "late-interaction"}.get(retrieval, retrieval)]


def test_several_cutoff_layers_are_several_results(models: Path, tmp_path: Path) -> None:
    result = here(
        *("evaluate", models / "lightweight", *RERANKING, "--cutoff-layers", "2,4,6", "--output", tmp_path),
        *("--compress-ratio", "2", "--compress-layers", "3"),
    )
    assert result.returncode == 0, result.stderr
    found = records(tmp_path)
    assert sorted(found) == [f"local__lightweight-layer{layer}" for layer in (2, 4, 6)]
    specs = [found[name]["spec"] for name in sorted(found)]
    assert [(spec["cutoff_layer"], spec["head"], spec["head_index"]) for spec in specs] == [
        (2, 0, "position"),
        (4, 1, "position"),
        (6, 2, "position"),
    ]
    scores = {name: found[name]["tasks"]["T2Reranking"]["scores"] for name in found}
    assert len({json.dumps(score) for score in scores.values()}) == 3
    alone = here(
        *("evaluate", models / "lightweight", *RERANKING, "--cutoff-layers", "4", "--head-index", "position"),
        *("--compress-ratio", "2", "--compress-layers", "3", "--output", tmp_path / "alone"),
    )
    assert alone.returncode == 0, alone.stderr
    assert records(tmp_path / "alone")["local__lightweight-layer4"]["spec"]["head"] == 0


def test_a_layerwise_reranker_behind_an_encoder_takes_the_flags_of_rerankers(models: Path, tmp_path: Path) -> None:
    result = here(
        *("evaluate", models / "bert", "--mini", "--tasks", "CovidRetrieval", "--reranker", models / "minicpm"),
        *("--cutoff-layers", "2,4", "--rerank-top-k", "5", "--reranker-max-length", "64", "--prompt", "Well?"),
        *("--output", tmp_path),
    )
    assert result.returncode == 0, result.stderr
    found = records(tmp_path)
    assert sorted(found) == ["local__bert+minicpm-layer2", "local__bert+minicpm-layer4"]
    for layer in (2, 4):
        reranker = found[f"local__bert+minicpm-layer{layer}"]["reranker"]
        assert (reranker["cutoff_layer"], reranker["prompt"], reranker["passage_max_length"]) == (layer, "Well?", 64)
        assert found[f"local__bert+minicpm-layer{layer}"]["spec"]["passage_max_length"] == 64  # of its own files


def test_a_decoder_given_as_a_reranker_is_one(models: Path, tmp_path: Path) -> None:
    result = here(
        *("evaluate", models / "bert", "--mini", "--tasks", "CovidRetrieval", "--reranker", models / "gemma"),
        *("--rerank-top-k", "3", "--output", tmp_path),
    )
    assert result.returncode == 0, result.stderr
    assert "family llm-reranker: GemmaForCausalLM, given as a reranker" in result.stderr


def test_solved_examples_are_in_the_settings(models: Path, tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    examples.mkdir()
    (examples / "CovidRetrieval.csv").write_text("query,pos\nwhat is it,a virus\n", encoding="utf-8")
    command = ["evaluate", models / "icl", "--mini", "--tasks", "CovidRetrieval"]
    for output, more in [("zero", []), ("few", ["--examples", examples])]:
        result = here(*command, *more, "--output", tmp_path / output)
        assert result.returncode == 0, result.stderr
    zero, few = (next(iter(records(tmp_path / output).values())) for output in ("zero", "few"))
    assert zero["tasks"]["CovidRetrieval"]["scores"] != few["tasks"]["CovidRetrieval"]["scores"]
    (prompt,) = [text for selector, text in few["spec"]["prompts"] if selector == "CovidRetrieval-query"]
    assert prompt.startswith("<instruct>Given a question on COVID-19")
    assert "<query>what is it\n<response>a virus\n\n<instruct>" in prompt


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cross-encoder", "--mini"], "is a reranker and gives no vectors, which"),
        (["bert", "--mini", "--tasks", "CovidRetrieval", "--reranker", "bert"], "an embedding model, not a reranker"),
        (["adapter", "--mini"], "gone, which cannot be had (no such model directory"),
        (["bert", "--mini", "--adapter", "bert"], "no PEFT adapter, for it has no adapter_config.json"),
        (["minicpm", *RERANKING, "--cutoff-layers", "5"], "can be read after layers 2 to 4, not after 5"),
        (["minicpm", *RERANKING, "--cutoff-layers", "x"], "expected a whole number above 0, not 'x'"),
        (["m3", "--mini", "--retrieval", "hybrid", "--weights", "0,0,0"], "their sum must be positive"),
        (["m3", "--mini", "--retrieval", "hybrid", "--weights", "heavy"], "unknown weights 'heavy'"),
        (["m3", "--mini", "--retrieval", "hybrid", "--allow-pickle"], "ranks passages, and"),
        (["bert", "--mini", "--family", "llm-reranker"], "is a BertModel by its config.json; name another family"),
        (["bert", "--mini", "--family", "gemma2-embedder"], "means lasttoken pooling, and"),
        (["gemma", "--mini"], "which may be a reranker, a generator or an embedder"),
        (["bert", "--mini", "--retrieval", "sparse"], "--retrieval is for BGE-M3"),
        (["bert", "--mini", "--prompt", "Well?"], "--prompt is for an LLM reranker"),
        (["icl", "--mini", "--examples", "none"], "no such folder"),
    ],
)
def test_what_does_not_fit_is_one_line(models: Path, arguments: list[str], said: str) -> None:
    names = {path.name for path in models.iterdir()}
    paths = [str(models / each) if each in names else each for each in arguments]
    assert said in one_line(here("evaluate", *paths))


def test_heads_are_pickles_and_a_missing_head_is_no_random_one(models: Path, tmp_path: Path) -> None:
    command = ["--mini", "--tasks", "CovidRetrieval", "--retrieval", "hybrid", "--output", tmp_path / "out"]
    assert "sparse_linear.pt is a pickle" in one_line(here("evaluate", models / "m3", *command))
    filled.write_filled_m3(tmp_path / "m3")
    (tmp_path / "m3" / "colbert_linear.pt").unlink()
    said = one_line(here("evaluate", tmp_path / "m3", *command, "--allow-pickle"))
    assert "has no colbert_linear.pt, which this --retrieval needs" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["m3", "--tasks", "XQuADRetrieval", "--subsets", "zh", "--retrieval", "hybrid", "--allow-pickle"],
        ["bert", "--tasks", "SciFact", "--reranker", "cross-encoder", "--rerank-top-k", "20"],
    ],
    ids=["hybrid", "reranked"],
)
def test_real_text_gives_the_same_run_twice(
    models: Path, shared_data: Path, tmp_path: Path, arguments: list[str]
) -> None:
    paths = [str(models / each) if (models / each).is_dir() else each for each in arguments]
    runs = []
    for attempt in ("first", "second"):
        output = tmp_path / attempt
        result = flagbench(
            *("evaluate", *paths, "--benchmark", "mteb", "--data", shared_data, "--output", output),
            "--save-predictions",
        )
        assert result.returncode == 0, result.stderr
        runs.append(next(output.glob("*/*/flagbench/predictions/*.json")).read_bytes())
    assert runs[0] == runs[1]
