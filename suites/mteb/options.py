"""The flags of mteb's tasks."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from flagbench.flags import flag
from flagbench.models.inputs import MODALITIES, Modality
from flagbench.runners.arguments import names


def modalities(text: str) -> tuple[Modality, ...]:
    """The argument of ``--modalities``.

    Raises:
        ArgumentTypeError: A modality is none.
    """
    found = names(text)
    if strange := set(found) - set(MODALITIES):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(strange))} is no modality: expected {' or '.join(MODALITIES)}, or both"
        )
    return tuple(each for each in MODALITIES if each in found)


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
    modalities: tuple[Modality, ...] = flag(
        (),
        "what inputs of tasks may have: text, image, or both",
        shown="text, and images for types of image tasks",
        metavar="A,B",
        parse=modalities,
        selects=True,
    )

    @property
    def of_part(self) -> bool:
        """Whether tasks may be scored over a part of their subsets."""
        return bool(self.subsets or self.languages)
