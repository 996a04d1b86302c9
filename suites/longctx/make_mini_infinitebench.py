"""Writes miniature rows of InfiniteBench, in the hub's layout:
``python -m flagbench.suites.longctx.make_mini_infinitebench DIR``.

All texts are FlagBench's own. Each task has three rows, whose answers stand in their contexts or follow from them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flagbench.suites.longctx.make_mini_longbench import CHINESE, KEEPERS, LIGHTHOUSES

DATASET = "xinrongzhang2022/InfiniteBench"
_ROWS = 3
_NOISE = "The tide comes in. The tide goes out. The lamp turns. "


def rows() -> Mapping[str, list[dict[str, Any]]]:
    """The rows of each task."""
    return {task: [{"id": number, **make(number)} for number in range(_ROWS)] for task, make in _MAKERS.items()}


def write(folder: Path) -> None:
    """Write the files of all tasks, below their dataset."""
    data = folder / DATASET
    data.mkdir(parents=True, exist_ok=True)
    for task, made in rows().items():
        lines = [json.dumps(each, ensure_ascii=False) for each in made]
        (data / f"{task}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(context: str, given: str, answer: Any, options: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"context": context, "input": given, "answer": answer, "options": list(options)}


def _book() -> str:
    return "\n\n".join(
        f"At {place} the light was {colour}. {keeper} kept it, and by day {keeper} {work}."
        for place, (keeper, colour, work) in KEEPERS.items()
    )


def _key(digits: int) -> Callable[[int], dict[str, Any]]:
    def make(number: int) -> dict[str, Any]:
        key = str(3**12 * (number + 2))[:5] * (digits // 5)
        what = "The pass key is" if digits == 5 else "The sequence of digits is"
        hidden = f"{what} {key}. Remember it. {key} it is. "
        return _row(
            _NOISE * 4 * (number + 1) + hidden + _NOISE * 4, f"{what[:-3].replace('The', 'What is the')}?", [key]
        )

    return make


def _value(number: int) -> dict[str, Any]:
    pairs = {f"key-{place}-{7919 * (place + 1)}": f"value-{place}-{104729 * (place + 1)}" for place in range(9)}
    key = tuple(pairs)[3 * number]
    return _row(
        f"JSON data:\n{json.dumps(pairs)}",
        f'\nKey: "{key}"\nThe value associated with the specified key is: ',
        pairs[key],
    )


def _summary(number: int) -> dict[str, Any]:
    keepers = [f"{keeper} keeps {place}" for place, (keeper, _, _) in KEEPERS.items()]
    return _row(_book(), "", [". ".join(keepers[number : number + 4]) + "."])


def _choice(number: int) -> dict[str, Any]:
    places = LIGHTHOUSES[number : number + 4]
    answer = KEEPERS[places[number]][0]
    return _row(_book(), f"Who kept {places[number]}?", [answer], tuple(KEEPERS[each][0] for each in places))


def _question(number: int) -> dict[str, Any]:
    place = LIGHTHOUSES[number]
    return _row(
        _book(), f"What did the keeper of {place} do by day?", [KEEPERS[place][2], KEEPERS[place][2].split()[-1]]
    )


def _question_in_chinese(number: int) -> dict[str, Any]:
    place, (keeper, _) = tuple(CHINESE.items())[number]
    book = "".join(f"{each}的灯由{who}看守，{who}白天{work}。" for each, (who, work) in CHINESE.items())
    return _row(book, f"谁看守{place}的灯？", [keeper])


def _dialogue(number: int) -> dict[str, Any]:
    names = [keeper.split()[0].upper() for keeper, _, _ in KEEPERS.values()]
    lines = [f"{name}: The lamp of {place} is lit." for name, place in zip(names, LIGHTHOUSES, strict=True)]
    asked = LIGHTHOUSES[number]
    lines.append(f"$$MASK$$: I say it again, the lamp of {asked} is lit.")
    name = KEEPERS[asked][0].upper()
    return _row("\n".join(lines), "", [name.split()[0], name])


def _find(number: int) -> dict[str, Any]:
    values = [(37 * place + 11 * number) % 89 for place in range(30)]
    what, answer = (("largest", max(values)), ("smallest", min(values)), ("second largest", sorted(set(values))[-2]))[
        number
    ]
    return _row(
        str(values),
        f"You should answer with only one number, no other words. The {what} number of the list is: ",
        [answer],
    )


def _calculation(number: int) -> dict[str, Any]:
    values = [(29 * place + 7 * (number + 1)) % 50 for place in range(12)]
    text, sums = str(values[0]), [values[0]]
    for value in values[1:]:
        sign = -1 if value < sums[-1] else 1
        text += f" {'+' if sign > 0 else '-'} {value}"
        sums.append(sums[-1] + sign * value)
    return _row(text, "", [sums])


def _run(number: int) -> dict[str, Any]:
    code = "\n\n".join(
        f"def func_{place}(x):\n    return {f'func_{place - 1}(x)' if place else 'x'} + {place + 2}"
        for place in range(6)
    )
    name = 2 * number + 1
    answer = -5 + sum(place + 2 for place in range(name + 1))
    return _row(code, f"Please give me the exact number of the return value of func_{name}(-5).", [answer])


def _debug(number: int) -> dict[str, Any]:
    names = ("lamp", "fog_horn", "flag", "bell")
    code = "\n\n".join(
        f"def {name}(state):\n    state.{name} = {'sate' if place == number else 'state'}.on\n    return state"
        for place, name in enumerate(names)
    )
    return _row(code, "Which function has the deliberate error?", names[number], names)


_MAKERS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "passkey": _key(5),
    "number_string": _key(10),
    "kv_retrieval": _value,
    "longbook_sum_eng": _summary,
    "longbook_choice_eng": _choice,
    "longbook_qa_eng": _question,
    "longbook_qa_chn": _question_in_chinese,
    "longdialogue_qa_eng": _dialogue,
    "math_find": _find,
    "math_calc": _calculation,
    "code_run": _run,
    "code_debug": _debug,
}

if __name__ == "__main__":
    write(Path(sys.argv[1]))
