import pytest

from flagbench import (
    AbsentData,
    BadData,
    BadInput,
    FlagbenchError,
    ModelFault,
    NoHub,
    UnknownName,
    counted,
    first_few,
    known_name,
)


def test_unknown_name_offers_the_nearest_whatever_the_case():
    message = str(UnknownName("task", "t2retreival", ["T2Retrieval", "Cmnli", "STSB"]))

    assert "unknown task 't2retreival'" in message
    assert "did you mean T2Retrieval?" in message
    assert "Cmnli" not in message


def test_unknown_name_offers_several_near_names():
    message = str(UnknownName("model", "bge-small", ["bge-small-zh", "bge-small-en", "gte-qwen"]))

    assert "bge-small-zh or bge-small-en?" in message or "bge-small-en or bge-small-zh?" in message
    assert "gte-qwen" not in message


def test_unknown_name_offers_names_by_their_part_behind_the_organisation():
    names = ["sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L12-v2", *map(str, range(40))]
    for part in ("all-minilm", "all-MiniLM-L6"):
        assert "did you mean sentence-transformers/all-MiniLM-L6-v2" in str(UnknownName("model", part, names))
    assert "did you mean sentence-transformers/all-MiniLM-L6-v2 or " in str(UnknownName("model", "all-minilm6", names))
    assert str(UnknownName("model", "zh", [*names, "organisation-of-some-name/other-zh-model"])) == "unknown model 'zh'"


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("lcqmc", ["LCQMC", "ATEC"], "LCQMC"),
        ("Ab", ["AB", "Ab"], "Ab"),
        ("ab", ["AB", "Ab"], None),
        ("AT", ["LCQMC", "ATEC"], None),
    ],
)
def test_a_known_name_goes_by_itself_and_in_any_letters_where_it_is_the_only_one(name, known, meant):
    if meant:
        assert known_name("task", name, known) == meant
        return
    with pytest.raises(UnknownName, match=f"^unknown task '{name}'"):
        known_name("task", name, known)


def test_unknown_name_lists_none_where_none_is_known():
    assert str(UnknownName("task", "zzzz", [], "see there")) == "unknown task 'zzzz'; see there"


def test_unknown_name_lists_the_known_ones_when_none_is_near():
    assert "known: core, multilingual" in str(UnknownName("group", "zzzz", ["multilingual", "core"]))


def test_unknown_name_lists_nothing_when_there_are_many():
    names = [f"Task{number}" for number in range(40)]

    message = str(UnknownName("task", "zzzzzz", names))

    assert not any(name in message for name in names)


def test_unknown_name_ends_with_the_hint():
    assert str(UnknownName("task", "zzz", ["core"], "see flagbench list tasks")).endswith("see flagbench list tasks")


def test_unknown_name_takes_known_names_from_an_iterator():
    assert "known: core" in str(UnknownName("group", "zzz", iter(["core"])))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FlagbenchError("x"), 1),
        (ModelFault("x"), 1),
        (BadInput("x"), 2),
        (UnknownName("task", "x", ["y"]), 2),
        (BadData("x"), 2),
        (AbsentData("x"), 2),
        (NoHub("x"), 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_exit_codes(error, code):
    assert isinstance(error, FlagbenchError)
    assert error.exit_code == code


def test_a_model_fault_is_not_the_users_fault():
    assert not issubclass(ModelFault, BadInput)
    assert issubclass(AbsentData, BadData)
    assert not issubclass(NoHub, BadData)


def test_the_first_few_of_many_are_named() -> None:
    assert first_few(["a", "b"], 2) == "a, b"
    assert first_few(range(1_234), 2) == "0, 1 and 1,232 more"
    assert first_few("abc", 1, "; ") == "a; and 2 more"
    assert first_few([]) == ""
    assert first_few(range(5)) == "0, 1, 2, 3, 4"
    assert first_few(range(6)) == "0, 1, 2, 3, 4 and 1 more"


def test_numbers_of_things_are_said_as_people_say_them() -> None:
    assert [counted(number, "task") for number in (0, 1, 1_024)] == ["0 tasks", "1 task", "1,024 tasks"]


@pytest.mark.parametrize(
    ("name", "known", "hint", "said"),
    [
        ("zz", "lkjihgfedcba", "", "unknown flag 'zz'; known: a, b, c, d, e, f, g, h, i, j, k, l"),
        ("zz", "mlkjihgfedcba", "", "unknown flag 'zz'"),
        ("zz", "mlkjihgfedcba", "see --help", "unknown flag 'zz'; see --help"),
        ("TASK", ["Task"], "see all", "unknown flag 'TASK'; did you mean Task?; see all"),
        ("task", ["task1", "task2", "task3", "task4"], "", "did you mean task4 or task3 or task2?"),
        ("ab", ["abcd"], "", "did you mean abcd?"),
        ("ab", ["abcdefgh"], "", "unknown flag 'ab'; known: abcdefgh"),
    ],
)
def test_an_unknown_name_whole(name: str, known: list[str], hint: str, said: str) -> None:
    """The nearest three; where none is near all of them, in order, unless they are more than a dozen."""
    message = str(UnknownName("flag", name, known, hint))
    assert message == said or message == f"unknown flag '{name}'; {said}"
