"""A checkpoint on disk: where its files are, what its revision is, and whether its weights can be read at all.

A PEFT adapter is one as well; it stands for its base model with the adapter merged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from flagbench import BadInput, UnknownName, nearest
from flagbench.files import user_path
from flagbench.models.contract import Part
from flagbench.models.loading.adapter_bases import ADAPTER_CONFIG, check_added, is_adapter
from flagbench.models.loading.folder import (
    M3_COLBERT_HEAD,
    M3_SPARSE_HEAD,
    MODULES,
    SETTINGS_PATTERNS,
    FileStates,
    file_states,
    files_read,
    hash_files,
    is_there,
    module_rows,
    patterns,
    read_config,
    read_json,
    revision_of,
    settings_patterns,
    shards,
    transformer_folder,
    weight_files,
)
from flagbench.models.loading.hub import download
from flagbench.models.loading.mixture_terms import PREFIX
from flagbench.models.loading.registry import published, registry
from flagbench.models.spec import ModelSpec
from flagbench.models.visual import VisualizedSettings
from flagbench.paths import near_by

_WANTED = "give a folder or a hub id of the form org/name"

_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)


@dataclass(frozen=True)
class Elsewhere:
    """A file of weights in another hub repository than config and tokenizer.

    Attributes:
        repo: ``org/name``.
        revision: Commit.
        file: Its name.
        text: Where config and tokenizer are, ``name@revision``.
    """

    repo: str
    revision: str
    file: str
    text: str

    def fetched(self) -> Path:
        """The file, from the hub where it is not in the cache.

        Raises:
            BadInput: It cannot be had.
        """
        folder = download(self.repo, repo_type="model", revision=self.revision, patterns=(self.file,))
        if not is_there(folder / self.file):
            raise BadInput(f"{self.repo} at revision {self.revision} has no file {self.file}: drop --revision")
        return folder / self.file


@dataclass(frozen=True)
class Checkpoint:
    """Files of one model.

    Attributes:
        directory: Folder that was given or fetched; weights may be missing in it until ``with_weights``.
        name: ``org/model``; for a local folder ``local/<folder>``, for ``run/checkpoint-N`` ``run/checkpoint-N``.
        revision: Commit on the hub; for a local folder a hash of the files.
        local: Whether the user gave a folder.
        adapters: PEFT adapters to merge into it, in order.
        states: Of the files of a local folder, from before they were hashed.
        weights: Where its weights lie, if not in ``directory``.
    """

    directory: Path
    name: str
    revision: str
    local: bool
    adapters: tuple[Checkpoint, ...] = ()
    states: FileStates = field(default=(), compare=False, repr=False)
    weights: Elsewhere | None = None

    def check_unchanged(self, *, allow_pickle: bool) -> None:
        """See, once the model is loaded, that it was read from the files whose hash is its revision.

        A training run may write a checkpoint anew while its evaluation waits for data. On another machine the folder
        of this name may hold another checkpoint.

        Args:
            allow_pickle: As when it was found.

        Raises:
            BadInput: It was not.
        """
        for each in (self, *self.adapters):
            if not each.states or file_states(each.directory, allow_pickle=allow_pickle) == each.states:
                continue
            if hash_files(each.directory, allow_pickle=allow_pickle) != each.revision:
                raise BadInput(
                    f"{each.directory} has changed since this run began, so that its scores would belong to no "
                    "checkpoint: start the run again, on a copy where something writes to it"
                )

    def weights_file(self) -> Path | None:
        """The file of weights where it is none of those in ``directory``, from the hub where it is not here.

        Raises:
            BadInput: It cannot be had.
        """
        return self.weights.fetched() if self.weights else None

    @property
    def transformer(self) -> Path:
        """Folder with config.json, tokenizer and weights: ``directory``, or one below it that modules.json names."""
        return self.directory / transformer_folder(self.directory)

    @property
    def settings_folder(self) -> Path:
        """Folder with sentence-transformers' files: the last adapter's own where it has them, else the model's."""
        folders = (adapter.directory for adapter in reversed(self.adapters))
        return next((folder for folder in folders if is_there(folder / MODULES)), self.directory)

    @property
    def tokenizer_folder(self) -> Path:
        """Folder with the tokenizer: the last adapter's own where it has one, else the model's."""
        return tokenizer_folder(self.transformer, [adapter.directory for adapter in self.adapters])

    @property
    def label(self) -> str:
        """``name@revision``."""
        return f"{self.name}@{self.revision}"


def locate(model: str, revision: str | None, *, adapters: Sequence[str] = (), allow_pickle: bool = False) -> Checkpoint:
    """Find a model's settings and tokenizer: a local folder, a name of models.toml, or any hub id.

    Args:
        model: Folder or hub id; of a PEFT adapter, whose base its adapter_config.json names, too.
        revision: Commit wanted on the hub; None takes the one of models.toml, or ``main``.
        adapters: Folders or hub ids of PEFT adapters to merge into it, in order.
        allow_pickle: Whether pickle weights count as weights.

    Raises:
        BadInput: No such folder, hub id or revision; no config, tokenizer or readable weights in a local folder; an
            adapter whose base cannot be found, or is another model; or the same adapter twice.
    """
    base = _locate(model, revision, allow_pickle=allow_pickle)
    own: list[Checkpoint] = []
    while is_adapter(base.transformer):  # also an adapter of an adapter
        if base.directory in [adapter.directory for adapter in own]:
            raise BadInput(f"{base.directory} is an adapter whose base is itself: fix its {ADAPTER_CONFIG}")
        own.insert(0, base)
        base = _base_of(base, allow_pickle=allow_pickle)
    for adapter in adapters:
        added = _locate(adapter, None, allow_pickle=allow_pickle)
        if not is_adapter(added.transformer):
            raise BadInput(f"--adapter {adapter}: no PEFT adapter, for it has no {ADAPTER_CONFIG}")
        check_added(base, own, added)
        own.append(added)
    check_settings(base.directory)
    return replace(base, adapters=tuple(own))


def _locate(model: str, revision: str | None, *, allow_pickle: bool) -> Checkpoint:
    path = _folder(model)
    if path is not None:
        if revision:
            raise BadInput(f"--revision is for models on the hub, and {model} is a local folder: drop one of the two")
        directory = path.resolve()
        if not is_adapter(directory / transformer_folder(directory)):
            check_settings(directory)
        check_weights(directory, allow_pickle=allow_pickle)
        states = file_states(directory, allow_pickle=allow_pickle)
        revision = revision_of(directory, states, allow_pickle=allow_pickle)
        return Checkpoint(directory, local_name(directory), revision, local=True, states=states)
    if model.endswith(".pth") and is_there(user_path(model)):
        raise BadInput(
            f"{model} is a file of weights: give the folder that it is in, with config.json and tokenizer of its text "
            "model (BAAI/bge-base-en-v1.5 or BAAI/bge-m3) beside it"
        )
    form, colon, _ = model.partition(":")
    if colon and nearest(form, [PREFIX.removesuffix(":")]):
        raise UnknownName("form of a model", f"{form}:", [PREFIX], _WANTED)
    if model.startswith((".", "/", "~")) or model.count("/") > 1 or model.endswith("/"):
        raise BadInput(f"no such model directory: {model}{near_by(model, folders=True)}; {_WANTED}")
    known = published()
    own = known[model].own if model in known else None
    if isinstance(own, VisualizedSettings):
        return _of_two_repos(known[model], own, revision)
    if "/" not in model:
        raise UnknownName("model", model, [*known, *registry().short], _WANTED)
    wanted = revision or (known[model].revision if model in known else "main")
    directory = download(model, repo_type="model", revision=wanted, patterns=SETTINGS_PATTERNS)
    if below := settings_patterns(directory):
        download(model, repo_type="model", revision=directory.name, patterns=below)
    return Checkpoint(directory, model, directory.name, local=False)


def _of_two_repos(row: ModelSpec, own: VisualizedSettings, revision: str | None) -> Checkpoint:
    """A model whose weights lie in one repository, and config and tokenizer in another, each at its pinned revision.

    Args:
        row: Its row of models.toml.
        own: The two places.
        revision: Of the weights, if another was asked for.
    """
    text = _locate(own.text_model, None, allow_pickle=False)
    wanted = revision or row.revision
    if not re.fullmatch("[0-9a-f]{40}", wanted):  # a tag or branch: its commit is what the snapshot is called
        wanted = download(own.weights_repo, repo_type="model", revision=wanted, patterns=("README.md",)).name
    elsewhere = Elsewhere(own.weights_repo, wanted, own.weights_file, text.label)
    return replace(text, name=row.name, revision=wanted, weights=elsewhere)


def _folder(name: str) -> Path | None:
    """The folder of this name; None where there is none.

    Raises:
        BadInput: No folder can have the name, or it lies where this user may not look.
    """
    path = user_path(name)
    try:
        return path if path.is_dir() else None
    except PermissionError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}): take a folder that you may read") from error


def _base_of(adapter: Checkpoint, *, allow_pickle: bool) -> Checkpoint:
    """The model that an adapter was trained on, by its adapter_config.json."""
    config = read_json(adapter.directory / ADAPTER_CONFIG)
    base = config.get("base_model_name_or_path")
    fix = f"give the base as MODEL and this folder with --adapter {adapter.directory}"
    if not isinstance(base, str) or not base:
        raise BadInput(f"{adapter.directory}/{ADAPTER_CONFIG} names no base_model_name_or_path: {fix}")
    revision = config.get("revision") if _folder(base) is None else None
    if revision is not None and not isinstance(revision, str):
        raise BadInput(f"{adapter.directory}/{ADAPTER_CONFIG} says revision = {revision!r}, which is not a text: {fix}")
    try:
        return _locate(base, revision, allow_pickle=allow_pickle)
    except BadInput as error:
        raise BadInput(f"{adapter.directory} is an adapter of {base}, which cannot be had ({error}): {fix}") from error


def with_weights(checkpoint: Checkpoint, *, allow_pickle: bool) -> Path:
    """The folder of the checkpoint's transformer with its weights in it, fetched from the hub where needed.

    Raises:
        BadInput: No weights that may be read, or damaged ones.
    """
    if checkpoint.weights:
        check_elsewhere(checkpoint, allow_pickle=allow_pickle)
    elif not checkpoint.local:
        wanted = patterns(checkpoint.directory, allow_pickle=allow_pickle)
        download(checkpoint.name, repo_type="model", revision=checkpoint.revision, patterns=wanted)
        check_weights(checkpoint.directory, allow_pickle=allow_pickle)
    for adapter in checkpoint.adapters:
        with_weights(adapter, allow_pickle=allow_pickle)
    return checkpoint.transformer


def tokenizer_folder(directory: Path, adapters: Sequence[Path]) -> Path:
    """The last adapter's folder that has a tokenizer, as in sentence-transformers and FlagEmbedding, or the model's.

    Args:
        directory: Of the model's transformer.
        adapters: Folders of adapters, in the order in which they are merged.
    """
    return next((folder for folder in reversed(adapters) if has_tokenizer(folder)), directory)


def local_name(directory: Path) -> str:
    """``org/model`` of a local folder: ``checkpoint-N`` and ``model`` are named after the folder that they are in.

    Raises:
        BadInput: The name of the folder is not UTF-8, as that of a model in results is.
    """
    within = (directory.name.startswith("checkpoint-") or directory.name == "model") and directory.parent.name
    name = f"{within or 'local'}/{directory.name}".replace(" ", "_")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{directory}: the name of the folder is not UTF-8; rename it") from error
    return name


def check_weights(directory: Path, *, allow_pickle: bool) -> None:
    """Look at the weight files without reading the weights.

    Raises:
        BadInput: No weights; only pickle weights and no leave to read them; a truncated or damaged safetensors file;
            what ``files_read`` refuses.
    """
    from safetensors import SafetensorError, safe_open

    read, folder = files_read(directory, allow_pickle=allow_pickle), directory / transformer_folder(directory)
    tensors = weight_files(folder, allow_pickle=False)
    named = shards(folder, allow_pickle=allow_pickle and not tensors)
    if missing := [name for name in named if not is_there(folder / name)]:
        raise BadInput(f"{folder} lacks the weight files {', '.join(missing)} that its index names; copy them too")
    for path in [path for path in read if path.suffix == ".safetensors"]:
        try:
            with safe_open(path, framework="numpy"):
                pass
        except (SafetensorError, OSError) as error:
            raise BadInput(f"{path} is damaged or truncated ({error}); copy it again") from error
    pickles = weight_files(folder, allow_pickle=True)
    if not pickles:
        raise BadInput(f"{folder} has no weights (*.safetensors; *.bin are read with --allow-pickle alone)")
    if not tensors and not allow_pickle:
        raise BadInput(
            f"{pickles[0]} is a pickle, which can run code when read; convert it to safetensors, "
            "or pass --allow-pickle if you trust its author"
        )


def check_heads(directory: Path, parts: Set[Part], *, allow_pickle: bool) -> None:
    """Look whether the heads that BGE-M3 needs for some parts are there and may be read.

    Raises:
        BadInput: A head is missing, or there is no leave to read it.
    """
    heads: dict[Part, str] = {"sparse": M3_SPARSE_HEAD, "multi_vector": M3_COLBERT_HEAD}
    for path in [directory / name for part, name in heads.items() if part in parts]:
        if not is_there(path):
            raise BadInput(
                f"{directory} has no {path.name}, which this --retrieval needs; copy it from the training run"
            )
        if not allow_pickle:
            raise BadInput(
                f"{path} is a pickle, which this --retrieval has to read; pass --allow-pickle if you trust its author "
                "(only tensors are read from it)"
            )


def check_elsewhere(checkpoint: Checkpoint, *, allow_pickle: bool) -> None:
    """See that weights that lie in another repository may be read.

    Raises:
        BadInput: They are a pickle, and there is no leave to read one.
    """
    if (its := checkpoint.weights) and not allow_pickle:
        raise BadInput(
            f"the weights of {checkpoint.name} ({its.file} of {its.repo}) are a pickle, which can run code when read; "
            "pass --allow-pickle if you trust its author (only tensors are read from it)"
        )


def has_tokenizer(directory: Path) -> bool:
    """Tell whether a folder has a tokenizer, or a vocabulary that one can be made of."""
    return any(is_there(directory / name) for name in _TOKENIZER_FILES)


def check_settings(directory: Path) -> None:
    """Look at a whole model's config and tokenizer.

    Raises:
        BadInput: One of them is not there, or what they say is not supported.
    """
    rows, folder = module_rows(directory), directory / transformer_folder(directory)
    config = read_config(folder)
    if rows and rows[0].kind not in {"Transformer", "CLIPModel"} and not config:
        raise BadInput(f"{directory}/{MODULES} begins with a module '{rows[0].kind}', which is not supported")
    if not is_there(folder / "config.json"):
        raise BadInput(f"{folder} is not a model: it has no config.json")
    if "transformers_weights" in config:
        raise BadInput(f"{folder}/config.json: transformers_weights, other files of weights, is not supported")
    if not has_tokenizer(folder):
        raise BadInput(f"{folder} has no tokenizer (tokenizer.json or a vocabulary): copy the base model's into it")
