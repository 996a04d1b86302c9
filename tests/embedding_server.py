"""Servers of embeddings and scores on 127.0.0.1, of every interface, backed by any function of texts."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.fake_server import FakeServer, Reply

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Score = Callable[[str, Sequence[str]], Sequence[float]]
Change = Callable[[Any], Any]


def hashed(texts: Sequence[str]) -> NDArray[np.float32]:
    """A vector of 16 numbers for each text, by its characters alone."""
    rows = [np.random.default_rng(list(text.encode()) or [0]).normal(size=16) for text in texts]
    return np.array(rows, dtype=np.float32)


def hashed_scores(query: str, texts: Sequence[str]) -> list[float]:
    """A number for each pair, by its characters alone."""
    return [float(hashed([f"{query}\n{text}"])[0, 0]) for text in texts]


def answer_of(
    embed: Embed = hashed, score: Score = hashed_scores, change: Change | None = None
) -> Callable[[Any], Reply]:
    """What a good server answers to a request of any interface.

    Args:
        embed: Its embeddings.
        score: Its scores.
        change: Applied to the JSON of each answer.
    """

    def answer(body: Mapping[str, Any]) -> Reply:
        value = _value(body, embed, score)
        return Reply(raw=json.dumps(change(value) if change else value).encode())

    return answer


def _value(body: Mapping[str, Any], embed: Embed, score: Score) -> Any:
    if "inputs" in body:
        vectors = embed(body["inputs"]).astype(float)
        if body.get("normalize", True):
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.tolist()
    if "input" in body:
        vectors = embed(body["input"])[:, : body.get("dimensions")]
        coded = body.get("encoding_format") == "base64"
        data = [
            {
                "index": at,
                "embedding": base64.b64encode(row.tobytes()).decode() if coded else row.astype(float).tolist(),
            }
            for at, row in enumerate(vectors)
        ]
        return {"data": data, "usage": {"prompt_tokens": sum(map(len, body["input"]))}}
    if "text_2" in body:
        values = score(body["text_1"], body["text_2"])
        return {"data": [{"index": at, "score": each} for at, each in enumerate(values)]}
    texts = body.get("texts") or body["documents"]
    values = score(body["query"], texts)
    order = sorted(range(len(texts)), key=lambda at: -values[at])  # as these servers do
    if "texts" in body:
        return [{"index": at, "score": values[at]} for at in order]
    return {"results": [{"index": at, "relevance_score": values[at]} for at in order]}


def texts_of(body: Mapping[str, Any]) -> list[str]:
    """The texts, or passages, of a request of any interface."""
    return next(body[name] for name in ("inputs", "input", "texts", "documents", "text_2") if name in body)


def serving(**how: Any) -> FakeServer:
    """A server of good answers; see ``answer_of``."""
    return FakeServer(answer=answer_of(**how))
