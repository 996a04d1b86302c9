"""What a benchmark has that states nothing but what it must, and the model that it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.flags import flag
from flagbench.models.loading.overrides import Overrides
from flagbench.runners.benchmark import Benchmark, Listing, names_of
from flagbench.runners.request import RunRequest
from flagbench.runners.task import Task

A = Task("A", "STS", "org/a", "0123456789abcdef", ("test", "dev"), "cosine_spearman", "core")
B = Task("B", "PairClassification", "org/b", "main", ("test",), "max_ap", "core", ("zh", "en"), ("text", "image"))
C = Task("C", "STS", "org/c", "main", ("test",), "cosine_spearman", "more")


@dataclass(frozen=True)
class _Options:
    depth: int = flag(3, "how deep", parse=int)
    only: str = flag("all", "which", selects=True)
    inner: int = 7


class _Plain(Benchmark):
    name = "plain"
    title = "Plain"
    check = load = evaluate = None  # type: ignore[assignment]

    def tasks(self) -> tuple[Task, ...]:
        return (A, B, C)


class _WithOptions(_Plain):
    options = _Options


PLAIN = _Plain()  # type: ignore[abstract]
WITH_OPTIONS = _WithOptions()  # type: ignore[abstract]
REQUEST = RunRequest(model="m", benchmark="plain")


def test_what_a_benchmark_has_that_states_the_least() -> None:
    assert PLAIN.abilities == {"encode", "score", "search"}
    assert (PLAIN.imports, PLAIN.options, dict(PLAIN.commands)) == ((), None, {})
    assert (PLAIN.profiles, PLAIN.examples) == (("full",), ())
    assert PLAIN.averages(REQUEST) == {}
    assert PLAIN.option_settings(REQUEST) == {}
    assert PLAIN.outputs(A, SimpleNamespace(), None) == ("A.json",)  # type: ignore[arg-type]
    assert (PLAIN.mini_data(), PLAIN.published()) == (None, None)
    assert PLAIN.remarks(A, SimpleNamespace(), REQUEST) == ()  # type: ignore[arg-type]
    assert PLAIN.settings(B) == {
        "name": "B",
        "kind": "PairClassification",
        "dataset": "org/b",
        "revision": "main",
        "splits": ("test",),
        "main_score": "max_ap",
        "group": "core",
        "subsets": ("zh", "en"),
        "modalities": ("text", "image"),
    }


def test_its_tasks_as_a_table() -> None:
    assert PLAIN.listing([A, B]) == Listing(
        ["task", "type", "group", "dataset", "revision", "splits", "main score"],
        [
            ["A", "STS", "core", "org/a", "01234567", "test, dev", "cosine_spearman"],
            ["B", "PairClassification", "core", "org/b", "main", "test [zh, en]", "max_ap"],
        ],
        "",
    )
    assert names_of([A, B, C]) == "A, B, C"


@pytest.mark.parametrize(
    ("names", "kinds", "chosen"),
    [
        ((), (), "AB"),  # the group of the first row
        (("C", "A"), (), "AC"),
        ((), ("sts",), "A"),
        (("A", "B", "C"), ("pair-classification", "STS"), "ABC"),
        (("A", "B", "C"), ("STS",), "AC"),
    ],
)
def test_which_of_its_tasks_are_chosen(names: tuple[str, ...], kinds: tuple[str, ...], chosen: str) -> None:
    request = RunRequest(model="m", benchmark="plain", tasks=names, types=kinds)
    assert "".join(task.name for task in PLAIN.select(request)) == chosen


@pytest.mark.parametrize(
    ("names", "kinds", "said"),
    [
        (("D",), (), "unknown task 'D'; known: A, B, C; see flagbench tasks --benchmark plain"),
        (
            (),
            ("Retrieval",),
            "unknown task type 'Retrieval'; known: PairClassification, STS; see flagbench tasks --benchmark plain",
        ),
        (("B",), ("STS",), "--tasks B and --types STS have no task in common: drop one"),
        (("B", "A"), ("PairClasification",), "unknown task type 'PairClasification'; did you mean PairClassification?"),
    ],
)
def test_what_cannot_be_chosen(names: tuple[str, ...], kinds: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        PLAIN.select(RunRequest(model="m", benchmark="plain", tasks=names, types=kinds))
    assert str(caught.value).startswith(said)


def test_its_options_are_settings_but_for_those_that_select() -> None:
    assert WITH_OPTIONS.option_settings(REQUEST) == {"depth": 3}
    given = RunRequest(model="m", benchmark="plain", options=_Options(depth=5, only="some", inner=8))
    assert WITH_OPTIONS.option_settings(given) == {"depth": 5}


@pytest.mark.parametrize(
    ("model", "reranker", "dtype", "pooling"),
    [
        ("org/m", None, "fp16", "cls"),
        ("org/m", "org/r", "fp16", "cls"),
        ("flagbench/bm25", "org/r", None, "cls"),  # of a searcher it is the reranker's
        ("flagbench/bm25", None, "fp16", "cls"),
    ],
)
def test_the_model_gets_what_was_asked_for_it(
    model: str, reranker: str | None, dtype: str | None, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def resolve_model(name: str, revision: str | None, overrides: Overrides, **options: Any) -> str:
        asked.append((name, revision, overrides, options))
        return "a model"

    monkeypatch.setattr("flagbench.runners.text_model.resolve_model", resolve_model)
    on_cpu: Callable[[], bool] = lambda: True  # noqa: E731
    request = RunRequest(
        model=model,
        benchmark="plain",
        revision="r",
        reranker=reranker,
        overrides=Overrides(pooling="cls", dtype="fp16", cutoff=2),
        trust_remote_code=True,
        allow_pickle=False,
        output=Path("out"),
    )
    assert PLAIN.model(request, on_cpu) == "a model"  # type: ignore[comparison-overlap]
    ((name, revision, overrides, options),) = asked
    assert (name, revision, overrides.dtype, overrides.pooling) == (model, "r", dtype, pooling)
    assert overrides.cutoff == (0 if reranker else 2)
    assert options == {"trust_remote_code": True, "allow_pickle": False, "on_cpu": on_cpu}


@pytest.mark.parametrize(
    ("commands", "verbs"),
    [({}, []), ({"submit": "m"}, ["submit"]), ({"submit": "m", "score": "m", "other": "m"}, ["score", "submit"])],
)
def test_its_commands_are_offered_for_the_folder_of_the_run(commands: dict[str, str], verbs: list[str]) -> None:
    benchmark = type("_With", (_Plain,), {"commands": commands})()
    plan: Any = SimpleNamespace(store=SimpleNamespace(folder=Path("out dir/m")))
    assert list(benchmark.next_commands(plan, ["A"])) == [f"flagbench {verb} plain 'out dir/m'" for verb in verbs]
