"""RULER's own files: what its evaluate.py reads, and the tables that it writes."""

from __future__ import annotations

import csv
import io
import json

from flagbench.suites.longctx.ruler.scores import ALL, PART
from flagbench.suites.longctx.ruler.submission import by_length, predictions, submission, summary
from flagbench.suites.longctx.sample import Answer


def _answer(length: int, number: int, text: str, *references: str) -> Answer:
    facts = {"number": number, "tokens": length - 5}
    return Answer(f"{length}/{number}", str(length), references, facts=facts, text=text)


ANSWERS = [
    _answer(8192, 0, "a b", "a", "b"),
    _answer(4096, 10, "", "a", "b", "c"),
    _answer(4096, 2, "\u2028a\x07, c", "a", "b", "c"),
    _answer(4096, 1, "C", "a", "b", "c"),
]


def test_answers_are_sorted_by_length_and_number() -> None:
    found = by_length(ANSWERS)
    assert list(found) == [4096, 8192]
    assert [answer.facts["number"] for answer in found[4096]] == [1, 2, 10]


def test_predictions_have_the_keys_that_evaluate_reads() -> None:
    lines = predictions(by_length(ANSWERS)[4096]).strip().split("\n")
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 3
    for row in rows:
        assert {"input", "pred", "outputs", "others", "index"} <= row.keys()  # evaluate.py, get_pred_and_ref
        assert row["others"].get("id", row["index"]) == row["index"]
    assert rows[1] == {
        "index": 2,
        "pred": "\u2028a\x07, c",
        "input": "",
        "outputs": ["a", "b", "c"],
        "others": {},
        "truncation": -1,
        "length": 4091,
    }


def test_the_summary_is_the_table_that_pandas_writes() -> None:
    four = by_length(ANSWERS)[4096]
    name, text = summary({"vt": (ALL, four), "qa_1": (PART, four)})
    assert name == "summary.csv"
    # pandas.DataFrame([["Tasks", …], ["Score", …], ["Nulls", …]]).to_csv(index=False)
    assert text == "0,1,2\nTasks,vt,qa_1\nScore,33.33,66.67\nNulls,1/3,1/3\n"
    assert summary({"vt": (ALL, by_length(ANSWERS)[8192])}) == (
        "summary-vt.csv",
        "0,1\nTasks,vt\nScore,100.0\nNulls,0/1\n",
    )


def test_the_submission_has_all_answers_as_they_are_scored() -> None:
    rows = list(csv.reader(io.StringIO(submission({"vt": by_length(ANSWERS)[4096]}))))
    assert rows == [["Task", "ID", "Prediction"], ["vt", "1", "C"], ["vt", "2", "a\n, c"], ["vt", "10", ""]]
