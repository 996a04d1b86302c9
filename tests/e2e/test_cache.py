"""The embedding cache as a user meets it: the flags of a run, and ``flagbench cache``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from flagbench.runners.store.keys import keys_of
from flagbench.runners.store.shards import Reader
from flagbench.runners.store.store import Store
from tests.e2e.commands import here, loaded_by, one_line

IDENTITY = {
    "model": {"name": "org/model", "revision": "0123456789abcdef", "family": "bge-zh", "adapter": "dense"},
    "role": "query",
    "instruction": "为这个句子生成表示以用于检索相关文章：",
    "dtype": "float32",
    "part": "dense",
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of two spaces with five texts in three records."""
    store = Store(tmp_path / "store", cap_bytes=None, warn=pytest.fail)
    for role, count in (("query", 2), ("query", 1), ("passage", 2)):
        space = store.space(IDENTITY | {"role": role})
        values = np.ones((count, 800), np.float32)
        assert space.put(keys_of([str(n) for n in range(count)]), {"values": values}) is not None
    store.close()
    return store.root


def size_of(store: Path) -> int:
    return sum(path.stat().st_size for path in store.glob("*/*.shard"))


def damage(store: Path) -> tuple[Path, int]:
    """Change a byte of the passages; gives the shard and where its record begins."""
    (folder,) = (path.parent for path in store.glob("*/space.json") if "passage" in path.read_text(encoding="utf-8"))
    (path,) = folder.glob("*.shard")
    ((record, _),) = Reader(path).records()
    data = bytearray(path.read_bytes())
    data[record.offset + record.columns[1].offset] ^= 1
    path.write_bytes(data)
    return path, record.offset


def test_info_lists_the_spaces_and_their_sums(store: Path) -> None:
    result = here("cache", "info", "--store", store)
    assert (result.returncode, result.stderr) == (0, "")
    first, second = sorted(line.split("│") for line in result.stdout.splitlines() if "org/model" in line)
    instruction = "为这个句子生成表示以用于检 …"
    assert [cell.strip() for cell in first[1:6]] == ["org/model@01234567", "passage", instruction, "dense", "2"]
    assert [cell.strip() for cell in second[1:6]] == ["org/model@01234567", "query", instruction, "dense", "3"]
    assert f"in all    5 texts, {size_of(store) / 1000:.3g} kB in 2 files\ncache     {store}\n" in result.stdout


def test_verify_finds_and_fixes_and_then_finds_no_more(store: Path) -> None:
    good = here("cache", "verify", "--store", store)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("3 records good, ")
    assert good.stdout.endswith(f" read, no damage: {store}\n")

    path, offset = damage(store)
    found = here("cache", "verify", "--store", store)
    assert (found.returncode, found.stderr) == (1, "")
    first, last = found.stdout.splitlines()
    assert first == f"{path} is damaged at byte {offset}: 2 texts lost, fixed"
    assert last.startswith("2 records good, ")
    assert last.endswith(f" read, 1 damaged place: {store}")

    again = here("cache", "verify", "--store", store)
    assert again.returncode == 0
    assert again.stdout.startswith("2 records good, ")


def test_clear_says_what_it_freed(store: Path) -> None:
    size = size_of(store)
    result = here("cache", "clear", "--store", store)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{size:,} bytes ({size / 1000:.3g} kB) freed: {store}\n"
    assert list(store.iterdir()) == []
    assert here("cache", "info", "--store", store).stdout == f"the embedding cache is empty: {store}\n"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("info", "the embedding cache is empty: {}\n"),
        ("clear", "0 bytes freed: {}\n"),
        ("verify", "0 records good, 0 bytes read, no damage: {}\n"),
    ],
)
def test_a_store_that_is_not_there_is_empty(
    command: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "no" / "store"
    monkeypatch.setenv("FLAGBENCH_STORE", str(folder))
    result = here("cache", command)
    assert (result.returncode, result.stdout, result.stderr) == (0, said.format(folder), "")
    assert not folder.parent.exists()


@pytest.mark.parametrize("command", ["info", "clear", "verify"])
def test_what_is_no_store_is_refused_and_left(command: str, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    file = tmp_path / "notes" / "thesis.txt"
    file.write_text("precious", encoding="utf-8")
    assert f"cannot read the embedding cache {file}: Not a directory" in one_line(
        here("cache", command, "--store", file)
    )
    said = one_line(here("cache", command, "--store", file.parent))
    assert said == (
        f"flagbench: {file.parent} is not an embedding cache, and nothing in it was touched; name another --store"
    )
    assert "--store: expected a folder, not ''" in one_line(here("cache", command, "--store", ""))
    assert file.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cache"], "required: info|clear|verify"),
        (["cache", "empty"], "unknown command 'empty'; known: clear, info, verify"),
        (["cache", "info", "--no-store"], "unknown flag '--no-store'; did you mean --store"),
        (["cache", "info", "--store"], "--store: expected one argument"),
        (["validate", "flagbench/random", "--mini", "--store", "a", "--no-store"], "not allowed with argument --store"),
        (["validate", "flagbench/random", "--mini", "--store", "pyproject.toml"], "is a file, not a folder"),
        (
            ["evaluate", "flagbench/random", "--mini", "--store", "~nobody-of-this-name/a"],
            "there is no such home folder",
        ),
        (["evaluate", "flagbench/random", "--mini", "--store-size", "50"], "expected a size such as 50GB"),
        (["evaluate", "flagbench/random", "--mini", "--store-size", "0GB"], "expected a size such as 50GB"),
        (["evaluate", "flagbench/random", "--mini", "--store-size", "much"], "expected a size such as 50GB"),
        (["evaluate", "flagbench/random", "--mini", "--no-store", "--store-size", "5GB"], "--no-store turns it off"),
        (["evaluate", "flagbench/random", "--mini", "--no-store", "--store-fp16"], "--no-store turns it off"),
    ],
)
def test_wrong_flags_are_one_line(arguments: list[str], said: str) -> None:
    assert said in one_line(here(*arguments))


@pytest.mark.parametrize("command", ["info", "verify", "clear"])
def test_the_cache_commands_start_without_the_heavy_imports(command: str, store: Path) -> None:
    modules, out = loaded_by("cache", command, "--store", store)
    assert not {"torch", "mteb", "transformers", "datasets", "faiss", "scipy", "peft"} & modules
    assert out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "cache     {}, at most 100 GB\n"),
        (["--store", "elsewhere"], "cache     elsewhere, at most 100 GB\n"),
        (["--store-size", "1.5TiB", "--store-fp16"], "cache     {}, at most 1.65 TB, fp16\n"),
        (["--no-store"], "cache     none\n"),
    ],
)
def test_validate_says_where_vectors_are_kept(flags: list[str], said: str, tmp_path: Path) -> None:
    result = here("validate", "flagbench/random", "--mini", "--tasks", "LCQMC", "--output", tmp_path, *flags)
    assert result.returncode == 0, result.stderr
    assert said.format(os.environ["FLAGBENCH_STORE"]) in result.stdout
    assert not Path(os.environ["FLAGBENCH_STORE"]).exists()


def test_runs_share_a_store_unless_they_are_told_not_to(tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = ["evaluate", "flagbench/random", "--mini", "--tasks", "LCQMC"]

    def texts(output: str, *flags: str | Path) -> dict[str, int]:
        result = here(*command, "--output", tmp_path / output, *flags)
        assert result.returncode == 0, result.stderr
        (file,) = (tmp_path / output).glob("*/*/flagbench/run.json")
        counted: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))["tasks"]["LCQMC"]["texts"]
        return counted

    assert texts("none", "--no-store")["encoded"] == 200
    assert not Path(os.environ["FLAGBENCH_STORE"]).exists()
    assert texts("first", "--store", store)["encoded"] == 200
    assert texts("second", "--store", store)["encoded"] == 0
    assert texts("half", "--store", store, "--store-fp16")["encoded"] == 200
    listed = [line for line in here("cache", "info", "--store", store).stdout.splitlines() if "@v1" in line]
    assert sorted("fp16" in line for line in listed) == [False, True]

    scores = {name: next((tmp_path / name).glob("*/*/LCQMC.json")).read_bytes() for name in ("none", "first", "second")}
    main = {name: json.loads(text)["scores"]["test"][0]["main_score"] for name, text in scores.items()}
    assert len(set(main.values())) == 1
    again = here(*command, "--output", tmp_path / "first", "--store", store, "--store-fp16")
    assert "LCQMC runs again: settings differ: store None -> 'fp16'" in again.stderr
