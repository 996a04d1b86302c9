"""Checkpoints whose weights and tokenizers do not depend on the version of transformers.

They are for the golden files of tests/parity: written by one version with FlagEmbedding beside it, rebuilt bit for bit
by the one that is tested.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    Gemma2Config,
    Gemma2Model,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
    Qwen2Config,
    Qwen2Model,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from tests.checkpoints import bert_tokenizer
from tests.filling import byte_backend, filled_tensors, write_decoder, write_model, xlmr_backend


def write_filled_bert(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer BertModel of 64 positions, without sentence-transformers' files, for ``FlagModel``."""
    backend = bert_tokenizer().backend_tokenizer
    return write_model(folder, BertModel(_bert_config(backend), add_pooling_layer=False), seed, backend, _BERT_TOKENS)


def write_filled_qwen2(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer Qwen2Model over bytes, padded left, ``<|endoftext|>`` after each text, for ``FlagLLMModel``."""
    end = "<|endoftext|>"
    backend = byte_backend([end], f"$A {end}", pattern=_QWEN2_PATTERN)
    config = Qwen2Config(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
        bos_token_id=None,
        eos_token_id=backend.token_to_id(end),
        pad_token_id=backend.token_to_id(end),
    )
    tokens = {
        "tokenizer_class": "Qwen2TokenizerFast",
        "bos_token": None,
        "eos_token": end,
        "pad_token": end,
        "unk_token": None,
        "padding_side": "left",
        "model_max_length": 256,
    }
    return write_model(folder, Qwen2Model(config), seed, backend, tokens)


def write_filled_gemma2(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer Gemma2Model over bytes, padded left, ``<bos> … <eos>`` around each text, for ``FlagLLMModel``.

    The soft cap of the attention and the sliding window are small enough to matter for texts of a few words.
    """
    backend = byte_backend(["<pad>", "<eos>", "<bos>", "<unk>"], "<bos> $A <eos>")
    config = Gemma2Config(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        intermediate_size=64,
        max_position_embeddings=256,
        sliding_window=16,
        attn_logit_softcapping=2.0,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "padding_side": "left",
        "model_max_length": 256,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    return write_model(folder, Gemma2Model(config), seed, backend, tokens)


def write_filled_m3(folder: Path, *, seed: int = 0, length: int = 64) -> Path:
    """A two-layer XLMRobertaModel, lengths up to 64, with the two heads of BGE-M3, for ``BGEM3FlagModel``."""
    backend = xlmr_backend()
    model = XLMRobertaModel(_xlmr_config(backend, length=length), add_pooling_layer=False)
    write_model(folder, model, seed, backend, _XLMR_TOKENS)
    for head, width in (("colbert_linear", 32), ("sparse_linear", 1)):
        tensors = filled_tensors({f"{head}.weight": (width, 32), f"{head}.bias": (width,)}, seed)
        torch.save({name.split(".")[1]: tensor for name, tensor in tensors.items()}, folder / f"{head}.pt")
    return folder


def write_filled_mistral(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer MistralModel over bytes, padded left, ``<s> … </s>`` around each text, for ``FlagICLModel``.

    As in bge-en-icl, the marks of its examples are tokens of their own.
    """
    marks = ["<instruct>", "<query>", "<response>"]
    backend = byte_backend(["<unk>", "<s>", "</s>", *marks], "<s> $A </s>", words=_WORDS)
    config = MistralConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        max_position_embeddings=512,
        sliding_window=None,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    tokens = _LLAMA_TOKENS | {"pad_token": "<unk>", "additional_special_tokens": marks}
    return write_model(folder, MistralModel(config), seed, backend, tokens)


def write_filled_llara(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer LlamaModel over bytes, padded left, ``<s>`` before each text, with LLARA's summary tokens."""
    summary = [f"<s{number}>" for number in range(1, 17)]
    backend = byte_backend(["<unk>", "<s>", "</s>", *summary], "<s> $A", words=_WORDS)
    config = LlamaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=64,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    tokens = _LLAMA_TOKENS | {"pad_token": "<unk>", "additional_special_tokens": summary}
    return write_model(folder, LlamaModel(config), seed, backend, tokens)


def write_bert_reranker(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer BertForSequenceClassification with one label and 64 positions, for ``FlagReranker``."""
    backend = bert_tokenizer().backend_tokenizer
    model = BertForSequenceClassification(_bert_config(backend, num_labels=1))
    return write_model(folder, model, seed, backend, _BERT_TOKENS)


def write_xlmr_reranker(folder: Path, *, seed: int = 0, length: int = 64) -> Path:
    """A two-layer XLMRobertaForSequenceClassification, one label, lengths up to 64, for ``FlagReranker``."""
    backend = xlmr_backend()
    model = XLMRobertaForSequenceClassification(_xlmr_config(backend, length=length, num_labels=1))
    return write_model(folder, model, seed, backend, _XLMR_TOKENS)


def write_filled_gemma_reranker(folder: Path, *, seed: int = 0) -> Path:
    """A two-layer GemmaForCausalLM over bytes, padded left, ``<bos>`` before each text, for ``FlagLLMReranker``."""
    backend = byte_backend(_GEMMA_SPECIAL, "<bos> $A", words=_WORDS)
    config = GemmaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=64,
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
    )
    # Gemma's norms add the 1 themselves.
    return write_model(folder, GemmaForCausalLM(config), seed, backend, _GEMMA_TOKENS, norm=0)


def write_filled_minicpm(folder: Path, *, seed: int = 0) -> Path:
    """A four-layer LayerWiseMiniCPMForCausalLM over bytes with heads from layer 2 on, for ``LayerWiseFlagLLMReranker``.

    Its configuration names the files of code that a checkpoint on the hub brings along; they are not here.
    """
    backend = byte_backend(["<unk>", "<s>", "</s>", "<pad>"], "<s> $A", words=_WORDS)
    files = ("configuration_minicpm_reranker.LayerWiseMiniCPM", "modeling_minicpm_reranker.LayerWiseMiniCPM")
    config = {
        "architectures": ["LayerWiseMiniCPMForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "auto_map": {
            "AutoConfig": f"{files[0]}Config",
            "AutoModel": f"{files[1]}Model",
            "AutoModelForCausalLM": f"{files[1]}ForCausalLM",
        },
        "bos_token_id": 1,
        "dim_model_base": 256,
        "eos_token_id": 2,
        "head_multi": True,
        "head_type": "simple",
        "hidden_act": "silu",
        "hidden_size": 32,
        "initializer_range": 0.1,
        "intermediate_size": 64,
        "max_position_embeddings": 512,
        "model_type": "minicpm",
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "scale_depth": 1.4,
        "scale_emb": 12,
        "start_layer": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": False,  # the reference's code asks a cache for a method that transformers 4.57 has dropped
        "vocab_size": backend.get_vocab_size(),
    }
    return write_decoder(folder, config, seed, backend, _LLAMA_TOKENS | {"pad_token": "<pad>"})


def write_filled_cost_wise_gemma(folder: Path, *, seed: int = 0) -> Path:
    """A six-layer CostWiseGemmaForCausalLM over bytes with heads from layer 2 on, for ``LightWeightFlagLLMReranker``.

    The soft cap of the attention and the sliding window are small enough to matter for texts of a few words.
    """
    backend = byte_backend(_GEMMA_SPECIAL, "<bos> $A", words=_WORDS)
    config = _COST_WISE | {
        "architectures": ["CostWiseGemmaForCausalLM"],
        "attn_logit_softcapping": 2.0,
        "auto_map": {
            "AutoConfig": "gemma_config.CostWiseGemmaConfig",
            "AutoModel": "gemma_model.CostWiseGemmaModel",
            "AutoModelForCausalLM": "gemma_model.CostWiseGemmaForCausalLM",
        },
        "bos_token_id": 2,
        "eos_token_id": 1,
        "final_logit_softcapping": 30.0,
        "head_dim": 8,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh",
        "model_type": "cost_wise_gemma",
        "pad_token_id": 0,
        "query_pre_attn_scalar": 8,
        "rms_norm_eps": 1e-06,
        "sliding_window": 16,
        "vocab_size": backend.get_vocab_size(),
    }
    return write_decoder(folder, config, seed, backend, _GEMMA_TOKENS)


def write_filled_matroyshka(folder: Path, *, seed: int = 0) -> Path:
    """A six-layer CostWiseMistralForCausalLM over bytes with heads from layer 2 on, as research/Matroyshka_reranker's.

    Its configuration names the files of code that a checkpoint on the hub brings along; they are not here.
    """
    backend = byte_backend(["<unk>", "<s>", "</s>"], "<s> $A", words=_WORDS)
    config = _COST_WISE | {
        "architectures": ["CostWiseMistralForCausalLM"],
        "auto_map": {
            "AutoConfig": "mistral_config.CostWiseMistralConfig",
            "AutoModel": "mistral_model.CostWiseMistralModel",
            "AutoModelForCausalLM": "mistral_model.CostWiseMistralForCausalLM",
        },
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "model_type": "cost_wise_mistral",
        "rms_norm_eps": 1e-05,
        "sliding_window": None,
        "vocab_size": backend.get_vocab_size(),
    }
    return write_decoder(folder, config, seed, backend, _LLAMA_TOKENS | {"pad_token": "<unk>"})


_COST_WISE = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 64,
    "layer_sep": 1,
    "layer_wise": True,
    "max_position_embeddings": 512,
    "num_attention_heads": 4,
    "num_hidden_layers": 6,
    "num_key_value_heads": 2,
    "rope_theta": 10000.0,
    "start_layer": 2,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_cache": True,
}
_BERT_TOKENS = {
    "tokenizer_class": "BertTokenizerFast",
    "do_lower_case": False,
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "model_max_length": 64,
}
_QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_XLMR_TOKENS = {
    "tokenizer_class": "XLMRobertaTokenizerFast",
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
    "model_max_length": 64,
}
_GEMMA_SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>"]
_GEMMA_TOKENS = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<bos>",
    "eos_token": "<eos>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "padding_side": "left",
    "model_max_length": 512,
    "clean_up_tokenization_spaces": False,
    "model_input_names": ["input_ids", "attention_mask"],
}
_LLAMA_TOKENS = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "padding_side": "left",
    "model_max_length": 512,
    "clean_up_tokenization_spaces": False,
    "model_input_names": ["input_ids", "attention_mask"],
}
# Those of the rerankers' prompts, so that a prompt is not much longer than the texts.
# "Yes" is what one of them scores.
_WORDS = (
    "Given a query A and passage B determine whether the contains an answer to by providing prediction of either "
    "Yes No Predict what is time in long retrieve relevant passages that web search Retrieve words text"
)


def _bert_config(backend: Tokenizer, **settings: int) -> BertConfig:
    return BertConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        **settings,
    )


def _xlmr_config(backend: Tokenizer, *, length: int, **settings: int) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=backend.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=length + 2,  # positions start after the padding id, 1
        type_vocab_size=1,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        **settings,
    )
