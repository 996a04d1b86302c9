"""What the store keeps of a model: it comes back as it was, and under no other settings than those it was made with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from flagbench import BadInput, ModelFault
from flagbench.models.contract import DENSE, Part
from flagbench.models.embeddings import Embeddings, MultiVectors
from flagbench.models.loading.overrides import override
from flagbench.models.loading.registry import published
from flagbench.runners.encoding import cache as kept_module
from flagbench.runners.encoding.cache import CachedEmbeddings, EmbeddingCache
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.encoding.wanted import Wanted
from flagbench.runners.progress import Silent
from flagbench.runners.store.folder import read_identity
from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.shards import Reader
from flagbench.runners.store.store import Store
from tests.saying import saying, with_settings
from tests.unit.fakes import ALL, Numbers, ThreeParts
from tests.unit.store_files import flip, records_of, shards_of

Opened = Callable[..., Store]
M3 = published()["BAAI/bge-m3"]
HYBRID, _ = override(M3, saying(retrieval="hybrid"))
VOCABULARY, WIDTH = 50, 3


def made(*numbers: int, seed: int = 0) -> Embeddings:
    """All parts of some texts, each with numbers of its own; every fifth has no weights and no token vectors."""
    dense, weights, vectors = [], [], []
    for number in numbers:
        generator = np.random.default_rng([seed, number])
        dense.append(generator.standard_normal(8))
        weights.append(generator.random(VOCABULARY) * (generator.random(VOCABULARY) < 0.2) * (number % 5 != 4))
        vectors.append(generator.standard_normal(((number + 1) % 5, WIDTH)).astype(np.float32))
    return Embeddings(
        dense=np.array(dense, dtype=np.float32).reshape(len(numbers), 8),
        sparse=scipy.sparse.csr_array(np.array(weights, dtype=np.float32).reshape(len(numbers), VOCABULARY)),
        multi_vector=MultiVectors.of(vectors, WIDTH),
    )


def only(embeddings: Embeddings, parts: Sequence[Part] | frozenset[Part]) -> Embeddings:
    return Embeddings(**{part: getattr(embeddings, part) for part in parts})


def keys(*numbers: int) -> NDArray[np.void]:
    return keys_of([f"text {number}" for number in numbers])


def assert_same(found: Embeddings, wanted: Embeddings) -> None:
    """To the last bit. A sparse matrix may be narrower."""
    assert (found.dense is None, found.sparse is None, found.multi_vector is None) == (
        wanted.dense is None,
        wanted.sparse is None,
        wanted.multi_vector is None,
    )
    if found.dense is not None:
        assert found.dense.dtype == np.float32
        np.testing.assert_array_equal(found.dense, wanted.dense)
    if found.sparse is not None:
        assert found.sparse.dtype == np.float32
        for row in range(len(wanted)):
            one, other = found.sparse[[row]], wanted.sparse[[row]]
            assert one.indices.tolist() == other.indices.tolist()
            assert one.data.tolist() == other.data.tolist()
    if found.multi_vector is not None:
        assert found.multi_vector.values.dtype == np.float32
        assert found.multi_vector.offsets.tolist() == wanted.multi_vector.offsets.tolist()
        np.testing.assert_array_equal(found.multi_vector.values, wanted.multi_vector.values)


def read(kept: CachedEmbeddings, numbers: Sequence[int], parts: Any) -> tuple[dict[int, Embeddings], list[int]]:
    """What is kept of some texts, and those that are missing."""
    found: dict[int, Embeddings] = {}
    missing = None
    for rows, embeddings in kept.read(keys(*numbers), Wanted(parts)):
        assert missing is None
        if embeddings is None:
            missing = [numbers[row] for row in rows]
            continue
        assert len(embeddings) == len(rows)
        for place, row in enumerate(rows):
            assert numbers[row] not in found
            found[numbers[row]] = embeddings.take([place])
    assert missing is not None
    return found, missing


def m3(
    store: Store, *, half: bool = False, role: Any = "passage", instruction: str = "", spec: Any = HYBRID
) -> CachedEmbeddings:
    return EmbeddingCache(store, half=half).of(spec, role, instruction)


# Round trips


@pytest.mark.parametrize(
    "parts",
    [ALL, {"dense"}, {"sparse"}, {"multi_vector"}, {"dense", "sparse"}],
    ids=lambda parts: "+".join(sorted(parts)),
)
@pytest.mark.parametrize("group", [1, 4, 8_192])
def test_what_was_put_comes_back(
    parts: frozenset[Part], group: int, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_GROUP", group)
    monkeypatch.setattr(kept_module, "_GROUP_MULTI_VECTOR", group)
    writing = m3(opened())
    for chunk in ([3, 0, 7], [4], [1, 2, 9, 5, 6, 8]):
        assert_same(writing.put(keys(*chunk), only(made(*chunk), parts)), only(made(*chunk), parts))
    order = [5, 9, 0, 2, 4, 7, 1, 8]
    for kept in (writing, m3(opened())):
        found, missing = read(kept, [*order, 100, 101], parts)
        assert missing == [100, 101]
        assert sorted(found) == sorted(order)
        for number, embeddings in found.items():
            assert_same(embeddings, only(made(number), parts))


def test_groups_come_in_the_order_of_the_files(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "_GROUP", 2)
    kept = m3(opened())
    for chunk in ([3, 0, 4], [1, 2]):
        kept.put(keys(*chunk), only(made(*chunk), DENSE))
    groups = [rows.tolist() for rows, found in kept.read(keys(0, 1, 2, 3, 4), Wanted(DENSE)) if found is not None]
    assert groups == [[3, 0], [4, 1], [2]]


def test_no_texts(opened: Opened) -> None:
    kept = m3(opened())
    assert read(kept, [], ALL) == ({}, [])
    assert_same(kept.put(keys(), made()), made())


def test_a_text_that_lacks_a_part_is_missing_where_that_is_wanted(opened: Opened) -> None:
    kept = m3(opened())
    kept.put(keys(0, 1, 2, 3), only(made(0, 1, 2, 3), DENSE))
    kept.put(keys(2, 3, 4, 5), only(made(2, 3, 4, 5), ["sparse"]))
    for parts, there in (
        (DENSE, [0, 1, 2, 3]),
        ({"sparse"}, [2, 3, 4, 5]),
        ({"dense", "sparse"}, [2, 3]),
        (ALL, []),
    ):
        found, missing = read(kept, [5, 4, 3, 2, 1, 0], parts)
        assert sorted(found) == there
        assert missing == [number for number in (5, 4, 3, 2, 1, 0) if number not in there]
        for number, embeddings in found.items():
            assert_same(embeddings, only(made(number), parts))


def test_a_part_taken_out_while_reading_brings_the_texts_that_lack_it(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_module, "_GROUP_MULTI_VECTOR", 2)
    kept = m3(opened())
    kept.put(keys(0, 1, 2, 3, 4, 5), only(made(0, 1, 2, 3, 4, 5), {"dense", "sparse"}))
    kept.put(keys(1, 2, 3, 6), only(made(1, 2, 3, 6), ["multi_vector"]))
    wanted = Wanted(ALL)
    groups: list[tuple[list[int], bool]] = []
    for rows, embeddings in kept.read(keys(*range(8)), wanted):
        if embeddings is None:
            assert rows.tolist() == [6, 7]
            break
        assert_same(only(embeddings, ["dense", "sparse"]), only(made(*rows), ["dense", "sparse"]))
        groups.append((rows.tolist(), embeddings.multi_vector is not None))
        if "multi_vector" in wanted.parts:
            wanted.drop("multi_vector")
    assert groups == [([1, 2], True), ([3], False), ([0, 4, 5], False)]


def test_a_part_that_a_text_has_stays_as_it_is(opened: Opened) -> None:
    """Else a run would give other numbers after a run with more parts than before it."""
    kept = m3(opened())
    first, later = made(0, 1, seed=1), made(1, 2, 0, seed=2)
    kept.put(keys(0, 1), only(first, DENSE))
    given = kept.put(keys(1, 2, 0), later)
    assert_same(only(given.take([0, 2]), DENSE), only(first.take([1, 0]), DENSE))
    assert_same(only(given, ["sparse", "multi_vector"]), only(later, ["sparse", "multi_vector"]))
    for again in (kept, m3(opened())):
        found, missing = read(again, [1, 2, 0], ALL)
        assert missing == []
        for place, number in enumerate([1, 2, 0]):
            assert_same(found[number], given.take([place]))
    assert sum(record.rows for path in shards_of(opened()) for record in records_of(path)) == 3 * 3


# Half precision


def rounded(embeddings: Embeddings) -> Embeddings:
    multi = embeddings.multi_vector
    return replace(
        embeddings,
        dense=embeddings.dense.astype(np.float16).astype(np.float32),
        multi_vector=MultiVectors(multi.values.astype(np.float16).astype(np.float32), multi.offsets),
    )


def test_half_precision_is_the_same_before_and_after(opened: Opened) -> None:
    chunk = made(*range(10))
    kept = m3(opened(), half=True)
    given = kept.put(keys(*range(10)), chunk)
    assert_same(given, rounded(chunk))
    assert not np.array_equal(given.dense, chunk.dense)
    assert_same(kept.rounded(chunk), given)
    for again in (kept, m3(opened(), half=True)):
        found, missing = read(again, range(10), ALL)
        assert missing == []
        for number, embeddings in found.items():
            assert_same(embeddings, given.take([number]))


def test_half_precision_takes_half_the_room(opened: Opened) -> None:
    sizes = []
    for half in (False, True):
        store = opened(opened().root / str(half))
        m3(store, half=half).put(keys(*range(100)), only(made(*range(100)), DENSE))
        (path,) = shards_of(store)
        (record,) = records_of(path)
        sizes.append(record.columns[1].nbytes)
    assert sizes == [100 * 8 * 4, 100 * 8 * 2]


@pytest.mark.parametrize("part", ["dense", "multi_vector"])
def test_what_half_precision_cannot_hold_is_a_model_fault(part: Part, opened: Opened) -> None:
    chunk = only(made(1, 2), [part])
    values = chunk.dense if chunk.dense is not None else chunk.multi_vector.values
    kept = m3(opened(), half=True)
    values[0, 0] = 65_504
    kept.put(keys(1, 2), chunk)
    values[0, 0] = 65_520
    for call in (kept.rounded, lambda chunk: kept.put(keys(3, 4), chunk)):
        with pytest.raises(ModelFault, match="--store-fp16") as caught:
            call(chunk)
        assert "\n" not in str(caught.value)
    assert read(kept, [3, 4], {part})[1] == [3, 4]


def test_scores_and_weights_are_never_rounded(opened: Opened) -> None:
    pairs = m3(opened(), half=True, role="pair")
    pairs.put(keys(1), only(made(1), DENSE))
    assert_same(read(pairs, [1], DENSE)[0][1], only(made(1), DENSE))


# Settings


def there(store: Store, **settings: Any) -> bool:
    return read(m3(store, **settings), [1], DENSE)[1] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"role": "passage"},
        {"role": "symmetric"},
        {"role": "pair"},
        {"instruction": "ask:"},
        {"instruction": ""},
        {"half": True},
        *(
            {"spec": replace(HYBRID, **changes)}
            for changes in (
                {"name": "BAAI/other-hybrid"},
                {"revision": "0" * 40},
                {"pooling": "mean"},
                {"normalize": False},
                {"dtype": "bf16"},
                {"query_max_length": 77},
                {"lowercase": True},
                {"attention": "eager"},
                {"dense_layers": ("2_Dense",)},
                {"adapters": ("lora@1",)},
            )
        ),
    ],
    ids=str,
)
def test_other_settings_have_other_vectors(settings: dict[str, Any], opened: Opened) -> None:
    asked = {"role": "query", "instruction": "ask: "}
    m3(opened(), **asked).put(keys(1), only(made(1), DENSE))
    assert there(opened(), **asked)
    assert not there(opened(), **asked | settings)


@pytest.mark.parametrize(
    "changes",
    [
        {"licence": "apache-2.0"},
        {"similarity": "dot"},
        {"prompts": (("query", "ask: "),)},
        {"candidates": 7},
        {"weights": (0.1, 0.2, 0.7)},
        {"passage_max_length": 77},  # of queries, no matter
        {"name": M3.name, "retrieval": "dense", "weights": (), "candidates": 0},
        {"name": f"{M3.name}-sparse", "retrieval": "sparse", "weights": (), "candidates": 0},
    ],
    ids=str,
)
def test_what_only_names_or_ranks_is_no_matter(changes: dict[str, Any], opened: Opened) -> None:
    m3(opened(), role="query").put(keys(1), only(made(1), DENSE))
    other = with_settings(HYBRID, **changes)
    assert other != HYBRID
    assert there(opened(), role="query", spec=other)


def test_the_retrievals_of_one_model_share_their_vectors() -> None:
    assert HYBRID.name == "BAAI/bge-m3-hybrid"
    for role in ("query", "passage", "symmetric"):
        assert HYBRID.vector_settings(role) == M3.vector_settings(role)
    assert M3.vector_settings("query") != published()["BAAI/bge-m3-unsupervised"].vector_settings("query")


def test_passages_have_their_own_length() -> None:
    other = replace(M3, query_max_length=77)
    assert other.vector_settings("passage") == M3.vector_settings("passage")
    assert other.vector_settings("query") != M3.vector_settings("query")
    assert other.vector_settings("symmetric") != M3.vector_settings("symmetric")


# Damage


@pytest.mark.parametrize("part", sorted(ALL))
def test_what_is_damaged_is_encoded_again(part: Part, opened: Opened, lines: list[str]) -> None:
    """Found as it is read: the keys are whole."""
    numbers = Numbers(
        dense=lambda text: [float(len(text)), float(ord(text[0]))],
        weights=lambda text: {ord(letter) % VOCABULARY: float(len(text)) for letter in text},
        vectors=lambda text: [[float(ord(letter)), 1.0] for letter in text],
        vocabulary=VOCABULARY,
        width=2,
    )
    texts = ["gamma", "beta", "pi", "x"]
    asked: dict[str, Any] = {"role": "passage", "parts": ALL}
    first = ThreeParts(HYBRID, numbers)
    whole = TextEncoder(first, Silent(), EmbeddingCache(opened())).encode_parts(texts, **asked)
    (path,) = [path for path in shards_of(opened()) if read_identity(path.parent)["part"] == part]
    (record,) = records_of(path)
    values = next(column for column in record.columns if column.name == "values")
    flip(path, record.offset + values.offset + 1)
    assert [record for record, found in Reader(path).records() if found is not None] == [record]

    again = ThreeParts(HYBRID, numbers)
    encoder = TextEncoder(again, Silent(), EmbeddingCache(opened()))
    assert_same(encoder.encode_parts(texts, **asked), whole)
    assert again.calls == first.calls
    assert encoder.counts.encoded == 4
    assert [str(path) in line and "damaged" in line for line in lines] == [True]
    last = ThreeParts(HYBRID, numbers)
    assert_same(TextEncoder(last, Silent(), EmbeddingCache(opened())).encode_parts(texts, **asked), whole)
    assert last.calls == []


@pytest.mark.parametrize("half", [False, True])
def test_the_identity_of_a_space_is_all_that_its_numbers_depend_on(opened: Opened, half: bool) -> None:
    """It is the name of the folder that earlier versions wrote to: no part of it may change."""
    store = opened()
    cached = EmbeddingCache(store, half=half).of(HYBRID, "query", "ask: ")
    cached.put(keys_of(["one", "two"]), made(1, 2))
    EmbeddingCache(store, half=half).of(HYBRID, "pair", "").put(keys_of(["a"]), Embeddings(dense=made(1).dense))
    store.close()
    dtype = "float16" if half else "float32"
    expected: list[dict[str, Any]] = [
        {
            "model": HYBRID.vector_settings("query"),
            "role": "query",
            "instruction": "ask: ",
            "dtype": dtype,
            "part": part,
        }
        for part in ("dense", "sparse", "multi_vector")
    ]
    # Scores of pairs are kept as they are.
    pair = {"model": HYBRID.as_dict(), "role": "pair", "instruction": "", "dtype": "float32", "part": "dense"}
    found = [read_identity(path) for path in store.root.iterdir() if path.is_dir() and not path.name.startswith(".")]

    def ordered(identities: list[dict[str, Any]]) -> list[str]:
        return sorted(json.dumps(each, sort_keys=True) for each in identities)

    assert ordered(found) == ordered([*expected, pair])


@pytest.mark.parametrize("group", [1, 8_192])
def test_records_of_another_length_are_one_line(opened: Opened, monkeypatch: pytest.MonkeyPatch, group: int) -> None:
    """Whoever put them there; each is sound by itself."""
    monkeypatch.setattr(kept_module, "_GROUP", group)
    for number, width in ((0, 8), (1, 12)):
        store = opened()
        m3(store).put(keys(number), Embeddings(dense=np.ones((1, width), dtype=np.float32)))
        store.close()
    line = (
        r" is damaged: it has vectors of (8 and 12|12 and 8) numbers, and those of one model are all of one length; rem"
    )
    with pytest.raises(BadInput, match=line):
        read(m3(opened()), [0, 1], DENSE)
