"""Query and passage as one row of ids: for cross-encoders with special tokens, for LLM rerankers with a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flagbench.models.backbone.room import refuse_without_room
from flagbench.models.rerankers.settings import PromptSettings
from flagbench.models.spec import ModelSpec

Row = dict[str, list[int]]
"""``input_ids``, ``attention_mask``, and ``token_type_ids`` where the model takes them."""

QUERY_MARK, PASSAGE_MARK, SEPARATOR = "A: ", "B: ", "\n"


class PairTemplate:
    """Places of the special tokens of a pair: learned from one pair, filled with any ids.

    Cutting the tokenizer's own encodings instead would make it build every combination of what is cut off.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Ask a fast tokenizer how it joins two texts."""
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        joined = backend.encode("a", "b")
        self._with_types = "token_type_ids" in tokenizer.model_input_names
        # Runs of the same origin: None for special tokens, 0 for the query, 1 for the passage.
        self._pieces: list[tuple[int | None, int, int]] = []
        for token, kind, origin in zip(joined.ids, joined.type_ids, joined.sequence_ids, strict=True):
            if origin is None or origin not in [piece[0] for piece in self._pieces]:
                self._pieces.append((origin, token, kind))

    @property
    def special_tokens(self) -> int:
        """Number of special tokens of a pair."""
        return sum(origin is None for origin, _, _ in self._pieces)

    def fill(self, query: list[int], passage: list[int]) -> Row:
        """The model's inputs for the ids of a query and a passage."""
        ids: list[int] = []
        types: list[int] = []
        for origin, token, kind in self._pieces:
            piece = [token] if origin is None else (query, passage)[origin]
            ids += piece
            types += [kind] * len(piece)
        row = {"input_ids": ids, "attention_mask": [1] * len(ids)}
        return row | {"token_type_ids": types} if self._with_types else row


@dataclass(frozen=True)
class PairIds:
    """Ids of one pair: ``[bos] A: query \\n B: passage \\n prompt``.

    Attributes:
        ids: All of them.
        query_length: Ids before the passage, bos and separator included.
        prompt_length: Ids after it, the separator included.
    """

    ids: list[int]
    query_length: int
    prompt_length: int


def pair_ids(
    tokenizer: Any, spec: ModelSpec, pairs: Sequence[tuple[str, str]], *, bos_though_pad: bool = False
) -> list[PairIds]:
    """Build ids piece by piece, as FlagEmbedding 1.4.2 does (``inference/reranker/decoder_only/base.py``).

    The query keeps ``query_max_length`` ids and the passage ``passage_max_length``, their marks included. What is more
    than ``passage_max_length`` and the lengths of separator and prompt, bos and query included, is cut from the end of
    the passage; the separator and the prompt come after that cut. A query that alone is longer than this, which the
    reference leaves over-long, is cut too.

    Args:
        tokenizer: Without truncation or padding of its own.
        spec: Lengths and prompt.
        pairs: ``(query, passage)``.
        bos_though_pad: Begin with bos also where it is the padding token, as the layerwise classes do.
    """
    query_ids = ids_by_text(tokenizer, [QUERY_MARK, *(QUERY_MARK + query for query, _ in pairs)])
    passage_ids = ids_by_text(tokenizer, [PASSAGE_MARK, *(PASSAGE_MARK + passage for _, passage in pairs)])
    for marked, mark, length in (
        (query_ids, QUERY_MARK, spec.query_max_length),
        (passage_ids, PASSAGE_MARK, spec.passage_max_length),
    ):
        refuse_without_room(spec, length, len(marked[mark]), f"the tokens of {mark!r} in front")
    separator = _ids(tokenizer, [SEPARATOR])[0]
    prompt = separator + _ids(tokenizer, [spec.own_as(PromptSettings).prompt])[0]
    bos = tokenizer.bos_token_id
    start = [bos] if bos is not None and (bos_though_pad or bos != tokenizer.pad_token_id) else []
    limit = spec.passage_max_length + len(prompt)
    rows: list[PairIds] = []
    for query, passage in pairs:
        first = (start + query_ids[QUERY_MARK + query][: spec.query_max_length])[:limit]
        second = separator + passage_ids[PASSAGE_MARK + passage][: spec.passage_max_length]
        second = second[: limit - len(first)]
        before = len(first) + min(len(separator), len(second))
        rows.append(PairIds(first + second + prompt, before, len(prompt)))
    return rows


def ids_by_text(tokenizer: Any, texts: Sequence[str]) -> dict[str, list[int]]:
    """Ids of each distinct text: a query stands before many passages."""
    distinct = list(dict.fromkeys(texts))
    return dict(zip(distinct, _ids(tokenizer, distinct), strict=True))


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return ids
