"""What every adapter must do, whatever is behind it (models/contract.py)."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from flagbench import ModelFault
from models.detect import Overrides
from models.resolve import resolve_model
from runners.encode import TextEncoder
from runners.progress import Silent
from tests.checkpoints import add_sentence_transformers, write_bert, write_byte_qwen2

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = [
    "a",
    "",
    "   \t\n ",
    "two words",
    "The quick brown fox jumps over the lazy dog. " * 6,
    "我们在这个国家，出来说话。",
    "中文 with English, русский, العربية, 日本語 and हिन्दी",
    "😀👩‍👩‍👧‍👦🇨🇳",
    "tabs\tand\nnew\r\nlines",
    "\u200b\ufeff\u00a0",
    "a的" * 4_500,  # more than 8,192 tokens for each tokenizer here
]
DIMENSIONS = {"fake": 384, "bert-mean": 32, "bert-cls": 32, "qwen2-lasttoken": 32}
ENCODERS = list(DIMENSIONS)
OPTIONS = {"trust_remote_code": False, "allow_pickle": False}


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What a user would type for each encoder."""
    folder = tmp_path_factory.mktemp("contract")
    plain = write_bert(folder / "bert-cls")
    return {
        "fake": "flagbench/random",
        "bert-mean": str(add_sentence_transformers(shutil.copytree(plain, folder / "bert-mean"), normalize=False)),
        "bert-cls": str(plain),
        "qwen2-lasttoken": str(write_byte_qwen2(folder / "qwen2")),
    }


def load(name, batch_size=None):
    model = resolve_model(name, None, Overrides(), **OPTIONS)
    return model.load(device="cpu", batch_size=batch_size, **OPTIONS)


@pytest.fixture(scope="module", params=ENCODERS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def encoder(kind, names):
    return load(names[kind])


@pytest.fixture(scope="module")
def vectors(encoder):
    """Each text on its own, so that no neighbour can have a part in it."""
    return np.concatenate([encoder.encode([text], role="query").dense for text in TEXTS])


def distance(one, other):
    return float(np.abs(one - other).max())


def test_it_says_what_it_is(encoder, kind):
    assert encoder.capabilities == {"encode"}
    assert encoder.device == "cpu"
    assert encoder.spec.ability == "encode"
    assert encoder.spec.pooling == {"bert-cls": "cls", "qwen2-lasttoken": "lasttoken"}.get(kind, "mean")


def test_finite_float32_of_one_row_a_text(encoder, kind):
    dense = encoder.encode(TEXTS, role="query").dense

    assert dense.dtype == np.float32
    assert dense.shape == (len(TEXTS), DIMENSIONS[kind])
    assert np.isfinite(dense).all()


def test_a_text_does_not_depend_on_its_neighbours(encoder, vectors):
    assert distance(encoder.encode(TEXTS, role="query").dense, vectors) <= 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_order_is_kept_under_shuffling(encoder, vectors, seed):
    order = np.random.default_rng(seed).permutation(len(TEXTS))

    dense = encoder.encode([TEXTS[row] for row in order], role="query").dense

    assert distance(dense, vectors[order]) <= 1e-5


def test_texts_are_told_apart(vectors):
    """Were all vectors alike, no comparison of this file could fail."""
    told = [row for row, text in enumerate(TEXTS) if text.strip() and text.isprintable() and text.isascii()]

    for row in told:
        for other in told:
            assert row == other or distance(vectors[row], vectors[other]) > 1e-2


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_batch_sizes_agree(names, kind, vectors, batch_size):
    dense = load(names[kind], batch_size).encode(TEXTS, role="query").dense

    assert distance(dense, vectors) <= 1e-5


@pytest.mark.parametrize("role", ["query", "passage", "symmetric"])
def test_no_texts(encoder, role):
    dense = encoder.encode([], role=role).dense

    assert len(dense) == 0
    assert dense.ndim == 2
    assert dense.dtype == np.float32


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_one_text(encoder, kind, text):
    dense = encoder.encode([text], role="passage").dense

    assert dense.shape == (1, DIMENSIONS[kind])
    assert np.isfinite(dense).all()


def test_any_sequence_of_texts_will_do(encoder, vectors):
    assert distance(encoder.encode(tuple(TEXTS[:4]), role="query").dense, vectors[:4]) <= 1e-5


def test_the_texts_are_left_as_they_were(encoder):
    texts = list(TEXTS)

    encoder.encode(texts, role="query", instruction="ask: ")

    assert texts == TEXTS


def test_equal_texts_agree(encoder):
    dense = encoder.encode(["two words", "a", "two words"], role="query").dense

    assert distance(dense[0], dense[2]) <= 1e-5


def test_the_same_call_twice_gives_the_same_bits(encoder):
    first, second = (encoder.encode(TEXTS, role="query").dense for _ in range(2))

    assert np.array_equal(first, second)


def test_the_instruction_is_a_prefix(encoder):
    texts = ["a", "two words", "我们在"]
    instructed = encoder.encode(texts, role="query", instruction="ask: ").dense

    assert distance(instructed, encoder.encode([f"ask: {text}" for text in texts], role="query").dense) <= 1e-5
    assert (
        min(distance(*rows) for rows in zip(instructed, encoder.encode(texts, role="query").dense, strict=True)) > 1e-3
    )


def test_the_instruction_of_one_call_does_not_leak_into_the_next(encoder, vectors):
    encoder.encode(TEXTS, role="query", instruction="ask: ")

    assert distance(encoder.encode(TEXTS, role="query").dense, vectors) <= 1e-5


def test_normalised_where_the_spec_says_so(encoder, vectors):
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)

    assert bool(np.abs(norms - 1).max() <= 1e-5) is encoder.spec.normalize


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", [kind for kind in ENCODERS if kind != "fake"])
def test_broken_weights_are_noticed(names, kind, value, tmp_path):
    folder = shutil.copytree(names[kind], tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    embeddings = next(name for name in weights if name.endswith(("word_embeddings.weight", "embed_tokens.weight")))
    weights[embeddings] = torch.full_like(weights[embeddings], value)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = TextEncoder(load(str(folder)), Silent())

    with pytest.raises(ModelFault, match="NaN or infinite values for 3 of 3 texts"):
        encoder.encode(["a", "two words", "我们在"], role="query")


@pytest.fixture(scope="module")
def scorer():
    return load("flagbench/random-reranker")


PAIRS = [("q", "one passage"), ("q", "another"), ("other q", "one passage"), ("", ""), ("的", "😀"), ("q", "x" * 9_000)]


def test_a_scorer_says_what_it_is(scorer):
    assert scorer.capabilities == {"score"}
    assert scorer.spec.ability == "score"


def test_scores_are_finite_float32_one_a_pair(scorer):
    scores = scorer.score(PAIRS)

    assert scores.dtype == np.float32
    assert scores.shape == (len(PAIRS),)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) == len(PAIRS)


def test_scores_are_the_same_from_another_instance(scorer):
    assert np.array_equal(scorer.score(PAIRS), load("flagbench/random-reranker").score(PAIRS))


def test_scores_keep_the_order_and_know_no_neighbours(scorer):
    order = np.random.default_rng(0).permutation(len(PAIRS))
    scores = scorer.score(PAIRS)

    assert np.array_equal(scorer.score([PAIRS[row] for row in order]), scores[order])
    assert scorer.score(PAIRS[2:3]).tolist() == [scores[2]]


def test_scores_tell_the_query_from_the_passage(scorer):
    assert len(set(scorer.score([("a", "b"), ("b", "a"), ("ab", ""), ("", "ab")]).tolist())) == 4


def test_no_pairs(scorer):
    scores = scorer.score([])

    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_a_scorers_instruction_does_not_leak(scorer):
    before = scorer.score(PAIRS)
    instructed = scorer.score(PAIRS, instruction="ask: ")

    assert not np.isin(instructed, before).any()
    assert np.array_equal(scorer.score(PAIRS), before)
