from collections import Counter

import numpy as np
import pytest

from flagbench import BadInput
from flagbench.models.baselines.letters import FirstLetter, MajorityLetter, RandomLetter, offered
from flagbench.models.loading.overrides import Overrides
from flagbench.models.loading.registry import published
from flagbench.models.loading.resolve import has_files, resolve_generator, resolve_model
from flagbench.models.video import VideoSettings
from flagbench.runners.commands.show import settings_line
from tests.answering import answers_of, asking
from tests.saying import saying
from tests.unit.checkpoint_files import has_line

OPTIONS = {"trust_remote_code": False, "allow_pickle": False}
NAMES = ["flagbench/first-letter", "flagbench/random-letter"]


def ask(number, letters="ABCD"):
    options = "\n".join(f"({letter}) {letter.lower()}{number}" for letter in letters)
    user = f"Question: what is (Z) {number}?\nOptions:\n{options}\nOnly give the best option."
    return asking("system", user, "Best Option: (")


def baseline(model, **said):
    return resolve_generator(model, None, VideoSettings(64, max_pixels=9, sampler="mlvu"), saying(**said), **OPTIONS)


def load(name):
    return baseline(name).load(device="cpu", batch_size=None, **OPTIONS)


@pytest.mark.parametrize(("name", "kind"), [*zip(NAMES, [FirstLetter, RandomLetter], strict=True)])
def test_a_baseline_is_a_generator_without_files_that_sees_no_frames(name, kind):
    model = baseline(name)
    adapter = load(name)

    assert isinstance(adapter, kind)
    assert adapter.capabilities == {"generate"}
    assert (adapter.spec.ability, adapter.spec.name) == ("generate", name)
    assert model.checkpoint is None
    assert not has_files(name)
    assert model.spec.own == VideoSettings(0, max_pixels=9, sampler="mlvu")
    assert has_line(model.evidence, "no videos")
    assert "no frames" in settings_line(model.spec)
    assert "fp32" not in settings_line(model.spec)


def test_the_first_letter():
    model = load(NAMES[0])

    assert answers_of(model, [ask(1), ask(2, "ABCDEF")], 1) == ["A", "A"]
    assert [int(each.argmax()) for each in model.score_options([ask(1)], [["A", "B", "C"]])] == [0]


@pytest.mark.parametrize("letters", ["AB", "ABCD", "ABCDEF"])
def test_random_letters_are_uniform_over_those_that_are_offered(letters):
    model = load(NAMES[1])
    prompts = [ask(number, letters) for number in range(3000)]
    counts = Counter(answers_of(model, prompts, 1))
    expected = 3000 / len(letters)

    assert sorted(counts) == list(letters)
    # Chi-squared beyond this is less likely than one in a thousand for five degrees of freedom.
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 20.5


def test_random_letters_are_the_same_for_the_same_question():
    prompts = [ask(number) for number in range(50)]
    first = answers_of(load(NAMES[1]), prompts, 1)

    assert answers_of(load(NAMES[1]), prompts[::-1], 9)[::-1] == first
    assert first == answers_of(load(NAMES[1]), prompts, 1)


def test_random_options_are_the_letters_that_are_written():
    model, prompts = load(NAMES[1]), [ask(number) for number in range(50)]
    scores = model.score_options(prompts, [list("ABCD")] * 50)

    assert all(each.dtype == np.float32 and np.isfinite(each).all() for each in scores)
    assert ["ABCD"[int(each.argmax())] for each in scores] == answers_of(model, prompts, 1)


def test_without_options_there_is_nothing_to_choose():
    open_question = asking("system", "What happens?")

    assert answers_of(load(NAMES[1]), [open_question], 9) == [""]
    assert [len(each) for each in load(NAMES[1]).score_options([open_question], [[]])] == [0]
    assert [len(each) for each in load(NAMES[0]).score_options([open_question], [[]])] == [0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("said", [{"dtype": "bf16"}, {"max_length": 9}, {"family": "bge-zh"}, {"adapters": ("a",)}])
def test_flags_that_do_not_apply_are_refused(name, said):
    with pytest.raises(BadInput, match=name) as caught:
        baseline(name, **said)
    assert "\n" not in str(caught.value)


def test_the_letters_that_are_offered_begin_their_lines():
    text = "(B) two\n(A) one (Z)\n (Y) x\n(B) again\n(c) small\n(D)"

    assert offered(asking("(X) system", text, "(W)")) == ["A", "B", "D"]


def test_a_name_of_its_own():
    assert baseline(NAMES[0], name="my/floor").spec.name == "my/floor"


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_of_texts_has_no_use_for_them(name):
    with pytest.raises(BadInput, match=r"answers questions on videos.*a benchmark that asks questions") as caught:
        resolve_model(name, None, Overrides(), **OPTIONS)
    assert "\n" not in str(caught.value)


def test_the_row_says_nothing_of_videos():
    assert published()[NAMES[0]].own is None
    assert "video" not in published()[NAMES[0]].as_dict()


MAJORITY = published()["flagbench/majority-letter"]


@pytest.mark.parametrize(
    ("golds", "letter"), [("BCB", "B"), ("CBBC", "B"), ("D", "D"), ("", "A"), ("ABCCBA", "A")], ids=str
)
def test_the_majority_letter_is_the_most_frequent_and_the_first_of_equals(golds, letter):
    model = MajorityLetter(MAJORITY, golds)

    assert answers_of(model, [ask(1, "ABCD"), ask(2, "ABCD")], 1) == [letter, letter]
    assert [int(each.argmax()) for each in model.score_options([ask(1)], [list("DCBA")])] == ["DCBA".index(letter)]
    assert answers_of(model, [asking("system", "What happens?")], 9) == [""]


def test_the_option_that_is_answered_is_certain_and_the_first_where_the_letter_is_none_of_them():
    majority = MajorityLetter(MAJORITY, "EEA")

    assert [each.tolist() for each in majority.score_options([ask(1), ask(2)], [list("DEA"), list("ABC")])] == [
        [-100.0, 0.0, -100.0],
        [0.0, -100.0, -100.0],
    ]
    assert [each.tolist() for each in load(NAMES[0]).score_options([ask(1)], [["C", "B"]])] == [[0.0, -100.0]]


def test_the_majority_letter_of_no_task_is_no_answer():
    model = baseline("flagbench/majority-letter").load(device="cpu", batch_size=None, **OPTIONS)

    with pytest.raises(BadInput, match="flagbench/majority-letter needs the right answers"):
        answers_of(model, [ask(1)], 1)
