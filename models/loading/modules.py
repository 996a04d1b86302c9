"""modules.json and the files that it names, read as sentence-transformers 6.2 reads them, or refused by name.

Every key that the installed version knows is here: it has its effect, has none on vectors, or is refused. What is not
among sentence-transformers' own classes and keys is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadInput, printable
from flagbench.models.loading.folder import FIX, MODULES, ModuleRow, is_there, module_rows, read_json
from flagbench.models.modules import SENTENCE, TOKENS, Module
from flagbench.models.spec import ModelSpec

MODEL_CONFIG = "config_sentence_transformers.json"
TRANSFORMER_CONFIGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)

# The places of sentence-transformers' modules, before and since version 5.4.
OWN_TYPE = re.compile(
    r"sentence_transformers\.(models|base\.modules|(sentence_transformer|cross_encoder|sparse_encoder)\.(models|modules)"
    r"|multi_vector_encoder\.modules)(\.\w+)?\.\w+"
)
_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Old keys and modes of a Pooling, in the order in which the vectors of several stand one behind another."""

_WIDTHS = frozenset({"embedding_dimension", "word_embedding_dimension"})
_FEATURES = (TOKENS, SENTENCE)
# Of the keys of sentence_bert_config.json: without effect on vectors, and arguments that have none.
_WITHOUT_EFFECT = frozenset({"unpad_inputs", "backend"})
_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "model": frozenset({"trust_remote_code", "attn_implementation", "torch_dtype", "dtype", "device_map"}),
    "processor": frozenset({"trust_remote_code", "model_max_length"}),
    "config": frozenset({"trust_remote_code", "use_cache", "torch_dtype", "dtype"}),
}
_FORMER_ARGUMENTS = {"model_args": "model", "tokenizer_args": "processor", "config_args": "config"}
_PLAIN_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}
_FROM_PAIRS = {"method": "forward", "method_output_name": "logits"}
MODEL_TYPES = ("SentenceTransformer", "CrossEncoder")


@dataclass(frozen=True)
class TransformerConfig:
    """What a sentence_bert_config.json says.

    Attributes:
        max_length: Tokens kept of each text; None where it does not say.
        lowercase: Texts are lower-cased before the tokenizer.
    """

    max_length: int | None = None
    lowercase: bool = False


def model_type(directory: Path) -> str:
    """The class of sentence-transformers that saved a checkpoint; the first one where its files do not say.

    Raises:
        BadInput: It is one of vectors of another kind.
    """
    found = read_json(directory / MODEL_CONFIG).get("model_type", MODEL_TYPES[0])
    if found not in MODEL_TYPES:
        raise BadInput(
            f"{directory}/{MODEL_CONFIG}: model_type '{printable(found)}' is not supported "
            f"({', '.join(MODEL_TYPES)} are)"
        )
    return str(found)


def modules_after_transformer(directory: Path) -> tuple[Module, ...]:
    """The modules of a bi-encoder's modules.json, those without effect left out; none without the file.

    Raises:
        BadInput: A module, or a key of its config, that is not supported; modules that read what none before them made.
    """
    rows = module_rows(directory)
    if not rows:
        return ()
    for row in rows:
        if not OWN_TYPE.fullmatch(row.type):
            raise BadInput(
                f"{directory}/{MODULES}: the module {printable(row.type)!r} is none of sentence-transformers' own, and "
                "is not supported"
            )
    if rows[0].kind != "Transformer":
        raise BadInput(f"{directory}/{MODULES} begins with a module '{rows[0].kind}', which is not supported")
    found = [_module(directory, row) for row in rows[1:]]
    return _connected(directory, [module for module in found if module is not None])


def pooling_of_config(path: Path) -> Module:
    """The Pooling of a 1_Pooling/config.json in its old form (one boolean a mode) or its new one (``pooling_mode``).

    Raises:
        BadInput: None that is known, or another key that is not supported.
    """
    return _pooling(path, read_json(path))


def transformer_config(directory: Path) -> TransformerConfig:
    """What sentence_bert_config.json says, under the first of its names that says anything.

    Args:
        directory: The transformer's folder.

    Raises:
        BadInput: A key that is not supported, or a value that makes no sense.
    """
    name, config = transformer_file(directory)
    path = directory / name
    _only(path, config, _TRANSFORMER_KEYS)
    for key in ("processing_kwargs", "query_length", "document_length", "query_expansion", "tokenizer_name_or_path"):
        if config.get(key) not in (None, {}):
            raise _refused(path, key)
    if config.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise _refused(path, f"transformer_task = '{config['transformer_task']}'")
    if config.get("module_output_name", TOKENS) != TOKENS:
        raise _refused(path, f"module_output_name = '{config['module_output_name']}'")
    if config.get("modality_config", {"text": _PLAIN_TEXT}) != {"text": _PLAIN_TEXT}:
        raise _refused(path, "a modality_config other than of texts and their last hidden states (a chat template?)")
    length = _arguments(path, config).get("model_max_length", config.get("max_seq_length"))
    return TransformerConfig(
        None if length is None else whole(length, "max_seq_length", least=1),
        boolean(path, config, "do_lower_case", default=False),
    )


def check_pairs(directory: Path, folder: Path) -> None:
    """See that a cross-encoder's files of sentence-transformers ask for no more than its logit.

    Args:
        directory: Folder with modules.json.
        folder: The transformer's.

    Raises:
        BadInput: A head or a setting that is not supported.
    """
    rows = module_rows(directory)
    if rows and (len(rows) > 1 or not OWN_TYPE.fullmatch(rows[0].type) or rows[0].kind != "Transformer"):
        odd = next((row for row in rows if row.kind != "Transformer"), rows[-1])
        raise BadInput(
            f"{directory}/{MODULES}: a cross-encoder with a module '{printable(odd.type)}' is not supported (one "
            "transformer that classifies pairs is)"
        )
    name, config = transformer_file(folder)
    path = folder / name
    for key in ("processing_kwargs", "query_length", "document_length", "query_expansion", "tokenizer_name_or_path"):
        if config.get(key) not in (None, {}):
            raise _refused(path, key)
    if config.get("transformer_task", "sequence-classification") != "sequence-classification":
        raise _refused(path, f"transformer_task = '{config['transformer_task']}' of a cross-encoder")
    if config.get("modality_config", {"text": _FROM_PAIRS}) not in ({"text": _FROM_PAIRS}, {"text": _PLAIN_TEXT}):
        raise _refused(path, "a modality_config other than of pairs of texts and their logits (a chat template?)")
    if config.get("do_lower_case"):
        raise _refused(path, "do_lower_case of a cross-encoder")
    _check_pair_settings(directory, read_json(directory / MODEL_CONFIG))


def check_activation(where: str, activation: object) -> None:
    """See that a cross-encoder's activation keeps the order of scores, which are its logits.

    Raises:
        BadInput: It may not.
    """
    name = str(activation).removesuffix("()").rsplit(".", 1)[-1]
    if activation is not None and name not in {"Sigmoid", "Identity", "Tanh", "LogSigmoid", "Softplus", "Softsign"}:
        raise BadInput(f"{where}: the activation {printable(activation)!r} is not supported: it may change the ranking")


def _check_pair_settings(directory: Path, config: Mapping[str, Any]) -> None:
    where = f"{directory}/{MODEL_CONFIG}"
    check_activation(where, config.get("activation_fn"))
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if default is not None and isinstance(prompts, dict) and prompts.get(default):
        raise BadInput(f"{where}: default_prompt_name of a cross-encoder is not supported")
    if config.get("keep_in_fp32_modules"):
        raise BadInput(f"{where}: keep_in_fp32_modules is not supported")


def transformer_file(directory: Path) -> tuple[str, dict[str, Any]]:
    """Name and content of the first sentence_bert_config.json that says anything."""
    found = ((name, read_json(directory / name)) for name in TRANSFORMER_CONFIGS)
    return next(((name, config) for name, config in found if config), (TRANSFORMER_CONFIGS[0], {}))


def _arguments(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for transformers among the keys of a sentence_bert_config.json; those of the processor are returned."""
    processor: dict[str, Any] = {}
    named = {**{f"{kind}_kwargs": kind for kind in _ARGUMENTS}, **_FORMER_ARGUMENTS}
    for key, kind in named.items():
        given = config.get(key) or {}
        if not isinstance(given, dict):
            raise BadInput(f"{path}: {key} is not an object: {FIX}")
        if odd := sorted(given.keys() - _ARGUMENTS[kind]):
            raise _refused(path, f"{key}: {printable(odd[0])}")
        if kind == "processor":
            processor |= given
    return processor


_TRANSFORMER_KEYS = frozenset(
    {
        *("max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name"),
        *("processing_kwargs", "query_length", "document_length", "query_expansion", "tokenizer_name_or_path"),
        *(f"{kind}_kwargs" for kind in _ARGUMENTS),
        *_FORMER_ARGUMENTS,
        *_WITHOUT_EFFECT,
    }
)


# Modules


def _module(directory: Path, row: ModuleRow) -> Module | None:
    """The module of a row; None for one without effect."""
    if row.kind not in _READERS:
        raise BadInput(f"{directory}/{MODULES} has a module '{row.kind}' ({row.folder}), which is not supported")
    path = directory / row.folder / "config.json"
    module = _READERS[row.kind](path, read_json(path) if row.folder else {})
    if module is None or not module.has_weights:
        return module
    return Module(module.kind, row.folder, module.options)


def _pooling(path: Path, config: Mapping[str, Any]) -> Module:
    _only(path, config, {"pooling_mode", "include_prompt", *_WIDTHS, *_POOLINGS})
    modes = config.get("pooling_mode") or [mode for key, mode in _POOLINGS.items() if config.get(key)]
    modes = modes if isinstance(modes, list) else [modes]
    if not modes or any(mode not in _POOLINGS.values() for mode in modes):
        raise BadInput(
            f"{path}: pooling {printable('+'.join(map(str, modes))) or 'unset'} is not supported "
            f"({', '.join(_POOLINGS.values())} are)"
        )
    prompt = boolean(path, config, "include_prompt", default=True)
    return Module(
        "Pooling", options=(("pooling_mode", tuple(modes)), *(() if prompt else (("include_prompt", False),)))
    )


def _dense(path: Path, config: Mapping[str, Any]) -> Module:
    keys = {"in_features", "out_features", "bias", "activation_function", "module_input_name", "module_output_name"}
    _only(path, config, {*keys, "use_residual"})
    activation = config.get("activation_function", "torch.nn.modules.activation.Tanh")
    if not isinstance(activation, str) or not re.fullmatch(r"torch\.nn\.(modules\.\w+\.)?\w+", activation):
        raise _refused(path, f"activation_function = {printable(activation)!r}")
    residual = boolean(path, config, "use_residual", default=False)
    return Module("Dense", options=(*_names(path, config), *((("use_residual", True),) if residual else ())))


def _normalize(path: Path, config: Mapping[str, Any]) -> Module:
    _only(path, config, {"module_input_name", "module_output_name"})
    return Module("Normalize", options=_names(path, config))


def _layer_norm(path: Path, config: Mapping[str, Any]) -> Module:
    _only(path, config, {"dimension"})
    return Module("LayerNorm")


def _layers(path: Path, config: Mapping[str, Any]) -> Module:
    _only(path, config, {*_WIDTHS, "layer_start", "num_hidden_layers"})
    start = whole(config.get("layer_start", 4), "layer_start", least=0)
    return Module("WeightedLayerPooling", options=(("layer_start", start),))


def _dropout(path: Path, config: Mapping[str, Any]) -> None:
    _only(path, config, {"dropout"})


_READERS: Mapping[str, Callable[[Path, Mapping[str, Any]], Module | None]] = {
    "Pooling": _pooling,
    "Dense": _dense,
    "Normalize": _normalize,
    "LayerNorm": _layer_norm,
    "WeightedLayerPooling": _layers,
    "Dropout": _dropout,
}


def _names(path: Path, config: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What a module reads and writes, where it is not the sentence's vector."""
    source = config.get("module_input_name", SENTENCE)
    target = config.get("module_output_name") or source
    for key, name in (("module_input_name", source), ("module_output_name", target)):
        if name not in _FEATURES:
            raise _refused(path, f"{key} = {printable(name)!r}")
    if (source, target) == (SENTENCE, SENTENCE):
        return ()
    return (("module_input_name", source), ("module_output_name", target))


def _connected(directory: Path, modules: list[Module]) -> tuple[Module, ...]:
    """The modules, each of which finds what it reads; those that find nothing and then do nothing are left out."""
    made, kept = {TOKENS}, []
    for module in modules:
        source = (
            TOKENS
            if module.kind in {"Pooling", "WeightedLayerPooling"}
            else module.option("module_input_name", SENTENCE)
        )
        if source not in made and module.kind == "Normalize":
            continue
        if source not in made:
            raise BadInput(
                f"{directory}/{MODULES} has a module '{module.kind}' before the Pooling that it needs: {FIX}"
            )
        made.add(SENTENCE if module.kind == "Pooling" else module.option("module_output_name", source))
        kept.append(module)
    if not any(module.kind == "Pooling" for module in kept):
        raise BadInput(f"{directory}/{MODULES} has no Pooling module, which is not supported")
    return tuple(kept)


def check_module_weights(directory: Path, spec: ModelSpec, *, allow_pickle: bool) -> None:
    """See that the weights of a model's modules are there and may be read.

    Args:
        directory: Folder with modules.json.
        spec: Names the modules.
        allow_pickle: Whether pickles may be read.

    Raises:
        BadInput: They are not there, or there is no leave to read them.
    """
    for module in spec.modules:
        folder = directory / module.folder
        if not module.has_weights or is_there(folder / "model.safetensors"):
            continue
        if not is_there(folder / "pytorch_model.bin"):
            raise BadInput(f"{folder} has no model.safetensors, which its {module.kind} module needs: {FIX}")
        if not allow_pickle:
            raise BadInput(
                f"{folder}/pytorch_model.bin is a pickle, which its {module.kind} module has to read; pass "
                "--allow-pickle if you trust its author (only tensors are read from it)"
            )


# Values


def boolean(path: Path, config: Mapping[str, Any], key: str, *, default: bool) -> bool:
    """A yes or no of a JSON file.

    Raises:
        BadInput: It is neither.
    """
    value = config.get(key, default)
    if not isinstance(value, bool):
        raise BadInput(f"{path}: {key} = {printable(repr(value)):.80} is neither true nor false: {FIX}")
    return value


def whole(value: object, key: str, *, least: int | None = None) -> int:
    """A number of a JSON file that must be whole, and perhaps not below another.

    Raises:
        BadInput: It is neither.
    """
    number = type(value) is int or (isinstance(value, float) and value.is_integer())
    if number and (least is None or value >= least):  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload, no-any-return]
    wanted = "not a whole number" if least is None else f"not a whole number from {least} on"
    raise BadInput(
        f"the checkpoint's files say {key} = {printable(repr(value)):.80}, which is {wanted}: fix or copy them again"
    )


def _only(path: Path, config: Mapping[str, Any], known: set[str] | frozenset[str]) -> None:
    if odd := sorted(config.keys() - known):
        raise _refused(path, printable(odd[0]))


def _refused(path: Path, what: str) -> BadInput:
    return BadInput(f"{path}: {what} is not supported")
