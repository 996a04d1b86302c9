"""The flags of mteb's tasks."""

from __future__ import annotations

from dataclasses import dataclass

from flagbench.flags import flag
from flagbench.runners.arguments import names


@dataclass(frozen=True)
class MtebOptions:
    """Options of a run of mteb's tasks.

    Attributes:
        subsets: Language subsets of multilingual tasks; empty for all.
        languages: Languages of tasks and of their subsets; empty for all.
        domains: Domains of tasks; empty for all.
        modalities: Modalities that inputs of tasks may have; empty for text, but for types that have images.
    """

    subsets: tuple[str, ...] = flag(
        (), "language subsets of each task", shown="all", metavar="A,B", parse=names, selects=True
    )
    languages: tuple[str, ...] = flag(
        (),
        "languages of tasks and their subsets, such as zh,en or cmn",
        shown="all",
        metavar="A,B",
        parse=names,
        selects=True,
    )
    domains: tuple[str, ...] = flag(
        (), "domains of tasks, such as Legal,Medical", shown="all", metavar="A,B", parse=names, selects=True
    )
    modalities: tuple[str, ...] = flag(
        (),
        "what inputs of tasks may have: text, image, or both",
        shown="text, and images for types of image tasks",
        metavar="A,B",
        parse=names,
        selects=True,
    )

    @property
    def of_part(self) -> bool:
        """Whether tasks may be scored over a part of their subsets."""
        return bool(self.subsets or self.languages)
