"""models.toml as values: every published checkpoint with its settings, and the loader of each family."""

from __future__ import annotations

import importlib
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flagbench import BadInput, UnknownName
from models.spec import ModelSpec

if TYPE_CHECKING:
    from models.contract import Adapter

REGISTRY_FILE = Path(__file__).with_name("models.toml")

Loader = Callable[..., "Adapter"]

_KEYS = {"name", "family", "revision", "licence", "adapter", "ability"} | {
    "query_max_length",
    "passage_max_length",
    "query_instruction",
    "instructed",
}
_ENCODER_KEYS = _KEYS | {"pooling", "normalize", "similarity", "lowercase"}


@cache
def published() -> Mapping[str, ModelSpec]:
    """All rows of models.toml by name, in file order."""
    return parse(REGISTRY_FILE.read_text(encoding="utf-8"), str(REGISTRY_FILE.name))


def parse(text: str, source: str) -> Mapping[str, ModelSpec]:
    """Read the text of a models.toml.

    Args:
        text: TOML.
        source: Name of the file, for messages.

    Raises:
        BadInput: An unknown or missing key, an unknown family, a name twice.
    """
    data = tomllib.loads(text)
    families: dict[str, dict[str, Any]] = data.get("family", {})
    specs: dict[str, ModelSpec] = {}
    for row in data.get("model", []):
        name = row.get("name", "a row without a name")
        if row.get("family") not in families:
            raise UnknownName("family", str(row.get("family")), families, f"in {source}, model {name}")
        merged = {**families[row["family"]], **row}
        odd = merged.keys() ^ (_KEYS if merged.get("ability") == "score" else _ENCODER_KEYS)
        if odd:
            raise BadInput(f"{source}: model {name} has unknown or missing keys: {', '.join(sorted(odd))}")
        if name in specs:
            raise BadInput(f"{source}: model {name} stands there twice")
        instruction, selectors = merged.pop("query_instruction"), merged.pop("instructed")
        prompts = tuple((selector, instruction) for selector in selectors) if instruction else ()
        specs[name] = ModelSpec(**merged, prompts=prompts)
    return specs


def loader(spec: ModelSpec) -> Loader:
    """The function that loads a model of this spec: ``load(spec, directory, device=…, batch_size=…, …)``."""
    module, function = spec.adapter.split(":")
    return cast("Loader", getattr(importlib.import_module(module), function))
