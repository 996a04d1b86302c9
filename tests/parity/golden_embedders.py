"""Golden files of the embedders: vectors and ids of FlagEmbedding's classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests import filled
from tests.parity.golden_tools import PAIRS, TEXTS, describe, ids, rounded, watched


def flagmodel(folder: Path) -> dict[str, Any]:
    """Vectors of ``FlagModel``: each pooling, with and without normalisation."""
    from FlagEmbedding import FlagModel

    instruction, max_length = "为这个句子生成表示以用于检索相关文章：", 64
    golden = describe(filled.write_filled_bert, folder)
    golden["reference"] = {
        "class": "FlagEmbedding.FlagModel",
        "query_instruction_for_retrieval": instruction,
        "query_max_length": max_length,
        "passage_max_length": max_length,
    }
    golden["texts"] = TEXTS
    golden["cases"] = []
    for pooling in ("cls", "mean"):
        for normalize in (True, False):
            model = FlagModel(
                str(folder),
                pooling_method=pooling,
                normalize_embeddings=normalize,
                query_instruction_for_retrieval=instruction,
                query_max_length=max_length,
                passage_max_length=max_length,
                use_fp16=False,
                devices="cpu",
            )
            golden["cases"].append(
                {"pooling": pooling, "normalize": normalize, "query_instruction_format": model.query_instruction_format}
                | {"queries": rounded(model.encode_queries(TEXTS)), "passages": rounded(model.encode_corpus(TEXTS))}
            )
    queries = [instruction + text for text in TEXTS]
    golden["query_input_ids"] = {"{}{}": ids(model.tokenizer, queries, max_length)}
    golden["passage_input_ids"] = ids(model.tokenizer, TEXTS, max_length)
    return golden


def flagllm(folder: Path, builder: Callable[..., Path], *, attention: str = "") -> dict[str, Any]:
    """Vectors of ``FlagLLMModel``: both instruction formats, with and without normalisation.

    transformers 4.57 loads Gemma2 with an attention that leaves out the soft cap, and FlagLLMModel passes no other
    choice on; ``attention`` sets it after loading. How far apart the two are is kept in the file.
    """
    from FlagEmbedding import FlagLLMModel

    instruction = "Given a question, retrieve passages that answer it."
    query_max_length, passage_max_length = 128, 96
    golden = describe(builder, folder)
    golden["reference"] = {
        "class": "FlagEmbedding.FlagLLMModel",
        "query_instruction_for_retrieval": instruction,
        "query_max_length": query_max_length,
        "passage_max_length": passage_max_length,
    }
    golden["texts"] = TEXTS
    golden["cases"] = []
    golden["query_input_ids"] = {}
    for query_format in ("<instruct>{}\n<query>{}", "Instruct: {}\nQuery: {}"):
        for normalize in (True, False):
            model = FlagLLMModel(
                str(folder),
                normalize_embeddings=normalize,
                query_instruction_for_retrieval=instruction,
                query_instruction_format=query_format,
                query_max_length=query_max_length,
                passage_max_length=passage_max_length,
                use_fp16=False,
                devices="cpu",
            )
            case: dict[str, Any] = {"pooling": "lasttoken", "normalize": normalize}
            case["query_instruction_format"] = query_format
            if attention:
                as_loaded = model.model.config._attn_implementation
                before = model.encode_queries(TEXTS)
                model.model.set_attn_implementation(attention)
            vectors = model.encode_queries(TEXTS)
            if attention:
                case["largest_difference_from_default_attention"] = rounded(abs(vectors - before).max())
                golden["reference"]["default_attention"] = as_loaded
            golden["reference"]["attention"] = model.model.config._attn_implementation
            case["queries"] = rounded(vectors)
            # Passages get no instruction, so one format is enough.
            if query_format.startswith("<"):
                case["passages"] = rounded(model.encode_corpus(TEXTS))
            golden["cases"].append(case)
        queries = [query_format.format(instruction, text) for text in TEXTS]
        golden["query_input_ids"][query_format] = ids(model.tokenizer, queries, query_max_length)
    golden["passage_input_ids"] = ids(model.tokenizer, TEXTS, passage_max_length)
    return golden


def m3(folder: Path) -> dict[str, Any]:
    """The three kinds of vectors of ``BGEM3FlagModel``, and the scores it gives to pairs."""
    from FlagEmbedding import BGEM3FlagModel

    max_length = 64
    golden = describe(filled.write_filled_m3, folder)
    settings = {"query_max_length": max_length, "passage_max_length": max_length}
    golden["reference"] = {"class": "FlagEmbedding.BGEM3FlagModel", "normalize_embeddings": True, **settings}
    model = BGEM3FlagModel(str(folder), use_fp16=False, devices="cpu", **settings)
    kinds = {"return_dense": True, "return_sparse": True, "return_colbert_vecs": True}
    found = {"queries": model.encode_queries(TEXTS, **kinds), "passages": model.encode_corpus(TEXTS, **kinds)}
    golden["texts"] = TEXTS
    golden["input_ids"] = ids(model.tokenizer, TEXTS, max_length)
    golden["dense"] = {role: rounded(output["dense_vecs"]) for role, output in found.items()}
    golden["lexical_weights"] = {
        role: [{key: rounded(weight) for key, weight in sorted(row.items(), key=by_id)} for row in weights]
        for role, weights in ((role, output["lexical_weights"]) for role, output in found.items())
    }
    # The shortest, the empty, the one of unknown characters and the longest: vectors of every token are many numbers.
    kept = [0, TEXTS.index("a"), TEXTS.index(""), 9, len(TEXTS) - 1]
    golden["colbert"] = {"text_rows": kept}
    for role, output in found.items():
        rows = kept if role == "passages" else kept[:-1]
        golden["colbert"][role] = [rounded(output["colbert_vecs"][row]) for row in rows]

    golden["pairs"] = M3_PAIRS
    golden["cases"] = []
    for weights in ([1.0, 0.3, 1.0], [0.4, 0.2, 0.4]):
        # One pair a batch, as a shorter passage beside a longer one gets vectors of zero to choose from.
        case: dict[str, Any] = {"weights_for_different_modes": weights}
        for key, batch_size in (("scores", 1), ("scores_one_batch", len(M3_PAIRS))):
            scores = model.compute_score(M3_PAIRS, batch_size=batch_size, weights_for_different_modes=weights)
            case[key] = {mode: rounded(values) for mode, values in scores.items()}
        golden["cases"].append(case)
    return golden


# The last three have tokens that are like nothing in the passage: their best similarity is below zero.
M3_PAIRS = [
    *(PAIRS[row] for row in (0, 1, 2, 3, 4, 5, 8, 9, 12, 14, 18, 19)),
    [PAIRS[15][0], ""],
    [PAIRS[15][0], "b"],
    ["thing at 20", "the"],
]


def by_id(item: tuple[str, Any]) -> int:
    """Order of token ids, which the reference keeps as strings."""
    return int(item[0])


def icl(folder: Path) -> dict[str, Any]:
    """Vectors of ``FlagICLModel`` with and without examples, and the ids it feeds."""
    from FlagEmbedding import FlagICLModel

    settings: dict[str, Any] = {
        "query_instruction_for_retrieval": "Given a web search query, retrieve relevant passages.",
        "query_instruction_format": "<instruct>{}\n<query>{}",
        "examples_instruction_format": "<instruct>{}\n<query>{}\n<response>{}",
        "query_max_length": 48,
        "passage_max_length": 96,
    }
    golden = describe(filled.write_filled_mistral, folder)
    golden["reference"] = {"class": "FlagEmbedding.FlagICLModel", **settings, "suffix": "\n<response>"}
    golden["texts"] = TEXTS
    golden["cases"] = []
    for examples in (None, ICL_EXAMPLES):
        model = FlagICLModel(str(folder), examples_for_task=examples, use_fp16=False, devices="cpu", **settings)
        # One text at a time, as a batch is sorted before it is fed.
        calls = [watched(model.model, partial(model.encode_queries, [text]))[1] for text in TEXTS]
        case: dict[str, Any] = {"examples": examples, "query_input_ids": [call[-1]["rows"][0] for call in calls]}
        if case["query_input_ids"] != icl_ids(model, TEXTS):
            raise SystemExit("FlagICLModel feeds other ids than its steps give")
        case["queries"] = rounded(model.encode_queries(TEXTS))
        if examples is None:  # passages do not depend on the examples
            golden["passages"] = rounded(model.encode_corpus(TEXTS))
            golden["passage_input_ids"] = ids(model.tokenizer, TEXTS, settings["passage_max_length"])
        golden["cases"].append(case)
    return golden


ICL_EXAMPLES = [
    {
        "instruct": "Given a web search query, retrieve relevant passages.",
        "query": "what is the time",
        "response": "It is 12.30 in 中国, and later in Málaga.",
    },
    {
        "instruct": "Retrieve words that contain an answer.",
        "query": "two\nlines 😀",
        "response": "a long passage  with   spaces",
    },
]


def icl_ids(model: Any, queries: list[str]) -> list[list[int]]:
    """Ids of queries by the steps of the reference: cut the body, decode it, join, tokenise again."""
    tokenizer, limit = model.tokenizer, model.query_max_length

    def plain(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    bodies = [model.query_instruction_format.format(model.query_instruction_for_retrieval, query) for query in queries]
    room = limit - len(plain("<s>")) - len(plain(f"{model.suffix}</s>"))
    cut = tokenizer(bodies, add_special_tokens=False, truncation=True, max_length=room)["input_ids"]
    texts = [model.prefix + text + model.suffix for text in tokenizer.batch_decode(cut)]
    limit_of_all = (len(plain(model.prefix)) + len(plain(model.suffix)) + limit + 8) // 8 * 8 + 8
    return ids(tokenizer, texts, limit_of_all)


def pseudo_moe(folder: Path) -> dict[str, Any]:
    """Vectors of ``FlagPseudoMoEModel`` on a checkpoint without experts, with and without normalisation."""
    from FlagEmbedding import FlagPseudoMoEModel

    settings: dict[str, Any] = {
        "query_instruction_for_retrieval": "Given a question, retrieve passages that answer it.",
        "query_instruction_format": "Instruct: {}\nQuery: {}",
        "query_max_length": 128,
        "passage_max_length": 96,
        "use_bf16": False,
        "trust_remote_code": False,
    }
    golden = describe(filled.write_filled_qwen2, folder)
    golden["reference"] = {"class": "FlagEmbedding.FlagPseudoMoEModel", **settings}
    golden["texts"] = TEXTS
    golden["cases"] = []
    for normalize, domain in ((True, None), (False, None), (True, "coding")):
        model = FlagPseudoMoEModel(
            str(folder), normalize_embeddings=normalize, domain_for_pseudo_moe=domain, devices="cpu", **settings
        )
        golden["cases"].append(
            {"normalize": normalize, "domain_for_pseudo_moe": domain}
            | {"queries": rounded(model.encode_queries(TEXTS)), "passages": rounded(model.encode_corpus(TEXTS))}
        )
    return golden
