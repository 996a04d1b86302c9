"""Embedders against FlagEmbedding's own classes: outputs kept by make_goldens.py, checkpoints rebuilt by seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flagbench.models.contract import Part
from flagbench.models.embedders.icl import tokenize_icl
from flagbench.models.loading.overrides import Overrides
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from flagbench.runners.search.ranking import Texts, rank
from tests.parity.kept import golden, hold, loaded, rebuilt, resolved
from tests.saying import saying

pytestmark = pytest.mark.usefixtures("one_thread")


BATCHES = pytest.mark.parametrize("batch_size", [None, 1, 256])  # 256 is the reference's: the very same batches

# Families whose adapter, pooling and form of instruction one golden file speaks for.
FAMILIES = {
    "flagmodel_bert": "bge-zh bge-zh-noinstruct bge-en e5 llm-embedder-qa llm-embedder-convsearch llm-embedder-chat "
    "llm-embedder-lrlm llm-embedder-icl llm-embedder-tool",
    "flagllm_qwen2": "instruct-embedder qwen3-embedding bge-code",
    "flagllm_gemma2": "gemma2-embedder",
}


@BATCHES
@pytest.mark.parametrize("name", FAMILIES)
def test_vectors_are_those_of_flagembedding(name: str, batch_size: int | None, tmp_path: Path) -> None:
    kept = golden(name)
    folder, reference = rebuilt(kept, tmp_path / "tiny"), kept["reference"]
    assert any("passages" in case for case in kept["cases"])
    for case in kept["cases"]:
        model = resolved(folder, Overrides(pooling=case["pooling"], normalize=case["normalize"]))
        lengths = {key: reference[key] for key in ("query_max_length", "passage_max_length")}
        adapter = loaded(replace(model, spec=replace(model.spec, **lengths)), batch_size)
        prefix = case["query_instruction_format"].format(reference["query_instruction_for_retrieval"], "")
        for role, instruction, key in [("query", prefix, "queries"), ("passage", "", "passages")]:
            if key not in case:  # passages do not depend on the query's format and are kept once
                continue
            found = adapter.encode(kept["texts"], role=role, instruction=instruction).dense
            hold(FAMILIES[name], found, case[key], batch_size)


@BATCHES
def test_in_context_queries_are_those_of_flagiclmodel(batch_size: int | None, tmp_path: Path) -> None:
    kept = golden("icl_mistral")
    reference = kept["reference"]
    model = resolved(rebuilt(kept, tmp_path / "tiny"), Overrides())
    assert model.spec.family == "bge-en-icl"  # by its <response> token
    lengths = {key: reference[key] for key in ("query_max_length", "passage_max_length")}
    adapter = loaded(replace(model, spec=replace(model.spec, **lengths)), batch_size)
    task = reference["query_instruction_format"].format(reference["query_instruction_for_retrieval"], "")
    assert any(case["examples"] for case in kept["cases"])
    for case in kept["cases"]:
        solved = [
            reference["examples_instruction_format"].format(each["instruct"], each["query"], each["response"])
            for each in case["examples"] or []
        ]
        instruction = "".join(f"{example}\n\n" for example in solved) + task
        encoded = tokenize_icl(adapter._tokenizer, adapter.spec, kept["texts"], "query", instruction)
        assert [list(ids) for ids in encoded["input_ids"]] == case["query_input_ids"]
        found = adapter.encode(kept["texts"], role="query", instruction=instruction).dense
        hold("bge-en-icl", found, case["queries"], batch_size)
    hold("bge-en-icl", adapter.encode(kept["texts"], role="passage").dense, kept["passages"], batch_size)


@BATCHES
def test_pseudo_moe_vectors_are_those_of_flagpseudomoemodel(batch_size: int | None, tmp_path: Path) -> None:
    """A plain decoder, as the class takes it too; models with experts come with code of their own."""
    kept = golden("pseudo_moe_qwen2")
    reference = kept["reference"]
    folder = rebuilt(kept, tmp_path / "tiny")
    prefix = reference["query_instruction_format"].format(reference["query_instruction_for_retrieval"], "")
    for case in kept["cases"]:
        model = resolved(folder, Overrides(family="pseudo-moe", normalize=case["normalize"]))
        lengths = {key: reference[key] for key in ("query_max_length", "passage_max_length")}
        adapter = loaded(replace(model, spec=replace(model.spec, **lengths)), batch_size)
        found = adapter.encode(kept["texts"], role="query", instruction=prefix).dense
        hold("pseudo-moe", found, case["queries"], batch_size)
        if "passages" in case:
            found = adapter.encode(kept["texts"], role="passage").dense
            hold("pseudo-moe", found, case["passages"], batch_size)


@pytest.fixture(scope="module")
def m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rebuilt(golden("m3_xlmr"), tmp_path_factory.mktemp("m3") / "tiny")


ALL_PARTS: frozenset[Part] = frozenset({"dense", "sparse", "multi_vector"})


@BATCHES
def test_the_three_parts_are_those_of_bgem3flagmodel(batch_size: int | None, m3: Path) -> None:
    kept = golden("m3_xlmr")
    model = resolved(m3, saying(retrieval="hybrid"))
    assert model.spec.family == "bge-m3"
    adapter = loaded(model, batch_size)
    found = adapter.encode(kept["texts"], role="query", parts=ALL_PARTS)
    hold("bge-m3", found.dense, kept["dense"]["queries"], batch_size)
    for row, weights in enumerate(kept["lexical_weights"]["queries"]):
        mine = found.sparse[[row]].tocoo()
        assert sorted(mine.col.tolist()) == sorted(map(int, weights))
        if weights:
            hold("bge-m3", mine.data, [weights[str(column)] for column in mine.col], batch_size)
    for row, vectors in zip(kept["colbert"]["text_rows"], kept["colbert"]["passages"], strict=True):
        hold("bge-m3", found.multi_vector[row], vectors, batch_size)


def test_one_part_alone_is_that_of_all(m3: Path) -> None:
    texts = golden("m3_xlmr")["texts"]
    adapter = loaded(resolved(m3, saying(retrieval="hybrid")))
    together = adapter.encode(texts, role="query", parts=ALL_PARTS)
    for part in ALL_PARTS:
        alone = adapter.encode(texts, role="query", parts=frozenset({part}))
        assert [getattr(alone, other) is None for other in sorted(ALL_PARTS)] == [
            other != part for other in sorted(ALL_PARTS)
        ]
        one, other = getattr(alone, part), getattr(together, part)
        if part == "multi_vector":
            one, other = one.values, other.values
        assert abs(one - other).max() == 0


def test_scores_and_their_weighted_sums_are_those_of_compute_score(m3: Path) -> None:
    kept = golden("m3_xlmr")
    pairs = kept["pairs"]
    queries = Texts([str(row) for row in range(len(pairs))], [query for query, _ in pairs], "")
    passages = Texts(queries.ids, [passage for _, passage in pairs], "")
    for case in kept["cases"]:
        dense, sparse, colbert = case["weights_for_different_modes"]
        for name, weights, divisor in [
            ("dense", (1, 0, 0), 1),
            ("sparse", (0, 1, 0), 1),
            ("colbert", (0, 0, 1), 1),
            ("sparse+dense", (dense, sparse, 0), dense + sparse),
            ("colbert+sparse+dense", (dense, sparse, colbert), dense + sparse + colbert),
        ]:
            model = resolved(m3, saying(retrieval="hybrid", weights=weights))
            encoder = TextEncoder(loaded(model), Silent())
            run, _ = rank(encoder, queries, passages, {each: [each] for each in queries.ids}, top_k=1)
            found = [run[each][each] / divisor for each in queries.ids]
            hold("bge-m3", found, case["scores"][name])
