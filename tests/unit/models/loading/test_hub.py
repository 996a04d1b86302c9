"""What is asked of the hub, and the one line that each of its refusals becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import errors

from flagbench import BadInput, NoHub
from flagbench.models.loading.hub import download


def test_what_is_asked_and_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def snapshot(*names: Any, **more: Any) -> str:
        asked.append((names, more))
        return "/cache/snapshots/abc"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = download("org/name", repo_type="dataset", revision="v1", patterns=("*.json", "a/*"))
    assert found == Path("/cache/snapshots/abc")
    more = {"repo_type": "dataset", "revision": "v1", "allow_patterns": ["*.json", "a/*"]}
    assert asked == [(("org/name",), more)]


def _raised(kind: type[Exception]) -> Exception:
    if issubclass(kind, errors.HfHubHTTPError):
        return kind("long\nstory", response=Mock())
    return kind("long\nstory")


UNREACHED = (
    "the hub cannot be reached; look at the network or HF_ENDPOINT, set HF_HUB_OFFLINE=1 to read the cache alone, or "
    "give local files"
)
OFFLINE = "HF_HUB_OFFLINE is set and it is not in the cache; unset HF_HUB_OFFLINE or give local files"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (
            errors.GatedRepoError,
            "model org/name at revision v1: access is gated; accept its terms on the hub and set HF_TOKEN",
        ),
        (errors.RevisionNotFoundError, "model org/name at revision v1: no such revision on the hub"),
        (
            errors.RepositoryNotFoundError,
            "model org/name at revision v1: no such repository on the hub (or it is private: set HF_TOKEN)",
        ),
        (errors.HFValidationError, "'org/name' is neither a folder nor a hub id of the form org/name"),
        (errors.LocalEntryNotFoundError, f"model org/name at revision v1: {UNREACHED}"),
        (errors.HfHubHTTPError, f"model org/name at revision v1: {UNREACHED}"),
        (ConnectionError, f"model org/name at revision v1: {UNREACHED}"),
    ],
)
def test_what_the_hub_refuses_is_one_line(kind: type[Exception], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=_raised(kind)))
    with pytest.raises(BadInput) as caught:
        download("org/name", repo_type="model", revision="v1", patterns=())
    assert str(caught.value) == line
    assert isinstance(caught.value, NoHub) == (UNREACHED in line)


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("value", "line"),
    [
        *((value, OFFLINE) for value in ("1", "true", "Yes", "on")),
        *((value, UNREACHED) for value in ("0", "", "no")),
    ],
)
def test_without_the_hub_local_files_are_the_way(
    kind: Any, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a data set the flag that takes them is named; a model is typed as its folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=_raised(errors.LocalEntryNotFoundError)))
    with pytest.raises(BadInput) as caught:
        download("org/name", repo_type=kind, revision="main", patterns=())
    assert isinstance(caught.value, NoHub) == (line == UNREACHED)
    flag = " (--data DIR)" if kind == "dataset" else ""
    assert str(caught.value) == f"{kind} org/name at revision main: {line}{flag}"


def test_what_is_no_fault_of_the_hub_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=KeyError("a fault of ours")))
    with pytest.raises(KeyError):
        download("org/name", repo_type="model", revision="v1", patterns=())
