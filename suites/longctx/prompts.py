"""The prompts and constants that define the tests, as their authors published them (prompts.json, which names them)."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

Section = Literal[
    "longbench", "infinitebench", "ruler", "needle", "needle_original", "passkey", "topic", "mmlu", "sources"
]

_FILE = Path(__file__).parent / "prompts.json"


@functools.cache
def prompts(section: Section) -> Mapping[str, Any]:
    """The prompts of a kind of tests; ``sources`` says where those of each were published.

    Places to fill have names in braces, as ``str.format`` has them; values are put in with ``filled``.
    """
    content: Mapping[str, Mapping[str, Any]] = json.loads(_FILE.read_text(encoding="utf-8"))
    return content[section]


def filled(template: str, **values: str) -> str:
    """A template with its places filled, once: braces in a value stay as they are.

    Raises:
        KeyError: The template has a place that has no value.
    """
    return template.format(**values)
