"""Runs side by side: deltas, averages, tallies, tests, refusals, and the four formats."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flagbench import BadInput
from flagbench.results.compare.compare import Comparison, Line, compare, side_by_side
from flagbench.results.compare.screen import render
from flagbench.results.compare.text import to_csv, to_json, to_markdown
from flagbench.results.runs import Run, find_all
from tests.unit.results.test_runs import made_task, write_run

_IDS = [f"q{number}" for number in range(12)]


def with_values(name: str, numbers: list[int], ids: list[str] = _IDS, **fields: Any) -> Any:
    """A task whose values are hundredths, and its score their mean."""
    values = dict(zip(ids, [number / 100 for number in numbers], strict=True))
    return made_task(name, sum(numbers) / len(numbers) / 100, values={"ndcg_at_10": values}, **fields)


def runs_of(tmp_path: Path, **tasks: list[Any]) -> list[Run]:
    """One run of model ``org/<key>`` for each keyword."""
    return find_all([write_run(tmp_path / "out", f"org/{name}", *its) for name, its in tasks.items()])


def printed(comparison: Comparison, width: int = 200) -> str:
    out = Console(file=io.StringIO(), width=width, color_system=None)
    for part in render(comparison):
        out.print(part, soft_wrap=not hasattr(part, "columns"))
    return str(out.file.getvalue())  # type: ignore[attr-defined]


def line_of(comparison: Comparison, task: str) -> Line:
    return next(line for line in comparison.lines if line.task == task)


def refused(runs: list[Run], **options: Any) -> str:
    with pytest.raises(BadInput) as error:
        compare(runs, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# Scores.


def test_deltas_averages_and_tallies(tmp_path: Path) -> None:
    runs = runs_of(
        tmp_path,
        one=[made_task("A", 0.2), made_task("B", 0.4), made_task("C", 0.6, kind="STS"), made_task("D", 0.8)],
        two=[made_task("A", 0.5), made_task("B", 0.1), made_task("C", 0.6, kind="STS"), made_task("E", 0.9)],
    )
    found = compare(runs)
    assert [line.task for line in found.lines] == ["A", "B", "C", "D", "E"]
    assert [line.cells[1].delta for line in found.lines] == [pytest.approx(0.3), pytest.approx(-0.3), 0, None, None]
    assert [line.cells[0].delta for line in found.lines] == [None] * 5
    assert found.missing == (("E",), ("D",))
    assert found.tallies == ((0, 0, 0), (1, 1, 1))
    means = {each.label: (each.tasks, *each.scores) for each in found.averages}
    assert means == {
        "Retrieval mean": (2, pytest.approx(0.3), pytest.approx(0.3)),
        "STS mean": (1, 0.6, 0.6),
        "average": (3, pytest.approx(0.4), pytest.approx(0.4)),
    }


def test_partial_and_failed_tasks_are_shown_and_not_averaged(tmp_path: Path) -> None:
    runs = runs_of(
        tmp_path,
        one=[made_task("A", 0.2), made_task("B", 0.4), made_task("C", 0.6)],
        two=[
            made_task("A", 0.3),
            made_task("B", 0.9, status="partial"),
            made_task("C", None, status="error", error="no memory"),
        ],
    )
    found = compare(runs)
    assert [cell.status for cell in (line.cells[1] for line in found.lines)] == ["success", "partial", "error"]
    assert line_of(found, "B").cells[1].delta is None
    assert [(each.tasks, each.scores) for each in found.averages] == [(1, (0.2, 0.3))]
    text = printed(found)
    assert "90.00 (partial)" in text
    assert "org/two: failed: C" in text
    assert line_of(found, "C").cells[1].note == "no memory"


def test_tasks_that_no_two_share_leave_the_average_blank(tmp_path: Path) -> None:
    one, two, three = [made_task("A", 0.1)], [made_task("A", 0.2), made_task("B", 0.3)], [made_task("B", 0.4)]
    found = compare(runs_of(tmp_path, one=one, two=two, three=three))
    assert [(each.tasks, each.scores) for each in found.averages] == [(0, (None, None, None))]
    assert line_of(found, "B").cells[2].delta is None


# Tests.


def test_the_test_is_that_of_the_values(tmp_path: Path) -> None:
    one, two = [10, 20, 30, 40, 50, 60, 70, 80, 90, 15, 25, 35], [30, 20, 10, 90, 80, 60, 75, 95, 85, 40, 45, 30]
    found = compare(runs_of(tmp_path, one=[with_values("A", one)], two=[with_values("A", two)]))
    test = line_of(found, "A").cells[1].test
    assert test is not None
    gains = [b - a for a, b in zip(one, two, strict=True)]
    patterns = itertools.product((1, -1), repeat=len(gains))
    as_far = sum(
        abs(sum(sign * gain for sign, gain in zip(signs, gains, strict=True))) >= sum(gains) for signs in patterns
    )
    assert test.paired.p == float(Fraction(as_far, 2 ** len(gains)))
    assert test.adjusted == test.paired.p
    assert test.paired.difference == pytest.approx(sum(gains) / 1200) == line_of(found, "A").cells[1].delta
    assert (test.paired.better, test.paired.same, test.paired.worse) == (7, 2, 3)
    assert test.paired.low < test.paired.difference < test.paired.high


def test_queries_are_paired_by_id_and_not_by_place(tmp_path: Path) -> None:
    numbers, order = list(range(12)), list(range(12))
    random.Random(3).shuffle(order)
    mixed = with_values("A", [numbers[at] for at in order], [_IDS[at] for at in order])
    found = compare(runs_of(tmp_path, one=[with_values("A", numbers)], two=[mixed]))
    test = found.lines[0].cells[1].test
    assert test is not None
    assert (test.paired.same, test.paired.p) == (12, 1)


def test_many_tests_are_corrected_together(tmp_path: Path) -> None:
    """p is 2 / 2^n where all n differences point one way; Holm multiplies the smallest by their number."""
    low = [0] * 12
    gains = {"A": [10] * 12, "B": [10] * 6 + [0] * 6, "C": [10] * 5 + [0] * 7}
    one = [with_values(name, low) for name in gains]
    two = [with_values(name, high) for name, high in gains.items()]
    found = compare(runs_of(tmp_path, one=one, two=two))
    tests = [test for line in found.lines if (test := line.cells[1].test)]
    assert [test.paired.p for test in tests] == [2 / 2**12, 2 / 2**6, 2 / 2**5]
    assert [test.adjusted for test in tests] == [3 * 2 / 2**12, 2 * 2 / 2**6, 2 * 2 / 2**6]
    assert [test.significant for test in tests] == [True, False, False]
    three = [with_values(name, low) for name in gains]
    with_third = compare(runs_of(tmp_path / "more", one=one, two=two, three=three))
    assert next(line.cells[1].test.adjusted for line in with_third.lines if line.cells[1].test) == 6 * 2 / 2**12


def test_a_seed_gives_the_same_whatever_stands_beside(tmp_path: Path) -> None:
    rng, ids = random.Random(5), [f"q{number}" for number in range(60)]
    one, two = ([rng.randrange(100) for _ in ids] for _ in range(2))
    pair = {"one": [with_values("A", one, ids)], "two": [with_values("A", two, ids)]}
    alone = compare(runs_of(tmp_path / "a", **pair), seed=4)
    beside = compare(
        runs_of(tmp_path / "b", **{name: [made_task("0", 0.5), *its] for name, its in pair.items()}), seed=4
    )
    tests = [line_of(each, "A").cells[1].test for each in (alone, beside)]
    assert tests[0] is not None
    assert tests[0] == tests[1]


def test_the_seed_and_the_task_s_name_draw_the_signs_and_the_resamples(tmp_path: Path) -> None:
    """Each of the two, and each of both kinds of draws by itself: one fault must not hide another."""
    rng, ids = random.Random(5), [f"q{number}" for number in range(60)]
    one, two = ([rng.randrange(100) for _ in ids] for _ in range(2))
    runs = runs_of(
        tmp_path, **{name: [with_values(task, its, ids) for task in "AB"] for name, its in (("one", one), ("two", two))}
    )
    found = [line.cells[1].test for seed in (4, 5, 0) for line in compare(runs, seed=seed).lines]
    tests = [each.paired for each in found if each]
    assert len({each.p for each in tests}) == len({(each.low, each.high) for each in tests}) == 6
    assert compare(runs).seed == 0
    assert [line.cells[1].test for line in compare(runs).lines] == found[4:]


def test_a_p_value_that_is_the_level_is_significant(tmp_path: Path) -> None:
    """Of 18 queries signs are drawn: with this seed 999 of 19,999 patterns are as far from 0, and the observed one."""
    gains = [-1, 4, 19, -5, 2, 7, -7, 4, 2, 19, 7, -5, 7, 9, 16, -4, -4, 3]
    tasks = [
        with_values("A", numbers, [f"q{number}" for number in range(18)])
        for numbers in ([50] * 18, [50 + gain for gain in gains])
    ]
    test = line_of(compare(runs_of(tmp_path, one=tasks[:1], two=tasks[1:]), seed=56), "A").cells[1].test
    assert test is not None
    assert test.adjusted == 1_000 / 20_000
    assert test.significant


@pytest.mark.parametrize(
    ("before", "after", "tally"),
    [
        (0.1 + 0.2, 0.3, (0, 1, 0)),  # a little more than 0.3
        (0.3, 0.1 + 0.2, (0, 1, 0)),
        (0.0, 1e-9, (0, 1, 0)),  # the limit
        (1e-9, 0.0, (0, 1, 0)),
        (0.5, 0.50001, (1, 0, 0)),
        (0.50001, 0.5, (0, 0, 1)),
    ],
)
def test_scores_that_differ_by_rounding_alone_are_tied(
    tmp_path: Path, before: float, after: float, tally: tuple[int, int, int]
) -> None:
    found = compare(runs_of(tmp_path, one=[made_task("A", before)], two=[made_task("A", after)]))
    assert found.tallies == ((0, 0, 0), tally)


def test_tasks_without_values_are_said_to_be_untested(tmp_path: Path) -> None:
    runs = runs_of(
        tmp_path, one=[with_values("A", [1] * 12), made_task("B")], two=[made_task("A", 0.5), made_task("B")]
    )
    found = compare(runs)
    assert [line.cells[1].test for line in found.lines] == [None, None]
    text = printed(found)
    assert "org/two: not tested, no values per item in org/two: A" in text
    assert "org/two: not tested, no values per item in org/one and org/two: B" in text
    assert "Holm" not in text


def test_values_that_do_not_make_the_score_are_not_tested(tmp_path: Path) -> None:
    odd = made_task("A", 0.9, values={"ndcg_at_10": dict.fromkeys(_IDS, 0.1)})
    found = compare(runs_of(tmp_path, one=[with_values("A", [10] * 12)], two=[odd]))
    assert found.lines[0].cells[1].untested == "the scores are not the means of the values by query"


def test_partial_tasks_are_tested_on_the_shared_queries(tmp_path: Path) -> None:
    part = with_values("A", [50] * 8, _IDS[:8], status="partial")
    found = compare(runs_of(tmp_path, one=[with_values("A", list(range(12)))], two=[part]))
    test = found.lines[0].cells[1].test
    assert test is not None
    assert (test.queries, test.paired.queries, test.paired.better) == ((12, 8), 8, 8)
    assert "tested on queries 8 shared of 12 and 8: A" in printed(found)


# Refusals.


def test_one_run_only(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, one=[made_task()])
    assert refused(runs) == "org/one is one run only: name two runs or more to compare"


def test_nothing_in_common(tmp_path: Path) -> None:
    said = refused(runs_of(tmp_path, one=[made_task("A"), made_task("C")], two=[made_task("B")]))
    assert "the runs have no task in common (" in said
    assert " ran A, C; " in said
    assert said.endswith(" ran B): name runs of the same tasks")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (made_task(scores={"test": {"default": 0.5}}), "splits dev against test"),
        (made_task(scores={"dev": {"default": 0.5}, "test": {"default": 0.5}}), "splits dev against dev, test"),
        (made_task(scores={"dev": {"cleaned": 0.5}}), "subsets of dev default against cleaned"),
        (made_task(of={"main_score": "map"}), "main score ndcg_at_10 against map"),
        (made_task(data={"status": "unknown"}), "data: official data against not known to be the official data"),
        (with_values("A", [50] * 11, _IDS[1:]), "12 queries against 11, 11 of them shared"),
    ],
)
def test_what_differs_is_refused_unless_allowed(tmp_path: Path, changed: Any, said: str) -> None:
    runs = runs_of(tmp_path, one=[with_values("A", [50] * 12)], two=[changed])
    message = refused(runs)
    assert message.startswith("org/one and org/two differ in A: ")
    assert said in message
    assert message.endswith("use --allow-differences")
    allowed = compare(runs, allow_differences=True)
    assert said in allowed.differences[0]
    assert said in printed(allowed)
    assert allowed.lines[0].cells[1].delta == 0


def test_a_difference_of_any_two_runs_is_found(tmp_path: Path) -> None:
    one, two, three = [made_task("A")], [made_task("A"), made_task("B")], [made_task("A"), made_task("B", commit="c")]
    two[1][0].settings["data"].update(source="hub", commit="d")  # type: ignore[index]
    assert "org/two and org/three differ in B: data at commit d against c" in refused(
        runs_of(tmp_path, one=one, two=two, three=three)
    )


# Formats.


@pytest.fixture
def shown(tmp_path: Path) -> Comparison:
    """Two runs with one tested task, one untested, one missing, and odd names."""
    one = [with_values("A|b", [10] * 12), made_task("[red]B", 1 / 3), made_task("C")]
    return compare(runs_of(tmp_path, **{"<b>[bold]|:smile:": one, "two": [with_values("A|b", [20] * 12), *one[1:2]]}))


def test_names_that_look_like_markup_are_shown_as_they_are(shown: Comparison) -> None:
    text = printed(shown)
    assert "org/<b>[bold]|:smile:" in text
    assert "[red]B" in text
    assert "+10.00†" in text
    assert "33.33" in text


def test_markdown_has_as_many_cells_in_each_row(shown: Comparison) -> None:
    text = to_markdown(shown)
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.replace("\\|", "").count("|") for row in rows}) <= 1
    assert "| A\\|b | Retrieval | 10.00 | 20.00 | +10.00† |" in text
    assert "org/\\<b>\\[bold]\\|:smile:" in text


def test_markdown_keeps_a_name_on_one_line(tmp_path: Path) -> None:
    one, two = [made_task("A\n| x")], [made_task("A\n| x")]
    assert "| A�\\| x | Retrieval | 50.00 | 50.00 | +0.00 |" in to_markdown(
        compare(runs_of(tmp_path, one=one, two=two))
    )


def test_csv_has_a_row_for_each_task_and_run_in_full(shown: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(shown))))
    assert [(row["task"], row["model"], row["status"]) for row in rows[2:] if row["type"] != "average"] == [
        ("[red]B", "org/<b>[bold]|:smile:", "success"),
        ("[red]B", "org/two", "success"),
        ("C", "org/<b>[bold]|:smile:", "success"),
        ("C", "org/two", "missing"),
    ]
    assert float(rows[2]["score"]) == 1 / 3
    assert (rows[1]["p"], rows[1]["p_holm"], rows[1]["significant"]) == ("0.00048828125", "0.00048828125", "true")
    assert (rows[5]["score"], rows[5]["delta"]) == ("", "")


def test_csv_has_the_p_value_of_each_test_and_that_after_holm(tmp_path: Path) -> None:
    gains = {"A": [10] * 12, "B": [10] * 6 + [0] * 6}
    one = [with_values(name, [0] * 12) for name in gains]
    two = [with_values(name, high) for name, high in gains.items()]
    rows = csv.DictReader(io.StringIO(to_csv(compare(runs_of(tmp_path, one=one, two=two)))))
    found = [(float(row["p"]), float(row["p_holm"]), row["significant"]) for row in rows if row["p"]]
    # The last is the average, of 18 gains, none of whose 19,999 drawn patterns is as far; it is corrected by itself.
    assert found == [(2 / 2**12, 2 * 2 / 2**12, "true"), (2 / 2**6, 2 / 2**6, "true"), (1 / 20_000, 1 / 20_000, "true")]


def test_json_has_everything_in_full(shown: Comparison) -> None:
    found = json.loads(to_json(shown))
    assert [run["label"] for run in found["runs"]] == ["org/<b>[bold]|:smile:", "org/two"]
    assert found["runs"][1]["missing"] == ["C"]
    assert (found["runs"][1]["won"], found["runs"][1]["tied"], found["runs"][1]["lost"]) == (1, 1, 0)
    assert found["tasks"][1]["cells"][0]["score"] == 1 / 3
    test = found["tasks"][0]["cells"][1]["test"]
    assert (test["paired"]["p"], test["paired"]["permutations"], test["significant"]) == (2 / 2**12, 2**12, True)
    assert found["method"] | {"seed": 0, "correction": "Holm", "level": 0.95} == found["method"]


# Limits and columns.


@pytest.mark.parametrize("statuses", [("official", "differs"), ("differs", "official"), ("differs", "differs")])
def test_data_that_are_not_the_published_are_said_of_any_run(tmp_path: Path, statuses: tuple[str, str]) -> None:
    one, two = ([made_task("A", data={"status": status})] for status in statuses)
    found = compare(runs_of(tmp_path, one=one, two=two), allow_differences=True)
    assert found.lines[0].notes[-1] == "not the official data"


def test_only_tasks_that_are_asked_for_and_do_not_differ_are_tested(tmp_path: Path) -> None:
    one = [with_values(name, [10] * 12) for name in "AB"] + [with_values("C", [10] * 12, of={"dataset": "other"})]
    found = compare(
        runs_of(tmp_path, one=one, two=[with_values(name, [20] * 12) for name in "ABC"]),
        allow_differences=True,
        tests={"A", "C"},
    )
    assert [line.cells[1].test is not None for line in found.lines] == [True, False, False]
    assert [line.cells[1].untested for line in found.lines] == ["", "not asked for", "not asked for"]


@pytest.mark.parametrize(("off", "tested"), [(0.9e-5, True), (-0.9e-5, True), (1.1e-5, False), (-1.1e-5, False)])
def test_values_make_a_score_of_five_decimals(tmp_path: Path, off: float, tested: bool) -> None:
    kept = {"ndcg_at_10": dict.fromkeys(_IDS, 0.5)}
    two = made_task("A", 0.5 + off, values=kept)
    found = compare(runs_of(tmp_path, one=[made_task("A", 0.5, values=kept)], two=[two]))
    assert (found.lines[0].cells[1].test is not None) == tested


def test_the_columns_of_a_test(tmp_path: Path) -> None:
    """Two tasks, so that p and p by Holm are two numbers; one of a metric that is not called as the main score is."""
    ids = [f"q{number}" for number in range(8)]
    tasks = [
        [
            made_task("A", value, values={"official": dict.fromkeys(ids, value)}, of={"main_score": "accuracy"}),
            with_values("B", [10, 20, 30] * 4),
        ]
        for value in (0.5, 0.4)
    ]
    runs = runs_of(tmp_path, one=tasks[0], two=tasks[1])
    found = compare(runs)
    text = to_markdown(found)
    row = next(line for line in text.splitlines() if line.startswith("| A | official |"))
    assert row == "| A | official | 8 queries | 0 / 0 / 8 | -10.00 | -10.00 to -10.00 | 0.0078 | 0.0156 |"
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert (rows[1]["main_score"], rows[1]["metric"]) == ("accuracy", "official")
    assert [rows[1][name] for name in ("queries", "better", "same", "worse")] == ["8", "0", "0", "8"]


def test_an_interval_is_shown_from_its_lower_end_to_its_upper(tmp_path: Path) -> None:
    one, two = [0, 10, 20, 30, 40, 50] * 2, [30, 0, 25, 70, 30, 60] * 2
    found = compare(runs_of(tmp_path, one=[with_values("A", one)], two=[with_values("A", two)]))
    test = found.lines[0].cells[1].test
    assert test is not None
    assert test.paired.low < test.paired.high
    assert f"| {100 * test.paired.low:+.2f} to {100 * test.paired.high:+.2f} |" in to_markdown(found)


def test_a_part_that_is_significantly_other_has_no_mark_without_a_difference(tmp_path: Path) -> None:
    part = with_values("A", [90] * 8, _IDS[:8], status="partial")
    whole = with_values("A", [10] * 8 + [10] * 4)
    for one, two, queries in ((whole, part, "8 shared queries"), (part, whole, "8 shared queries")):
        found = compare(runs_of(tmp_path / one[0].status, one=[one], two=[two]))
        test = found.lines[0].cells[1].test
        assert test is not None
        assert test.significant
        text = to_markdown(found)
        assert "†" not in text.split("† significant")[0]
        assert f"| {queries} |" in text


def test_a_loss_that_rounds_to_nothing_has_no_minus(tmp_path: Path) -> None:
    found = compare(runs_of(tmp_path, one=[made_task("A", 0.5)], two=[made_task("A", 0.499999)]))
    assert "| A | Retrieval | 50.00 | 50.00 | +0.00 |" in to_markdown(found)


def test_data_that_certainly_differ_are_not_said_to_be_maybe_so(tmp_path: Path) -> None:
    """Nothing recorded tells whether the rows are the same; what is known is said once, and in one place."""
    unknown = {"status": "unknown"}
    one = made_task("A", 0.5, data=unknown)
    split = made_task("A", {"test": {"default": 0.5}}, data=unknown, commit="c1")
    other = compare(runs_of(tmp_path / "other", one=[one], two=[split]), allow_differences=True)
    same = compare(runs_of(tmp_path / "same", one=[one], two=[made_task("A", 0.5, data=unknown, commit="c1")]))
    said = "not known to be the official data"
    assert (len(other.differences), line_of(other, "A").notes) == (1, (said,))
    maybe, *others = line_of(same, "A").notes
    assert (same.differences, others) == ((), [said])
    assert "may be over different data" in maybe


@pytest.mark.parametrize("begins", ["=1+1", "+1", "-1", "@SUM(A1)", "＝1"])
def test_no_name_is_a_formula_in_a_spreadsheet(tmp_path: Path, begins: str) -> None:
    runs = runs_of(
        tmp_path, one=[with_values(begins, [0, 50, 0], list("abc"))], two=[with_values(begins, [0, 0, 0], list("abc"))]
    )
    named = [replace(run, label=f"{begins}{at}") for at, run in enumerate(runs)]
    first, second = csv.DictReader(io.StringIO(to_csv(compare(named))))
    assert (first["task"], first["run"], second["run"]) == (f"'{begins}", f"'{begins}0", f"'{begins}1")
    assert float(second["delta"]) == pytest.approx(-0.5 / 3)


def test_what_moves_a_cursor_is_not_in_a_csv_file(tmp_path: Path) -> None:
    runs = runs_of(
        tmp_path,
        one=[with_values("a\x1b[31m", [0, 0, 0], list("abc"))],
        two=[with_values("a\x1b[31m", [0, 0, 0], list("abc"))],
    )
    assert "a\N{REPLACEMENT CHARACTER}[31m" in to_csv(compare(runs))


def test_without_values_by_query_no_file_of_them_is_read(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, one=[with_values("A", [10] * 12)], two=[with_values("A", [20] * 12)])
    for path in tmp_path.rglob("per_query/A.json"):
        path.write_text("{", encoding="utf-8")
    (cell,) = side_by_side(runs, by_query=False).lines[0].cells[1:]
    assert (cell.delta, cell.test, cell.untested) == (pytest.approx(0.1), None, "not asked for")
    with pytest.raises(BadInput, match="evaluate A again"):
        side_by_side(runs)
    # A run alone has nothing to be tested against.
    (line,) = side_by_side(runs[:1]).lines
    assert [cell.score for cell in line.cells] == [0.1]


def test_runs_that_share_no_task_stand_side_by_side_all_the_same(tmp_path: Path) -> None:
    found = side_by_side(runs_of(tmp_path, one=[made_task("A", 0.25)], two=[made_task("B", 0.5)]))
    assert [[cell.status for cell in line.cells] for line in found.lines] == [
        ["success", "missing"],
        ["missing", "success"],
    ]
    assert (found.missing, found.tallies) == ((("B",), ("A",)), ((0, 0, 0), (0, 0, 0)))
