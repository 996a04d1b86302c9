"""What is asked of the hub, and the one line that each of its refusals becomes."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import huggingface_hub
import pytest
from huggingface_hub import errors

from flagbench import BadInput, NoHub
from flagbench.models.loading import hub
from flagbench.models.loading.hub import download


def test_what_is_asked_and_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def snapshot(*names: Any, **more: Any) -> str:
        asked.append((names, more))
        return "/cache/snapshots/abc"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = download("org/name", repo_type="dataset", revision="v1", patterns=("*.json", "a/*"))
    assert found == Path("/cache/snapshots/abc")
    more = {
        "repo_type": "dataset",
        "revision": "v1",
        "allow_patterns": ["*.json", "a/*"],
        "local_files_only": False,  # being offline is huggingface_hub's to see to
    }
    assert asked == [(("org/name",), more)]


def _raised(kind: type[Exception]) -> Exception:
    if issubclass(kind, errors.HfHubHTTPError):
        return kind("long\nstory", response=Mock(status_code=503))
    return kind("long\nstory")


HUB = "https://huggingface.co"
LOCAL = "set HF_ENDPOINT to a mirror, or give local files"
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
        *(
            (kind, f"model org/name at revision v1: {HUB} {what}; try again later, {LOCAL}")
            for kind, what in (
                (errors.LocalEntryNotFoundError, "stopped answering"),
                (errors.HfHubHTTPError, "answers with HTTP 503"),
                (ConnectionError, "stopped answering"),
            )
        ),
    ],
)
def test_what_the_hub_refuses_is_one_line(kind: type[Exception], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(hub, "answers", lambda: True)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=_raised(kind)))
    with pytest.raises(BadInput) as caught:
        download("org/name", repo_type="model", revision="v1", patterns=())
    assert str(caught.value) == line
    assert isinstance(caught.value, NoHub) == (LOCAL in line)


@pytest.mark.parametrize("kind", ["model", "dataset"])
@pytest.mark.parametrize(
    ("value", "is_offline"), [*((value, True) for value in ("1", "true", "Yes", "on")), ("0", False), ("", False)]
)
def test_without_the_hub_local_files_are_the_way(
    kind: Any, value: str, is_offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a data set the flag that takes them is named; a model is typed as its folder."""
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(hub, "answers", lambda: False)
    snapshot = Mock(side_effect=_raised(errors.LocalEntryNotFoundError))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(BadInput) as caught:
        download("org/name", repo_type=kind, revision="main", patterns=())
    assert isinstance(caught.value, NoHub) != is_offline
    assert snapshot.call_args.kwargs.get("local_files_only", False) != is_offline  # no retries to wait for
    flag = " (--data DIR)" if kind == "dataset" else ""
    line = f": {OFFLINE}" if is_offline else f" is not in the cache, and {HUB} gives no answer; {LOCAL}"
    assert str(caught.value) == f"{kind} org/name at revision main{line}{flag}"


def test_a_mirror_that_gives_no_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://mirror.example")
    monkeypatch.setattr(hub, "answers", lambda: False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=_raised(errors.LocalEntryNotFoundError)))
    with pytest.raises(
        NoHub, match=r"and HF_ENDPOINT=https://mirror\.example gives no answer; correct HF_ENDPOINT, or"
    ):
        download("org/name", repo_type="model", revision="main", patterns=())


def test_one_answer_of_any_status_is_an_answer_and_silence_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.5)
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server, socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        addresses = [f"http://127.0.0.1:{port}" for port in (server.server_port, silent.getsockname()[1])]
        found = []
        for address in (*addresses, "http://127.0.0.1:1"):  # the last refuses connections
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
            found.append(hub.answers())
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", addresses[0])
        assert hub.answers()
        assert hub.answers()
        server.shutdown()
    assert found == [True, False, False]
    assert len(asked) == 2  # of the second time once a minute


def test_what_is_no_fault_of_the_hub_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Mock(side_effect=KeyError("a fault of ours")))
    with pytest.raises(KeyError):
        download("org/name", repo_type="model", revision="v1", patterns=())
