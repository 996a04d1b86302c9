"""The keys of sentence-transformers' files, and what FlagBench does with each: a table of docs/families.md.

``tests/unit/models/loading/test_modules.py`` holds it against the keys of the installed version and against what
detection does with each; ``tests/parity/test_zoo.py`` holds vectors against its own.
"""

from __future__ import annotations

from collections.abc import Mapping

EFFECT, NONE, REFUSED = "effect", "no effect", "refused"

Row = tuple[str, str]
"""What is done, and a word on it for people."""

KEYS: Mapping[str, Mapping[str, Row]] = {
    "modules.json": {
        "type": (EFFECT, "sentence-transformers' own classes, under old and new names; others are refused"),
        "path": (EFFECT, "also of the Transformer; out of the folder: refused"),
        "name": (EFFECT, "the same twice: refused"),
        "idx": (NONE, "the order of the rows counts"),
        "kwargs": (NONE, "names of arguments that no call passes"),
    },
    "config_sentence_transformers.json": {
        "model_type": (EFFECT, "SentenceTransformer, CrossEncoder; others are refused"),
        "prompts": (
            EFFECT,
            "query; document, else passage or corpus (which 6.2 leaves out); tasks and kinds",
        ),
        "default_prompt_name": (
            EFFECT,
            "before what is neither query nor passage; of a CrossEncoder: refused",
        ),
        "similarity_fn_name": (EFFECT, "cosine, dot; others are refused"),
        "truncate_dim": (EFFECT, "the first numbers of each vector, after all modules"),
        "activation_fn": (EFFECT, "of a CrossEncoder: one that keeps the ranking; others are refused"),
        "keep_in_fp32_modules": (REFUSED, ""),
        "requirements": (NONE, "FlagBench's own versions are what it is tested with"),
        "__version__": (NONE, ""),
    },
    "sentence_bert_config.json, and under its six other names": {
        "max_seq_length": (EFFECT, ""),
        "do_lower_case": (EFFECT, "of a CrossEncoder: refused"),
        "transformer_task": (
            EFFECT,
            "feature-extraction (CrossEncoder: sequence-classification); others are refused",
        ),
        "modality_config": (EFFECT, "texts and their last hidden states alone; chat messages are refused"),
        "module_output_name": (EFFECT, "token_embeddings; others are refused"),
        "processor_kwargs": (EFFECT, "model_max_length; others are refused (also as tokenizer_args)"),
        "model_kwargs": (NONE, "dtype, attention, device; others are refused (also as model_args)"),
        "config_kwargs": (NONE, "dtype, use_cache; others are refused (also as config_args)"),
        "unpad_inputs": (NONE, ""),
        "backend": (NONE, "torch always"),
        "processing_kwargs": (REFUSED, ""),
        "query_length": (REFUSED, ""),
        "document_length": (REFUSED, ""),
        "query_expansion": (REFUSED, ""),
        "tokenizer_name_or_path": (REFUSED, ""),
    },
    "Pooling": {
        "pooling_mode": (EFFECT, "all six, one or several one behind another; also as `pooling_mode_…` keys"),
        "include_prompt": (EFFECT, ""),
        "embedding_dimension": (NONE, "the transformer's counts (also as word_embedding_dimension)"),
    },
    "Dense": {
        "in_features": (EFFECT, ""),
        "out_features": (EFFECT, ""),
        "bias": (EFFECT, ""),
        "activation_function": (EFFECT, "torch's that need no arguments; others are refused"),
        "module_input_name": (EFFECT, "sentence_embedding, token_embeddings; others are refused"),
        "module_output_name": (EFFECT, "the same"),
        "use_residual": (EFFECT, ""),
    },
    "Normalize": {
        "module_input_name": (EFFECT, "sentence_embedding, token_embeddings; others are refused"),
        "module_output_name": (EFFECT, "the same"),
    },
    "LayerNorm": {"dimension": (EFFECT, "")},
    "WeightedLayerPooling": {
        "layer_start": (EFFECT, ""),
        "num_hidden_layers": (EFFECT, ""),
        "embedding_dimension": (NONE, "the transformer's counts"),
    },
    "Dropout": {"dropout": (NONE, "nothing is dropped outside of training")},
}

REFUSED_MODULES = (
    *("Router", "Asym", "CNN", "LSTM", "BoW", "WordEmbeddings", "WordWeights", "StaticEmbedding", "CLIPModel"),
    *("LogitScore", "SpladePooling", "SparseAutoEncoder", "SparseStaticEmbedding", "MLMTransformer", "MultiVectorMask"),
    *("HierarchicalTokenPooling", "LambdaTokenPooling"),
)
"""Modules of sentence-transformers that are refused, whatever their config says."""


def table() -> str:
    """The section of the page."""
    parts = [
        "## Files of sentence-transformers\n",
        "A checkpoint with `modules.json` is read as sentence-transformers 6.2 reads it, or refused in a line that "
        "names the key or module. A key that is not here is refused in the files of a module and in "
        "sentence_bert_config.json, and has no effect in the others. Weights of a Dense, LayerNorm or "
        "WeightedLayerPooling may be a pickle with `--allow-pickle`. Of T5, mT5, UMT5, LongT5 and Switch Transformers "
        "the encoder is read.\n",
        "| file or module | key | what it does | |\n|---|---|---|---|",
    ]
    parts += [
        f"| {file} | `{key}` | {done} | {note} |" for file, rows in KEYS.items() for key, (done, note) in rows.items()
    ]
    parts.append(f"\nRefused whatever their config says: {', '.join(REFUSED_MODULES)}.\n")
    return "\n".join(parts)
