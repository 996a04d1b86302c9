"""Adapters whose loaded weights run under other settings as well: what finding a setting by its vectors needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from flagbench.models.contract import Encoder, Role, Scorer

if TYPE_CHECKING:
    from flagbench.models.spec import ModelSpec


@runtime_checkable
class RespecifiedEncoder(Encoder, Protocol):
    """An encoder whose weights can be run under other settings than those that they were loaded with."""

    @property
    def positions(self) -> int:
        """Tokens of the longest text that the model can read, special tokens included; 0 where that is unknown."""
        ...

    def under(self, spec: ModelSpec, *, cased: bool = False) -> Encoder:
        """The same weights under other settings; this encoder stays as it is.

        Args:
            spec: May differ in lengths, pooling, and which of its modules are left out.
            cased: The tokenizer keeps the case of letters, also where its files or settings have it lower-case them.
        """
        ...

    def token_counts(self, texts: Sequence[str], *, role: Role, instruction: str = "") -> list[int]:
        """Tokens of each text before it is cut, special tokens and instruction included."""
        ...


@runtime_checkable
class RespecifiedScorer(Scorer, Protocol):
    """A scorer whose weights can be run under other settings than those that they were loaded with."""

    @property
    def positions(self) -> int:
        """Tokens of the longest pair that the model can read, special tokens included; 0 where that is unknown."""
        ...

    def under(self, spec: ModelSpec, *, cased: bool = False) -> Scorer:
        """The same weights under other settings; this scorer stays as it is.

        Args:
            spec: May differ in lengths.
            cased: The tokenizer keeps the case of letters, also where its files or settings have it lower-case them.
        """
        ...

    def token_counts(self, pairs: Sequence[tuple[str, str]]) -> list[int]:
        """Tokens of each pair before it is cut, special tokens included."""
        ...
