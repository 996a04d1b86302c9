"""What every reranker must do, whatever is behind it (models/contract.py)."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flagbench import ModelFault
from flagbench.models.adapters import modalities
from flagbench.models.contract import LayeredScorer
from flagbench.models.inputs import Item
from flagbench.models.loading.registry import registry
from flagbench.runners.encoding.encode import score_pairs
from flagbench.runners.progress import Silent
from tests import filled
from tests.contract.adapters import (
    HALVES,
    LEAVES,
    SCORERS,
    TORCH_DTYPES,
    built,
    loaded,
    resolved,
    weights_of,
    with_all_weights,
    with_calm_weights,
)
from tests.contract.scripted_images import BOTH
from tests.pictures import image
from tests.saying import also_saying

pytestmark = pytest.mark.usefixtures("one_thread")

PAIRS = [
    ("q", "one passage"),
    ("q", "another"),
    ("what is a fox", "one passage"),
    ("", ""),
    ("的", "😀👩‍👩‍👧‍👦🇨🇳"),
    ("", "a passage without a query"),
    ("a query without a passage", ""),
    ("中文 with English, русский, العربية", "日本語 and हिन्दी, then 20 of them"),
    ("   \t\n ", "\u200b\ufeff\u00a0"),
    ("two words", "The quick brown fox jumps over the lazy dog. " * 4),
    ("long " * 40, "short"),
    ("long " * 40, "as long " * 40),
    ("q", "a的" * 4_500),  # more than 8,192 tokens for each tokenizer here
]
FEW = PAIRS[:3]
WITH_FILES = [name for name, kind in SCORERS.items() if not isinstance(kind.source, str) and not kind.workers]
OF_IMAGES = ["colours", "colours in workers"]
HERE = [name for name, kind in SCORERS.items() if not kind.workers]  # an instance of each is quickly made
LAYERED = ["minicpm", "cost-wise-gemma", "matroyshka"]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What a user would type for each reranker."""
    return built(SCORERS, tmp_path_factory.mktemp("scorers"))


@pytest.fixture(scope="module", params=list(SCORERS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def scorer(kind, names):
    return loaded(names[kind], SCORERS[kind])


@pytest.fixture(scope="module")
def truth(scorer):
    """Each pair on its own, so that no neighbour can have a part in its score."""
    return np.concatenate([scorer.score([pair]) for pair in PAIRS])


def apart(scores, wanted):
    """The largest difference, relative to scores above 1."""
    wanted = np.asarray(wanted, dtype=np.float64)
    assert scores.shape == wanted.shape
    return float((np.abs(scores - wanted) / np.maximum(1, np.abs(wanted))).max(initial=0))


def test_every_adapter_of_the_registry_is_here():
    """A new family of rerankers fails here until it is among the kinds."""
    wanted = {name for name, row in registry().families.items() if row["ability"] == "score"}

    assert {kind.family for kind in SCORERS.values()} == wanted | {"served"}


def test_it_says_what_it_is(scorer, kind):
    assert scorer.capabilities == {"score"}
    assert scorer.device == ("server" if kind.startswith("served") else "cpu")
    assert scorer.spec.ability == "score"
    assert scorer.spec.family == SCORERS[kind].family
    assert scorer.spec.dtype == "fp32"
    assert scorer.modalities == (BOTH if kind in OF_IMAGES else modalities(scorer.spec.adapter))
    assert SCORERS[kind].workers or isinstance(scorer, LayeredScorer) is (kind in LAYERED)
    compressed = kind in {"cost-wise-gemma", "matroyshka"}
    own = scorer.spec.own
    if compressed:
        assert (own.compress_ratio, own.compress_layers) == (2, (3,))
    else:
        assert (getattr(own, "compress_ratio", 1), getattr(own, "compress_layers", ())) == (1, ())


def test_finite_float32_of_one_a_pair(scorer):
    scores = scorer.score(PAIRS)

    assert scores.dtype == np.float32
    assert scores.shape == (len(PAIRS),)
    assert np.isfinite(scores).all()


def test_pairs_are_told_apart(truth):
    """Were all scores alike, no comparison of this file could fail."""
    told = truth[[any(map(str.isalnum, query + passage)) for query, passage in PAIRS]]

    assert len(told) > 8
    assert np.abs(told[:, None] - told[None])[~np.eye(len(told), dtype=bool)].min() > 1e-4


def test_a_pair_does_not_depend_on_its_neighbours(scorer, truth):
    assert apart(scorer.score(PAIRS), truth) <= 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_order_is_kept_under_shuffling(scorer, truth, seed):
    order = np.random.default_rng(seed).permutation(len(PAIRS))

    assert apart(scorer.score([PAIRS[row] for row in order]), truth[order]) <= 1e-5


@pytest.mark.parametrize("kind", HERE, indirect=True, scope="module")
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_batch_sizes_agree(names, kind, truth, batch_size):
    assert apart(loaded(names[kind], SCORERS[kind], batch_size).score(PAIRS), truth) <= 1e-5


def test_no_pairs(scorer):
    scores = scorer.score([])

    assert scores.shape == (0,)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("pair", PAIRS, ids=range(len(PAIRS)))
def test_one_pair(scorer, pair):
    scores = scorer.score([pair])

    assert scores.shape == (1,)
    assert np.isfinite(scores).all()


def test_any_sequence_of_pairs_will_do(scorer, truth):
    assert apart(scorer.score(tuple(PAIRS[:4])), truth[:4]) <= 1e-5


def test_equal_pairs_agree(scorer, truth):
    scores = scorer.score([PAIRS[2], PAIRS[0], PAIRS[2]])

    assert apart(scores, truth[[2, 0, 2]]) <= 1e-5


def test_the_query_is_told_from_the_passage(scorer):
    scores = scorer.score([("a", "b"), ("b", "a"), ("ab", ""), ("", "ab")])

    assert len(set(scores.tolist())) == 4


def test_the_same_call_twice_gives_the_same_bits(scorer):
    assert np.array_equal(scorer.score(PAIRS), scorer.score(PAIRS))


@pytest.mark.parametrize("kind", HERE, indirect=True, scope="module")
def test_another_instance_agrees(scorer, names, kind, truth):
    assert apart(loaded(names[kind], SCORERS[kind]).score(FEW), truth[:3]) <= 1e-5


def test_the_instruction_is_a_prefix_of_the_query(scorer, truth):
    instructed = scorer.score(FEW, instruction="ask: ")

    assert apart(instructed, scorer.score([(f"ask: {query}", passage) for query, passage in FEW])) <= 1e-5
    assert np.abs(instructed - truth[:3]).min() > 1e-4


def test_the_instruction_of_one_call_does_not_leak_into_the_next(scorer, truth):
    scorer.score(PAIRS, instruction="ask: ")

    assert apart(scorer.score(PAIRS), truth) <= 1e-5


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", WITH_FILES)
def test_broken_weights_are_noticed(names, kind, value, tmp_path):
    broken = with_all_weights(value, names[kind], tmp_path)

    with pytest.raises(ModelFault, match="NaN or infinite scores for 3 of 3 pairs"):
        score_pairs(loaded(broken, SCORERS[kind]), FEW, instruction="", progress=Silent())


@pytest.mark.parametrize("dtype", list(HALVES))
@pytest.mark.parametrize("kind", WITH_FILES)
def test_half_precision_is_that_of_the_weights_and_close_to_single(names, kind, dtype, tmp_path):
    calm = with_calm_weights(names[kind], tmp_path)
    single, half = loaded(calm, SCORERS[kind]), loaded(calm, SCORERS[kind], dtype=dtype)
    scores, wanted = half.score(PAIRS), single.score(PAIRS)

    assert half.spec.dtype == dtype
    assert {weight.dtype for weight in weights_of(single)} == {torch.float32}
    assert {weight.dtype for weight in weights_of(half)} == {TORCH_DTYPES[dtype]}
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert apart(scores, wanted) <= 2 * HALVES[dtype]  # no score is bounded as the numbers of a unit vector are
    assert (scores != wanted).any()  # not computed in fp32 after all


@pytest.mark.parametrize("kind", LAYERED)
def test_layers_of_one_pass_score_as_each_does_alone(names, kind):
    """Also when they are asked for in turn, and again with the pairs in another order."""
    layers = (3, 4)
    shared = also_saying(SCORERS[kind].overrides, cutoff_layers=layers, head_index="layer")
    first = loaded(names[kind], replace(SCORERS[kind], overrides=shared))
    readings = [first.reading(resolved(names[kind], replace(shared, cutoff=place)).spec) for place in range(2)]
    found = [[reading.score(pairs) for reading in readings] for pairs in (FEW, PAIRS, PAIRS[::-1])]

    for place, layer in enumerate(layers):
        alone = replace(SCORERS[kind], overrides=also_saying(shared, cutoff_layers=(layer,)))
        wanted = loaded(names[kind], alone).score(PAIRS)
        assert readings[place].spec.own.cutoff_layer == layer
        assert apart(found[0][place], wanted[:3]) <= 1e-5
        assert apart(found[1][place], wanted) <= 1e-5
        assert apart(found[2][place], wanted[::-1]) <= 1e-5
    assert np.abs(found[1][0] - found[1][1]).max() > 1e-2


@pytest.mark.parametrize("kind", OF_IMAGES, indirect=True, scope="module")
def test_images_may_be_on_either_side_of_a_pair(scorer):
    red, blue = Item("", (image("red"),)), Item("", (image("blue"),))
    pairs = [("red", red), ("red", blue), (blue, "red"), (blue, "blue"), (red, blue), (Item("a", red.images), red)]
    truth = np.concatenate([scorer.score([pair]) for pair in pairs])

    assert apart(scorer.score(pairs), truth) <= 1e-5
    assert apart(scorer.score(pairs[::-1]), truth[::-1]) <= 1e-5
    assert len(set(truth.tolist())) == len(pairs)
    assert truth[[0, 3, 5]].min() > 0.5 > truth[[1, 2, 4]].max()


def test_a_pair_of_8192_tokens_is_read_to_its_end(tmp_path):
    """A cross-encoder at the length of bge-reranker-v2-m3."""
    folder = filled.write_xlmr_reranker(tmp_path / "long", length=8_192)
    model = resolved(str(folder), replace(SCORERS["xlm-r"].overrides, max_length=8_192))
    assert model.spec.passage_max_length == 8_192
    scorer = model.load(device="cpu", batch_size=2, **LEAVES)
    passage = "的" * 8_184 + "我"
    pairs = [("的", passage), ("的", passage[:-1] + "国" * 50)]
    rows = [row["input_ids"] for row in scorer.encode_pairs(pairs)]
    assert [len(row) for row in rows] == [8_192, 8_192]
    assert [place for place in range(8_192) if rows[0][place] != rows[1][place]] == [8_190]  # before the last </s>
    scores = scorer.score(pairs)

    assert np.isfinite(scores).all()
    assert scores[0] != scores[1]
