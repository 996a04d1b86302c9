"""What a dataset's card says of its configs and their files, as huggingface_hub reads the card."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import metadata_load

from flagbench import BadData
from flagbench.runners.data import cards


def _card(folder: Path, *configs: str) -> Path:
    folder.mkdir(exist_ok=True)
    text = "".join(["---\nconfigs:\n", *configs, "---\n"])
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder


_DEFAULT = "- config_name: default\n  data_files:\n  - split: test\n    path: ./data/test-*.jsonl\n"
_TWO = "- config_name: zh\n  data_dir: /zh/\n  data_files:\n  - split: dev\n    path: [a.jsonl, ./b.jsonl]\n"


def test_files_that_a_card_names(tmp_path: Path) -> None:
    folder = _card(tmp_path, _DEFAULT, _TWO)
    assert cards.files(folder, None) == {"test": ["data/test-*.jsonl"]}
    assert cards.files(folder, "default") == {"test": ["data/test-*.jsonl"]}
    assert cards.files(folder, "zh") == {"dev": ["zh/a.jsonl", "zh/b.jsonl"]}
    with pytest.raises(BadData) as caught:
        cards.files(folder, "en")
    assert str(caught.value) == f"{folder} has no config 'en' (it has default, zh)"


@pytest.mark.parametrize(
    "config",
    [
        "- config_name: zh\n",
        "- config_name: default\n",
        "- config_name: default\n  data_files: data/*\n",
        "- config_name: default\n  data_files: [data/a, data/b]\n",
        "- config_name: default\n  data_files:\n  - split: test\n",
        "- config_name: default\n  data_files:\n  - path: data/a\n",
        "- config_name: default\n  data_files:\n  - split: a\n    path: b\n  - split: test\n",
    ],
)
def test_what_a_card_says_in_another_form_is_left_to_datasets(tmp_path: Path, config: str) -> None:
    assert cards.files(_card(tmp_path, config), None) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no metadata\n",
        "---\n---\n",
        "---\n\n---\n",
        "---\r\nconfigs:\r\n- config_name: zh\r\n---\r\nwords",
        "\ufeff---\nconfigs:\n- config_name: zh\n---",
        "  ---\nconfigs:\n- config_name: zh\n---  \nwords\n---\n",
        "---\nconfigs:\n- config_name: 2024-01-01\n- config_name: 1e3\n- config_name: yes\n---\n",
        "words\n---\nconfigs:\n- config_name: zh\n---\n",
        "---\nlicense: mit\nconfigs:\n- {config_name: zh, data_files: x}\n- other: 1\n---\n",
        "---\nconfigs: []\n---\n",
    ],
)
def test_a_card_is_read_as_the_hubs_client_reads_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8", newline="")
    configs = (metadata_load(path) or {}).get("configs") or []
    assert cards.configs(tmp_path) == [each for each in configs if "config_name" in each]


@pytest.mark.parametrize("text", ["---\n- a list\n---\n", "---\na: [\n---\n", "---\na: !!python/name:os.system\n---\n"])
def test_metadata_that_are_no_table_are_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=f"^{tmp_path}/README.md cannot be read as a dataset: ") as refused:
        cards.configs(tmp_path)
    assert "\n" not in str(refused.value)


def test_files_of_a_split_are_each_there_once_by_name(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", "sub/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "folder.jsonl").mkdir()
    found = cards.matching(tmp_path, ["b*", "*.jsonl", "sub/*"], "test")
    assert found == [tmp_path / name for name in ("a.jsonl", "b.jsonl", "sub/c.jsonl")]
    with pytest.raises(BadData) as caught:
        cards.matching(tmp_path, ["x*", "folder.jsonl"], "dev")
    said = "no file matches x*, folder.jsonl, which its README names for split 'dev'"
    assert str(caught.value) == f"{tmp_path}: {said}"


def test_every_split_of_a_card_with_its_files(tmp_path: Path) -> None:
    numbered = "- config_name: en\n  data_files:\n  - split: 7\n    path: b*\n  - split: dev\n    path: a.jsonl\n"
    folder = _card(tmp_path, numbered, "- config_name: plain\n", "- config_name: zh\n  data_files: b.jsonl\n")
    for name in ("a.jsonl", "b.jsonl", "b2.jsonl"):
        (tmp_path / name).write_text("", encoding="utf-8")
    assert list(cards.each_split(folder)) == [
        ("en", "7", [tmp_path / "b.jsonl", tmp_path / "b2.jsonl"]),
        ("en", "dev", [tmp_path / "a.jsonl"]),
    ]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            "  - {split: test, path: a}\n  - {split: test, path: b}\n",
            "names the split 'test' twice: list its files",
        ),
        ("  - {split: 7, path: a}\n  - {split: '7', path: b}\n", "names the split '7' twice"),
        ("  - {split: a, path: a}\n- {config_name: default}\n", "names the config 'default' twice: give one of them"),
        ("  - {split: a, path: a, path: b}\n", "a table of it has two values of path"),
        ("  - {split: a, path: a}\n  data_files: b\n", "a table of it has two values of data_files"),
        ("  - {split: a, path: a}\nconfigs: []\n", "a table of it has two values of configs"),
    ],
)
def test_what_a_card_names_twice_is_refused_and_not_lost(tmp_path: Path, config: str, said: str) -> None:
    """datasets takes the last or refuses; either way half of the rows would be gone."""
    folder = _card(tmp_path, "- config_name: default\n  data_files:\n" + config)
    for read in (lambda: cards.files(folder, None), lambda: list(cards.each_split(folder))):
        with pytest.raises(BadData, match=f"^{folder}/README.md ") as refused:
            read()
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_keys_that_are_not_read_may_be_there_twice(tmp_path: Path) -> None:
    text = "---\nlicense: mit\nlicense: apache-2.0\nconfigs:\n" + _DEFAULT + "---\n"
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert cards.files(tmp_path, None) == {"test": ["data/test-*.jsonl"]}


@pytest.mark.parametrize("name", ["5", "2024-01-01", "1e3", "007", "true", "2.5"])
def test_a_config_whose_name_yaml_takes_for_something_else_is_found_by_the_name_it_is_listed_with(
    tmp_path: Path, name: str
) -> None:
    folder = _card(tmp_path, f"- config_name: {name}\n  data_files:\n  - split: test\n    path: a.jsonl\n")
    (tmp_path / "a.jsonl").write_text("", encoding="utf-8")
    ((config, split, files),) = cards.each_split(folder)
    assert (split, files) == ("test", [tmp_path / "a.jsonl"])
    assert cards.files(folder, config) == {"test": ["a.jsonl"]}
    with pytest.raises(BadData, match=rf"has no config 'other' \(it has {config}\)"):
        cards.files(folder, "other")
