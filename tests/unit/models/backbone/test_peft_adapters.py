"""Every kind of PEFT adapter that merges gives what peft's own merge gives, and the others are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from flagbench import BadInput
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.resolve import Model, resolve_model
from tests.checkpoints import write_bert, write_byte_qwen2

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore")]  # peft's own warnings

TEXTS = ["how are you", "a <new> man is playing <new>", "北京是中国的首都。"]
Change = Callable[[Any], Any]


def lora(**settings: Any) -> Change:
    chosen = {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj"], "init_lora_weights": False} | settings
    return lambda model: peft.get_peft_model(model, peft.LoraConfig(**chosen))


def of_kind(name: str, **settings: Any) -> Change:
    return lambda model: peft.get_peft_model(model, getattr(peft, name)(**settings))


QWEN2: Mapping[str, Change] = {
    "saved embeddings": lora(modules_to_save=["embed_tokens"]),
    "trainable tokens beside": lora(trainable_token_indices={"embed_tokens": [64, 72]}),
    "trainable tokens": of_kind("TrainableTokensConfig", token_indices=[64, 72], target_modules=["embed_tokens"]),
    "embeddings with a LoRA": lora(target_modules=["q_proj", "embed_tokens"]),
    "saved norms": lora(modules_to_save=["norm", "input_layernorm"]),
    "DoRA": lora(use_dora=True),
    "rsLoRA": lora(use_rslora=True),
    "rank patterns": lora(target_modules=["q_proj", "v_proj"], rank_pattern={"v_proj": 8}, alpha_pattern={"q_proj": 3}),
    "trained biases": lora(bias="all"),
    "LoHa": of_kind("LoHaConfig", r=4, target_modules=["q_proj"]),
    "LoKr": of_kind("LoKrConfig", r=4, target_modules=["q_proj"]),
    "IA3": of_kind("IA3Config", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "OFT": of_kind("OFTConfig", r=0, oft_block_size=4, target_modules=["q_proj"]),
    "BOFT": of_kind("BOFTConfig", boft_block_size=4, target_modules=["q_proj"]),
    "VeRA": of_kind("VeraConfig", r=4, target_modules=["q_proj"], save_projection=False),
    "norms": of_kind("LNTuningConfig"),
}
BERT: Mapping[str, Change] = {
    "saved norms": lora(target_modules=["query"], modules_to_save=["LayerNorm"]),
    "norms": of_kind("LNTuningConfig", target_modules=["LayerNorm"]),
    "embeddings with a LoRA": lora(target_modules=["word_embeddings"]),
}
UNMERGEABLE: Mapping[str, Change] = {
    "PROMPT_TUNING": of_kind("PromptTuningConfig", num_virtual_tokens=3, task_type="FEATURE_EXTRACTION"),
    "PREFIX_TUNING": of_kind("PrefixTuningConfig", num_virtual_tokens=3, task_type="FEATURE_EXTRACTION"),
    "P_TUNING": of_kind("PromptEncoderConfig", num_virtual_tokens=3, task_type="FEATURE_EXTRACTION"),
    "POLY": of_kind("PolyConfig", target_modules=["q_proj"]),
}


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_byte_qwen2(tmp_path_factory.mktemp("base") / "qwen2")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("base") / "bert")


def trained(base: Path, folder: Path, change: Change, *, tokens: int = 0, **saving: Any) -> Path:
    """An adapter of the base with weights that no training made.

    Args:
        base: Its checkpoint.
        folder: Of the adapter.
        change: Puts it on a model.
        tokens: How many are added to the vocabulary before; the adapter then has a tokenizer of its own.
        saving: How it is saved.
    """
    torch.manual_seed(1)
    model: Any = transformers.AutoModel.from_pretrained(base)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(base)
    if tokens:
        tokenizer.add_tokens(["<new>", *(f"<new{number}>" for number in range(1, tokens))], special_tokens=True)
        model.resize_token_embeddings(len(tokenizer))
        tokenizer.save_pretrained(folder)
    wrapped = change(model)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad and parameter.is_floating_point():
                parameter.add_(torch.randn(parameter.shape) / 10)
    wrapped.save_pretrained(folder, **saving)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))
    return folder


def resolved(folder: Path) -> Model:
    return resolve_model(str(folder), None, Overrides(), trust_remote_code=False, allow_pickle=False)


def vectors(folder: Path) -> NDArray[np.float32]:
    model = resolved(folder).load(device="cpu", batch_size=None, trust_remote_code=False, allow_pickle=False)
    found: NDArray[np.float32] = model.encode(TEXTS, role="query").dense
    return found


def merged_by_peft(base: Path, adapter: Path, *, own_tokenizer: bool = False) -> NDArray[np.float32]:
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(adapter if own_tokenizer else base)
    model: Any = transformers.AutoModel.from_pretrained(base)
    if own_tokenizer and len(tokenizer) > model.config.vocab_size:
        model.resize_token_embeddings(len(tokenizer))
    config = peft.PeftConfig.from_pretrained(adapter)
    config.task_type = None
    model = peft.PeftModel.from_pretrained(model, adapter, config=config).merge_and_unload().eval()
    rows = []
    for text in TEXTS:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].float()
        rows.append(torch.nn.functional.normalize(states[0 if model.config.model_type == "bert" else -1], dim=0))
    return torch.stack(rows).numpy()


def assert_as_peft(base: Path, adapter: Path, *, own_tokenizer: bool = False) -> None:
    found = vectors(adapter)
    np.testing.assert_allclose(found, merged_by_peft(base, adapter, own_tokenizer=own_tokenizer), atol=2e-5)
    assert np.abs(found - vectors(base)).max() > 1e-3


@pytest.mark.parametrize("name", QWEN2)
def test_a_decoders_adapter_is_merged_as_peft_merges_it(name: str, qwen2: Path, tmp_path: Path) -> None:
    assert_as_peft(qwen2, trained(qwen2, tmp_path / "adapter", QWEN2[name]))


@pytest.mark.parametrize("name", BERT)
def test_an_encoders_adapter_is_merged_as_peft_merges_it(name: str, bert: Path, tmp_path: Path) -> None:
    assert_as_peft(bert, trained(bert, tmp_path / "adapter", BERT[name]))


def test_embeddings_saved_beside_the_adapter_replace_the_bases(qwen2: Path, tmp_path: Path) -> None:
    adapter = trained(qwen2, tmp_path / "adapter", lora(), save_embedding_layers=True)
    assert_as_peft(qwen2, adapter)


@pytest.mark.parametrize(
    "change",
    [
        lora(),
        lora(modules_to_save=["embed_tokens"]),
        lora(target_modules=["q_proj", "embed_tokens"]),
        lora(trainable_token_indices={"embed_tokens": [257, 258]}),
    ],
    ids=["as saved", "trained whole", "with a LoRA", "trainable tokens"],
)
def test_an_enlarged_vocabulary_is_that_of_the_training(change: Change, qwen2: Path, tmp_path: Path) -> None:
    adapter = trained(qwen2, tmp_path / "adapter", change, tokens=9, save_embedding_layers=True)
    assert_as_peft(qwen2, adapter, own_tokenizer=True)
    spec = resolved(adapter).spec
    assert spec.tokenizer == f"tokenizer.json of {spec.adapters[-1]}"
    assert f"tokenizer: that of the adapter {spec.adapters[-1]}" in resolved(adapter).evidence


def test_an_enlarged_vocabulary_without_its_embeddings_is_refused(qwen2: Path, tmp_path: Path) -> None:
    adapter = trained(
        qwen2, tmp_path / "adapter", lora(target_modules=["embed_tokens"]), tokens=9, save_embedding_layers=False
    )
    with pytest.raises(BadInput, match=r"266 tokens and does not hold them, and local/qwen2@.* has 257: "):
        vectors(adapter)


def test_the_tokenizer_of_the_base_is_no_other_one(qwen2: Path, tmp_path: Path) -> None:
    """As trainers save it beside each adapter: vectors that were made before are found."""
    adapter = trained(qwen2, tmp_path / "adapter", lora())
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / name).write_bytes((qwen2 / name).read_bytes())
    assert resolved(adapter).spec.tokenizer == ""
    assert_as_peft(qwen2, adapter)


@pytest.mark.parametrize("kind", UNMERGEABLE)
def test_what_cannot_be_merged_is_refused_by_name(kind: str, qwen2: Path, tmp_path: Path) -> None:
    adapter = trained(qwen2, tmp_path / "adapter", UNMERGEABLE[kind])
    with pytest.raises(BadInput, match=f"is a PEFT adapter of kind {kind}, which peft cannot merge") as caught:
        vectors(adapter)
    assert len(str(caught.value).splitlines()) == 1


def test_an_adapter_that_lacks_weights_is_refused_and_not_filled_up(qwen2: Path, tmp_path: Path) -> None:
    adapter = trained(qwen2, tmp_path / "adapter", lora())
    path = adapter / "adapter_model.safetensors"
    weights = load_file(path)
    gone = sorted(weights)[0]
    del weights[gone]
    save_file(weights, path)
    with pytest.raises(BadInput, match=rf": 1 weights of adapter .* do not fit local/qwen2@.* \({gone}\); it was"):
        vectors(adapter)
