"""A verification whole: every cell, line and key of it, and each guess at its limits."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from flagbench.results.published.scores import Published
from flagbench.results.published.verify import remarks, render, verify
from tests.unit.results.published.test_verify import SETTINGS, TABLE, against, compared, run_of, task


def test_the_table_its_lines_and_its_dictionary_whole() -> None:
    both = {"test": {"default": 0.505}, "dev": {"default": 0.1}}
    tasks = (
        task("S1", 0.5),
        task("S2", 0.49),
        task("S3", None, scores=both),
        task("R1", None, status="error", error="[red]no[/red] disk"),
        task("C1", 0.75),
    )
    result = verify(
        run_of(*tasks), against(dict.fromkeys(("S1", "S2", "S3", "R1", "R2"), 0.5), "mteb 1.1.0"), TABLE, near=0.006
    )
    table = render(result)
    assert table.title == "me/mine against the published scores of o/model"
    assert [(column.header, column.justify) for column in table.columns] == [
        *(("task", "left"), ("type", "left"), ("run", "right"), ("published", "right"), ("difference", "right")),
        *(("verdict", "left"), ("note", "left")),
    ]
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    rows = [line.split("│")[1:-1] for line in console.file.getvalue().splitlines() if line.startswith("│")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["R1", "Retrieval", "", "50.000", "", "FAIL", "failed: [red]no[/red] disk"],
        ["R2", "Retrieval", "", "50.000", "", "missing", "not in the run"],
        ["S1", "STS", "50.000", "50.000", "+0.000", "OK", ""],
        ["S2", "STS", "49.000", "50.000", "-1.000", "FAIL", ""],
        ["S3", "STS", "50.500", "50.000", "+0.500", "near", "only test is published"],
        ["C1", "Classification", "75.000", "", "", "not judged", "no score is published"],
    ]
    styles = [str(cell) for cell in table.columns[5].cells]
    assert styles[0] == "[bold red]FAIL[/]"
    assert styles[1:3] == ["[bold red]missing[/]", "[green]OK[/]"]
    assert styles[4:] == ["[yellow]near[/]", "not judged"]
    assert remarks(result) == [
        "NOT reproduced: 1 OK, 1 near, 2 FAIL, 1 missing, 1 not judged (OK within 0.05 points, near within 0.6)",
        "published: a small table, revision abc, by mteb 1.1.0",
        _NONE,
    ]
    parts = ("task", "kind", "verdict", "ours", "published", "note", "difference")
    values = (
        ("R1", "Retrieval", "FAIL", None, 0.5, "failed: [red]no[/red] disk", None),
        ("R2", "Retrieval", "missing", None, 0.5, "not in the run", None),
        ("S1", "STS", "OK", 0.5, 0.5, "", 0.0),
        ("S2", "STS", "FAIL", 0.49, 0.5, "", -0.01),
        ("S3", "STS", "near", 0.505, 0.5, "only test is published", 0.005),
        ("C1", "Classification", "not judged", 0.75, None, "no score is published", None),
    )
    assert result.as_dict() == {
        "model": "me/mine",
        "against": "o/model",
        "published_revision": "abc",
        "source": "a small table",
        "tolerance": 0.0005,
        "near": 0.006,
        "passed": False,
        "counts": {"OK": 1, "near": 1, "FAIL": 2, "missing": 1, "not judged": 1},
        "tasks": [dict(zip(parts, its, strict=True)) for its in values],
        "hints": [_NONE],
    }


def test_a_run_that_reproduces_says_so_and_what_it_does_not_know() -> None:
    scores = Published("o/model", "", "", {"S1": {"test": 0.5}})
    assert remarks(verify(run_of(task("S1", 0.5)), scores, TABLE)) == [
        "reproduced: 1 OK (OK within 0.05 points, near within 0.5)",
        "published: a small table, revision unknown",
    ]


_INSTRUCTION = (
    "guess: only retrieval and reranking are off: the query instruction may be another; "
    "the run's is query '为这个句子：', passage '' (--query-instruction)"
)
_FITTED = (
    "guess: only classification and clustering are off, by little: they draw samples and fit, "
    "which versions of mteb and scikit-learn do not do alike"
)
_LITTLE = (
    "guess: nearly all tasks are off by a little: the length of texts or the precision may be another; the run's: "
    "query_max_length 512, passage_max_length 512, dtype 'fp16' (--max-length, --dtype)"
)
_FAR = (
    "guess: nearly all tasks are far off: the pooling, the normalisation or the weights may be others; the run's: "
    "pooling 'cls', normalize True (--pooling, --normalize, --revision)"
)
_DOUBT = "guess: mteb 1.2 made the published scores: it took the average precision in another way"
_NONE = "guess: no usual pattern; compare the settings in run.json with those that the model's card states"
_RERANKS = "first: the run re-ranks with a second model, which the published scores may not; evaluate without it"


@pytest.mark.parametrize(
    ("off", "hints"),
    [
        ({"R1": 0.006, "K1": -0.3, "S1": 0.0005}, [_INSTRUCTION]),
        ({"R1": 0.006, "K1": 0.0}, [_NONE]),  # nothing but ranking to tell it from
        ({"R1": 0.006, "S1": 0.006, "S2": 0.0}, [_NONE]),
        ({"C1": 0.02, "S1": 0.0}, [_FITTED]),  # the limit
        ({"C1": 0.0201, "S1": 0.0}, [_NONE]),
        ({"C1": -0.0201, "S1": 0.0}, [_NONE]),
        ({"C1": 0.01, "C2": 0.0}, [_NONE]),
        ({"C1": 0.01, "R1": 0.01, "S1": 0.0}, [_NONE]),
        ({"R1": 0.02, "S1": -0.02, "S2": 0.001, "C1": 0.001, "C2": 0.0}, [_LITTLE]),  # 4 of 5
        ({"R1": 0.02, "S1": -0.02, "S2": 0.001, "C1": 0.0, "C2": 0.0}, [_NONE]),  # 3 of 5
        ({"R1": 0.02, "S1": 0.02}, [_NONE]),  # two are not many
        ({"S1": 0.02, "S2": 0.02, "S3": 0.02}, [_NONE]),  # of one type
        ({"R1": 0.021, "S1": -0.02, "S2": 0.02}, [_NONE]),  # neither little nor far
        ({"R1": 0.0501, "S1": -0.0501, "S2": 0.001}, [_FAR]),
        ({"R1": 0.05, "S1": -0.05, "S2": 0.05}, [_NONE]),
        ({"R1": 0.3, "S1": 0.01, "S2": 0.01}, [_NONE]),  # half are beyond, and not one
        ({"K1": 0.01, "S1": 0.0}, [_INSTRUCTION, _DOUBT]),
        ({"K1": 0.0005, "S1": 0.0005}, []),
    ],
)
def test_a_guess_is_made_of_the_pattern_and_of_nothing_near_it(off: dict[str, float], hints: list[str]) -> None:
    assert list(compared(off, "mteb 1.2").hints) == hints


def test_what_comes_first_stands_before_the_guesses() -> None:
    verification = compared({"R1": 0.02, "S1": 0.0}, settings={**SETTINGS, "reranker": {"name": "o/r"}})
    assert list(verification.hints) == [_RERANKS, _INSTRUCTION]
