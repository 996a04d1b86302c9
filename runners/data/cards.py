"""A dataset's card: which configs it names, and the files of their splits.

The metadata are the YAML at the top of README.md, as the hub reads it; huggingface_hub has a reader, and imports all
of its client for it.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from flagbench import BadData, printable
from flagbench.files import MIB, read_text

_LARGEST = 16 * MIB

_KEYS = frozenset({"configs", "config_name", "data_files", "data_dir", "split", "path"})

_YAML = re.compile(r"^\s*---(?:\r\n|\r|\n)([\S\s]*?)(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|$)")


def configs(folder: Path) -> list[dict[str, Any]]:
    """The configs that a dataset's card names; empty when it names none.

    Raises:
        BadData: The card cannot be read, names them in another way, or one twice.
    """
    card = folder / "README.md"
    named = (_metadata(card) or {}).get("configs") if card.is_file() else None
    if not isinstance(named or [], list) or not all(isinstance(entry, dict) for entry in named or []):
        raise BadData(f"{card}: its configs are {_shown(named)} and not a list of tables; fix its YAML")
    configs = [entry for entry in named or [] if "config_name" in entry]
    if odd := [name for entry in configs if isinstance(name := entry["config_name"], list | dict | set | None)]:
        raise BadData(f"{card}: the name of a config is {_shown(odd[0])}, and not a text; fix its YAML")
    _check_once(card, "config", [str(entry["config_name"]) for entry in configs], "give one of them another name")
    return configs


def files(folder: Path, config: str | None) -> Mapping[str, Sequence[str]]:
    """Patterns of the files of each split of a config, where the card gives them so; else empty.

    The form read here is the one of the benchmark repos, ``data_files: [{split, path}, …]``; all others are left to
    datasets.

    Raises:
        BadData: As ``configs``; the card names configs, but not this one, or a split of it twice.
    """
    named = configs(folder)
    entry = next((each for each in named if str(each["config_name"]) == (config or "default")), None)
    if entry is None:
        if named and config:
            names = ", ".join(str(each["config_name"]) for each in named)
            raise BadData(f"{folder} has no config '{printable(config)}' (it has {printable(names)})")
        return {}
    rows = entry.get("data_files")
    if not isinstance(rows, list) or not all(
        isinstance(each, dict) and {"split", "path"} <= each.keys() for each in rows
    ):
        return {}
    prefix = f"{beside.strip('/')}/" if isinstance(beside := entry.get("data_dir"), str) and beside else ""
    _check_once(
        folder / "README.md",
        "split",
        [str(each["split"]) for each in rows if isinstance(each["split"], str | int)],
        "list its files under one path, [a, b]",
    )
    found: dict[str, list[str]] = {}
    for each in rows:
        paths = each["path"] if isinstance(each["path"], list) else [each["path"]]
        if not isinstance(each["split"], str | int) or not paths or not all(map(_is_pattern, paths)):
            raise BadData(
                f"{folder / 'README.md'}: the path of split {_shown(each['split'])} is {_shown(each['path'])}, and not "
                "the name of files in the folder; fix its YAML"
            )
        patterns = [prefix + path.removeprefix("./") for path in paths]
        if lost := next((pattern for pattern in patterns if not _is_seen(pattern)), None):
            raise BadData(
                f"{folder / 'README.md'}: {printable(lost):.80}, the path of split {_shown(each['split'])}, leads out "
                "of the folder or to hidden files, whose changes would not be seen; fix its YAML"
            )
        found[str(each["split"])] = patterns
    return found


def _check_once(card: Path, what: str, names: Sequence[str], fix: str) -> None:
    """See that a card names each thing once: of two, as datasets reads them, one would be lost.

    Raises:
        BadData: It names one twice.
    """
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadData(f"{card} names the {what} '{printable(twice):.60}' twice: {fix}")


def _is_pattern(path: object) -> bool:
    return isinstance(path, str) and bool(path) and not path.startswith("/") and "\0" not in path


def _is_seen(pattern: str) -> bool:
    """Whether a pattern stays among the files by whose bytes a folder is known."""
    return not any(part.startswith(".") for part in PurePosixPath(pattern).parts)


def matching(folder: Path, patterns: Sequence[str], split: str) -> list[Path]:
    """The files of a split, by name.

    Raises:
        BadData: There are none, or a pattern is none.
    """
    try:
        found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    except (ValueError, NotImplementedError) as error:
        raise BadData(
            f"{folder / 'README.md'}: {', '.join(map(printable, patterns))}, which it names for split "
            f"'{printable(split)}', is no pattern of files ({error}); fix its YAML"
        ) from error
    if not found:
        raise BadData(
            f"{folder}: no file matches {', '.join(map(printable, patterns))}, which its README names for split "
            f"'{printable(split)}'"
        )
    return found


def each_split(folder: Path) -> Iterator[tuple[str, str, list[Path]]]:
    """Config, split and files of all that a card names, where it names files.

    Raises:
        BadData: As ``configs`` and ``files``; a pattern that no file matches.
    """
    for entry in configs(folder):
        config = str(entry["config_name"])
        for split, patterns in files(folder, config).items():
            yield config, split, matching(folder, patterns, split)


def download_size(folder: Path) -> int | None:
    """Bytes to download, as the card of a dataset says it of all its configs; None where it does not.

    Raises:
        BadData: The card cannot be read.
    """
    card = folder / "README.md"
    info = (_metadata(card) or {}).get("dataset_info") if card.is_file() else None
    entries = info if isinstance(info, list) else [info]
    sizes = [entry.get("download_size") if isinstance(entry, dict) else None for entry in entries]
    known = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size >= 0]
    return sum(known) if len(known) == len(sizes) else None


def _metadata(card: Path) -> dict[str, Any] | None:
    """What is between the lines ``---`` at the top of a card; None where it has none.

    Raises:
        BadData: It cannot be read, is no YAML, or not a table.
    """
    import yaml

    text = read_text(card, "fix it, or copy it again", largest=_LARGEST, error=BadData)
    try:
        block = _YAML.search(text)
        values = yaml.load(block[1], Loader=_loader()) if block else None
    except (ValueError, TypeError, ArithmeticError, RecursionError, LookupError, yaml.YAMLError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadData(f"{card} cannot be read as a dataset: {reason}") from error
    if values is not None and not isinstance(values, dict):
        raise BadData(f"{card} cannot be read as a dataset: repo card metadata block should be a dict")
    return values


@cache
def _loader() -> Any:
    """YAML's safe loader, which takes the last of several values of a key, but refuses that of a key read here."""
    import yaml

    class Once(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [key.value for key, _ in node.value if isinstance(key.value, str)]
            if twice := next((key for key in keys if key in _KEYS and keys.count(key) > 1), None):
                raise yaml.constructor.ConstructorError(problem=f"a table of it has two values of {twice}")
            return super().construct_mapping(node, deep)

    return Once


def _shown(value: object) -> str:
    # Not repr: a few hundred bytes of YAML whose lists name one another have a repr of gigabytes.
    return printable(f"{reprlib.repr(value):.60}")
