"""Texts and pairs of the golden files, and how a file is described, rounded and written."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests import filling

GOLDENS = Path(__file__).resolve().parent / "goldens"
PACKAGES = ("FlagEmbedding", "torch", "transformers", "tokenizers", "numpy")
SEED = 20
BYTES_LIMIT = 100_000

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
            "weights_sha256": filling.weights_digest(folder),
        },
        "tokenizer_probes": [
            {"text": text, "pair": pair, "input_ids": tokenizer(text, pair)["input_ids"]}
            for text, pair in PROBES
            # The decoders' templates are of one text only.
            if pair is None or builder.__name__ in ("write_bert_reranker", "write_xlmr_reranker")
        ],
    }


def ids(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Ids with special tokens, as the reference makes them before padding."""
    return [list(row) for row in tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]]


def plain_ids(tokenizer: Any, text: str, max_length: int) -> list[int]:
    """Ids without special tokens."""
    return list(tokenizer(text, add_special_tokens=False, truncation=True, max_length=max_length)["input_ids"])


def watched(module: Any, run: Callable[[], Any]) -> tuple[Any, list[dict[str, Any]]]:
    """What ``run`` returns, and for each forward pass of ``module`` its arguments, with the rows of ids unpadded."""
    calls: list[dict[str, Any]] = []

    def keep(_module: Any, _args: tuple[Any, ...], given: dict[str, Any]) -> None:
        rows = zip(given["input_ids"], given["attention_mask"], strict=True)
        calls.append(given | {"rows": [row[mask.bool()].tolist() for row, mask in rows]})

    handle = module.register_forward_pre_hook(keep, with_kwargs=True)
    try:
        return run(), calls
    finally:
        handle.remove()


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
