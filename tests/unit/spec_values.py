"""A spec, and another value of each setting that all models have, and settings that it has not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flagbench.models.embedders.settings import ExpertSettings
from flagbench.models.query_mix import QueryMix
from flagbench.models.spec import ModelSpec
from flagbench.models.view import View

SPEC = ModelSpec(
    name="org/model",
    revision="0" * 40,
    family="detected",
    adapter="dense",
    ability="encode",
    pooling="cls",
    normalize=True,
    similarity="cosine",
    query_max_length=64,
    passage_max_length=512,
)

OTHER_VALUES: Mapping[str, Any] = {
    "name": "org/other",
    "revision": "1" * 40,
    "family": "bge-zh",
    "adapter": "random",
    "ability": "score",
    "pooling": "mean",
    "normalize": False,
    "similarity": "dot",
    "query_max_length": 65,
    "passage_max_length": 511,
    "prompts": (("query", "q: "),),
    "lowercase": True,
    "dtype": "fp16",
    "attention": "eager",
    "dense_layers": ("2_Dense",),
    "tokenizer": "tokenizer.json",
    "base": f"org/base@{'1' * 40}",
    "adapters": ("org/adapter@" + "2" * 40,),
    "licence": "mit",
    "view": View(64, "int8"),
    "mixture": ((0.6, "org/a@1"), (0.4, "org/b@2")),
    "query_mix": QueryMix((0.2, 0.8), "0" * 16, Path("generations.jsonl")),
    "own": ExpertSettings("coding"),
}
