"""``flagbench tasks``: which rows are listed, and what is said of those that are left out."""

from __future__ import annotations

from typing import Any

import pytest

from flagbench.runners.commands import cli
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest


def test_all_rows_are_listed_and_of_a_selection_what_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = find_benchmark("cmteb")
    requests: list[RunRequest] = []

    def left_out(self: Any, request: RunRequest) -> list[str]:
        requests.append(request)
        return ["A: no [labels]", "B: no texts"]

    monkeypatch.setattr(type(benchmark), "left_out", left_out)
    groups = len(benchmark.tasks()), len(benchmark.select(RunRequest("", "cmteb")))
    assert groups[0] > groups[1], "some rows are in no average"
    lines: dict[tuple[str, ...], list[str]] = {}
    for flags in ((), ("--group", "core"), ("--types", "sts"), ("--tasks", "STSB")):
        options = cli._parser().parse_args(["tasks", "--benchmark", "cmteb", *flags])
        assert options.run(options) == 0
        lines[flags[:1]] = capsys.readouterr().out.splitlines()
    counts = {flag: shown[0].split(": ")[1].strip() for flag, shown in lines.items()}
    assert counts[()] == f"{groups[0]} tasks"
    assert counts["--group",] == f"{groups[1]} tasks"
    assert counts["--tasks",] == "1 task"
    below = ["A: no [labels]", "B: no texts"]
    assert {flag: shown[-2:] == below for flag, shown in lines.items()} == {flag: bool(flag) for flag in lines}
    assert [(each.tasks, each.types, each.skip_missing) for each in requests] == [
        ((), (), True),
        ((), ("sts",), True),
        (("STSB",), (), True),
    ]
