"""Rerankers behind a server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flagbench.models.contract import Capability, Loading
from flagbench.models.embeddings import Embeddings
from flagbench.models.inputs import TEXT, Pair, readable_pair, text_of
from flagbench.models.served.connection import Connected
from flagbench.models.served.requests import Requests
from flagbench.models.served.wire import read_scores, rerank_body, rerank_path
from flagbench.models.servers.concurrent import Stop
from flagbench.models.servers.exchange import Reply
from flagbench.models.spec import ModelSpec


class ServedScorer(Connected):
    """See ``Scorer`` of the contract. Pairs are cut by the server; a request has pairs of one query."""

    capabilities: frozenset[Capability] = frozenset({"score"})
    modalities = TEXT

    def stream(
        self, pairs: Sequence[Pair], *, instruction: str = ""
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Score pairs, and give each reply away as it comes.

        Args:
            pairs: ``(query, passage)``, any number.
            instruction: Prefix of the queries.

        Yields:
            Rows ``int64[k]`` of pairs, and their scores ``float32[k]``.
        """
        plain = [tuple(map(text_of, readable_pair(pair, TEXT, self.spec.name))) for pair in pairs]
        first: dict[str, int] = {}
        groups = [first.setdefault(query, len(first)) for query, _ in plain]
        order = np.argsort(groups, kind="stable").tolist()
        requests: Requests[NDArray[np.float32]] = self.requests

        def ask(rows: Sequence[int], stop: Stop) -> NDArray[np.float32] | None:
            query = instruction + plain[order[rows[0]]][0]
            path, body, read = self.request(query, [plain[order[row]][1] for row in rows])
            return self.client.post(path, body, read, stop)

        costs = [sum(map(len, plain[row])) for row in order]
        batches = requests.batches(costs, [groups[row] for row in order])
        replies = requests.replies(
            batches, ask, self.lanes, lambda row, refusal: self.refused(plain[order[row]][1], refusal)
        )
        for rows, scores in replies:
            yield np.array([order[row] for row in rows], dtype=np.int64), scores

    def request(self, query: str, passages: Sequence[str]) -> tuple[str, bytes, Callable[[Reply], NDArray[np.float32]]]:
        """One request, which is not sent: its path, its body, and what reads the reply to it.

        Args:
            query: With its instruction.
            passages: As many as a server takes.
        """
        read = functools.partial(self._read, count=len(passages))
        return rerank_path(self.own), rerank_body(self.own, query, passages), read

    def prepare(self, pairs: Sequence[Pair], *, instruction: str = "") -> Callable[[], NDArray[np.float32]]:
        """See the contract: nothing is done before."""
        return functools.partial(self.score, pairs, instruction=instruction)

    def score(self, pairs: Sequence[Pair], *, instruction: str = "") -> NDArray[np.float32]:
        """See the contract."""
        scores = np.empty(len(pairs), dtype=np.float32)
        for rows, values in self.stream(pairs, instruction=instruction):
            scores[rows] = values
        return scores

    def probe(self, texts: Sequence[str]) -> Embeddings:
        """The scores of some texts as answers to the first of them."""
        return Embeddings(dense=self.score([(texts[0], text) for text in texts])[:, None])

    def _read(self, reply: Reply, count: int) -> NDArray[np.float32]:
        scores, tokens = read_scores(reply, self.own, count, self.spec.name)
        self.client.count(texts=count, prompt_tokens=tokens)
        return scores


def load(spec: ModelSpec, directory: Path, loading: Loading) -> ServedScorer:
    """Nothing is read: the spec is all there is."""
    return ServedScorer(spec)
