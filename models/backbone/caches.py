"""Keys and values as models of transformers take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def cache_name(call: Callable[..., Any]) -> str:
    """The argument by which code of transformers takes keys and values.

    Args:
        call: ``forward`` of a model, layer or attention, or another function that takes them.

    Returns:
        ``cache``, from transformers 5.24 on, or ``past_key_values``.
    """
    return "cache" if "cache" in inspect.signature(call).parameters else "past_key_values"
