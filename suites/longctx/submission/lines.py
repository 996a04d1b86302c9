"""Lines of JSON as Python's json writes them, for files in UTF-8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def line(values: Mapping[str, Any]) -> str:
    """An object and the end of its line, as its authors write it: letters beyond ASCII as they are.

    But where a model wrote half a surrogate pair, which UTF-8 does not have: then in ASCII, which reads alike.
    """
    text = json.dumps(values, ensure_ascii=False)
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        text = json.dumps(values)
    return text + "\n"
