"""docs/ci.md: its rules can be read, and its workflow gives the action what it takes (see test_action.py)."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from flagbench.results.gate.rules import CHECKS, read_rules
from tests.conftest import ROOT

_PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", _PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_rules_of_the_page_can_be_read(tmp_path: Path) -> None:
    first, trend = blocks("toml")
    (tmp_path / "trend.toml").write_text(trend, encoding="utf-8")
    assert [rule.since for rule in read_rules(tmp_path / "trend.toml").rules] == ["v1.0"]
    (tmp_path / "gate.toml").write_text(first, encoding="utf-8")
    rules = read_rules(tmp_path / "gate.toml")
    assert [rule.label for rule in rules.rules][:2] == ["no task falls far", "what falls is noise"]
    assert [rule.min_effect for rule in rules.rules] == [0.3, 0.5, 0.3, 0.3]
    for check in CHECKS:
        assert f"| `{check}" in _PAGE


def test_the_workflow_of_the_page_is_one_of_the_action() -> None:
    """What it gives is what the action takes, and the page's tables have all inputs and outputs."""
    workflow, action = yaml.safe_load(blocks("yaml")[0]), yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
    job = workflow["jobs"]["gate"]
    (step,) = (each for each in job["steps"] if "flagbench" in each["uses"])
    assert set(step["with"]) <= set(action["inputs"])
    assert {name for name, its in action["inputs"].items() if its.get("required")} <= set(step["with"])
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    section = _PAGE[_PAGE.index("## GitHub Actions") :]
    for name in (*action["inputs"], *action["outputs"]):
        assert f"`{name}`" in section, name
