"""Which of a model's instructions goes in front of a text: one rule for running models and for reading runs."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def instruction_for(prompts: Iterable[tuple[str, str]], task: str, kind: str, role: str) -> str:
    """The text to put in front of a text of this role; empty for none.

    The order of precedence is MTEB's (``AbsEncoder.get_prompt_name``): task and role, task, kind and role,
    kind, role; then the default prompt of sentence-transformers.

    Args:
        prompts: Pairs of a selector, which may be a glob, and a text.
        task: Name of the task, ``SciFact``.
        kind: MTEB's task type, ``Retrieval``.
        role: Role of the text. A symmetric text matches only selectors without a role.
    """
    known = list(prompts)
    wanted = [f"{task}-{role}", task, f"{kind}-{role}", kind, role, "*"]
    if role == "symmetric":
        wanted = [task, kind, "*"]
    for name in wanted:
        for selector, text in known:
            if selector == name or (_is_glob(selector) and _matches(name, selector, role)):
                return text
    return ""


def _is_glob(selector: str) -> bool:
    return "*" in selector and selector != "*"


def _matches(name: str, selector: str, role: str) -> bool:
    """A glob for tasks names no role, so it must not match a name that carries one."""
    return fnmatchcase(name, selector) and name.endswith(f"-{role}") == selector.endswith(f"-{role}")
