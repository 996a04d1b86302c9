"""Texts that search images, and images that search: the shared search over a model that reads drawn colours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput, ModelFault
from flagbench.models.contract import DENSE, Part
from flagbench.models.embedders.settings import M3Settings
from flagbench.models.embeddings import Embeddings, MultiVectors
from flagbench.models.inputs import Image, Input, Item, plain
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.encoding.cache import EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder, score_pairs
from flagbench.runners.progress import Silent
from flagbench.runners.search import ranking
from flagbench.runners.search.hits import Run, in_order
from flagbench.runners.search.ranking import Texts
from flagbench.runners.search.retriever import Retriever
from flagbench.runners.store.store import Store
from flagbench.runners.workers.processes import pool_on
from tests.contract.scripted_images import ENCODER, ColourEncoder, ColourScorer, load_encoder
from tests.pictures import drawn, image

TASK = ("Colours", "Retrieval")
QUERIES = Texts(
    ["red", "blue", "both", "picture", "words"],
    ["a red square", "blue", "red beside blue", Item("", (image("lime"),)), Item("something black")],
)
BEST = {
    "red": {"p-red", "p-renamed"},
    "blue": {"p-blue"},
    "both": {"p-both"},
    "picture": {"p-lime"},
    "words": {"p-text"},
}


@pytest.fixture
def passages(tmp_path: Path) -> Texts:
    """Nine passages of seven contents; p-renamed is the picture of p-red in a file of its own."""
    renamed = tmp_path / "another name.png"
    renamed.write_bytes(drawn("red"))
    contents: dict[str, Input] = {
        "p-red": Item("", (image("red"),)),
        "p-renamed": Item("", (Image(renamed),)),
        "p-blue": Item("", (image("blue"),)),
        "p-both": Item("", (image("red", "blue"),)),
        "p-lime": Item("it is lime", (image("lime"),)),
        "p-text": "all black",
        "p-item": Item("all black"),
        "p-white": Item("", (image("white", size=4),)),
        "p-yellow": Item("", (image("yellow"),)),
    }
    return Texts(list(contents), list(contents.values()))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[EmbeddingCache]:
    store = Store(tmp_path / "store", cap_bytes=None, warn=pytest.fail)
    yield EmbeddingCache(store)
    store.close()


def search(
    adapter: Any, passages: Texts, cache: EmbeddingCache | None = None, **asked: Any
) -> tuple[Run, dict[str, int]]:
    retriever = Retriever.of(EvaluatedModel(adapter, cache=cache), Silent())
    run = retriever.retrieve(TASK, QUERIES, passages, **{"top_k": 9, **asked})
    return run, retriever.counts.as_dict()


def best(run: Run) -> dict[str, set[str]]:
    """The passages of the highest score of each query, but those of an equal content."""
    found = {}
    for query, hits in run.items():
        highest = max(hits.values())
        found[query] = {passage for passage, score in hits.items() if score == highest} - {"p-item"}
    return found


def test_texts_find_images_and_images_what_looks_like_them(passages: Texts) -> None:
    adapter = ColourEncoder()
    run, counts = search(adapter, passages)
    assert best(run) == BEST
    assert {len(hits) for hits in run.values()} == {9}
    assert counts == {"asked": 14, "distinct": 12, "encoded": 12}
    # Equal contents are encoded once, and an item without images comes as its text.
    assert len(adapter.encoded) == len(set(adapter.encoded)) == 12
    assert "all black" in adapter.encoded
    assert all(isinstance(each, str) or each.images for each in adapter.encoded)
    assert run["red"]["p-red"] == run["red"]["p-renamed"]


def test_a_warm_store_encodes_nothing_and_changes_no_bit(passages: Texts, cache: EmbeddingCache) -> None:
    alone, _ = search(ColourEncoder(), passages)
    cold, counts = search(ColourEncoder(), passages, cache)
    assert counts["encoded"] == 12
    assert cold == alone
    again = ColourEncoder()
    warm, counts = search(again, passages, cache)
    assert counts == {"asked": 14, "distinct": 12, "encoded": 0}
    assert again.encoded == []
    assert warm == cold


def test_a_new_image_alone_is_encoded(passages: Texts, cache: EmbeddingCache) -> None:
    search(ColourEncoder(), passages, cache)
    new = Item("it is lime", (image("lime", size=9),))
    more = Texts([*passages.ids, "p-new"], [*passages.texts, new])
    again = ColourEncoder()
    search(again, more, cache)
    assert again.encoded == [new]


def test_worker_processes_give_the_same(passages: Texts, cache: EmbeddingCache) -> None:
    alone, _ = search(ColourEncoder(), passages)
    pool = pool_on(["cpu", "cpu"], ENCODER, load_encoder)
    try:
        assert pool.modalities == {"text", "image"}
        cold, counts = search(pool, passages, cache)
        assert counts["encoded"] == 12
        assert cold == alone
        warm, counts = search(pool, passages, cache)
        assert counts["encoded"] == 0
        assert warm == alone
    finally:
        pool.close()


def test_candidates_alone_are_encoded(passages: Texts) -> None:
    adapter = ColourEncoder()
    candidates = {"red": ["p-blue", "p-renamed"], "both": ["p-red", "p-both"]}
    run, _ = search(adapter, passages, candidates=candidates)
    assert {query: in_order(hits) for query, hits in run.items() if hits} == {
        "red": ["p-renamed", "p-blue"],
        "both": ["p-both", "p-red"],
    }
    assert len(adapter.encoded) == len(QUERIES.ids) + 3  # p-red and p-renamed are one


@pytest.mark.parametrize("kept", [False, True])
def test_a_reranker_sees_images_each_pair_once(passages: Texts, cache: EmbeddingCache, kept: bool) -> None:
    def reranked(scorer: ColourScorer) -> Run:
        evaluated = EvaluatedModel(ColourEncoder(), scorer, 9, cache if kept else None)
        retriever = Retriever.of(evaluated, Silent())
        run = retriever.retrieve(TASK, QUERIES, passages, top_k=9)
        return retriever.rerank(TASK, run, QUERIES, passages, below="kept")

    scorer, again = ColourScorer(), ColourScorer()
    run = reranked(scorer)
    assert best(run) == BEST
    assert len(scorer.scored) == len(set(scorer.scored)) == 5 * 7
    assert reranked(again) == run
    assert len(again.scored) == (0 if kept else 35)


def test_pairs_of_images_are_kept_apart(cache: EmbeddingCache) -> None:
    red, blue = Item("", (image("red"),)), Item("", (image("blue"),))
    pairs = [(red, blue), (blue, red), (red, red), ("red", red), (Item("red"), red), (red, "red")]
    scores = [score_pairs(ColourScorer(), pairs, instruction="", progress=Silent(), cache=cache) for _ in range(2)]
    plainest = [tuple(map(plain, pair)) for pair in pairs]
    assert np.array_equal(scores[0], ColourScorer().score(plainest))
    assert np.array_equal(*scores)


def test_images_cost_so_much_that_a_batch_of_them_is_small() -> None:
    class Batches(ColourEncoder):
        sizes: list[int]

        def encode(self, texts: Any, **asked: Any) -> Embeddings:
            self.sizes.append(len(texts))
            return super().encode(texts, **asked)

    items = [Item(str(row), (image("red"),)) for row in range(80)]
    adapter = Batches()
    adapter.sizes = []
    TextEncoder(adapter, Silent()).encode(items, role="passage")
    assert adapter.sizes == [63, 17]  # 65,536 over a text of two characters and an image
    adapter.sizes = []
    TextEncoder(adapter, Silent()).encode([str(row) for row in range(40)], role="passage")
    assert adapter.sizes == [40]


def test_images_of_a_pair_cost_as_much() -> None:
    class Batches(ColourScorer):
        sizes: list[int]

        def score(self, pairs: Any, **asked: Any) -> Any:
            self.sizes.append(len(pairs))
            return super().score(pairs, **asked)

    scorer = Batches()
    scorer.sizes = []
    pairs = [(str(row), Item("", (image("red"),))) for row in range(10, 90)]
    score_pairs(scorer, pairs, instruction="", progress=Silent())
    assert scorer.sizes == [63, 17]


def test_an_item_whose_vector_is_no_number_is_named() -> None:
    class Broken(ColourEncoder):
        def encode(self, texts: Any, **asked: Any) -> Embeddings:
            return Embeddings(dense=np.full((len(texts), 2), np.nan, dtype=np.float32))

    item = Item("a square", (Image(drawn("red")),))
    with pytest.raises(ModelFault, match=r"\(first: 'a square \[image [0-9a-f]{8}\]'\)"):
        TextEncoder(Broken(), Silent()).encode([item], role="query")


def test_multi_vectors_of_equal_images_are_made_once(passages: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all are kept, those of candidates are made a second time, by content."""

    class Late(ColourEncoder):
        parts = frozenset[Part]({"dense", "multi_vector"})
        spec = replace(ENCODER, own=M3Settings(retrieval="colbert", candidates=9))

        def encode(self, texts: Any, *, parts: frozenset[Part] = DENSE, **asked: Any) -> Embeddings:
            dense = super().encode(texts, **asked).dense
            assert dense is not None
            vectors = MultiVectors.of([row[None] for row in dense], dense.shape[1])
            return Embeddings(
                dense=dense if "dense" in parts else None, multi_vector=vectors if "multi_vector" in parts else None
            )

    candidates = {query: list(passages.ids) for query in QUERIES.ids}
    kept, _ = search(Late(), passages, candidates=candidates)
    monkeypatch.setattr(ranking, "_KEPT_BYTES", 0)
    adapter = Late()
    anew, _ = search(adapter, passages, candidates=candidates)
    assert best(anew) == best(kept) == BEST
    assert anew == kept
    assert len(adapter.encoded) == 7 + 5 + 7
    assert search(Late(), passages)[0].keys() == kept.keys()


def test_a_model_of_texts_says_that_it_takes_no_images(passages: Texts) -> None:
    """What a plan refuses by what a task says of itself is refused by what it has as well."""
    found = resolve_model("bm25", None, Overrides(), on_cpu=lambda: True, trust_remote_code=False, allow_pickle=False)
    adapter = found.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    with pytest.raises(BadInput, match=r"^flagbench/\w+ takes text, and '.*\[image .*' has images: choose a "):
        search(adapter, passages)
