"""Whole pages as they are read: every line of some pages, with what scripts sort and filter by.

The texts in ``shown/`` are read over by hand when they change. ``python -m tests.unit.results.page.test_whole_pages``
writes them anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from flagbench.results.page.benchmark import Benchmark
from flagbench.results.page.render import page
from flagbench.results.page.view import Group, groups, leaderboards
from flagbench.results.readable import Unreadable
from flagbench.results.runs import find_all
from flagbench.results.worst_queries import Example, Examples, Passage
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_tree import Element, read_page

SHOWN = Path(__file__).with_name("shown")
KNOWN = {
    "cmteb": Benchmark(
        "C-MTEB",
        {"Retrieval mean": ["A", "B"], "Avg": ["A", "B", "C"]},
        {"Retrieval mean": ["A"], "Avg": ["A", "C"]},
        ("cmteb", "mini"),
    ),
    "mlvu": Benchmark("MLVU", {"M-Avg (dev)": ["Q"]}),
}
_FACTS = ("href", "colspan", "rowspan", "scope", "value", "name", "title", "aria-label", "open", "hidden", "x", "y")
_MEANINGS = {"gain", "loss", "even", "sure", "lacking", "differs", "full", "hit", "bad", "warn", "none"}
_INLINE = {"span", "small", "abbr", "b", "code", "bdi", "br", "wbr", "button"}
_NOT_SAID = {"data-sort", "data-label"}
_NOT_READ = {"script", "style", "meta", "link", "title"}


def _marks(element: Element) -> str:
    """What an element says beside its text, as far as a reader or the page's script sees it."""
    of = element.attributes
    said = [each for each in of.get("class", "").split() if each in _MEANINGS]
    said += [
        f"{name}={of[name].partition(';base64,')[0]}"
        for name in of
        if name in _FACTS or (name.startswith("data-") and name not in _NOT_SAID)
    ]
    return f"{{{' '.join(said)}}}" if said else ""


def _words(element: Element) -> str:
    if element.has("bar"):
        return f" [bar {element.one('rect', class_='fill').attributes['width']}]"
    if element.has("swatch"):
        return f"[{element.attributes['class'].split()[-1]}] "
    parts = [each if isinstance(each, str) else _words(each) for each in element.inside]
    text = " ".join("".join(parts).split())
    marks = _marks(element)
    return f"{text}{marks}" if element.name in _INLINE - {"wbr"} and marks else "".join(parts)


def lines_of(element: Element, level: int = 0) -> Iterator[str]:
    """A line for each element that is no part of a line of text."""
    inside = [each for each in element.inside if isinstance(each, Element) and each.name not in _NOT_READ]
    blocks = [each for each in inside if each.name not in _INLINE and not each.has("bar") and not each.has("swatch")]
    text = "" if blocks and element.name != "label" else " ".join(_words(element).split())
    if element.name and (text or _marks(element) or element.name in ("table", "details", "nav", "figure")):
        yield f"{'  ' * level}{element.name}{_marks(element)} {text}".rstrip()
        level += 1
    for each in blocks if not text else ():
        yield from lines_of(each, level)


def _examples() -> Examples:
    found = (Passage("d1", "wrong", 1, 0.756789, 0), Passage("d2", "right", 2, 0.5, 2))
    gold = (Passage("d2", "right", 2, 0.5, 2), Passage("d9", "never found", None, None, 1))
    queries = [
        Example("q7", "dev", "default", "what?", 0.12345, found, gold),
        Example("q8", "dev", "zh", "?", 0, (), ()),
    ]
    return Examples("A", "ndcg_at_10", queries)


_SAMPLE = {"profile": "quick", "items": 500, "of": 10_000, "error": 0.0123}
_SPEC: Mapping[str, Any] = {"pooling": "cls", "normalize": True, "prompts": [["query", "q: "]], "query_max_length": 512}
_SHORT = {"model": {"adapter": "dense", "query_max_length": 8}}
_LONG = {"model": {"adapter": "dense", "query_max_length": 512}}
_PLACE = {"task": {"main_score": "cosine_spearman", "dataset": "org/C", "revision": "c" * 40}, "data": {"files": "f"}}


def _first(root: Path) -> Path:
    """Every state that a task can be in, and all that is recorded of one."""
    tasks = [
        page_task("A", 0.1, note="mind this"),
        page_task("B", 0.45, texts={"asked": 12_345, "distinct": 9, "encoded": 1}, seconds={"encode": 0.01, "x": 0.05}),
        page_task("C", 0.3, "STS", settings={**_LONG, **_PLACE}, search=None, texts={}, seconds={}),
        page_task("D", None, status="error", error="no <memory>"),
        page_task("E", None),
        page_task("F", 0.5, status="partial", note="3 of 9 videos"),
        page_task("G", 0.5, sample=_SAMPLE),
        page_task("H", scores={"dev": {"zh": 0.5, "en": 0.25}, "test": {"zh": 0.75}}, finished=""),
    ]
    values = {"A": [0.1] * 12, "B": [0.5, 0.4] * 8}
    environment = {"device": "cpu", "device_name": "a processor", "threads": 2}
    return page_run(
        root / "one",
        "org/one",
        *tasks,
        values=values,
        worst={"A": _examples()},
        meta={"n_parameters": 22_713_216, "embed_dim": 1024},
        spec=_SPEC,
        environment=environment,
    )


def _second(root: Path) -> Path:
    differs = {
        "status": "differs",
        "differences": ["rows: 1 instead of 2", "texts: 3 instead of 4"],
        "source": "folder",
    }
    tasks = [
        page_task("A", 0.4),
        page_task("B", 0.45, data={"status": "counts agree", "differences": [], "source": "hub"}),
        page_task("C", 0.2, "STS", settings={**_SHORT, **_PLACE}, search={}),
        page_task("E", 0.25, data=differs),
        page_task("F", 0.5, texts={"asked": 30, "answered": 20}),
        page_task("H", scores={"dev": {"zh": 0.5, "fr": 0.25}}, data={"status": "unknown"}),
        page_task("I", -0.018707, "Odd", main_score=""),
    ]
    values = {"A": [0.4] * 12, "B": [0.4, 0.5] * 8}
    spec = {**_SPEC, "pooling": "mean", "prompts": []}
    reranker = {"name": "org/r"}
    revision = "0123456789abcdef"
    return page_run(root / "two", "org/two", *tasks, values=values, spec=spec, reranker=reranker, revision=revision)


def _several(root: Path) -> list[Path]:
    """More runs than differences have columns for, on two kinds of tasks, beside one of another benchmark."""
    made = []
    for at in range(1, 6):
        tasks = [page_task("A", at / 10), page_task("B", at / 20, "STS")]
        meta = {"n_parameters": 10**at, "embed_dim": 8} if at < 5 else None
        values = {"A": [at / 10] * 10}
        made.append(
            page_run(root / str(at), f"org/m{at}", *tasks, values=values, meta=meta, evidence=("a", "b")[: at - 3])
        )
    answers = {"texts": {"asked": 30, "answered": 30}, "seconds": {"answer": 12.0}, "settings": {"task": {}}}
    video = page_task("Q", 0.3, "multiple-choice", **answers, data={}, search=None, finished="")
    made.append(page_run(root / "video", "org/video", video, benchmark="mlvu", spec={}, environment={}, evidence=()))
    return made


def _apart(root: Path) -> list[Path]:
    """Two runs that share no task but through a third."""
    short, long = ({**its, "task": {"main_score": "ndcg_at_10", "dataset": "org/B"}} for its in (_SHORT, _LONG))
    return [
        page_run(root / "x", "org/x", page_task("A", 0.1)),
        page_run(root / "y", "org/y", page_task("A", 0.2), page_task("B", 0.4)),
        page_run(root / "z", "org/z", page_task("B", 0.5, settings=short), page_task("C", 0.5, settings=long)),
    ]


def _boards(root: Path) -> list[Path]:
    mini = {"status": "differs", "differences": [], "source": "folder /opt/cmteb/mini/org/A"}
    counts = {"status": "counts agree", "differences": [], "source": "hub"}
    short, long = ({"settings": {**its, "task": {"main_score": "ndcg_at_10"}}} for its in (_SHORT, _LONG))
    runs: dict[str, Sequence[Any]] = {
        "best": [
            page_task(name, 0.9, kind) for name, kind in zip("ABC", ("Retrieval", "Retrieval", "STS"), strict=True)
        ],
        "half": [page_task("A", 0.99), page_task("B", None, status="error", error="no disk")],
        "mixed": [page_task("A", 0.5, **long), page_task("B", 0.5, **short), page_task("C", 0.5, "STS", **long)],
        "counts": [page_task("A", 0.95, data=counts)],
        "mini": [page_task("A", 0.1, data=mini), page_task("C", 0.3, "STS", data=mini)],
        "quick": [page_task("A", 0.4, settings={"profile": "quick", "task": {"main_score": "ndcg_at_10"}})],
        "own": [page_task("X", 0.5), page_task("Y", 0.7)],
    }
    return [page_run(root / name, f"org/{name}", *tasks, benchmark="of a package" if name == "own" else "cmteb")
            for name, tasks in runs.items()]  # fmt: skip


def _compared(*folders: Path, **options: Any) -> list[Group]:
    return groups(find_all(folders), KNOWN, **options)


def _boarded(folders: Sequence[Path]) -> list[Group]:
    return leaderboards(find_all(folders), KNOWN)


PAGES: Mapping[str, Callable[[Path], str]] = {
    "one run": lambda root: page(_compared(_first(root)), "en"),
    "two runs": lambda root: page(_compared(_first(root), _second(root), allow_differences=True, seed=7), "en"),
    "two runs untested": lambda root: page(_compared(*_several(root)[1:3], tests=False), "en"),
    "six runs": lambda root: page(
        _compared(*_several(root)), "en", unreadable=[Unreadable("out/<x>", "it is damaged")]
    ),
    "runs apart": lambda root: page(_compared(*_apart(root)), "en"),
    "boards": lambda root: page(_boarded(_boards(root)), "en", version="v1", unreadable=[Unreadable("a/b", "no JSON")]),
    "one board": lambda root: page(_boarded(_boards(root)[:2]), "zh", version="v1"),
    "samples alone": lambda root: page(_boarded(_boards(root)[4:6]), "en", version="v1"),
    "nothing": lambda root: page([], "en", version="v1"),
}


def shown(name: str, root: Path) -> str:
    tree = read_page(PAGES[name](root))
    html = tree.one("html")
    title = " ".join(next(html.all("title")).text.split())
    icons = [each.attributes["rel"] for each in html.all("link")]
    head = [
        f"html lang={html.attributes['lang']} version={html.attributes['data-version']}",
        f"title {title}",
        str(icons),
    ]
    return "\n".join([*head, *lines_of(html.one("body"))]) + "\n"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_as_it_did(name: str, tmp_path: Path) -> None:
    assert shown(name, tmp_path) == (SHOWN / f"{name.replace(' ', '_')}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    for each in PAGES:
        with tempfile.TemporaryDirectory() as folder:
            (SHOWN / f"{each.replace(' ', '_')}.txt").write_text(shown(each, Path(folder)), encoding="utf-8")
