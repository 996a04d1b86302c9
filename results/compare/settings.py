"""What runs, or the tasks of one, were set to do otherwise, in the one line that tables, pages and gates have of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from flagbench import printable
from flagbench.instructions import instruction_for
from flagbench.results.identity import RANKING
from flagbench.results.kinds import RANKED
from flagbench.results.record import RunRecord, TaskRecord

WHO = frozenset({"name", "revision", "family", "licence"})
"""They name a model, and set nothing."""

_WORDS = {
    "query_max_length": "query max length",
    "passage_max_length": "passage max length",
    "symmetric": "text",
    "ability": "kind of model",
    "adapter": "loaded as",  # a PEFT adapter is what the field calls so
}
_KINDS = {
    "encode": "embedding model",
    "score": "reranker",
    "search": "search without vectors",
    "generate": "generative model",
    "replay": "given rankings",
}
"""Abilities, as people call models that have them."""

_RANKINGS = {"run-file": "a run file", "fusion": "fused rankings"}
"""Adapters of given rankings."""

_WITHOUT_VECTORS = ("search", "replay")
"""Abilities whose models have no other setting in common with models of other kinds."""

_BOTH = ("query_max_length", "passage_max_length")
_FULL = {"store": "full precision", "profile": "full"}
"""What the absence of a setting means."""

_COMPARED = ("model", "reranker", *_FULL, "options")
"""Settings of a task that are compared with those of another."""

_REVISION = 8
"""Characters of a revision."""

_SHOWN = 40
"""Characters of a text, such as an instruction."""


def settings_differ(first: RunRecord, second: RunRecord) -> str:
    """The line on all settings of the tasks that both runs have, such as ``settings differ: max length 256 → 8``.

    Data, splits and metrics are no settings: they keep scores from comparing (``results/runs.py``). Records without
    the settings of a model, such as those of published scores, differ in nothing that is known.

    Returns:
        One printable line; empty where nothing differs.
    """
    unlike: dict[Hashable, tuple[TaskRecord, TaskRecord]] = {}
    for name, task in first.tasks.items():
        other = second.tasks.get(name)
        if other and "model" in task.settings and "model" in other.settings:
            unlike.setdefault((_identity(task, "instruction"), _identity(other, "instruction")), (task, other))
    found: dict[str, None] = {}
    for task, other in unlike.values():
        found |= dict.fromkeys(_changes(task.settings, other.settings))
    return _line(found)


def settings_mixed(tasks: Iterable[TaskRecord], spec: Mapping[str, Any] | None = None) -> str:
    """The same line on the tasks of one run: no average is made of tasks that ran with different settings.

    What a setting says of some tasks alone makes no difference to others: the ranking of passages is compared between
    tasks that rank, the options of a benchmark between its own tasks, and a task's instruction with the one that the
    run's settings have for this very task.

    Args:
        tasks: Of one run; those that failed count for nothing.
        spec: The run's settings, by which instructions are judged; None leaves these out.

    Returns:
        One printable line; empty where nothing differs, or the records do not tell.
    """
    known = [task for task in tasks if task.status != "error" and "model" in task.settings]
    if len(known) < 2:
        return ""
    unlike: dict[Hashable, TaskRecord] = {}
    for task in known:
        unlike.setdefault((task.kind in RANKED, _identity(task)), task)
    found: dict[str, None] = {}
    for task in list(unlike.values())[1:]:
        found |= dict.fromkeys(_changes_between(known[0], task))
    prompts = _prompts(spec or {})
    for task in known if prompts is not None else ():
        found |= dict.fromkeys(_other_instructions(task, prompts or ()))
    return _line(found)


def _identity(task: TaskRecord, *others: str) -> Hashable:
    """Which objects hold the settings that are compared: in records that are read, equal ones are one object."""
    settings = task.settings
    return tuple(id(settings[part]) if part in settings else None for part in (*_COMPARED, *others))


Prompts = tuple[tuple[str, str], ...]


def _prompts(spec: Mapping[str, Any]) -> Prompts | None:
    """The instructions of a run's settings; None where these do not tell."""
    prompts = spec.get("prompts")
    if isinstance(prompts, list | tuple) and all(
        isinstance(pair, list | tuple) and [type(each) for each in pair] == [str, str] for pair in prompts
    ):
        return tuple(map(tuple, prompts))
    return None


def _line(phrases: Iterable[str]) -> str:
    text = ", ".join(phrases)
    return f"settings differ: {text}" if text else ""


def _changes_between(first: TaskRecord, second: TaskRecord) -> Iterator[str]:
    """The changes from one task of a run to another, in what is about both of them."""
    before, after = ({**task.settings, "instruction": {}} for task in (first, second))
    if not {first.kind, second.kind} <= RANKED:
        before, after = ({**each, "model": _without(each["model"], RANKING)} for each in (before, after))
    one, other = (each.get("options") for each in (before, after))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        shared = one.keys() & other.keys()
        before["options"], after["options"] = (
            {key: each[key] for key in one if key in shared} for each in (one, other)
        )
    else:
        before["options"] = after["options"] = {}
    yield from _changes(before, after)


def _without(model: Any, keys: Iterable[str]) -> Any:
    return {key: value for key, value in model.items() if key not in keys} if isinstance(model, Mapping) else model


def _other_instructions(task: TaskRecord, prompts: Prompts) -> Iterator[str]:
    """Where a task ran with instructions that the run's settings, which are those of its last task, do not have."""
    own = task.settings.get("instruction")
    if isinstance(own, Mapping):
        yield from _each(own, _instructions(prompts, task.name, task.kind, tuple(own)), "", " instruction")


@lru_cache(maxsize=1 << 12)
def _instructions(prompts: Prompts, task: str, kind: str, roles: tuple[str, ...]) -> Mapping[str, str]:
    """The instructions that a task runs with, by role; the tasks of many runs ask for the same."""
    return {role: instruction_for(prompts, task, kind, role) for role in roles}


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    yield from _model(before["model"], after["model"], "")
    yield from _each(before.get("instruction") or {}, after.get("instruction") or {}, "", " instruction")
    one, other = before.get("reranker"), after.get("reranker")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        yield from _model(one, other, "reranker ")
        yield from _each({"": one.get("name")}, {"": other.get("name")}, "reranker", "")
    elif one != other:
        yield f"reranker {_name(one)} → {_name(other)}"
    for part, words in (("store", "cached vectors"), ("profile", "profile")):
        values = [settings.get(part, _FULL[part]) for settings in (before, after)]
        if values[0] != values[1]:
            yield f"{words} {_value(values[0])} → {_value(values[1])}"
    yield from _each(before.get("options") or {}, after.get("options") or {}, "", "")


def _model(before: Any, after: Any, whose: str) -> Iterator[str]:
    if _same(before, after) or not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return
    one, other = ({key: value for key, value in each.items() if key not in WHO} for each in (before, after))
    kinds = [each.get("ability") for each in (one, other)]
    if None not in kinds and kinds[0] != kinds[1]:
        first, second = (_KINDS.get(str(kind), _value(kind)) for kind in kinds)
        yield f"{whose}{_WORDS['ability']} {first} → {second}"
        if any(kind in _WITHOUT_VECTORS for kind in kinds):
            return
        one, other = (_without(each, ("ability",)) for each in (one, other))
    if kinds == ["replay", "replay"]:
        one, other = (
            {**each, "adapter": _RANKINGS.get(str(each.get("adapter")), each.get("adapter"))} for each in (one, other)
        )
    if one.get("adapter") != other.get("adapter"):  # each has settings of its own, which the other has no use for
        shared = (one.keys() & other.keys()) - _untold(one) - _untold(other)
        one, other = ({key: value for key, value in each.items() if key in shared} for each in (one, other))
    yield from _views(one.get("view"), other.get("view"), whose)
    yield from _mixtures(one.get("mixture"), other.get("mixture"), whose)
    one, other = (_without(each, ("view", "mixture")) for each in (one, other))
    lengths = {tuple(str(each.get(name)) for each in (one, other)) for name in _BOTH}
    if len(lengths) == 1:  # as --max-length sets both
        yield from _each({"max length": one.get(_BOTH[0])}, {"max length": other.get(_BOTH[0])}, whose, "")
        one, other = ({key: value for key, value in each.items() if key not in _BOTH} for each in (one, other))
    yield from _each(one, other, whose, "")


def _untold(model: Mapping[str, Any]) -> set[str]:
    """Settings that a model's server has and does not tell, which are compared with nothing."""
    if model.get("adapter") != "served":
        return set()
    return {"dtype", *(name for name in ("pooling", *_BOTH) if not model.get(name))}


def _views(before: Any, after: Any, whose: str) -> Iterator[str]:
    """What is kept of vectors; without a view it is all numbers in full precision."""
    one, other = (
        {
            "dimensions": "all" if view.get("dims") in (None, 0, "full") else view["dims"],
            "vectors": view.get("vectors") or "fp32",
            **{key: value for key, value in view.items() if key not in ("dims", "vectors")},
        }
        for view in (each if isinstance(each, Mapping) else {} for each in (before, after))
    )
    yield from _each(one, other, whose, "")


def _mixtures(before: Any, after: Any, whose: str) -> Iterator[str]:
    """The weights of mixtures, such as ``0.25 org/a + 0.75 org/b``; revisions where they are not the same."""
    if not _same(before, after):
        sources = [{str(source) for _, source in pairs} for pairs in (_pairs(before), _pairs(after)) if pairs]
        revisions = any(its != sources[0] for its in sources)
        one, other = (_sum(each, revisions=revisions) for each in (before, after))
        if one != other:
            yield f"{whose}weights {one} → {other}"


def _pairs(mixture: Any) -> list[tuple[Any, Any]]:
    pairs = mixture if isinstance(mixture, list | tuple) else []
    fit = all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs)
    return [(weight, source) for weight, source in pairs] if fit else []


def _sum(mixture: Any, *, revisions: bool) -> str:
    pairs = _pairs(mixture)
    if not pairs:
        return "of no mixture" if mixture in (None, [], ()) else _value(mixture)
    terms = []
    for weight, source in pairs:
        name, at, revision = str(source).rpartition("@")
        its = f"{name or revision}{at}{revision[:_REVISION]}" if revisions and at else name or revision
        terms.append(f"{_value(weight)} {printable(its)}")
    return " + ".join(terms)


def _same(before: Any, after: Any) -> bool:
    """Tell quickly that nothing differs; 0 and false are equal, and not the same."""
    return before is after or (bool(before == after) and repr(before) == repr(after))


def _each(before: Any, after: Any, whose: str, what: str) -> Iterator[str]:
    """A phrase for each setting that differs; those of a table in a table by their own names."""
    if _same(before, after) or not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return
    for key in dict.fromkeys([*before, *after]):
        one, other = before.get(key), after.get(key)
        if isinstance(one, Mapping) or isinstance(other, Mapping):
            yield from _each(one or {}, other or {}, f"{whose}{word(key)} ", what)
        elif _value(one) != _value(other):
            yield f"{whose}{word(key)}{what} {_value(one)} → {_value(other)}"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """A phrase for each setting that differs, such as ``pooling cls → mean``."""
    return _each(before, after, "", "")


def word(key: Any) -> str:
    """A setting by its key, for people."""
    return printable(_WORDS.get(key, str(key).replace("_", " ")))


def _value(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    text = printable(value).strip()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _name(reranker: Any) -> str:
    return _value(reranker.get("name") if isinstance(reranker, Mapping) else None)
