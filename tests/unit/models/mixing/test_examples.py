"""Weights from examples, compared with LM-Cocktail's own losses of models whose weights follow a rule."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from flagbench import BadInput
from flagbench.models.contract import Loading
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import resolve_model
from flagbench.models.mixing.examples import Kind, Rule, check_losses, read_examples, weights_of
from flagbench.models.mixing.losses import example_loss
from flagbench.models.text_models import resolve_text_generator
from tests.cocktail_models import write_bert, write_llama, write_reranker

RANKED = [
    {"query": "w1 w2 w3", "pos": ["w2 w3 w4"], "neg": ["w10 w11", "w12", "w13 w14 w15"]},
    {"query": "w20", "pos": ["w21 w22"], "neg": ["w30", "w31 w32", "w33"]},
    {"query": "w40 w41", "pos": ["w42"], "neg": ["w50 w51 w52", "w53", "w54"]},
]
WRITTEN = [
    {"input": "w1 w2 w3", "output": "w4 w5"},
    {"input": "w7", "output": "w8"},
    {"input": "w9 w10", "output": "w11 w12 w13"},
]
CPU = Loading("cpu")


def loss(folder: Path, kind: Kind, examples: Path, rule: Rule) -> float:
    allowed = {"trust_remote_code": False, "allow_pickle": False}
    if kind == "decoder":
        model = resolve_text_generator(str(folder), None, Overrides(), **allowed)
    else:
        model = resolve_model(str(folder), None, Overrides(), as_reranker=kind == "reranker", **allowed)
    return example_loss(model, kind, read_examples(examples, kind, rule), rule, CPU)


def written(path: Path, examples: object) -> Path:
    path.write_text(json.dumps(examples), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def berts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("berts")
    return [write_bert(root / str(seed), seed) for seed in (1, 2, 3)]


# By FlagEmbedding's research/LM_Cocktail, run on the same models with random.seed(0) before.
@pytest.mark.parametrize(
    ("negatives", "batch", "losses", "weights"),
    [
        (3, 2, (1.400025, 1.574173, 3.681697), (0.384708, 0.371540, 0.243752)),
        (3, 1, (1.086062, 1.575158, 2.803191), (0.382241, 0.346621, 0.271138)),
        (2, 2, (1.137323, 1.235166, 3.549252), (0.384922, 0.377463, 0.237616)),
        (2, 1, (0.778069, 1.043967, 2.647532), (0.379325, 0.359680, 0.260995)),
    ],
)
def test_encoders_have_the_losses_of_lm_cocktail(
    berts: list[Path], tmp_path: Path, negatives: int, batch: int, losses: tuple[float, ...], weights: tuple[float, ...]
) -> None:
    rule = Rule(batch_size=batch, max_input_length=16, negatives=negatives)
    examples = written(tmp_path / "examples.json", RANKED)
    found = [loss(folder, "encoder", examples, rule) for folder in berts]
    assert found == pytest.approx(losses, abs=5e-6)
    assert weights_of(found, rule.temperature) == pytest.approx(weights, abs=2e-6)


def test_decoders_have_the_losses_of_lm_cocktail(tmp_path: Path) -> None:
    rule = Rule(max_input_length=16)
    examples = written(tmp_path / "examples.json", {"task": WRITTEN[:2], "other": WRITTEN[2:]})
    found = [loss(write_llama(tmp_path / str(seed), seed), "decoder", examples, rule) for seed in (1, 2)]
    assert found == pytest.approx((3.771971, 4.918789), abs=2e-6)
    assert weights_of(found, 5.0) == pytest.approx((0.557091, 0.442909), abs=2e-6)


def test_rerankers_are_weighed_by_the_cross_entropy_of_their_scores(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = write_reranker(tmp_path / "reranker", 1)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    naive = []
    for row in RANKED:
        logits = [
            float(model(**tokenizer(row["query"], text, return_tensors="pt")).logits[0, 0].detach())
            for text in (*row["pos"], *row["neg"])
        ]
        naive.append(math.log(sum(map(math.exp, logits))) - logits[0])
    lines = tmp_path / "examples.jsonl"
    lines.write_text("\n".join(map(json.dumps, RANKED)), encoding="utf-8")
    found = loss(folder, "reranker", lines, Rule(negatives=3, batch_size=2))
    assert found == pytest.approx(((naive[0] + naive[1]) / 2 + naive[2]) / 2, abs=1e-5)


def test_weights_depend_on_the_differences_of_losses_alone() -> None:
    assert weights_of([2.0, 2.0], 5.0) == [0.5, 0.5]
    assert weights_of([1.0, 3.0], 5.0) == pytest.approx(weights_of([101.0, 103.0], 5.0), abs=1e-6)
    assert weights_of([1.0, 3.0], 1e-3) == [1.0, 0.0]
    torch.testing.assert_close(sum(weights_of([0.1, 0.7, 3.0], 5.0)), 1.0)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("encoder", "", "no examples"),
        ("encoder", "{", "line 1 is not JSON"),
        ("encoder", "[1]", "example 1 is no object"),
        ("encoder", '[{"query": "a", "pos": "b", "neg": []}]', "instead of a list of texts in pos"),
        ("encoder", '[{"query": "a", "pos": [], "neg": []}]', "no query and pos"),
        ("encoder", '[{"query": "a", "pos": ["b"], "neg": ["c"]}]', "1 negatives, and 7 are drawn"),
        ("encoder", '[{"query": "a", "pos": ["b"], "neg": [1]}]', "instead of a list of texts in neg"),
        ("decoder", '[{"input": "a"}]', "no texts as input and output"),
    ],
)
def test_files_that_are_no_examples_are_refused(tmp_path: Path, kind: Kind, content: str, said: str) -> None:
    path = tmp_path / "examples.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInput, match=said):
        read_examples(path, kind, Rule())


def test_an_input_that_leaves_nothing_of_its_output_is_refused(tmp_path: Path) -> None:
    examples = written(tmp_path / "examples.json", WRITTEN)
    with pytest.raises(BadInput, match="raise --max-input-length"):
        loss(write_llama(tmp_path / "llama", 1), "decoder", examples, Rule(max_input_length=4))


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadInput, match=r"the loss of b .* is nan"):
        check_losses({"a": 1.0, "b": math.nan})
