"""Embedders behind a server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagbench import BadInput
from flagbench.models.contract import DENSE, Capability, Loading, Part, Role
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT, Input, cost, readable, text_of
from flagbench.models.served.connection import Connected
from flagbench.models.served.requests import Requests
from flagbench.models.served.wire import embed_body, embed_path, read_dense, read_sparse
from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Reply
from flagbench.models.spec import ModelSpec

_SMALLEST_NORM = 1e-12  # as torch.nn.functional.normalize


class ServedEncoder(Connected):
    """See ``Encoder`` of the contract. Texts are cut by the server."""

    capabilities: frozenset[Capability] = frozenset({"encode"})
    modalities = TEXT

    @property
    def parts(self) -> frozenset[Part]:
        """Dense vectors, or sparse ones: a server has either."""
        return self.own.ranking.parts

    def stream(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Iterator[tuple[NDArray[np.int64], Embeddings]]:
        """Embed texts, and give each reply away as it comes; see ``Streaming``."""
        if parts != self.parts:
            raise BadInput(f"{self.spec.name} gives {' and '.join(sorted(self.parts))} vectors alone")
        requests: Requests[Embeddings] = self.requests

        def sent(row: int) -> str:
            return instruction + text_of(readable(texts[row], TEXT, self.spec.name))

        def ask(rows: Sequence[int], stop: Stop) -> Embeddings | None:
            path, body, read = self.request([sent(row) for row in rows])
            return self.client.post(path, body, read, stop)

        costs = [len(instruction) + cost(text) for text in texts]
        replies = requests.replies(
            requests.batches(costs), ask, self.lanes, lambda row, refusal: self.refused(sent(row), refusal)
        )
        for rows, embeddings in replies:
            if embeddings.dense is not None:
                self.check_length(embeddings.dense.shape[1])
            yield np.array(rows, dtype=np.int64), embeddings

    def request(self, texts: Sequence[str]) -> tuple[str, bytes, Callable[[Reply], Embeddings]]:
        """One request, which is not sent: its path, its body, and what reads the reply to it.

        Args:
            texts: With their instructions; as many as a server takes.
        """
        body = embed_body(self.own, texts, as_base64=self.connection.as_base64)
        return embed_path(self.own), body, functools.partial(self._read, count=len(texts))

    def prepare(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Callable[[], Embeddings]:
        """See the contract: nothing is done before."""
        return functools.partial(self.encode, texts, role=role, instruction=instruction, parts=parts)

    def encode(
        self, texts: Sequence[Input], *, role: Role, instruction: str = "", parts: frozenset[Part] = DENSE
    ) -> Embeddings:
        """See the contract."""
        found = list(self.stream(texts, role=role, instruction=instruction, parts=parts))
        if not found:
            return Embeddings(dense=np.empty((0, self.dimension), dtype=np.float32))
        order = np.argsort(np.concatenate([rows for rows, _ in found]), kind="stable")
        return Embeddings.stack([embeddings for _, embeddings in found]).take(order)

    def probe(self, texts: Sequence[str]) -> Embeddings:
        """What it gives for some texts as they are."""
        return self.encode(texts, role="symmetric", parts=self.parts)

    def _read(self, reply: Reply, count: int) -> Embeddings:
        if self.own.retrieval == "sparse":
            self.client.count(texts=count)
            return Embeddings(sparse=read_sparse(reply, count, self.spec.name))
        vectors, tokens = read_dense(reply, self.own, count, self.spec.name)
        self.client.count(texts=count, prompt_tokens=tokens)
        if self.spec.normalize:
            norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
            vectors = (vectors / np.maximum(norms, _SMALLEST_NORM)).astype(np.float32)
        return Embeddings(dense=vectors)


def load(spec: ModelSpec, directory: Path, loading: Loading) -> ServedEncoder:
    """Nothing is read: the spec is all there is."""
    return ServedEncoder(spec)
