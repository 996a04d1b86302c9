"""Detection of a checkpoint's settings, from its files and the user's flags, with the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flagbench import BadInput
from flagbench.models.contract import Cutoff
from flagbench.models.loading.adapter_bases import merged
from flagbench.models.loading.checkpoint import Checkpoint
from flagbench.models.loading.checkpoint_settings import (
    CLS_TYPES,
    LAST_TOKEN_TYPES,
    declared_pooling,
    length,
    pooling_without_modules,
    position_limit,
    prompts,
    similarity,
    truncation,
)
from flagbench.models.loading.folder import MODULES, is_there, read_config, read_json, transformer_folder
from flagbench.models.loading.image_kinds import as_image_model, two_tower_family
from flagbench.models.loading.kinds import Kind, check_encoder, family_by_files, kind_of, scored_otherwise
from flagbench.models.loading.mixture import as_mixture
from flagbench.models.loading.modules import (
    MODEL_CONFIG,
    check_activation,
    check_pairs,
    model_type,
    modules_after_transformer,
    transformer_config,
)
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import encoder_families, family_spec, published, registry
from flagbench.models.modules import Module, ModuleSettings, common_settings, without_prompt
from flagbench.models.spec import ModelSpec

# The classes that a checkpoint is read as here; code of its own for others does not matter.
_CLASSES_READ = {"AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification"}
# Families of rerankers, with the kind of their files; those of the last three are read without the code they bring.
_RERANKERS: Mapping[str, Kind] = {
    "cross-encoder": "cross-encoder",
    "llm-reranker": "causal",
    "layerwise-reranker": "layerwise-reranker",
    "lightweight-reranker": "lightweight-reranker",
    "matroyshka-reranker": "matroyshka-reranker",
}
# The adapters whose models, by their files alone, are read as those of ``dense``.
_READ_AS_DENSE = {"dense", "m3"}
# sentence-transformers leaves their prompts out of the pooling by their names; their files do not say so.
_INSTRUCTOR = {f"hkunlp/instructor-{size}" for size in ("base", "large", "xl")}
_NATIVE: tuple[Kind, ...] = ("layerwise-reranker", "lightweight-reranker", "matroyshka-reranker", "two-towers")


@dataclass(frozen=True)
class Detection:
    """A spec and, line by line, where its settings come from.

    Attributes:
        cutoffs: Where a layerwise reranker is read in one pass; empty for other models.
    """

    spec: ModelSpec
    evidence: tuple[str, ...]
    cutoffs: tuple[Cutoff, ...] = ()


_OVERRULED: Mapping[str, frozenset[str]] = {
    "pooling": frozenset({"pooling"}),
    "normalisation": frozenset({"normalize"}),
    "length": frozenset({"query_max_length", "passage_max_length"}),
    "dtype": frozenset({"dtype"}),
    "instruction": frozenset({"query instruction"}),
}
"""By what a line of evidence is about: the settings that, all of them given by the user, leave nothing of it."""


def _overruled(line: str, by: Sequence[str]) -> bool:
    """Tell whether the user's flags, by their own lines, take the place of what a line of evidence says."""
    flags = _OVERRULED.get(line.partition(":")[0])
    return flags is not None and flags <= {each.partition(":")[0] for each in by}


def _never() -> bool:
    return False


def detect(
    checkpoint: Checkpoint,
    overrides: Overrides,
    *,
    trust_remote_code: bool = False,
    as_reranker: bool = False,
    on_cpu: Callable[[], bool] = _never,
) -> Detection:
    """Work out the effective spec of a checkpoint.

    A published name takes its row of models.toml. Anything else is read from its files; the instruction, which no file
    of a plain checkpoint holds, is taken from models.toml when the folder (or, for ``checkpoint-N``, the run's folder)
    bears a published checkpoint's name.

    Args:
        checkpoint: Files.
        overrides: What the user says.
        trust_remote_code: Code that the checkpoint brings may run.
        as_reranker: The user gave it as a reranker, which settles what a plain decoder is.
        on_cpu: Says whether it will run on the processor, where a family's half precision gives way to fp32; asked
            only where that matters, as it imports torch.

    Raises:
        BadInput: A model that is not a text encoder or reranker, needs remote code, has unsupported parts, or whose
            settings cannot be detected; flags that contradict the files; a length beyond the model's positions.
    """
    config = read_config(checkpoint.transformer)
    kind = kind_of(config)
    _refuse_own_code(checkpoint.transformer, config, kind, trust_remote_code)
    spec, evidence = _settings(checkpoint, config, kind, overrides, as_reranker)
    spec, evidence = as_image_model(checkpoint, config, spec, evidence)
    if config.get("model_type") in {"gemma2", "cost_wise_gemma"}:
        spec = replace(spec, attention="eager")
        evidence.append("attention: eager, for Gemma2's soft-capping")
    if overrides.dtype is None and spec.dtype != "fp32" and on_cpu():
        evidence.append(f"dtype: fp32 on the processor, as FlagEmbedding does ({spec.dtype} on a GPU)")
        spec = replace(spec, dtype="fp32")
    spec, lines = merged(spec, checkpoint)
    evidence += lines
    spec, lines = as_mixture(spec, checkpoint)
    evidence += lines
    spec, override_evidence = override(spec, overrides)
    evidence = [line for line in evidence if not _overruled(line, override_evidence)] + override_evidence
    cutoffs: tuple[Cutoff, ...] = ()
    if spec.own:
        spec, cutoffs, override_evidence = spec.own.at_checkpoint(spec, config, overrides.own, overrides.cutoff)
        evidence += override_evidence
    limit = position_limit(config)
    for tokens in (spec.query_max_length, spec.passage_max_length):
        if limit and tokens > limit:
            raise BadInput(f"{spec.name} has {limit} positions, and a length of {tokens} was asked for: lower it")
    return Detection(spec, tuple(evidence), cutoffs)


def _settings(
    checkpoint: Checkpoint, config: Mapping[str, Any], kind: Kind, overrides: Overrides, as_reranker: bool
) -> tuple[ModelSpec, list[str]]:
    """The settings before the user's flags: a named family, a row of models.toml, or the files, in this order."""
    directory, settings = checkpoint.transformer, checkpoint.settings_folder
    row = None if checkpoint.local else published().get(checkpoint.name)
    if kind == "causal" and (overrides.family == "llm-reranker" or (as_reranker and not overrides.family)):
        _refuse_other_scores(checkpoint)
    if overrides.family:
        return _as_family(checkpoint, config, kind, overrides)
    if choices := _choices(checkpoint):
        raise BadInput(f"{checkpoint.name} is evaluated with one of {', '.join(choices)}: name it with --family")
    if row is not None:
        return replace(row, revision=checkpoint.revision), [f"settings: models.toml, {row.name}"]
    embeds = is_there(settings / MODULES) and model_type(settings) == "SentenceTransformer"
    if is_there(settings / MODULES) and not embeds:
        _check_cross_encoder(checkpoint, config, kind)
    if kind == "two-towers":
        return _of_family(checkpoint, config, two_tower_family(config), f"{_class_of(config)}, from config.json")
    family = next((family for family, its in _RERANKERS.items() if its == kind), None)
    if family and kind != "causal" and not (kind == "cross-encoder" and embeds and not as_reranker):
        if kind == "cross-encoder":
            _check_one_label(directory, config)
        return _of_family(checkpoint, config, family, f"{_class_of(config)}, from config.json")
    if kind == "causal" and as_reranker:
        return _of_family(checkpoint, config, "llm-reranker", f"{_class_of(config)}, given as a reranker")
    if kind == "causal" and not embeds and overrides.pooling is None:
        raise BadInput(
            f"{directory} is a {_class_of(config)}, which may be a reranker, a generator or an embedder: say which "
            f"with --family llm-reranker or, for an embedder, one of {', '.join(encoder_families('lasttoken'))}"
        )
    if detected := family_by_files(directory):
        return _of_family(checkpoint, config, *detected)
    return _from_files(checkpoint, config, overrides)


def _check_cross_encoder(checkpoint: Checkpoint, config: Mapping[str, Any], kind: Kind) -> None:
    """See that what sentence-transformers saved as a cross-encoder is a classifier of pairs and no more."""
    directory = checkpoint.settings_folder
    check_pairs(directory, checkpoint.transformer)
    if kind != "cross-encoder":
        raise BadInput(f"{directory}/{MODULES}: a cross-encoder that is a {_class_of(config)} is not supported")


def _check_one_label(directory: Path, config: Mapping[str, Any]) -> None:
    """See that a classifier of pairs has one label, and an activation that keeps the order of its scores."""
    named = config.get("id2label")
    labels = len(named) if isinstance(named, dict) else config.get("num_labels", 1)
    if labels != 1:
        raise BadInput(f"{directory} has {labels} labels, and a reranker has one")
    section = config.get("sentence_transformers")
    activation = section.get("activation_fn") if isinstance(section, dict) else None
    former = config.get("sbert_ce_default_activation_function")
    check_activation(f"{directory}/config.json", former if activation is None else activation)


def _class_of(config: Mapping[str, Any]) -> str:
    declared = config.get("architectures")
    return str(declared[0] if isinstance(declared, list) and declared else config.get("model_type"))


def _refuse_own_code(directory: Path, config: Mapping[str, Any], kind: Kind, trust_remote_code: bool) -> None:
    declared = config.get("auto_map")
    own = [str(code) for name, code in declared.items() if name in _CLASSES_READ] if isinstance(declared, dict) else []
    if own and kind not in _NATIVE and not trust_remote_code:
        raise BadInput(f"{directory} brings its own code ({own[0]}); pass --trust-remote-code if you trust its author")


def _refuse_other_scores(checkpoint: Checkpoint) -> None:
    """Of a language model that scores pairs in another way than FlagEmbedding's rerankers one line."""
    how = scored_otherwise(checkpoint.settings_folder, f"{checkpoint.name}/{_named_folder(checkpoint)}")
    if how:
        raise BadInput(
            f"{checkpoint.name} scores pairs {how}, which is not supported: take a form of it with one label "
            "(…ForSequenceClassification, often published as …-seq-cls)"
        )


def _choices(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The families that fit a checkpoint of this name where they are several; empty else."""
    ask = registry().ask
    if not checkpoint.local:
        return ask.get(checkpoint.name, ())
    return next((families for name, families in ask.items() if name.split("/")[1] == _named_folder(checkpoint)), ())


def _as_family(
    checkpoint: Checkpoint, config: Mapping[str, Any], kind: Kind, overrides: Overrides
) -> tuple[ModelSpec, list[str]]:
    """The settings of a family that the user named, which the files must not contradict.

    Raises:
        UnknownName: No such family.
        BadInput: The files are of a model of another kind, or say another pooling.
    """
    family, directory = str(overrides.family), checkpoint.transformer
    spec, evidence = _of_family(checkpoint, config, family, "as asked for")
    if kind == "two-towers":
        if spec.adapter == kind:
            return spec, evidence
        raise BadInput(
            f"--family {family}: {directory} is a {_class_of(config)} by its config.json, which is of family "
            f"{two_tower_family(config)}: drop --family"
        )
    wanted = _RERANKERS.get(family)
    if spec.adapter == "two-towers" or (kind != wanted if wanted else kind not in {"encoder", "causal"}):
        raise BadInput(
            f"--family {family}: {directory} is a {_class_of(config)} by its config.json; name another family"
        )
    if wanted or overrides.pooling:
        return spec, evidence
    declared = declared_pooling(checkpoint.directory)
    if declared and declared != spec.pooling:
        raise BadInput(
            f"--family {family} means {spec.pooling} pooling, and {checkpoint.directory}/1_Pooling/config.json says "
            f"{declared}; name another family, or pass --pooling"
        )
    decoder = config.get("model_type") in LAST_TOKEN_TYPES
    if decoder != (spec.pooling in {"lasttoken", "last8"}) and (decoder or config.get("model_type") in CLS_TYPES):
        raise BadInput(
            f"--family {family} means {spec.pooling} pooling, and {directory} is a {config['model_type']}; "
            "name another family, or pass --pooling"
        )
    return spec, evidence


def _of_family(checkpoint: Checkpoint, config: Mapping[str, Any], family: str, why: str) -> tuple[ModelSpec, list[str]]:
    """A family's settings; lengths beyond the model's positions give way to these."""
    spec = family_spec(family, name=checkpoint.name, revision=checkpoint.revision)
    evidence = [f"settings: models.toml, family {family}: {why}"]
    limit = position_limit(config)
    if limit and limit < spec.passage_max_length:
        # The share of the query in a pair is the family's.
        share = spec.query_max_length * limit // spec.passage_max_length
        spec = replace(
            spec,
            query_max_length=share if spec.ability == "score" else min(spec.query_max_length, limit),
            passage_max_length=limit,
        )
        evidence.append(f"length: {limit} tokens, all the positions that it has")
    return spec, evidence


def _from_files(checkpoint: Checkpoint, config: Mapping[str, Any], overrides: Overrides) -> tuple[ModelSpec, list[str]]:
    directory = checkpoint.settings_folder
    beside = directory / transformer_folder(directory)
    check_encoder(directory, config)
    declared = transformer_config(beside)
    model = read_json(directory / MODEL_CONFIG)
    modules = modules_after_transformer(directory)
    if checkpoint.name in _INSTRUCTOR and not checkpoint.local:
        modules = tuple(without_prompt(module) for module in modules)
    row = _published_under_folder_name(checkpoint)
    # Its pooling and its lengths stand in no file of a plain checkpoint either.
    plain = row if row and row.adapter in _READ_AS_DENSE and not modules else None
    settings, evidence = _vectors(directory, config, modules, truncation(model), overrides, plain)
    tokens, reason = length(beside, config, declared, sentence_transformers=bool(modules))
    lengths = (tokens, tokens)
    if plain and declared.max_length is None:
        limit = position_limit(config) or plain.passage_max_length
        lengths = (min(plain.query_max_length, limit), min(plain.passage_max_length, limit))
        reason = f"as {plain.name}, whose name the folder bears"
    evidence.append(f"length: {' and '.join(map(str, dict.fromkeys(lengths)))} tokens, {reason}")
    instructions, lowercase = prompts(model), declared.lowercase
    if instructions:
        evidence.append("instructions: prompts of config_sentence_transformers.json")
    if row is not None:
        lowercase = row.lowercase
        instructions = instructions or row.prompts
        evidence.append(f"instruction and lower-casing: those of {row.name}, whose name the folder bears")
    elif not instructions:
        evidence.append("instruction: none known (pass --query-instruction if the model was trained with one)")
    spec = ModelSpec(
        name=checkpoint.name,
        revision=checkpoint.revision,
        family="detected",
        adapter="dense",
        ability="encode",
        similarity=similarity(model),
        query_max_length=lengths[0],
        passage_max_length=lengths[1],
        prompts=instructions,
        lowercase=lowercase,
        licence=row.licence if row else "",
    )
    return replace(spec, **settings), evidence


def _vectors(
    directory: Path,
    config: Mapping[str, Any],
    modules: tuple[Module, ...],
    kept: int,
    overrides: Overrides,
    plain: ModelSpec | None,
) -> tuple[dict[str, Any], list[str]]:
    """The settings of the way from hidden states to vectors, and where they come from."""
    if not modules and kept:
        raise BadInput(f"{directory}/{MODEL_CONFIG}: truncate_dim without a {MODULES} is not supported")
    if not modules:
        if plain and plain.pooling and not is_there(directory / "1_Pooling" / "config.json"):
            pooling, reason = plain.pooling, f"{plain.pooling}, that of {plain.name}, whose name the folder bears"
        else:
            pooling, reason = pooling_without_modules(directory, config, overrides.pooling)
        why = "normalisation: yes, as FlagEmbedding does for a folder without modules.json"
        return {"pooling": pooling, "normalize": True}, [f"pooling: {reason}", why]
    folder = transformer_folder(directory)
    common = None if kept or folder else common_settings(modules)
    if common:
        mode, dense, normalize = common
        return {"pooling": mode, "normalize": normalize, "dense_layers": dense}, [
            f"pooling: {mode}, from modules.json and its pooling folder",
            f"normalisation: {'yes' if normalize else 'no'}, from modules.json",
        ]
    for flag, value in (("--pooling", overrides.pooling), ("--normalize", overrides.normalize)):
        if value is not None:
            raise BadInput(
                f"{flag} is for a model of one pooling, and {directory}/{MODULES} has other modules: drop it"
            )
    own = ModuleSettings(modules=modules, truncate_dim=kept, transformer_folder=folder)
    evidence = [
        *([f"transformer: in {folder}, from {MODULES}"] if folder else []),
        f"modules: {own.shown()[0]}, from {MODULES}",
        *([f"dimensions: the first {kept}, from {MODEL_CONFIG}"] if kept else []),
    ]
    return {"adapter": "modules", "own": own}, evidence


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
