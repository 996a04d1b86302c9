"""mteb's tasks as rows: which of them can be evaluated, in which languages, and what an aggregate is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flagbench import BadInput, UnknownName, first_few, known_name
from flagbench.models.baselines.analysis import iso_639_1
from flagbench.models.inputs import MODALITIES, joined
from flagbench.runners.mteb.version import tasks_registry
from flagbench.runners.task import Task, plain

_GROUP = "mteb"
_SHOWN = 3
_WITH_IMAGES = frozenset(
    {
        "any2anymultilingualretrieval",
        "any2anyreranking",
        "any2anyretrieval",
        "compositionality",
        "documentunderstanding",
        "imageclassification",
        "imageclustering",
        "visioncentricqa",
        "visualsts(eng)",
        "visualsts(multi)",
        "zeroshotclassification",
    }
)
"""mteb's types of tasks with images, without case and hyphens."""


@dataclass(frozen=True)
class Entry:
    """A task of mteb.

    Attributes:
        row: The task, with the splits and subsets that are scored.
        metadata: mteb's.
        why_not: Why it cannot be evaluated; empty where it can.
    """

    row: Task
    metadata: Any
    why_not: str = ""

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-3 of what is scored."""
        scripts = self.metadata.hf_subsets_to_langscripts
        codes = (code.partition("-")[0] for subset in self.row.subsets for code in scripts.get(subset, ()))
        return tuple(dict.fromkeys(codes))

    @property
    def cells(self) -> list[str]:
        """The task in a table for people."""
        inputs = joined(self.row.modalities) if not self.why_not else ", ".join(self.metadata.modalities)
        return cells_of(self.row, self.languages, inputs, self.why_not or "yes")


HEADINGS = ("task", "type", "inputs", "languages", "splits", "main score", "runs")


def cells_of(row: Task, languages: Sequence[str], inputs: str = "", runs: str = "yes") -> list[str]:
    """A task in a table for people, below ``HEADINGS``.

    Args:
        row: The task.
        languages: ISO 639-3 of what is scored.
        inputs: In words; empty for those of the row.
        runs: Whether it can be evaluated, or why not.
    """
    shown, splits = first_few(languages, _SHOWN), ", ".join(row.splits)
    return [row.name, row.kind, inputs or joined(row.modalities), shown, splits, row.main_score, runs]


def entries(task: Any) -> Iterator[Entry]:
    """The entries of one of mteb's task objects: of an aggregate those of its parts, over the splits that it takes."""
    if task.is_aggregate:
        for part in task.metadata.tasks:
            part.filter_eval_splits(list(task.eval_splits))
            yield from entries(part)
        return
    metadata = task.metadata
    row = Task(
        name=metadata.name,
        kind=metadata.type,
        dataset=metadata.dataset["path"],
        revision=metadata.dataset["revision"],
        splits=tuple(task.eval_splits),
        main_score=metadata.main_score,
        group=_GROUP,
        subsets=tuple(task.hf_subsets),
        modalities=tuple(each for each in MODALITIES if each in metadata.modalities),
    )
    yield Entry(row, metadata, _why_not(metadata))


def all_entries() -> tuple[Entry, ...]:
    """Those of all tasks of mteb that can be evaluated; superseded ones are left out, as mteb leaves them out."""
    import mteb

    from flagbench.runners.mteb.bridge import quiet

    with quiet():
        tasks = [task for task in mteb.get_tasks(modalities=list(MODALITIES)) if not task.is_aggregate]
        return tuple(entry for task in tasks for entry in entries(task) if not entry.why_not)


def named_entries(names: Iterable[str], hint: str) -> tuple[Entry, ...]:
    """The entries of tasks of mteb by name.

    Args:
        names: As on the command line.
        hint: Where the full list is to be seen, for messages.

    Raises:
        UnknownName: mteb has no task of a name.
    """
    known, found = tasks_registry(), dict[str, Entry]()
    for given in names:
        name = known_name("task", given, known, hint)
        found |= {entry.row.name: entry for entry in entries(known[name]())}
    return tuple(found.values())


def as_entry(row: Task) -> Entry:
    """The entry of a row that was made of one."""
    metadata = tasks_registry()[row.name].metadata
    return Entry(row, metadata, _why_not(metadata))


def refuse_those_that_cannot_run(found: Sequence[Entry], hint: str) -> None:
    """See that all can be evaluated.

    Args:
        found: Tasks of a selection.
        hint: What to do otherwise.

    Raises:
        BadInput: Some cannot.
    """
    if lines := reasons(found):
        raise BadInput(f"{'; '.join(lines)}: {hint}")


def reasons(found: Iterable[Entry]) -> tuple[str, ...]:
    """Why tasks cannot be evaluated, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for entry in found:
        if entry.why_not:
            by_reason.setdefault(entry.why_not, []).append(entry.row.name)
    return tuple(f"{first_few(names)} cannot be evaluated: {reason}" for reason, names in by_reason.items())


def in_languages(found: Sequence[Entry], languages: Sequence[str], hint: str) -> tuple[Entry, ...]:
    """The entries that have a language, with the subsets that have it.

    Args:
        found: Tasks.
        languages: ISO 639-1 (``zh``), ISO 639-3 (``cmn``), or with a script as mteb writes it (``cmn-Hans``).
        hint: Where the full list is to be seen, for messages.

    Raises:
        UnknownName: No task has a language.
    """
    codes = [{subset: _spellings(entry, subset) for subset in entry.row.subsets} for entry in found]
    known = {code for by_subset in codes for its in by_subset.values() for code in its}
    for language in languages:
        if language not in known:
            raise UnknownName("language", language, (), "; ".join((*_codes_of(language, codes), hint)))
    chosen = []
    for entry, by_subset in zip(found, codes, strict=True):
        if subsets := tuple(subset for subset, its in by_subset.items() if its & set(languages)):
            chosen.append(replace(entry, row=replace(entry.row, subsets=subsets)))
    return tuple(chosen)


def in_domains(found: Sequence[Entry], domains: Sequence[str], hint: str) -> tuple[Entry, ...]:
    """The entries that are of one of mteb's domains (``Legal``), in any spelling.

    Raises:
        UnknownName: No task has a domain.
    """
    known = {domain.lower(): domain for entry in found for domain in entry.metadata.domains or ()}
    for domain in domains:
        if domain.lower() not in known:
            raise UnknownName("domain", domain, known.values(), hint)
    wanted = {known[domain.lower()] for domain in domains}
    return tuple(entry for entry in found if wanted & set(entry.metadata.domains or ()))


def in_modalities(found: Sequence[Entry], modalities: Sequence[str], kinds: Sequence[str]) -> tuple[Entry, ...]:
    """The entries with images, those of texts alone, or both.

    Args:
        found: Tasks.
        modalities: ``image`` for tasks with images, beside texts or alone; ``text`` for those without. Without any,
            those without, and those with images of the types that are asked for and that only such tasks have.
        kinds: Types that are asked for.
    """
    if strange := set(modalities) - set(MODALITIES):
        raise BadInput(
            f"--modalities: {', '.join(sorted(strange))} is no modality: expected {' or '.join(MODALITIES)}, or both"
        )
    if modalities:
        return tuple(entry for entry in found if ("image" if "image" in entry.row.modalities else "text") in modalities)
    asked = {plain(kind) for kind in kinds} & _WITH_IMAGES
    return tuple(entry for entry in found if entry.row.modalities == ("text",) or plain(entry.row.kind) in asked)


def in_subsets(found: Sequence[Entry], wanted: Sequence[str], hint: str) -> tuple[Entry, ...]:
    """The entries with only the wanted subsets; one that has no subsets stays whole.

    Args:
        found: Tasks.
        wanted: Subsets.
        hint: Where the full list is to be seen, for messages.

    Raises:
        UnknownName: No task has a subset, or a task with subsets has none of them.
    """
    known = dict.fromkeys(subset for entry in found for subset in entry.row.subsets)
    for subset in wanted:
        if subset not in known:
            raise UnknownName("subset", subset, known, hint)
    return tuple(entry if is_whole(entry.row) else _in_subsets(entry, wanted) for entry in found)


def is_whole(row: Task) -> bool:
    """Whether a task has no subsets to choose from."""
    return row.subsets == ("default",)


def _in_subsets(entry: Entry, wanted: Sequence[str]) -> Entry:
    row = entry.row
    kept = tuple(subset for subset in row.subsets if subset in wanted)
    if not kept:
        raise UnknownName("subset", ",".join(wanted), row.subsets, f"of {row.name}, which has {', '.join(row.subsets)}")
    return replace(entry, row=replace(row, subsets=kept))


def _codes_of(language: str, codes: Sequence[Mapping[str, set[str]]]) -> Iterator[str]:
    """What to write instead of a language that is no code: the codes of the languages whose names have this word, those
    of the most subsets first.
    """
    from mteb.languages import ISO_TO_LANGUAGE

    used = Counter(code for by_subset in codes for its in by_subset.values() for code in its)
    named = [
        code for code, _ in used.most_common() if language.lower() in ISO_TO_LANGUAGE.get(code, "").lower().split()
    ]
    if named:
        shown = " or ".join(f"{code} ({ISO_TO_LANGUAGE[code]})" for code in named[:_SHOWN])
        yield f"did you mean {shown}?"
    yield "expected a code of ISO 639 that a task has, such as zh or cmn"


def _why_not(metadata: Any) -> str:
    if strange := sorted(set(metadata.modalities) - set(MODALITIES)):
        return f"inputs have {' and '.join(strange)}, and only {joined(MODALITIES)} are read here"
    return "" if metadata.is_public is not False else "data is not public"


def _spellings(entry: Entry, subset: str) -> set[str]:
    """The names of the languages of a subset, which mteb gives as ``cmn-Hans``."""
    codes = entry.metadata.hf_subsets_to_langscripts.get(subset, ())
    return {name for code in codes for name in (code, code.partition("-")[0], iso_639_1(code)) if name}
