"""The published scores that ship, against the means that their pages have beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from flagbench.results.averages import average, weights
from flagbench.results.published.means import KIND, with_means
from flagbench.results.published.standing import rank
from flagbench.results.published.verify import verify
from flagbench.results.record import RunRecord
from flagbench.suites.longctx.averages import averages
from flagbench.suites.longctx.published.make_tables import infinitebench, longbench, text
from flagbench.suites.longctx.published.table import table_for, table_of
from flagbench.suites.longctx.registry import row_of, rows
from tests.unit.results.test_runs import made_task

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


def _run(names: list[str], protocol: str, scores: Mapping[str, float], subsets: tuple[str, ...] = ()) -> RunRecord:
    """A run of tasks by the rules of a protocol, over official data."""
    tasks = {}
    for name in names:
        by_subset = dict.fromkeys(subsets or ("default",), scores[name])
        of = {"main_score": row_of(name).main_score}
        tasks[name], _ = made_task(name, {protocol: by_subset}, kind=row_of(name).kind, of=of)
    return RunRecord("longctx", "o/mine", "r", {}, (), {}, tasks)


SIXTEEN = list(averages(LONGBENCH)["LongBench 16 tasks"])


def test_the_table_is_by_the_rules_of_the_run() -> None:
    for protocol, title, models in (
        ("official", "LongBench", 8),
        ("qlora", "LongBench (80K-QLoRA)", 3),
        ("flagembedding", "LongBench (Activation Beacon)", 3),
    ):
        table = table_for(_run(SIXTEEN, protocol, dict.fromkeys(SIXTEEN, 0.5)))
        assert table is not None
        assert (table.title, len(table.models)) == (title, models)
    qa = ["InfiniteBench-longbook_qa_eng"]
    table = table_for(_run(qa, "qlora", {qa[0]: 0.07}))
    assert table is not None
    assert table.models["meta-llama/Meta-Llama-3-8B-Instruct"].scores[qa[0]] == {"qlora": 0.07}
    assert table_for(RunRecord("longctx", "o/m", "r", {}, (), {}, {})) is None


# Of each category so many tasks are among the 16, by which the card's average follows from its categories.
@pytest.mark.parametrize("model", ["meta-llama/Meta-Llama-3-8B-Instruct", "gradientai/Llama-3-8B-Instruct-262k"])
def test_average_of_the_card_follows_from_its_categories(model: str) -> None:
    table = table_for(_run(SIXTEEN, "qlora", dict.fromkeys(SIXTEEN, 0.5)))
    assert table is not None
    scores = {label: its["qlora"] for label, its in table.models[model].scores.items()}
    whole = scores.pop("LongBench 16 tasks")
    counts = {label: len(table.means[label].weights) for label in scores}
    assert sum(counts.values()) == 16
    found = sum(count * scores[label] for label, count in counts.items()) / 16
    assert found == pytest.approx(whole, abs=0.00011)


def test_a_run_is_verified_against_means_and_ranked_by_them() -> None:
    table = table_for(_run(SIXTEEN, "qlora", dict.fromkeys(SIXTEEN, 0.5)))
    assert table is not None
    card = table.models["namespace-Pt/Llama-3-8B-Instruct-80K-QLoRA"]
    by_task = {
        name: card.scores[label]["qlora"]
        for label, mean in table.means.items()
        if label != "LongBench 16 tasks"
        for name in mean.weights
    }
    record = with_means(_run(SIXTEEN, "qlora", by_task), table)
    verification = verify(record, card, table)
    assert verification.passed
    assert {each.task: each.verdict for each in verification.tasks if each.kind == KIND} == dict.fromkeys(
        table.kinds, "OK"
    )
    ranking = rank(record, table)
    assert ranking.ours.mean == pytest.approx(0.4719, abs=0.0001)
    assert [entry.model for entry in ranking.entries][:2] == ["o/mine", card.model]
    assert ranking.average == ranking.ours.mean


def test_ruler_is_verified_by_length() -> None:
    names = [row.name for row in rows() if row.group == "ruler"]
    assert len(names) == 13
    lengths = ("4096", "8192", "16384", "32768", "65536", "131072")
    table = table_for(_run(names, "official", dict.fromkeys(names, 0.5), lengths))
    assert table is not None
    assert list(table.kinds) == ["RULER 4K", "RULER 8K", "RULER 16K", "RULER 32K", "RULER 64K", "RULER 128K"]
    model = table.models["meta-llama/Meta-Llama-3.1-8B-Instruct"]
    # NVIDIA/RULER, README.
    published = dict(zip(lengths, (95.5, 93.8, 91.6, 87.4, 84.7, 77.0), strict=True))
    tasks = {}
    for at, name in enumerate(names):  # spread around the mean
        scores = {length: value / 100 + (at - 6) / 1000 for length, value in published.items()}
        tasks[name], _ = made_task(name, {"official": scores}, kind="ruler", of={"main_score": row_of(name).main_score})
    record = with_means(RunRecord("longctx", "o/m", "r", {}, (), {}, tasks), table)
    verdicts = {each.task: each.verdict for each in verify(record, model, table).tasks if each.kind == KIND}
    assert verdicts == dict.fromkeys(table.kinds, "OK")
    assert rank(record, table).ours.mean == pytest.approx(0.883, abs=0.0005)  # the README's average
