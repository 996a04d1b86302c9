"""Settings that only some models have: a frozen dataclass beside their adapter, which declares them once.

Its fields are the settings; those that a user may set carry flag, help and default (``flagbench/flags.py``). Flags,
help, refusals, rows of models.toml, evidence, what is shown and what results keep come from the declaration. Which
adapter has which, ``models/adapters.py`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from flagbench.flags import flags_of
from flagbench.models.contract import Cutoff
from flagbench.models.ranking import Ranking

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec


@dataclass(frozen=True)
class OwnSettings:
    """Base of the settings of one family; a subclass is a frozen dataclass that imports nothing heavy.

    Attributes:
        owner: The models that have them, as a message calls one of them: ``a layerwise reranker``.
        title: The same above their flags in help: ``layerwise rerankers``.
        ability: Of these models; the flags of a reranker's are for the reranker where an encoder is before it.
        of_a_run: A run gives them: rows of models.toml have none.
        without_effect: Settings that all models have and these do not heed, as ``Overrides`` names them.
        probed: Its models may change behind their settings, as a server's do: a run compares what they give for a few
            texts with what they gave before.
        takes: Settings of other models that these heed although those of their ability do not, named likewise.
    """

    owner: ClassVar[str] = ""
    title: ClassVar[str] = ""
    ability: ClassVar[str] = "encode"
    of_a_run: ClassVar[bool] = False
    probed: ClassVar[bool] = False
    without_effect: ClassVar[frozenset[str]] = frozenset()
    takes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of the settings; a flag that is not kept is none."""
        return tuple(each.name for each in fields(cls) if each.compare)

    @classmethod
    def flag_names(cls) -> frozenset[str]:
        """Names of the fields that are set by flags."""
        return frozenset(each.field for each in flags_of(cls))

    @classmethod
    def results(cls, given: Mapping[str, Any]) -> int:
        """Number of results of one pass of a model.

        Args:
            given: Values of flags, by field.
        """
        return 1

    def as_dict(self) -> dict[str, Any]:
        """Settings that results record and vectors depend on: names that no common setting has, with their values."""
        return {name: getattr(self, name) for name in self.names()}

    def of_vectors(self) -> dict[str, Any]:
        """The part of ``as_dict`` that vectors depend on: all of it, but for what only ranks them."""
        return self.as_dict()

    def name_of_vectors(self, name: str) -> str:
        """A model's name without what only these settings put there, so that vectors are found under one name."""
        return name

    def of_weights(self) -> Self:
        """The same without what does not matter to what is loaded."""
        return self

    @property
    def ranking(self) -> Ranking:
        """The ranking of passages by a model's embeddings."""
        return Ranking()

    def without_use(self) -> frozenset[str]:
        """Fields whose flags do not apply to this model, though others of its adapter have them."""
        return frozenset()

    def apply(self, spec: ModelSpec, given: Mapping[str, Any]) -> tuple[ModelSpec, list[str]]:
        """Apply the user's flags.

        Args:
            spec: Of a model with these settings, with the flags applied that all models have.
            given: Values of flags, by field; may be empty.

        Returns:
            The changed spec, and what was done, line by line.

        Raises:
            BadInput: Values that make no sense together.
        """
        return replace(spec, own=replace(self, **given)), flag_evidence(given)

    def at_checkpoint(
        self, spec: ModelSpec, config: Mapping[str, Any], given: Mapping[str, Any], cutoff: int
    ) -> tuple[ModelSpec, tuple[Cutoff, ...], list[str]]:
        """Settle what only the checkpoint's config says, after ``apply``.

        Args:
            spec: Of a model with these settings.
            config: The checkpoint's config.json.
            given: Values of flags, by field.
            cutoff: Of which of the results of one pass this is, counted from 0.

        Returns:
            The changed spec, where a layerwise model is read in one pass, and what was done, line by line.

        Raises:
            BadInput: The model has nothing of what was asked for.
        """
        return spec, (), []

    def shown(self) -> tuple[str, ...]:
        """The settings in a line for people."""
        return ()


def flag_evidence(given: Mapping[str, Any]) -> list[str]:
    """The evidence for settings that a user gave."""
    return [f"{name}: {value!r}, as asked for" for name, value in given.items()]
