"""Golden files of the rerankers: scores of pairs and their ids in FlagEmbedding's classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests import filled
from tests.parity.golden_tools import PAIRS, describe, plain_ids, rounded, watched

MAX_LENGTH = 64
SAME = 1e-5


def reranker(folder: Path, builder: Callable[..., Path]) -> dict[str, Any]:
    """Scores of ``FlagReranker``, raw and through the sigmoid, and the ids of each pair."""
    from FlagEmbedding import FlagReranker

    max_length = MAX_LENGTH
    golden = describe(builder, folder)
    golden["reference"] = {"class": "FlagEmbedding.FlagReranker", "max_length": max_length}
    golden["pairs"] = PAIRS
    golden["cases"] = []
    for query_max_length in (None, 16):
        model = FlagReranker(
            str(folder), max_length=max_length, query_max_length=query_max_length, use_fp16=False, devices="cpu"
        )
        tokenizer = model.tokenizer
        effective = query_max_length or max_length * 3 // 4
        encoded = [
            tokenizer.prepare_for_model(
                plain_ids(tokenizer, query, effective),
                plain_ids(tokenizer, passage, max_length),
                truncation="only_second",
                max_length=max_length,
                padding=False,
            )
            for query, passage in PAIRS
        ]
        case: dict[str, Any] = {"query_max_length": query_max_length, "effective_query_max_length": effective}
        case["scores"] = rounded(model.compute_score(PAIRS))
        case["normalized_scores"] = rounded(model.compute_score(PAIRS, normalize=True))
        case["input_ids"] = [list(item["input_ids"]) for item in encoded]
        if "token_type_ids" in encoded[0]:
            case["second_starts_at"] = [list(item["token_type_ids"]).index(1) for item in encoded]
        golden["cases"].append(case)
    return golden


def llm_reranker(folder: Path) -> dict[str, Any]:
    """Scores of ``FlagLLMReranker``: the logit of "Yes" after the prompt."""
    from FlagEmbedding import FlagLLMReranker

    golden = describe(filled.write_filled_gemma_reranker, folder)
    golden["reference"] = {"class": "FlagEmbedding.FlagLLMReranker", "max_length": MAX_LENGTH}
    golden["pairs"] = PAIRS
    golden["cases"] = []
    for query_max_length, prompt in ((None, None), (16, None), (None, "Predict whether B contains an answer to A: ")):
        model = FlagLLMReranker(
            str(folder),
            max_length=MAX_LENGTH,
            query_max_length=query_max_length,
            prompt=prompt,
            use_fp16=False,
            devices="cpu",
        )
        golden["reference"] |= instructions(model) | {"yes_token_id": model.yes_loc}
        case: dict[str, Any] = {"query_max_length": query_max_length, "prompt": prompt}
        case |= scored(model)
        case |= {name: case[name][0] for name in ("scores", "scores_batch_1") if name in case}  # there is one layer
        case["normalized_scores"] = rounded(model.compute_score(PAIRS, normalize=True))
        golden["cases"].append(case)
    return golden


def layerwise(folder: Path) -> dict[str, Any]:
    """Scores of ``LayerWiseFlagLLMReranker`` from several layers: one list a layer."""
    from FlagEmbedding import LayerWiseFlagLLMReranker

    golden = describe(filled.write_filled_minicpm, folder)
    model = LayerWiseFlagLLMReranker(str(folder), max_length=MAX_LENGTH, use_bf16=False, devices="cpu")
    golden["reference"] = {"class": "FlagEmbedding.LayerWiseFlagLLMReranker", "max_length": MAX_LENGTH}
    golden["reference"] |= instructions(model) | {"attention": model.model.config._attn_implementation}
    golden["pairs"] = PAIRS
    golden["cases"] = []
    for cutoff_layers in (None, [2], [3], [4], [2, 4]):
        case = scored(model, cutoff_layers=cutoff_layers)
        golden["input_ids"] = case.pop("input_ids")  # those of every case
        golden["cases"].append({"cutoff_layers": cutoff_layers} | case)
    return golden


def lightweight(folder: Path) -> dict[str, Any]:
    """Scores of ``LightWeightFlagLLMReranker``: cutoffs, and passages compressed at some layers.

    Its class of model takes the attention without the soft cap where transformers' own Gemma2 does not, and passes no
    other choice on. The golden scores are with the soft cap; those without are kept beside them.
    """
    from FlagEmbedding import LightWeightFlagLLMReranker
    from FlagEmbedding.inference.reranker.decoder_only.models.gemma_model import CostWiseGemmaForCausalLM

    golden = describe(filled.write_filled_cost_wise_gemma, folder)
    settings: dict[str, Any] = {"max_length": MAX_LENGTH, "use_bf16": False, "devices": "cpu"}
    as_published = LightWeightFlagLLMReranker(str(folder), **settings)
    CostWiseGemmaForCausalLM._supports_sdpa = False
    model = LightWeightFlagLLMReranker(str(folder), **settings)
    golden["reference"] = {"class": "FlagEmbedding.LightWeightFlagLLMReranker", "max_length": MAX_LENGTH}
    golden["reference"] |= instructions(model) | {
        "attention": model.model.config._attn_implementation,
        "default_attention": as_published.model.config._attn_implementation,
    }
    golden["pairs"] = PAIRS
    golden["cases"] = []
    compressions = [(1, [3]), (2, [3]), (4, [3]), (2, [2, 4]), (4, [2, 4])]
    for compress_ratio, compress_layers in compressions:
        # The heads are chosen by place in the list, so only the whole list gives each layer its own.
        for cutoff_layers in ([6], [3], [3, 5], [2, 3, 4, 5, 6]):
            options = {"compress_ratio": compress_ratio, "compress_layers": compress_layers}
            options["cutoff_layers"] = cutoff_layers
            case = options | scored(model, **options)
            golden |= {name: case.pop(name) for name in ("input_ids", "query_lengths", "prompt_lengths")}
            case["scores_default_attention"] = layers_of(as_published.compute_score(PAIRS, **options))
            golden["cases"].append(case)
    return golden


def instructions(model: Any) -> dict[str, str]:
    """What the class writes before query and passage when it is not told otherwise."""
    names = ("query_instruction_for_rerank", "passage_instruction_for_rerank")
    return {name: getattr(model, name) for name in names}


def scored(model: Any, **options: Any) -> dict[str, Any]:
    """Scores of all pairs in one batch, a list a layer, and the ids of each; also those one by one, where they differ.

    The ids and whatever else the model is given come from the calls with one pair, as a batch is sorted first.
    """
    found: dict[str, Any] = {"scores": layers_of(model.compute_score(PAIRS, **options)), "input_ids": []}
    alone = []
    for pair in PAIRS:
        result, calls = watched(model.model, partial(model.compute_score, [pair], **options))
        alone.append([score for (score,) in layers_of(result)])
        found["input_ids"].append(calls[-1]["rows"][0])
        for name in ("query_lengths", "prompt_lengths"):
            if name in calls[-1]:
                found.setdefault(name, []).append(calls[-1][name][0])
    by_layer = [list(layer) for layer in zip(*alone, strict=True)]
    largest = float(np.abs(np.array(found["scores"]) - np.array(by_layer)).max())
    found["largest_difference_from_batch_of_1"] = rounded(largest)
    if largest > SAME:
        found["scores_batch_1"] = by_layer
    return found


def layers_of(scores: Any) -> list[list[float]]:
    """One list of scores a layer, also where the reference leaves out the outer list for a single layer."""
    found: list[Any] = rounded(scores)
    return found if isinstance(found[0], list) else [found]
