"""Chinese words, as jieba 0.42 cuts them."""

from __future__ import annotations

import functools
import importlib.util
import warnings
from typing import Any

from flagbench import BadInput


def check_jieba() -> None:
    """See that jieba is installed, before a model is asked; it is not imported.

    Raises:
        BadInput: It is not.
    """
    if importlib.util.find_spec("jieba") is None:
        raise BadInput(
            "the scores of tasks in Chinese need the package jieba, which is not installed: "
            "pip install 'flagbench[longctx]'"
        )


def cut(text: str) -> list[str]:
    """The words of a text, with all that stands between them.

    Raises:
        BadInput: jieba is not installed.
    """
    return list(_tokenizer().cut(text, cut_all=False))


@functools.cache
def _tokenizer() -> Any:
    """jieba's tokenizer with its own dictionary.

    It is filled here: on its own it would read a file of the folder for temporary files, where anybody may have put
    one, and leave one there.
    """
    check_jieba()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pkg_resources, and of escapes in its patterns
        import jieba

    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
