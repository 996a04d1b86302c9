"""The published scores that ship, against the means that their pages have beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench.results.averages import average, weights
from flagbench.suites.longctx.averages import averages
from flagbench.suites.longctx.published.make_tables import infinitebench, longbench, text
from flagbench.suites.longctx.published.table import table_of
from flagbench.suites.longctx.registry import rows

LONGBENCH = [row.name for row in rows() if row.group == "longbench"]

# "Avg" of the two tables by language of LongBench's README, over six categories.
MEANS = {
    "openai/gpt-3.5-turbo-16k": (44.0, 44.5),
    "meta-llama/Llama-2-7b-chat-hf": (31.0, 14.3),
    "lmsys/longchat-7b-v1.5-32k": (34.3, 23.9),
    "Salesforce/xgen-7b-8k-inst": (28.3, 15.1),
    "internlm/internlm-chat-7b-8k": (24.2, 18.3),
    "THUDM/chatglm2-6b-32k": (40.9, 41.7),
    "lmsys/vicuna-7b-v1.5-16k": (31.9, 26.4),
    "THUDM/chatglm3-6b-32k": (48.5, 52.8),
}


@pytest.mark.parametrize("model", MEANS)
def test_means_of_the_page_follow_from_its_scores(model: str) -> None:
    table = table_of(LONGBENCH)
    assert table is not None
    assert set(table.models) == set(MEANS)
    scores = {task: 100 * its["official"] for task, its in table.models[model].scores.items()}
    means = averages(LONGBENCH)
    for language, published in zip(("English", "Chinese"), MEANS[model], strict=True):
        found = average(weights(means, f"LongBench {language} categories"), scores)
        assert found == pytest.approx(published, abs=0.11), language  # all of them are rounded


def test_the_table_is_that_of_the_benchmark_with_more_tasks() -> None:
    table = table_of(["InfiniteBench-passkey", "InfiniteBench-math_calc", "LongBench-lcc", "no task"])
    assert table is not None
    assert (table.title, len(table.kinds), len(table.models)) == ("InfiniteBench", 12, 7)
    assert table.models["NousResearch/Yarn-Mistral-7b-128k"].scores["InfiniteBench-passkey"] == {"official": 0.9271}
    assert not table.is_published("InfiniteBench-math_calc")  # of all models below 5 percent
    assert table.metrics["InfiniteBench-passkey"] == "accuracy"
    assert table_of(["LongBench-E-lcc"]) is None


def test_cells_of_infinitebench(shared_data: Path) -> None:
    names = {
        "gpt4": "openai/gpt-4-1106-preview",
        "yarn-mistral": "NousResearch/Yarn-Mistral-7b-128k",
        "claude2": "anthropic/claude-2",
        "yi-34b-200k": "01-ai/Yi-34B-200K",
        "chatglm3": "THUDM/chatglm3-6b-128k",
    }
    table = table_of(["InfiniteBench-passkey"])
    assert table is not None
    lines = (shared_data.parent / "published" / "infinitebench_results.csv").read_text(encoding="utf-8").split("\n")
    for line in filter(None, lines[1:]):
        task, model, _, _, cell = line.split(",")[:5]
        found = table.models[names[model]].scores.get(f"InfiniteBench-{task}")
        assert found == ({"official": pytest.approx(float(cell) / 100)} if cell else None), line


def test_pages_are_read_as_they_are_written() -> None:
    page = (
        "| | Avg | A |\n|-|-|-|\n| GPT-3.5-Turbo-16k | 1 | 2 |\n\n## Evaluation Result on Each Dataset\n\n#### Code\n"
        "| | LCC | RepoBench-P |\n|-|:-:|:-:|\n| GPT-3.5-Turbo-16k | 54.7 | 5.0 |\n"
    )
    assert longbench(page) == {"openai/gpt-3.5-turbo-16k": {"lcc": "0.547", "repobench-p": "0.05"}}
    page = (
        "| Task | Context |\n|-|-|\n| a | b |\n\n| Task Name | GPT-4 | Claude 2 |\n|-|-|-|\n| En.QA | 22.44% | < 5% |\n"
    )
    found = infinitebench(page)
    assert found["anthropic/claude-2"] == {"longbook_qa_eng": ""}
    whole = {
        model: {row.part: "1" for row in rows() if row.group == "infinitebench"} | its for model, its in found.items()
    }
    lines = text("InfiniteBench", "README", "infinitebench", whole).split("\n")
    assert lines[6].startswith("openai/gpt-4-1106-preview,,,1,1,1,1,1,0.2244,1")
