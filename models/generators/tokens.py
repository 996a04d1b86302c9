"""The tokenizer of a language model, to count and cut texts by, with or without its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import transformers

from flagbench import BadInput, in_one_line
from flagbench.files import MIB
from flagbench.models.backbone.tokenizer import read_tokenizer
from flagbench.models.chat_templates import bounded
from flagbench.models.contract import Loading
from flagbench.models.spec import ModelSpec
from flagbench.models.text import TextSettings

_MESSAGE = "A message."
_OWN_TEXT, _TIMES = MIB, 16
"""Characters that a template may write of its own, and how often it may repeat a message."""


def swells(rendered: str, messages: Sequence[Mapping[str, str]]) -> bool:
    """Tell whether a chat template makes much more of messages than they and a text of its own.

    Args:
        rendered: What it made of them.
        messages: With their text as ``content``.
    """
    return len(rendered) > _OWN_TEXT + _TIMES * sum(len(each["content"]) for each in messages)


class TokenizerTokens:
    """See ``Tokens`` of the contract."""

    def __init__(self, tokenizer: Any, *, chat_alone: bool = False) -> None:
        """Look at a tokenizer.

        Args:
            tokenizer: As transformers reads it; it is not changed.
            chat_alone: A chat is what its template writes (``TextSettings``).
        """
        self._tokenizer = tokenizer
        self._chat_alone = chat_alone

    @cached_property
    def identity(self) -> str:
        """See the contract: 16 hex digits, over all that makes ids of a text; what pads or cuts is left out."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is not None:
            parts = json.loads(backend.to_str())
            stated = {name: value for name, value in parts.items() if name not in ("version", "padding", "truncation")}
        else:
            stated = {"class": type(self._tokenizer).__name__, "vocabulary": self._tokenizer.get_vocab()}
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def around(self) -> int:
        """See the contract. A template that cannot be used has none: asking says so."""
        tokenizer = self._tokenizer
        alone, whole = self.encode(_MESSAGE), self.encode(_MESSAGE, specials=True)
        begin = next((at for at in range(len(whole)) if whole[at : at + len(alone)] == alone), 0)
        if not tokenizer.chat_template:
            return begin
        chat = [{"role": "user", "content": _MESSAGE}]
        try:
            with bounded():
                text = str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
        except Exception:  # a template is code of the checkpoint
            return begin
        if swells(text, chat):
            return begin
        begun = self._chat_alone or (tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token))
        return len(self.encode(text)) - len(alone) + (0 if begun else begin)

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        """See the contract."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=specials)["input_ids"]
        return ids

    def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
        """See the contract. Blanks before punctuation are as the tokenizer's files say, as in published runs."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=skip_specials))


def load(spec: ModelSpec, directory: Path, loading: Loading) -> TokenizerTokens:
    """Read a tokenizer, and no weights.

    Args:
        spec: Names the model.
        directory: Folder with tokenizer and config; config.json may be missing where the tokenizer needs none.
        loading: Folders of adapters, a GGUF file where the tokenizer is in one, and what is allowed.

    Raises:
        BadInput: The files are no tokenizer.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        chat_alone = isinstance(spec.own, TextSettings) and spec.own.chat_alone
        return TokenizerTokens(read_tokenizer(directory, loading), chat_alone=chat_alone)
    except BadInput:
        raise
    except Exception as error:  # transformers has no root for what it raises on damaged or foreign files
        raise BadInput(f"{spec.name}: its tokenizer cannot be read by transformers: {in_one_line(error)}") from error
