"""Long-range language modelling: the end of a long text, predicted with chunks of its beginning before it.

Of a text the last 1,024 tokens are predicted, 128 at a time, out of a window of 2,048 that ends with them. What comes
before the window is searched with the chunk before the predicted one: the best eight chunks, in their order in the text
and each with the chunk behind it, are put in front of the window. The perplexity is the exponential of the mean over
texts of the mean loss of their tokens (FlagEmbedding, ``research/llm_embedder``, evaluation/eval_lrlm.py and
src/lm/modeling_srlm.py, "concat").

A text with fewer chunks before its window gets as many as there are; the authors' code stops at one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flagbench import BadData
from flagbench.models.contract import Tokens
from flagbench.models.prompts import Window
from flagbench.runners.search.ranking import Texts
from flagbench.suites.llm_embedder.cutting import CONTEXT
from flagbench.suites.llm_embedder.reader_task import ReaderTask, Scored, best_rows, scored_losses

CHUNK = 128
TARGETS = 1_024
TEXT = 160_000
"""Characters of a text that are looked at."""

LONGEST = 32_768
"""Tokens of it that are kept, from its end."""


@dataclass(frozen=True)
class Chunks:
    """A text, cut into chunks from its end.

    Attributes:
        chunks: ``int32[128]`` token ids each; the first may be shorter.
        window: Chunks of the window at the end.
    """

    chunks: Sequence[NDArray[np.int32]]
    window: int

    @classmethod
    def of(cls, tokens: Tokens, text: str) -> Chunks | None:
        """The chunks of a text; None for one that is shorter than what is predicted.

        Args:
            tokens: The reader's.
            text: The whole of it.
        """
        ids = np.array(tokens.encode(text[:TEXT])[-LONGEST:], dtype=np.int32)
        if len(ids) < TARGETS:
            return None
        first = len(ids) % CHUNK
        begins = [*([0] if first else []), *range(first, len(ids), CHUNK)]
        chunks = [ids[begin:end] for begin, end in zip(begins, [*begins[1:], len(ids)], strict=True)]
        return cls(chunks, min(len(chunks), CONTEXT // CHUNK))

    @property
    def targets(self) -> range:
        """Numbers of the chunks that are predicted."""
        return range(len(self.chunks) - TARGETS // CHUNK, len(self.chunks))

    @property
    def keys(self) -> range:
        """Numbers of the chunks that are searched: those before the window, each of which has one behind it there."""
        return range(max(0, len(self.chunks) - self.window - 1))

    def predicted(self, target: int, keys: Sequence[int]) -> Window:
        """A chunk to predict, with what is read before it.

        Args:
            target: Its number.
            keys: Numbers of the chunks that were found, in any order.
        """
        found = [ids for key in sorted(keys) for ids in (self.chunks[key], self.chunks[key + 1])]
        window = self.chunks[len(self.chunks) - self.window : target + 1]
        return Window(tuple(np.concatenate([*found, *window]).tolist()), len(self.chunks[target]))

    def alone(self) -> Window:
        """All that is predicted, with the window alone before it."""
        ids = np.concatenate(self.chunks[len(self.chunks) - self.window :])
        return Window(tuple(ids[-CONTEXT:].tolist()), TARGETS)


def score(task: ReaderTask) -> Scored:
    """Retrieve, and score the texts of a task.

    Args:
        task: What is read, by whom, with what.

    Raises:
        BadData: All texts are too short.
    """
    made = {each.id: Chunks.of(task.reader.tokens, each.row["text"]) for each in task.data.asked}
    chunks = {id_: its for id_, its in made.items() if its is not None}
    if not chunks:
        raise BadData(f"no text of {task.row.name} has {TARGETS:,} tokens of the reader: use longer ones")
    found = _retrieved(task, chunks) if task.knowledge else {}
    parts = {
        f"{id_}/{target}": (its, target)
        for id_, its in chunks.items()
        for target in (its.targets if task.knowledge else [len(its.chunks)])
    }

    def window(id_: str) -> Window:
        its, target = parts[id_]
        text, _, _ = id_.rpartition("/")
        return its.predicted(target, found.get(f"{text}/{target - 1}", ())) if task.knowledge else its.alone()

    losses = task.reader.losses(list(parts), window)
    sums: dict[str, list[float]] = {id_: [0.0, 0.0] for id_ in chunks}
    for id_, loss in losses.items():
        total = sums[id_.rpartition("/")[0]]
        total[0] += loss.nats
        total[1] += loss.tokens
    return scored_losses({id_: nats / tokens for id_, (nats, tokens) in sums.items()}, _notes(made, chunks))


def _retrieved(task: ReaderTask, chunks: Mapping[str, Chunks]) -> dict[str, list[int]]:
    """Numbers of the chunks that are found, by text and number of the chunk that they are searched with."""

    def texts(of: Mapping[str, Sequence[int]]) -> Texts:
        ids = [f"{id_}/{number}" for id_, numbers in of.items() for number in numbers]
        parts = [chunks[id_].chunks[number] for id_, numbers in of.items() for number in numbers]
        return Texts(ids, [task.reader.tokens.decode(part.tolist()) for part in parts])

    searched = {id_: its for id_, its in chunks.items() if its.keys}
    queries = {id_: [target - 1 for target in its.targets] for id_, its in searched.items()}
    keys = {id_: its.keys for id_, its in searched.items()}
    found: dict[str, list[int]] = {}
    for group in task.groups(list(searched)):
        its_keys = {id_: keys[id_] for id_ in group}
        candidates = {
            f"{id_}/{number}": [f"{id_}/{key}" for key in its_keys[id_]] for id_ in group for number in queries[id_]
        }
        run = task.retrieve(texts({id_: queries[id_] for id_ in group}), texts(its_keys), candidates)
        found |= {query: best_rows(hits, task.row.hits) for query, hits in run.items()}
    return found


def _notes(made: Mapping[str, Chunks | None], chunks: Mapping[str, Chunks]) -> Iterator[str]:
    if short := len(made) - len(chunks):
        yield f"{short:,} of {len(made):,} texts have fewer than {TARGETS:,} tokens and are left out, as published"
    few = sum(len(its.keys) < 8 for its in chunks.values())
    if few:
        yield f"{few:,} of {len(chunks):,} texts have fewer than 8 chunks before their window"
