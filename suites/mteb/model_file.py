"""A model's ModelMeta as Python, as mteb keeps one of every model whose results it shows.

mteb's guide on adding a model: https://embeddings-benchmark.github.io/mteb/contributing/adding_a_model/
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from flagbench import BadInput, printable
from flagbench.results.kinds import RANKED
from flagbench.suites.mteb.submission import Checked, part
from flagbench.suites.mteb.submitted_model import in_mteb, left_open

_WRAPPER = "SentenceTransformerEncoderWrapper"
_ONE_WAY = "dense"
"""The adapter whose models mteb's wrapper of sentence-transformers loads."""

_PROMPTS: Mapping[str, str] = {"query": "query", "passage": "document"}
"""mteb's names of the texts that an instruction stands before."""


def model_file(checked: Checked) -> str:
    """The text of a module for mteb's ``models/model_implementations/``.

    The loader is mteb's wrapper of sentence-transformers where the model is encoded in that one way, with the
    instructions that the run's tasks had; another way has to be written by hand, and so have fields that a run does not
    know: each is marked.

    Args:
        checked: Results that are fit to be submitted.

    Raises:
        BadInput: mteb has a ModelMeta of this name.
    """
    meta, name = checked.meta, checked.identity.name
    if in_mteb(name):
        raise BadInput(f"mteb has a ModelMeta of {printable(name)} already: drop --model-meta")
    wrapped = part(checked.entries[0].record.settings, "model").get("adapter") == _ONE_WAY
    prompts = _prompts(checked)
    lines = ["from mteb.models.model_meta import ModelMeta, ScoringFunction"]
    if wrapped:
        lines.append(f"from mteb.models.sentence_transformer_wrapper import {_WRAPPER}")
    lines += ["", f"{_variable(name)} = ModelMeta("]
    lines += _loader(wrapped=wrapped, prompts=prompts)
    fields = type(meta).model_fields
    open_fields = left_open(meta)
    for field, value in meta.model_dump().items():
        if field in ("loader", "loader_kwargs") or (field not in open_fields and _is_default(fields[field], value)):
            continue
        mark = "  # FIXME: fill in, or leave None where it is not known" if field in open_fields else ""
        lines.append(f"    {field}={_literal(value)},{mark}")
    return "\n".join([*lines, ")", ""])


def _loader(*, wrapped: bool, prompts: Mapping[str, str]) -> Iterator[str]:
    if not wrapped:
        yield "    loader=None,  # FIXME: a class of mteb that loads the model"
        yield "    loader_kwargs={},"
        return
    yield f"    loader={_WRAPPER},"
    if not prompts:
        yield "    loader_kwargs={},"
        return
    yield '    loader_kwargs={"model_prompts": {'
    for key, text in prompts.items():
        yield f"        {_literal(key)}: {_literal(text)},"
    yield "    }},"


def _prompts(checked: Checked) -> dict[str, str]:
    """The instructions by mteb's keys: of a kind of text where all tasks have the same, else by task.

    mteb reads a key of a task and a kind of text before that of the kind alone.
    """
    found: dict[str, dict[str, str]] = {}
    for entry in checked.entries:
        texts = part(entry.record.settings, "instruction")
        ranked = entry.record.kind in RANKED
        for role in ("query", "passage") if ranked else ("symmetric",):
            found.setdefault(role, {})[entry.name] = str(texts.get(role) or "")
    made: dict[str, str] = {}
    for role, by_task in found.items():
        first, *others = dict.fromkeys(by_task.values())
        if role in _PROMPTS and not others:
            made |= {_PROMPTS[role]: first} if first else {}
        else:
            end = f"-{_PROMPTS[role]}" if role in _PROMPTS else ""
            made |= {f"{task}{end}": text for task, text in by_task.items() if text}
    return made


def _variable(name: str) -> str:
    """A name of Python for a model."""
    plain = re.sub(r"\W+", "_", name.rpartition("/")[2].lower(), flags=re.ASCII).strip("_") or "model"
    return f"model_{plain}" if plain[0].isdigit() or keyword.iskeyword(plain) else plain


def _is_default(field: Any, value: Any) -> bool:
    return not field.is_required() and value == field.get_default(call_default_factory=True)


def _literal(value: Any) -> str:
    """A value as Python has it, with strings in double quotes."""
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(_literal(each) for each in sorted(value))}}}" if value else "set()"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(its)}' for key, its in value.items())}}}"
    return repr(value)
