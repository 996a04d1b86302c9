"""From what the user typed to a model that can be loaded: its files, its effective settings, and the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput
from flagbench.models.adapters import loader, mixer, tokens_loader
from flagbench.models.contract import Backend, Closable, Cutoff, LayeredScorer, Loading
from flagbench.models.device import out_of_memory
from flagbench.models.loading.checkpoint import Checkpoint, check_elsewhere, check_heads, with_weights
from flagbench.models.loading.detect import Detection, detect
from flagbench.models.loading.folder import MODULES, is_there, read_config, transformer_folder
from flagbench.models.loading.image_kinds import visualized_evidence
from flagbench.models.loading.kinds import sees_images
from flagbench.models.loading.matryoshka import with_dims, within
from flagbench.models.loading.mixture import MixedCheckpoint, find_checkpoint, sources_of
from flagbench.models.loading.modules import check_module_weights
from flagbench.models.loading.overrides import Overrides, override
from flagbench.models.loading.registry import published_as
from flagbench.models.loading.tokenizer_file import with_tokenizer
from flagbench.models.spec import ModelSpec
from flagbench.models.video import VideoSettings

if TYPE_CHECKING:
    from flagbench.models.contract import Adapter, Tokens

_ASKS = "choose a benchmark that asks questions"


@dataclass(frozen=True)
class Model:
    """A model that is found but not loaded.

    Attributes:
        spec: Effective settings.
        evidence: Where each came from, line by line.
        checkpoint: Its files; None for models that have none.
        cutoffs: Where a layerwise reranker is read in one pass; this model's is one of them.
    """

    spec: ModelSpec
    evidence: tuple[str, ...]
    checkpoint: Checkpoint | None
    cutoffs: tuple[Cutoff, ...] = ()

    def load(
        self,
        *,
        device: str,
        batch_size: int | None,
        trust_remote_code: bool,
        allow_pickle: bool,
        backend: Backend | None = None,
    ) -> Adapter:
        """Read the weights.

        Args:
            device: As torch names it.
            batch_size: Texts of one forward pass; None lets a budget of tokens decide.
            trust_remote_code: Code that the checkpoint brings may run.
            allow_pickle: Pickles may be read.
            backend: The matrix backend; None for the fastest that is exact.

        Raises:
            BadInput: The files do not make a model, have changed since it was found, or do not fit into memory.
        """
        if isinstance(self.checkpoint, MixedCheckpoint):
            plain = Loading(device, batch_size, trust_remote_code, allow_pickle, cutoffs=self.cutoffs, backend=backend)
            return self._load_mixture(self.checkpoint, plain)
        directory = with_weights(self.checkpoint, allow_pickle=allow_pickle) if self.checkpoint else Path()
        adapters = tuple(adapter.transformer for adapter in self.checkpoint.adapters) if self.checkpoint else ()
        modules = self.checkpoint.settings_folder if self.checkpoint else None
        weights = self.checkpoint.weights_file() if self.checkpoint else None
        loading = Loading(
            device, batch_size, trust_remote_code, allow_pickle, modules, adapters, self.cutoffs, backend, weights
        )
        adapter = self._read(directory, loading)
        if self.checkpoint:
            self.checkpoint.check_unchanged(allow_pickle=allow_pickle)
        return adapter

    def _load_mixture(self, checkpoint: MixedCheckpoint, loading: Loading) -> Adapter:
        """Mix the weights in a temporary folder, and read them from there."""
        with mixer()(checkpoint, self.spec, loading) as folder:
            directory = folder / transformer_folder(folder)
            adapter = self._read(directory, replace(loading, modules=folder))
        checkpoint.check_unchanged(allow_pickle=loading.allow_pickle)
        return adapter

    def _read(self, directory: Path, loading: Loading) -> Adapter:
        """The model of a folder, on the matrix backend asked for; some kinds of model have torch alone."""
        try:
            adapter = loader(self.spec.adapter)(self.spec, directory, loading)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise BadInput(
                f"{self.spec.name} in {self.spec.dtype} does not fit into what is free of the memory of "
                f"{loading.device}: free some, use a smaller --dtype, or another --device"
            ) from error
        wanted = loading.backend
        if wanted and wanted != "torch" and self.checkpoint and not adapter.backend.startswith(wanted):
            raise BadInput(
                f"--backend {wanted} does not apply to {self.spec.name}, which runs on torch as it is; leave it out"
            )
        return adapter

    def tokens(self, *, trust_remote_code: bool) -> Tokens:
        """Read the tokenizer of a language model of texts, and no weights.

        Args:
            trust_remote_code: Code that the checkpoint brings may run.

        Raises:
            BadInput: The model has none, or its files are no tokenizer.
        """
        read = tokens_loader(self.spec.adapter)
        if read is None or self.checkpoint is None:
            raise BadInput(f"{self.spec.name} has no tokenizer that could be read alone")
        found = self.checkpoint
        adapters = tuple(adapter.transformer for adapter in found.adapters)
        loading = Loading("cpu", None, trust_remote_code, adapters=adapters, weights=found.weights_file())
        return read(self.spec, found.transformer, loading)


def has_files(model: str) -> bool:
    """Tell whether a model is read from files; the fake ones and BM25 are not."""
    row = published_as(model)
    return row is None or row.has_files


def searches(model: str) -> bool:
    """Tell whether a model searches without vectors, by its name alone."""
    row = published_as(model)
    return row is not None and row.ability == "search"


class LoadedModels:
    """Loaded models that the next run may use too: one reranker behind several encoders, several cutoff layers,
    several views of the same vectors.
    """

    def __init__(self) -> None:
        self._kept: dict[ModelSpec, Adapter] = {}

    def __enter__(self) -> LoadedModels:
        return self

    def __exit__(self, *_: object) -> None:
        self.keep_only(())

    def keep_only(self, models: Iterable[Model]) -> None:
        """Let go of what none of these models is."""
        wanted = {_same_weights(model.spec) for model in models}
        with ExitStack() as closing:  # all of them, also where one cannot be closed
            for weights in self._kept.keys() - wanted:
                adapter = self._kept.pop(weights)
                if isinstance(adapter, Closable):
                    closing.callback(adapter.close)

    def take(self, model: Model, load: Callable[[], Adapter]) -> Adapter:
        """The model, loaded unless it is here.

        Args:
            model: What is wanted.
            load: Loads it.
        """
        weights = _same_weights(model.spec)
        adapter = self._kept.get(weights)
        if adapter is not None and adapter.spec.as_encoded == model.spec.as_encoded:
            return adapter
        if isinstance(adapter, LayeredScorer):
            return adapter.reading(model.spec)
        self._kept[weights] = load()
        return self._kept[weights]


def _same_weights(spec: ModelSpec) -> ModelSpec:
    """The spec without what distinguishes the cutoff layers of one pass, and the views of one encoding."""
    return replace(spec.as_encoded, name="", own=spec.own.of_weights() if spec.own else None)


def resolve_model(
    model: str,
    revision: str | None,
    overrides: Overrides,
    *,
    trust_remote_code: bool,
    allow_pickle: bool,
    as_reranker: bool = False,
    on_cpu: Callable[[], bool] = lambda: False,
) -> Model:
    """Find a model and work out its settings; no weights are read.

    Args:
        model: Folder, hub id, mixture, or the short name of a built-in model.
        revision: Commit on the hub, None for the pinned one.
        overrides: What the user says of it.
        trust_remote_code: Code that the checkpoint brings may run.
        allow_pickle: Pickles may be read.
        as_reranker: It was given as a reranker.
        on_cpu: Says whether it will run on the processor; asked only where that matters.

    Raises:
        BadInput: There is no such model, or its files or flags contradict one another.
    """
    row = published_as(model)
    if row is not None and row.ability == "generate":
        on = "" if row.has_files else " on videos"
        raise BadInput(f"{model} answers questions{on} and gives no vectors or scores of texts: {_ASKS}")
    if row is not None and not row.has_files:
        return _built_in(model, row, revision, overrides)
    checkpoint = find_checkpoint(model, revision, overrides, allow_pickle=allow_pickle)
    _refuse_video_lm(checkpoint, overrides)
    found: Detection = detect(
        checkpoint, overrides, trust_remote_code=trust_remote_code, as_reranker=as_reranker, on_cpu=on_cpu
    )
    for source in sources_of(checkpoint):
        check_heads(source.directory, found.spec.parts, allow_pickle=allow_pickle)
        check_elsewhere(source, allow_pickle=allow_pickle)
        if source.local:
            check_module_weights(source.settings_folder, found.spec, allow_pickle=allow_pickle)
    of_images = visualized_evidence(checkpoint, found.spec, allow_pickle=allow_pickle)
    spec, evidence = with_tokenizer(found.spec, checkpoint)
    spec, evidence = with_dims(checkpoint, spec, (*found.evidence, *of_images, *evidence))
    return Model(spec, evidence, checkpoint, found.cutoffs)


def resolve_generator(
    model: str,
    revision: str | None,
    settings: VideoSettings | None,
    overrides: Overrides,
    *,
    trust_remote_code: bool,
    allow_pickle: bool,
    on_cpu: Callable[[], bool] = lambda: False,
) -> Model:
    """Find a model that answers prompts, on videos or of texts alone, and work out its settings; no weights are read.

    Args:
        model: Folder, hub id, or a built-in baseline, which sees no frames whatever the settings say.
        revision: Commit on the hub, None for ``main``.
        settings: How it is to see videos; they become a part of its spec. Without frames, or None where no prompt will
            have anything to see, a causal language model will do.
        overrides: What the user says of it; only name and dtype apply.
        trust_remote_code: Code that the checkpoint brings may run.
        allow_pickle: Pickles may be read.
        on_cpu: Says whether it will run on the processor; asked only where that matters.

    Raises:
        BadInput: There is no such model, it sees no videos and shall, or its files, settings or flags contradict one
            another.
    """
    row = published_as(model)
    if row is not None and row.ability == "generate" and row.has_files:
        row = None  # a language model of texts; what its row says is for other benchmarks
    if row is not None and row.ability == "generate":
        blind = replace(settings, frames=0) if settings is not None else None
        return _built_in(model, replace(row, own=blind), revision, overrides)
    if row is not None:
        raise BadInput(
            f"{model} is a model of texts and sees no videos; questions on videos need a video or multi-image language "
            "model"
        )
    # Here, as it takes transformers, which no other model needs before it is loaded.
    from flagbench.models.loading.causal_kinds import detect_causal_lm, writes_texts
    from flagbench.models.loading.video_kinds import detect_video_lm

    checkpoint = find_checkpoint(model, revision, overrides, allow_pickle=allow_pickle)
    seen = settings or VideoSettings(frames=0, sampler="none")
    if not seen.frames and writes_texts(read_config(checkpoint.transformer)):
        found = detect_causal_lm(checkpoint, settings, overrides, trust_remote_code=trust_remote_code, on_cpu=on_cpu)
    elif isinstance(checkpoint, MixedCheckpoint):
        raise BadInput(f"{checkpoint.name} sees videos, and such models are not mixed: name one model")
    else:
        found = detect_video_lm(checkpoint, seen, overrides, trust_remote_code=trust_remote_code, on_cpu=on_cpu)
    spec, evidence = with_tokenizer(replace(found.spec, own=settings), checkpoint)
    return Model(spec, (*found.evidence, *evidence), checkpoint)


def _built_in(model: str, row: ModelSpec, revision: str | None, overrides: Overrides) -> Model:
    """A model without files."""
    given = {"--adapter": overrides.adapters, "--family": overrides.family, "--revision": revision}
    if flag := next((flag for flag, value in given.items() if value), None):
        raise BadInput(f"{flag} is for models that are read from files, and {model} is not: drop it")
    spec, said = override(row, overrides)
    unseen = ("frames: none, it sees no videos",) if spec.ability == "generate" else ()
    evidence = (f"settings: models.toml, {row.name}", *unseen, *said)
    if spec.adapter == "random" and spec.view:
        from flagbench.models.baselines.random import DIMENSION

        spec, evidence = within(spec, evidence, DIMENSION)
    return Model(spec, evidence, None)


def _refuse_video_lm(checkpoint: Checkpoint, overrides: Overrides) -> None:
    """Of a model that sees videos one line, unless it is an embedder by its files or by what the user says."""
    config = read_config(checkpoint.transformer)
    row = None if checkpoint.local else published_as(checkpoint.name)
    embeds = is_there(checkpoint.settings_folder / MODULES) or overrides.pooling or overrides.family or row
    if sees_images(config) and not embeds:
        raise BadInput(
            f"{checkpoint.name} is a {config['architectures'][0]}, which answers questions on videos and gives no "
            f"vectors or scores of texts: {_ASKS}, or say how it embeds with --pooling"
        )
