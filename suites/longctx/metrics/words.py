"""Words that two answers have in common: the F1 of SQuAD in English, and of words or characters in Chinese."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_CHINESE = (
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃"
    "》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."
)
"""Chinese punctuation as LongBench's metrics.py lists it; 《 is not in it."""
_CHINESE_PUNCTUATION = str.maketrans("", "", string.punctuation + _CHINESE)


def f1(prediction: Sequence[str], reference: Sequence[str]) -> float:
    """The F1 of two bags of tokens; 0 where they share none."""
    shared = (Counter(prediction) & Counter(reference)).total()
    if not shared:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(reference)
    return (2 * precision * recall) / (precision + recall)


def english(text: str) -> list[str]:
    """The words of a text in lower case, without ASCII punctuation and articles.

    Other punctuation stays, so ``naïve—café`` is one word.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def chinese(text: str) -> str:
    """A text in lower case, without punctuation and blanks."""
    return "".join(text.lower().translate(_CHINESE_PUNCTUATION).split())


def qa_f1(prediction: str, reference: str) -> float:
    """The F1 of the words of two answers."""
    return f1(english(prediction), english(reference))


def qa_f1_characters(prediction: str, reference: str) -> float:
    """The F1 of the characters of two Chinese answers."""
    return f1(chinese(prediction), chinese(reference))


def qa_f1_chinese(prediction: str, reference: str) -> float:
    """The F1 of the words of two Chinese answers, as jieba cuts them.

    Raises:
        BadInput: See ``segmentation.cut``.
    """
    from flagbench.suites.longctx.metrics.segmentation import cut

    def tokens(text: str) -> list[str]:
        return [word for each in cut(text) if (word := chinese(each))]

    return f1(tokens(prediction), tokens(reference))
