"""From a name and an address to an embedder or a reranker: its settings, and the evidence of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from flagbench import UNTOLD, BadInput
from flagbench.evidence import server_line
from flagbench.models.contract import Tokens
from flagbench.models.loading.matryoshka import within
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import family_spec, published_as
from flagbench.models.loading.resolve import Model
from flagbench.models.loading.tokenizer_model import tokenizer_model
from flagbench.models.served.connection import Connected, Connection, Info
from flagbench.models.served.encoder import ServedEncoder
from flagbench.models.served.scorer import ServedScorer
from flagbench.models.served.settings import Kind, ServedSettings, Side
from flagbench.models.served.wire import OWN_FIELDS
from flagbench.models.servers.chat_model import check_server
from flagbench.models.servers.http import Client, RateLimit, Unanswered, key_line, plain_url
from flagbench.models.spec import Ability, ModelSpec

_ABILITIES: Mapping[Kind, frozenset[Ability]] = {
    "openai": frozenset({"encode"}),
    "tei": frozenset({"encode", "score"}),
    "cohere": frozenset({"score"}),
    "jina": frozenset({"score"}),
    "vllm": frozenset({"score"}),
}
_DOES: Mapping[Ability, str] = {
    "encode": "embeds texts",
    "score": "scores pairs",
    "search": "searches without vectors",
    "generate": "answers questions",
    "replay": "has rankings that were made before",
}
_PLAIN = frozenset({"dense", "modules", "m3", "cross-encoder"})
"""Adapters that put nothing but an instruction before a text."""

T = TypeVar("T", bound=Connected)

UNANSWERED = "which does not answer: its revision and lengths are not known"
"""In the evidence of a model whose server is not there yet."""

_OF_THE_SERVER = ("pooling", "max_length", "lowercase", "dtype", "adapters")


@dataclass(frozen=True)
class Address:
    """Where a model is, and how it is asked there.

    Attributes:
        url: Of the server, up to and with ``/v1`` where its interface has that.
        kind: Its interface.
        model: The model's name there; None for the name that it is resolved by.
        revision: Of the weights, where the user knows it.
        extra: More fields of every request.
        dimensions: Numbers of a vector that the server is asked for; None for all that it has.
        instructions: Who puts an instruction before a text.
        connection: How often it is asked, and how much at once.
        may_be_down: Whether the server need not be there yet, as nothing is sent.
    """

    url: str
    kind: Kind = "openai"
    model: str | None = None
    revision: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    dimensions: int | None = None
    instructions: Side = "client"
    connection: Connection = field(default_factory=Connection)
    may_be_down: bool = False


@dataclass(frozen=True)
class ServedModel(Model):
    """An embedder or a reranker behind a server, and how the server is asked, which moves no score.

    Attributes:
        connection: How it is asked.
        counted: Reads the tokenizer that a dry run counts tokens with, and by which a run sees that the server cuts;
            None for none.
    """

    connection: Connection = field(default_factory=Connection)
    counted: Model | None = None

    def load(
        self, *, batch_size: int | None = None, trust_remote_code: bool = False, **_: Any
    ) -> ServedEncoder | ServedScorer:
        """Connect, and see that the server is there.

        Args:
            batch_size: Texts of a request; None for the connection's.
            trust_remote_code: Code that the tokenizer brings may run.

        Raises:
            BadInput: It is not, it does not take the key, or it has another model.
        """
        connection = replace(self.connection, texts=batch_size or self.connection.texts)
        kind: Callable[..., ServedEncoder | ServedScorer]
        kind = ServedScorer if self.spec.ability == "score" else ServedEncoder
        tokenizer = self.tokens(trust_remote_code=trust_remote_code) if self.counted is not None else None
        model = connected(kind(self.spec, connection))
        model.tokenizer = tokenizer
        return model

    def tokens(self, *, trust_remote_code: bool) -> Tokens:
        """The tokenizer that a dry run counts tokens with.

        Raises:
            BadInput: None was named, or its files are none.
        """
        if self.counted is None:
            raise BadInput(f"{self.spec.name}: a server has no tokenizer to ask: name the model's with --tokenizer")
        return self.counted.tokens(trust_remote_code=trust_remote_code)


def connected(model: T) -> T:
    """A model whose server has answered; else its connections are closed.

    Raises:
        BadInput: No server answers there, it does not take the key, is not ready, or has another model.
    """
    try:
        model.check()
    except BaseException:
        model.close()
        raise
    return model


def served_model(name: str, address: Address, overrides: Overrides, *, as_reranker: bool = False) -> ServedModel:
    """An embedder or a reranker behind a server, not connected: this is the way from an address to an adapter,
    ``served_model(name, address, Overrides()).load()``.

    Of a server nothing is asked here, but for what a text-embeddings-inference says of itself.

    Args:
        name: A published name, whose settings apply, or any other.
        address: Where it is.
        overrides: What the user says of it: family, instructions, normalisation, name; the rest is the server's.
        as_reranker: It was given as a reranker.

    Raises:
        BadInput: One of them is not possible, or the model is of a kind that such a server has none of.
    """
    url = plain_url(address.url)
    asked = address.model or name
    check_server(asked, url, address.extra, OWN_FIELDS)
    _refuse_others(overrides)
    row, known = _row(name, overrides)
    said_of_itself = _info(url, address) if address.kind == "tei" else Info()
    info = said_of_itself or Info()
    ability = _ability(name, address.kind, row, info, as_reranker=as_reranker)
    own = ServedSettings(
        interface=address.kind,
        model=asked,
        extra=json.dumps(dict(address.extra), sort_keys=True),
        dimensions=address.dimensions or 0,
        instructions=address.instructions,
        url=url,
    )
    base = row or ModelSpec(
        name=name,
        revision="",
        family="served",
        adapter="served",
        ability=ability,
        query_max_length=info.tokens,
        passage_max_length=info.tokens,
        normalize=ability == "encode",
    )
    instructed, said_of_instructions = _instructed(name, base, address.instructions, overrides)
    spec = replace(
        instructed,
        name=f"api/{name.strip('/').split('/')[-1]}",
        revision=address.revision or info.revision or UNTOLD,
        adapter="served-reranker" if ability == "score" else "served",
        ability=ability,
        pooling=None,
        dtype="fp32",
        attention="",
        dense_layers=(),
        own=own,
    )
    given = {name: value for name, value in overrides.own.items() if name != "counted"}
    counted = tokenizer_model(str(overrides.own["counted"])) if overrides.own.get("counted") else None
    spec, said = override(spec, replace(overrides, family=None, own=given))
    retrieval = spec.own_as(ServedSettings).retrieval
    if retrieval not in ("dense", "sparse"):
        raise BadInput(f"--retrieval {retrieval} needs several parts of one embedding, and a server gives one: drop it")
    evidence: tuple[str, ...] = (
        server_line(url, address.kind, asked)
        + (f", weights in {info.dtype}" if info.dtype else "")
        + (f", {UNANSWERED}" if said_of_itself is None else ""),
        f"settings: {known}",
        said_of_instructions,
        _lengths(spec, info),
        f"vectors: {'normalised here' if spec.normalize else 'as the server gives them'}"
        if ability == "encode"
        else "",
        key_line(),
        *said,
    )
    spec, evidence = within(spec, tuple(filter(None, evidence)), address.dimensions)
    return ServedModel(spec, evidence, None, connection=address.connection, counted=counted)


def _refuse_others(overrides: Overrides) -> None:
    """Refuse what a server decides."""
    given = [name for name in _OF_THE_SERVER if getattr(overrides, name) != getattr(Overrides(), name)]
    if given:
        flag = "--adapter" if given[0] == "adapters" else f"--{given[0].replace('_', '-')}"
        raise BadInput(f"{flag} is the server's affair: drop it, or --api-base")


def _row(name: str, overrides: Overrides) -> tuple[ModelSpec | None, str]:
    """The settings of a published name or of a family, and where they are from."""
    if overrides.family:
        return family_spec(overrides.family, name=name, revision=""), f"family {overrides.family}, as asked for"
    row = published_as(name)
    if row is not None:
        return row, f"models.toml, {row.name}"
    return None, f"none are known of {name}: no instructions, cosine similarity; --family names those of a family"


def _ability(name: str, kind: Kind, row: ModelSpec | None, info: Info, *, as_reranker: bool) -> Ability:
    possible = _ABILITIES[kind]
    if row is not None:
        if row.ability not in possible:
            kinds = [each for each, its in _ABILITIES.items() if row.ability in its]
            fix = f"take --api-kind {' or '.join(kinds)}" if kinds else "drop --api-base"
            raise BadInput(f"{name} {_DOES[row.ability]}, and no server of --api-kind {kind} does: {fix}")
        return row.ability
    if len(possible) == 1:
        return next(iter(possible))
    scores = as_reranker if info.scores is None else info.scores
    return "score" if scores else "encode"


def _instructed(name: str, spec: ModelSpec, side: Side, overrides: Overrides) -> tuple[ModelSpec, str]:
    """The settings with the instructions that are put before texts here, and a line on them."""
    if side == "server":
        if overrides.query_instruction is not None or overrides.passage_instruction is not None:
            raise BadInput(
                "--query-instruction and --passage-instruction are put before texts here, and --api-instructions "
                "server says that the server does it: drop one of them"
            )
        return replace(spec, prompts=()), "instructions: put before texts by the server, as asked for"
    if spec.adapter not in _PLAIN and spec.adapter != "served":
        raise BadInput(
            f"{name} reads its texts in a form of its own (family {spec.family}), which is not made for a server: if "
            "the server makes it, say --api-instructions server"
        )
    what = "put before texts here" if spec.prompts else "none"
    return spec, f"instructions: {what}"


def _lengths(spec: ModelSpec, info: Info) -> str:
    if info.tokens:
        return f"lengths: the server cuts at {info.tokens:,} tokens (/info)"
    known = f"; the model's settings cut at {spec.passage_max_length:,} tokens" if spec.passage_max_length else ""
    return f"lengths: cut by the server, which does not say where{known}"


def the_only_model(url: str, kind: Kind, rate_limit: RateLimit) -> str:
    """The name of the only model that a server lists; empty where it lists none, or several.

    Args:
        url: Of the server.
        kind: Its interface.
        rate_limit: How often it is asked.

    Raises:
        BadInput: No server answers there, it does not take the key, or it is not ready.
    """
    if kind == "tei":  # which has one, and wants no name
        return ""
    client = Client(plain_url(url), "the model", rate_limit=rate_limit)
    try:
        names = client.listed()
    finally:
        client.close()
    return names[0] if len(names) == 1 else ""


def _info(url: str, address: Address) -> Info | None:
    """What a text-embeddings-inference says of itself; None where it is down, and may be.

    Raises:
        BadInput: No server answers there, it does not take the key, or it is not ready.
    """
    client = Client(url, address.model or "the model", rate_limit=address.connection.rate_limit)
    try:
        return Info.of(client.get("info"))
    except Unanswered:
        if not address.may_be_down:
            raise
        return None
    finally:
        client.close()
