"""A gate's verdicts for CI services: JUnit XML, and GitHub's annotations.

The XML has the elements and attributes that Jenkins' schema (junit-10.xsd), GitLab and GitHub's test reporters read: a
suite for each rule, a case for each check; a broken rule is a ``failure``, an inconclusive one an ``error``.

The annotations are workflow commands:
https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from flagbench import printable
from flagbench.results.gate.judge import Report, Verdict
from flagbench.results.gate.outputs import check_line, in_order

_SHOWN = 10
"""GitHub shows this many errors of a step."""


def to_junit(report: Report) -> str:
    """The text of a JUnit XML file."""
    root = _counted(ET.Element("testsuites", name="flagbench check"), report.verdicts)
    name, _, changes = report.settings.partition(": ")
    for rule in dict.fromkeys(verdict.rule for verdict in report.verdicts):
        its = [verdict for verdict in report.verdicts if verdict.rule == rule]
        suite = _counted(ET.SubElement(root, "testsuite", name=printable(rule)), its)
        if changes:
            ET.SubElement(ET.SubElement(suite, "properties"), "property", name=name, value=changes)
        for verdict in its:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=printable(rule),
                name=f"{printable(verdict.subject)}: {check_line(verdict)}",
            )
            kind = {"FAIL": "failure", "inconclusive": "error"}.get(verdict.outcome)
            text = printable(verdict.said)
            if kind:
                ET.SubElement(case, kind, type=verdict.outcome, message=text).text = text
            else:
                ET.SubElement(case, "system-out").text = text
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def to_annotations(report: Report) -> list[str]:
    """A line for each check that does not pass, as far as GitHub shows them; what is broken comes first."""
    off = [verdict for verdict in in_order(report) if verdict.outcome != "pass"]
    kept = off if len(off) <= _SHOWN else off[: _SHOWN - 1]
    lines = [
        _command(
            f"{verdict.outcome}: {printable(verdict.subject)}", f"{verdict.rule}, {check_line(verdict)}: {verdict.said}"
        )
        for verdict in kept
    ]
    if len(kept) < len(off):
        lines.append(_command("more", f"{len(off) - len(kept)} more checks do not pass, see the summary"))
    return lines


def _counted(element: ET.Element, verdicts: Sequence[Verdict]) -> ET.Element:
    """The same element, with how many cases are below it."""
    outcomes = [verdict.outcome for verdict in verdicts]
    element.set("tests", str(len(outcomes)))
    element.set("failures", str(outcomes.count("FAIL")))
    element.set("errors", str(outcomes.count("inconclusive")))
    return element


def _command(title: str, message: str) -> str:
    """A workflow command; what would end it or its property is escaped as GitHub's toolkit does."""
    data = printable(message).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    value = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::error title={value}::{data}"
