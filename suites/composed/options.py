"""The flags of composed retrieval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from flagbench.flags import flag
from flagbench.runners.arguments import names

CircoText = Literal["caption", "concept"]
Pool = Literal["local", "union"]

CIRCO_TEXTS: tuple[CircoText, ...] = get_args(CircoText)
POOLS: tuple[Pool, ...] = get_args(Pool)


@dataclass(frozen=True)
class ComposedOptions:
    """Options of a run on composed retrieval.

    Attributes:
        groups: Groups of tasks; empty for the first.
        circo_text: What the text of a query of CIRCO is made of: the relative caption alone, as its authors have it, or
            the shared concept too, as BGE-VL's have it; None for the caption, unless the folder has files with texts.
        pool: Candidates of M-BEIR: those of the task's own dataset, or those of all.
    """

    groups: tuple[str, ...] = flag(
        (), "groups of tasks: cir, cir-test, webqa, m-beir", shown="cir", metavar="A,B", parse=names, selects=True
    )
    circo_text: CircoText | None = flag(
        None,
        "text of CIRCO's queries: its caption, or 'Find a picture that also CONCEPT, but CAPTION.', as BGE-VL asks",
        shown="caption",
        choices=CIRCO_TEXTS,
    )
    pool: Pool = flag("local", "candidates of M-BEIR: those of the task's dataset, or of all", choices=POOLS)
