"""Grading: who is asked again and with what, what is kept and when, and what a file of grades says at a second call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.prompts import Prompt
from flagbench.runners.generation.judge import Graded, GradeFile, grade
from tests.answering import asking


class Scripted:
    """Replies to each round of questions in an order of its own."""

    def __init__(self, *rounds: dict[str, str], backwards: bool = False) -> None:
        self.rounds = list(rounds)
        self.asked: list[list[str]] = []
        self.tokens: list[int] = []
        self._backwards = backwards

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int) -> Iterator[tuple[int, str]]:
        texts = [prompt.text for prompt in prompts]
        self.asked.append(texts)
        self.tokens.append(max_new_tokens)
        replies = self.rounds.pop(0)
        numbered = list(enumerate(texts))
        for index, text in reversed(numbered) if self._backwards else numbered:
            yield index, replies[text.split(":")[0]]


def graded(model: Scripted, items: dict[int, str], attempts: int = 3) -> tuple[Graded[int], list[str]]:
    """Grades of items by a judge whose replies are numbers, and all that happened, in its order."""
    events: list[str] = []

    def read(reply: str, item: str, attempt: int) -> int:
        events.append(f"read {item} {attempt}")
        return int(reply)

    found = grade(
        model,
        items,
        prompt=lambda item, fault: asking(user=f"{item}:{fault}"),
        read=read,
        keep=lambda item, number: events.append(f"keep {item} {number}"),
        attempts=attempts,
        max_new_tokens=7,
        on_item=lambda item: events.append(f"done {item}"),
    )
    return found, events


@pytest.mark.parametrize("backwards", [False, True])
def test_each_item_is_asked_until_it_has_its_grade_and_no_longer(backwards: bool) -> None:
    model = Scripted({"a": "1", "b": "no", "c": "no"}, {"b": "2", "c": "never"}, {"c": "x"}, backwards=backwards)
    found, events = graded(model, {4: "a", 7: "b", 9: "c"})
    fault = "invalid literal for int() with base 10: "
    assert found == Graded({4: 1, 7: 2}, {9: f"{fault}'x'"}, 6)
    assert model.asked == [["a:", "b:", "c:"], [f"b:{fault}'no'", f"c:{fault}'no'"], [f"c:{fault}'never'"]]
    assert model.tokens == [7, 7, 7]
    first = ["read a 1", "keep a 1", "done a"], ["read b 1"], ["read c 1"]
    second = ["read b 2", "keep b 2", "done b"], ["read c 2"]
    order = -1 if backwards else 1
    assert events == [event for part in (*first[::order], *second[::order]) for event in part] + ["read c 3", "done c"]


def test_no_round_is_begun_with_nothing_to_ask() -> None:
    model = Scripted({"a": "1"})
    assert graded(model, {0: "a"}, attempts=9)[0] == Graded({0: 1}, {}, 1)
    assert graded(Scripted(), {}, attempts=9)[0] == Graded({}, {}, 0)


def test_one_attempt_is_one_call() -> None:
    found, events = graded(Scripted({"a": "no"}), {0: "a"}, attempts=1)
    assert (list(found.faults), found.calls, events) == ([0], 1, ["read a 1", "done a"])


# The file


def test_rows_are_lines_of_a_file_that_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "deeper" / "grades.jsonl"
    file = GradeFile(path)
    assert file.get("a") is None
    assert not path.parent.exists()
    file.add("a", {"score": 1, "text": "文\ud800"})
    file.add("b", {})
    assert file.get("a") == {"key": "a", "score": 1, "text": "文\ud800"}
    assert path.read_bytes() == b'{"key": "a", "score": 1, "text": "\\u6587\\ud800"}\n{"key": "b"}\n'
    again = GradeFile(path)
    assert [again.get(key) for key in "abc"] == [
        {"key": "a", "score": 1, "text": "文\ud800"},
        {"key": "b"},
        None,
    ]


def test_of_two_rows_in_a_file_the_first_counts_and_of_two_that_are_added_the_last(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text('{"key": "a", "n": 1}\n{"key": "a", "n": 2}\n')
    file = GradeFile(path)
    assert file.get("a") == {"key": "a", "n": 1}
    file.add("a", {"n": 3})
    assert file.get("a") == {"key": "a", "n": 3}
    assert GradeFile(path).get("a") == {"key": "a", "n": 1}


@pytest.mark.parametrize("torn", [b'{"key": "b"', b"\xff\xfe", b"x"])
def test_a_torn_line_stays_and_the_next_row_has_a_line_of_its_own(torn: bytes, tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_bytes(b'{"key": "a"}\n' + torn)
    file = GradeFile(path)
    file.add("c", {"n": 1})
    file.add("d", {"n": 2})
    assert path.read_bytes() == b'{"key": "a"}\n' + torn + b'\n{"key": "c", "n": 1}\n{"key": "d", "n": 2}\n'


def test_an_empty_file_gets_no_empty_line(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_bytes(b"")
    GradeFile(path).add("a", {})
    assert path.read_bytes() == b'{"key": "a"}\n'


@pytest.mark.parametrize("line", ["[]", "{}", "null", "3", '"key"', '{"key": []}', '{"key": "a", "key": "b"}', "{"])
def test_a_line_that_is_no_row_counts_for_nothing(line: str, tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text(f'{line}\n{{"key": "z"}}\n')
    file = GradeFile(path)
    assert (file.get("a"), file.get("b"), file.get("z")) == (None, None, {"key": "z"})


def test_without_a_file_rows_are_kept_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = GradeFile(None)
    file.add("a", {"n": 1})
    assert file.get("a") == {"key": "a", "n": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_leads_nowhere_is_no_file_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "g.jsonl").symlink_to(tmp_path / "gone")
    with pytest.raises(BadInput, match="name another file for the judgements"):
        GradeFile(tmp_path / "g.jsonl")


def test_a_row_that_cannot_be_written_is_told_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "g.jsonl"
    with pytest.raises(BadInput) as caught:
        GradeFile(path).add("a", {})
    assert str(caught.value) in {
        f"cannot write {path}: Not a directory; free space or name another file",
        f"cannot write {path}: File exists; free space or name another file",
    }


def test_rows_are_json_alone(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    file = GradeFile(path)
    file.add("a", {"nested": {"b": [1, 2.5, None, True]}})
    assert json.loads(path.read_text()) == {"key": "a", "nested": {"b": [1, 2.5, None, True]}}
