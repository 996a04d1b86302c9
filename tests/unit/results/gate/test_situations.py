"""What a gate says in which situation: no false pass, no false failure. docs/ci.md has the same table in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.cmteb.published.table import table
from flagbench.results.averages import cells_digest
from flagbench.results.baseline import Baseline
from flagbench.results.gate.judge import Report, judge
from flagbench.results.gate.known import refuse_itself
from flagbench.results.gate.means import means_of
from flagbench.results.gate.published import as_baseline
from flagbench.results.gate.rules import read_rules
from flagbench.results.page.benchmark import Benchmark
from flagbench.results.record import Average, Interval, RunRecord, TaskRecord
from flagbench.results.runs import Run, find_run, labelled, saved
from flagbench.results.values import Values
from tests.conftest import ROOT
from tests.unit.results.test_runs import made_task, write_run

_MACHINE = {"processor": "p", "device": "cpu", "device_name": "p", "threads": 2, "OMP_NUM_THREADS": "2"}
_MODEL = "BAAI/bge-small-zh-v1.5"
_DROP, _LEAST = "max-drop = 1", "min-score = 10"
_TEST = "no-significant-drop = true"
_PACE = "max-latency-ratio = 1.5"
_NAMED = 'tasks = ["A"]'

_OFFICIAL: Mapping[str, Any] = {"status": "official", "differences": []}
_MINI = _OFFICIAL | {"status": "differs", "differences": ["rows: 12 instead of 100"]}
_COUNTS = {"status": "counts agree", "differences": []}


def _content(digest: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {**data, "content": {"dev": {"rows": 12, "digest": digest}}}


def task(score: float | None = 0.5, files: str = "f1", main: str = "ndcg_at_10", **fields: Any) -> TaskRecord:
    """Task A over official data."""
    record, _ = made_task(fields.pop("name", "A"), score, of={"main_score": main}, **fields)
    return replace(record, settings=record.settings | {"data": {"source": "folder", "files": files}})


@dataclass(frozen=True)
class Case:
    """The tasks of two runs, and the rules.

    Attributes:
        before: Of the baseline.
        after: Of the candidate.
        checks: Lines of the one rule; each must give the verdict by itself.
        select: What the rule applies to.
        values: Values per query of task A, in the baseline and in the candidate; None for none.
        machines: The environments of both.
        accept: --accept-counts of published scores; None for a baseline that is a run.
        table: What the table of published scores says of its task besides: ``subsets``, ``metrics``, ``revisions``.
        saved: Whether both runs are files of ``flagbench baseline``.
        counted: Digest of the splits and subsets of tasks that count in the averages of the benchmark.
    """

    before: tuple[TaskRecord, ...] = (task(),)
    after: tuple[TaskRecord, ...] = (task(),)
    checks: tuple[str, ...] = (_DROP, _LEAST)
    select: str = _NAMED
    values: tuple[Mapping[str, float] | None, Mapping[str, float] | None] = (None, None)
    machines: tuple[Mapping[str, Any], Mapping[str, Any]] = field(default=(_MACHINE, _MACHINE))
    accept: bool | None = None
    table: Mapping[str, Any] = field(default_factory=dict)
    saved: bool = False
    counted: Mapping[str, str] = field(default_factory=dict)


def flat(value: float, count: int) -> dict[str, float]:
    """As many queries with one value."""
    return {f"q{at}": value for at in range(count)}


def timed(seconds: float, encoded: int = 100) -> TaskRecord:
    return task(seconds={"encode": seconds}, texts={"asked": 100, "distinct": 100, "encoded": encoded})


def published(**fields: Any) -> TaskRecord:
    score = table().of_model(_MODEL).scores["LCQMC"]["test"]
    record, _ = made_task("LCQMC", {"test": {"default": score}}, kind="STS", **fields)
    return record


_FAILED = (task(None, status="error", error="e"),)
_HIDDEN = (task(), task(None, name="B"))
_SAMPLE = {"profile": "quick", "items": 10, "of": 100, "error": 0.1}
_AT_A_HALF = (flat(0.5, 20), flat(0.5, 20))
_FROM_0_TO_1 = {f"q{at}": at / 19 for at in range(20)}
_NARROW: Interval = {
    "low": 0.49,
    "high": 0.51,
    "parts": {"dev": {"default": {"error": 0.005, "items": 20, "clusters": 20}}},
}
_LCQMC = 'tasks = ["LCQMC"]'


def _of_length(name: str, length: int) -> TaskRecord:
    record = task(name=name)
    return replace(record, settings=record.settings | {"model": {"adapter": "dense", "query_max_length": length}})


_LENGTHS = (_of_length("A", 512), _of_length("B", 8))


def _in_mean(*names: str) -> tuple[TaskRecord, ...]:
    """Tasks of the data sets of a folder."""
    mean = Average(benchmark="cmteb", label="Mean", tasks=list(names))
    return tuple(task(name=name, average=mean) for name in names)


# Situation, its words in docs/ci.md, the verdict, the exit code.
SITUATIONS: list[tuple[Case, str, str, int]] = [
    (Case(), "the score is as high", "pass", 0),
    (Case(after=(task(0.49),)), "the score is lower by what the rule allows", "pass", 0),
    (Case(after=(task(0.05),)), "the score is lower by more", "FAIL", 1),
    (
        Case(
            (task(), task(name="B")),
            (task(0.05),),
            select='tasks = ["A", "B"]',
        ),
        "one task is lower by more, another is inconclusive",
        "FAIL",
        1,
    ),
    (Case(after=(task(name="B"),), before=(task(), task(name="B"))), "the candidate lacks the task", "inconclusive", 2),
    (
        Case(before=(task(name="B"),), after=(task(), task(name="B"))),
        "the baseline lacks the task, also for `min-score`",
        "inconclusive",
        2,
    ),
    (Case(after=_FAILED), "the task failed in the candidate", "inconclusive", 2),
    (
        Case(_FAILED, _FAILED, select='tasks = ["*"]'),
        "the task failed in both runs",
        "inconclusive",
        2,
    ),
    (
        Case(after=(task(later_error="no memory"),)),
        "the task failed when the candidate was last evaluated, and its score is of an earlier success",
        "inconclusive",
        2,
    ),
    (Case(after=(task(status="partial"),)), "the score is over a part of the data", "inconclusive", 2),
    (
        Case((task(None),), (task(None),)),
        "the task has no score, as its labels are private, and is named",
        "inconclusive",
        2,
    ),
    (
        Case(_HIDDEN, _HIDDEN, select='tasks = ["*"]'),
        "a task without a score is matched by a pattern, beside others",
        "pass",
        0,
    ),
    (
        Case(_HIDDEN, _HIDDEN, select='tasks = ["B*"]'),
        "no task of a rule has a score",
        "refused",
        2,
    ),
    (Case(select='tasks = ["C"]'), "a rule names a task that neither run has", "refused", 2),
    (Case(select='types = ["S*"]'), "a pattern matches nothing", "refused", 2),
    (Case(after=(task(name="B"),)), "the runs have no task in common", "refused", 2),
    (
        Case((task(data=_content("d1", _MINI)),), (task(files="f2", data=_content("d1", _MINI)),)),
        "the same content that is not official, such as `--mini` in both runs",
        "pass",
        0,
    ),
    (
        Case((task(data=_content("d1", _OFFICIAL)),), (task(data=_content("d2", _MINI)),)),
        "`--mini` against the real data",
        "inconclusive",
        2,
    ),
    (
        Case((task(data=_content("d1", _COUNTS)),), (task(data=_content("d2", _COUNTS)),)),
        "other content with the same counts",
        "inconclusive",
        2,
    ),
    (
        Case((task(data=_COUNTS),), (task(data=_content("d1", _COUNTS)),)),
        "only one of the runs records its content, as the other is older",
        "inconclusive",
        2,
    ),
    (Case((task(data=_COUNTS),), (task(data=_COUNTS),)), "two older runs over the very same files", "pass", 0),
    (
        Case((task(data=_COUNTS),), (task(files="f2", data=_COUNTS),)),
        "two older runs over other files with the same counts",
        "inconclusive",
        2,
    ),
    (
        Case((task(data={"status": "unknown"}),), (task(files="f2", data={"status": "unknown"}),)),
        "data of which nothing is known",
        "inconclusive",
        2,
    ),
    (Case((task(data={}),), (task(data={}),)), "a run does not record what its data is", "inconclusive", 2),
    (Case(after=(task(sample=_SAMPLE),)), "a sample against all of the data", "inconclusive", 2),
    (Case((task(sample=_SAMPLE),), (task(sample=_SAMPLE),)), "the same sample in both runs", "pass", 0),
    (
        Case(after=(replace(task(), scores={"test": {"default": 0.5}}),)),
        "other splits or subsets",
        "inconclusive",
        2,
    ),
    (Case(after=(task(main="map"),)), "another main score", "inconclusive", 2),
    (Case(values=(flat(0.5, 20), flat(0.5, 21))), "other queries", "inconclusive", 2),
    (Case(values=_AT_A_HALF), "the scores are the means of the values per query", "pass", 0),
    (
        Case(after=(task(0.9),), values=_AT_A_HALF),
        "a score is not the mean of the values per query beside it",
        "inconclusive",
        2,
    ),
    (
        Case(after=(task(0.9),), values=_AT_A_HALF, saved=True),
        "the same in a file that `flagbench baseline` saved of the run",
        "inconclusive",
        2,
    ),
    (
        Case(after=(task(0.9),), values=(flat(0.5, 20), {})),
        "a score with a file of values per query that has none of it",
        "inconclusive",
        2,
    ),
    (
        Case(after=(replace(task(), interval=_NARROW),), values=(_FROM_0_TO_1, _FROM_0_TO_1)),
        "an interval is not that of the values per query beside it",
        "inconclusive",
        2,
    ),
    (Case(after=(task(60.0),)), "a score beyond the range of its metric", "refused", 2),
    (Case(checks=(_TEST,), after=(task(0.4),), values=(flat(0.5, 20), flat(0.4, 20))), "a significant drop", "FAIL", 1),
    (
        Case(checks=(_TEST,), after=(task(0.499),), values=(flat(0.5, 20), flat(0.5, 20) | {"q0": 0.48})),
        "a drop that chance explains",
        "pass",
        0,
    ),
    (
        Case(checks=(_TEST,), after=(task(0.4),), values=(flat(0.5, 5), flat(0.4, 5))),
        "a test over so few items that it could never fail",
        "inconclusive",
        2,
    ),
    (Case(checks=(_TEST,)), "a test without values per query", "inconclusive", 2),
    (
        Case(checks=("max-unparseable = 5",), after=(task(texts={"asked": 100}),)),
        "a share of answers that the run does not count",
        "inconclusive",
        2,
    ),
    (
        Case(checks=("max-unparseable = 5",), after=(task(texts={"asked": 100, "unparsed": 9}),)),
        "more answers than allowed name no option",
        "FAIL",
        1,
    ),
    (Case((timed(2.0),), (timed(2.5),), (_PACE,)), "slower by what the rule allows, on one kind of machine", "pass", 0),
    (Case((timed(2.0),), (timed(9.0),), (_PACE,)), "slower by more", "FAIL", 1),
    (
        Case((timed(2.0),), (timed(0.1, 5),), (_PACE,)),
        "times of runs that encoded other numbers of texts",
        "inconclusive",
        2,
    ),
    (Case((timed(0.0, 0),), (timed(0.0, 0),), (_PACE,)), "times where all vectors were cached", "inconclusive", 2),
    (Case((timed(2.0),), (timed(0.0),), (_PACE,)), "times that are not positive", "inconclusive", 2),
    (
        Case((timed(2.0),), (timed(2.0),), (_PACE,), machines=(_MACHINE, _MACHINE | {"processor": "q"})),
        "times of two kinds of machines, without `any-machine`",
        "inconclusive",
        2,
    ),
    (
        Case((timed(2.0),), (timed(2.0),), (_PACE,), machines=(_MACHINE, _MACHINE | {"OMP_NUM_THREADS": "1"})),
        "times with another `OMP_NUM_THREADS`",
        "inconclusive",
        2,
    ),
    (
        Case((timed(2.0),), (replace(timed(2.0), environment=_MACHINE | {"threads": 1}),), (_PACE,)),
        "times of another machine than the one where the run's last task was evaluated",
        "inconclusive",
        2,
    ),
    (
        Case((task(), task(name="B")), (task(),), select='averages = ["average"]'),
        "an average of which a task is inconclusive",
        "inconclusive",
        2,
    ),
    (
        Case(_in_mean("A", "B", "C"), _in_mean("A", "B"), select='averages = ["Mean"]'),
        "the mean over the data sets of a folder, of which the candidate or the baseline has lost one",
        "inconclusive",
        2,
    ),
    (
        Case(select='averages = ["Part"]', counted={"A": cells_digest({("dev", "default"), ("dev", "zh")})}),
        "an average of the benchmark over a part of the splits or subsets that count in it, in both runs",
        "inconclusive",
        2,
    ),
    (Case(after=(published(),), select=_LCQMC, accept=False), "published scores, official data", "pass", 0),
    (
        Case(after=(published(),), select=_LCQMC, accept=False, table={"subsets": ("default", "zh")}),
        "published scores, and other subsets than the published ones",
        "inconclusive",
        2,
    ),
    (
        Case(after=(published(),), select=_LCQMC, accept=False, table={"metrics": "pearson"}),
        "published scores, and another metric than the published one",
        "inconclusive",
        2,
    ),
    (
        Case(after=(published(of={"revision": "r"}),), select=_LCQMC, accept=False, table={"revisions": ("other",)}),
        "published scores over another revision of the data, which a note says",
        "pass",
        0,
    ),
    (
        Case(after=(published(data=_COUNTS),), select=_LCQMC, accept=False),
        "published scores, and only the counts agree",
        "inconclusive",
        2,
    ),
    (
        Case(after=(published(data=_COUNTS),), select=_LCQMC, accept=True),
        "the same with `--accept-counts`, which the verdict says",
        "pass",
        0,
    ),
    (
        Case(after=(published(data=_MINI),), select=_LCQMC, accept=True),
        "published scores, and the data is not official",
        "inconclusive",
        2,
    ),
    (
        Case(after=(published(sample=_SAMPLE),), select=_LCQMC, accept=True),
        "published scores, and a sample",
        "inconclusive",
        2,
    ),
    (
        Case(after=(published(),), select=_LCQMC, checks=(_TEST, _PACE), accept=False),
        "significance or times against published scores",
        "inconclusive",
        2,
    ),
    (
        Case(_LENGTHS, _LENGTHS, select='averages = ["average"]'),
        "an average over tasks that ran with different settings, in one run or both",
        "inconclusive",
        2,
    ),
]


def run_of(folder: Path, tasks: tuple[TaskRecord, ...], machine: Mapping[str, Any], values: Any, day: int) -> Run:
    dated = {its.name: replace(its, finished=f"2026-01-0{day}T00:00:00+00:00") for its in tasks}
    record = RunRecord("cmteb", "org/m", "r", {}, (), machine, dated)
    kept = {"A": Values("A", {"dev": {"default": {"ndcg_at_10": values}}})} if values is not None else {}
    return Run(folder, RunRecord.from_json(json.dumps(json.loads(record.to_json()))), "org/m", kept)


def gate(tmp_path: Path, case: Case, check: str) -> Report:
    """Judge as ``flagbench check`` does."""
    file = tmp_path / "gate.toml"
    file.write_text(f"[[rule]]\n{case.select}\n{check}\n", encoding="utf-8")
    rules = read_rules(file)
    runs = [
        run_of(tmp_path / str(day), tasks, machine, values, day)
        for day, tasks, machine, values in zip(
            (1, 2), (case.before, case.after), case.machines, case.values, strict=True
        )
    ]
    if case.saved:
        runs = [_saved(run) for run in runs]
    facts = Benchmark("", {"Part": ["A"]}, parts=case.counted)
    means = means_of(runs, facts.averages_of, facts.takes)
    if case.accept is not None:
        its = replace(table(), **{name: {"LCQMC": value} for name, value in case.table.items()})
        baseline, part = as_baseline(its.of_model(_MODEL), its, runs[1], accept_counts=case.accept)
        known = its.other_revisions(runs[1].record.tasks.values())
        return judge(rules, baseline, runs[1], published_part=part, means=means, known=known)
    baseline, candidate = labelled(runs)
    refuse_itself(baseline, candidate)
    return judge(rules, baseline, candidate, means=means)


@pytest.mark.parametrize(("case", "words", "verdict", "code"), SITUATIONS, ids=[each[1] for each in SITUATIONS])
def test_the_verdict_of_a_situation(tmp_path: Path, case: Case, words: str, verdict: str, code: int) -> None:
    for check in case.checks:
        if verdict == "refused":
            with pytest.raises((BadInput, ValueError)) as refusal:
                gate(tmp_path, case, check)
            assert len(str(refusal.value).splitlines()) == 1
            continue
        report = gate(tmp_path, case, check)
        found = {each.outcome for each in report.verdicts}
        assert report.exit_code == code, (check, [each.said for each in report.verdicts])
        assert (verdict in found) if verdict == "FAIL" else found == {verdict}
        assert all(each.said for each in report.verdicts)


def test_counts_that_were_accepted_are_said_in_the_verdict(tmp_path: Path) -> None:
    case = Case(after=(published(data=_COUNTS),), select=_LCQMC, accept=True)
    (verdict,) = gate(tmp_path, case, _DROP).verdicts
    assert verdict.said.endswith("only the counts agree with the official data")


def test_another_revision_of_the_data_is_a_note(tmp_path: Path) -> None:
    case = Case(after=(published(of={"revision": "r"}),), select=_LCQMC, accept=False)
    for revisions, notes in (
        (("other",), ("published over another revision of the data: LCQMC",)),
        (("r", "other"), ()),
    ):
        assert gate(tmp_path, replace(case, table={"revisions": revisions}), _DROP).notes == notes


def test_too_few_items_are_counted_in_the_last_line(tmp_path: Path) -> None:
    from flagbench.results.gate.outputs import headline

    case = Case(values=(flat(0.5, 5), flat(0.5, 5)))
    assert "1 inconclusive (1 with too few items to judge) of 1 checks" in headline(gate(tmp_path, case, _TEST))
    (tmp_path / "two").mkdir()
    line = headline(gate(tmp_path / "two", case, f"{_TEST}\n{_DROP}"))
    assert "1 inconclusive (1 with too few items to judge), 1 pass of 2 checks" in line


_ITSELF = "a run against itself: by another path, a link, a copy, or the baseline that was saved of it"


@pytest.mark.parametrize("how", ["itself", "copy", "baseline"])
def test_a_run_against_itself(tmp_path: Path, how: str) -> None:
    run = find_run(write_run(tmp_path / "out", "org/m", made_task("A", finished="2026-01-01T00:00:00+00:00")))
    it = {"itself": run, "copy": replace(run, folder=Path("copy")), "baseline": _saved(run)}[how]
    with pytest.raises(BadInput, match="are the same run"):
        refuse_itself(it, run)
    more = {**run.record.tasks, "B": task(name="B", finished="2026-01-02T00:00:00+00:00")}
    with pytest.raises(BadInput, match="are the same run"):
        refuse_itself(replace(it, folder=Path("early")), replace(run, record=replace(run.record, tasks=more)))


def _saved(run: Run) -> Run:
    its = Baseline.from_json(saved(run).to_json())
    assert its is not None
    return Run(run.folder / "b.json", its.record, run.label, its.values)


def test_the_page_on_gates_has_this_table() -> None:
    rows = [*((words, verdict, code) for _, words, verdict, code in SITUATIONS), (_ITSELF, "refused", 2)]
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    lines = [f"| {words} | {verdict} | {code} |" for words, verdict, code in rows]
    assert "\n".join(["| situation | verdict | exit code |", "|---|---|---|", *lines]) in page


def test_the_mean_over_a_folder_is_judged_where_both_runs_have_all_of_it(tmp_path: Path) -> None:
    """Whichever of them names it, and whatever else lies beside it."""
    three, more = _in_mean("A", "B", "C"), (*_in_mean("A", "B", "C"), task(name="D"))
    nameless = tuple(replace(each, average=None) for each in three)
    for before, after in ((three, three), (three, more), (three, nameless), (nameless, three)):
        (verdict,) = gate(tmp_path, Case(before, after, select='averages = ["Mean"]'), _LEAST).verdicts
        assert (verdict.outcome, verdict.candidate) == ("pass", pytest.approx(0.5))
    lost = gate(tmp_path, Case(_in_mean("A", "B"), three, select='averages = ["Mean"]'), _LEAST).verdicts
    assert [each.said for each in lost] == ["the baseline lacks C"]


def test_an_average_says_whose_parts_it_lacks(tmp_path: Path) -> None:
    case = Case(select='averages = ["Part"]', counted={"A": cells_digest({("dev", "default"), ("dev", "zh")})})
    (verdict,) = gate(tmp_path, case, _LEAST).verdicts
    assert verdict.said == "Part is over other splits or subsets of A"
    whole = replace(case, counted={"A": cells_digest({("dev", "default")})})
    assert gate(tmp_path, whole, _LEAST).exit_code == 0


def test_published_scores_of_another_mteb_are_named(tmp_path: Path) -> None:
    case = Case(after=(published(),), select=_LCQMC, accept=False, machines=({}, {"versions": {"mteb": "2.99.0"}}))
    theirs = table().of_model(_MODEL).mteb
    assert theirs
    assert gate(tmp_path, case, _DROP).notes == (f"versions of mteb differ: {theirs} and 2.99.0",)
