"""A reader without weights: it knows what stands in the text before a question, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flagbench.models.loading.registry import published
from flagbench.models.prompts import Loss, Prompt, Window
from flagbench.models.spec import ModelSpec

_PIECES = re.compile(r" ?[^\W_]+| ?[^\w\s]|\s|_")
BEGIN, END = 0, 1


@dataclass
class Words:
    """A tokenizer of words, each with the blank before it, that begins each text with a token."""

    known: dict[str, int] = field(default_factory=lambda: {"<s>": BEGIN, "</s>": END})
    pieces: list[str] = field(default_factory=lambda: ["<s>", "</s>"])
    ends: bool = False
    identity: str = "words"

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        found = _PIECES.findall(text)
        for piece in dict.fromkeys(found):
            if piece not in self.known:
                self.known[piece] = len(self.pieces)
                self.pieces.append(piece)
        ids = [self.known[piece] for piece in found]
        return [BEGIN, *ids, *([END] if self.ends else [])] if specials else ids

    def decode(self, ids: Sequence[int], *, skip_specials: bool = True) -> str:
        return "".join(self.pieces[id_] for id_ in ids if id_ > END or not skip_specials)


class ScriptedReader:
    """Answers with what ``answer`` finds in a text; an end that stands in the text before it is likely."""

    capabilities = frozenset({"generate"})
    backend = "none"
    device = "cpu"
    batch_size = 1
    lanes = 1
    positions = 0
    evidence = ()

    def __init__(self, answer: Callable[[str], str] = lambda text: "") -> None:
        self.spec: ModelSpec = replace(published()["flagbench/bm25"], name="team/reader", ability="generate", own=None)
        self.tokens = Words()
        self.read: list[str] = []
        self.asked: list[Any] = []
        self._answer = answer

    def answers(
        self, prompts: Iterable[Prompt], *, max_new_tokens: int, ends: Sequence[str] = (), min_new_tokens: int = 0
    ) -> Iterator[tuple[int, str]]:
        for number, prompt in enumerate(prompts):
            self.read.append(prompt.text)
            self.asked.append((prompt.form, max_new_tokens, tuple(ends)))
            yield number, f"{self._answer(prompt.text)}\n"

    def score_options(self, *_: Any, **__: Any) -> Any:
        raise AssertionError

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        for number, window in enumerate(windows):
            before = self.tokens.decode(window.ids[: -window.targets], skip_specials=False)
            target = self.tokens.decode(window.ids[-window.targets :], skip_specials=False)
            self.read.append(before + target)
            self.asked.append(target)
            known = target.strip() in before
            yield number, Loss((0.1 if known else 2.0) * window.targets, window.targets)

    def fitting(self, tokens: int) -> str:
        return ""

    def load(self, **_: Any) -> ScriptedReader:
        """As a model that is found."""
        return self
