"""PEFT adapters of language models of texts, and the rope base that they and their base run with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from flagbench import BadInput, ModelFault
from flagbench.models.backbone import rope
from flagbench.models.backbone.rope import bases_in_force, check_base, set_base
from flagbench.models.loading.registry import published
from flagbench.models.text import TextSettings
from tests.answering import answers_of, asking
from tests.causal_checkpoints import CHAT, found_text, loaded_text, write_causal
from tests.checkpoints import write_json

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]  # peft's own warnings

BASE = 200e6
RANK, ALPHA = 4, 6
TARGETS = ["q_proj", "v_proj", "down_proj"]
NAME = "Llama-3-8B-Instruct-80K-QLoRA"
PROMPTS = [asking("", "What is a fox? " * 9), asking("Be brief.", "Why?")]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama whose config.json is transformers 4's, with another rope base."""
    folder = write_causal(tmp_path_factory.mktemp("base") / "base", "llama", CHAT)
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"]
    write_json(folder / "config.json", config | {"rope_theta": 500000.0})
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA named as the published one, which states no rope base."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    torch.manual_seed(3)
    settings = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS, init_lora_weights=False)
    folder = tmp_path_factory.mktemp("adapter") / NAME
    peft.get_peft_model(model, settings).save_pretrained(folder)
    path = folder / "adapter_config.json"
    write_json(path, json.loads(path.read_text()) | {"base_model_name_or_path": str(base)})
    return folder


def naive_merge(base: Path, adapter: Path, theta: float) -> Any:
    """transformers' own model with the base set, and W + B A alpha / r in the place of each matrix."""
    from safetensors.torch import load_file

    config = transformers.AutoConfig.from_pretrained(base)
    config.rope_parameters = {"rope_type": "default", "rope_theta": theta}
    model = transformers.AutoModelForCausalLM.from_pretrained(base, config=config).eval()
    stored = load_file(adapter / "adapter_model.safetensors")
    with torch.no_grad():
        for name, module in model.named_modules():
            if name.split(".")[-1] in TARGETS:
                a, b = (stored[f"base_model.model.{name}.lora_{side}.weight"] for side in "AB")
                module.weight += b @ a * (ALPHA / RANK)
    return model


@torch.inference_mode()
def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model(ids).logits
    return found


def test_an_adapter_is_merged_with_the_rope_base_that_is_asked_for(base: Path, adapter: Path) -> None:
    model = loaded_text(adapter, rope_theta=BASE)
    wanted = naive_merge(base, adapter, BASE)
    ids = model._prepared(PROMPTS[:1], 0)[0]["input_ids"]

    assert [round(found) for found in bases_in_force(model._model)] == [pytest.approx(BASE, rel=1e-4)]
    assert (logits(model._model, ids) - logits(wanted, ids)).abs().max() < 1e-5
    other = naive_merge(base, adapter, 500000.0)
    assert (logits(other, ids) - logits(wanted, ids)).abs().max() > 1e-2
    assert (model.spec.own.rope_theta, model.positions) == (BASE, 0)
    assert model.spec.as_dict()["text"]["rope_theta"] == BASE
    assert len(answers_of(model, PROMPTS, 4)) == 2


def test_the_published_adapter_without_its_rope_base_is_refused(base: Path, adapter: Path) -> None:
    given: dict[str, Any]
    for given, used in (({}, "500,000"), ({"rope_theta": 1e6}, "1,000,000")):
        for model, adapters in ((adapter, ()), (base, (str(adapter),))):
            with pytest.raises(BadInput) as caught:
                found_text(model, adapters=adapters, **given)
            assert str(caught.value) == (
                f"the adapter local/{NAME} was trained with the rope base 200,000,000, and it would run with {used}: "
                "use --rope-theta 200000000"
            )


def test_an_adapter_may_be_given_beside_its_base(base: Path, adapter: Path) -> None:
    one = found_text(adapter, rope_theta=BASE)
    other = found_text(base, adapters=(str(adapter),), rope_theta=BASE)

    assert one.spec == other.spec
    assert (one.spec.name, one.spec.base.split("@")[0]) == (f"local/{NAME}", "local/base")
    assert any(line.startswith("adapters: ") and "merged into local/base" in line for line in one.evidence)


def test_the_base_in_force_is_said(base: Path) -> None:
    plain, changed = found_text(base), found_text(base, rope_theta=BASE)

    assert "rope base: 500,000, from config.json" in plain.evidence
    assert (plain.spec.own.rope_theta, plain.spec.own.positions) == (500000.0, 512)
    assert (
        "rope base: 200,000,000, where config.json states 500,000; how many positions it has with that is not known"
        in changed.evidence
    )
    assert plain.spec.digest() != changed.spec.digest()


def test_the_rows_of_models_toml_have_what_was_published() -> None:
    for end in ("", "-Merged"):
        row = published()[f"namespace-Pt/{NAME}{end}"]
        assert row.own == TextSettings(rope_theta=BASE, chat="llama-3")
        assert (row.adapter, row.ability) == ("text-lm", "generate")


# Bases that do not come into force


def test_an_attribute_alone_changes_nothing_and_is_seen(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a README of transformers 4 does; under 5 it is without effect, and a model that runs so is a fault."""
    monkeypatch.setattr(rope, "rope_base_of", lambda config: 0.0)

    def attribute(config: Any, theta: float, _: str) -> None:
        config.rope_theta = theta

    from flagbench.models.generators import text_lm

    monkeypatch.setattr(text_lm, "set_base", attribute)
    with pytest.raises(ModelFault, match="should turn its positions by the base 200,000,000 and turns them by 500,000"):
        loaded_text(base, rope_theta=BASE)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("default", {}),
        ("linear", {"factor": 4.0}),
        ("dynamic", {"factor": 2.0}),
        (
            "llama3",
            {
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
            },
        ),
    ],
)
@pytest.mark.parametrize("theta", [10000.0, 500000.0, BASE])
def test_the_base_is_seen_in_the_frequencies(kind: str, more: dict[str, Any], theta: float) -> None:
    """Of heads as large as those of real models."""
    parameters = {"rope_type": kind, "rope_theta": theta, **more}
    sizes = {"hidden_size": 128, "num_attention_heads": 1, "num_hidden_layers": 1, "intermediate_size": 8}
    config = transformers.LlamaConfig(vocab_size=8, rope_parameters=parameters, **sizes)
    model = transformers.LlamaForCausalLM(config)
    (found,) = bases_in_force(model)

    assert abs(found - theta) < 1e-4 * theta
    check_base(model, theta, "m")
    with pytest.raises(ModelFault):
        check_base(model, theta * 1.01, "m")
    set_base(config, 3e7, "m")
    assert config.rope_parameters == parameters | {"rope_theta": 3e7}
    check_base(transformers.LlamaForCausalLM(config), 3e7, "m")


def test_a_model_without_one_base_takes_none(tmp_path: Path) -> None:
    folder = write_causal(tmp_path / "m", "llama", None)
    words = transformers.AutoTokenizer.from_pretrained(folder)
    config = transformers.GPT2Config(vocab_size=len(words), n_embd=32, n_layer=2, n_head=4, n_positions=64)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)

    assert found_text(folder).spec.own.rope_theta == 0
    with pytest.raises(BadInput, match=r"has not one base of rotary positions \(config.json\): drop --rope-theta"):
        found_text(folder, rope_theta=BASE)
    with pytest.raises(BadInput, match="has not one base of rotary positions: drop --rope-theta"):
        set_base(config, BASE, "m")


def test_a_scaling_in_which_the_base_cannot_be_seen_takes_none() -> None:
    parameters = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}
    config = transformers.LlamaConfig(rope_parameters=parameters)

    set_base(config, 1e4, "m")
    with pytest.raises(BadInput, match="scales its rotary positions by 'yarn', of which the base cannot be seen"):
        set_base(config, BASE, "m")
