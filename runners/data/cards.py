"""A dataset's card: which configs it names, and the files of their splits.

The metadata are the YAML at the top of README.md, as the hub reads it; huggingface_hub has a reader, and imports all
of its client for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flagbench import BadData, printable

_YAML = re.compile(r"^\s*---(?:\r\n|\r|\n)([\S\s]*?)(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|$)")


def configs(folder: Path) -> list[dict[str, Any]]:
    """The configs that a dataset's card names; empty when it names none.

    Raises:
        BadData: The card cannot be read, or names them in another way.
    """
    card = folder / "README.md"
    named = (_metadata(card) or {}).get("configs")
    if not isinstance(named or [], list) or not all(isinstance(entry, dict) for entry in named or []):
        raise BadData(f"{card}: its configs are {_shown(named)} and not a list of tables; fix its YAML")
    return [entry for entry in named or [] if "config_name" in entry]


def files(folder: Path, config: str | None) -> Mapping[str, Sequence[str]]:
    """Patterns of the files of each split of a config, where the card gives them so; else empty.

    The form read here is the one of the benchmark repos, ``data_files: [{split, path}, …]``; all others are left to
    datasets.

    Raises:
        BadData: As ``configs``; the card names configs, but not this one.
    """
    named = configs(folder)
    entry = next((each for each in named if each["config_name"] == (config or "default")), None)
    if entry is None:
        if named and config:
            names = ", ".join(str(each["config_name"]) for each in named)
            raise BadData(f"{folder} has no config '{config}' (it has {names})")
        return {}
    rows = entry.get("data_files")
    if not isinstance(rows, list) or not all(
        isinstance(each, dict) and {"split", "path"} <= each.keys() for each in rows
    ):
        return {}
    prefix = f"{str(entry['data_dir']).strip('/')}/" if entry.get("data_dir") else ""
    found: dict[str, list[str]] = {}
    for each in rows:
        paths = each["path"] if isinstance(each["path"], list) else [each["path"]]
        if not paths or not all(isinstance(path, str) and path and not path.startswith("/") for path in paths):
            raise BadData(
                f"{folder / 'README.md'}: the path of split '{each['split']}' is {_shown(each['path'])}, and not the "
                "name of files in the folder; fix its YAML"
            )
        found[str(each["split"])] = [prefix + path.removeprefix("./") for path in paths]
    return found


def each_split(folder: Path) -> Iterator[tuple[str, str, list[Path]]]:
    """Config, split and files of all that a card names, where it names files.

    Raises:
        BadData: As ``configs`` and ``files``; a pattern that no file matches.
    """
    for entry in configs(folder):
        config = str(entry["config_name"])
        for split, patterns in files(folder, config).items():
            found = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
            if not found:
                raise BadData(
                    f"{folder}: no file matches {', '.join(patterns)}, which its README names for split '{split}'"
                )
            yield config, split, found


def _metadata(card: Path) -> dict[str, Any] | None:
    """What is between the lines ``---`` at the top of a card; None without a card, and where it has none.

    Raises:
        BadData: It is no YAML, or not a table.
    """
    import yaml

    if not card.is_file():
        return None
    try:
        block = _YAML.search(card.read_text(encoding="utf-8-sig"))
        values = yaml.load(block[1], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if block else None
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadData(f"{card} cannot be read as a dataset: {reason}") from error
    if values is not None and not isinstance(values, dict):
        raise BadData(f"{card} cannot be read as a dataset: repo card metadata block should be a dict")
    return values


def _shown(value: object) -> str:
    return printable(f"{value!r:.60}")
