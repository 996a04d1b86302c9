"""Leaks that are planted among other rows: found with their kinds, and nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from flagbench.runners.leaks import find as find_module
from flagbench.runners.leaks import long_texts
from flagbench.runners.leaks.find import Found, find
from flagbench.runners.leaks.near import NearDuplicates
from flagbench.runners.leaks.report import examples, leaks, remarks, shares
from flagbench.runners.leaks.training import training_files
from flagbench.runners.progress import Silent
from tests.unit.runners.leaks import naive

pytest.importorskip("rensa")

MARKS = str.maketrans({"，": ",", "。": ".", "？": "?", "：": ":", "！": "!"})


def sentence(draw: random.Random, signs: int) -> str:
    """Of characters at random, with a mark after every eighth."""
    made = "".join(chr(draw.randrange(0x4E00, 0x9FA5)) for _ in range(signs))
    return "".join(made[at : at + 8] + draw.choice("，。？：") for at in range(0, signs, 8))


def reworded(text: str) -> str:
    """By a rule: a particle at the beginning, and another last word."""
    return f"那么{text[:-4]}这样"


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = [
        {"query": query, "pos": [positive], "neg": ["无关的负例"], "pos_scores": [0.5]} for query, positive in rows
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """200 pairs of a task: 30 each are there as they are, with other marks, reworded, swapped; among 1,000 others."""
    draw = random.Random(6)
    queries, passages = [sentence(draw, 30) for _ in range(200)], [sentence(draw, 120) for _ in range(400)]
    rows = [(sentence(draw, 30), sentence(draw, 120)) for _ in range(1_000)]
    rows += [(queries[at], passages[at]) for at in range(30)]
    rows += [(queries[at].translate(MARKS), f" {passages[at].translate(MARKS)}") for at in range(30, 60)]
    rows += [(reworded(queries[at]), reworded(passages[at])) for at in range(60, 90)]
    rows += [(passages[at], queries[at]) for at in range(90, 120)]
    rows += [(queries[at], passages[at + 200]) for at in range(120, 150)]  # both are there, and no pair
    draw.shuffle(rows)
    collected = naive.retrieval(queries, passages, [(at, at) for at in range(200)])
    files = training_files([write(tmp_path_factory.mktemp("planted") / "train.jsonl", rows)])
    return find(collected, files, NearDuplicates(collected, 0.7), None, Silent())


def ids(found: Found, role: str, kind: str) -> set[int]:
    return {int(leak.id.split()[0][1:]) for leak in leaks(found) if leak.part.role == role and leak.kind == kind}


@pytest.mark.parametrize(
    ("role", "kind", "wanted"),
    [
        ("queries", "exact", {*range(60), *range(90, 150)}),
        ("queries", "near", {*range(60, 90)}),
        ("passages", "exact", {*range(60), *range(90, 120), *range(320, 350)}),
        ("passages", "near", {*range(60, 90)}),
        ("pairs", "exact", {*range(60), *range(90, 120)}),
        ("pairs", "near", {*range(60, 90)}),
    ],
)
def test_precision_and_recall_are_one(planted: Found, role: str, kind: str, wanted: set[int]) -> None:
    assert ids(planted, role, kind) == wanted


def test_swapped_pairs_are_said_to_be(planted: Found) -> None:
    swapped = {int(leak.id.split()[0][1:]) for leak in leaks(planted) if leak.swapped}
    assert swapped == {*range(90, 120)}


def test_an_example_of_a_pair_has_both_of_its_texts(planted: Found) -> None:
    rows = planted.files[0].rows.path.read_text(encoding="utf-8").splitlines()
    exact = {f"pairs {leak.id} (exact": leak for leak in leaks(planted) if leak.pair and leak.kind == "exact"}
    lines = list(examples(planted, 60))
    seen = 0
    for at, line in enumerate(lines):
        if leak := next((leak for said, leak in exact.items() if said in line), None):
            shown = {naive.compared(each.removeprefix("  test      ")) for each in lines[at + 1 : at + 3]}
            row = json.loads(rows[leak.place.row - 1])
            assert shown == {naive.compared(row["query"]), naive.compared(row["pos"][0])}
            seen += 1
    assert seen
    assert "30 pairs of these stand the other way round in the training data" in remarks(planted, shares(planted))


def test_a_named_column_that_no_row_has_is_warned_of(tmp_path: Path) -> None:
    path = write(tmp_path / "train.jsonl", [("问题一", "回答一"), ("问题二", "回答二")])
    collected = naive.retrieval(["问题一"], ["回答一"], [(0, 0)])
    said = {}
    for columns in ((), ("query", "pos"), ("qurey", "pos"), ("query", "pos", "ngeative")):
        found = find(collected, training_files([path], columns), None, None, Silent())
        said[columns] = [line for line in remarks(found, shares(found)) if "warning" in line]
    assert not said[()] + said["query", "pos"]
    (pair,), (alone,) = said["qurey", "pos"], said["query", "pos", "ngeative"]
    assert "has a text in qurey, so that no pair of it was looked for: it has query, pos, neg, pos_scores;" in pair
    assert "has a text in ngeative: it has" in alone


def test_a_row_of_many_texts_that_are_like_many_is_the_same_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = random.Random(8)
    base = sentence(draw, 24)
    queries = [f"{base[:at]}{sentence(draw, 1)[0]}{base[at + 1 :]}" for at in range(20)]
    positives = [draw.choice(queries)[: draw.randrange(18, 24)] for _ in range(60)] + queries[:5]
    row = {"query": queries[3], "pos": positives, "neg": [base]}
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(row) + "\n" + json.dumps({"query": base, "pos": [queries[7]]}), encoding="utf-8")
    collected = naive.retrieval(queries, [*queries[::-1]], [(at, at) for at in range(20)])
    seen = []
    for texts in (4096, 6):
        monkeypatch.setattr(find_module, "TEXTS_AT_ONCE", texts)
        monkeypatch.setattr(long_texts, "TEXTS_AT_ONCE", texts)
        found = find(collected, training_files([path]), NearDuplicates(collected, 0.5), None, Silent())
        ledger = found.ledger
        kept = [(each.kinds.tolist(), each.similarities.tolist()) for each in (ledger.texts, ledger.pairs)]
        places = [each.place(at) for each in (ledger.texts, ledger.pairs) for at in range(len(each.kinds))]
        seen.append((kept, places, [its.tolist() for its in ledger.leaking(0)]))
    assert seen[0] == seen[1]
    assert sum(map(bool, seen[0][0][1][0])) >= 5


def test_shares(planted: Found) -> None:
    counts = {row.role: (row.items, row.exact, row.near, row.swapped) for row in shares(planted)}
    assert counts == {"queries": (200, 120, 30, 0), "passages": (400, 120, 30, 0), "pairs": (200, 90, 30, 30)}


def test_place_of_a_leak_is_a_line_of_the_file(planted: Found) -> None:
    lines = planted.files[0].rows.path.read_text(encoding="utf-8").splitlines()
    for leak in leaks(planted):
        if leak.kind == "exact" and leak.number >= 0:
            text = planted.collected.texts[int(planted.collected.first[leak.number])]
            row = json.loads(lines[leak.place.row - 1])
            there = [row["query"]] if leak.place.column == 0 else row["pos"]
            assert naive.compared(text) in [naive.compared(each) for each in there]


def test_near_ones_show_what_they_are_like(planted: Found) -> None:
    near = [leak for leak in leaks(planted) if leak.kind == "near" and leak.number >= 0]
    shown = [planted.ledger.training_text(leak.number) for leak in near]
    assert len(shown) == 60
    assert all(text and text.startswith("那么") for text in shown)
