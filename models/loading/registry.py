"""models.toml as values: every published checkpoint with its settings, and those of each family."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from flagbench import BadInput, UnknownName
from flagbench.models.adapters import ADAPTERS, settings_of
from flagbench.models.own import OwnSettings
from flagbench.models.spec import BUILT_IN, ModelSpec, Pooling, Prompts

REGISTRY_FILE = Path(__file__).parents[1] / "models.toml"
TASK_INSTRUCTIONS_FILE = REGISTRY_FILE.with_name("task_instructions.toml")

_KEYS = {"adapter", "ability", "reference", "licence", "instructions", "query_max_length", "passage_max_length"}
NO_POOLING = "none"
"""In models.toml the pooling of an embedder whose last hidden states are not looked at."""
_OPTIONAL_KEYS = {"task_format", "dtype", "short"}
_ENCODER_KEYS = _KEYS | {"pooling", "normalize", "similarity", "lowercase"}


@dataclass(frozen=True)
class Registry:
    """Content of a models.toml.

    Attributes:
        models: Settings of each published checkpoint, in file order.
        families: Keys of each family.
        ask: Checkpoints that several families fit, with these.
        short: Names of models in full by the short ones that a user may type.
    """

    models: Mapping[str, ModelSpec]
    families: Mapping[str, Mapping[str, Any]]
    ask: Mapping[str, tuple[str, ...]]
    short: Mapping[str, str]


@cache
def registry() -> Registry:
    """The models.toml that ships with FlagBench."""
    return parse(REGISTRY_FILE.read_text(encoding="utf-8"), str(REGISTRY_FILE.name))


def published() -> Mapping[str, ModelSpec]:
    """All published checkpoints by name, in file order."""
    return registry().models


def published_as(model: str) -> ModelSpec | None:
    """The row of what a user typed, its name in full or the short one; None for a folder, and for what is not known."""
    return published().get(registry().short.get(model, model))


def parse(text: str, source: str) -> Registry:
    """Read the text of a models.toml.

    Args:
        text: TOML.
        source: Name of the file, for messages.

    Raises:
        BadInput: An unknown or missing key, an unknown family, a name twice.
    """
    data = tomllib.loads(text)
    families = _families(data.get("family", {}), source)
    specs: dict[str, ModelSpec] = {}
    short: dict[str, str] = {}
    for row in data.get("model", []):
        name = row.get("name", "a row without a name")
        if row.get("family") not in families:
            raise UnknownName("family", str(row.get("family")), families, f"in {source}, model {name}")
        if name in specs:
            raise BadInput(f"{source}: model {name} is listed twice")
        if "short" in row:
            short[row["short"]] = name
        specs[name] = _spec(row, families, f"{source}: model {name}")
    ask = {name: tuple(choices) for name, choices in data.get("ask", {}).items()}
    for family in [family for choices in ask.values() for family in choices]:
        if family not in families:
            raise UnknownName("family", family, families, f"in {source}, under [ask]")
    return Registry(specs, families, ask, short)


def _families(tables: Mapping[str, Mapping[str, Any]], source: str) -> dict[str, dict[str, Any]]:
    """The keys of each family, with those of the family that it is ``like``."""
    families: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        like = table.get("like")
        if like is not None and like not in families:
            raise UnknownName("family", str(like), families, f"above [family.{name}] in {source}, which is like it")
        families[name] = {**families.get(str(like), {}), **{key: table[key] for key in table if key != "like"}}
    return families


def family_names() -> list[str]:
    """The families of embedders and rerankers, which a user may name for a checkpoint."""
    families = registry().families
    return [name for name in families if not name.startswith(BUILT_IN) and families[name]["ability"] != "generate"]


def encoder_families(pooling: Pooling) -> list[str]:
    """The families of embedders with this pooling."""
    families = registry().families
    return [family for family in family_names() if families[family].get("pooling") == pooling]


def family_spec(family: str, *, name: str, revision: str) -> ModelSpec:
    """The settings of a family for a checkpoint of any name.

    Raises:
        UnknownName: No family is called so.
    """
    if family not in family_names():
        raise UnknownName("family", family, family_names(), "see flagbench models")
    return _spec({"name": name, "family": family, "revision": revision}, registry().families, f"family {family}")


def _spec(row: Mapping[str, Any], families: Mapping[str, Mapping[str, Any]], where: str) -> ModelSpec:
    merged = {**families[row["family"]], **row}
    if merged.get("adapter") not in ADAPTERS:
        raise UnknownName("adapter", str(merged.get("adapter")), ADAPTERS, f"in {where}")
    own, wanted = settings_of(merged["adapter"]), _ENCODER_KEYS if merged.get("ability") == "encode" else _KEYS
    if own and own.of_a_run:
        own = None
    names, needed = _own_keys(own)
    odd = (merged.keys() - _OPTIONAL_KEYS - (names - needed)) ^ (wanted | needed | {"name", "family", "revision"})
    if odd:
        raise BadInput(f"{where} has unknown or missing keys: {', '.join(sorted(odd))}")
    for each in merged["instructions"]:
        if each.keys() != {"text", "before"}:
            raise BadInput(f"{where}: an instruction has text and before, and one has {', '.join(sorted(each))}")
    del merged["reference"]
    if merged.get("pooling") == NO_POOLING:
        del merged["pooling"]
    merged.pop("short", None)
    prompts = tuple((selector, each["text"]) for each in merged.pop("instructions") for selector in each["before"])
    if task_format := merged.pop("task_format", ""):
        prompts += task_prompts(task_format)
    own_values = {name: merged.pop(name) for name in names & merged.keys()}
    own_values = {name: tuple(value) if isinstance(value, list) else value for name, value in own_values.items()}
    return ModelSpec(**merged, prompts=prompts, own=own(**own_values) if own else None)


def _own_keys(own: type[OwnSettings] | None) -> tuple[set[str], set[str]]:
    """The keys of a row for the settings that only models of its adapter have, and those of them that it must have."""
    settings = [each for each in fields(own) if each.compare] if own else []
    return {each.name for each in settings}, {each.name for each in settings if each.default is MISSING}


@cache
def task_prompts(task_format: str) -> Prompts:
    """The task instructions in a model's form.

    Args:
        task_format: With one ``{}`` for the instruction, as ``Instruct: {}\\nQuery: ``; the text follows it.

    Returns:
        Prompts: for queries of retrieval and reranking tasks, for all texts of the others.
    """
    tables: dict[str, dict[str, str]] = tomllib.loads(TASK_INSTRUCTIONS_FILE.read_text(encoding="utf-8"))
    texts = {f"{task}-query": text for task, text in tables["query"].items()} | tables["symmetric"] | tables["kind"]
    return tuple((selector, task_format.format(text)) for selector, text in texts.items())
