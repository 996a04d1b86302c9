"""The model of a submission: its name and commit on the hub, and mteb's ModelMeta of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flagbench import BadInput, printable
from flagbench.files import read_text
from flagbench.models.loading.registry import published
from flagbench.models.spec import BUILT_IN
from flagbench.results.published.variant import part_of, sources_of
from flagbench.results.record import RunRecord
from flagbench.results.runs import Run

_COMMIT = re.compile(r"[0-9a-f]{40}")
_META = "model_meta.json"
_OF_FOLDERS = re.compile(r"local/.*|.*/model|.*/checkpoint-[^/]*")

_REQUIRED = (
    "release_date",
    "languages",
    "n_parameters",
    "n_embedding_parameters",
    "memory_usage_mb",
    "max_tokens",
    "embed_dim",
    "license",
    "open_weights",
    "public_training_code",
    "public_training_data",
    "training_datasets",
    "adapted_from",
    "citation",
)
"""Fields that mteb requires of every model, and a run may not know."""


@dataclass(frozen=True)
class Identity:
    """Under which name results are submitted.

    Attributes:
        name: ``org/model`` on the hub.
        revision: Commit there.
        published: Whether mteb or models.toml has the name at this commit. Of another nobody knows that it is a commit:
            a checkpoint in a folder has a hash of its files for a revision.
    """

    name: str
    revision: str
    published: bool


def identify(record: RunRecord, name: str | None, revision: str | None) -> Identity:
    """The name and commit of a run's model on the hub.

    Args:
        record: The run.
        name: What the user says it is called there; None for as in the run.
        revision: Its commit, as the user says; None for as in the run.

    Raises:
        BadInput: It is no single model of the hub, nothing says what it is called there, or that contradicts the run.
    """
    its = printable(record.model)
    if record.reranker is not None:
        raise BadInput(
            f"the run has {its}, an encoder with a reranker behind it, and MTEB's results repository keeps results "
            "by model: submit runs of the encoder alone, or of the reranker alone (--types reranking)"
        )
    if _declared(record, "family").startswith(BUILT_IN):
        raise BadInput(f"{its} is not a checkpoint of the hub, and MTEB's results repository takes no other results")
    _refuse_other_model(record, name, revision)
    if _is_published(record.model, record.revision):
        if (name or record.model, revision or record.revision) != (record.model, record.revision):
            raise BadInput(
                f"the run has {its} at its published commit {record.revision}: drop --model-name and --revision"
            )
    elif _OF_FOLDERS.fullmatch(record.model) and not (name and revision):
        raise BadInput(
            f"the run has a checkpoint in a folder ({its}): give its name on the hub with "
            "--model-name org/name and --revision COMMIT"
        )
    name, revision = name or record.model, revision or record.revision
    _check(name, revision)
    return Identity(name, revision, _is_published(name, revision))


def _refuse_other_model(record: RunRecord, name: str | None, revision: str | None) -> None:
    """Refuse a point of a series, and a mixture under the name of another model; see ``identify``."""
    its = printable(record.model)
    found = [record.spec, *(task.settings.get("model") for task in record.tasks.values())]
    specs = [spec for spec in found if isinstance(spec, Mapping)]
    if kept := next(filter(None, map(part_of, specs)), ""):
        raise BadInput(
            f"the run has {its}, of which it keeps {kept}, and would stand in MTEB's results repository as the model "
            "itself: submit a run without that"
        )
    sources = next(filter(None, map(sources_of, specs)), [])
    if not sources:
        return
    if not (name and revision):
        raise BadInput(
            f"the run has a mixture ({its}): write it with flagbench cocktail --save, and once it is on the hub give "
            "its name there with --model-name org/name and --revision COMMIT"
        )
    if name in sources or _is_published(name, revision):
        raise BadInput(
            f"the run has a mixture of {printable(' and '.join(sources)):.120}, which {printable(name)} is not: give "
            "the name that the mixture has on the hub with --model-name"
        )


def _is_published(name: str, revision: str) -> bool:
    known = published().get(name)
    return (known is not None and known.revision == revision) or _known_meta(name, revision) is not None


def _check(name: str, revision: str) -> None:
    """See that the hub could have the name and the commit."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    wanted = "--model-name wants it as it is on the hub, org/name"
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise BadInput(f"{printable(name)!r} cannot be the name of a model on the hub: {wanted}") from error
    if "/" not in name or name.startswith("local/"):
        raise BadInput(f"{name!r} names no organisation of the hub: {wanted}")
    if not _COMMIT.fullmatch(revision):
        raise BadInput(
            f"{printable(revision)!r} is not a commit of the hub (40 hexadecimal digits): give it with --revision"
        )


def in_mteb(name: str) -> bool:
    """Tell whether mteb has a ModelMeta of this name, which the leaderboard needs."""
    from mteb.models.model_implementations import MODEL_REGISTRY

    return name in MODEL_REGISTRY


def revision_in_mteb(name: str) -> str:
    """The commit that mteb has a model at; empty where it has no such model."""
    from mteb.models.model_implementations import MODEL_REGISTRY

    meta = MODEL_REGISTRY.get(name)
    return str(meta.revision or "") if meta is not None else ""


def _known_meta(name: str, revision: str) -> Any | None:
    """mteb's own ModelMeta of a model at a commit; None where it has none."""
    from mteb.models.model_implementations import MODEL_REGISTRY

    meta = MODEL_REGISTRY.get(name)
    return meta if meta is not None and meta.revision == revision else None


def describe(run: Run, identity: Identity) -> Any:
    """mteb's ModelMeta of the run's model.

    What the run knows of it (its settings) comes first; what is left open is taken from mteb's own ModelMeta, where
    that is of the same commit. It names no loader: mteb's did not load the model.

    Args:
        run: With a ``model_meta.json``.
        identity: Name and commit.

    Raises:
        BadInput: The file is gone or damaged.
    """
    from mteb.models.model_meta import ModelMeta

    path = run.folder / _META
    text = run.text(_META, "evaluate again")
    try:
        meta = ModelMeta.model_validate_json_resolved(text)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path} is damaged: evaluate again with --overwrite") from error
    if (meta.name, meta.revision) != (run.record.model, run.record.revision):
        raise BadInput(f"{path} has {printable(str(meta.name))} at {meta.revision}, unlike run.json: evaluate again")
    values: dict[str, Any] = meta.model_dump()
    values |= {"name": identity.name, "revision": identity.revision, "adapted_from": _base(run.record)}
    values["reference"] = f"https://huggingface.co/{identity.name}"
    known = _known_meta(identity.name, identity.revision)
    if known is not None:
        values |= {
            field: value for field, value in known.model_dump().items() if field in values and values[field] is None
        }
        values["framework"] = known.framework
    return ModelMeta.model_validate({**values, "loader": None, "loader_kwargs": {}})


def _declared(record: RunRecord, key: str) -> str:
    """A text of the model's settings; empty where they have none."""
    return str(record.spec.get(key, "")) if isinstance(record.spec, Mapping) else ""


def _base(record: RunRecord) -> str | None:
    """The hub's name of the model that adapters were merged into."""
    name = _declared(record, "base").rpartition("@")[0]
    return name if name and not _OF_FOLDERS.fullmatch(name) else None


def filled_in(meta: Any, folder: Path) -> Any:
    """The ModelMeta with what was filled in by hand where the same model was submitted before.

    Args:
        meta: Of the submission.
        folder: Where an earlier one may be, which this one replaces.
    """
    from mteb.models.model_meta import ModelMeta

    try:
        before = ModelMeta.model_validate_json_resolved(read_text(folder / _META, "leave it"))
    except (BadInput, ValueError, TypeError, AttributeError):
        return meta
    values = {field: getattr(before, field) for field in _REQUIRED if getattr(meta, field) is None}
    return meta.model_copy(update=values) if (before.name, before.revision) == (meta.name, meta.revision) else meta


def left_open(meta: Any) -> tuple[str, ...]:
    """Fields of a ModelMeta that somebody has to fill in by hand; none where mteb itself has one of this commit."""
    if _known_meta(meta.name, meta.revision) is not None:
        return ()
    return tuple(field for field in _REQUIRED if getattr(meta, field) is None)
