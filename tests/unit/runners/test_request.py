"""What flags mean where they are not given, and how a size is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.runners.request import RunRequest, default_store, parse_size


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"FLAGBENCH_STORE": "/fast/store", "XDG_CACHE_HOME": "/cache"}, "/fast/store"),
        ({"FLAGBENCH_STORE": "store"}, "store"),
        ({"FLAGBENCH_STORE": "~/store"}, "/home/me/store"),
        ({"FLAGBENCH_STORE": "", "XDG_CACHE_HOME": "/cache"}, "/cache/flagbench/store"),
        ({"XDG_CACHE_HOME": "cache"}, "/home/me/.cache/flagbench/store"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/flagbench/store"),
        ({}, "/home/me/.cache/flagbench/store"),
    ],
)
def test_where_vectors_are_kept(environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert default_store(environment) == Path(folder)


def test_without_a_home_a_store_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    with pytest.raises(BadInput, match=r"~/.cache/flagbench: no such home folder; name a folder .*FLAGBENCH_STORE"):
        default_store({})


def test_a_request_that_says_nothing_keeps_nothing() -> None:
    request = RunRequest(model="org/model", benchmark="cmteb")
    assert (request.store, request.store_bytes, request.store_fp16) == (None, parse_size("100GB"), False)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("50GB", 50_000_000_000),
        ("500 MB", 500_000_000),
        (" 1tb ", 1_000_000_000_000),
        ("1.5TB", 1_500_000_000_000),
        ("2PB", 2_000_000_000_000_000),
        ("1kB", 1_000),
        ("1KiB", 1_024),
        ("0.5MiB", 524_288),
        ("3gib", 3 << 30),
        ("7B", 7),
        ("0.9kb", 900),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GB",
        "50",
        "50G",
        "5 gigabytes",
        "-5GB",
        "0GB",
        "0.9B",
        "1e3GB",
        "1,5GB",
        "5iB",
        "٣GB",
        "nanGB",
        "9" * 16 + "B",
    ],
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected a size such as 50GB, 500MB or 1.5TiB, not "):
        parse_size(text)
