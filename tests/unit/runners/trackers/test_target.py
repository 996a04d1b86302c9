"""Where scores are logged, as it is written on the command line, and what is printed of it."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from flagbench.runners.trackers.target import Target, target, without_secrets

_SECRET = "hunter2"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Any = object()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tensorboard:logs/a b", "tensorboard:logs/a b"),
        ("mlflow:http://host:5000", "mlflow:http://host:5000"),
        (f"mlflow:https://me:{_SECRET}@host/x", "mlflow:https://…host/x"),
        (f"mlflow:postgresql://me:{_SECRET}@host/db?password={_SECRET}&ssl=1", "mlflow:postgresql://…host/db?…&…"),
        ("wandb:team/project", "wandb:team/project"),
        (f"mlflow:http://me:{_SECRET}/{_SECRET}@host/x", "mlflow:http://…host/x"),
        (f"mlflow:http://me:a@{_SECRET}@host/x", "mlflow:http://…host/x"),
        (f"mlflow:http://user name:{_SECRET}@host", "mlflow:http://…host"),
        (f"mlflow:http://host/x#access_token={_SECRET}", "mlflow:http://host/x#…"),
        (f"mlflow:http://host/x?password=b {_SECRET}", "mlflow:http://host/x?…"),
    ],
)
def test_kind_and_place(text: str, shown: str) -> None:
    found = target(text)
    assert (found.kind, found.place) == tuple(text.split(":", 1))
    assert str(found) == shown
    assert _SECRET not in f"{found} {found!r}"


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("text", ["", "logs", "tensorboard:", f"neptune:http://me:{_SECRET}@host"])
def test_what_is_none_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected one of tensorboard:DIR") as error:
        target(text)
    assert _SECRET not in str(error.value)


def test_a_package_that_is_not_there_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(argparse.ArgumentTypeError) as error:
        target(f"mlflow:http://me:{_SECRET}@host")
    assert str(error.value) == "mlflow needs the package mlflow: pip install 'flagbench[mlflow]'"


def test_texts_without_secrets_stay_as_they_are() -> None:
    for text in ("a@b.org", "folder/x?y", str(Path("/a/b")), "http://host/path", str(Target("wandb", "a"))):
        assert without_secrets(text) == text
