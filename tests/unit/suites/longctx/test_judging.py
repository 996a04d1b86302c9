"""What a judge is asked, word by word; which replies are grades; and that nothing is asked twice."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadData, BadInput
from flagbench.models.prompts import Prompt
from flagbench.suites.longctx.judge_command import (
    Judge,
    add_judge,
    is_judged,
    judge_run,
    judged_grid,
    lines,
    loaded_judge,
)
from flagbench.suites.longctx.judging import JudgeItem, items_of, prompt, read_grade
from flagbench.suites.longctx.prompts import prompts
from flagbench.suites.longctx.registry import row_of
from flagbench.suites.longctx.sample import Answer, Cell
from flagbench.suites.longctx.saved import Saved

NEEDLE = prompts("needle")["needle"]
QUESTION = "What is the best thing to do in San Francisco?\nAnswer:"

# As langchain 0.1.20 fills labeled_score_string with the criteria of the original test.
_ASKED = """[Instruction]
Please act as an impartial judge and evaluate the quality of the response provided by an AI assistant to the user \
question displayed below. For this evaluation, you should primarily consider the following criteria:
accuracy:\x20
                Score 1: The answer is completely unrelated to the reference.
                Score 3: The answer has minor relevance but does not align with the reference.
                Score 5: The answer has moderate relevance but contains inaccuracies.
                Score 7: The answer aligns with the reference but has minor omissions.
                Score 10: The answer is completely accurate and aligns perfectly with the reference.
                Only respond with a numberical score
[Ground truth]
The {truth}
Begin your evaluation by providing a short explanation. Be as objective as possible. After providing your explanation, \
you must rate the response on a scale of 1 to 10 by strictly following this format: "[[rating]]", for example: \
"Rating: [[5]]".

[Question]
What {is} it?

[The Start of Assistant's Answer]
An {answer}.
[The End of Assistant's Answer]"""


def needle(text: str, at: int = 0) -> Answer:
    return Answer(f"1000/{at}", "1000", (NEEDLE,), Cell(1000, at), {"question": QUESTION}, text)


def test_a_needle_is_judged_in_the_words_of_its_authors() -> None:
    asked = prompt(JudgeItem("a", "needle", "What {is} it?", "The {truth}", "An {answer}."))
    assert (asked.system, asked.text) == ("You are a helpful assistant.", _ASKED)
    again = prompt(JudgeItem("a", "needle", "What {is} it?", "The {truth}", "An {answer}."), "give a number")
    assert again.text == f"{_ASKED}\n\nYour last reply could not be read: give a number."


@pytest.mark.parametrize(
    ("protocol", "reference", "response"),
    [
        ("flagembedding", NEEDLE.strip(), "Eat."),
        ("qlora", NEEDLE.strip(), "\nEat.\nSleep."),
        ("official", NEEDLE, "\nEat.\nSleep."),
    ],
)
def test_each_protocol_shows_the_judge_its_part(protocol: str, reference: str, response: str) -> None:
    (item,) = items_of(row_of("Needle"), protocol, [needle("\nEat.\nSleep.")])
    assert item == JudgeItem("1000/0", "needle", QUESTION, reference, response)


@pytest.mark.parametrize(
    ("label", "answer", "ending"),
    [
        ("The role of art", "It was art.", "The ground truth is The role of art, the model prediction is 'It was art."),
        ("The role of art", "Art, I think.", "The ground truth is The role of art, the model prediction is 'A"),
        ("Tea, and salt", "Tea.", "The ground truth is Tea, the model prediction is nd sa"),
        ("Tea", "Tea\nor salt", "The ground truth is Tea, the model prediction is 'Tea\\nor salt"),
    ],
)
def test_a_topic_is_judged_as_its_script_cuts_its_line(label: str, answer: str, ending: str) -> None:
    (item,) = items_of(row_of("LongEvalTopics"), "official", [Answer("5/0", "5", (label,), text=answer)])
    asked = prompt(item)
    assert asked.system == ""
    assert asked.text.startswith("I am testing whether a LLM model can correctly retreieve the first topic, and would")
    assert asked.text.endswith(ending)


@pytest.mark.parametrize(
    ("scale", "reply", "grade"),
    [
        ("needle", "It is right. Rating: [[10]]", 10),
        ("needle", "[[1]] rather than [[7]]", 1),
        ("needle", "<think>[[3]]</think>Rating: [[7]]", 7),
        ("topic", "1", 1),
        ("topic", " 0\n", 0),
    ],
)
def test_grades_are_read(scale: Any, reply: str, grade: int) -> None:
    assert read_grade(reply, JudgeItem("a", scale, "", "", ""), 1) == grade


@pytest.mark.parametrize(
    ("scale", "reply"),
    [
        *(("needle", reply) for reply in ("10", "[[0]]", "[[11]]", "[[7.5]]", "[[ 7 ]]", "[[07]]", "")),
        *(("topic", reply) for reply in ("1.", "yes", "2", "", "1 or 0", "１")),
    ],
)
def test_what_is_no_grade_is_asked_for_again(scale: Any, reply: str) -> None:
    with pytest.raises(ValueError, match=r"^give "):
        read_grade(reply, JudgeItem("a", scale, "", "", ""), 1)


class Scripted:
    """A judge that says what a function says of a prompt."""

    def __init__(self, says: Callable[[str], str], **settings: Any) -> None:
        self.spec = SimpleNamespace(name="o/judge", as_dict=lambda: settings)
        self.asked: list[str] = []
        self._says = says

    def answers(self, prompts: Iterable[Prompt], *, max_new_tokens: int) -> Iterator[tuple[int, str]]:
        for at, each in enumerate(prompts):
            self.asked.append(each.text)
            yield at, self._says(each.text)


def saved(texts: Sequence[str]) -> Saved:
    return Saved(row_of("Needle"), "qlora", tuple(needle(text, 10 * at) for at, text in enumerate(texts)))


def test_answers_are_graded_once(tmp_path: Path) -> None:
    file, answers = tmp_path / "run" / "judgements.jsonl", saved(["right", "wrong"])
    model = Scripted(lambda text: "[[10]]" if "right\n[The End" in text else "[[2]]")
    assert Judge(model, file).planned(answers) == "Needle: 2 calls of o/judge; 0 answers are judged already"
    assert model.asked == []
    seen: list[str] = []
    judged = Judge(model, file).grade(answers, seen.append)
    assert (judged.grades, judged.failed, judged.calls, judged.cached) == ({"1000/0": 10, "1000/10": 2}, {}, 2, 0)
    assert seen == ["1000/0", "1000/10"]
    assert lines(answers, judged) == [
        "Needle, judged by o/judge: 6.00, of grades from 1 to 10 (2 calls, 0 from an earlier run)"
    ]
    grid = judged_grid(answers, judged)
    assert grid is not None
    assert (grid.metric, grid.share, grid.values) == ("judged by o/judge", False, [[1.0], [0.2]])
    again = Judge(model, file).grade(answers)
    assert (again.grades, again.calls, again.cached) == (judged.grades, 0, 2)
    assert Judge(model, file).planned(saved(["right", "other"])) == (
        "Needle: 1 call of o/judge; 1 answer is judged already"
    )
    assert Judge(Scripted(lambda text: "[[5]]", seed=1), file).grade(answers).cached == 0


def test_a_reply_that_is_no_grade_is_asked_for_three_times(tmp_path: Path) -> None:
    model = Scripted(lambda text: "[[4]]" if "could not be read: give a whole" in text and "slow" in text else "four")
    answers = saved(["slow", "never"])
    judged = Judge(model, None).grade(answers)
    assert judged.grades == {"1000/0": 4}
    assert list(judged.failed) == ["1000/10"]
    assert judged.calls == len(model.asked) == 2 + 2 + 1
    assert lines(answers, judged)[1].startswith("1 answer got no grade and count")


def test_a_grade_that_is_not_possible_is_not_taken_from_the_file(tmp_path: Path) -> None:
    file = tmp_path / "judgements.jsonl"
    Judge(Scripted(lambda text: "[[4]]"), file).grade(saved(["a"]))
    for grade in (0, 11, True, "4", None):
        row = json.loads(file.read_text(encoding="utf-8").splitlines()[0]) | {"grade": grade}
        file.write_text(json.dumps(row) + "\n", encoding="utf-8")
        assert Judge(Scripted(lambda text: "[[4]]"), file).planned(saved(["a"])).startswith("Needle: 1 call ")


def test_topics_are_right_or_wrong() -> None:
    answers = Saved(
        row_of("LongEvalTopics"),
        "official",
        tuple(
            Answer(f"5/{at}", "5", ("tea",), Cell(5, 0), text=text) for at, text in enumerate(["tea", "salt", "tea"])
        ),
    )
    judged = Judge(Scripted(lambda text: str(int("'tea" in text))), None).grade(answers)
    assert judged.grades == {"5/0": 1, "5/1": 0, "5/2": 1}
    assert lines(answers, judged)[0].startswith("LongEvalTopics, judged by o/judge: 66.67 percent right")
    grid = judged_grid(answers, judged)
    assert grid is not None
    assert (grid.share, grid.column(0).value) == (True, pytest.approx(2 / 3))


def test_other_tasks_have_no_judge() -> None:
    assert not is_judged(Saved(row_of("Passkey"), "qlora", (Answer("1/0", "1", ("1",)),)))
    assert is_judged(saved(["a"]))
    with pytest.raises(BadData, match="does not say what was asked; evaluate the task again"):
        items_of(row_of("Needle"), "qlora", [Answer("1/0", "1", ("x",))])


def test_flags_of_a_judge_need_one() -> None:
    parser = ArgumentParser()
    add_judge(parser)
    assert loaded_judge(parser.parse_args([])) is None
    for flags in (["--dry-run"], ["--judge-base", "http://localhost:1/v1"]):
        with pytest.raises(BadInput, match="need --judge MODEL"):
            loaded_judge(parser.parse_args(flags))
    planned = loaded_judge(parser.parse_args(["--judge", "j", "--judge-base", "http://localhost:1/v1", "--dry-run"]))
    assert Judge(planned, None).planned(saved(["a"])) == "Needle: 1 call of api/j; 0 answers are judged already"
    with pytest.raises(BadInput, match="a dry run asks nothing"):
        Judge(planned, None).grade(saved(["a"]))


def test_a_run_is_judged_and_its_maps_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Scripted(lambda text: "[[10]]" if "right\n[The End" in text else "[[1]]")
    answers = [saved(["right", "wrong"]), Saved(row_of("Passkey"), "qlora", (Answer("1/0", "1", ("1",)),))]
    assert judge_run(tmp_path, answers, model, dry_run=True) == {}
    assert capsys.readouterr().out == "Needle: 2 calls of o/judge; 0 answers are judged already\n"
    assert model.asked == []
    found = judge_run(tmp_path, answers, model)
    assert found.keys() == {"Needle"}
    assert (found["Needle"]["judge"], sorted(found["Needle"]["grades"].values())) == ("o/judge", [1, 10])
    assert found["Needle"]["failed"] == {}
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Needle (qlora), judged by o/judge in percent"
    assert printed[2].split() == ["1,000", "100", "10", "55.0"]
    assert printed[-1].startswith("Needle, judged by o/judge: 5.50, of grades from 1 to 10 (2 calls, ")
    assert (tmp_path / "flagbench" / "judgements.jsonl").is_file()
    with pytest.raises(BadInput, match="has no needles and no topics"):
        judge_run(tmp_path, answers[1:], model)
