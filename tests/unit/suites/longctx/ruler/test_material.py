"""The files that RULER's tasks are made of: where they are found, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flagbench import AbsentData, BadData
from flagbench.runners.data.sources import HubRepo, Snapshot
from flagbench.suites.longctx.options import LongContextOptions
from flagbench.suites.longctx.ruler.material import Material, read_material
from flagbench.suites.longctx.ruler.settings import TASKS
from tests.parity import ruler_material


def _read(folder: Path, part: str, fault: Callable[[str], None] | None = None) -> Material:
    return read_material(TASKS[part], Snapshot(folder, "NVIDIA/RULER"), LongContextOptions(), fault)


def _write(folder: Path, name: str, content: Any) -> Path:
    path = folder / "NVIDIA" / "RULER" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_questions_of_squad_that_have_answers_are_read(tmp_path: Path) -> None:
    content = ruler_material.squad(3)
    _write(tmp_path, "scripts/data/synthetic/json/dev-v2.0.json", content)
    library = _read(tmp_path, "qa_1").library
    assert library is not None
    texts = [each["context"] for article in content["data"] for each in article["paragraphs"]]
    assert library.paragraphs == sorted(texts)
    assert len(library.questions) == len(texts) == 3 + 4 + 5
    for number, question in enumerate(library.questions):
        assert question.text == f"What is in {number}?"
        assert library.paragraphs[question.needed[0]] == texts[number]
    article = [library.paragraphs[place] for place in library.questions[3].near]
    assert article == texts[4:7]  # the others of its article, in order


def test_questions_of_hotpotqa_have_ten_paragraphs(tmp_path: Path) -> None:
    content = ruler_material.hotpotqa(4)
    _write(tmp_path, "hotpot_dev_distractor_v1.json", content)
    library = _read(tmp_path, "qa_2").library
    assert library is not None
    assert [question.answers for question in library.questions] == [(row["answer"],) for row in content]
    title, sentences = content[2]["context"][7]
    assert library.paragraphs[library.questions[2].needed[7]] == f"{title}\n{sentences[0]}{sentences[1]}"


def test_english_words_are_read_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "NVIDIA" / "RULER").mkdir(parents=True)
    assert _read(tmp_path, "cwe") == Material()
    _write(tmp_path, "english_words.json", {"0": "aal", "1": "aardvark"})
    material = _read(tmp_path, "cwe")
    assert material.words == ("aal", "aardvark")
    assert not material.published


@pytest.mark.parametrize(("part", "name"), [("qa_1", "dev-v2.0.json"), ("qa_2", "hotpot_dev_distractor_v1.json")])
def test_absent_questions_are_named(tmp_path: Path, part: str, name: str) -> None:
    (tmp_path / "NVIDIA" / "RULER").mkdir(parents=True)
    with pytest.raises(AbsentData, match=name):
        _read(tmp_path, part)
    with pytest.raises(AbsentData, match="NVIDIA/RULER of --data"):
        read_material(TASKS[part], HubRepo("NVIDIA/RULER", "main"), LongContextOptions(), None)


def test_faulty_rows_are_told_or_raised(tmp_path: Path) -> None:
    content = ruler_material.hotpotqa(3)
    content[1]["context"][4] = ["title"]
    path = _write(tmp_path, "hotpotqa.json", content)
    with pytest.raises(BadData, match=rf"{path}: row 1 \(counted from 0\) has no question"):
        _read(tmp_path, "qa_2")
    content[1]["context"] = []  # nothing to ask about
    _write(tmp_path, "hotpotqa.json", content)
    told: list[str] = []
    library = _read(tmp_path, "qa_2", told.append).library
    assert library is not None
    assert len(library.questions) == 2
    assert len(told) == 1

    squad = ruler_material.squad(2)
    squad["data"][0]["paragraphs"][1]["qas"][0]["answers"] = []
    squad["data"][1] = {"title": "no paragraphs"}
    _write(tmp_path, "squad.json", squad)
    with pytest.raises(BadData, match=r"article 0 \(counted from 0\) has a question without"):
        _read(tmp_path, "qa_1")
    told.clear()
    library = _read(tmp_path, "qa_1", told.append).library
    assert library is not None
    assert len(library.questions) == 2
    assert len(told) == 2


@pytest.mark.parametrize(
    ("name", "part", "content", "message"),
    [
        ("squad.json", "qa_1", [], "not an object with a list of articles"),
        ("squad.json", "qa_1", {"data": []}, "no question that can be answered"),
        ("hotpotqa.json", "qa_2", {}, "not a list of questions"),
        ("english_words.json", "cwe", ["a"], "not an object of words"),
        ("english_words.json", "cwe", {"0": 1}, "not an object of words"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, name: str, part: str, content: Any, message: str) -> None:
    _write(tmp_path, name, content)
    with pytest.raises(BadData, match=message):
        _read(tmp_path, part)


def test_a_pointer_of_git_lfs_is_named_as_one(tmp_path: Path) -> None:
    path = _write(tmp_path, "english_words.json", {})
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", encoding="utf-8")
    with pytest.raises(BadData, match="git lfs pull"):
        _read(tmp_path, "cwe")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(BadData, match="is not JSON"):
        _read(tmp_path, "cwe")
