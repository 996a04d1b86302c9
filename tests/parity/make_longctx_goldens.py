"""Write tests/parity/goldens/longctx_metrics.json: what the packages give that LongBench and InfiniteBench score with.

Run it in an environment of its own, outside the checkout, as these packages are none of FlagBench's dependencies::

    python3 -m venv golden
    golden/bin/pip install rouge==1.0.1 rouge_score==0.1.2 fuzzywuzzy==0.18.0 Levenshtein==0.27.5 jieba==0.42.1
    golden/bin/python tests/parity/make_longctx_goldens.py
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import jieba
from fuzzywuzzy import fuzz
from rouge import Rouge
from rouge_score import rouge_scorer

FILE = Path(__file__).parent / "goldens" / "longctx_metrics.json"

WORDS = (
    "the",
    "a",
    "report",
    "covers",
    "budget",
    "budget.",
    "It",
    "cuts.",
    "recommends",
    "New\n",
    "3.5",
    "naïve",
    "don't",
    "...",
)
CHINESE = (
    "会议讨论了明年的预算，并决定削减开支。",
    "明年的预算在会议上得到讨论，开支将被削减。",
    "北京大学生喝进口红酒。",
    "第3段落提到了南京市长江大桥",
    "",
    "。。。",
    "LongBench 有21个任务，其中5个是中文。",
    "共有 21 个任务（中文5个）",
)


def _texts(draw: random.Random, pairs: int) -> list[tuple[str, str]]:
    def text() -> str:
        words = draw.sample(WORDS, draw.randint(2, len(WORDS)))
        return " ".join(draw.choice(words) for _ in range(draw.randint(0, 25))).replace("\n ", "\n")

    return [(text(), text()) for _ in range(pairs)]


def _rouge(prediction: str, reference: str) -> list[float]:
    try:
        found = Rouge().get_scores([prediction], [reference], avg=True)["rouge-l"]
    except ValueError:  # "Hypothesis is empty."
        return [0.0, 0.0, 0.0]
    return [found["r"], found["p"], found["f"]]


def main() -> None:
    """Write the file."""
    draw = random.Random(20)
    scorer = rouge_scorer.RougeScorer(["rougeLsum"])
    rows = [
        {
            "prediction": prediction,
            "reference": reference,
            "rouge": _rouge(prediction, reference),
            "rougeLsum": scorer.score(reference, prediction)["rougeLsum"].fmeasure,
            "ratio": fuzz.ratio(prediction, reference),
        }
        for prediction, reference in _texts(draw, 60)
    ]
    pairs = [(first, second) for first in CHINESE for second in CHINESE if first != second]
    chinese = []
    for first, second in pairs:
        cuts = [list(jieba.cut(each, cut_all=False)) for each in (first, second)]
        chinese.append({"prediction": first, "reference": second, "rouge": _rouge(*map(" ".join, cuts))})
    words = {each: list(jieba.cut(each, cut_all=False)) for each in CHINESE}
    content = {"english": rows, "chinese": chinese, "words": words}
    FILE.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
