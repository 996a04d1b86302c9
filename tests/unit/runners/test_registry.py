"""Which benchmarks there are: ours, those of packages, and what one of a package may not be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadInput, UnknownName
from flagbench.flags import flag
from flagbench.runners import registry
from flagbench.runners.registry import either, find_benchmark, names, registered
from tests.unit.runners.test_benchmark import A, B, _Plain

_OURS = ("cmteb", "mteb", "air-bench", "mlvu", "own", "composed", "longctx", "llm-embedder")


@dataclass(frozen=True)
class _Sound:
    depth: int = flag(3, "how deep", parse=int)
    kept: list[str] = field(default_factory=list)
    inner: int = 7


def made(**values: Any) -> Any:
    """A benchmark with some things stated otherwise."""
    return type("Made", (_Plain,), values)()


def entry(name: str, benchmark: Any, package: str | None = "pack") -> Any:
    """What a package says of itself; an exception is raised when it is loaded."""

    def load() -> Any:
        if isinstance(benchmark, BaseException):
            raise benchmark
        return benchmark

    dist = SimpleNamespace(name=package) if package else None
    return SimpleNamespace(name=name, value=f"{name}.benchmark:IT", load=load, dist=dist)


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install some."""
    return lambda *entries: monkeypatch.setattr(registry, "_entries", lambda: list(entries))


def test_ours_and_those_of_packages(packages: Callable[..., None]) -> None:
    plain = made(options=_Sound)
    packages(entry("plain", plain), entry("odd", made(name="other")), entry("mlvu", made(name="mlvu")))
    assert names() == (*_OURS, "plain", "odd")
    found = registered()
    assert tuple(found.benchmarks) == (*_OURS, "plain")
    assert found.benchmarks["plain"] is find_benchmark("plain") is plain
    for name in _OURS:
        assert found.benchmarks[name] is find_benchmark(name)
        assert find_benchmark(name).name == name
    assert found.faults == (
        "the benchmark 'odd' of the package pack cannot be loaded: odd.benchmark:IT is not a Benchmark of this name",
        "the benchmark 'mlvu' of the package pack is left out: another benchmark has its name",
    )
    packages(entry("plain", plain), entry("plain", made()))
    assert registered().benchmarks["plain"] is find_benchmark("plain") is plain
    assert registered().faults == (
        "the benchmark 'plain' of the package pack is left out: another benchmark has its name",
    )
    with pytest.raises(UnknownName, match=r"^unknown benchmark 'plan'; did you mean plain\?$"):
        find_benchmark("plan")


@pytest.mark.parametrize(
    ("benchmark", "fault"),
    [
        (made(title=None), "it has no title; its package has to be fixed"),
        (made(options=_Sound()), "its options are no dataclass; its package has to be fixed"),
        (made(options=int), "its options are no dataclass; its package has to be fixed"),
        (made(tasks=lambda self: ()), "its tasks are no tuple of one Task or more; its package has to be fixed"),
        (made(tasks=lambda self: (A, "B")), "its tasks are no tuple of one Task or more; its package has to be fixed"),
        (made(tasks=lambda self: (A, B, A)), "two of its tasks have the name A; its package has to be fixed"),
        (made(tasks=lambda self: 1 // 0), "ZeroDivisionError: integer division or modulo by zero"),
        (SimpleNamespace(name="plain"), "plain.benchmark:IT is not a Benchmark of this name"),
        (SystemExit(), "SystemExit"),
        (ImportError("no torch\nand more"), "ImportError: no torch"),
        (BadInput("a line of its own"), "a line of its own"),
        (BadInput(), "BadInput"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_package_brings_that_is_none(benchmark: Any, fault: str, packages: Callable[..., None]) -> None:
    packages(entry("plain", benchmark))
    with pytest.raises(BadInput) as caught:
        find_benchmark("plain")
    assert str(caught.value) == f"the benchmark 'plain' of the package pack cannot be loaded: {fault}"
    assert registered().faults == (str(caught.value),)
    packages(entry("plain", benchmark, package=None))
    with pytest.raises(BadInput, match="of the package unknown cannot be loaded"):
        find_benchmark("plain")


def test_an_interruption_is_no_fault_of_a_package(packages: Callable[..., None]) -> None:
    packages(entry("plain", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        find_benchmark("plain")


@pytest.mark.parametrize("name", ["", "A B", "A,B", "a/b", "..", ".hidden", "a\\b", "-x", "a\0b", " a"])
def test_a_task_whose_name_no_file_and_no_list_can_have(name: str, packages: Callable[..., None]) -> None:
    packages(entry("plain", made(tasks=lambda self: (A, replace(B, name=name)))))
    with pytest.raises(BadInput) as caught:
        find_benchmark("plain")
    fault = f"its task '{name}' has a name that no file and no list of names can have; its package has to be fixed"
    assert str(caught.value) == f"the benchmark 'plain' of the package pack cannot be loaded: {fault}"


@pytest.mark.parametrize("name", ["A", "文.v2", "(new)", "a..b", "_x", "9", "A(en)-zh"])
def test_names_that_a_task_may_have(name: str, packages: Callable[..., None]) -> None:
    plain = made(tasks=lambda self: [A, replace(B, name=name + "x")])
    packages(entry("plain", plain))
    assert find_benchmark("plain") is plain


@pytest.mark.parametrize("name", ["odd", "-odd", "--Odd", "--odd_one", "--odd-", "---odd", "--odd one"])
def test_what_is_no_flag(name: str, packages: Callable[..., None]) -> None:
    @dataclass(frozen=True)
    class Odd:
        depth: int = flag(3, "how deep", name=name, parse=int)

    packages(entry("plain", made(options=Odd)))
    said = f"its option depth has the flag '{name}', and a flag looks like --two-words; its package has to be fixed"
    with pytest.raises(BadInput, match=re.escape(said)):
        find_benchmark("plain")


def test_names_one_after_another() -> None:
    assert either(iter([])) == "(none)"
    assert either(iter(["a"])) == "a"
    assert either(iter(["a", "b"])) == "a or b"
    assert either(iter(["a", "b", "c"])) == "a, b or c"


def test_packages_are_looked_through_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two of one name the same one is taken each time, whatever the order in which they lie on the disk."""
    groups: list[Any] = []
    lying = [SimpleNamespace(name=name, value=value) for name, value in (("b", "x"), ("a", "z"), ("a", "y"))]

    def entry_points(**chosen: Any) -> list[Any]:
        groups.append(chosen)
        return lying

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert [(each.name, each.value) for each in registry._entries()] == [("a", "y"), ("a", "z"), ("b", "x")]
    assert groups == [{"group": "flagbench.benchmarks"}]
