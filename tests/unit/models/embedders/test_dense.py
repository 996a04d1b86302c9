import json
import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from flagbench import BadInput
from flagbench.models.embedders.modules import one_token, pool
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.modules import Module
from tests.checkpoints import add_sentence_transformers, write_bert, write_byte_qwen2, write_json
from tests.filled import write_filled_mistral

pytestmark = pytest.mark.usefixtures("one_thread")

TEXTS = [
    "a",
    "The quick brown fox, at 10.",
    "我们在这个国家",
    "的一是不了人 mixed with English words 2024!",
    "",
    "one more, of another length",
    "abc " * 40,  # longer than the limit
    "Ünknown ☃ letters",
]


def load(folder, overrides=None, *, batch_size=None, allow_pickle=False):
    options = {"trust_remote_code": False, "allow_pickle": allow_pickle}
    model = resolve_model(str(folder), None, overrides or Overrides(), **options)
    return model.load(device="cpu", batch_size=batch_size, **options)


def embed(folder, texts=TEXTS, **options):
    return load(folder, **options).encode(texts, role="query").dense


def reference(folder, texts=TEXTS):
    """Vectors by sentence-transformers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        return model.encode(list(texts), batch_size=4, show_progress_bar=False)


def assert_same(vectors, expected):
    assert vectors.dtype == np.float32
    assert vectors.shape == expected.shape
    assert np.abs(vectors - expected).max() <= 1e-6 * max(1.0, float(np.abs(expected).max()))


def spread(vectors):
    """The least distance of two rows: texts that all look alike would make every comparison pass."""
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    return distances[~np.eye(len(vectors), dtype=bool)].min()


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A plain BERT; copy it before changing it."""
    return write_bert(tmp_path_factory.mktemp("dense") / "bert")


@pytest.fixture
def copy(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / "copy")


def test_a_tokenizer_without_padding_pads_with_what_ends_a_text(tmp_path):
    folder = write_filled_mistral(tmp_path / "padded")
    bare = shutil.copytree(folder, tmp_path / "bare")
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    write_json(bare / "tokenizer_config.json", settings)
    asked = Overrides(family="instruct-embedder")

    assert AutoTokenizer.from_pretrained(bare).pad_token is None
    assert_same(embed(bare, overrides=asked), embed(folder, overrides=asked))


# Against sentence-transformers


@pytest.mark.parametrize("normalize", [True, False], ids=["normalised", "as they are"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken"])
def test_bert_as_sentence_transformers(copy, pooling, normalize):
    folder = add_sentence_transformers(copy, pooling=pooling, normalize=normalize)
    vectors = embed(folder)

    assert_same(vectors, reference(folder))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6) is normalize
    assert spread(vectors) > 1e-2


@pytest.mark.parametrize("normalize", [True, False], ids=["normalised", "as they are"])
@pytest.mark.parametrize("pooling", ["lasttoken", "mean", "cls"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_qwen2_as_sentence_transformers(tmp_path, side, pooling, normalize):
    folder = write_byte_qwen2(tmp_path / "qwen2", padding_side=side)
    add_sentence_transformers(folder, pooling=pooling, normalize=normalize)
    texts = [f"{number}: {text}" for number, text in enumerate(TEXTS)]

    assert AutoTokenizer.from_pretrained(folder).padding_side == side
    assert_same(embed(folder, texts), reference(folder, texts))


@pytest.mark.parametrize(("pooling", "one"), [("cls", True), ("lasttoken", True), ("mean", False), ("max", False)])
def test_the_last_layer_runs_for_one_token_where_the_pooling_takes_one(copy, pooling, one):
    assert ("one token in the last layer" in load(add_sentence_transformers(copy, pooling=pooling)).backend) is one


CLS = Module("Pooling", options=(("pooling_mode", ("cls",)),))


@pytest.mark.parametrize(
    ("modules", "pooling"),
    [
        ([CLS], "cls"),
        ([CLS, Module("Dense", "2_Dense"), Module("LayerNorm", "3"), Module("Normalize")], "cls"),
        ([Module("Pooling", options=(("pooling_mode", ("lasttoken",)), ("include_prompt", False)))], "lasttoken"),
        ([Module("Pooling", options=(("pooling_mode", ("cls", "lasttoken")),))], ""),
        ([Module("Pooling", options=(("pooling_mode", ("weightedmean",)),))], ""),
        ([CLS, Module("Dense", "2", (("module_input_name", "token_embeddings"),))], ""),
        ([Module("Dense", "1", (("module_input_name", "token_embeddings"),)), CLS], ""),
        ([Module("WeightedLayerPooling", "1"), CLS], ""),
        ([CLS, CLS], ""),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(module.kind for module in value),
)
def test_modules_that_look_at_one_token(modules, pooling):
    assert one_token(modules) == pooling


@pytest.mark.parametrize("normalize", [True, False], ids=["normalised", "as they are"])
def test_a_dense_module_as_sentence_transformers(copy, tmp_path, normalize):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer import modules

        torch.manual_seed(0)
        parts = [
            modules.Transformer(str(copy)),
            modules.Pooling(32, "mean"),
            modules.Dense(32, 24),
            modules.Dense(24, 16, bias=False, activation_function=torch.nn.Identity()),
        ]
        parts += [modules.Normalize()] if normalize else []
        SentenceTransformer(modules=parts, device="cpu").save(str(tmp_path / "dense"))

    vectors = embed(tmp_path / "dense")

    assert vectors.shape == (len(TEXTS), 16)
    assert_same(vectors, reference(tmp_path / "dense"))
    assert spread(vectors) > 1e-3


@pytest.mark.parametrize("name", ["activation.Tanh", "activation.ReLU", "activation.GELU", "linear.Identity"])
def test_activations_of_a_dense_module(copy, name):
    folder = add_dense(add_sentence_transformers(copy), activation=f"torch.nn.modules.{name}")

    assert_same(embed(folder), reference(folder))


@pytest.mark.parametrize("key", ["activation_function", "bias"])
def test_what_a_dense_module_does_not_say_is_as_sentence_transformers_has_it(copy, key):
    folder = add_dense(add_sentence_transformers(copy), activation="torch.nn.modules.activation.Tanh")
    path = folder / "2_Dense" / "config.json"
    config = json.loads(path.read_text())
    del config[key]
    path.write_text(json.dumps(config))

    assert_same(embed(folder), reference(folder))


def add_dense(folder, *, activation, size=16, stated=16):
    """Put a Dense module of ``size`` between pooling and normalisation."""
    generator = torch.Generator().manual_seed(1)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"), ("3_Normalize", "Normalize")]
    write_json(
        folder / "modules.json",
        [
            {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for row, (path, kind) in enumerate(kinds)
        ],
    )
    config = {"in_features": 32, "out_features": stated, "bias": True, "activation_function": activation}
    write_json(folder / "2_Dense" / "config.json", config)
    weights = {"linear.weight": torch.randn(size, 32, generator=generator), "linear.bias": torch.ones(size) / 2}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    (folder / "3_Normalize").mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("lowercase", [True, False])
def test_lower_casing_as_sentence_transformers(copy, lowercase):
    folder = add_sentence_transformers(copy, lowercase=lowercase)
    texts = ["The QUICK Brown FOX", "the quick brown fox", "MiXeD 的一 ÀÉ", "[SEP] stays ONE token"]
    vectors = embed(folder, texts)

    assert_same(vectors, reference(folder, texts))
    assert bool(np.abs(vectors[0] - vectors[1]).max() <= 1e-6) is lowercase


@pytest.mark.parametrize(
    ("stated", "tokenizer", "positions"), [(48, 64, 64), (None, 64, 64), (None, 40, 64), (None, 10**30, 64)]
)
def test_the_length_limit_is_sentence_transformers(copy, stated, tokenizer, positions):
    folder = add_sentence_transformers(copy, max_length=stated)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    write_json(folder / "tokenizer_config.json", {**settings, "model_max_length": tokenizer})
    texts = ["一" * length for length in (30, 40, 50, 62, 80)]
    expected = reference(folder, texts)

    assert_same(embed(folder, texts), expected)
    assert load(folder).spec.query_max_length == (stated or min(tokenizer, positions))


# Pooling


def naive_pool(hidden, mask, pooling):
    rows = []
    for states, flags in zip(hidden.numpy().astype(np.float64), mask.numpy(), strict=True):
        tokens = [state for state, flag in zip(states, flags, strict=True) if flag]
        if pooling == "cls":
            rows.append(tokens[0])
        elif pooling == "lasttoken":
            rows.append(tokens[-1])
        elif pooling == "max":
            rows.append(np.max(tokens, axis=0))
        elif pooling == "weightedmean":
            rows.append(np.average(tokens, axis=0, weights=range(1, len(tokens) + 1)))
        elif pooling == "mean_sqrt_len_tokens":
            rows.append(sum(tokens) / np.sqrt(len(tokens)))
        else:
            rows.append(sum(tokens) / len(tokens))
    return np.array(rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["fp32", "fp16"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken", "max", "weightedmean", "mean_sqrt_len_tokens"])
def test_pool_row_by_row(pooling, side, dtype):
    lengths, width = [7, 1, 4, 6], 7
    hidden = torch.randn(4, width, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    if side == "left":
        mask = mask.flip(1)

    pooled = pool(hidden, mask, pooling)

    assert pooled.shape == (4, 5)
    assert np.abs(pooled.numpy() - naive_pool(hidden, mask, pooling)).max() <= 1e-6


def test_padding_is_not_averaged():
    hidden = torch.tensor([[[1.0], [3.0], [1e6]]])

    assert pool(hidden, torch.tensor([[1, 1, 0]]), "mean").tolist() == [[2.0]]


def test_the_mean_of_half_precision_states_does_not_overflow():
    hidden = torch.full((1, 100, 2), 1000.0, dtype=torch.float16)

    assert pool(hidden, torch.ones(1, 100, dtype=torch.long), "mean").tolist() == [[1000.0, 1000.0]]


# Texts


def test_what_is_beyond_the_limit_is_not_read(bert):
    """A limit of 8 tokens leaves room for 6 letters beside [CLS] and [SEP]."""
    vectors = embed(bert, ["一二是不了人我在", "一二是不了人", "一二是不了他我在"], overrides=Overrides(max_length=8))

    assert np.abs(vectors[0] - vectors[1]).max() <= 1e-6
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


def test_each_role_has_its_own_limit(bert):
    encoder = load(bert)
    encoder.spec = replace(encoder.spec, query_max_length=8, passage_max_length=16)
    long, short = "一是不了人我在有他这", "一是不了人我"

    for role, same in (("query", True), ("symmetric", True), ("passage", False)):
        one, other = encoder.encode([long, short], role=role).dense
        assert bool(np.abs(one - other).max() <= 1e-6) is same


def test_the_limit_counts_the_instruction(bert):
    encoder = load(bert, Overrides(max_length=8))
    plain = encoder.encode(["一是不了"], role="query").dense
    cut = encoder.encode(["不了人我在"], role="query", instruction="一是").dense
    whole = encoder.encode(["一是不了人我"], role="query").dense

    assert np.abs(cut - whole).max() <= 1e-6
    assert np.abs(cut - plain).max() > 1e-3


def test_the_instruction_goes_in_front(bert):
    encoder = load(bert)
    with_instruction = encoder.encode(["abc", "的一"], role="query", instruction="xy: ").dense

    assert_same(with_instruction, encoder.encode(["xy: abc", "xy: 的一"], role="query").dense)
    assert np.abs(with_instruction - encoder.encode(["abc", "的一"], role="query").dense).max() > 1e-2


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_text_without_a_token(tmp_path, side):
    """Qwen2's own tokenizer adds no special tokens, so an empty text has none at all."""
    encoder = load(write_byte_qwen2(tmp_path / "qwen2", padding_side=side, end_token=False))
    beside_others = encoder.encode(["", "a", "some longer text"], role="query").dense[0]
    alone = encoder.encode([""], role="query").dense[0]

    assert np.isfinite(alone).all()
    assert np.abs(alone - beside_others).max() <= 1e-5


# Data types and batches


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_gives_float32_vectors_near_those_of_full(bert, dtype):
    half, full = embed(bert, overrides=Overrides(dtype=dtype)), embed(bert)

    assert half.dtype == np.float32
    assert not np.array_equal(half, full)
    assert (half * full).sum(axis=1).min() > 0.99


def test_normalisation_and_pooling_as_asked_for(bert):
    plain = embed(bert, overrides=Overrides(pooling="mean", normalize=False))
    normal = embed(bert, overrides=Overrides(pooling="mean", normalize=True))

    assert np.abs(np.linalg.norm(plain, axis=1) - 1).max() > 0.1
    assert np.abs(normal - plain / np.linalg.norm(plain, axis=1, keepdims=True)).max() <= 1e-6


def test_the_model_is_not_in_training(copy):
    """Dropout would give another vector each time."""
    config = json.loads((copy / "config.json").read_text())
    write_json(copy / "config.json", {**config, "hidden_dropout_prob": 0.5})
    encoder = load(copy)

    first, second = (encoder.encode(TEXTS, role="query").dense for _ in range(2))
    assert np.array_equal(first, second)


# Files that make no model


def refusal(folder, **options):
    with pytest.raises(BadInput) as caught:
        load(folder, **options)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


def test_a_missing_weight_is_never_random(copy):
    weights = load_file(copy / "model.safetensors")
    dropped = "encoder.layer.1.output.dense.weight"
    del weights[dropped]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})

    message = refusal(copy)
    assert dropped in message
    assert "1 weights are not in its files" in message


def test_a_config_with_more_layers_than_the_file(copy):
    config = json.loads((copy / "config.json").read_text())
    write_json(copy / "config.json", {**config, "num_hidden_layers": 3})

    assert "encoder.layer.2." in refusal(copy)


def test_a_config_of_another_width_than_the_file(copy):
    config = json.loads((copy / "config.json").read_text())
    write_json(copy / "config.json", {**config, "hidden_size": 64})

    assert "other shapes than its config.json says" in refusal(copy)


def test_a_missing_pooler_is_no_matter(bert):
    """No pooling here uses it, and this checkpoint is saved without one."""
    assert not any(key.startswith("pooler.") for key in load_file(bert / "model.safetensors"))
    assert load(bert).capabilities == {"encode"}


@pytest.mark.parametrize(
    ("name", "why"),
    [("tokenizer.json", "cannot be loaded"), ("tokenizer_config.json", "tokenizer_config.json is not JSON")],
)
def test_a_damaged_tokenizer(copy, name, why):
    (copy / name).write_text((copy / name).read_text()[:-5])

    assert why in refusal(copy)


def test_a_model_type_that_transformers_does_not_know(copy):
    config = json.loads((copy / "config.json").read_text())
    write_json(copy / "config.json", {**config, "model_type": "odd", "architectures": ["OddModel"]})

    assert "odd" in refusal(copy, overrides=Overrides(pooling="cls"))


def test_pickle_weights_with_leave_give_the_same_vectors(copy):
    expected = embed(copy)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()

    assert "--allow-pickle" in refusal(copy)
    assert np.array_equal(embed(copy, allow_pickle=True), expected)


def test_a_dense_module_without_weights(copy):
    folder = add_dense(add_sentence_transformers(copy), activation="torch.nn.modules.activation.Tanh")
    (folder / "2_Dense" / "model.safetensors").unlink()

    assert "2_Dense" in refusal(folder)


def test_a_dense_module_with_an_activation_that_is_not_supported(copy):
    folder = add_dense(add_sentence_transformers(copy), activation="torch.nn.modules.activation.MultiheadAttention")

    assert "activation_function = 'MultiheadAttention' is not supported" in refusal(folder)


def test_a_dense_module_of_another_size_than_it_says(copy):
    folder = add_dense(add_sentence_transformers(copy), activation="torch.nn.modules.activation.Tanh", stated=17)

    assert "2_Dense" in refusal(folder)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken"])
def test_vectors_of_half_precision_are_normalised_in_float32(bert, dtype, pooling):
    vectors = embed(bert, overrides=Overrides(dtype=dtype, pooling=pooling))

    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() <= 1e-6
    assert np.abs(vectors - embed(bert, overrides=Overrides(pooling=pooling))).max() > 1e-5
