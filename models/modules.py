"""The modules of a sentence-transformers checkpoint after its transformer, as frozen values.

Most checkpoints are one pooling, perhaps dense layers, perhaps a last normalisation: the settings that all embedders
have (``ModelSpec``) say that, and ``modules_of`` makes modules of them. All other rows of modules are settings of
their own: ``ModuleSettings``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from flagbench.models.own import OwnSettings

ModuleKind = Literal["Pooling", "Dense", "Normalize", "LayerNorm", "WeightedLayerPooling"]

TOKENS, SENTENCE = "token_embeddings", "sentence_embedding"
"""What modules read and write: a vector for each token, ``[n, t, d]``, and one for each text, ``[n, d]``."""


@dataclass(frozen=True)
class Module:
    """One module.

    Attributes:
        kind: Name of sentence-transformers' class.
        folder: Its files, below the folder with modules.json; empty where it needs none.
        options: Values of its config by key, in order: those that differ from a plain module's.
    """

    kind: ModuleKind
    folder: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    def option(self, key: str, default: Any = None) -> Any:
        """One of its options; the default where it is a plain module's."""
        return dict(self.options).get(key, default)

    @property
    def poolings(self) -> tuple[str, ...]:
        """Poolings whose vectors a Pooling puts one behind another."""
        return tuple(self.option("pooling_mode", ()))

    @property
    def has_weights(self) -> bool:
        """Whether it reads weights from its folder."""
        return self.kind in {"Dense", "LayerNorm", "WeightedLayerPooling"}

    def __str__(self) -> str:
        """The module in a line for people: ``Dense(use_residual=True)``."""
        shown = [
            f"{key}={'+'.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in self.options
        ]
        return self.kind + (f"({', '.join(shown)})" if shown else "")


def without_prompt(module: Module) -> Module:
    """The same Pooling with the instruction's tokens left out; any other module as it is."""
    if module.kind != "Pooling":
        return module
    return replace(module, options=(("pooling_mode", module.poolings), ("include_prompt", False)))


def modules_of(pooling: str, dense_layers: Sequence[str], *, normalize: bool) -> tuple[Module, ...]:
    """The modules of a model whose settings are those that all embedders have.

    Args:
        pooling: Of the last hidden states.
        dense_layers: Folders of plain dense layers, in order.
        normalize: Whether the vectors are normalised last.
    """
    return (
        Module("Pooling", options=(("pooling_mode", (pooling,)),)),
        *(Module("Dense", folder) for folder in dense_layers),
        *([Module("Normalize")] if normalize else []),
    )


def common_settings(modules: Sequence[Module]) -> tuple[str, tuple[str, ...], bool] | None:
    """Pooling, folders of dense layers and normalisation, where these are all of some modules; None where not."""
    pooling, *rest = modules
    normalize = bool(rest) and rest[-1] == Module("Normalize")
    folders = tuple(module.folder for module in (rest[:-1] if normalize else rest))
    if pooling.kind != "Pooling" or len(pooling.poolings) != 1:
        return None
    (mode,) = pooling.poolings
    return (mode, folders, normalize) if modules_of(mode, folders, normalize=normalize) == tuple(modules) else None


@dataclass(frozen=True)
class ModuleSettings(OwnSettings):
    """Modules that the settings of all embedders cannot say, in their order.

    Attributes:
        modules: After the transformer.
        truncate_dim: First numbers of each vector that are kept; 0 for all.
        transformer_folder: Folder of the transformer, below that of modules.json; empty where it is this one itself.
    """

    owner: ClassVar[str] = "a sentence-transformers model"
    title: ClassVar[str] = "sentence-transformers models of other modules"

    modules: tuple[Module, ...] = ()
    truncate_dim: int = 0
    transformer_folder: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The modules with their options, each option by its key."""
        modules = [{"kind": each.kind, "folder": each.folder, **dict(each.options)} for each in self.modules]
        return {**super().as_dict(), "modules": modules}

    def shown(self) -> tuple[str, ...]:
        """The modules, and how much of the vectors is kept."""
        cut = (f"first {self.truncate_dim} numbers",) if self.truncate_dim else ()
        return (" → ".join(map(str, self.modules)), *cut)
