"""Solved examples of bge-en-icl, one file a task, as instructions; a form that the reference writes."""

import csv
import json
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.embedders.few_shot import with_examples
from flagbench.models.loading.detect import detect
from flagbench.models.loading.registry import family_spec
from tests.saying import saying
from tests.unit.checkpoint_files import QWEN2, has_line, said

PROMPTS = (
    ("SciFact-query", "<instruct>Check it.\n<query>"),
    ("CQADupstack*-query", "<instruct>Find twins.\n<query>"),
    ("TNews", "<instruct>Sort it.\n<query>"),
    ("STS", "<instruct>Compare.\n<query>"),
    ("passage", "p: "),
)


def write_csv(folder, task, rows, header=("query", "response")):
    with (folder / f"{task}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def prompt(prompts, selector):
    (text,) = (text for name, text in prompts if name == selector)
    return text


def refused(folder, prompts=PROMPTS):
    with pytest.raises(BadInput) as caught:
        with_examples(prompts, folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_solved_examples_come_before_the_instruction_in_the_form_of_flagiclmodel(tmp_path):
    write_csv(tmp_path, "SciFact", [("one?", "yes"), ("two?", "no")])
    prompts, said_ = with_examples(PROMPTS, tmp_path)

    assert prompt(prompts, "SciFact-query") == (
        "<instruct>Check it.\n<query>one?\n<response>yes\n\n"
        "<instruct>Check it.\n<query>two?\n<response>no\n\n"
        "<instruct>Check it.\n<query>"
    )
    assert said_ == [f"solved examples: 1 tasks, from {tmp_path.name}"]


def test_other_tasks_keep_their_instructions_and_all_their_order(tmp_path):
    write_csv(tmp_path, "SciFact", [("one?", "yes")])
    prompts, _ = with_examples(PROMPTS, tmp_path)

    assert prompts[1:] == PROMPTS[1:]
    assert prompts[0][0] == PROMPTS[0][0]


def test_csv_and_jsonl_say_the_same(tmp_path):
    rows = [("with, a comma", 'with "quotes"'), ("on two\nlines", "中文")]
    for kind in ("csv", "jsonl"):
        (tmp_path / kind).mkdir()
    write_csv(tmp_path / "csv", "SciFact", rows)
    lines = [json.dumps({"query": query, "response": response}, ensure_ascii=False) for query, response in rows]
    (tmp_path / "jsonl" / "SciFact.jsonl").write_text("\n".join([*lines, "", ""]), encoding="utf-8")

    from_csv, _ = with_examples(PROMPTS, tmp_path / "csv")
    assert 'with, a comma\n<response>with "quotes"\n\n' in prompt(from_csv, "SciFact-query")
    assert "on two\nlines\n<response>中文\n\n" in prompt(from_csv, "SciFact-query")
    assert with_examples(PROMPTS, tmp_path / "jsonl")[0] == from_csv


def test_the_first_line_of_a_csv_is_no_example_and_blank_lines_are_none(tmp_path):
    (tmp_path / "SciFact.csv").write_text("first,line\n\none?,yes\n\n", encoding="utf-8")

    assert prompt(with_examples(PROMPTS, tmp_path)[0], "SciFact-query").count("<response>") == 1


def test_columns_and_values_after_the_second_are_left_out(tmp_path):
    write_csv(tmp_path, "SciFact", [("one?", "yes", "third")], header=("query", "response", "more"))
    (tmp_path / "TNews.jsonl").write_text('{"text": "two?", "label": "no", "more": "third"}\n', encoding="utf-8")
    prompts, _ = with_examples(PROMPTS, tmp_path)

    assert prompt(prompts, "SciFact-query").startswith("<instruct>Check it.\n<query>one?\n<response>yes\n\n")
    assert prompt(prompts, "TNews").startswith("<instruct>Sort it.\n<query>two?\n<response>no\n\n")
    assert "third" not in str(prompts)


def test_the_file_of_a_selector_with_a_star_is_named_without_it(tmp_path):
    write_csv(tmp_path, "CQADupstack", [("one?", "twin")])
    prompts, _ = with_examples(PROMPTS, tmp_path)

    assert prompt(prompts, "CQADupstack*-query").startswith("<instruct>Find twins.\n<query>one?\n<response>twin\n\n")


def test_of_two_files_of_a_task_the_lines_of_json_are_taken(tmp_path):
    write_csv(tmp_path, "SciFact", [("of csv?", "no")])
    (tmp_path / "SciFact.jsonl").write_text('{"query": "of json?", "response": "yes"}\n')
    prompts, said_ = with_examples(PROMPTS, tmp_path)

    assert "of json?\n<response>yes" in prompt(prompts, "SciFact-query")
    assert "of csv?" not in prompt(prompts, "SciFact-query")
    assert said_ == [f"solved examples: 1 tasks, from {tmp_path.name}"]


def test_line_ends_inside_a_value_are_kept_as_they_are(tmp_path):
    write_csv(tmp_path, "SciFact", [("on two\r\nlines", "one\rmore")])

    assert "<query>on two\r\nlines\n<response>one\rmore\n\n" in prompt(
        with_examples(PROMPTS, tmp_path)[0], "SciFact-query"
    )


def test_files_that_no_task_takes_are_named(tmp_path):
    for task in ("SciFact", "TNews", "Zebra", "Nothing", "Quora", "Ape", "Fox", "Middle"):
        write_csv(tmp_path, task, [("one?", "yes")])
    (tmp_path / "README.md").write_text("read me")
    _, said_ = with_examples(PROMPTS, tmp_path)

    assert has_line(said_, "2 tasks")
    assert has_line(said_, "not used", ": Ape, Fox, Middle, Nothing, Quora, Zebra")
    assert not has_line(said_, "README")


def test_through_the_flag_the_texts_of_a_task_get_its_examples(checkpoint, tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    write_csv(folder, "CQADupstack", [("one?", "twin")])
    found = detect(checkpoint(QWEN2), saying(family="bge-en-icl", examples=folder))
    plain = family_spec("bge-en-icl", name="a/b", revision="main")
    task = plain.instruction("CQADupstackTexRetrieval", "Retrieval", "query")
    query = found.spec.instruction("CQADupstackTexRetrieval", "Retrieval", "query")

    assert task.startswith("<instruct>Given a question, retrieve")
    assert query == f"{task}one?\n<response>twin\n\n{task}"
    assert found.spec.instruction("CQADupstackTexRetrieval", "Retrieval", "passage") == ""
    assert found.spec.instruction("SciFact", "Retrieval", "query") == plain.instruction("SciFact", "Retrieval", "query")
    assert said(found, "solved examples: 1 tasks, from examples")


def test_a_folder_may_be_written_with_a_tilde(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "examples").mkdir()
    write_csv(tmp_path / "examples", "SciFact", [("one?", "yes")])
    overrides = saying(family="bge-en-icl", examples=Path("~/examples"))

    assert said(detect(checkpoint(QWEN2), overrides), "solved examples: 1 tasks")


# Refusals


@pytest.mark.parametrize("name", ["nowhere", "file.csv"])
def test_no_folder(tmp_path, name):
    write_csv(tmp_path, "file", [("one?", "yes")])

    assert f"--examples {tmp_path / name}: no such folder" in refused(tmp_path / name)


@pytest.mark.parametrize("name", [None, "Nothing.csv", "SciFact.txt", "SciFact-query.csv", "scifact.csv"])
def test_no_file_of_a_task(tmp_path, name):
    if name:
        (tmp_path / name).write_text("query,response\none?,yes\n")
    message = refused(tmp_path)

    assert f"--examples {tmp_path}" in message
    assert "no file there is named after a task" in message


def test_no_task_has_an_instruction(tmp_path):
    write_csv(tmp_path, "SciFact", [("one?", "yes")])

    assert "no file there is named after a task" in refused(tmp_path, ())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("SciFact.csv", ""),
        ("SciFact.csv", "query,response\n"),
        ("SciFact.csv", "query,response\none?,yes\ntwo?\n"),
        ("SciFact.jsonl", ""),
        ("SciFact.jsonl", "\n\n"),
        ("SciFact.jsonl", '{"query": "one?", "response": "yes"}\n{"query": "two?"}\n'),
        ("SciFact.jsonl", '{"query": "one?", "response": 5}\n'),
        ("SciFact.jsonl", '{"query": "one?", "response": null}\n'),
        ("SciFact.jsonl", "{}\n"),
    ],
)
def test_a_row_without_a_response(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    message = refused(tmp_path)

    assert str(tmp_path / name) in message
    assert "each row must have a query and a response" in message


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("SciFact.csv", "query,response\n好,yes\n".encode("gb18030"), " is not UTF-8 "),
        ("SciFact.csv", b"query,response\none?,\xff\xfe\n", " is not UTF-8 "),
        ("SciFact.csv", b"query,response\none?," + b"a" * 200_000, " is not CSV (field larger than field limit"),
        ("SciFact.jsonl", '{"query": "好", "response": "yes"}\n'.encode("gb18030"), " is not UTF-8 "),
        ("SciFact.jsonl", b'\n{"query": "one?", "resp', ", line 2, is not JSON "),
        ("SciFact.jsonl", b'{"query": "a", "query": "b"}', ", line 1, has the key 'query' twice"),
        ("SciFact.jsonl", b"[" * 100_000, ", line 1, is nested too deeply"),
        ("SciFact.jsonl", b"9" * 10_000, ", line 1, holds a whole number of more than 4,300 digits"),
        ("SciFact.jsonl", b'["one?", "yes"]\n', ", line 1, is no JSON object"),
        ("SciFact.jsonl", b"null\n", ", line 1, is no JSON object"),
        ("SciFact.jsonl", b"query,response\none?,yes\n", ", line 1, is not JSON "),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path)

    assert message.startswith(f"{tmp_path / name}{fault}")
    assert "fix or copy it again" in message


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "SciFact.csv").mkdir()

    assert str(tmp_path) in refused(tmp_path)


def test_a_damaged_file_of_no_task_is_not_read(tmp_path):
    write_csv(tmp_path, "SciFact", [("one?", "yes")])
    (tmp_path / "Nothing.jsonl").write_bytes(b"\xff")

    assert has_line(with_examples(PROMPTS, tmp_path)[1], "not used", "Nothing")
