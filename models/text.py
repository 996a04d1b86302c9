"""Settings that only language models of texts have, as plain values."""

from __future__ import annotations

import argparse
import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from flagbench import BadInput
from flagbench.files import MIB, read_text, user_path
from flagbench.flags import flag, real
from flagbench.models.own import OwnSettings

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec

AUTO, NONE = "auto", "none"

TEMPLATES: Mapping[str, str] = {
    # FlagEmbedding's own copy (research/Long_LLM, src/chat.py): without <|begin_of_text|>, and no text is trimmed.
    "llama-3": (
        "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' "
        "+ message['content'] + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    ),
}
"""Chat templates by name, in Jinja, with which results were published."""

MARKS: Mapping[str, str] = {"llama-3": "<|start_header_id|>"}
"""A token of each, without which a tokenizer splits what the template writes into pieces that mean nothing."""

_LARGEST_TEMPLATE = MIB
_ADAPT = re.compile(r"adapt-[1-9][0-9]{0,6}")
_RATIO = re.compile(r"[1-9][0-9]{0,3}")


def rope_base(text: str) -> float:
    """A frequency base of rotary positions, such as ``200e6``."""
    try:
        value = real(text)
    except ValueError:
        value = 0.0
    if not 1 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 1, such as 500000 or 200e6, not '{text:.40}'")
    return value


def beacon_ratio(text: str) -> str:
    """A compression ratio that is the same for an input whenever it is read."""
    if not _ADAPT.fullmatch(text) and not _RATIO.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"expected a whole number or adapt-N, such as adapt-1024, not '{text:.40}': a ratio that is drawn depends "
            "on what was read before"
        )
    return text


@dataclass(frozen=True)
class TextSettings(OwnSettings):
    """How a language model reads a text.

    Attributes:
        rope_theta: Frequency base of its rotary positions; 0 where it has none, or several.
        chat: Chat template: ``auto`` for its own, ``none``, a name of ``TEMPLATES``, or the hash of a file's text.
        beacon_ratio: Compression ratio of Activation Beacon, a number or ``adapt-N``; empty for other models.
        prefix_cache: Keys and values of the last prompt are kept for what the next has in common with it.
        template: Text of the chat template that a file has; empty without one.
        positions: Tokens that it has positions for; 0 where that is unknown.
        chat_alone: A chat is what its template writes, without the token that the tokenizer begins all other texts
            with; False, which is not written, where that makes no difference.
    """

    owner: ClassVar[str] = "a language model of texts"
    title: ClassVar[str] = "language models of texts"
    ability: ClassVar[str] = "generate"
    takes: ClassVar[frozenset[str]] = frozenset({"adapters"})

    rope_theta: float = flag(
        0.0,
        "frequency base of the rotary positions, for a model or adapter that was trained with another than its "
        "config.json states",
        shown="the checkpoint's",
        metavar="BASE",
        parse=rope_base,
    )
    chat: str = flag(
        AUTO,
        f"chat template: {AUTO} for the checkpoint's own, {NONE}, {', '.join(TEMPLATES)} for FlagEmbedding's own copy, "
        "or a file of Jinja",
        name="--chat-template",
        metavar="NAME|FILE",
    )
    beacon_ratio: str = flag(
        "",
        "compression ratio of Activation Beacon: a number, or adapt-N for the smallest with room for N more tokens",
        shown="the checkpoint's where it is fixed, else adapt-1024",
        metavar="RATIO",
        parse=beacon_ratio,
    )
    prefix_cache: bool = flag(
        True,
        "keep what the model has computed for a prompt while the next begins alike; for batches of one",
        shown="on",
        negatable=True,
        kept=False,
    )
    template: str = field(default="", compare=False, repr=False)
    positions: int = field(default=0, compare=False)
    chat_alone: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Under one name."""
        its = {name: getattr(self, name) for name in self.names()}
        return {"text": {name: value for name, value in its.items() if name != "chat_alone" or value}}

    def jinja(self, own: str) -> str:
        """The chat template, empty for none.

        Args:
            own: The checkpoint's.
        """
        if self.chat == AUTO:
            return own
        return "" if self.chat == NONE else self.template or TEMPLATES[self.chat]

    def apply(self, spec: ModelSpec, given: Mapping[str, Any]) -> tuple[ModelSpec, list[str]]:
        """See OwnSettings: a file of a chat template is read.

        Raises:
            BadInput: There is no such template.
        """
        changed = replace(self, **{name: value for name, value in given.items() if name != "chat"})
        lines = []
        if "chat" in given:
            changed = changed._with_chat(str(given["chat"]))
            lines.append(f"chat template: {given['chat']}, as asked for")
        if "beacon_ratio" in given:
            lines.append(f"beacon ratio: {changed.beacon_ratio}, as asked for")
        return replace(spec, own=changed), lines

    def shown(self) -> tuple[str, ...]:
        """How it answers, and what is not as the checkpoint has it."""
        rope = (f"rope base {self.rope_theta:,.12g}",) if self.rope_theta else ()
        chat = (f"chat template {self.chat}",) if self.chat != AUTO else ()
        beacon = (f"beacon ratio {self.beacon_ratio}",) if self.beacon_ratio else ()
        alone = ("no beginning of texts before chats",) if self.chat_alone else ()
        return ("generated answers", *rope, *chat, *beacon, *alone)

    def _with_chat(self, wanted: str) -> TextSettings:
        if wanted in (AUTO, NONE, *TEMPLATES):
            return replace(self, chat=wanted, template="")
        fix = f"give {AUTO}, {NONE}, {', '.join(TEMPLATES)} or a file to --chat-template"
        text = read_text(user_path(wanted), fix, largest=_LARGEST_TEMPLATE)
        if not text.strip():
            raise BadInput(f"{wanted} holds no chat template: {fix}")
        return replace(self, chat=f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}", template=text)


@dataclass(frozen=True)
class TextServerSettings(OwnSettings):
    """What is sent to a server beside a prompt of text, and what its tokens are counted with.

    Attributes:
        url: Up to and with ``/v1``.
        model: The model's name there.
        extra: More fields of every request, a JSON object.
        seed: Seed of every request; none is sent when None.
        tokenizer: Hash of the tokenizer that lengths are counted with; empty for none.
        counted: Where that tokenizer is.
    """

    owner: ClassVar[str] = "a language model of texts behind a server"
    title: ClassVar[str] = "language models of texts behind a server"
    ability: ClassVar[str] = "generate"
    of_a_run: ClassVar[bool] = True

    url: str
    model: str
    extra: str = "{}"
    seed: int | None = None
    tokenizer: str = ""
    counted: str = flag(
        "",
        "tokenizer that lengths of prompts to a server are counted with, that of the model there; needed with "
        "--api-base where lengths are counted",
        name="--tokenizer",
        shown="none",
        metavar="NAME|FOLDER",
        kept=False,
    )

    def wire(self) -> dict[str, Any]:
        """Request settings by name; a seed that is not sent is left out."""
        sent = {"url": self.url, "model": self.model, "extra": self.extra}
        return sent if self.seed is None else sent | {"seed": self.seed}

    def as_dict(self) -> dict[str, Any]:
        """Under one name."""
        return {"server": self.wire() | ({"tokenizer": self.tokenizer} if self.tokenizer else {})}

    def shown(self) -> tuple[str, ...]:
        """How it answers, and what lengths are counted with."""
        counted = (f"tokens counted by tokenizer {self.tokenizer}",) if self.tokenizer else ()
        return ("generated answers", *counted)
