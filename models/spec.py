"""The settings of a model that can move a score, as one frozen value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from flagbench.instructions import instruction_for
from flagbench.models.contract import Part, Role
from flagbench.models.modules import Module, ModuleSettings, modules_of
from flagbench.models.own import OwnSettings
from flagbench.models.query_mix import SUFFIX, QueryMix
from flagbench.models.ranking import Ranking
from flagbench.models.view import View

Pooling = Literal["cls", "mean", "lasttoken", "last8", "max", "mean_sqrt_len_tokens", "weightedmean"]
Similarity = Literal["cosine", "dot"]
DType = Literal["fp32", "fp16", "bf16"]
Ability = Literal["encode", "score", "search", "generate", "replay"]

Own = TypeVar("Own", bound=OwnSettings)

POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
DTYPES: tuple[DType, ...] = get_args(DType)

BUILT_IN = ("fake", "bm25", "letter", "api", "run-file", "fusion")  # families of these prefixes are not read from files

Prompts = tuple[tuple[str, str], ...]
"""``(selector, instruction)`` pairs. A selector is what MTEB's model prompts use, with ``passage`` for ``document``:
``SciFact-query``, ``SciFact``, ``Retrieval-query``, ``Retrieval``, ``query``; task names may hold ``*``; ``*`` alone
is for every text that no other selector names."""


@dataclass(frozen=True)
class ModelSpec:
    """The effective settings of one model.

    Attributes:
        name: ``org/model``; names the results folder.
        revision: Commit on the hub, or a hash of a local checkpoint's files.
        family: Row of the family table in models.toml, or ``detected``.
        adapter: ``module:function`` that loads it.
        ability: Whether it embeds texts, scores pairs, finds passages without vectors, answers questions, or
            gives rankings that were made before.
        query_max_length: Tokens kept per query or symmetric text, instruction included. Of an encoder with special
            tokens; of a cross-encoder without.
        passage_max_length: Tokens kept of a passage; of a cross-encoder of the whole pair.
        pooling: Which hidden states become the vector; None for a model without vectors, or of other modules.
        normalize: L2-normalise the vectors.
        similarity: How two vectors are compared in search and in MTEB's "similarity" scores.
        prompts: Which instruction goes in front of which text.
        lowercase: Lower-case the text before the tokenizer (sentence-transformers' ``do_lower_case``).
        dtype: Of the weights and the forward pass; vectors are float32 all the same.
        attention: Attention kernel that transformers is asked for; empty leaves the choice to it.
        dense_layers: Folders of sentence-transformers Dense modules applied after pooling, in order.
        tokenizer: The file that its ids are of, where they once were others: transformers 5 builds some classes'
            tokenizers anew, and an adapter's own was not read. Empty where nothing has changed, and then not written,
            so that what was made before is found.
        base: Model that adapters are merged into, ``name@revision``.
        adapters: PEFT adapters, ``name@hash``, in the order in which they are merged.
        licence: SPDX id of the checkpoint, empty when unknown.
        mixture: Weight and ``name@revision`` of each model whose weights are summed; empty, which is not written, for
            one model.
        query_mix: What queries of retrieval are mixed with; None, which is not written, for nothing.
        view: What is kept of its vectors; None, which is not written, for all of them.
        own: Settings that only models of its adapter have; None where there are none, or a run has yet to give them.
    """

    name: str
    revision: str
    family: str
    adapter: str
    ability: Ability
    query_max_length: int
    passage_max_length: int
    pooling: Pooling | None = None
    normalize: bool = False
    similarity: Similarity = "cosine"
    prompts: Prompts = ()
    lowercase: bool = False
    dtype: DType = "fp32"
    attention: str = ""
    dense_layers: tuple[str, ...] = ()
    tokenizer: str = ""
    base: str = ""
    adapters: tuple[str, ...] = ()
    licence: str = ""
    mixture: tuple[tuple[float, str], ...] = ()
    query_mix: QueryMix | None = None
    view: View | None = None
    own: OwnSettings | None = None

    @property
    def ranking(self) -> Ranking:
        """The ranking of passages by its embeddings."""
        return self.own.ranking if self.own else Ranking()

    @property
    def parts(self) -> frozenset[Part]:
        """The parts of its embeddings that rank passages."""
        return self.ranking.parts

    @property
    def modules(self) -> tuple[Module, ...]:
        """The modules that make an embedder's vector of its last hidden states; empty for models without vectors."""
        if isinstance(self.own, ModuleSettings):
            return self.own.modules
        if self.pooling is None:
            return ()
        return modules_of(self.pooling, self.dense_layers, normalize=self.normalize)

    @property
    def truncate_dim(self) -> int:
        """First numbers of each vector that are kept; 0 for all."""
        return self.own.truncate_dim if isinstance(self.own, ModuleSettings) else 0

    @property
    def gives_unit_vectors(self) -> bool:
        """Whether its vectors are L2-normalised, by the settings of all embedders or by its last module."""
        last = self.modules[-1:]
        return self.normalize or (bool(last) and last[0].kind == "Normalize" and not self.truncate_dim)

    @property
    def as_encoded(self) -> ModelSpec:
        """The same model without what is applied to its vectors behind the embedding cache, and that in its name."""
        name = self.name.removesuffix(self.view.suffix) if self.view else self.name
        name = name.removesuffix(SUFFIX) if self.query_mix else name
        return replace(self, name=name, query_mix=None, view=None)

    def own_as(self, kind: type[Own]) -> Own:
        """The settings that only models of its adapter have.

        Args:
            kind: Their class.

        Raises:
            TypeError: It has others, or none.
        """
        if not isinstance(self.own, kind):
            raise TypeError(f"{self.name} has no {kind.__name__}, which its adapter needs: {self.own}")
        return self.own

    @property
    def has_files(self) -> bool:
        """True with a checkpoint behind it; the fake models, BM25, the letters, rankings and servers have none."""
        return not self.family.startswith(BUILT_IN) and not (isinstance(self.own, OwnSettings) and self.own.probed)

    def instruction(self, task: str, kind: str, role: Role) -> str:
        """The text to put in front of a text of this role; empty for none.

        Args:
            task: Name of the task, ``SciFact``.
            kind: MTEB's task type, ``Retrieval``.
            role: Role of the text.
        """
        return instruction_for(self.prompts, task, kind, role)

    def max_length(self, role: Role) -> int:
        """Tokens kept per text of this role."""
        return self.passage_max_length if role == "passage" else self.query_max_length

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as stored in every result."""
        return self._plain(self.own.as_dict() if self.own else {})

    def vector_settings(self, role: Role) -> dict[str, Any]:
        """Settings that the vectors of an encoder's texts depend on, as plain values, without the instruction.

        Left out is what only names the model, ranks its vectors, or is about texts of another role.
        """
        beside = {"licence", "similarity", "prompts", "query_max_length", "passage_max_length"}
        encoded = self.as_encoded
        values = encoded._plain(self.own.of_vectors() if self.own else {})
        settings = {key: value for key, value in values.items() if key not in beside}
        name = self.own.name_of_vectors(encoded.name) if self.own else encoded.name
        return settings | {"name": name, "max_length": self.max_length(role)}

    def _plain(self, own: Mapping[str, Any]) -> dict[str, Any]:
        values = asdict(replace(self, own=None, query_mix=None, view=None))
        del values["own"], values["query_mix"], values["view"]
        if self.query_mix:
            values["query_mix"] = self.query_mix.as_dict()
        if self.view:
            values["view"] = self.view.as_dict()
        for name in ("tokenizer", "mixture"):
            if not values[name]:
                del values[name]
        plain: dict[str, Any] = json.loads(json.dumps(values | dict(own)))
        return plain

    def digest(self) -> str:
        """Hash (16 hex digits) of all settings: equal digests give equal vectors."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def query_share(length: int) -> int:
    """FlagEmbedding's ``query_max_length`` of a reranker: ``max_length * 3 // 4``."""
    return length * 3 // 4


def is_name(text: str) -> bool:
    """Tell whether a text is the name of a model, ``org/name``: of its folder of results, and of files in it."""
    parts = text.split("/")
    return len(parts) == 2 and all(
        part.isprintable() and part == part.strip() and part not in ("", ".", "..") for part in parts
    )


def joint_name(spec: ModelSpec, reranker: ModelSpec | None) -> tuple[str, str]:
    """``(name, revision)`` under which results are kept: a reranker behind an encoder is joined to both with ``+``."""
    if reranker is None:
        return spec.name, spec.revision
    return f"{spec.name}+{reranker.name.split('/')[-1]}", f"{spec.revision}+{reranker.revision}"
