"""Small decisions of both benchmarks: languages, similarities, flags, hints, and the facts about published scores."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.cmteb.benchmark import CMTEB
from flagbench.cmteb.options import CmtebOptions
from flagbench.cmteb.published.table import table
from flagbench.flags import flags_of
from flagbench.models.baselines.random import FakeEncoder
from flagbench.models.loading.registry import published
from flagbench.results.published.scores import Doubt
from flagbench.runners.benchmark import EvaluatedModel
from flagbench.runners.data.snapshots import Snapshots
from flagbench.runners.encoding.encode import TextEncoder
from flagbench.runners.mteb.bridge import EncoderBridge, SearchBridge
from flagbench.runners.progress import Silent
from flagbench.runners.request import RunRequest
from flagbench.suites.mteb.benchmark import MTEB
from flagbench.suites.mteb.options import MtebOptions
from tests.conftest import MINI, ROOT
from tests.unit.cmteb_tasks import load

RANDOM = published()["flagbench/random"]
TASKS = {task.name: task for task in CMTEB.tasks()}


# The bridge.


class _Asked:
    """A retriever that keeps what it was asked for."""

    replays = False

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def retrieve(self, task: Any, queries: Any, passages: Any, candidates: Any, *, top_k: int, language: str) -> Any:
        self.calls.append((task, queries, passages, candidates, top_k, language))
        return {"q": {"d": 0.5}}

    def note_empty(self, part: Any, run: Any, query_ids: Any, labels: Any) -> None:
        self.calls.append((part, run, query_ids))

    def rerank(self, task: Any, run: Any, queries: Any, passages: Any, *, below: str) -> Any:
        self.calls.append((task, run, below))
        return {"q": {"d": 0.25}}


@pytest.mark.parametrize(
    ("languages", "subset", "wanted"),
    [
        ({"default": ["cmn-Hans"]}, "default", "zh"),
        ({"default": ["cmn-Hans", "zho-Hant"]}, "default", "zh"),
        ({"default": ["eng-Latn", "cmn-Hans"]}, "default", ""),
        ({"de": ["deu-Latn"], "fr": ["fra-Latn"]}, "fr", "fr"),
        ({"de": ["deu-Latn"], "fr": ["fra-Latn"]}, "it", ""),
        ({"default": []}, "default", ""),
    ],
)
def test_a_search_is_asked_for_in_the_language_of_the_subset(
    languages: dict[str, list[str]], subset: str, wanted: str
) -> None:
    data = load(TASKS["CovidRetrieval"], Snapshots(MINI)).content
    parts = data.dataset["default"]["dev"]
    about = SimpleNamespace(**{name: getattr(data.metadata, name) for name in ("get_modalities", "category")})
    about.name, about.type, about.hf_subsets_to_langscripts = "Some", "Retrieval", languages
    about.modalities, about.prompt, about.is_beir = ["text"], None, False
    asked = _Asked()
    bridge = SearchBridge(asked, EvaluatedModel(FakeEncoder(RANDOM)))  # type: ignore[arg-type]
    bridge.index(parts["corpus"])
    found = bridge.search(
        parts["queries"], task_metadata=about, top_k=7, hf_subset=subset, top_ranked={"q": ["d"]}, more=1
    )
    assert found == {"q": {"d": 0.25}}
    (task, queries, passages, candidates, top_k, language), empty, second = asked.calls
    assert (task, candidates, top_k, language) == (("Some", "Retrieval"), {"q": ["d"]}, 7, wanted)
    assert empty == (("test", subset), {"q": {"d": 0.5}}, queries.ids)
    assert second == (("Some", "Retrieval"), {"q": {"d": 0.5}}, "kept")
    assert list(queries.ids) == list(parts["queries"]["id"])
    assert list(passages.ids) == list(parts["corpus"]["id"])


@pytest.mark.parametrize(
    ("similarity", "matrix", "pairs"),
    [("cosine", [[0.0, 0.6], [1.0, 0.8]], [0.0, 0.8]), ("dot", [[0.0, 6.0], [4.0, 16.0]], [0.0, 16.0])],
)
def test_similarities_are_the_model_s(similarity: str, matrix: list[list[float]], pairs: list[float]) -> None:
    encoder = FakeEncoder(replace(RANDOM, similarity=similarity))
    bridge = EncoderBridge(TextEncoder(encoder, Silent()), EvaluatedModel(encoder), Silent())
    one = np.array([[2.0, 0.0], [0.0, 4.0]], dtype=np.float32)
    other = np.array([[0.0, 1.0], [3.0, 4.0]], dtype=np.float32)
    np.testing.assert_allclose(bridge.similarity(one, other), matrix, atol=1e-6)
    np.testing.assert_allclose(bridge.similarity_pairwise(one, other), pairs, atol=1e-6)


# The benchmarks.


def test_flags_and_their_defaults() -> None:
    (group,), (subsets, languages, domains, modalities) = flags_of(CmtebOptions), flags_of(MtebOptions)
    assert [each.name for each in (languages, domains, modalities)] == ["--languages", "--domains", "--modalities"]
    assert (group.name, group.default, group.metavar, group.selects) == ("--group", "core", "NAME", True)
    assert group.help == "group of tasks: core, multilingual, crosslingual, clustering-v2 (default core)"
    assert (subsets.name, subsets.default, subsets.metavar, subsets.selects) == ("--subsets", (), "A,B", True)
    assert subsets.help == "language subsets of each task (default all)"
    assert subsets.parse is not None
    assert subsets.parse("zh,en") == ("zh", "en")


def test_titles_names_and_where_tasks_are_listed() -> None:
    assert [(each.name, each.title) for each in (CMTEB, MTEB)] == [("cmteb", "C-MTEB"), ("mteb", "MTEB")]
    drawn = ROOT / "suites" / "mteb" / "mini"
    assert [folder and folder.resolve() for folder in (CMTEB.mini_data(), MTEB.mini_data())] == [MINI.resolve(), drawn]
    assert dict(CMTEB.commands) == {}
    assert dict(MTEB.commands) == {"submit": "flagbench.suites.mteb.commands"}
    assert CMTEB.next_commands(None, ()) == MTEB.next_commands(None, ()) == ()  # type: ignore[arg-type]
    with pytest.raises(BadInput) as caught:
        CMTEB.select(RunRequest("m", "cmteb", tasks=("STSX",), options=CmtebOptions()))
    assert str(caught.value) == (
        "unknown task 'STSX'; did you mean STSB or STS22?; see flagbench tasks --benchmark cmteb"
    )
    with pytest.raises(BadInput) as caught:
        MTEB.select(RunRequest("m", "mteb", options=MtebOptions()))
    assert str(caught.value) == (
        "--benchmark mteb needs --tasks NAME,…: mteb has more than a thousand; see flagbench tasks --benchmark mteb "
        "(or name one of its benchmarks, or filter by --types, --languages, --domains or --modalities)"
    )


def test_a_profile_is_drawn_as_a_task_is_loaded() -> None:
    row = TASKS["LCQMC"]
    for profile, sampled in (("full", False), ("smoke", True)):
        request = RunRequest("m", "cmteb", options=CmtebOptions(), profile=profile, mini=True)  # type: ignore[arg-type]
        loaded = CMTEB.load(row, Snapshots(MINI), request)
        rows = len(loaded.content.dataset["test"])
        assert (loaded.sample is not None) == (sampled and rows > 100)


# Published scores.


def test_what_is_told_of_the_published_scores() -> None:
    found = table()
    assert (found.benchmark, found.title) == ("cmteb", "C-MTEB")
    assert found.source == "embeddings-benchmark/results, read 2026-08"
    assert found.headings == {
        "Retrieval": "Retr.",
        "Reranking": "Rerank",
        "PairClassification": "Pair",
        "Clustering": "Clust.",
        "Classification": "Class.",
    }
    assert list(found.doubts) == [
        Doubt("mteb 1.", frozenset({"Reranking"}), "it took the average precision in another way")
    ]
    assert {kind: len(names) for kind, names in found.groups.items()} == {
        "Retrieval": 8,
        "Reranking": 4,
        "PairClassification": 2,
        "Clustering": 4,
        "STS": 7,
        "Classification": 6,
    }
    assert CMTEB.published() is MTEB.published() is found
    assert found.models["sentence-transformers/all-MiniLM-L6-v2"].made_by.startswith("mteb ")


_HEAD = (
    "model,revision,task,split,main_score,cosine_spearman,ndcg_at_10,map,map_at_1000,max_accuracy,v_measure,accuracy"
)


def test_the_table_is_made_by_a_script_beside_it(tmp_path: Path) -> None:
    """Of a model that is none of BAAI's it takes all 31 tasks, whatever their scores are called."""
    shutil.copy(ROOT / "cmteb" / "tasks.toml", tmp_path / "tasks.toml")
    (tmp_path / "published").mkdir()
    script = tmp_path / "published" / "make_scores.py"
    shutil.copy(ROOT / "cmteb" / "published" / "make_scores.py", script)
    lines = [f"{_HEAD},mteb_version"]
    lines += ["BAAI/bge-x,r1,LCQMC,test,0.5,0.25,,,,,,,1.0", "BAAI/bge-x,r1,LCQMC,train,0.5,0.75,,,,,,,1.0"]
    lines += [
        f"o/whole,r1,{task.name},{task.splits[0]},0.5,,,,,,,,2.0" for task in TASKS.values() if task.group == "core"
    ]
    lines += [f"o/less,r1,{task.name},{task.splits[0]},0.5,,,,,,,,2.0" for task in list(TASKS.values())[:30]]
    lines += [
        "sentence-transformers/all-MiniLM-L6-v2,r,BQ,test,,0.1,,,,,,,1.0",
        "o/other,r,Tatoeba,test,0.5,,,,,,,,1.0",
    ]
    results = tmp_path / "results.csv"
    results.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, f"usage: {script} RESULTS.csv")
    done = subprocess.run([sys.executable, script, results], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = (tmp_path / "published" / "scores.csv").read_text(encoding="utf-8")
    head, (names, kinds, splits, *models) = text.splitlines()[:4], list(csv.reader(text.splitlines()[4:]))
    assert all(line.startswith("# ") for line in head)
    assert head[0] == (
        "# Published C-MTEB scores, from embeddings-benchmark/results on GitHub, read 2026-08. Made by make_scores.py, "
        "beside"
    )
    assert (names[:3], kinds[:3], splits[:3]) == (["model", "revision", "mteb"], ["type", "", ""], ["split", "", ""])
    assert (
        len(names)
        == len(kinds)
        == len(splits)
        == 3 + sum(len(its.splits) for its in TASKS.values() if its.group == "core")
    )
    assert [row[:3] for row in models] == [
        ["BAAI/bge-x", "r1", "1.0"],
        ["o/whole", "", ""],
        ["sentence-transformers/all-MiniLM-L6-v2", "r", "1.0"],
    ]
    assert dict(zip(names, models[0], strict=True))["LCQMC"] == "0.25"
    assert set(models[1][3:]) == {""}
