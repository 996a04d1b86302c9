"""A package whose file only imports gives one name without the others, and all of them as Python would."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from packaging.version import Version

from flagbench.runners.mteb.reexports import by_name
from tests.conftest import ROOT

_FILES = {
    "__init__.py": '"""Names."""\n'
    "from shop import kinds\n"
    "from shop.fruit import Apple, Pear as Bulb\n"
    "from shop.sell import sell\n"
    "from .stars import *\n"
    '__version__ = kinds.NAME + "!"\n'
    '__all__ = ["Apple", "Bulb", "kinds", "sell"]\n',
    "kinds.py": "NAME = 'kinds'\n",
    "fruit.py": "from shop.sell import sell\nclass Apple: pass\nclass Pear: pass\nOTHER = 1\n",
    "sell.py": "def sell(): return 'sold'\n",
    "stars.py": "def star(): pass\n",
    "deep/__init__.py": "from .leaf import Leaf\n",
    "deep/leaf.py": "class Leaf: pass\n",
    "busy/__init__.py": "import sys\nfrom .more import more\nsys.modules[__name__].ran = True\n",
    "busy/more.py": "more = 1\n",
    "broken/__init__.py": "from .gone import nothing\nfrom .there import there\n",
    "broken/there.py": "there = 1\n",
}


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in _FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in _imported():
        del sys.modules[name]


def _imported() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] == "shop"}


def test_a_name_takes_its_own_module_and_no_other() -> None:
    with by_name("shop"):
        package = importlib.import_module("shop")
        assert _imported() == {"shop"}
        from shop.deep import Leaf

        assert Leaf.__module__ == "shop.deep.leaf"
        assert package.Apple is sys.modules["shop.fruit"].Apple
        assert package.Bulb is sys.modules["shop.fruit"].Pear
    assert _imported() == {"shop", "shop.deep", "shop.deep.leaf", "shop.fruit", "shop.sell"}


def test_a_name_that_is_also_a_module_is_what_the_file_makes_it() -> None:
    with by_name("shop"):
        import shop.sell

        assert sys.modules["shop.sell"].__name__ == "shop.sell"
        assert shop.sell() == "sold"
        assert shop.kinds.NAME == "kinds"


@pytest.mark.parametrize("ask", [vars, dir, lambda package: package.__all__])
def test_what_is_asked_of_all_names_runs_the_file(ask: Callable[[ModuleType], Iterable[str]]) -> None:
    with by_name("shop"):
        package = importlib.import_module("shop")
        assert {"Apple", "Bulb", "kinds", "sell"} <= set(ask(package))
    assert {"shop.stars", "shop.fruit"} <= _imported()
    assert package.star.__module__ == "shop.stars"
    assert type(package) is type(sys)


def test_a_name_of_a_star_import_and_a_version_run_the_file() -> None:
    with by_name("shop"):
        package = importlib.import_module("shop")
        assert package.__version__ == "kinds!"
        assert package.star.__name__ == "star"


def test_a_name_that_is_not_there_is_none() -> None:
    with by_name("shop"):
        package, deep = importlib.import_module("shop"), importlib.import_module("shop.deep")
        assert not hasattr(deep, "Root")
        assert not hasattr(package, "__wrapped__")
        assert "shop.deep.leaf" not in _imported()
        assert not hasattr(package, "Root")
    with pytest.raises(ImportError, match="cannot import name 'Root'"):
        from shop import Root  # noqa: F401


def test_a_file_that_does_more_than_import_runs_at_once() -> None:
    with by_name("shop"):
        assert importlib.import_module("shop.busy").ran
    assert "shop.busy.more" in _imported()


def test_an_import_that_fails_fails_each_time_and_leaves_the_other_names() -> None:
    with by_name("shop"):
        package = importlib.import_module("shop.broken")
        assert package.there == 1
        for _ in range(2):
            with pytest.raises(ModuleNotFoundError, match="gone"):
                _ = package.nothing


def test_afterwards_and_where_others_imported_it_packages_run_their_files() -> None:
    with by_name("shop"):
        importlib.import_module("shop")
    importlib.import_module("shop.deep")
    assert "shop.deep.leaf" in _imported()
    for name in _imported():
        del sys.modules[name]
    importlib.import_module("shop")
    with by_name("shop"):
        importlib.import_module("shop.deep")
    assert {"shop.stars", "shop.deep.leaf"} <= _imported()


@pytest.mark.skipif(Version(version("mteb")) < Version("2.26"), reason="older ones import more with a task")
def test_all_of_mteb_is_there_after_one_task_of_it_was_taken() -> None:
    """In a process of its own, beside one that imports mteb as it is."""
    taken = (
        "from flagbench.cmteb.benchmark import CMTEB\n"
        "rows = {row.name: row for row in CMTEB.tasks()}\n"
        "task = CMTEB.mteb_task(rows['STSB'])\n"
        "import sys\n"
        "assert 'mteb.get_tasks' not in sys.modules and 'torch' not in sys.modules\n"
    )
    seen = (
        "import mteb\n"
        "from mteb.get_tasks import _TASKS_REGISTRY\n"
        "print(sorted(_TASKS_REGISTRY), sorted(name for name in dir(mteb) if not name.startswith('_')))\n"
        "print(mteb.__version__, sorted(mteb.__all__), callable(mteb.evaluate), mteb.get_task('STSB').metadata.name)\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
        )
        for code in (taken + seen, seen)
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    ours, theirs = (run.stdout.splitlines() for run in runs)
    assert ours[1] == theirs[1]
    assert len(theirs[0]) > 10_000
    assert ours[0].partition("] [")[0] == theirs[0].partition("] [")[0]
