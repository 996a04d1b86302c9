"""Model cards: read back by the hub's own parser and by a Markdown renderer, averages as on mteb's leaderboard."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mteb
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from flagbench.models.embedders.settings import ExpertSettings, M3Settings
from flagbench.models.loading.registry import published
from flagbench.models.rerankers.settings import CompressionSettings
from flagbench.models.spec import ModelSpec
from flagbench.results.runs import find_run
from flagbench.runners.mteb.bridge import quiet
from flagbench.suites.mteb.model_card import model_card
from flagbench.suites.mteb.submission import Checked, check, write
from flagbench.suites.mteb.submitted_model import identify
from tests.unit.submission_files import CORE, OWN, SPEC, SPLITS, result_of, score_of, task_record, write_run

ODD = "org/<script>alert(1)</script> | a|b\n---\n: {x} & &lt; \"y\" 'z' *b* _c_ __d__ `e` [f](g) \\ # -"


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """As the command runs it."""
    with quiet():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    """All of C-MTEB."""
    with quiet():
        return checked(write_run(tmp_path_factory.mktemp("whole"), [task_record(name) for name in CORE]))


def checked(folder: Path) -> Checked:
    run = find_run(folder)
    return check(run, identify(run.record, None, None), allow_partial=True)


def of(folder: Path, *names: str, spec: ModelSpec = SPEC) -> Checked:
    return checked(write_run(folder, [task_record(name, spec) for name in names], spec))


def tables(text: str) -> list[list[list[str]]]:
    """The cells of the tables of a card, as a reader sees them."""
    rendered = MarkdownIt("commonmark").enable("table").render(ModelCard(text).text)
    return [
        [
            [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)]
            for line in re.findall(r"<tr>(.*?)</tr>", table, re.S)
        ]
        for table in re.findall(r"<table>(.*?)</table>", rendered, re.S)
    ]


def test_the_hubs_parser_reads_the_same_numbers(whole: Checked, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(model_card(whole), encoding="utf-8")
    data = ModelCard.load(path).data
    assert data.model_name == SPEC.name
    assert data.tags == ["mteb"]
    assert data.license == "mit"
    assert data.eval_results is not None
    found = {(each.metric_name, each.dataset_split): each.metric_value for each in data.eval_results}
    assert found == {
        (f"{mteb.get_task(name).metadata.main_score} of {name}", split): round(100 * score_of(name, split), 4)
        for name in CORE
        for split in SPLITS[name]
    }
    by_name = {each.dataset_name: each for each in data.eval_results}
    stsb = by_name["MTEB STSB"]
    assert (stsb.dataset_type, stsb.dataset_config, stsb.task_name) == ("mteb/STSB", "default", "STS")
    assert stsb.dataset_revision == mteb.get_task("STSB").metadata.revision


def test_the_tables_have_every_score(whole: Checked) -> None:
    scores, averages, _ = tables(model_card(whole))
    assert scores[0] == ["task", "type", "split", "metric", "score"]
    for line, name in zip(scores[1:], CORE, strict=True):
        splits = SPLITS[name]
        mean = sum(score_of(name, split) for split in splits) / len(splits)
        assert (line[0], line[2], line[4]) == (name, ", ".join(splits), f"{100 * mean:.2f}")
        assert line[3] == mteb.get_task(name).metadata.main_score
    assert [line[0] for line in averages[1:]][-1] == "Avg"
    assert len(averages) == 1 + 6 + 1


def test_the_averages_are_the_leaderboards(whole: Checked, tmp_path: Path) -> None:
    write(whole, tmp_path)
    results = mteb.ResultCache(tmp_path).load_results(tasks="MTEB(cmn, v1)", include_remote=False)
    board = results.get_benchmark_result().iloc[0]
    _, averages, _ = tables(model_card(whole))
    for label, score in averages[1:]:
        column = "Mean (Task)" if label == "Avg" else label.removesuffix(" mean")
        assert float(score) == pytest.approx(100 * board[column], abs=0.006)


def test_an_average_that_lacks_a_task_is_left_out(tmp_path: Path) -> None:
    text = model_card(of(tmp_path, *[name for name in CORE if name != "Ocnli"]))
    _, averages, _ = tables(text)
    labels = [line[0] for line in averages[1:]]
    assert "STS mean" in labels
    assert not {"PairClassification mean", "Avg"} & set(labels)
    assert "30 of the 31 tasks of MTEB(cmn, v1)." in text


def test_an_average_is_over_the_splits_of_c_mteb(whole: Checked, tmp_path: Path) -> None:
    both = result_of("STSB", ["validation", "test"])
    records = [task_record(name, result=both if name == "STSB" else None) for name in CORE]
    more = checked(write_run(tmp_path, records, results={"STSB": both}))
    scores, averages, _ = tables(model_card(more))
    assert averages == tables(model_card(whole))[1]
    assert next(line for line in scores if line[0] == "STSB")[2] == "validation, test"


def test_tasks_over_one_dataset_are_told_apart(tmp_path: Path) -> None:
    names = ("CLSClusteringS2S", "CLSClusteringS2S.v2")
    data = ModelCard(model_card(of(tmp_path, *names))).data
    assert data.eval_results is not None
    found = {each.metric_name: each.metric_value for each in data.eval_results}
    assert found == {f"v_measure of {name}": round(100 * score_of(name, "test"), 4) for name in names}


def test_the_settings_are_told(tmp_path: Path) -> None:
    *_, settings = tables(model_card(of(tmp_path, "T2Retrieval", "T2Reranking", "STSB")))
    said: dict[str, str] = {line[0]: line[1] for line in settings[1:]}
    assert said["commit"] == SPEC.revision
    assert (said["pooling"], said["normalised"], said["tokens of a passage"]) == ("cls", "yes", "512")
    assert said["instruction before queries (Retrieval, Reranking)"] == "为这个句子生成表示以用于检索相关文章："
    assert said["harness"] == "FlagBench 0.1.0"
    assert said["mteb"] == mteb.__version__


def _settings_told(whole: Checked, name: str, spec: ModelSpec, **settings: Any) -> list[list[str]]:
    entry = next(each for each in whole.entries if each.name == name)
    record = task_record(name, spec)
    entry = replace(entry, record=replace(record, settings=record.settings | settings))
    *_, told = tables(model_card(replace(whole, entries=(entry,), standings=())))
    return told


def test_every_setting_that_moved_a_score_is_told_under_its_name(whole: Checked) -> None:
    """Those that are at work in it, and no others."""
    beside = [["harness", "FlagBench 0.1.0"], ["mteb", mteb.__version__]]
    commit = ["commit", SPEC.revision]
    spec = replace(OWN, prompts=(), lowercase=True, dtype="bf16", attention="eager", query_max_length=64)
    plain = [
        *(["pooling", "cls"], ["normalised", "yes"], ["similarity", "cosine"], ["tokens per query", "64"]),
        *(["tokens of a passage", "512"], ["lower-cased", "yes"], ["dtype", "bf16"], ["attention", "eager"]),
    ]
    none = ["instruction", "none"]
    assert _settings_told(whole, "STSB", spec) == [["setting", "value"], commit, *plain, none, *beside]
    assert _settings_told(whole, "STSB", spec, store="fp16") == [
        *(["setting", "value"], commit, *plain, ["vectors kept in", "fp16"], none, *beside)
    ]

    several = replace(OWN, prompts=(), own=M3Settings("hybrid", (1.0, 0.3, 1.0), 200))
    told = {line[0]: line[1] for line in _settings_told(whole, "T2Retrieval", several)}
    assert told["retrieval"] == "hybrid"
    assert told["weights of dense, sparse and multi-vector scores"] == "1.0, 0.3, 1.0"
    assert told["candidates that multi-vectors re-rank"] == "200"
    expert = replace(OWN, prompts=(), own=ExpertSettings("coding"))
    assert ["domain", "coding"] in _settings_told(whole, "STSB", expert)


def test_the_settings_of_a_reranker_are_those_of_its_layers(whole: Checked) -> None:
    reranker = replace(
        published()["BAAI/bge-reranker-v2.5-gemma2-lightweight"],
        own=CompressionSettings(
            cutoff_layer=25, head=17, head_index="layer", compress_layers=(8, 16), compress_ratio=2
        ),
    )
    told = {line[0]: line[1] for line in _settings_told(whole, "T2Reranking", reranker)[1:]}
    assert {key: told.pop(key) for key in ("commit", "harness", "mteb", "tokens per query", "tokens of a passage")}
    assert told == {
        "lower-cased": "no",
        "dtype": reranker.dtype,
        **({"attention": reranker.attention} if reranker.attention else {}),
        "layer": "25",
        "head": "17",
        "head chosen by": "layer",
        "compressed before layers": "8, 16",
        "compression": "2",
        "instruction": "none",
    }


def test_many_instructions_are_counted(tmp_path: Path) -> None:
    kinds = ("Retrieval-query", "Reranking-query", "STS", "PairClassification", "Clustering")
    spec = replace(OWN, prompts=tuple((kind, f"for {kind}") for kind in kinds))
    *_, settings = tables(
        model_card(of(tmp_path, "T2Retrieval", "T2Reranking", "STSB", "Ocnli", "CLSClusteringS2S", spec=spec))
    )
    assert ["instructions", "5, by task"] in settings


def test_a_model_without_instruction_says_so(tmp_path: Path) -> None:
    *_, settings = tables(model_card(of(tmp_path, "STSB", spec=replace(OWN, prompts=()))))
    assert ["instruction", "none"] in settings


def test_odd_names_and_texts_are_shown_literally(tmp_path: Path) -> None:
    spec = replace(OWN, prompts=(("Retrieval-query", ODD),))
    found = of(tmp_path, "T2Retrieval", spec=spec)
    text = model_card(replace(found, identity=replace(found.identity, name=ODD)))
    shown = ODD.replace("\n", "\N{REPLACEMENT CHARACTER}")
    card = ModelCard(text)
    assert card.data.model_name == shown
    assert card.data.eval_results is not None
    assert card.data.eval_results[0].metric_value == round(100 * score_of("T2Retrieval", "dev"), 4)
    rendered: Any = MarkdownIt("commonmark").enable("table").render(card.text)
    assert "<script" not in rendered
    assert not re.search(r"<(em|strong|code|a)\b", rendered)
    heading = re.search(r"<h1>(.*?)</h1>", rendered)
    assert heading is not None
    assert html.unescape(heading.group(1)) == shown
    *_, settings = tables(text)
    assert ["instruction before queries (Retrieval)", shown] in settings
