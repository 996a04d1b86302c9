"""Scores as they are printed: rounded before or after means, by protocol."""

from __future__ import annotations

from flagbench.suites.longctx.printed import published_tables


def _one(value: float) -> dict[str, float]:
    return {"default": value}


def test_flagembedding_takes_means_of_rounded_scores() -> None:
    # 12.345 and 12.355 percent, which floats round to 12.34 (the nearest below) and 12.36 (above).
    scores = {"LongBench-qasper": _one(0.123449), "LongBench-narrativeqa": _one(0.123449), "LongBench-lcc": _one(0.5)}
    (table,) = published_tables("flagembedding", scores)
    assert table.title == "LongBench, flagembedding, means of rounded scores"
    assert list(map(list, table.rows)) == [
        ["qasper", "12.34"],
        ["narrativeqa", "12.34"],
        ["lcc", "50.0"],
        ["EN Single-Doc QA", "12.34"],
        ["Code Completion", "50.0"],
        ["avg", "24.89"],  # (12.34 + 12.34 + 50) / 3 = 24.893; of what is not rounded it were 24.897
    ]


def test_the_authors_of_longbench_have_one_decimal() -> None:
    scores = {f"LongBench-{task}": _one(value) for task, value in (("lcc", 0.524), ("repobench-p", 0.4386))}
    (table,) = published_tables("official", scores)
    assert list(map(list, table.rows)) == [
        ["lcc", "52.4"],
        ["repobench-p", "43.86"],
        ["English Code Completion", "48.1"],
        ["Chinese Code Completion", "48.1"],
    ]


def test_buckets() -> None:
    (table,) = published_tables("official", {"LongBench-E-lcc": {"0-4k": 0.5, "8k+": 0.25}})
    assert list(table.headings) == ["task", "0-4k", "4-8k", "8k+"]
    assert list(map(list, table.rows)) == [["lcc", "50.0", "nan", "25.0"]]


def test_infinitebench_in_shares_and_percent() -> None:
    scores = {"InfiniteBench-passkey": _one(0.92711864), "InfiniteBench-longbook_qa_eng": _one(0.0955)}
    share, percent = (published_tables(protocol, scores)[0] for protocol in ("qlora", "official"))
    assert list(map(list, share.rows)) == [["passkey", "0.9271"], ["longbook_qa_eng", "0.0955"], ["avg", "0.5113"]]
    assert list(map(list, percent.rows)) == [["passkey", "92.71%"], ["longbook_qa_eng", "9.55%"]]


def test_one_table_for_each_benchmark_and_none_for_others() -> None:
    scores = {"LongBench-lcc": _one(1), "LongBench-E-lcc": {"8k+": 1.0}, "InfiniteBench-passkey": _one(1)}
    assert [each.title for each in published_tables("official", scores)] == [
        "LongBench, official",
        "LongBench-E, official",
        "InfiniteBench, official",
    ]
    assert not published_tables("official", {})
