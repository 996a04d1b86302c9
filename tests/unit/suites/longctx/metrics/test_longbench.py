"""LongBench's metrics: values of the public functions (LongBench 2e00731, FlagEmbedding 7ed43d6) on each rule."""

from __future__ import annotations

import marshal
import tempfile
from pathlib import Path

import pytest

from flagbench import BadData
from flagbench.suites.longctx.metrics import segmentation
from flagbench.suites.longctx.metrics.longbench import CHINESE, METRICS, classification, paragraph_of, score
from flagbench.suites.longctx.metrics.similarity import ratio

CLASSES = (
    "Manner of an action",
    "Reason",
    "Individual",
    "Invention, book and other creative piece",
    "Description of something",
    "Description of a person",
    "Group or organization of person",
    "Person",
)

# metric, prediction, gold, then the value by LongBench's metrics.py and FlagEmbedding's activation_beacon and
# longllm_qlora (main/longbench_utils.py), with rouge 1.0.1, fuzzywuzzy 0.18.0 and Levenshtein 0.27.5
GOLDENS = [
    ("qa_f1", "The Eiffel Tower, in Paris.", "eiffel tower", 0.666667, 0.666667, 0.666667),
    ("qa_f1", "", "paris", 0.0, 0.0, 0.0),
    ("qa_f1", "a an the", "the", 0.0, 0.0, 0.0),
    ("qa_f1", "Yes yes no", "yes no no", 0.666667, 0.666667, 0.666667),
    ("qa_f1", "naïve—café", "naïve café", 0.0, 0.0, 0.0),
    ("classification", "Type: Person", "Person", 1.0, 1.0, 1.0),
    ("classification", "Description of a person Person", "Description of a person", 0.5, 0.5, 0.5),
    ("classification", "Nothing here", "Reason", 0.0, 0.0, 0.0),
    ("classification", "reason", "Reason", 0.0, 0.0, 1.0),
    ("classification", "Descripton of somethin", "Description of something", 0.0, 0.0, 1.0),
    ("code_similarity", "\n\nreturn x + 1\nfoo", "return x + 1", 1.0, 1.0, 1.0),
    ("code_similarity", "# comment\n// c\n    return y", "return x", 0.7, 0.7, 0.7),
    ("code_similarity", "", "", 1.0, 1.0, 1.0),
    ("code_similarity", "`a`\n", "b", 0.0, 0.0, 0.0),
    ("code_similarity", "\n   \nreturn z", "return z", 0.18, 0.18, 0.18),
    ("retrieval", "12 or 3", "Paragraph 3", 0.5, 0.5, 0.5),
    ("retrieval", "none", "Paragraph 3", 0.0, 0.0, 0.0),
    ("count", "There are 7 paragraphs", "7", 1.0, 1.0, 1.0),
    ("count", "seven", "7", 0.0, 0.0, 0.0),
    (
        "rouge_l",
        "The report covers budget. It recommends cuts.",
        "The report recommends cuts. It covers the budget.",
        0.933333,
        0.933333,
        0.933333,
    ),
    ("rouge_l", "", "x", 0.0, 0.0, 0.0),
    ("rouge_l", "same text", "same text", 1.0, 1.0, 1.0),
    ("rouge_l", "a b c d", "a c b d", 0.75, 0.75, 0.75),
]


@pytest.mark.parametrize(("metric", "prediction", "gold", "official", "beacon", "qlora"), GOLDENS)
def test_values_of_the_public_functions(
    metric: str, prediction: str, gold: str, official: float, beacon: float, qlora: float
) -> None:
    for protocol, value in (("official", official), ("flagembedding", beacon), ("qlora", qlora)):
        found = score("any", metric, prediction, [gold], CLASSES, protocol)
        assert found == pytest.approx(value, abs=5e-7), protocol


def test_of_two_names_in_a_row_the_second_is_not_removed() -> None:
    classes = ("Food", "Food in cans", "Food in cans and jars")
    answer = "Food in cans and jars"
    # Both shorter names are parts of the right one; taking out the first moves the second to its place.
    assert classification(answer, answer, classes, nearest=False) == 0.5
    assert classification(answer, answer, ("Other", "Food", answer), nearest=False) == 1.0


def test_the_nearest_class_counts_only_where_none_is_named() -> None:
    assert classification("Reason, or Person", "Individual", CLASSES, nearest=True) == 0.0
    assert classification("", "Individual", CLASSES, nearest=True) == 0.0


def test_the_best_reference_counts() -> None:
    assert score("qasper", "qa_f1", "yes", ["no", "yes"], (), "official") == 1.0
    assert score("qasper", "qa_f1", "yes", [], (), "official") == 0.0


@pytest.mark.parametrize(("task", "value"), [("triviaqa", 1.0), ("trec", 1.0), ("hotpotqa", 0.5)])
def test_of_four_tasks_the_first_line_counts(task: str, value: float) -> None:
    assert score(task, "qa_f1", "\n\nParis\nPassage: no", ["Paris"], (), "official") == value


def test_the_right_answer_of_a_retrieval_names_a_paragraph() -> None:
    assert METRICS["retrieval_zh"]("段落12", "段落12") == 1.0
    with pytest.raises(BadData, match="does not name a paragraph"):
        paragraph_of("retrieval", "3")


def test_f1_in_chinese_counts_words() -> None:
    pytest.importorskip("jieba", reason="the extra longctx is not installed")
    # jieba cuts 北京大学 | 生物系 and 北京大学 | 化学系: one word of two each.
    assert METRICS["qa_f1_zh"]("北京大学，生物系。", "北京大学化学系") == 0.5
    assert METRICS["qa_f1_zh"]("。", "北京") == 0.0
    assert set(METRICS) > CHINESE


def test_jieba_neither_reads_nor_leaves_a_file_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jieba", reason="the extra longctx is not installed")
    (tmp_path / "jieba.cache").write_bytes(marshal.dumps(({"北": 1}, 1)))  # by which 北京 would be two words
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    segmentation._tokenizer.cache_clear()
    assert segmentation.cut("北京") == ["北京"]
    assert [each.name for each in tmp_path.iterdir()] == ["jieba.cache"]


def test_ratios_are_rounded_half_to_even() -> None:
    assert ratio("a" * 5, "a" * 3) == 75
    assert ratio("abcdefgh", "a") == 22  # 2/9
    assert ratio("ab", "aaaaaaaaaaaaaa") == 12  # 2/16 is 12.5 percent
    assert ratio("", "") == 100
    assert ratio("a", "") == ratio("", "a") == 0
