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
        modalities: ``image`` for tasks with images, ``text`` for those without; empty for those without, and for types
            that have images.
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
        "image for tasks with images, alone or beside texts; text for tasks without; text,image for both",
        shown="text, and images for types of image tasks",
        metavar="A,B",
        parse=names,
        selects=True,
    )

    @property
    def of_part(self) -> bool:
        """Whether tasks may be scored over a part of their subsets."""
        return bool(self.subsets or self.languages)
