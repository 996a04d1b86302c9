"""What is sent to servers of embeddings and scores, and what their replies say: bodies, arrays, refusals.

Sources of the formats: OpenAI's API reference, "Create embeddings" (``/embeddings``: ``encoding_format`` float or
base64, which is little-endian float32, and ``dimensions``); the OpenAPI document of text-embeddings-inference
(``/embed``, ``/embed_sparse``, ``/rerank``, ``/info``); Cohere's API reference, "Rerank" (v2), and Jina's, "Reranker
API", which vLLM and infinity speak as well; vLLM's documentation, "Score API" (``/score``).

A reply that is no JSON may come whole the next time and is asked for again; one that says something impossible is a
fault of the server and never becomes a vector.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from flagbench import ModelFault
from flagbench.models.served.settings import ServedSettings
from flagbench.models.servers.exchange import Again, Reply

OWN_FIELDS = frozenset(
    {
        "model",
        "input",
        "inputs",
        "encoding_format",
        "dimensions",
        "query",
        "texts",
        "documents",
        "top_n",
        "text_1",
        "text_2",
        "normalize",
        "raw_scores",
        "return_documents",
        "return_text",
    }
)
"""Fields of a request that no user may give."""

_MOST_COLUMNS = 1 << 24  # of sparse vectors: far above any vocabulary


def embed_path(own: ServedSettings) -> str:
    """Path of the embeddings of a server, below its address."""
    if own.interface == "tei":
        return "embed_sparse" if own.retrieval == "sparse" else "embed"
    return "embeddings"


def embed_body(own: ServedSettings, texts: Sequence[str], *, as_base64: bool) -> bytes:
    """The JSON of a request for the embeddings of texts.

    Args:
        own: Settings of the model.
        texts: With their instructions.
        as_base64: Ask for vectors in base64, where the server has a choice.
    """
    if own.interface == "tei":
        # It normalises unless told not to; what the family does is done here.
        shape = {} if own.retrieval == "sparse" else {"normalize": False}
        asked = {"inputs": list(texts), "truncate": True, **shape}
        if own.dimensions:
            asked["dimensions"] = own.dimensions
    else:
        asked = {"model": own.model, "input": list(texts), "encoding_format": "base64" if as_base64 else "float"}
        if own.dimensions:
            asked["dimensions"] = own.dimensions
    return json.dumps(asked | json.loads(own.extra)).encode()


def rerank_path(own: ServedSettings) -> str:
    """Path of the scores of a server, below its address."""
    return "score" if own.interface == "vllm" else "rerank"


def rerank_body(own: ServedSettings, query: str, passages: Sequence[str]) -> bytes:
    """The JSON of a request for the scores of passages, all of them."""
    if own.interface == "tei":
        # Logits: a sigmoid of single precision makes many of the best scores equal.
        asked: dict[str, Any] = {"query": query, "texts": list(passages), "raw_scores": True, "truncate": True}
        asked["return_text"] = False
    elif own.interface == "vllm":
        asked = {"model": own.model, "text_1": query, "text_2": list(passages)}
    else:
        asked = {"model": own.model, "query": query, "documents": list(passages), "top_n": len(passages)}
        if own.interface == "jina":
            asked["return_documents"] = False
    return json.dumps(asked | json.loads(own.extra)).encode()


def read_dense(reply: Reply, own: ServedSettings, count: int, name: str) -> tuple[NDArray[np.float32], int]:
    """The vectors of a reply.

    Args:
        reply: Of status 200.
        own: Settings of the model.
        count: Texts that were sent.
        name: Of the model, for messages.

    Returns:
        ``float32[count, d]`` in the order of the texts, and the tokens that the server counted, 0 where it did not.

    Raises:
        Again: It is no JSON.
        ModelFault: It is not one vector of finite numbers for each text, all of one length.
    """
    answer = _answer(reply)
    values = answer if own.interface == "tei" else _ordered(_field(answer, "data", name), count, "embedding", name)
    rows = [_numbers(each, name) for each in _counted(values, count, "vectors", "texts", name)]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1 or not lengths[0]:
        raise ModelFault(f"{name}: the server gives vectors of {_listed(lengths)} numbers in one reply; {_FIX}")
    if own.dimensions and lengths[0] != own.dimensions:
        raise ModelFault(
            f"{name}: the server was asked for {own.dimensions} dimensions and gives {lengths[0]}: it does not know "
            "the field; drop --api-dimensions and use --dims"
        )
    return np.stack(rows), _tokens(answer)


def read_sparse(reply: Reply, count: int, name: str) -> scipy.sparse.csr_array:
    """The sparse vectors of a reply, ``float32[count, V]`` in the order of the texts; see ``read_dense``."""
    columns: list[NDArray[np.int32]] = []
    weights: list[NDArray[np.float32]] = []
    for each in _counted(_answer(reply), count, "vectors", "texts", name):
        entries = _counted(each, None, "entries", "", name)
        numbered = [_index(_field(entry, "index", name), _MOST_COLUMNS, name) for entry in entries]
        if len(set(numbered)) != len(numbered):
            raise ModelFault(f"{name}: the server gives two weights of one token; {_FIX}")
        values = _numbers([_field(entry, "value", name) for entry in entries], name)
        order = np.argsort(numbered, kind="stable")
        columns.append(np.array(numbered, dtype=np.int32)[order])
        weights.append(values[order])
    offsets = np.cumsum([0, *map(len, columns)])
    flat = np.concatenate(columns) if columns else np.empty(0, dtype=np.int32)
    width = int(flat.max(initial=0)) + 1
    values = np.concatenate(weights) if weights else np.empty(0, dtype=np.float32)
    return scipy.sparse.csr_array((values, flat, offsets), shape=(count, width))


def read_scores(reply: Reply, own: ServedSettings, count: int, name: str) -> tuple[NDArray[np.float32], int]:
    """The scores of a reply.

    Args:
        reply: Of status 200.
        own: Settings of the model.
        count: Passages that were sent.
        name: Of the model, for messages.

    Returns:
        ``float32[count]`` in the order of the passages, and the tokens that the server counted, 0 where it did not.

    Raises:
        Again: It is no JSON.
        ModelFault: It is not one finite score for each passage.
    """
    answer = _answer(reply)
    if own.interface == "tei":
        values = _ordered(answer, count, "score", name)
    elif own.interface == "vllm":
        values = _ordered(_field(answer, "data", name), count, "score", name)
    else:
        values = _ordered(_field(answer, "results", name), count, "relevance_score", name)
    return _numbers(values, name), _tokens(answer)


_FIX = "see the server's log, or what stands between it and here"


def _answer(reply: Reply) -> Any:
    try:
        return reply.numbers()
    except (ValueError, RecursionError):
        raise Again(f"what came is not JSON: {reply.message()}") from None


def _field(value: Any, name: str, model: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise ModelFault(f"{model}: the reply has no '{name}' where one should be; is --api-kind that of the server?")
    return value[name]


def _counted(values: Any, count: int | None, what: str, of: str, name: str) -> list[Any]:
    if not isinstance(values, list):
        kind = type(values).__name__
        raise ModelFault(f"{name}: the reply has a {kind} where {what} should be; is --api-kind that of the server?")
    if count is not None and len(values) != count:
        raise ModelFault(f"{name}: the server gives {len(values)} {what} for {count} {of}; {_FIX}")
    return values


def _ordered(entries: Any, count: int, field: str, name: str) -> list[Any]:
    """A field of entries by their ``index``, of which each must be there once."""
    found: dict[int, Any] = {}
    for entry in _counted(entries, count, f"{field}s", "texts", name):
        index = _index(_field(entry, "index", name), count, name)
        if index in found:
            raise ModelFault(f"{name}: the server gives two {field}s with index {index} in one reply; {_FIX}")
        found[index] = _field(entry, field, name)
    return [found[index] for index in range(count)]


def _index(value: Any, count: int, name: str) -> int:
    if type(value) is not int or not 0 <= value < count:
        # A number of few digits alone is repeated: a server may put the key anywhere, and a key may be of digits.
        shown = value if type(value) is int and abs(value) < 1 << 31 else f"a {type(value).__name__}"
        raise ModelFault(f"{name}: the server gives {shown} as an index below {count}; {_FIX}")
    return value


def _numbers(value: Any, name: str) -> NDArray[np.float32]:
    """A vector, ``float32[d]``, of numbers or of base64."""
    if isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ModelFault(f"{name}: the server gives a text where numbers should be; {_FIX}") from None
        if not data or len(data) % 4:
            raise ModelFault(f"{name}: {len(data)} bytes of base64 are no vector of single precision; {_FIX}")
        numbers = np.frombuffer(data, dtype="<f4").astype(np.float32)
    else:
        values = _counted(value, None, "numbers", "", name)
        strange = next((each for each in values if type(each) not in (float, int)), None)
        if strange is not None or None in values:
            raise ModelFault(f"{name}: the server gives a {type(strange).__name__} where a number should be; {_FIX}")
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(values, dtype=np.float64).astype(np.float32)
        except OverflowError:
            numbers = np.array([np.inf], dtype=np.float32)
    if not np.isfinite(numbers).all():
        raise ModelFault(f"{name}: the server gives NaN or infinite numbers: its weights are broken, or overflow")
    return numbers


def _tokens(answer: Any) -> int:
    usage = answer.get("usage") if isinstance(answer, Mapping) else None
    count = (usage.get("prompt_tokens") or usage.get("total_tokens")) if isinstance(usage, Mapping) else 0
    return count if type(count) is int and count > 0 else 0


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths[:3])) or "no"
