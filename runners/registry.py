"""Registry of benchmarks: the built-in ones, and those of installed packages.

A package adds a benchmark through the entry-point group ``flagbench.benchmarks``: the entry's name is the benchmark's,
its value ``module:OBJECT``, a ``Benchmark``. Packages are looked through only where that is needed: for a name or a
flag that is none of ours, and for lists. This is the only module below ``runners/`` that knows benchmarks by name.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, UnknownName
from flagbench.flags import flags_of

if TYPE_CHECKING:
    from flagbench.runners.benchmark import Benchmark

GROUP = "flagbench.benchmarks"
DEFAULT = "cmteb"
_FLAG = re.compile(r"--[a-z0-9]+(-[a-z0-9]+)*")
_FILE = re.compile(r"[\w(][^/\\,\s\x00]*")

# By name, so that a command imports only the packages of the benchmarks that it is about.
OWN: Mapping[str, str] = {
    "cmteb": "flagbench.cmteb.benchmark:CMTEB",
    "mteb": "flagbench.suites.mteb.benchmark:MTEB",
    "air-bench": "flagbench.airbench.benchmark:AIR_BENCH",
    "mlvu": "flagbench.mlvu.benchmark:MLVU",
    "own": "flagbench.suites.own.benchmark:OWN",
    "composed": "flagbench.suites.composed.benchmark:COMPOSED",
    "longctx": "flagbench.suites.longctx.benchmark:LONG_CONTEXT",
    "llm-embedder": "flagbench.suites.llm_embedder.benchmark:LLM_EMBEDDER",
}

_WITH_NAMES = ("mteb",)
"""Those that have others within them, which they find by name."""


@dataclass(frozen=True)
class Registered:
    """All benchmarks that can be loaded.

    Attributes:
        benchmarks: By name: ours, then those of packages.
        faults: One line for each benchmark of a package that cannot be loaded.
    """

    benchmarks: Mapping[str, Benchmark]
    faults: tuple[str, ...]


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of this name; of ours also as its title or in other letters, and one that another makes of names.

    Raises:
        UnknownName: There is none.
        BadInput: A package names it, and it cannot be loaded.
    """
    if own := {_plain(each): each for each in OWN}.get(_plain(name)):
        return _own(own)
    for entry in _entries():
        if entry.name == name:
            return _of_package(entry)
    more: list[str] = []
    for its in map(_own, _WITH_NAMES):
        if (found := its.named(name)) is not None:
            return found
        more += its.names()
    raise UnknownName("benchmark", name, [*names(), *more])


def place_of_task(name: str) -> tuple[str, str]:
    """The benchmark of ours that has a task of this name, in any letters, and the task's name; empty where none has."""
    for each in sorted(OWN, key=lambda its: its in _WITH_NAMES):  # what takes long to look through is last
        if found := _own(each).task_named(name):
            return each, found
    return "", ""


def registered() -> Registered:
    """All benchmarks, ours and those of packages."""
    benchmarks = {name: _own(name) for name in OWN}
    faults: list[str] = []
    for entry in _entries():
        try:
            if entry.name in benchmarks:
                raise BadInput(f"{_title(entry)} is left out: another benchmark has its name")
            benchmarks[entry.name] = _of_package(entry)
        except BadInput as error:
            faults.append(str(error))
    return Registered(benchmarks, tuple(faults))


def benchmarks_that(wanted: Callable[[Benchmark], bool]) -> str:
    """The names of the benchmarks of a kind, for messages."""
    return either(name for name, benchmark in registered().benchmarks.items() if wanted(benchmark))


def names() -> tuple[str, ...]:
    """The names of all benchmarks, of which none is loaded."""
    return tuple(dict.fromkeys([*OWN, *(entry.name for entry in _entries())]))


def either(names: Iterable[str]) -> str:
    """Names in one line, for messages: ``a``, ``a or b``, ``a, b or c``."""
    *first, last = list(names) or ["(none)"]
    return f"{', '.join(first)} or {last}" if first else last


def _plain(name: str) -> str:
    return "".join(each for each in name.lower() if each.isalnum())


def _own(name: str) -> Benchmark:
    module, attribute = OWN[name].split(":")
    benchmark: Benchmark = getattr(importlib.import_module(module), attribute)
    return benchmark


def _of_package(entry: Any) -> Benchmark:
    """The benchmark of an entry point.

    Raises:
        BadInput: It cannot be loaded, or is none.
    """
    from flagbench.runners.benchmark import Benchmark

    try:
        benchmark = entry.load()
        if not isinstance(benchmark, Benchmark) or getattr(benchmark, "name", None) != entry.name:
            raise BadInput(f"{entry.value} is not a Benchmark of this name")
        fault = _fault(benchmark)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a package does when it is imported, exits among it
        text = str(error).splitlines()
        kind = "" if isinstance(error, BadInput) and text else type(error).__name__
        line = f"{kind}{': ' if kind and text else ''}{''.join(text[:1])}"
        raise BadInput(f"{_title(entry)} cannot be loaded: {line}") from error
    if fault:
        raise BadInput(f"{_title(entry)} cannot be loaded: {fault}; its package has to be fixed")
    return benchmark


def _fault(benchmark: Benchmark) -> str:
    """What a benchmark states wrongly, empty for nothing: found here, it stops one benchmark and no other."""
    if not isinstance(getattr(benchmark, "title", None), str):
        return "it has no title"
    options = benchmark.options
    if options is not None:
        if not (isinstance(options, type) and is_dataclass(options)):
            return "its options are no dataclass"
        flags = flags_of(options)
        for each in flags:
            if not _FLAG.fullmatch(each.name):
                return f"its option {each.field} has the flag '{each.name}', and a flag looks like --two-words"
        for name in (each.name for each in flags):
            if sum(each.name == name for each in flags) > 1:
                return f"it declares {name} twice"
        needed = [each.name for each in fields(options) if each.default is MISSING and each.default_factory is MISSING]
        if needed:
            return f"its option {needed[0]} has no default"
    return _fault_of_tasks(benchmark.tasks())


def _fault_of_tasks(tasks: Any) -> str:
    from flagbench.runners.task import Task

    if not isinstance(tasks, tuple | list) or not tasks or not all(isinstance(task, Task) for task in tasks):
        return "its tasks are no tuple of one Task or more"
    known: set[str] = set()
    for task in tasks:
        if not _FILE.fullmatch(task.name):
            return f"its task '{task.name}' has a name that no file and no list of names can have"
        if task.name in known:
            return f"two of its tasks have the name {task.name}"
        known.add(task.name)
    return ""


def _title(entry: Any) -> str:
    package = entry.dist.name if entry.dist else "unknown"
    return f"the benchmark '{entry.name}' of the package {package}"


def _entries() -> list[Any]:
    from importlib.metadata import entry_points

    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
