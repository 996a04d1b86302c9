"""Writes miniature rows of LongBench in its layout: ``python -m flagbench.suites.longctx.make_mini_longbench DIR``.

All texts are FlagBench's own, about keepers of lighthouses. Each task has three rows, whose answers stand in their
contexts; of LongBench-E one is of each length, by what its row says of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DATASET = "THUDM/LongBench"
LENGTHS = (1_200, 5_200, 9_100)
"""Words that the rows say they have; the texts are short."""

KEEPERS: Mapping[str, tuple[str, str, str]] = {
    "Northhead": ("Alma Reed", "blue", "repairs clocks"),
    "Gull Rock": ("Tomas Vik", "red", "bakes rye bread"),
    "Salt Point": ("Irene Okoye", "green", "breeds pigeons"),
    "Low Island": ("Pavel Horn", "white", "paints boats"),
    "Cape Morrow": ("Nadia Bell", "yellow", "collects maps"),
    "Drift Bay": ("Samuel Lund", "orange", "carves whistles"),
}
"""By lighthouse: its keeper, the colour of its light, and what the keeper does by day."""
LIGHTHOUSES = tuple(KEEPERS)

CHINESE: Mapping[str, tuple[str, str]] = {
    "东山": ("李明", "修理钟表"),
    "白石": ("王芳", "烤黑麦面包"),
    "青湾": ("陈伟", "养鸽子"),
    "长沙洲": ("赵静", "给船刷漆"),
}

TYPES = ("Person", "Colour", "Place", "Habit of a person")
NEWS = ("体育", "航海", "教育")

Row = tuple[str, str, list[str]]
"""Input, context and answers."""


def rows() -> Mapping[str, list[Row]]:
    """The rows of each task."""
    return {task: [make(number) for number in range(len(LENGTHS))] for task, make in _MAKERS.items()}


def write(folder: Path) -> None:
    """Write the files of all tasks, below their dataset."""
    data = folder / DATASET / "data"
    data.mkdir(parents=True, exist_ok=True)
    for task, made in rows().items():
        for name in (task, f"{task}_e") if task in _EXTENDED else (task,):
            lines = [json.dumps(each, ensure_ascii=False) for each in _objects(name, task, made)]
            (data / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _objects(name: str, task: str, made: Sequence[Row]) -> Iterator[Mapping[str, Any]]:
    for number, (given, context, answers) in enumerate(made):
        yield {
            "input": given,
            "context": context,
            "answers": answers,
            "length": LENGTHS[number],
            "dataset": task,
            "language": "zh" if task in _IN_CHINESE else "en",
            "all_classes": list({"trec": TYPES, "lsht": NEWS}.get(task, ())) or None,
            "_id": f"{name}-{number}",
        }


def _passage(place: str) -> str:
    keeper, colour, work = KEEPERS[place]
    return f"The lighthouse of {place} shows a {colour} light. Its keeper, {keeper}, {work} by day and reads at night."


def _all(between: str = "\n\n") -> str:
    return between.join(_passage(place) for place in LIGHTHOUSES)


def _keeper(number: int) -> Row:
    place = LIGHTHOUSES[2 * number]
    return f"Who keeps the lighthouse of {place}?", _all(), [KEEPERS[place][0]]


def _colour_of_keeper(number: int) -> Row:
    keeper, colour, _ = KEEPERS[LIGHTHOUSES[number + 1]]
    return f"What colour is the light that {keeper} keeps?", _all(), [colour, f"{colour} light"]


def _unanswerable(number: int) -> Row:
    place = LIGHTHOUSES[number]
    if number == 2:
        return "How tall is the lighthouse of Cape Morrow?", _all(), ["unanswerable"]
    return f"Is the light of {place} {KEEPERS[place][1]}?", _all(), ["yes"]


def _summary(number: int) -> Row:
    places = LIGHTHOUSES[2 * number : 2 * number + 2]
    text = "\n".join(_passage(place) for place in places)
    answer = " ".join(f"{KEEPERS[place][0]} keeps {place} and {KEEPERS[place][2]}." for place in places)
    return "", text, [answer]


def _meeting(number: int) -> Row:
    place = LIGHTHOUSES[number]
    keeper, colour, _ = KEEPERS[place]
    text = f"Chair: What is new at {place}?\n{keeper}: The {colour} lamp is mended. I still do as before.\n{_all(' ')}"
    return f"What did {keeper} say of the lamp?", text, [f"{keeper} said that the {colour} lamp is mended."]


def _type(number: int) -> Row:
    shown = (
        "Question: Who keeps Northhead?\nType: Person\nQuestion: What light does Gull Rock show?\nType: Colour\n"
        "Question: Where does Pavel Horn live?\nType: Place\nQuestion: What does Irene Okoye do?\n"
        "Type: Habit of a person"
    )
    asked = ("Who keeps Drift Bay?", "Where does Nadia Bell live?", "What does Samuel Lund do?")[number]
    return f"Question: {asked}\nType:", shown, [("Person", "Place", "Habit of a person")[number]]


def _trivia(number: int) -> Row:
    first, place = LIGHTHOUSES[5], LIGHTHOUSES[number]
    shown = f"Passage:\n{_passage(first)}\nQuestion:\nWho keeps {first}?\nAnswer:\n{KEEPERS[first][0]}"
    return f"Passage:\n{_passage(place)}\nQuestion:\nWho keeps {place}?\nAnswer:\n", shown, [KEEPERS[place][0]]


def _dialogue(number: int) -> Row:
    keeper, _, work = KEEPERS[LIGHTHOUSES[number]]
    shown = (
        "Dialogue: Ann: Is the boat in?\nBo: At noon.\nSummary: The boat comes in at noon.\n"
        "Dialogue: Cy: Any post?\nDi: One letter for you.\nSummary: Cy has one letter."
    )
    asked = f"Dialogue: Ann: What does {keeper} do all day?\nBo: As ever, {keeper} {work}.\nSummary: "
    return asked, shown, [f"{keeper} {work}."]


def _count(number: int) -> Row:
    places = [LIGHTHOUSES[place % (number + 2)] for place in range(5)]
    text = "\n\n".join(f"Paragraph {row}: {_passage(place)}" for row, place in enumerate(places, 1))
    return "", text, [str(number + 2)]


def _retrieval(number: int) -> Row:
    text = "\n\n".join(f"Paragraph {row}: {_passage(place)}" for row, place in enumerate(LIGHTHOUSES, 1))
    keeper, _, work = KEEPERS[LIGHTHOUSES[number + 3]]
    return f"It is about {keeper}, who {work}.", text, [f"Paragraph {number + 4}"]


def _line(number: int) -> Row:
    names = ("lamp", "fog_horn", "flag")
    code = "\n".join(f"def {name}(state):\n    state.{name} = not state.{name}\n    return state\n" for name in names)
    name = names[number]
    return "", f"{code}\n\ndef twice_{name}(state):\n", [f"    return {name}({name}(state))"]


def _line_of_repository(number: int) -> Row:
    _, code, answers = _line(number)
    before, after = code.split("\n\n\n")
    return f"from lights import *\n\n\n{after}", f"# Path: lights.py\n{before}\n\n# Path: twice.py\n", answers


def _all_in_chinese() -> str:
    return "\n".join(
        f"{place}灯塔的看守人是{keeper}，他白天{work}，夜里读书。" for place, (keeper, work) in CHINESE.items()
    )


def _keeper_in_chinese(number: int) -> Row:
    place = tuple(CHINESE)[number]
    return f"{place}灯塔的看守人是谁？", _all_in_chinese(), [CHINESE[place][0]]


def _work_in_chinese(number: int) -> Row:
    keeper, work = tuple(CHINESE.values())[number + 1]
    return f"{keeper}白天做什么？", _all_in_chinese(), [f"{keeper}白天{work}。"]


def _meeting_in_chinese(number: int) -> Row:
    place, (keeper, work) = tuple(CHINESE.items())[number]
    return (
        "",
        f"主持人：{place}最近怎么样？\n{keeper}：灯已经修好了，我白天还是{work}。",
        [f"{place}的灯已修好，{keeper}白天{work}。"],
    )


def _news_in_chinese(number: int) -> Row:
    shown = "\n".join(
        f"新闻内容：{text}\n类别：{news}"
        for text, news in zip(("校队昨天赢了两场球。", "新灯塔为渔船引路。", "岛上小学开学了。"), NEWS, strict=True)
    )
    asked = ("长跑比赛在海边举行。", "大雾中三艘船安全入港。", "老师教孩子们认星星。")[number]
    return f"新闻内容：{asked}\n类别：", shown, [NEWS[number]]


def _retrieval_in_chinese(number: int) -> Row:
    lines = _all_in_chinese().split("\n")
    text = "\n\n".join(f"段落{row}：{line}" for row, line in enumerate(lines, 1))
    keeper, work = tuple(CHINESE.values())[number]
    return f"这段介绍了{keeper}，他{work}。", text, [f"段落{number + 1}"]


_MAKERS: Mapping[str, Callable[[int], Row]] = {
    "narrativeqa": _keeper,
    "qasper": _unanswerable,
    "multifieldqa_en": _colour_of_keeper,
    "multifieldqa_zh": _keeper_in_chinese,
    "hotpotqa": _colour_of_keeper,
    "2wikimqa": _keeper,
    "musique": _colour_of_keeper,
    "dureader": _work_in_chinese,
    "gov_report": _summary,
    "qmsum": _meeting,
    "multi_news": _summary,
    "vcsum": _meeting_in_chinese,
    "trec": _type,
    "triviaqa": _trivia,
    "samsum": _dialogue,
    "lsht": _news_in_chinese,
    "passage_count": _count,
    "passage_retrieval_en": _retrieval,
    "passage_retrieval_zh": _retrieval_in_chinese,
    "lcc": _line,
    "repobench-p": _line_of_repository,
}
_IN_CHINESE = frozenset({"multifieldqa_zh", "dureader", "vcsum", "lsht", "passage_retrieval_zh"})
_EXTENDED = frozenset(_MAKERS) - _IN_CHINESE - {"narrativeqa", "musique", "qmsum"}

if __name__ == "__main__":
    write(Path(sys.argv[1]))
