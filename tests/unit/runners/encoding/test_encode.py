from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from flagbench import ModelFault
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.contract import DENSE
from flagbench.models.embeddings import Embeddings
from flagbench.models.loading.registry import published
from flagbench.runners.encoding import encode
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from tests.unit.fakes import Encoding

SPEC = published()["flagbench/random"]


class Recording(Encoding):
    """A fake encoder that keeps what it was asked, and spoils the vectors of some texts."""

    def __init__(self, spoilt=None):
        self.spec = SPEC
        self.calls = []
        self._spoilt = spoilt or {}

    def encode(self, texts, *, role, instruction="", parts=DENSE):
        assert parts == DENSE
        self.calls.append((list(texts), role, instruction))
        dense = truth(texts, role=role, instruction=instruction).copy()
        for row, text in enumerate(texts):
            if text in self._spoilt:
                dense[row, 5] = self._spoilt[text]
        return Embeddings(dense)

    @property
    def seen(self):
        return [text for texts, _, _ in self.calls for text in texts]


class WrongCount(Recording):
    def __init__(self, off):
        super().__init__()
        self._off = off

    def encode(self, texts, *, role, instruction="", parts=DENSE):
        return Embeddings(np.ones((len(texts) + self._off, 4), dtype=np.float32))


class Counting(Silent):
    def __init__(self):
        self.stages = []
        self.advanced = []

    def stage(self, name, total, work=None):
        self.stages.append((name, total))

    def advance(self, items, work=None):
        self.advanced.append(items)


def truth(texts, role="query", instruction=""):
    """Each text on its own: no order, no neighbours."""
    fake = FakeEncoder(SPEC)
    return np.array([fake.encode([text], role=role, instruction=instruction).dense[0] for text in texts])


def texts_of_many_lengths(count):
    return [f"{number} " + "x" * (number * 7919 % 101) for number in range(count)]


def test_vectors_are_in_the_order_of_the_texts():
    texts = ["bb", "a", "dddd", "ccc", "", "好"]

    vectors = TextEncoder(FakeEncoder(SPEC), Silent()).encode(texts, role="query")

    assert vectors.dtype == np.float32
    assert np.array_equal(vectors, truth(texts))


def test_equal_texts_go_through_the_model_once_and_get_the_same_vector():
    adapter = Recording()
    encoder = TextEncoder(adapter, Silent())
    texts = ["a", "bb", "a", "ccc", "bb", "a"]

    vectors = encoder.encode(texts, role="passage")

    assert sorted(adapter.seen) == ["a", "bb", "ccc"]
    assert np.array_equal(vectors, truth(texts))
    assert np.array_equal(vectors[0], vectors[2])
    assert (encoder.counts.texts, encoder.counts.distinct) == (6, 3)


def test_texts_that_differ_in_space_or_case_are_not_equal():
    adapter = Recording()
    texts = ["a", "a ", " a", "A", "ａ"]

    vectors = TextEncoder(adapter, Silent()).encode(texts, role="query")

    assert sorted(adapter.seen) == sorted(texts)
    assert len(np.unique(vectors, axis=0)) == 5


@pytest.mark.parametrize("count", [1, 1_023, 1_024, 1_025, 2_500])
def test_many_texts_go_in_chunks(count, monkeypatch):
    monkeypatch.setattr(encode, "_CHUNK_CPU", (1_024, 10**9))
    adapter, progress = Recording(), Counting()
    texts = texts_of_many_lengths(count)

    vectors = TextEncoder(adapter, progress).encode(texts, role="query")

    assert np.array_equal(vectors, truth(texts))
    assert max(len(call) for call, _, _ in adapter.calls) <= 1_024
    assert len(adapter.calls) == -(-count // 1_024)
    assert sorted(adapter.seen) == sorted(texts)
    assert [total for _, total in progress.stages] == [count]
    assert sum(progress.advanced) == count


def test_repeated_texts_in_several_chunks():
    texts = texts_of_many_lengths(1_500) * 2
    adapter = Recording()

    vectors = TextEncoder(adapter, Silent()).encode(texts, role="query")

    assert np.array_equal(vectors, truth(texts))
    assert len(adapter.seen) == 1_500


def test_long_texts_go_first():
    """Out of memory, if at all, comes at the start."""
    adapter = Recording()

    TextEncoder(adapter, Silent()).encode(texts_of_many_lengths(1_100), role="query")

    lengths = [len(text) for text in adapter.seen]
    assert lengths == sorted(lengths, reverse=True)


def test_role_and_instruction_reach_the_model():
    adapter = Recording()
    encoder = TextEncoder(adapter, Silent())

    with_instruction = encoder.encode(["a"], role="query", instruction="ask: ")
    without = encoder.encode(["a"], role="passage")

    assert adapter.calls == [(["a"], "query", "ask: "), (["a"], "passage", "")]
    assert np.array_equal(with_instruction, truth(["ask: a"]))
    assert np.array_equal(without, truth(["a"]))


def test_counts_add_up_over_calls():
    encoder = TextEncoder(FakeEncoder(SPEC), Silent())
    assert encoder.dimension is None

    encoder.encode(["a", "a"], role="query")
    encoder.encode(["a", "b"], role="passage")

    assert (encoder.counts.texts, encoder.counts.distinct) == (4, 3)
    assert encoder.counts.seconds > 0
    assert encoder.dimension == 384


def test_no_texts():
    adapter = Recording()
    encoder = TextEncoder(adapter, Silent())

    vectors = encoder.encode([], role="query")

    assert len(vectors) == 0
    assert vectors.ndim == 2
    assert vectors.dtype == np.float32
    assert adapter.calls == []
    assert (encoder.counts.texts, encoder.counts.distinct) == (0, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_a_model_fault(value):
    texts = ["fine", "the first broken one", "well", "broken too"]
    adapter = Recording({"the first broken one": value, "broken too": value})

    with pytest.raises(ModelFault) as caught:
        TextEncoder(adapter, Silent()).encode(texts, role="query")

    message = str(caught.value)
    assert "flagbench/random" in message
    assert "2 of 4 texts" in message
    assert "'the first broken one'" in message
    assert "\n" not in message


def test_one_broken_text_in_a_later_chunk_is_found():
    texts = texts_of_many_lengths(1_500)
    shortest = min(texts, key=len)

    with pytest.raises(ModelFault, match=f"'{shortest}'"):
        TextEncoder(Recording({shortest: np.nan}), Silent()).encode(texts, role="query")


def test_a_long_broken_text_is_shown_in_part():
    text = "x" * 5_000

    with pytest.raises(ModelFault) as caught:
        TextEncoder(Recording({text: np.nan}), Silent()).encode([text], role="query")

    assert "x" * 20 in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_data_type_is_named_as_a_suspect():
    adapter = Recording({"a": np.inf})
    adapter.spec = replace(SPEC, dtype="fp16")

    with pytest.raises(ModelFault, match=r"fp16 overflows.*--dtype fp32"):
        TextEncoder(adapter, Silent()).encode(["a"], role="query")


@pytest.mark.parametrize("off", [-1, 1])
def test_a_wrong_number_of_vectors_is_a_model_fault(off):
    with pytest.raises(ModelFault, match=f"gave {3 + off} vectors for 3 texts"):
        TextEncoder(WrongCount(off), Silent()).encode(["a", "b", "c"], role="query")


class Weights(Recording):
    """Gives each text's length as a weight; ``spoilt`` values are weights."""

    parts = frozenset({"dense", "sparse"})

    def encode(self, texts, *, role, instruction="", parts=DENSE):
        weights = np.array([[self._spoilt.get(text, len(text)), 1] for text in texts], dtype=np.float32)
        return Embeddings(
            dense=truth(texts) if "dense" in parts else None,
            sparse=scipy.sparse.csr_array(weights) if "sparse" in parts else None,
        )


def test_a_weight_that_is_not_finite_is_a_model_fault_where_weights_are_asked_for():
    encoder = TextEncoder(Weights({"broken": np.nan}), Silent())

    with pytest.raises(ModelFault, match=r"1 of 3 texts \(first: 'broken'\)"):
        encoder.encode_parts(["fine", "broken", ""], role="query", parts=Weights.parts)
    assert np.array_equal(encoder.encode(["broken"], role="query"), truth(["broken"]))


def test_the_columns_of_pairs_are_stages_of_their_own():
    progress = Counting()
    encoder = TextEncoder(FakeEncoder(SPEC), progress)
    for texts in (["a", "b"], ["c"]):
        encoder.encode(texts, role="symmetric")
    encoder.encode(["d"], role="query")
    assert progress.stages == [("encoding texts", 2), ("encoding texts, part 2", 1), ("encoding query texts", 1)]
