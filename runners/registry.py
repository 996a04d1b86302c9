"""Registry of benchmarks: the built-in ones, and those of installed packages.

A package adds a benchmark through the entry-point group ``flagbench.benchmarks``: the entry's name is the benchmark's,
its value ``module:OBJECT``, a ``Benchmark``. Packages are looked through only where that is needed: for a name or a
flag that is none of ours, and for lists. This is the only module below ``runners/`` that knows benchmarks by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, UnknownName

if TYPE_CHECKING:
    from flagbench.runners.benchmark import Benchmark

GROUP = "flagbench.benchmarks"
DEFAULT = "cmteb"

# By name, so that a command imports only the packages of the benchmarks that it is about.
OWN: Mapping[str, str] = {
    "cmteb": "flagbench.cmteb.benchmark:CMTEB",
    "mteb": "flagbench.cmteb.benchmark:MTEB",
    "air-bench": "flagbench.airbench.benchmark:AIR_BENCH",
    "mlvu": "flagbench.mlvu.benchmark:MLVU",
}


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
    """The benchmark of this name.

    Raises:
        UnknownName: There is none.
        BadInput: A package names it, and it cannot be loaded.
    """
    if name in OWN:
        return _own(name)
    entries = _entries()
    for entry in entries:
        if entry.name == name:
            return _of_package(entry)
    raise UnknownName("benchmark", name, [*OWN, *(entry.name for entry in entries)])


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


def names() -> tuple[str, ...]:
    """The names of all benchmarks, of which none is loaded."""
    return tuple(dict.fromkeys([*OWN, *(entry.name for entry in _entries())]))


def either(names: Iterable[str]) -> str:
    """Names in one line, for messages: ``a``, ``a or b``, ``a, b or c``."""
    *first, last = list(names) or ["(none)"]
    return f"{', '.join(first)} or {last}" if first else last


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
    except Exception as error:  # whatever a package does when it is imported
        text = str(error).splitlines()
        raise BadInput(
            f"{_title(entry)} cannot be loaded: {type(error).__name__}{': ' if text else ''}{''.join(text[:1])}"
        ) from error
    if not isinstance(benchmark, Benchmark) or benchmark.name != entry.name:
        raise BadInput(f"{_title(entry)} cannot be loaded: {entry.value} is not a Benchmark of this name")
    return benchmark


def _title(entry: Any) -> str:
    package = entry.dist.name if entry.dist else "unknown"
    return f"the benchmark '{entry.name}' of the package {package}"


def _entries() -> list[Any]:
    from importlib.metadata import entry_points

    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
