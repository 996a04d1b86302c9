"""Packages that only name what their modules have, run name by name: of mteb a task takes a small part.

``import mteb`` reads its thousand tasks, all its models and benchmarks, and polars: more than twice what scoring a task
takes. Its packages hold nothing of their own; their files are imports, one after the other. While ``by_name`` lasts,
such a package is made without running its file. A name that is asked of it then runs the import that gives it, and
no other; whatever else is wanted (the names it has, its ``__all__``, a star import) runs the whole file, as Python
would have. A package whose file does more than import is run at once.
"""

from __future__ import annotations

import ast
import importlib.machinery
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

_BARE: Any = vars(ModuleType)["__dict__"]
"""The dict of a module, without asking the module for it."""


@contextmanager
def by_name(package: str) -> Iterator[None]:
    """While it lasts, the packages at and below one that are imported for the first time run name by name.

    Args:
        package: Of the top level. Nothing is done where it was imported by others: that has run its file.
    """
    if package in sys.modules and not isinstance(sys.modules[package], _ByName):
        yield
        return
    finder = _Finder(package)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@dataclass
class _File:
    """The file of a package.

    Attributes:
        path: For tracebacks.
        tree: All of it.
        imports: The import that gives a name.
        binds: Other names that it gives.
        starred: Whether it takes all names of a module: which these are is known once it has run.
        running: Names whose imports are running.
    """

    path: str
    tree: ast.Module
    imports: Mapping[str, ast.stmt]
    binds: frozenset[str]
    starred: bool
    running: set[str] = field(default_factory=set)

    def may_have(self, name: str) -> bool:
        """Tell whether the file may give a name."""
        return name in self.imports or name in self.binds or (self.starred and not name.startswith("__"))

    def code(self, *statements: ast.stmt) -> CodeType:
        """These statements alone, or without any the whole file."""
        return compile(ast.Module(list(statements), []) if statements else self.tree, self.path, "exec")


_FILES: dict[str, _File] = {}
"""Of the packages that have not run their files, by name."""


class _ByName(ModuleType):
    """A package whose file has not run."""

    def __getattr__(self, name: str) -> Any:
        """Called where the name is not there yet."""
        file, names = _FILES[self.__name__], _BARE.__get__(self)
        if file.may_have(name) and name not in file.running:
            file.running.add(name)
            try:
                if name in file.imports:
                    exec(file.code(file.imports[name]), names)
                else:
                    _run(self)
            finally:
                file.running.discard(name)
        if name not in names:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return names[name]

    def __setattr__(self, name: str, value: Any) -> None:
        """Python sets a module that was imported; where the file gives its name to something else, that comes first."""
        if not (isinstance(value, ModuleType) and name in _FILES[self.__name__].imports):
            super().__setattr__(name, value)

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """All names: of a file that has run."""
        _run(self)
        names: dict[str, Any] = _BARE.__get__(self)
        return names


def _run(package: ModuleType) -> None:
    """Run the whole file of a package, which is an ordinary one from then on."""
    file = _FILES[package.__name__]
    package.__class__ = ModuleType
    exec(file.code(), package.__dict__)
    _FILES.pop(package.__name__)


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Python's own spec of a package below ours, with our loader."""
        if name.partition(".")[0] != self._package:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.submodule_search_locations is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    def __init__(self, loader: SourceFileLoader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Python's own."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Put the file off where it only imports."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        file = _read(self._loader, module.__name__)
        if file is None:
            self._loader.exec_module(module)
        else:
            _FILES[module.__name__] = file
            module.__class__ = _ByName


def _read(loader: SourceFileLoader, name: str) -> _File | None:
    """The file of a package, None where it does more than import."""
    tree = ast.parse(loader.get_data(loader.get_filename(name)))
    imports: dict[str, ast.stmt] = {}
    binds: set[str] = set()
    starred = False
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom):
            names = [each.asname or each.name for each in statement.names]
            starred = starred or "*" in names
            imports |= dict.fromkeys((each for each in names if each != "*"), statement)
        elif isinstance(statement, ast.Assign) and all(_is_dunder(target) for target in statement.targets):
            binds |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            return None
    return _File(loader.get_filename(name), tree, imports, frozenset(binds), starred)


def _is_dunder(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.startswith("__") and target.id.endswith("__")
