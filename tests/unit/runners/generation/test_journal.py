"""The journal of answers: what survives a kill, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput
from flagbench.runners.generation import journal as module
from flagbench.runners.generation.journal import Journal

_HEADER = b'{"format": "flagbench-answers-1", "digest": "d1"}\n'


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with two answers."""
    path = tmp_path / "deep" / "task.jsonl"
    with Journal.open(path, "d1") as answers:
        assert answers.done == {}
        answers.add("f:0", {"answer": "A) x", "seconds": 0.5})
        answers.add("f:1", {"answer": ""})
    return path


def test_what_is_kept_comes_back(path: Path) -> None:
    assert _lines(path) == [
        {"format": "flagbench-answers-1", "digest": "d1"},
        {"id": "f:0", "answer": "A) x", "seconds": 0.5},
        {"id": "f:1", "answer": ""},
    ]
    with Journal.open(path, "d1") as answers:
        assert answers.done == {
            "f:0": {"id": "f:0", "answer": "A) x", "seconds": 0.5},
            "f:1": {"id": "f:1", "answer": ""},
        }
        answers.add("f:2", {"answer": "B"})
        # On the disk before the file is closed.
        assert len(_lines(path)) == 4
    assert len(_lines(path)) == 4


def test_an_answer_is_on_the_disk_before_the_next_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves is what was there when the disk was last told to keep it."""
    path = tmp_path / "a.jsonl"
    kept = b""
    sync = os.fsync

    def keep(handle: int) -> None:
        nonlocal kept
        sync(handle)
        assert os.fstat(handle).st_ino == path.stat().st_ino
        kept = path.read_bytes()

    monkeypatch.setattr("os.fsync", keep)
    with Journal.open(path, "d1") as answers:
        assert kept == _HEADER
        for number in range(3):
            answers.add(f"f:{number}", {"answer": "A"})
            assert kept.count(b"\n") == number + 2
            assert kept == path.read_bytes()


def test_a_file_cut_anywhere_gives_its_whole_lines_and_goes_on(path: Path) -> None:
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        with Journal.open(path, "d1") as answers:
            expected = max(0, whole[:size].count(b"\n") - 1)
            assert list(answers.done) == ["f:0", "f:1"][:expected]
            answers.add("f:9", {"answer": "C"})
        assert [each.get("id") for each in _lines(path)] == [None, *["f:0", "f:1"][:expected], "f:9"]


@pytest.mark.parametrize("tail", [b"\0" * 20, b"\0" * 20 + b"\n", b'{"id": "f:2"\n', b"\xff\xfe", b"[1, 2]\n"])
def test_a_last_line_that_is_no_object_is_cut_off(path: Path, tail: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    Journal.open(path, "d1").close()
    assert path.read_bytes() == whole


def test_any_text_comes_back(tmp_path: Path) -> None:
    texts = ["日本\n語", 'a "quoted" \\ one', "\u2028 and \x00", "half a pair \ud83d", "é" * 10_000]
    path = tmp_path / "a.jsonl"
    with Journal.open(path, "d") as answers:
        for index, text in enumerate(texts):
            answers.add(f"f:{index}", {"answer": text})
    with Journal.open(path, "d") as answers:
        assert [each["answer"] for each in answers.done.values()] == texts
    assert path.read_bytes().count(b"\n") == 1 + len(texts)


def test_answers_of_other_settings_are_refused_and_left_alone(path: Path) -> None:
    whole = path.read_bytes()
    with pytest.raises(BadInput) as caught:
        Journal.open(path, "d2")
    assert str(caught.value) == (
        f"{path} holds answers of other settings (d1 instead of d2): remove it, or use another --output"
    )
    assert path.read_bytes() == whole
    # And it is not locked.
    Journal.open(path, "d1").close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not mine", "is not a file of answers: move it away"),
        (b"not mine\n", "is not a file of answers: move it away"),
        (b"not\nmine\n", "is not a file of answers: move it away"),
        (b'{"digest": "d1"}\n', "is not a file of answers"),
        (b'{"format": "flagbench-answers-1", "digest": 3}\n', "is not a file of answers"),
        (_HEADER + b'{"id"\n{"id": "a", "answer": ""}\n', "line 2 is damaged"),
        (_HEADER + b'{"id": 3, "answer": ""}\n', "line 2 is damaged"),
        (_HEADER + b'{"id": "a"}\n', "line 2 is damaged"),
        (
            _HEADER + b'{"id": "a", "answer": ""}\n{"id": "a", "answer": "B"}\n',
            "line 3 answers question a again",
        ),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        Journal.open(path, "d1")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_no_question_is_answered_twice(path: Path) -> None:
    with Journal.open(path, "d1") as answers, pytest.raises(BadInput, match="question f:1 is answered already"):
        answers.add("f:1", {"answer": "B"})
    assert len(_lines(path)) == 3


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"id": "f:8", "answer": ""}, "has another id, or no text as its answer"),
        ({"seconds": 1.0}, "has another id, or no text as its answer"),
        ({"answer": None}, "has another id, or no text as its answer"),
        ({"answer": "", "seconds": float("nan")}, "is not JSON"),
        ({"answer": "", "path": Path("x")}, "is not JSON"),
    ],
)
def test_a_record_that_cannot_be_kept_leaves_no_trace(path: Path, record: dict[str, Any], message: str) -> None:
    whole = path.read_bytes()
    with Journal.open(path, "d1") as answers:
        with pytest.raises(BadInput, match=message):
            answers.add("f:7", record)
        assert "f:7" not in answers.done
    assert path.read_bytes() == whole


def test_a_second_run_is_kept_out(path: Path) -> None:
    with (
        Journal.open(path, "d1"),
        pytest.raises(BadInput, match="is open in another run: wait for it, or use another --output"),
    ):
        Journal.open(path, "d1")
    Journal.open(path, "d1").close()


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    answers = Journal.open(path, "d1")
    answers.close()
    answers.close()
    with pytest.raises(BadInput, match="is closed"):
        answers.add("f:7", {"answer": ""})


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput, match=r"cannot write .*: (File exists|Not a directory); use another --output"):
        Journal.open(tmp_path / "file" / "a.jsonl", "d")
    with pytest.raises(BadInput, match=r"cannot write .* \(Is a directory\): use another --output"):
        Journal.open(tmp_path, "d")


def test_a_full_disk_leaves_whole_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = path.read_bytes()
    real = os.pwrite

    def write_some(handle: int, data: bytes, offset: int) -> int:
        if len(data) <= 5:
            raise OSError(28, "No space left on device")
        return real(handle, data[:5], offset)

    with Journal.open(path, "d1") as answers:
        monkeypatch.setattr(module.os, "pwrite", write_some)
        with pytest.raises(BadInput, match="No space left on device; free space or use another --output"):
            answers.add("f:7", {"answer": "A"})
        assert path.read_bytes() == whole
        monkeypatch.undo()
        answers.add("f:7", {"answer": "A"})
    assert [each.get("id") for each in _lines(path)] == [None, "f:0", "f:1", "f:7"]


def test_what_a_killed_process_said_it_kept_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    script = (
        "import sys, itertools; from pathlib import Path; from flagbench.runners.generation.journal import Journal\n"
        "answers = Journal.open(Path(sys.argv[1]), 'd')\n"
        "for index in itertools.count(len(answers.done)):\n"
        "    answers.add(f'f:{index}', {'answer': 'x' * 3000})\n"
        "    print(index, flush=True)\n"
    )
    said = -1
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(5):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        process.stdout.close()
        process.wait()
        said = int(rest[-1]) if rest else said
        with Journal.open(path, "d") as answers:
            assert list(answers.done) == [f"f:{index}" for index in range(len(answers.done))]
            assert len(answers.done) > said


def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(BadInput, match="is not a regular file: use another --output"):
        Journal.open(tmp_path / "a.jsonl", "d")


def test_a_line_with_a_key_twice_or_a_number_that_is_none_is_damaged(tmp_path: Path) -> None:
    for number, line in enumerate(
        ('{"id": "a", "id": "b", "answer": "x"}', '{"id": "a", "answer": "x", "seconds": NaN}')
    ):
        path = tmp_path / f"{number}.jsonl"
        with Journal.open(path, "d") as journal:
            journal.add("first", {"answer": "half \ud800"})
        with path.open("a", encoding="utf-8") as file:
            file.write(f'{line}\n{{"id": "last", "answer": "y"}}\n')
        with pytest.raises(BadInput, match="line 3 is damaged"):
            Journal.open(path, "d")


def test_the_folders_of_a_journal_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.jsonl"
    for _ in range(2):
        Journal.open(path, "d").close()
    assert _lines(path) == [{"format": "flagbench-answers-1", "digest": "d"}]


def test_what_is_answered_is_read_without_opening(path: Path) -> None:
    before = path.read_bytes()
    with Journal.open(path, "d1"):  # another run may have it open
        assert Journal.answered(path, "d1") == {"f:0", "f:1"}
    assert Journal.answered(path.with_name("none.jsonl"), "d1") == frozenset()
    assert path.read_bytes() == before
    path.write_bytes(before + b'{"id": "f:2", "ans')
    assert Journal.answered(path, "d1") == {"f:0", "f:1"}
    assert path.read_bytes() == before + b'{"id": "f:2", "ans'
    with pytest.raises(BadInput, match="holds answers of other settings"):
        Journal.answered(path, "d2")
