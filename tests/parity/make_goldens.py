"""Write the golden files of tests/parity/goldens: what FlagEmbedding 1.4.2 makes of tiny random checkpoints.

Run it in an environment of its own, outside the checkout, as FlagEmbedding is none of FlagBench's dependencies::

    python3 -m venv golden
    golden/bin/pip install torch==2.13.0 transformers==4.57.6 datasets accelerate 'sentence-transformers<6' peft
    golden/bin/pip install sentencepiece protobuf
    golden/bin/pip install --no-deps FlagEmbedding==1.4.2
    golden/bin/python tests/parity/make_goldens.py

It writes all files anew, to the same bytes on the same machine; another machine may differ in the last digits of the
vectors and scores, not in token ids and digests. The checkpoints come from tests/checkpoints.py, whose weights and
tokenizers do not depend on the version of transformers: each file holds their digest and a few tokenised probes, by
which a test can tell that it rebuilt the same checkpoint before it compares anything else.
"""

# Why transformers 4.57.6, a late version 4: FlagEmbedding's cross-encoders were published with version 4's
# `prepare_for_model`, which joins the ids of query and passage. Version 5 has no such method; there FlagEmbedding 1.4.2
# decodes the ids and tokenises the text again, which changes unknown characters and odd punctuation. Older versions
# (4.53.3 and before) fail on the `dtype=` that FlagEmbedding 1.4.2 passes to its embedders.

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = Path(__file__).resolve().parent / "goldens"
sys.path.insert(0, str(ROOT))

from tests import checkpoints  # noqa: E402

EXPECTED = {"FlagEmbedding": "1.4.2", "torch": "2.13.0", "transformers": "4.57.6"}
PACKAGES = (*EXPECTED, "tokenizers", "numpy")
SEED = 20
BYTES_LIMIT = 60_000

TEXTS = [
    "我们在中国",
    "What is the time?",
    "这是 a mixed 文本, with 中文 and English.",
    "2024年10月01日 3.14159",
    "。。。！？,,..!!",
    "a",
    "",
    "  leading and   inner spaces  ",
    "Don't panic: naïve café (50% off) — “quotes”…",
    "龘靐齉 😀👍🏽 ☃",
    "two\nlines\tand a tab",
    "The long text is long 我们 " * 12,
]

PROBES: list[tuple[str, str | None]] = [
    ("Hello, world! 2024", None),
    ("什么是 BGE？这是中国", None),
    ("a\u0301 é  ～…😀 naïve don't", None),
    ("  ", None),
    ("[SEP] </s> <eos> <|endoftext|> <mask>", None),
    ("what is it?", "thing 我们的时年 😀."),
]

LONG = "the answer is in the other part of this long passage, 我们在中国的时年上大学, " * 4
QUERY = "what is the time in 中国?"
PAIRS = [
    [QUERY, "It is 12.30 in the afternoon."],
    [QUERY, "中国的时年是 2024。"],
    [QUERY, "Nothing to see here, 不是我的."],
    [QUERY, LONG],
    ["a", "b"],
    ["a", ""],
    ["  ", "a passage for a blank query"],
    ["?", "."],
    ["我们是中国人", "他们在这上有大国"],
    ["龘靐齉 unknown 猫", "狗 龘 characters 齉 on both sides"],
    ["what does 😀 mean", "👍🏽 ☃ 😀😀 — faces"],
    ["Don't — “quote” me…", "(50% off) ～~`^ ¿qué? «naïve» café.,;:!?"],
    ["a\u0301 decomposed e\u0301", "á composed é"],
    ["two\nlines\tand a tab", "non\u00a0breaking\u200bzero width"],
    ["literal [SEP] </s> <mask>", "[CLS] <s> [PAD] <pad> [UNK] <unk>"],
    ["a long query that goes on and on, 我们在中国的时", LONG],
    [
        "a query longer than its own limit of tokens, which is 48 by default, and cut there, 我们在中国的时年上大",
        "short",
    ],
    ["a query longer than its own limit of tokens, which is 48 by default, and cut there, 我们在中国的时年上大", LONG],
    ["ABC abc 0123456789", "abc ABC 9876543210"],
    ["WORDS, words; Words", "words" * 30],
    ["a b c d e f g h i j k l m", "nopqrstuvwxyz"],
]


def main() -> None:
    """Write every golden file."""
    for package, expected in EXPECTED.items():
        if version(package).split("+")[0] != expected:
            raise SystemExit(f"{package} {version(package)} is installed; the golden files are made with {expected}")
    GOLDENS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save("flagmodel_bert", flagmodel(folder / "bert"))
        save("flagllm_qwen2", flagllm(folder / "qwen2", checkpoints.write_filled_qwen2))
        save("flagllm_gemma2", flagllm(folder / "gemma2", checkpoints.write_filled_gemma2, attention="eager"))
        save("reranker_bert", reranker(folder / "bert-reranker", checkpoints.write_bert_reranker))
        save("reranker_xlmr", reranker(folder / "xlmr-reranker", checkpoints.write_xlmr_reranker))


def flagmodel(folder: Path) -> dict[str, Any]:
    """Vectors of ``FlagModel``: each pooling, with and without normalisation."""
    from FlagEmbedding import FlagModel

    instruction, max_length = "为这个句子生成表示以用于检索相关文章：", 64
    golden = describe(checkpoints.write_filled_bert, folder)
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


def reranker(folder: Path, builder: Callable[..., Path]) -> dict[str, Any]:
    """Scores of ``FlagReranker``, raw and through the sigmoid, and the ids of each pair."""
    from FlagEmbedding import FlagReranker

    max_length = 64
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


def describe(builder: Callable[..., Path], folder: Path) -> dict[str, Any]:
    """Build a checkpoint; say what made it, and how a test can tell that its own is the same."""
    from transformers import AutoTokenizer

    builder(folder, seed=SEED)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {
        "versions": {"python": platform.python_version()} | {package: version(package) for package in PACKAGES},
        "checkpoint": {
            "builder": builder.__name__,
            "seed": SEED,
            "weights_sha256": checkpoints.weights_digest(folder),
        },
        "tokenizer_probes": [
            {"text": text, "pair": pair, "input_ids": tokenizer(text, pair)["input_ids"]}
            for text, pair in PROBES
            # The decoders' templates are of one text only.
            if pair is None or "reranker" in builder.__name__
        ],
    }


def ids(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Ids with special tokens, as the reference makes them before padding."""
    return [list(row) for row in tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]]


def plain_ids(tokenizer: Any, text: str, max_length: int) -> list[int]:
    """Ids without special tokens."""
    return list(tokenizer(text, add_special_tokens=False, truncation=True, max_length=max_length)["input_ids"])


def rounded(values: Any) -> Any:
    """Plain numbers of nine significant digits: enough to tell any two float32 apart."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, list):
        return [rounded(value) for value in values]
    return float(f"{values:.9g}")


def save(name: str, golden: dict[str, Any]) -> None:
    """Write a golden file, one row of numbers a line."""
    text = render(golden) + "\n"
    if len(text.encode()) >= BYTES_LIMIT:
        raise SystemExit(f"{name}.json would have {len(text.encode())} bytes; keep it under {BYTES_LIMIT}")
    (GOLDENS / f"{name}.json").write_text(text, encoding="utf-8")


def render(value: Any, indent: str = "") -> str:
    """JSON with a line for each list or mapping that holds no other."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)) or not any(isinstance(item, (dict, list)) for item in inner):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    deeper = indent + " "
    if isinstance(value, dict):
        rows = [f"{json.dumps(key, ensure_ascii=False)}: {render(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + row for row in rows) + "\n" + indent + "}"
    return "[\n" + ",\n".join(deeper + render(item, deeper) for item in value) + "\n" + indent + "]"


if __name__ == "__main__":
    main()
