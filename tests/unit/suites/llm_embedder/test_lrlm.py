"""Long-range language modelling against the tensors of the authors' way: padding, masks and labels of whole texts."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from flagbench import BadData
from flagbench.models.prompts import Loss, Window
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.progress import Silent
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.suites.llm_embedder import lrlm
from flagbench.suites.llm_embedder.loading import ReaderData
from flagbench.suites.llm_embedder.lrlm import CHUNK, Chunks
from flagbench.suites.llm_embedder.reader_task import ReaderTask
from flagbench.suites.llm_embedder.reading import Asked
from flagbench.suites.llm_embedder.registry import row_of

PAD = 0
VOCABULARY = 300


@dataclass
class Numbers:
    """A tokenizer of texts that are numbers with blanks between them."""

    identity: str = "numbers"

    def encode(self, text: str, *, specials: bool = False) -> list[int]:
        return list(map(int, text.split()))

    def decode(self, ids: Any, *, skip_specials: bool = True) -> str:
        return " ".join(str(id_) for id_ in ids if id_ != PAD)


@dataclass
class TinyReader:
    """Losses of a tiny random Llama, a window at a time."""

    model: Any
    tokens: Numbers

    def losses(self, windows: Iterable[Window]) -> Iterator[tuple[int, Loss]]:
        for number, window in enumerate(windows):
            ids = torch.tensor([window.ids])
            with torch.inference_mode():
                logits = self.model(ids).logits[0, :-1].log_softmax(-1)
            found = -logits.gather(1, ids[0, 1:, None])[:, 0]
            scored = found[-min(window.targets, len(found)) :]
            yield number, Loss(float(scored.sum()), len(scored))


class Journalled:
    """A reader of ReaderTask without a journal."""

    def __init__(self, model: TinyReader) -> None:
        self.tokens, self._model = model.tokens, model

    def losses(self, ids: list[str], window: Any) -> dict[str, Loss]:
        return {ids[number]: loss for number, loss in self._model.losses(map(window, ids))}


class Histograms:
    """An encoder of how often each number stands in a text."""

    capabilities = frozenset({"encode"})
    modalities = frozenset({"text"})
    parts = frozenset({"dense"})
    device = "cpu"
    backend = "numpy"

    def __init__(self, spec: Any) -> None:
        self.spec = spec

    def prepare(self, texts: Any, **asked: Any) -> Any:
        return lambda: self.encode(texts, **asked)

    def encode(self, texts: Any, **_: Any) -> Any:
        from flagbench.models.embeddings import Embeddings

        return Embeddings(dense=np.array([histogram(text) for text in texts], dtype=np.float32))


def histogram(text: str) -> Any:
    # No two are alike by chance: ties would be broken in ways of their own.
    return np.bincount(list(map(int, text.split())), minlength=VOCABULARY) ** 0.5


@pytest.fixture(scope="module")
def llama() -> Any:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=8_192,
        pad_token_id=PAD,
    )
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model


def reading(llama: Any, texts: list[str], *, knowledge: bool = True) -> ReaderTask:
    from dataclasses import replace

    from flagbench.models.loading.registry import published

    spec = replace(published()["flagbench/random"], similarity="cosine")
    adapter: Any = Histograms(spec)
    retriever = Retriever.of(EvaluatedModel(adapter), Silent())
    asked = [Asked(str(number), "", {"text": text}) for number, text in enumerate(texts)]
    reader: Any = Journalled(TinyReader(llama, Numbers()))
    return ReaderTask(row_of("LRLM"), ReaderData(asked, Texts([], [])), retriever, reader, knowledge, 0)


def authors(llama: Any, text: str) -> float:
    """The loss of a text as ``forward_with_chunk_retrieval`` has it: tensors padded on the left, labels of -100."""
    ids = torch.tensor([Numbers().encode(text)[-32_768:]])
    labels = ids.clone()
    labels[:, :-1_024] = -100
    chunks = math.ceil(ids.shape[1] / CHUNK)
    window = min(chunks, 16)
    padding = chunks * CHUNK - ids.shape[1]
    ids = torch.cat([torch.full((1, padding), PAD), ids], dim=1)
    labels = torch.cat([torch.full((1, padding), -100), labels], dim=1)[:, -window * CHUNK :]
    pieces = ids.view(-1, CHUNK)
    queries, keys = pieces[-9:-1], pieces[: -window - 1]
    vectors = [
        torch.nn.functional.normalize(
            torch.tensor(np.array([histogram(Numbers().decode(each.tolist())) for each in part])), dim=1
        )
        for part in (queries, keys)
    ]
    best = (vectors[0] @ vectors[1].T).topk(8, dim=1).indices.sort(dim=1).values
    total, count = 0.0, 0
    for number, found in enumerate(best):
        before = torch.cat([pieces[at : at + 2].flatten() for at in found.tolist()])
        given = torch.cat([before, pieces[-window:].flatten()])[None]
        wanted = torch.full_like(given, -100)
        start = given.shape[1] - 1_024 + number * CHUNK
        wanted[:, start : start + CHUNK] = labels[:, start - before.shape[0] : start - before.shape[0] + CHUNK]
        with torch.inference_mode():
            loss = llama(given, attention_mask=(given != PAD).long(), labels=wanted).loss
        total, count = total + float(loss) * CHUNK, count + CHUNK
    return total / count


def text_of(length: int, seed: int) -> str:
    return " ".join(map(str, np.random.default_rng(seed).integers(1, VOCABULARY, length)))


def test_perplexity_is_that_of_the_authors_tensors(llama: Any) -> None:
    texts = [text_of(4_096, 1), text_of(3_500, 2)]  # the second begins with a chunk that is padded there
    found = lrlm.score(reading(llama, texts))
    expected = [authors(llama, text) for text in texts]
    assert [-found.values["log_likelihood"][id_] for id_ in ("0", "1")] == pytest.approx(expected, abs=1e-5)
    assert found.metrics["perplexity"] == pytest.approx(math.exp(sum(expected) / 2), rel=1e-5)
    assert found.main == pytest.approx(-sum(expected) / 2, abs=1e-5)


def test_without_retrieval_the_window_alone_is_read(llama: Any) -> None:
    text = text_of(3_000, 3)
    found = lrlm.score(reading(llama, [text], knowledge=False))
    ids = torch.tensor([Numbers().encode(text)[-2_048:]])
    labels = ids.clone()
    labels[:, :-1_024] = -100
    with torch.inference_mode():
        loss = float(llama(ids, labels=labels).loss)
    assert found.metrics["perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)


def test_chunks_are_cut_from_the_end_and_each_key_has_one_behind_it() -> None:
    ids = list(range(1, 3_501))
    chunks = Chunks.of(Numbers(), " ".join(map(str, ids)))
    assert chunks is not None
    assert [len(each) for each in chunks.chunks] == [3_500 % CHUNK, *[CHUNK] * (3_500 // CHUNK)]
    assert chunks.window == 16
    assert len(chunks.keys) == len(chunks.chunks) - 17
    window = chunks.predicted(len(chunks.chunks) - 8, [5, 2])
    first = 3_500 % CHUNK
    begin = [first + CHUNK * (number - 1) for number in range(len(chunks.chunks) + 1)]
    expected = [*ids[begin[2] : begin[4]], *ids[begin[5] : begin[7]], *ids[3_500 - 2_048 : 3_500 - 1_024 + CHUNK]]
    assert list(window.ids) == expected
    assert window.targets == CHUNK


def test_texts_that_are_too_short_are_left_out_and_counted(llama: Any) -> None:
    found = lrlm.score(reading(llama, [text_of(1_023, 4), text_of(1_024, 5), text_of(2_400, 6)]))
    assert set(found.values["log_likelihood"]) == {"1", "2"}
    assert found.notes[1:] == (
        "1 of 3 texts have fewer than 1,024 tokens and are left out, as published",
        "2 of 2 texts have fewer than 8 chunks before their window",
    )
    with pytest.raises(BadData, match="no text of LRLM has 1,024 tokens"):
        lrlm.score(reading(llama, [text_of(100, 7)]))


def test_no_more_than_the_published_part_of_a_text_is_read(tmp_path: Path) -> None:
    many = Chunks.of(Numbers(), "7 " * 100_000)  # 160,000 characters are 80,000 tokens
    assert many is not None
    assert sum(map(len, many.chunks)) == 32_768
    assert json.dumps(int(many.chunks[0][0])) == "7"
