"""Write tasks.toml from the tables of the official air-benchmark package: ``python airbench/make_tasks.py``.

The package is needed for this only; its dependencies are datasets and pytrec_eval.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_HEAD = """\
# The datasets of AIR-Bench 24.04 and 24.05. Made by make_tasks.py, beside this file, from the tables of air-benchmark
# 0.1.0; not written by hand. Token counts are averages; labels are judged pairs of a query and a passage.
"""


def text() -> str:
    """The whole of tasks.toml.

    Raises:
        ImportError: air-benchmark is not installed.
    """
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    """A TOML table for each dataset: versions from the oldest, and within one in the order of the package."""
    benchmarks: Mapping[str, Any] = importlib.import_module("air_benchmark.tasks").BenchmarkTable
    for version in sorted(benchmarks):
        for task_type, domains in benchmarks[version].items():
            for domain, languages in domains.items():
                for language, named in languages.items():
                    for name, table in named.items():
                        key = {
                            "version": version.removeprefix("AIR-Bench_"),
                            "type": task_type,
                            "domain": domain,
                            "language": language,
                            "name": name,
                        }
                        yield _table({**key, **_numbers(table)})


def _numbers(table: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a dataset that are kept."""
    size, tokens, labels = table["size"], table["token_num"], table["labels"]
    splits = table["splits"]
    return {
        "splits": list(splits),
        "passages": size["corpus"],
        "queries": {split: size["queries"][split] for split in splits},
        "labels": {split: labels[split]["total_num"] for split in splits},
        "positives": {split: labels[split]["pos_num"] for split in splits},
        "passage_tokens": tokens["corpus"]["avg_token_num"],
        "query_tokens": {split: tokens["queries"][split]["avg_token_num"] for split in splits},
    }


def _table(row: Mapping[str, Any]) -> str:
    return "[[dataset]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in row.items())


def _value(value: Any) -> str:
    """A value as TOML: a number, a string, or a list or table of these."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'


if __name__ == "__main__":
    Path(__file__).with_name("tasks.toml").write_text(text(), encoding="utf-8")
