"""Language models of texts behind a server that speaks OpenAI's completions.

A prompt without a chat template is one POST to ``<url>/completions``, all others are one to ``<url>/chat/completions``,
at temperature 0. The server has the chat template, and puts the tokens in front that begin a text.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flagbench import UNTOLD, BadInput
from flagbench.models.contract import Loading, Tokens
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.resolve import Model
from flagbench.models.loading.tokenizer_model import tokenizer_model
from flagbench.models.prompts import Loss, Prompt, Window
from flagbench.models.servers.chat import messages, read_completion
from flagbench.models.servers.chat_model import OWN_FIELDS, ApiModel, check_server, connected, request_body
from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Reply
from flagbench.models.servers.http import CLOCK, RATE_LIMIT, Clock, RateLimit, key_line, plain_url
from flagbench.models.spec import ModelSpec
from flagbench.models.text import TextServerSettings

# Fields that some servers refuse; each can be left out.
_OPTIONAL = ("seed", "min_tokens")
_OWN_FIELDS = (OWN_FIELDS | {"prompt", "stop", "echo"}) - {"seed"}


@dataclass(frozen=True)
class Server:
    """A server of OpenAI's completions that runs a model.

    Attributes:
        url: Up to and with ``/v1``.
        extra: More fields of every request; a ``seed`` of None sends none.
        rate_limit: How often it is asked, which moves no score; None for the default.
    """

    url: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    rate_limit: RateLimit | None = None


class TextApiModel(ApiModel):
    """See ``TextGenerator`` of the contract; it gives no probabilities.

    Attributes:
        positions: 0, as a server does not say.
    """

    positions = 0

    def __init__(
        self,
        spec: ModelSpec,
        rate_limit: RateLimit = RATE_LIMIT,
        clock: Clock = CLOCK,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__(spec, rate_limit, clock)
        self._tokens = tokens

    @property
    def tokens(self) -> Tokens:
        """The tokenizer that lengths are counted with.

        Raises:
            BadInput: None was named.
        """
        if self._tokens is None:
            raise uncounted(self.spec)
        return self._tokens

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        """See the contract: never."""
        raise BadInput(f"{self.spec.name}: a server gives no probabilities of texts; take a model of your own")

    def fitting(self, tokens: int) -> str:
        """See the contract: memory is the server's affair."""
        return f"{self.spec.name}: prompts of up to {tokens:,} tokens, which the server has memory for, or refuses"

    @staticmethod
    def _settings(spec: ModelSpec) -> Mapping[str, Any]:
        return spec.own_as(TextServerSettings).wire()

    def _ask(self, prompt: Prompt, length: Mapping[str, Any], stop: Stop) -> str | None:
        plain = prompt.form == "plain"
        read = functools.partial(self._completion, plain=plain)
        path = "completions" if plain else "chat/completions"
        return self._client.post(path, self._body(prompt, length), read, stop)

    def _body(self, prompt: Prompt, length: Mapping[str, Any]) -> bytes:
        if prompt.seen:
            raise BadInput(f"{self.spec.name} is asked about texts alone, and a question has pictures")
        if prompt.form == "plain":
            return request_body(self._wire, {"prompt": prompt.plain}, length)
        if prompt.prefill:
            raise BadInput(f"{self.spec.name}: a server cannot go on from '{prompt.prefill}' in a chat")
        return request_body(self._wire, {"messages": messages(prompt, "image_url")}, length)

    def _completion(self, reply: Reply, *, plain: bool) -> str:
        text, counts = read_completion(reply, plain=plain)
        self._client.count(answers=1, empty=int(not text.strip()), **counts)
        return text

    def _fix(self, status: int, message: str) -> str:
        if status in (400, 422):
            for field in _OPTIONAL:
                if field in message:
                    return f"leave it out with --api-extra '{{\"{field}\": null}}'"
        if status == 404:
            return (
                f"is '{self._wire['model']}' its name there, does the url end as it should (/v1), and does the server "
                "have /completions, for prompts without a chat?"
            )
        return "does it take prompts of so many tokens?"


@dataclass(frozen=True)
class TextServerModel(Model):
    """A language model of texts behind a server, and how the server is asked, which moves no score.

    Attributes:
        rate_limit: Of the requests.
        counted: Reads the tokenizer that lengths are counted with; None for none.
    """

    rate_limit: RateLimit = RATE_LIMIT
    counted: Model | None = None

    def load(self, **_: Any) -> TextApiModel:
        """Connect, and see that the server is there.

        Raises:
            BadInput: It is not, or it does not take the key.
        """
        tokens = self.tokens(trust_remote_code=False) if self.counted else None
        return connected(TextApiModel(self.spec, self.rate_limit, tokens=tokens))

    def tokens(self, *, trust_remote_code: bool) -> Tokens:
        """The tokenizer that lengths are counted with.

        Raises:
            BadInput: None was named, or its files are none.
        """
        if self.counted is None:
            raise uncounted(self.spec)
        return self.counted.tokens(trust_remote_code=trust_remote_code)


def server_model(
    name: str,
    revision: str | None,
    server: Server,
    overrides: Overrides,
    *,
    trust_remote_code: bool,
) -> TextServerModel:
    """A language model of texts behind a server; nothing is asked of it.

    Args:
        name: As the server calls it.
        revision: Of the weights, where the user knows it.
        server: Where it is.
        overrides: What the user says of it: the tokenizer that lengths are counted with.
        trust_remote_code: Code that a tokenizer brings may run.

    Raises:
        BadInput: One of them is not possible.
    """
    if overrides.dtype or overrides.adapters:
        raise BadInput("--dtype and --adapter are the server's affair: drop them, or --api-base")
    extra = dict(server.extra)
    seed = extra.pop("seed", 0)
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise BadInput(f"--api-extra: seed is {seed!r}, and not a whole number, or null to send none")
    check_server(name, server.url, extra, _OWN_FIELDS)
    spec = ModelSpec(
        name=f"api/{name}",
        revision=revision or UNTOLD,
        family="api",
        adapter="text-api",
        ability="generate",
        query_max_length=0,
        passage_max_length=0,
        own=TextServerSettings(plain_url(server.url), name, json.dumps(extra, sort_keys=True), seed),
    )
    spec, said = override(spec, overrides)
    own, counted = spec.own_as(TextServerSettings), None
    if own.counted:
        counted = tokenizer_model(own.counted)
        identity = counted.tokens(trust_remote_code=trust_remote_code).identity
        spec = replace(spec, own=replace(own, tokenizer=identity))
    evidence = (f"server: {server.url}, which does not say which weights it runs", key_line(), *said)
    return TextServerModel(spec, evidence, None, rate_limit=server.rate_limit or RATE_LIMIT, counted=counted)


def load(spec: ModelSpec, directory: Path, loading: Loading) -> TextApiModel:
    """Nothing is read: the spec is all there is, and no tokenizer is in it."""
    return TextApiModel(spec)


def uncounted(spec: ModelSpec) -> BadInput:
    """What is said of a server whose tokens cannot be counted."""
    return BadInput(
        f"{spec.name}: lengths are counted in tokens, and a server has no tokenizer to ask: name the model's with "
        "--tokenizer NAME or FOLDER"
    )
