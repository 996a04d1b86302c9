"""What libraries cache where there is no home folder, or none that can be written."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from flagbench import BadInput


@contextlib.contextmanager
def usable_home(*, store: bool) -> Iterator[str]:
    """While it lasts, caches can be written: those of the user, else of a temporary folder, which is removed.

    Models of the hub and the token that lie in a cache which can be read alone are still read there.

    Args:
        store: Whether a folder for the embedding cache is named, or none is used.

    Yields:
        A line on what is gone at the end, and how to keep it; empty where nothing is.

    Raises:
        BadInput: There is no temporary folder either.
    """
    home = _home()
    named_cache = Path(os.environ.get("XDG_CACHE_HOME") or "relative")
    cache = named_cache if named_cache.is_absolute() else home / ".cache" if home else None
    if home and cache and _can_be_written(cache):
        yield ""
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="flagbench-cache-", ignore_cleanup_errors=True)
    except OSError as error:
        raise BadInput(
            f"neither {cache or 'a home folder'} nor a temporary folder can be written: set TMPDIR or HOME to one"
        ) from error
    with folder as name, _environment(_elsewhere(Path(name), cache)):
        named = {"HF_HOME": "HF_HOME" in os.environ, "--store": store or bool(os.environ.get("FLAGBENCH_STORE"))}
        lost = " and ".join(name for name, is_named in named.items() if not is_named)
        what = f"{cache} cannot be written" if cache else "there is no home folder"
        yield f"{what}, so what is cached is gone at the end: name folders with {lost} to keep it" if lost else ""


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def _can_be_written(folder: Path) -> bool:
    nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _elsewhere(folder: Path, cache: Path | None) -> dict[str, str]:
    """The variables by which libraries find their caches in a folder; those that the user has set stay."""
    wanted = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder)}  # some make folders there as they are imported
    hub = cache / "huggingface" if cache else None
    if hub and hub.is_dir():
        wanted["HF_HOME"] = str(hub)
    wanted["HF_DATASETS_CACHE"] = str(folder / "datasets")
    named = {name for name in ("HF_HOME", "HF_DATASETS_CACHE") if os.environ.get(name)}
    if "HF_HOME" in named and _can_be_written(Path(os.environ["HF_HOME"])):
        named.add("HF_DATASETS_CACHE")
    return {name: value for name, value in wanted.items() if name not in named}


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
