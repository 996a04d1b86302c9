"""What every encoder must do, whatever is behind it (models/contract.py): vectors, and each part beside them."""

import numpy as np
import pytest
import torch

from flagbench import BadInput, ModelFault
from flagbench.models.adapters import modalities
from flagbench.models.inputs import TEXT, Image, Item
from flagbench.models.loading.registry import registry
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.progress import Silent
from tests import filled
from tests.contract.adapters import (
    ENCODERS,
    HALVES,
    LEAVES,
    OF_FILES,
    TORCH_DTYPES,
    apart,
    built,
    distance,
    loaded,
    resolved,
    texts_of,
    weights_of,
    with_all_weights,
    with_calm_weights,
)
from tests.contract.scripted_images import BOTH
from tests.pictures import drawn, image

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
FEW = ["a", "two words", "我们在"]
INSTRUCTIONS = {"icl": "<instruct>Ask.\n<query>q\n<response>r\n\n<instruct>Ask.\n<query>"}
MEANS = ("bert-mean", "fake", "colours", "fake in workers", "colours in workers")
SERVED = ["served", "served by text-embeddings-inference"]
POOLINGS = dict.fromkeys(MEANS, "mean") | {
    "bert-cls": "cls",
    "m3": "cls",
    "llara": "last8",
    **dict.fromkeys(("visualized", "visualized-m3"), "cls"),
    **dict.fromkeys(("bert of other modules", "clip", "siglip", "bge-vl", "hub-code", *SERVED)),
}
DIMENSIONS = {"fake": 384, "fake in workers": 384, "bert of other modules": 48, **dict.fromkeys(SERVED, 16)}
WITH_FILES = [name for name, kind in ENCODERS.items() if not isinstance(kind.source, str) and not kind.workers]
ONE_IMAGE = ["visualized", "visualized-m3", "clip", "siglip", "bge-vl", "hub-code"]
OF_IMAGES = ["fake", "fake in workers", "colours", "colours in workers", *ONE_IMAGE]
HERE = [name for name, kind in ENCODERS.items() if not kind.workers]  # an instance of each is quickly made
ITEMS = [
    "a red square",
    Item("", (image("red"),)),
    Item("a square", (image("red"),)),
    Item("a square", (image("blue"),)),
    Item("a square", (image("red"), image("blue"))),
    Item("", (image("red", "yellow"),)),
]


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What a user would type for each encoder."""
    return built(ENCODERS, tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module", params=list(ENCODERS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def encoder(kind, names):
    return loaded(names[kind], ENCODERS[kind])


@pytest.fixture(scope="module")
def truth(encoder):
    """Each text on its own, so that no neighbour can have a part in it."""
    return [texts_of(encoder.encode([text], role="query", parts=encoder.parts))[0] for text in TEXTS]


def embed(encoder, texts=TEXTS, role="query", instruction=""):
    """All parts of each text."""
    return texts_of(encoder.encode(texts, role=role, instruction=instruction, parts=encoder.parts))


def test_every_adapter_of_the_registry_is_here(names):
    """A new one fails here until it is among the kinds."""
    wanted = {row["adapter"] for row in registry().families.values() if row["ability"] == "encode"} | {OF_FILES}

    known = [name for name, kind in ENCODERS.items() if kind.load is None]
    assert {resolved(names[name], ENCODERS[name].overrides).spec.adapter for name in known} == wanted


def test_it_says_what_it_is(encoder, kind):
    assert encoder.capabilities == {"encode"}
    assert encoder.device == ("server" if kind in SERVED else "cpu")
    assert encoder.spec.ability == "encode"
    assert encoder.modalities == (BOTH if kind in OF_IMAGES else TEXT)
    assert ENCODERS[kind].load or encoder.modalities == modalities(encoder.spec.adapter)
    assert encoder.spec.family == ENCODERS[kind].family
    assert encoder.spec.dtype == "fp32"
    assert encoder.spec.pooling == POOLINGS.get(kind, "lasttoken")
    assert encoder.parts == ({"dense", "sparse", "multi_vector"} if kind == "m3" else {"dense"})


def test_finite_float32_of_one_row_a_text(encoder, kind):
    found = encoder.encode(TEXTS, role="query", parts=encoder.parts)

    assert len(found) == len(TEXTS)
    assert found.dense.dtype == np.float32
    assert found.dense.shape == (len(TEXTS), DIMENSIONS.get(kind, 32))
    assert found.finite().all()
    for text in texts_of(found):
        assert text.keys() == encoder.parts
        assert all(values.dtype == np.float32 and np.isfinite(values).all() for values in text.values())


def test_only_what_was_asked_for_is_given(encoder):
    for part in encoder.parts:
        found = encoder.encode(FEW, role="query", parts=frozenset({part}))
        given = {each for each in ("dense", "sparse", "multi_vector") if getattr(found, each) is not None}
        assert given == {part}


def test_dense_is_what_is_asked_for_unsaid(encoder):
    found = encoder.encode(FEW, role="query")

    assert found.dense is not None
    assert found.sparse is found.multi_vector is None


def test_a_text_does_not_depend_on_its_neighbours(encoder, truth):
    assert apart(embed(encoder), truth) <= 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_order_is_kept_under_shuffling(encoder, truth, seed):
    order = np.random.default_rng(seed).permutation(len(TEXTS))

    assert apart(embed(encoder, [TEXTS[row] for row in order]), [truth[row] for row in order]) <= 1e-5


def test_texts_are_told_apart(truth):
    """Were all vectors alike, no comparison of this file could fail."""
    told = [row for row, text in enumerate(TEXTS) if text.strip() and text.isprintable() and text.isascii()]

    assert len(told) > 2
    for row in told:
        for other in told:
            for part in truth[row] if row != other else ():
                one, two = truth[row][part], truth[other][part]
                assert one.shape != two.shape or distance(one, two) > 1e-2


@pytest.mark.parametrize("kind", HERE, indirect=True, scope="module")
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_batch_sizes_agree(names, kind, truth, batch_size):
    assert apart(embed(loaded(names[kind], ENCODERS[kind], batch_size)), truth) <= 1e-5


@pytest.mark.parametrize("role", ["query", "passage", "symmetric"])
def test_no_texts(encoder, kind, role):
    found = encoder.encode([], role=role, parts=encoder.parts)

    assert len(found) == 0
    assert found.dense.shape == (0, DIMENSIONS.get(kind, 32))
    assert found.dense.dtype == np.float32
    if kind == "m3":
        assert found.sparse.shape[0] == 0
        assert len(found.multi_vector) == 0
        assert found.multi_vector.values.shape == (0, 32)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_one_text(encoder, kind, text):
    found = encoder.encode([text], role="passage", parts=encoder.parts)

    assert len(found) == 1
    assert found.dense.shape == (1, DIMENSIONS.get(kind, 32))
    assert found.finite().all()


def test_any_sequence_of_texts_will_do(encoder, truth):
    assert apart(embed(encoder, tuple(TEXTS[:4])), truth[:4]) <= 1e-5


def test_the_texts_are_left_as_they_were(encoder):
    texts = list(TEXTS)

    encoder.encode(texts, role="query", instruction="ask: ", parts=encoder.parts)

    assert texts == TEXTS


def test_equal_texts_agree(encoder):
    first, _, last = embed(encoder, ["two words", "a", "two words"])

    assert apart([first], [last]) <= 1e-5


def test_the_same_call_twice_gives_the_same_bits(encoder):
    assert apart(embed(encoder), embed(encoder)) == 0


def test_the_instruction_is_a_prefix(encoder):
    instructed = embed(encoder, FEW, instruction="ask: ")

    assert apart(instructed, embed(encoder, [f"ask: {text}" for text in FEW])) <= 1e-5
    for one, other in zip(instructed, embed(encoder, FEW), strict=True):
        for part in one:
            assert one[part].shape != other[part].shape or distance(one[part], other[part]) > 1e-3


@pytest.mark.parametrize("role", ["query", "passage"])
def test_the_instruction_of_one_call_does_not_leak_into_the_next(encoder, kind, truth, role):
    instructed = embed(encoder, TEXTS, role, INSTRUCTIONS.get(kind, "ask: "))

    assert distance(instructed[0]["dense"], truth[0]["dense"]) > 1e-3
    assert apart(embed(encoder), truth) <= 1e-5


def test_the_role_of_one_call_does_not_leak_into_the_next(encoder, truth):
    for role in ("passage", "symmetric"):
        embed(encoder, TEXTS, role)

        assert apart(embed(encoder), truth) <= 1e-5


def test_normalised_where_the_spec_says_so(encoder, truth):
    norms = np.array([np.linalg.norm(text["dense"].astype(np.float64)) for text in truth])

    assert bool(np.abs(norms - 1).max() <= 1e-5) is encoder.spec.normalize
    for text in truth if "multi_vector" in encoder.parts else ():
        assert np.abs(np.linalg.norm(text["multi_vector"].astype(np.float64), axis=1) - 1).max() <= 1e-5


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", WITH_FILES)
def test_broken_weights_are_noticed(names, kind, value, tmp_path):
    broken = with_all_weights(value, names[kind], tmp_path)
    adapter = loaded(broken, ENCODERS[kind])

    for part in sorted(adapter.parts):
        with pytest.raises(ModelFault, match="NaN or infinite values for 3 of 3 texts"):
            TextEncoder(adapter, Silent()).encode_parts(FEW, role="query", parts=frozenset({part}))


@pytest.mark.parametrize("dtype", list(HALVES))
@pytest.mark.parametrize("kind", WITH_FILES)
def test_half_precision_is_that_of_the_weights_and_close_to_single(names, kind, dtype, tmp_path):
    calm = with_calm_weights(names[kind], tmp_path)
    single, half = loaded(calm, ENCODERS[kind]), loaded(calm, ENCODERS[kind], dtype=dtype)

    assert half.spec.dtype == dtype
    assert {weight.dtype for weight in weights_of(single)} == {torch.float32}
    assert {weight.dtype for weight in weights_of(half)} == {TORCH_DTYPES[dtype]}
    for one, other in zip(embed(half), embed(single), strict=True):
        for part, values in one.items():
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
            assert distance(unit(values), unit(other[part])) <= HALVES[dtype]
            assert distance(values, other[part]) > 0 or not values.any()  # not computed in fp32 after all


def unit(values):
    """Vectors of length 1, as they are compared."""
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


@pytest.mark.parametrize("kind", OF_IMAGES, indirect=True, scope="module")
def test_an_item_does_not_depend_on_its_neighbours_nor_on_the_order(encoder, kind):
    items = [each for each in ITEMS if kind not in ONE_IMAGE or isinstance(each, str) or len(each.images) == 1]
    truth = [embed(encoder, [item])[0] for item in items]

    assert apart(embed(encoder, items), truth) <= 1e-5
    assert apart(embed(encoder, items[::-1]), truth[::-1]) <= 1e-5
    assert apart(texts_of(encoder.prepare(items, role="query")()), truth) <= 1e-5
    for row, one in enumerate(truth):
        assert all(distance(one["dense"], other["dense"]) > 1e-2 for other in truth[:row])


@pytest.mark.parametrize("kind", OF_IMAGES, indirect=True, scope="module")
def test_equal_images_agree_wherever_they_are(encoder, tmp_path):
    path = tmp_path / "a name.png"
    path.write_bytes(drawn("red"))
    on_disk = Item("a square", (Image(path),))

    assert apart(embed(encoder, [on_disk]), embed(encoder, [ITEMS[2]])) == 0


@pytest.mark.parametrize("kind", OF_IMAGES, indirect=True, scope="module")
def test_the_instruction_goes_before_the_text_of_an_item(encoder):
    instructed = embed(encoder, [ITEMS[2], ITEMS[1]], instruction="ask: ")
    said = [Item("ask: a square", ITEMS[2].images), Item("ask: ", ITEMS[1].images)]

    assert apart(instructed, embed(encoder, said)) == 0
    assert distance(instructed[0]["dense"], embed(encoder, [ITEMS[2]])[0]["dense"]) > 1e-3


@pytest.mark.parametrize("kind", ONE_IMAGE, indirect=True, scope="module")
def test_several_images_at_a_time_are_refused(encoder):
    with pytest.raises(BadInput, match=r"takes one image at a time, and 'a square \[image .*' has 2: give each image"):
        embed(encoder, [ITEMS[4]])


@pytest.mark.parametrize("kind", OF_IMAGES, indirect=True, scope="module")
def test_a_long_text_beside_an_image_is_cut(encoder):
    """To what the model has room for, and no two images become one for it."""
    long, longer = ([Item("的" * length, (image(each),)) for each in ("red", "blue")] for length in (9_000, 9_001))
    one, other = embed(encoder, long)

    assert distance(one["dense"], other["dense"]) > 1e-3
    assert np.isfinite(embed(encoder, longer)[0]["dense"]).all()


def test_a_text_of_8192_tokens_is_read_to_its_end(tmp_path):
    """All parts of BGE-M3 at the length that it was trained with, in one batch with a short text."""
    folder = filled.write_filled_m3(tmp_path / "long", length=8_192)
    model = resolved(str(folder), ENCODERS["m3"].overrides)
    assert model.spec.passage_max_length == 8_192
    encoder = model.load(device="cpu", batch_size=2, **LEAVES)
    full = "的" * 8_188 + "我"  # and "▁", <s>, </s>
    longer = full[:-1] + "国" * 50
    whole, short = embed(encoder, [full, "two words"], "passage")
    (cut,) = embed(encoder, [longer], "passage")

    for text in (whole, cut):
        assert len(text["multi_vector"]) == 8_191  # all but <s>
        assert all(np.isfinite(values).all() for values in text.values())
    assert distance(whole["multi_vector"][-2], cut["multi_vector"][-2]) > 1e-2  # the last token before </s>
    assert np.count_nonzero(whole["sparse"] != cut["sparse"]) >= 1
    assert distance(whole["dense"], cut["dense"]) > 0
    assert apart([short], embed(encoder, ["two words"], "passage")) <= 1e-5


@pytest.mark.parametrize("dtype", list(HALVES))
@pytest.mark.parametrize("kind", ["visualized", "visualized-m3", "clip", "siglip", "bge-vl"])
def test_images_in_half_precision_are_close_to_single(names, kind, dtype, tmp_path):
    calm = with_calm_weights(names[kind], tmp_path)
    items = [each for each in ITEMS if isinstance(each, str) or len(each.images) == 1]
    single, half = (embed(loaded(calm, ENCODERS[kind], dtype=each), items) for each in (None, dtype))

    for one, other in zip(half, single, strict=True):
        assert 0 < distance(unit(one["dense"]), unit(other["dense"])) <= HALVES[dtype]
