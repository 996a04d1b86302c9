"""Settings that only some embedders have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from flagbench import BadInput, UnknownName
from flagbench.flags import flag, positive, real
from flagbench.models.embedders.few_shot import with_examples
from flagbench.models.own import OwnSettings, flag_evidence
from flagbench.models.ranking import RETRIEVALS, Ranking, Retrieval

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec

# Of the dense, lexical and multi-vector scores of BGE-M3: research/C_MTEB/MLDR and MKQA of FlagEmbedding; those of
# MIRACL are the M3 paper's.
WEIGHTS: Mapping[str, tuple[float, float, float]] = {
    "miracl": (1, 0.3, 1),
    "miracl-dense-sparse": (1, 0.3, 0),
    "mkqa": (1, 0.3, 1),
    "mkqa-dense-sparse": (1, 0.3, 0),
    "mldr": (0.15, 0.5, 0.35),
    "mldr-dense-sparse": (0.2, 0.8, 0),
}
# The ensemble that BGE-M3 was trained with (dense + 0.3 sparse + colbert).
_DEFAULT_WEIGHTS = (1.0, 0.3, 1.0)
# Dense candidates that the published runs re-rank (research/C_MTEB/MLDR/multi_vector_rerank).
_DEFAULT_CANDIDATES = 200


def parse_weights(text: str) -> tuple[float, float, float]:
    """``miracl`` or any other name of ``WEIGHTS``, or three numbers with commas between them.

    Raises:
        UnknownName: Neither.
    """
    if text.lower() in WEIGHTS:
        return WEIGHTS[text.lower()]
    try:
        dense, sparse, colbert = (real(number) for number in text.split(","))
    except ValueError:
        raise UnknownName("weights", text, WEIGHTS, "or three numbers: dense,sparse,multi-vector") from None
    return dense, sparse, colbert


@dataclass(frozen=True)
class M3Settings(OwnSettings):
    """Ranking with BGE-M3's dense, lexical and multi-vector parts.

    Attributes:
        retrieval: By which parts: see ``Ranking``.
        weights: Of their scores in ``hybrid``; empty else.
        candidates: Passages of the dense ranking that multi-vectors re-rank; 0 where none do.
    """

    owner: ClassVar[str] = "BGE-M3"
    title: ClassVar[str] = "BGE-M3"

    retrieval: Retrieval = flag("dense", "how passages are ranked", choices=RETRIEVALS)
    weights: tuple[float, ...] = flag(
        (),
        f"weights of dense, sparse and multi-vector scores in hybrid, or {', '.join(WEIGHTS)}",
        shown="1,0.3,1",
        metavar="D,S,M",
        parse=parse_weights,
    )
    candidates: int = flag(
        0,
        "dense candidates that multi-vectors score",
        name="--dense-candidates",
        shown=str(_DEFAULT_CANDIDATES),
        metavar="N",
        parse=positive,
    )

    def of_vectors(self) -> dict[str, Any]:
        """Nothing: they only rank."""
        return {}

    def name_of_vectors(self, name: str) -> str:
        """Without the way of ranking, in which a name may end (bge-m3-hybrid)."""
        return name.removesuffix(f"-{self.retrieval}")

    @property
    def ranking(self) -> Ranking:
        """As these settings say."""
        return Ranking(self.retrieval, self.weights, self.candidates)

    def apply(self, spec: ModelSpec, given: Mapping[str, Any]) -> tuple[ModelSpec, list[str]]:
        """Apply the user's flags, and the defaults that a ranking by several parts needs.

        A ranking by other than dense vectors is a part of the model's name.
        """
        own, evidence = replace(self, **given), flag_evidence(given)
        for name, value, why in _defaults(own.retrieval, given):
            own = replace(own, **{name: value})
            evidence.append(f"{name}: {value!r}, {why}")
        suffix = "" if own.retrieval == "dense" else f"-{own.retrieval}"
        return replace(spec, name=spec.name + suffix, own=own), evidence

    def shown(self) -> tuple[str, ...]:
        """The ranking, where it is not by dense vectors."""
        if self.retrieval == "dense":
            return ()
        weights = f" {'/'.join(f'{weight:g}' for weight in self.weights)}" if self.weights else ""
        candidates = f", {self.candidates} candidates" if self.candidates else ""
        return (f"{self.retrieval} retrieval{weights}{candidates}",)


def _defaults(retrieval: Retrieval, given: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Defaults that a ranking by several parts needs: name, value and reason."""
    weights = given.get("weights")
    defaults: list[tuple[str, Any, str]] = []
    if weights is None and retrieval == "hybrid":
        weights = _DEFAULT_WEIGHTS
        defaults.append(("weights", weights, "with which BGE-M3 was trained (--weights for others)"))
    if weights is not None:
        if retrieval != "hybrid":
            raise BadInput("--weights needs --retrieval hybrid")
        if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
            numbers = ",".join(f"{each:g}" for each in weights)
            raise BadInput(f"--weights {numbers}: none may be negative, and their sum must be positive")
    late = retrieval == "colbert" or (weights is not None and weights[2] > 0)
    if "candidates" in given and not late:
        raise BadInput("--dense-candidates are re-ranked by multi-vectors, which this retrieval does not use: drop it")
    if "candidates" not in given and late:
        defaults.append(("candidates", _DEFAULT_CANDIDATES, "as in the published runs (--dense-candidates for others)"))
    return defaults


@dataclass(frozen=True)
class FewShotSettings(OwnSettings):
    """Solved examples before the instructions of bge-en-icl, which keep them: there is nothing beside those.

    Attributes:
        examples: Folder of the examples.
    """

    owner: ClassVar[str] = "bge-en-icl"
    title: ClassVar[str] = "bge-en-icl"

    examples: Path | None = flag(
        None,
        "folder of few-shot examples, <Task>.csv or .jsonl",
        shown="none",
        metavar="DIR",
        parse=Path,
        kept=False,
    )

    def apply(self, spec: ModelSpec, given: Mapping[str, Any]) -> tuple[ModelSpec, list[str]]:
        """Put the solved examples into the instructions."""
        if "examples" not in given:
            return spec, []
        prompts, evidence = with_examples(spec.prompts, given["examples"].expanduser())
        return replace(spec, prompts=prompts), evidence


@dataclass(frozen=True)
class ExpertSettings(OwnSettings):
    """Domain of the texts, for a model of several experts (FlagPseudoMoEModel).

    Attributes:
        domain: Its expert; empty to leave the choice to the model.
    """

    owner: ClassVar[str] = "a model of --family pseudo-moe"
    title: ClassVar[str] = "pseudo-moe"

    domain: str = flag(
        "",
        "expert of a pseudo-moe model: general, coding, reasoning, …",
        shown="the model's own choice",
        metavar="NAME",
    )
