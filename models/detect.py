"""Which settings a checkpoint wants, told from its files and from what the user asks for, with the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput
from models.checkpoint import Checkpoint, read_json
from models.registry import family_spec, published, registry
from models.spec import DType, ModelSpec, Pooling, Prompts, Similarity

# FlagEmbedding's defaults for a folder without sentence-transformers' files (facts of AbsEmbedder and auto_embedder):
_CLS_TYPES = {"bert", "xlm-roberta"}
_LAST_TOKEN_TYPES = {"gemma2", "mistral", "qwen2", "qwen3", "llama"}
_DEFAULT_LENGTH = 512
# Position ids start after the padding id in the RoBERTa family.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "mpnet"}
# The classes that a checkpoint is read as here; code of its own for others does not matter.
_CLASSES_READ = {"AutoModel", "AutoModelForSequenceClassification"}
_NO_LIMIT = 10**9  # tokenizers without a limit write 1e30
_QUERY_SELECTORS = ("Retrieval-query", "Reranking-query")
_PASSAGE_SELECTORS = ("Retrieval-passage", "Reranking-passage")
_ROLE_NAMES = {"document": "passage", "corpus": "passage"}


@dataclass(frozen=True)
class Overrides:
    """What the user said of the model on the command line; None leaves a setting to the files."""

    pooling: Pooling | None = None
    normalize: bool | None = None
    max_length: int | None = None
    query_instruction: str | None = None
    passage_instruction: str | None = None
    lowercase: bool | None = None
    dtype: DType | None = None
    family: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Detection:
    """A spec and, line by line, where its settings come from."""

    spec: ModelSpec
    evidence: tuple[str, ...]


def detect(checkpoint: Checkpoint, overrides: Overrides, *, trust_remote_code: bool = False) -> Detection:
    """Work out the effective spec of a checkpoint.

    A published name takes its row of models.toml. Anything else is read from its files; the instruction, which no file
    of a plain checkpoint holds, is taken from models.toml when the folder (or, for ``checkpoint-N``, the run's folder)
    bears a published checkpoint's name.

    Raises:
        BadInput: A model that is no text encoder, wants remote code, has parts that are not supported, or whose
            pooling cannot be told; a length beyond the model's positions.
    """
    config = read_json(checkpoint.directory / "config.json")
    _refuse_other_models(checkpoint.directory, config, overrides, trust_remote_code)
    row = None if checkpoint.local else published().get(checkpoint.name)
    if overrides.family:
        spec, evidence = _as_family(checkpoint, config, overrides.family)
    elif choices := _choices(checkpoint):
        raise BadInput(f"{checkpoint.name} is evaluated with one of {', '.join(choices)}: name it with --family")
    elif row is not None:
        spec, evidence = replace(row, revision=checkpoint.revision), [f"settings: models.toml, {row.name}"]
    elif _is_cross_encoder(config):
        spec, evidence = _cross_encoder(checkpoint, config)
    else:
        spec, evidence = _from_files(checkpoint, config, overrides)
    if config.get("model_type") == "gemma2":
        spec = replace(spec, attention="eager")
        evidence = [*evidence, "attention: eager, for Gemma2's soft-capping"]
    spec, said = override(spec, overrides)
    limit = position_limit(config)
    for length in (spec.query_max_length, spec.passage_max_length):
        if limit and length > limit:
            raise BadInput(f"{spec.name} has {limit} positions, and a length of {length} was asked for: lower it")
    return Detection(spec, (*evidence, *said))


def position_limit(config: Mapping[str, Any]) -> int:
    """Tokens that the model has positions for; 0 when its config does not say."""
    positions = _whole(config.get("max_position_embeddings") or 0, "max_position_embeddings")
    if config.get("model_type") in _OFFSET_POSITIONS and positions:
        return positions - _whole(config.get("pad_token_id", 1), "pad_token_id") - 1
    return max(positions, 0)


def _whole(value: object, key: str) -> int:
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise BadInput(f"the checkpoint's files say {key} = {value!r}, which is no whole number: mend or copy them again")


def _refuse_other_models(
    directory: Path, config: Mapping[str, Any], overrides: Overrides, trust_remote_code: bool
) -> None:
    architectures = [str(name) for name in config.get("architectures") or []]
    own = [str(code) for name, code in (config.get("auto_map") or {}).items() if name in _CLASSES_READ]
    if own and not trust_remote_code:
        raise BadInput(f"{directory} brings its own code ({own[0]}); pass --trust-remote-code if you trust its author")
    causal = any(name.endswith("ForCausalLM") for name in architectures)
    if causal and not (directory / "modules.json").is_file() and overrides.pooling is None:
        raise BadInput(
            f"{directory} is a {architectures[0]}, which may be a reranker, a generator or an embedder; "
            "if it is an embedder, say so with --pooling lasttoken"
        )


def _choices(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The families that fit a checkpoint of this name where they are several; empty else."""
    ask = registry().ask
    if not checkpoint.local:
        return ask.get(checkpoint.name, ())
    return next((families for name, families in ask.items() if name.split("/")[1] == _named_folder(checkpoint)), ())


def _as_family(checkpoint: Checkpoint, config: Mapping[str, Any], family: str) -> tuple[ModelSpec, list[str]]:
    """The settings of a family that the user named, which the files must not contradict.

    Raises:
        UnknownName: No such family.
        BadInput: The files are of a model of another kind, or say another pooling.
    """
    directory = checkpoint.directory
    spec = family_spec(family, name=checkpoint.name, revision=checkpoint.revision)
    if (spec.ability == "score") != _is_cross_encoder(config):
        kind = "a reranker" if _is_cross_encoder(config) else "no reranker"
        raise BadInput(f"--family {family}: {directory} is {kind} by its config.json; name another family")
    pooling = directory / "1_Pooling" / "config.json"
    if spec.ability == "encode" and pooling.is_file() and _pooling_mode(pooling) != spec.pooling:
        raise BadInput(
            f"--family {family} means {spec.pooling} pooling, and {pooling} says {_pooling_mode(pooling)}; "
            "name another family"
        )
    limit = position_limit(config) or spec.passage_max_length
    evidence = [f"settings: models.toml, family {family}, as asked for"]
    if limit < spec.passage_max_length:
        evidence.append(f"length: {limit} tokens, all the positions that it has")
    lengths = {key: min(getattr(spec, key), limit) for key in ("query_max_length", "passage_max_length")}
    return replace(spec, **lengths), evidence


def _is_cross_encoder(config: Mapping[str, Any]) -> bool:
    return any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or [])


def _cross_encoder(checkpoint: Checkpoint, config: Mapping[str, Any]) -> tuple[ModelSpec, list[str]]:
    """FlagReranker's settings: 512 tokens of a pair, three quarters of them for the query."""
    length = min(_DEFAULT_LENGTH, position_limit(config) or _DEFAULT_LENGTH)
    spec = ModelSpec(
        name=checkpoint.name,
        revision=checkpoint.revision,
        family="detected",
        adapter="models.crossencoder:load",
        ability="score",
        query_max_length=_query_share(length),
        passage_max_length=length,
    )
    return spec, [
        f"reranker: {config['architectures'][0]}, from config.json",
        f"length: {length} tokens a pair, {_query_share(length)} of them for the query, FlagEmbedding's default",
    ]


def _query_share(length: int) -> int:
    """FlagEmbedding's ``query_max_length`` of a reranker: ``max_length * 3 // 4``."""
    return length * 3 // 4


def _from_files(checkpoint: Checkpoint, config: Mapping[str, Any], overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    directory, evidence = checkpoint.directory, []
    modules = _modules(directory)
    if modules:
        pooling, normalize, dense = _from_modules(directory, modules)
        evidence.append(f"pooling: {pooling}, from modules.json and its pooling folder")
        evidence.append(f"normalisation: {'yes' if normalize else 'no'}, from modules.json")
    else:
        pooling, reason = _pooling_without_modules(directory, config, overrides)
        normalize, dense = True, ()
        evidence += [
            f"pooling: {reason}",
            "normalisation: yes, as FlagEmbedding does for a folder without modules.json",
        ]
    length, reason = _length(directory, config, bool(modules))
    evidence.append(f"length: {length} tokens, {reason}")
    sentence_transformers = read_json(directory / "config_sentence_transformers.json")
    prompts, lowercase = _prompts(sentence_transformers), bool(_bert_config(directory).get("do_lower_case", False))
    if prompts:
        evidence.append("instructions: prompts of config_sentence_transformers.json")
    row = _published_under_folder_name(checkpoint)
    if row is not None:
        lowercase = row.lowercase
        prompts = prompts or row.prompts
        evidence.append(f"instruction and lower-casing: those of {row.name}, whose name the folder bears")
    elif not prompts:
        evidence.append("instruction: none known (pass --query-instruction if the model was trained with one)")
    if any((directory / name).is_file() for name in ("colbert_linear.pt", "sparse_linear.pt")):
        evidence.append("BGE-M3 heads found: only the dense vectors are evaluated by this version")
    return ModelSpec(
        name=checkpoint.name,
        revision=checkpoint.revision,
        family="detected",
        adapter="models.dense:load",
        ability="encode",
        pooling=pooling,
        normalize=normalize,
        similarity=_similarity(sentence_transformers),
        query_max_length=length,
        passage_max_length=length,
        prompts=prompts,
        lowercase=lowercase,
        dense_layers=dense,
        licence=row.licence if row else "",
    ), evidence


def _modules(directory: Path) -> list[dict[str, Any]]:
    path = directory / "modules.json"
    if not path.is_file():
        return []
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise BadInput(f"{path} is not JSON ({error}); copy the checkpoint again") from error
    if not isinstance(modules, list) or not all(isinstance(row, dict) and "type" in row for row in modules):
        raise BadInput(f"{path} is not a list of modules with a type each; copy the checkpoint again")
    return modules


def _from_modules(directory: Path, modules: list[dict[str, Any]]) -> tuple[Pooling, bool, tuple[str, ...]]:
    pooling: Pooling | None = None
    normalize = False
    dense: list[str] = []
    for module in modules:
        kind, folder = str(module["type"]).rsplit(".", 1)[-1], str(module.get("path", ""))
        if kind == "Pooling":
            pooling = _pooling_mode(directory / folder / "config.json")
        elif kind == "Normalize":
            normalize = True
        elif kind == "Dense":
            dense.append(folder)
        elif kind not in {"Transformer", "Dropout"}:
            raise BadInput(f"{directory}/modules.json has a module '{kind}' ({folder}), which is not supported")
    if pooling is None:
        raise BadInput(f"{directory}/modules.json has no Pooling module, which is not supported")
    return pooling, normalize, tuple(dense)


def _pooling_mode(path: Path) -> Pooling:
    """Read a 1_Pooling/config.json in its old form (one boolean a mode) or its new one (``pooling_mode``)."""
    config = read_json(path)
    modes = config.get("pooling_mode") or [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, on in config.items()
        if key.startswith("pooling_mode_") and on
    ]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if config.get("include_prompt") is False:
        raise BadInput(f"{path}: include_prompt = false is not supported")
    match modes:
        case ["cls"]:
            return "cls"
        case ["mean"]:
            return "mean"
        case ["lasttoken"]:
            return "lasttoken"
    raise BadInput(
        f"{path}: pooling {'+'.join(map(str, modes)) or 'unset'} is not supported (cls, mean, lasttoken are)"
    )


def _pooling_without_modules(directory: Path, config: Mapping[str, Any], overrides: Overrides) -> tuple[Pooling, str]:
    kind = str(config.get("model_type", ""))
    if (directory / "1_Pooling" / "config.json").is_file():
        mode = _pooling_mode(directory / "1_Pooling" / "config.json")
        return mode, f"{mode}, from 1_Pooling"
    if kind in _CLS_TYPES:
        return "cls", f"cls, FlagEmbedding's rule for a {kind} without 1_Pooling"
    if kind in _LAST_TOKEN_TYPES:
        return "lasttoken", f"lasttoken, FlagEmbedding's rule for a {kind} without 1_Pooling"
    if overrides.pooling:
        return overrides.pooling, f"{overrides.pooling}, as asked for"
    raise BadInput(f"{directory}: the pooling of a {kind or 'model without model_type'} cannot be told; pass --pooling")


def _bert_config(directory: Path) -> dict[str, Any]:
    for name in ("sentence_bert_config.json", "sentence_roberta_config.json", "sentence_xlm-roberta_config.json"):
        if (directory / name).is_file():
            return read_json(directory / name)
    return {}


def _length(directory: Path, config: Mapping[str, Any], sentence_transformers: bool) -> tuple[int, str]:
    stated = _bert_config(directory).get("max_seq_length")
    if stated:
        return _whole(stated, "max_seq_length"), "from sentence_bert_config.json"
    limit = position_limit(config) or _NO_LIMIT
    if sentence_transformers:
        tokenizer = read_json(directory / "tokenizer_config.json").get("model_max_length") or _NO_LIMIT
        length = min(_whole(tokenizer, "model_max_length"), limit)
        if length < _NO_LIMIT:
            return length, "the tokenizer's or the positions' limit, as sentence-transformers does"
    return min(_DEFAULT_LENGTH, limit), "FlagEmbedding's default"


def _similarity(config: Mapping[str, Any]) -> Similarity:
    match config.get("similarity_fn_name") or "cosine":
        case "cosine":
            return "cosine"
        case "dot":
            return "dot"
        case other:
            raise BadInput(
                f"config_sentence_transformers.json: similarity '{other}' is not supported (cosine, dot are)"
            )


def _prompts(config: Mapping[str, Any]) -> Prompts:
    pairs: list[tuple[str, str]] = []
    named: dict[str, str] = config.get("prompts") or {}
    for key, text in named.items():
        head, _, tail = key.rpartition("-")
        role = _ROLE_NAMES.get(tail, tail)
        pairs.append((f"{head}-{role}" if head else role, text))
    default = config.get("default_prompt_name")
    if default:
        if default not in named:
            raise BadInput(f"config_sentence_transformers.json: default prompt '{default}' is not among its prompts")
        pairs.append(("*", named[default]))
    return tuple(pairs) if any(text for _, text in pairs) else ()


def _named_folder(checkpoint: Checkpoint) -> str:
    """The folder whose name may be that of a published checkpoint: of ``run/checkpoint-N`` the run's."""
    directory = checkpoint.directory
    return directory.parent.name if directory.name.startswith("checkpoint-") else directory.name


def _published_under_folder_name(checkpoint: Checkpoint) -> ModelSpec | None:
    if not checkpoint.local:
        return None
    folder = _named_folder(checkpoint)
    rows = (spec for spec in published().values() if spec.has_files)
    return next((spec for spec in rows if spec.name.split("/")[1] == folder), None)


def override(spec: ModelSpec, overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    """Apply the user's flags; each one that was given is a line of evidence.

    Raises:
        BadInput: A flag for encoders, and the model scores pairs.
    """
    if spec.ability == "score":
        for flag in ("pooling", "normalize", "lowercase", "passage_instruction"):
            if getattr(overrides, flag) is not None:
                raise BadInput(f"{spec.name} is a reranker, which has no --{flag.replace('_', '-')}: drop the flag")
    changes: dict[str, Any] = {
        key: value
        for key, value in {
            "pooling": overrides.pooling,
            "normalize": overrides.normalize,
            "lowercase": overrides.lowercase,
            "dtype": overrides.dtype,
            "name": overrides.name,
            "query_max_length": _query_share(overrides.max_length)
            if overrides.max_length and spec.ability == "score"
            else overrides.max_length,
            "passage_max_length": overrides.max_length,
        }.items()
        if value is not None
    }
    said = [f"{key}: {value!r}, as asked for" for key, value in changes.items()]
    prompts = spec.prompts
    for text, selectors, role in (
        (overrides.query_instruction, _QUERY_SELECTORS, "query"),
        (overrides.passage_instruction, _PASSAGE_SELECTORS, "passage"),
    ):
        if text is not None:
            kept = tuple(pair for pair in prompts if not (pair[0] == role or pair[0].endswith(f"-{role}")))
            prompts = kept + tuple((selector, text) for selector in selectors)
            said.append(f"{role} instruction: {text!r}, as asked for")
    return replace(spec, **changes, prompts=prompts), said
