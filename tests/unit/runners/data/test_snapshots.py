"""Rows from local snapshots and from a hub cache, and what is said of broken ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import constants

from flagbench import BadData, BadInput
from flagbench.runners.data.snapshots import Snapshots

_COMMIT = "0123456789abcdef0123456789abcdef01234567"
_CONFIGS = ("corpus", "queries", "default")


def _card(folder: Path, configs: tuple[str, ...] = _CONFIGS, split: str = "dev") -> None:
    entries = "".join(
        f"- config_name: {config}\n  data_files:\n  - split: {split}\n    path: {config}/{split}-*.parquet\n"
        for config in configs
    )
    _write(folder / "README.md", f"---\nconfigs:\n{entries}---\n\n# A dataset\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _parquet(path: Path, **columns: list[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_parquet(path)


def _three_configs(folder: Path, mark: str, configs: tuple[str, ...] = _CONFIGS) -> Path:
    """A snapshot with a README that names three configs, of which the given ones have their files."""
    _card(folder)
    for config in configs:
        _parquet(folder / config / "dev-00000-of-00001.parquet", text=[f"{mark} {config} {row}" for row in range(3)])
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    _three_configs(tmp_path / "org" / "data", "here")
    return tmp_path


def _one_line(error: BadInput, folder: Path) -> str:
    text = str(error)
    assert str(folder) in text
    assert "\n" not in text
    return text


def test_each_config_has_its_rows(root: Path) -> None:
    for config in _CONFIGS:
        rows = Snapshots(root).source("org/data", "main").read(config, "dev")
        assert rows["text"] == [f"here {config} {row}" for row in range(3)]


def test_no_config_is_the_default_one(root: Path) -> None:
    assert Snapshots(root).source("org/data", "main").read(None, "dev")["text"][0] == "here default 0"


def test_two_folders_of_one_name_keep_their_own_rows(tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for each in roots:
        _three_configs(each / "org" / "data", each.name)
    found = [Snapshots(each).source("org/data", "main").read("corpus", "dev")["text"][0] for each in roots]
    assert found == ["one corpus 0", "two corpus 0"]


def test_changed_files_are_read_again(root: Path) -> None:
    snapshots = Snapshots(root)
    assert snapshots.source("org/data", "main").read("corpus", "dev")["text"][0] == "here corpus 0"
    _three_configs(root / "org" / "data", "then")
    assert snapshots.source("org/data", "main").read("corpus", "dev")["text"][0] == "then corpus 0"


def test_configs_and_splits_are_those_of_the_readme(root: Path) -> None:
    snapshots = Snapshots(root)
    assert snapshots.source("org/data", "main").configs() == list(_CONFIGS)
    assert snapshots.source("org/data", "main").splits("queries") == ["dev"]


def test_splits_are_told_from_file_names_without_a_readme(tmp_path: Path) -> None:
    for split in ("train", "test"):
        _write(tmp_path / "org" / "data" / "data" / f"{split}-00000-of-00001.jsonl", '{"a": 1}\n')
    snapshots = Snapshots(tmp_path)
    assert snapshots.source("org/data", "main").configs() == ["default"]
    assert set(snapshots.source("org/data", "main").splits(None)) == {"train", "test"}


def _as_parquet(folder: Path) -> None:
    _parquet(folder / "test.parquet", text=["甲", "乙，丙"], label=[0, 1])


def _as_jsonl(folder: Path) -> None:
    _write(folder / "test.jsonl", '{"text": "甲", "label": 0}\n{"text": "乙，丙", "label": 1}\n')


def _as_csv(folder: Path) -> None:
    _write(folder / "test.csv", 'text,label\n甲,0\n"乙，丙",1\n')


@pytest.mark.parametrize("write", [_as_parquet, _as_jsonl, _as_csv])
def test_rows_come_from_every_format(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "org" / "data")
    rows = Snapshots(tmp_path).source("org/data", "main").read(None, "test")
    assert {name: list(rows[name]) for name in rows.column_names} == {"text": ["甲", "乙，丙"], "label": [0, 1]}


def test_the_parts_of_a_split_are_joined_in_order(tmp_path: Path) -> None:
    for part in range(3):
        _parquet(tmp_path / "org" / "data" / "data" / f"test-0000{part}-of-00003.parquet", n=[2 * part, 2 * part + 1])
    assert Snapshots(tmp_path).source("org/data", "main").read(None, "test")["n"] == list(range(6))


def test_more_rows_than_one_read_takes(tmp_path: Path) -> None:
    many = list(range(45_001))
    _parquet(tmp_path / "org" / "data" / "test.parquet", n=many)
    assert Snapshots(tmp_path).source("org/data", "main").read(None, "test")["n"] == many


def test_a_missing_config_names_the_folder_and_the_configs(root: Path) -> None:
    with pytest.raises(BadData) as caught:
        Snapshots(root).source("org/data", "main").read("nothing", "dev")
    text = _one_line(caught.value, root / "org" / "data")
    assert "nothing" in text
    assert all(config in text for config in _CONFIGS)


def test_a_missing_split_names_the_folder_and_the_splits(root: Path) -> None:
    with pytest.raises(BadData) as caught:
        Snapshots(root).source("org/data", "main").read("corpus", "test")
    text = _one_line(caught.value, root / "org" / "data")
    assert "test" in text
    assert "dev" in text


def test_a_missing_config_has_no_splits(root: Path) -> None:
    with pytest.raises(BadData) as caught:
        Snapshots(root).source("org/data", "main").splits("nothing")
    _one_line(caught.value, root / "org" / "data")


def test_a_corrupt_parquet_is_bad_data(root: Path) -> None:
    (root / "org" / "data" / "corpus" / "dev-00000-of-00001.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(BadData) as caught:
        Snapshots(root).source("org/data", "main").read("corpus", "dev")
    _one_line(caught.value, root / "org" / "data")


def test_a_cut_parquet_is_bad_data(root: Path) -> None:
    path = root / "org" / "data" / "corpus" / "dev-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadData) as caught:
        Snapshots(root).source("org/data", "main").read("corpus", "dev")
    _one_line(caught.value, root / "org" / "data")


def test_damaged_json_lines_are_bad_data(tmp_path: Path) -> None:
    _write(tmp_path / "org" / "data" / "test.jsonl", '{"text": "a"}\n{"text": \n')
    with pytest.raises(BadData) as caught:
        Snapshots(tmp_path).source("org/data", "main").read(None, "test")
    _one_line(caught.value, tmp_path / "org" / "data")


def test_a_split_without_rows_is_bad_data(tmp_path: Path) -> None:
    _parquet(tmp_path / "org" / "data" / "test.parquet", text=[])
    with pytest.raises(BadData) as caught:
        Snapshots(tmp_path).source("org/data", "main").read(None, "test")
    _one_line(caught.value, tmp_path / "org" / "data")


@pytest.mark.parametrize(
    "call",
    [
        lambda snapshots: snapshots.source("org/data", "main").configs(),
        lambda snapshots: snapshots.source("org/data", "main").splits(None),
        lambda snapshots: snapshots.source("org/data", "main").read(None, "test"),
    ],
    ids=["configs", "splits", "read"],
)
def test_an_empty_folder_is_bad_data(tmp_path: Path, call: Callable[[Snapshots], object]) -> None:
    (tmp_path / "org" / "data").mkdir(parents=True)
    with pytest.raises(BadData) as caught:
        call(Snapshots(tmp_path))
    _one_line(caught.value, tmp_path / "org" / "data")


@pytest.mark.parametrize(
    "call",
    [
        lambda snapshots: snapshots.source("org/absent", "main").configs(),
        lambda snapshots: snapshots.source("org/absent", "main").splits(None),
        lambda snapshots: snapshots.source("org/absent", "main").read(None, "test"),
    ],
    ids=["configs", "splits", "read"],
)
def test_a_missing_folder_is_bad_data(root: Path, call: Callable[[Snapshots], object]) -> None:
    with pytest.raises(BadData) as caught:
        call(Snapshots(root))
    _one_line(caught.value, root / "org" / "absent")


def test_where_names_the_folder_or_the_revision(tmp_path: Path) -> None:
    assert Snapshots(tmp_path).source("org/data", _COMMIT).where == f"folder {tmp_path / 'org' / 'data'}"
    assert Snapshots(None).source("org/data", _COMMIT).where == f"hub org/data@{_COMMIT}"


# The hub: a cache filled by hand, as snapshot_download leaves it.


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, with the hub offline."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert constants.HF_HUB_OFFLINE
    return folder


def _cached(cache: Path) -> Path:
    return cache / "datasets--org--data" / "snapshots" / _COMMIT


def test_the_hub_gives_each_config_its_rows(cache: Path) -> None:
    _three_configs(_cached(cache), "hub")
    snapshots = Snapshots(None)
    assert snapshots.source("org/data", _COMMIT).configs() == list(_CONFIGS)
    for config in _CONFIGS:
        assert snapshots.source("org/data", _COMMIT).splits(config) == ["dev"]
        assert snapshots.source("org/data", _COMMIT).read(config, "dev")["text"][2] == f"hub {config} 2"


def test_the_hub_gives_the_pinned_commit(cache: Path) -> None:
    other = "f" * 40
    _three_configs(_cached(cache), "wanted")
    _three_configs(_cached(cache).with_name(other), "other")
    assert Snapshots(None).source("org/data", _COMMIT).read("corpus", "dev")["text"][0] == "wanted corpus 0"
    assert Snapshots(None).source("org/data", other).read("corpus", "dev")["text"][0] == "other corpus 0"


def test_a_branch_of_the_hub_is_resolved_to_its_commit(cache: Path) -> None:
    _three_configs(_cached(cache), "hub")
    _write(cache / "datasets--org--data" / "refs" / "main", _COMMIT)
    assert Snapshots(None).source("org/data", "main").card() == _cached(cache)


# These three fail: datasets looks at the first config's files before it gives names or rows of any config, and
# snapshots.configs() has fetched the README alone, snapshots.folder(…, config) that config's files alone. From the hub
# with an empty cache no task gets beyond the plan.
def test_the_readme_alone_gives_the_configs_of_a_hub_repo(cache: Path) -> None:
    _three_configs(_cached(cache), "hub", configs=())
    assert Snapshots(None).source("org/data", _COMMIT).configs() == list(_CONFIGS)


def test_a_config_of_the_hub_is_read_without_the_files_of_the_first(cache: Path) -> None:
    _three_configs(_cached(cache), "hub", configs=("default",))
    assert Snapshots(None).source("org/data", _COMMIT).read(None, "dev")["text"][0] == "hub default 0"


def test_the_splits_of_a_hub_config_are_told_without_the_files_of_the_first(cache: Path) -> None:
    _three_configs(_cached(cache), "hub", configs=("default",))
    assert Snapshots(None).source("org/data", _COMMIT).splits(None) == ["dev"]


def test_a_config_of_the_hub_is_read_without_the_files_of_the_others(cache: Path) -> None:
    _three_configs(_cached(cache), "hub", configs=("corpus",))
    assert Snapshots(None).source("org/data", _COMMIT).read("corpus", "dev")["text"][0] == "hub corpus 0"


def test_a_repo_that_is_not_in_the_cache_names_the_switch(cache: Path) -> None:
    with pytest.raises(BadInput, match=r"org/absent at revision .*HF_HUB_OFFLINE is set.*--data DIR") as caught:
        Snapshots(None).source("org/absent", _COMMIT).read(None, "test")
    assert "\n" not in str(caught.value)
    assert not list(cache.glob("*absent*/snapshots/*"))


def test_a_revision_that_is_not_in_the_cache_names_the_switch(cache: Path) -> None:
    _three_configs(_cached(cache), "hub")
    with pytest.raises(BadInput, match=f"org/data at revision {'e' * 40}.*HF_HUB_OFFLINE"):
        Snapshots(None).source("org/data", "e" * 40).configs()


# Which files are whose, as the card says.


def _rows(root: Path, entry: str, config: str | None, split: str) -> list[str]:
    """Rows of a config of ``org/carded``, whose files hold their own names."""
    folder = root / "org" / "carded"
    for name in ("corpus/dev-0", "queries/dev-0", "queries/test-0", "sub/deep/dev-1"):
        _parquet(folder / f"{name}.parquet", text=[name])
    _write(folder / "README.md", f"---\nconfigs:\n{entry}---\n")
    return Snapshots(root).source("org/carded", "main").read(config, split)["text"]


@pytest.mark.parametrize(
    ("files", "split", "expected"),
    [
        ("  data_files: queries/dev-0.parquet\n", "train", ["queries/dev-0"]),
        ("  data_files:\n  - queries/*.parquet\n", "train", ["queries/dev-0", "queries/test-0"]),
        ("  data_files:\n  - split: dev\n    path: queries/dev-*\n", "dev", ["queries/dev-0"]),
        (
            "  data_files:\n  - split: dev\n    path:\n    - queries/dev-*\n    - corpus/dev-*\n",
            "dev",
            ["corpus/dev-0", "queries/dev-0"],
        ),
        ("  data_files:\n  - split: dev\n    path: ./queries/dev-*\n", "dev", ["queries/dev-0"]),
        ("  data_files:\n  - split: dev\n    path: sub/**/dev-*\n", "dev", ["sub/deep/dev-1"]),
        ("  data_dir: queries\n  data_files:\n  - split: dev\n    path: dev-*\n", "dev", ["queries/dev-0"]),
    ],
    ids=["string", "list", "split", "paths", "dot", "stars", "folder"],
)
def test_rows_are_those_of_the_files_that_the_card_names(
    root: Path, files: str, split: str, expected: list[str]
) -> None:
    entry = f"- config_name: mine\n{files}- config_name: other\n  data_files: corpus/*\n"
    assert sorted(_rows(root, entry, "mine", split)) == expected


def test_no_config_reads_the_default_one(root: Path) -> None:
    entry = (
        "- config_name: corpus\n  data_files:\n  - split: dev\n    path: corpus/*\n"
        "- config_name: default\n  data_files:\n  - split: dev\n    path: queries/test-*\n"
    )
    assert _rows(root, entry, None, "dev") == ["queries/test-0"]


def test_a_pattern_without_a_file_is_named(root: Path) -> None:
    entry = "- config_name: mine\n  data_files:\n  - split: dev\n    path: nowhere/*\n"
    with pytest.raises(BadData, match=r"no file matches nowhere/\*"):
        _rows(root, entry, "mine", "dev")


@pytest.mark.parametrize("text", ["# A dataset\n", "---\nlicense: mit\n---\n"], ids=["no header", "no configs"])
def test_a_card_without_configs_leaves_the_files_to_datasets(root: Path, text: str) -> None:
    folder = root / "org" / "plain"
    _parquet(folder / "data" / "test-0.parquet", text=["one"])
    _write(folder / "README.md", text)
    assert Snapshots(root).source("org/plain", "main").read(None, "test")["text"] == ["one"]


def test_a_folder_may_be_reached_by_a_link(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "org" / "data", tmp_path / "elsewhere")
    (root / "org" / "data").symlink_to(tmp_path / "elsewhere")
    assert Snapshots(root).source("org/data", "main").read("corpus", "dev")["text"][0] == "here corpus 0"


def test_columns_of_any_size_are_read_from_disk(root: Path) -> None:
    found = Snapshots(root).source("org/data", "main").read_texts("corpus", "dev", ["text"])
    assert list(found["text"]) == ["here corpus 0", "here corpus 1", "here corpus 2"]


def test_numbers_are_read_as_their_digits(root: Path) -> None:
    _parquet(root / "org/data/corpus/dev-00000-of-00001.parquet", id=[7, 8], text=["a", "b"])
    found = Snapshots(root).source("org/data", "main").read_texts("corpus", "dev", ["id", "text"])
    assert list(found["id"]) == ["7", "8"]


def test_a_column_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(BadData, match=r"split 'dev' has no column id, title \(it has text\)$"):
        Snapshots(root).source("org/data", "main").read_texts("corpus", "dev", ["id", "text", "title"])


def test_a_row_without_a_text_is_named(root: Path) -> None:
    _parquet(root / "org/data/corpus/dev-00000-of-00001.parquet", text=["a", None, "c"])
    with pytest.raises(BadData, match=r"split 'dev' has no text in row 1 \(counted from 0\); fix the data$"):
        Snapshots(root).source("org/data", "main").read_texts("corpus", "dev", ["text"])


def test_texts_of_a_truncated_file_are_one_line(root: Path) -> None:
    path = root / "org/data/corpus/dev-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadData) as caught:
        Snapshots(root).source("org/data", "main").read_texts("corpus", "dev", ["text"])
    _one_line(caught.value, root / "org" / "data")
