"""A mixture of models as a checkpoint: config, tokenizer and settings of its first model, weights of all.

The weights are the sum of those of its models, each times its share (LM-Cocktail, research/LM_Cocktail of
FlagEmbedding), which ``models/mixing`` makes when they are loaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

from flagbench import BadInput, first_few, printable
from flagbench.models.loading.checkpoint import Checkpoint, locate
from flagbench.models.loading.folder import (
    M3_COLBERT_HEAD,
    M3_SPARSE_HEAD,
    is_there,
    module_rows,
    read_config,
    visual_pickle,
)
from flagbench.models.loading.mixture_terms import Term, check_terms, is_mixture, named_twice, terms_of
from flagbench.models.loading.mixture_weights import has_weights, stored_in, survey
from flagbench.models.loading.modules import pooling_of_config
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.vocabulary import vocabulary_differs
from flagbench.models.spec import ModelSpec

ORG = "cocktail"
"""Before the names of mixtures in results."""

HEADS = (M3_SPARSE_HEAD, M3_COLBERT_HEAD)

_LONGEST = 150  # bytes of a name: that of a folder in results
_LONGEST_PART = 60
# Keys of config.json that say nothing of how a model computes.
_BESIDE = frozenset(
    {
        *("_name_or_path", "_commit_hash", "architectures", "auto_map", "dtype", "torch_dtype", "transformers_version"),
        *("id2label", "label2id", "problem_type", "use_cache", "gradient_checkpointing", "finetuning_task"),
        *("classifier_dropout", "attention_dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout"),
        *("initializer_range", "tie_word_embeddings", "is_decoder", "add_cross_attention", "pruned_heads"),
    }
)
# Keys by which weights of one shape would mean another thing.
_SAME = (
    *("model_type", "vocab_size", "hidden_size", "d_model", "num_hidden_layers", "num_layers", "intermediate_size"),
    *("num_attention_heads", "num_heads", "num_key_value_heads", "head_dim", "hidden_act"),
)


@dataclass(frozen=True)
class MixedCheckpoint(Checkpoint):
    """A mixture; what is not said here is its first model's.

    Attributes:
        sources: Its models in order, the first among them, each with its weight.
        notes: What of their weights is not mixed, as far as these are here already.
    """

    sources: tuple[tuple[float, Checkpoint], ...] = ()
    notes: tuple[str, ...] = ()

    def check_unchanged(self, *, allow_pickle: bool) -> None:
        """See Checkpoint: of each of its models."""
        for _, source in self.sources:
            source.check_unchanged(allow_pickle=allow_pickle)


def find_checkpoint(model: str, revision: str | None, overrides: Overrides, *, allow_pickle: bool) -> Checkpoint:
    """Find a model's settings and tokenizer: those of a mixture, or what ``locate`` finds.

    Args:
        model: Folder, hub id or mixture.
        revision: Commit wanted on the hub; None takes the one of models.toml, or ``main``.
        overrides: What the user says of it: adapters, and what the weights of a mixture may be.
        allow_pickle: Whether pickle weights count as weights.

    Raises:
        BadInput: As ``locate``, ``terms_of`` and ``mixed``.
    """
    if not is_mixture(model):
        return locate(model, revision, adapters=overrides.adapters, allow_pickle=allow_pickle)
    for flag, value in (("--revision", revision), ("--adapter", overrides.adapters)):
        if value:
            raise BadInput(f"{flag} belongs to one model, and {printable(model):.80} is a mixture: drop it")
    return mixed(terms_of(model, any_weights=overrides.any_weights), allow_pickle=allow_pickle)


def mixed(terms: Sequence[Term], *, allow_pickle: bool) -> MixedCheckpoint:
    """The mixture of some models.

    Args:
        terms: The models in order, with their weights.
        allow_pickle: Whether pickle weights count as weights.

    Raises:
        BadInput: A model cannot be found, they are not of one architecture and vocabulary, or their weights, where
            these are here already, do not go together.
    """
    check_terms(terms, any_weights=True)
    found: dict[str, Checkpoint] = {}
    for term in terms:
        if term.model not in found:
            found[term.model] = locate(term.model, None, allow_pickle=allow_pickle)
    sources = tuple((term.weight, found[term.model]) for term in terms)
    first = sources[0][1]
    for checkpoint in found.values():
        _check_kind(checkpoint)
        _check_alike(first, checkpoint)
    notes: tuple[str, ...] = ()
    if all(has_weights(source.transformer) for source in found.values()):
        stored = {name: stored_in(source.transformer, allow_pickle=allow_pickle) for name, source in found.items()}
        _, notes = survey([(source_label(found[term.model]), stored[term.model]) for term in terms])
    its = {each.name: getattr(first, each.name) for each in fields(Checkpoint)}
    return MixedCheckpoint(**its, sources=sources, notes=notes)


def sources_of(checkpoint: Checkpoint) -> tuple[Checkpoint, ...]:
    """The models of a mixture; of any other checkpoint itself."""
    return tuple(each for _, each in checkpoint.sources) if isinstance(checkpoint, MixedCheckpoint) else (checkpoint,)


def as_mixture(spec: ModelSpec, checkpoint: Checkpoint) -> tuple[ModelSpec, list[str]]:
    """The spec of a mixture, made of that of its first model, and the evidence; any other as it is.

    Args:
        spec: As detected by the files, before the user's flags.
        checkpoint: Its files.
    """
    if not isinstance(checkpoint, MixedCheckpoint):
        return spec, []
    named = tuple((weight, source_label(source)) for weight, source in checkpoint.sources)
    spec = replace(
        spec,
        name=f"{ORG}/{_short_name(checkpoint.sources)}",
        revision=hashlib.sha256(json.dumps(named).encode()).hexdigest()[:40],
        base="",
        adapters=(),
        mixture=named,
    )
    shares = " + ".join(f"{weight:g} of {_shown(label)}" for weight, label in named)
    return spec, [
        f"mixture: {shares}, added in fp32 and kept in the first one's number format; the settings are the first one's",
        *_differences(checkpoint),
        *checkpoint.notes,
    ]


def source_label(source: Checkpoint) -> str:
    """``name@revision`` of a model, with those of the adapters that are merged into it."""
    return "+".join((source.label, *(adapter.label for adapter in source.adapters)))


def _shown(label: str) -> str:
    """A label with short revisions, for a line."""
    return re.sub(r"@([0-9a-f]{8})[0-9a-f]{32}", r"@\1", label)


def short_name(source: Checkpoint) -> str:
    """The last part of a model's name, of letters, digits, points and hyphens."""
    name = (source.adapters[-1] if source.adapters else source).name.rsplit("/", 1)[-1]
    return re.sub(r"[^\w.-]+", "-", name).encode()[:_LONGEST_PART].decode(errors="ignore") or "model"


def _short_name(sources: Sequence[tuple[float, Checkpoint]]) -> str:
    parts = [f"{weight:g}-{short_name(source)}" for weight, source in sources]
    shown = len(parts)
    while len("_".join(parts[:shown]).encode()) > _LONGEST:
        shown -= 1
    return "_".join([*parts[:shown], *([f"and-{len(parts) - shown}-more"] if shown < len(parts) else [])])


def _check_kind(checkpoint: Checkpoint) -> None:
    """Refuse what has weights that are not summed here."""
    config, where = read_config(checkpoint.transformer), checkpoint.directory
    if "quantization_config" in config:
        raise BadInput(f"{where} has quantised weights, which are not mixed: name the model before quantisation")
    if checkpoint.weights is not None or visual_pickle(checkpoint.transformer):
        raise BadInput(
            f"{checkpoint.name} has its weights in a *.pth beside those of its text model, which are not mixed: leave "
            "it out"
        )


def _check_alike(first: Checkpoint, other: Checkpoint) -> None:
    """Refuse a model that is not of the architecture and the vocabulary of the first."""
    one, two = read_config(first.transformer), read_config(other.transformer)
    for key in _SAME:
        # What a file leaves out has a default, which older and newer ones write or do not.
        if one.get(key) != two.get(key) and (key in one.keys() & two.keys() or key == "model_type"):
            raise BadInput(
                f"{other.name} is no model to mix with {first.name}: its config.json says {key} = "
                f"{printable(two.get(key)):.40}, and that of the first {printable(one.get(key)):.40}"
            )
    if why := vocabulary_differs(first.tokenizer_folder, other.tokenizer_folder):
        raise BadInput(f"{other.name} is no model to mix with {first.name}: {why}")


def _differences(checkpoint: MixedCheckpoint) -> Iterator[str]:
    """Lines on what other models have otherwise, and models that are named twice."""
    first = checkpoint.sources[0][1]
    one = read_config(first.transformer)
    others = {source_label(source): source for _, source in checkpoint.sources[1:] if source != first}
    for label, other in others.items():
        name, two = label.split("@")[0], read_config(other.transformer)
        keys = [key for key in sorted(one.keys() & two.keys()) if key not in _BESIDE and one.get(key) != two.get(key)]
        if keys:
            yield f"config: that of the first; {first_few(keys, 4)} of {name} differ"
        for what, its, own in (
            ("pooling", _pooling(first), _pooling(other)),
            ("modules", _kinds(first), _kinds(other)),
        ):
            if its != own:
                yield f"{what}: the first one's ({its or 'none'}); {name} has {own or 'none'}"
        if lacking := [head for head in HEADS if is_there(first.directory / head) > is_there(other.directory / head)]:
            yield f"heads: without {' and '.join(lacking)}, which {name} lacks"
    labels = [Term(weight, source_label(source)) for weight, source in checkpoint.sources]
    if twice := named_twice(labels):
        yield f"mixture: {twice} is in it more than once, and its weights add up"


def _pooling(checkpoint: Checkpoint) -> str:
    path = checkpoint.settings_folder / "1_Pooling" / "config.json"
    return "+".join(pooling_of_config(path).poolings) if is_there(path) else ""


def _kinds(checkpoint: Checkpoint) -> str:
    return ", ".join(row.kind for row in module_rows(checkpoint.settings_folder)[1:])
