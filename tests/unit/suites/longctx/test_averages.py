"""Means against published ones that were made of published scores."""

from __future__ import annotations

from statistics import fmean

import pytest

from flagbench.results.averages import average, weights
from flagbench.suites.longctx.averages import averages
from flagbench.suites.longctx.registry import rows

NAMES = [row.name for row in rows()]
LONGBENCH = [row.name for row in rows() if row.group == "longbench"]

# By task, https://github.com/THUDM/LongBench at 2e00731, LongBench/README.md: one decimal.
LLAMA2_7B_CHAT_4K = {
    "narrativeqa": 18.7, "qasper": 19.2, "multifieldqa_en": 36.8, "multifieldqa_zh": 11.9,
    "hotpotqa": 25.4, "2wikimqa": 32.8, "musique": 9.4, "dureader": 5.2,
    "gov_report": 27.3, "qmsum": 20.8, "multi_news": 25.8, "vcsum": 0.2,
    "trec": 61.5, "triviaqa": 77.8, "samsum": 40.7, "lsht": 19.8,
    "passage_count": 2.1, "passage_retrieval_en": 9.8, "passage_retrieval_zh": 0.5,
    "lcc": 52.4, "repobench-p": 43.8,
}  # fmt: skip
MEANS_OF_ITS_README = {
    "LongBench English categories": 31.0,
    "LongBench EN Single-Doc QA": 24.9,
    "LongBench EN Multi-Doc QA": 22.6,
    "LongBench EN Summarization": 24.7,
    "LongBench EN Few-Shot Learning": 60.0,
    "LongBench Code Completion": 48.1,
    "LongBench EN Synthetic Task": 5.9,
    "LongBench Chinese categories": 14.3,
    "LongBench CN Single-Doc QA": 11.9,
    "LongBench CN Synthetic Task": 0.5,
}


@pytest.mark.parametrize(("label", "published"), MEANS_OF_ITS_README.items())
def test_the_readme_of_longbench(label: str, published: float) -> None:
    scores = {f"LongBench-{task}": value for task, value in LLAMA2_7B_CHAT_4K.items()}
    found = average(weights(averages(LONGBENCH), label), scores)
    assert found == pytest.approx(published, abs=0.1)  # both are rounded


# Categories of https://huggingface.co/namespace-Pt/Llama-3-8B-Instruct-80K-QLoRA, and their mean over 16 tasks.
CARD = {
    "Meta-Llama-3-8B-Instruct": ((37.33, 36.04, 26.83, 69.56, 37.75, 53.24), 43.20),
    "Llama-3-8B-Instruct-80K-QLoRA": ((43.57, 43.07, 28.93, 69.15, 48.50, 51.95), 47.19),
}
ORDER = (
    "EN Single-Doc QA",
    "EN Multi-Doc QA",
    "EN Summarization",
    "EN Few-Shot Learning",
    "EN Synthetic Task",
    "Code Completion",
)


@pytest.mark.parametrize("model", CARD)
def test_the_16_tasks_of_the_model_card(model: str) -> None:
    categories, published = CARD[model]
    means = averages(LONGBENCH)
    scores = {
        task: value
        for category, value in zip(ORDER, categories, strict=True)
        for task in means[f"LongBench {category}"]
    }
    assert len(means["LongBench 16 tasks"]) == 16
    assert average(weights(means, "LongBench 16 tasks"), scores) == pytest.approx(published, abs=0.01)
    # The mean over categories is another.
    assert fmean(categories) != pytest.approx(published, abs=0.1)


def test_the_default_tasks_of_flagembedding() -> None:
    parts = {row.name: row.part for row in rows()}
    means = averages(NAMES)
    assert [parts[each] for each in means["LongBench 14 tasks"]] == [
        "narrativeqa", "qasper", "multifieldqa_en", "hotpotqa", "2wikimqa", "musique", "gov_report", "qmsum",
        "multi_news", "trec", "triviaqa", "samsum", "lcc", "repobench-p",
    ]  # fmt: skip
    assert [parts[each] for each in means["InfiniteBench 2 tasks"]] == ["longbook_qa_eng", "longbook_sum_eng"]
    assert len(means["LongBench 21 tasks"]) == 21
    assert len(means["InfiniteBench 12 tasks"]) == 12


def test_means_need_all_their_tasks() -> None:
    assert averages([]) == {}
    english = [name for name in LONGBENCH if name != "LongBench-lsht"]
    found = averages(english)
    assert "LongBench English categories" in found
    assert not {"LongBench Chinese categories", "LongBench CN Few-Shot Learning", "LongBench 21 tasks"} & found.keys()
    # One that is over means is never there without them.
    every = averages(NAMES)
    assert all(each in every or each in NAMES for its in every.values() for each in its)
