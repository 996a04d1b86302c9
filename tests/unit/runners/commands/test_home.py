"""Caches where the home folder cannot be written, or is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.runners.commands.home import usable_home

_NAMES = ("XDG_CACHE_HOME", "HF_HOME", "HF_DATASETS_CACHE", "FLAGBENCH_STORE")


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)


def _seen() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in ("HOME", *_NAMES)}


def test_a_home_that_can_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in (tmp_path, tmp_path / "not" / "made"):
        monkeypatch.setenv("HOME", str(home))
        before = _seen()
        with usable_home(store=False) as lost:
            assert (_seen(), lost) == (before, "")
    assert list(tmp_path.iterdir()) == [], "nothing is written to find out"


@pytest.mark.parametrize("gone", [False, True])
def test_caches_lie_in_a_temporary_folder_that_is_removed(gone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    if gone:  # as for a user whom the system does not know

        def home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr(Path, "home", home)
    before = _seen()
    with usable_home(store=False) as lost:
        folder = Path(os.environ["XDG_CACHE_HOME"])
        assert _seen() == {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder),
            "HF_HOME": None,
            "HF_DATASETS_CACHE": str(folder / "datasets"),
            "FLAGBENCH_STORE": None,
        }
        (folder / "file").touch()
        assert lost.startswith("there is no home folder" if gone else "/dev/null/.cache cannot be written")
        assert lost.endswith("is gone at the end: name folders with HF_HOME and --store to keep it")
    assert not folder.exists()
    assert _seen() == before


def test_what_the_user_names_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with usable_home(store=False) as lost:
        assert (os.environ["HF_HOME"], os.environ.get("HF_DATASETS_CACHE")) == (str(tmp_path), None)
        assert lost.endswith("name folders with --store to keep it")
    with usable_home(store=True) as lost:
        assert lost == ""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = _seen()
    monkeypatch.setenv("HOME", str(tmp_path))
    with usable_home(store=False) as lost:
        assert (_seen() | {"HOME": "/dev/null"}, lost) == (before, "")


@pytest.mark.parametrize("lacking", [os.W_OK, os.X_OK])
def test_a_cache_takes_files_where_it_can_be_written_and_entered(
    lacking: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & lacking)
    with usable_home(store=False) as lost:
        assert lost.startswith(f"{tmp_path / '.cache'} cannot be written, so")


def test_a_file_is_no_cache_and_a_relative_folder_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with usable_home(store=False) as lost:
        assert lost.startswith(f"{tmp_path / 'file'} cannot be written, so")
    monkeypatch.setenv("XDG_CACHE_HOME", "file")
    monkeypatch.chdir(tmp_path)
    with usable_home(store=False) as lost:
        assert (lost, os.environ["HOME"]) == ("", str(tmp_path))


def test_an_error_finds_the_environment_as_it_was_and_what_is_named_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setenv("FLAGBENCH_STORE", str(tmp_path))
    monkeypatch.setenv("HF_DATASETS_CACHE", "/mine")
    before = _seen()
    seen: list[str] = []

    def fails() -> None:
        with usable_home(store=False) as lost:
            assert lost.endswith("name folders with HF_HOME to keep it")
            seen.extend(os.environ[name] for name in ("HOME", "HF_DATASETS_CACHE"))
            raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        fails()
    assert _seen() == before
    assert not Path(seen[0]).exists()
    assert seen[1] == "/mine"


def test_models_in_a_cache_that_can_be_read_alone_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / ".cache"
    (cache / "huggingface").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: not Path(path).is_relative_to(cache))
    with usable_home(store=False):
        assert os.environ["HF_HOME"] == str(cache / "huggingface")
        assert not Path(os.environ["HF_DATASETS_CACHE"]).is_relative_to(tmp_path)
    monkeypatch.setenv("HF_HOME", str(cache / "huggingface"))  # named, and its datasets cannot lie there
    with usable_home(store=False):
        assert not Path(os.environ["HF_DATASETS_CACHE"]).is_relative_to(tmp_path)


def test_without_any_folder_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> None:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setattr("tempfile.TemporaryDirectory", none)
    with (
        pytest.raises(BadInput, match="nor a temporary folder can be written: set TMPDIR or HOME"),
        usable_home(store=False),
    ):
        pass
