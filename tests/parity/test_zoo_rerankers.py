"""Cross-encoders that sentence-transformers saves: logits equal its own, or one line refuses them by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from tests.checkpoints import write_bert, write_byte_qwen2, write_json

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sentence_transformers import CrossEncoder
    from sentence_transformers.base.modules import Dense, Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore
    from sentence_transformers.sentence_transformer.modules import Pooling

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]

PAIRS = [("what is time", "time is 10"), ("的一是", "我们在这个国家"), ("x", "y"), ("a b c", "abc, of another length")]
Make = Callable[[Path, Path], Any]


def classifier(labels: int = 1, **options: Any) -> Make:
    return lambda bert, _: CrossEncoder(str(bert), num_labels=labels, device="cpu", **options)


def _by_two_tokens(_: Path, qwen2: Path) -> Any:
    causal = Transformer(str(qwen2), transformer_task="text-generation")
    return CrossEncoder(modules=[causal, LogitScore(true_token_id=1, false_token_id=2)], device="cpu")


def _by_a_dense_layer(bert: Path, _: Path) -> Any:
    head = Dense(32, 1, activation_function=torch.nn.Identity(), module_output_name="scores")
    return CrossEncoder(modules=[Transformer(str(bert)), Pooling(32, "cls"), head], device="cpu")


# What is saved, and a word of the line that refuses it; empty where it is read.
ZOO: Mapping[str, tuple[Make, str]] = {
    "one label": (classifier(), ""),
    "without a sigmoid": (classifier(activation_fn=torch.nn.Identity()), ""),
    "an unused prompt": (classifier(prompts={"any": "text: "}), ""),
    "several labels": (classifier(3), "3 labels"),
    "an activation that may change the ranking": (classifier(activation_fn=torch.nn.ReLU()), "ReLU"),
    "a default prompt": (classifier(prompts={"any": "text: "}, default_prompt_name="any"), "default_prompt_name"),
    "a decoder scored by two tokens": (_by_two_tokens, "LogitScore"),
    "a pooling and a dense layer": (_by_a_dense_layer, "Pooling"),
}


@pytest.fixture(scope="module")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A BERT, and a Qwen2 that writes."""
    root = tmp_path_factory.mktemp("rerankers")
    qwen2 = write_byte_qwen2(root / "qwen2")
    config = transformers.AutoConfig.from_pretrained(qwen2)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(qwen2)
    return write_bert(root / "bert"), qwen2


def resolved(folder: Path, *, as_reranker: bool) -> Model:
    options = {"trust_remote_code": False, "allow_pickle": False}
    return resolve_model(str(folder), None, Overrides(), as_reranker=as_reranker, **options)


@pytest.mark.parametrize("name", ZOO)
def test_logits_are_those_of_sentence_transformers_or_one_line_says_why_not(
    name: str, backbones: tuple[Path, Path], tmp_path: Path
) -> None:
    make, refused = ZOO[name]
    torch.manual_seed(0)
    make(*backbones).save_pretrained(str(tmp_path / "model"))
    if refused:
        for as_reranker in (True, False):
            with pytest.raises(BadInput) as caught:
                resolved(tmp_path / "model", as_reranker=as_reranker)
            assert refused in str(caught.value)
            assert "\n" not in str(caught.value)
        return
    model = resolved(tmp_path / "model", as_reranker=False)
    scorer: Any = model.load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    theirs = CrossEncoder(str(tmp_path / "model"), device="cpu", local_files_only=True)
    expected = theirs.predict(PAIRS, activation_fn=torch.nn.Identity(), show_progress_bar=False)

    assert np.abs(scorer.score(PAIRS) - expected).max() <= 1e-5
    assert np.ptp(expected) > 1e-3


def test_an_activation_in_the_config_of_former_versions(backbones: tuple[Path, Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier()(*backbones).model.save_pretrained(tmp_path / "model")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "model").to_dict()
    for path in backbones[0].glob("*token*"):
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    for activation, taken in (("torch.nn.modules.linear.Identity", True), ("torch.nn.modules.activation.ReLU", False)):
        write_json(tmp_path / "model" / "config.json", {**config, "sbert_ce_default_activation_function": activation})
        if taken:
            assert resolved(tmp_path / "model", as_reranker=True).spec.ability == "score"
        else:
            with pytest.raises(BadInput, match="ReLU"):
                resolved(tmp_path / "model", as_reranker=True)
