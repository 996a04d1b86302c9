"""The parts of mteb that are read are looked for, and a version that lacks one is one line."""

from __future__ import annotations

import tomllib

import pytest

from flagbench import BadInput
from flagbench.runners.mteb import version
from tests.conftest import ROOT


def test_the_installed_mteb_has_all_that_is_read() -> None:
    version.check.__wrapped__()
    assert "SciFact" in version.tasks_registry()


@pytest.mark.parametrize(
    ("place", "name", "said"),
    [
        ("mteb.abstasks.abstask:AbsTask", "_gone", "has no attribute '_gone'"),
        ("mteb.abstasks.gone", "load_dataset", "No module named 'mteb.abstasks.gone'"),
        ("mteb.abstasks.abstask:Gone", "load_data", "has no attribute 'Gone'"),
    ],
)
def test_a_missing_part_is_one_line_that_names_the_version(
    place: str, name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "PARTS", {place: (name,)})
    monkeypatch.setattr(version.metadata, "version", lambda package: "2.0.1")
    with pytest.raises(BadInput) as caught:
        version.check.__wrapped__()
    text = str(caught.value)
    assert text.startswith("mteb 2.0.1 is not as FlagBench reads it (")
    assert said in text
    assert text.endswith("pip install 'mteb>=2.21,<3', or the version of constraints.txt")
    assert "\n" not in text


def test_the_versions_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert version.WANTED in project["dependencies"]
