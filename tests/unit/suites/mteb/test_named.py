"""Benchmarks of mteb by name: which names there are, their tasks, and means that equal mteb's own."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import replace
from statistics import fmean
from typing import Any

import mteb
import pytest
from mteb.results import BenchmarkResults, ModelResult, TaskResult

from flagbench import BadInput, UnknownName
from flagbench.results.averages import Slice, task_of
from flagbench.results.page.benchmark import Benchmark as Facts
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.table import rows
from flagbench.runners.facts import facts_of
from flagbench.runners.mteb.bridge import quiet
from flagbench.runners.registry import find_benchmark
from flagbench.runners.request import RunRequest
from flagbench.suites.mteb.named import find, names
from flagbench.suites.mteb.options import MtebOptions


def request(name: str, *tasks: str, **more: Any) -> RunRequest:
    options = {key: more.pop(key) for key in ("subsets", "languages", "domains", "modalities") if key in more}
    return RunRequest("m", name, tasks=tasks, options=MtebOptions(**options), **more)


def score_of(task: str, split: str, subset: str) -> float:
    return zlib.crc32(f"{task}/{split}/{subset}".encode()) / 2**32


def records_of(name: str) -> list[TaskRecord]:
    """A complete run of a benchmark."""
    return [
        TaskRecord(
            row.name,
            row.kind,
            "success",
            {},
            "",
            {split: {each: score_of(row.name, split, each) for each in row.subsets} for split in row.splits},
            {"status": "official"},
        )
        for row in find_benchmark(name).tasks()
    ]


def result_of(task: Any) -> TaskResult:
    """mteb's own result of the same run; of an aggregate, what mteb makes of its parts'."""
    if task.is_aggregate:
        combined: TaskResult = task.combine_task_results([result_of(part) for part in task.metadata.tasks])
        return combined
    name = task.metadata.name
    scores = {
        split: {
            each: {"main_score": score_of(name, split, each), task.metadata.main_score: score_of(name, split, each)}
            for each in task.hf_subsets
        }
        for split in task.eval_splits
    }
    return TaskResult.from_task_results(task, scores, evaluation_time=1.0)


def means_of(name: str, results: Iterable[TaskResult]) -> dict[str, Any]:
    model = ModelResult(model_name="org/m", model_revision="1", task_results=list(results))
    with quiet():
        found = mteb.get_benchmark(name).get_score(BenchmarkResults(model_results=[model]), raise_error=True)
    return dict(found["org/m"])


@pytest.mark.parametrize(
    "name",
    [
        "MTEB(eng, v2)",
        "BEIR",
        "MTEB(Europe, v1)",
        "MTEB(fas, v1)",
        "NanoBEIR",
        "BRIGHT(v1.1)",
        "LongEmbed",
        "MIEB(eng)",
        "MIEB(lite)",
        "MIEB(Multilingual)",
        "MTEB(Multilingual, v2)",
        "MIEB(Img)",
        "ViDoRe(v1)",
        "VisualDocumentRetrieval",
    ],
)
def test_the_means_of_a_complete_run_are_mtebs(name: str) -> None:
    """Of aggregates, of tasks with several subsets and splits, of types and of groups."""
    with quiet():
        benchmark = mteb.get_benchmark(name)
        theirs = means_of(name, [result_of(task) for task in benchmark.tasks])
    records = records_of(name)
    ours = {row.label: row.score for row in rows(records, find_benchmark(name).averages(request(name)))[1]}
    aggregates = {task.metadata.name: task for task in benchmark.tasks if task.is_aggregate}
    compared = {label for label in ours if label not in aggregates}
    for label, task in aggregates.items():
        assert ours[label] == pytest.approx(result_of(task).get_score(), abs=1e-12), label
    kinds = {key for key in theirs if key in {task.metadata.type for task in benchmark.tasks}}
    assert len(kinds) < 2 or {f"{kind} mean" for kind in kinds} <= compared
    headline = list(ours)[-1]
    assert headline in {"Mean (Task)", "Mean (TaskType)"} & compared
    for label in compared:
        key = label.replace(" (", "(").removesuffix(" mean")
        assert ours[label] == pytest.approx(theirs[key.replace(": ", "::")], abs=1e-12), label
    assert ours[headline] == pytest.approx(theirs[headline.replace(" ", "")], abs=1e-12)
    less = {row.label: row.score for row in rows(records[1:], find_benchmark(name).averages(request(name)))[1]}
    assert less[headline] is None


@pytest.mark.parametrize("name", ["MIEB(Multilingual)", "LongEmbed", "MTEB(Europe, v1)", "miracl"])
def test_a_run_records_all_that_its_scores_are_shown_with(name: str) -> None:
    """So that mteb need not be imported to show it: miniature data, parts of tasks, groups, and no average."""
    facts = facts_of(find_benchmark(name))
    run = RunRecord(name, "me/mine", "r", {}, (), {}, {}, definition=facts.definition())
    recorded = RunRecord.from_json(run.to_json()).definition
    assert recorded is not None
    found = Facts.from_definition(recorded)
    assert (found.title, found.mini, found.parts) == (facts.title, facts.mini, facts.parts)
    records = records_of(name)
    assert rows(records, found.averages)[1] == rows(records, facts.averages)[1]
    assert list(found.averages) == list(facts.averages)
    assert found.mini_averages == found.averages
    assert all(map(found.takes, records))


def test_every_benchmark_of_mteb_has_its_tasks_once() -> None:
    for name in names():
        found = find(name)
        assert found is not None
        assert len({entry.row.name for entry in found.entries}) == len(found.entries) > 0
        listed = {entry.row.name for entry in found.entries}
        for label, members in found.averages.items():
            assert {task_of(each) for each in members} <= listed | found.averages.keys() - {label}, (name, label)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("mteb(ENG,v2)", "MTEB(eng, v2)"),
        ("MTEB(eng)", "MTEB(eng, v2)"),
        ("beir", "BEIR"),
        ("nanobeir", "NanoBEIR"),
        ("bright", "BRIGHT"),
        ("coir", "CoIR"),
        ("longembed", "LongEmbed"),
        ("rteb", "RTEB(beta)"),
        ("miracl", "miracl"),
        ("MLDR", "mldr"),
        ("mkqa", "mkqa"),
        ("zh", "zh"),
        ("MTEB", "mteb"),
        ("CMTEB", "cmteb"),
    ],
)
def test_a_benchmark_is_found_by_its_name_however_it_is_typed(typed: str, name: str) -> None:
    assert find_benchmark(typed).name == name


def test_a_typo_gets_the_nearest_names() -> None:
    with pytest.raises(UnknownName, match=r"^unknown benchmark 'MTEB\(eng, v3\)'; did you mean MTEB\(eng, v"):
        find_benchmark("MTEB(eng, v3)")


def test_papers_take_splits_and_titles_of_their_own() -> None:
    miracl, mldr, mkqa = map(find_benchmark, ("miracl", "mldr", "mkqa"))
    assert [(row.splits, len(row.subsets)) for each in (miracl, mldr) for row in each.tasks()] == [
        (("dev",), 18),
        (("test",), 13),
    ]
    assert miracl.option_settings(request("miracl")) == {"title_separator": "\n"}
    assert mkqa.option_settings(request("mkqa")) == {}
    assert "not as in the BGE-M3 paper" in "".join(mkqa.evidence(request("mkqa")))


def test_an_aggregate_is_run_as_its_parts() -> None:
    beir = find_benchmark("BEIR")
    parts = beir.select(request("BEIR", "CQADupstackRetrieval"))
    assert len(parts) == 12
    assert {row.name for row in parts} <= {row.name for row in beir.tasks()}
    assert [row.name for row in find_benchmark("mteb").select(request("mteb", "CQADupstackRetrieval"))] == [
        row.name for row in parts
    ]


def test_tasks_that_cannot_run_are_refused_by_name_or_left_out() -> None:
    if "MAEB(v1)" not in {benchmark.name for benchmark in mteb.get_benchmarks()}:
        pytest.skip("this mteb has no benchmark with audio of this name")
    maeb = find_benchmark("MAEB(v1)")
    with pytest.raises(BadInput) as caught:
        maeb.select(request("MAEB(v1)"))
    assert "cannot be evaluated: inputs have audio, and only text and images are read here" in str(caught.value)
    assert str(caught.value).endswith("choose others with --tasks or --types, or leave these out with --skip-missing")
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="none of its tasks can be evaluated"):
        maeb.select(request("MAEB(v1)", skip_missing=True))
    with pytest.raises(UnknownName, match=r"^unknown task type 'sts'"):
        maeb.select(request("MAEB(v1)", types=("sts",)))
    assert maeb.left_out(request("MAEB(v1)"))
    assert all("stays blank" in line for line in maeb.left_out(request("MAEB(v1)")))
    name = maeb.tasks()[0].name
    with pytest.raises(BadInput, match=f"^{name} cannot be evaluated: inputs have audio, "):
        find_benchmark("mteb").select(request("mteb", name))


@pytest.mark.parametrize(
    ("name", "tasks"), [("MIEB(Multilingual)", 128), ("MIEB(lite)", 51), ("ViDoRe(v2)", 4), ("MIEB(Img)", 49)]
)
def test_benchmarks_of_images_run_whole(name: str, tasks: int) -> None:
    benchmark = find_benchmark(name)
    chosen = benchmark.select(request(name))
    assert len(chosen) == len(benchmark.tasks()) == tasks
    assert not benchmark.left_out(request(name))
    assert any("image" in row.modalities for row in chosen)
    assert any("without instructions" in line for line in benchmark.evidence(request(name)))
    images = benchmark.select(request(name, modalities=("image",)))
    assert images == tuple(row for row in chosen if "image" in row.modalities)


def test_a_benchmark_has_miniature_data_where_a_task_of_it_is_drawn() -> None:
    mini = find_benchmark("mteb").mini_data()
    assert mini is not None
    assert find_benchmark("MIEB(lite)").mini_data() == mini
    assert find_benchmark("MTEB(eng, v2)").mini_data() is None
    assert len(find_benchmark("mteb").select(request("mteb", mini=True))) == 9
    few = find_benchmark("mteb").select(request("mteb", mini=True, types=("any2any-retrieval",)))
    assert [row.name for row in few] == ["TUBerlinT2IRetrieval", "CIRRIT2IRetrieval"]
    for named in ("CVBenchDepth", "SciFact"):  # the first reads the same repo as CVBenchCount
        with pytest.raises(BadInput, match=rf"^--mini has no {named}; it has TUBerlinT2IRetrieval, "):
            find_benchmark("mteb").select(request("mteb", "CIFAR10", named, mini=True))
    lite = find_benchmark("MIEB(lite)").select(request("MIEB(lite)", mini=True))
    assert {row.name for row in lite} == {"CVBenchCount", "Winoground", "CIRRIT2IRetrieval"}


def test_parts_of_a_task_count_by_themselves() -> None:
    """Two aggregates of MIEB(Multilingual) count the languages of one task apart."""
    whole = find_benchmark("MIEB(Multilingual)")
    asked = request("MIEB(Multilingual)")
    (both,) = [row for row in whole.tasks() if row.name == "STS17MultilingualVisualSTS"]
    assert len(both.subsets) == 11
    averages = whole.averages(asked)
    assert averages["VisualSTS17Eng"] == (Slice(both.name, frozenset({("test", "en-en")})),)
    (others,) = averages["VisualSTS17Multilingual"]
    assert isinstance(others, Slice)
    assert others.cells == {("test", each) for each in both.subsets if each != "en-en"}
    assert "each counts in averages as the mean over its own languages" in whole.evidence(asked)[0]
    record = next(record for record in records_of("MIEB(Multilingual)") if record.name == both.name)
    scores = {**record.scores["test"]}
    of = {row.label: row for row in rows([record], averages)[1]}
    assert of["VisualSTS17Eng"].score == scores.pop("en-en")
    assert of["VisualSTS17Multilingual"].score == pytest.approx(fmean(scores.values()), abs=1e-12)
    english = replace(record, scores={"test": {"en-en": 0.5}})
    of = {row.label: row for row in rows([english], averages)[1]}
    assert (of["VisualSTS17Eng"].score, of["VisualSTS17Multilingual"].score) == (0.5, None)
    (english,) = [row for row in find_benchmark("MIEB(eng)").tasks() if row.name == both.name]
    assert english.subsets == ("en-en",)


def test_images_are_chosen_by_modality_or_by_a_type_that_has_them() -> None:
    every = find_benchmark("mteb")
    assert {row.modalities for row in every.select(request("mteb", languages=("zh",)))} == {("text",)}
    both = every.select(request("mteb", languages=("zh",), modalities=("text", "image")))
    assert {("text",), ("image",), ("text", "image")} == {row.modalities for row in both}
    probes = every.select(request("mteb", types=("image-classification",)))
    assert {row.modalities for row in probes} == {("image",)}
    with_images = every.select(request("mteb", languages=("zh",), modalities=("image",)))
    assert {("image",), ("text", "image")} == {row.modalities for row in with_images}
    with pytest.raises(BadInput, match=r"^no task of ViDoRe\(v2\) is of texts alone: see "):
        find_benchmark("ViDoRe(v2)").select(request("ViDoRe(v2)", modalities=("text",)))
    with pytest.raises(BadInput, match=r"^no task of MTEB\(eng, v2\) has images: see "):
        find_benchmark("MTEB(eng, v2)").select(request("MTEB(eng, v2)", modalities=("image",)))


def test_filters_leave_tasks_and_subsets() -> None:
    zh = find_benchmark("mteb").select(request("mteb", languages=("zh",), types=("sts",)))
    assert {"STSB", "STS22.v2"} <= {row.name for row in zh}
    (several,) = [row for row in zh if row.name == "STS22.v2"]
    assert several.subsets == ("zh", "de-en")[:1] + tuple(each for each in several.subsets if each != "zh")
    assert all("zh" in subset for subset in several.subsets)
    english = find_benchmark("MTEB(eng, v2)")
    legal = english.select(request("MTEB(eng, v2)", domains=("medical",)))
    assert {"TRECCOVID", "BIOSSES"} <= {row.name for row in legal} < {row.name for row in english.tasks()}
    assert english.averages(request("MTEB(eng, v2)", languages=("en",))) == {}
    for option, value in (("languages", "qq"), ("domains", "Lego")):
        with pytest.raises(UnknownName, match=f"unknown {option[:-1]} '{value}'"):
            english.select(request("MTEB(eng, v2)", **{option: (value,)}))
    with pytest.raises(BadInput, match=r"^no task of MTEB is left: drop --types, --languages, --domains or --mod"):
        find_benchmark("mteb").select(request("mteb", types=("summarization",), languages=("zh",)))
    with pytest.raises(UnknownName, match=r"unknown task 'SciFact'.*of MTEB\(eng, v2\)"):
        english.select(request("MTEB(eng, v2)", "SciFact"))


def test_on_its_leaderboard_rteb_is_its_public_tasks() -> None:
    rteb = find_benchmark("rteb")
    assert all(mteb.get_task(row.name).metadata.is_public is not False for row in rteb.tasks())
    assert rteb.averages(request("rteb")).keys() == {"Mean (Task)"}
    assert "not public" in rteb.listing(rteb.tasks()).closing


def test_what_counts_in_an_average_is_each_split_with_each_subset() -> None:
    benchmark = find_benchmark("MTEB(Europe, v1)")
    parts, rows_of = benchmark.parts(), {row.name: row for row in benchmark.tasks()}
    assert parts.keys() == rows_of.keys()
    several = [row for row in rows_of.values() if len(row.subsets) > 1 and len(row.splits) > 1]
    assert several
    for row in several:
        assert len(parts[row.name]) == len(row.splits) * len(row.subsets)
        assert parts[row.name] == {(split, subset) for split in row.splits for subset in row.subsets}
    assert find_benchmark("miracl").parts() == {}  # which has no average
    for options, whole in (
        ({"languages": ("de",)}, False),
        ({"subsets": ("de",)}, False),
        ({"domains": ("web",)}, True),
    ):
        assert bool(benchmark.averages(request("MTEB(Europe, v1)", **options))) is whole
