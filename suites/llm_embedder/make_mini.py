"""Writes the miniature data in the bundle's layout: ``python -m flagbench.suites.llm_embedder.make_mini FOLDER``.

All of it is about towns that do not exist, of which each passage says where one lies and what it is known for: a model
that matches words finds what is asked for, and a reader knows it from there alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

BUNDLE = "llm-embedder"

TOWNS: Mapping[str, tuple[str, str, str, str]] = {
    "Arvenholt": ("Norrland", "Isk", "Mira Tolven", "rye bread"),
    "Bellacosta": ("Sudria", "Lumo", "Pietro Anzi", "lemon ice"),
    "Castermoor": ("Albany Fells", "Wend", "Edith Crane", "mutton pie"),
    "Dunkeleiche": ("Waldmark", "Erlau", "Otto Brandt", "smoked trout"),
    "Elmsgate": ("Albany Fells", "Thrush", "Samuel Reed", "apple cider"),
    "Fjellvik": ("Norrland", "Skarn", "Ragna Holm", "dried cod"),
    "Granvalle": ("Sudria", "Oro", "Lucia Ferri", "chestnut cake"),
    "Hollowford": ("Albany Fells", "Mott", "Agnes Pike", "blue cheese"),
    "Istvanyi": ("Karpatia", "Tisla", "Janos Bekes", "plum jam"),
    "Jarovice": ("Karpatia", "Moravka", "Zuzana Kralova", "poppy rolls"),
}
"""Country, river, founder and food by town."""

VILLAGES: Mapping[str, tuple[str, str]] = {
    "Aldmoor": ("Albany Fells", "Cray"),
    "Askholt": ("Norrland", "Lyng"),
    "Balogvar": ("Karpatia", "Szena"),
    "Birkendorf": ("Waldmark", "Losse"),
    "Brackwater": ("Albany Fells", "Nidd"),
    "Cantaluna": ("Sudria", "Verno"),
    "Cinquefonti": ("Sudria", "Salso"),
    "Coldbeck": ("Albany Fells", "Yarrow"),
    "Dalsund": ("Norrland", "Vefsa"),
    "Domarovice": ("Karpatia", "Bystra"),
    "Eichengrund": ("Waldmark", "Aller"),
    "Eskvik": ("Norrland", "Rauma"),
    "Fenwarden": ("Albany Fells", "Lark"),
    "Fontebella": ("Sudria", "Tenna"),
    "Gorodvica": ("Karpatia", "Slana"),
    "Grimstadt": ("Waldmark", "Naab"),
    "Haverlund": ("Norrland", "Glomma"),
    "Hirschbronn": ("Waldmark", "Pegnitz"),
    "Ilmengrund am See": ("Waldmark", "Ilse"),
    "Kelemenes": ("Karpatia", "Kraszna"),
    "Kingsmere": ("Albany Fells", "Tamar"),
    "Kvalsten": ("Norrland", "Otra"),
    "Lindenspring": ("Waldmark", "Wupper"),
    "Lugavice": ("Karpatia", "Orava"),
    "Marchesana": ("Sudria", "Esino"),
    "Mossfoss": ("Norrland", "Numa"),
    "Nagyomlo": ("Karpatia", "Zagyva"),
    "Oakenham Cross": ("Albany Fells", "Teign"),
    "Pietranera": ("Sudria", "Foglia"),
    "Quarlington": ("Albany Fells", "Skerne"),
    "Rosenheide": ("Waldmark", "Jagst"),
    "Sandvolden": ("Norrland", "Driva"),
    "Solavento": ("Sudria", "Chienti"),
    "Szarvasfalu": ("Karpatia", "Ipoly"),
    "Tannenquell": ("Waldmark", "Saale"),
    "Torrevecchia": ("Sudria", "Aso"),
    "Undersund": ("Norrland", "Lagan"),
    "Velkadol": ("Karpatia", "Hron"),
    "Wetherlow Green": ("Albany Fells", "Wharfe"),
    "Zollernau": ("Waldmark", "Eyach"),
}
"""Country and river by village: passages that answer nothing, so that twenty of a corpus are not all of it."""

RELATIONS: Mapping[int, tuple[str, int]] = {
    182: ("In what country is {}?", 0),
    206: ("On which river does {} lie?", 1),
    112: ("Who founded {}?", 2),
    1056: ("What food is {} known for?", 3),
}
"""Of PopQA: a question, and which of a town's facts answers it, by the number of the relation."""

_HISTORIES = 6  # towns of whose relations PopQA's questions are made
_LETTERS = 4
_BOOK = 90  # times that a book goes through the towns


def write(folder: Path) -> None:
    """Write all files of the bundle.

    Args:
        folder: In which ``llm-embedder/`` is made.
    """
    bundle = folder / BUNDLE
    _tools(bundle / "tool/toolbench")
    _dialogues(bundle / "convsearch/qrecc")
    _questions(bundle / "qa")
    _examples(bundle / "icl/icl")
    _chats(bundle / "chat/msc")
    _lines(bundle / "lrlm/books3/test.json", ({"text": _book(start)} for start in range(2)))


def passage(town: str) -> str:
    """All that is known of a town."""
    country, river, founder, food = TOWNS[town]
    return f"{town} is a town in {country} on the river {river}. {founder} founded it, and it is known for its {food}."


def _village(name: str) -> str:
    """A passage in the words of a town's, of which no question is asked."""
    country, river = VILLAGES[name]
    return f"{name} is a village in {country} on the river {river}. Nobody knows who founded it, and few go there."


def _tools(folder: Path) -> None:
    tools = [
        f"Travel, {town} Guide, {what}, {does} {town}., required_params: [], optional_params: [], return_schema: {{}}"
        for town in TOWNS
        for what, does in (("Get weather", "Returns the weather of today in"), ("List hotels", "Lists all hotels in"))
    ]
    _lines(folder / "corpus.json", ({"text": tool} for tool in tools))
    queries: list[dict[str, Any]] = []
    for number, town in enumerate(TOWNS):
        weather, hotels = 2 * number, 2 * number + 1
        queries.append({"query": f"What is the weather in {town} today?", "pos_index": [weather]})
        queries.append({"query": f"I go to {town}: find hotels and the weather there", "pos_index": [weather, hotels]})
    queries[-1]["pos_index"] += queries[-1]["pos_index"][:1]  # as the published file lists some labels twice
    _lines(folder / "test.json", _numbered(queries, "tool"))


def _dialogues(folder: Path) -> None:
    _lines(folder / "corpus.json", ({"text": passage(town)} for town in TOWNS))
    queries = [
        {
            "query": f"Tell me about {town}. It is a town in {country}. Who founded {town}?",
            "answers": [founder],
            "pos_index": [number],
        }
        for number, (town, (country, _, founder, _)) in enumerate(TOWNS.items())
    ]
    _lines(folder / "test.concat.json", _numbered(queries, "convsearch"))


def _questions(folder: Path) -> None:
    corpus = [{"title": town, "text": passage(town)} for town in TOWNS]
    _lines(folder / "msmarco/corpus.json", corpus)
    # NQRetrieval counts the first twenty: with ten passages any order of them would be as good as another.
    _lines(folder / "nq/corpus.json", [*corpus, *({"title": name, "text": _village(name)} for name in VILLAGES)])
    nq = [
        {"query": f"which river runs through {town}", "answers": [river, f"the {river}"]}
        for town, (_, river, _, _) in TOWNS.items()
    ]
    _lines(folder / "nq/test.json", _numbered(nq, "qa"))
    dev = [
        {"query": f"who is the founder of {town}", "answers": [founder]} for town, (_, _, founder, _) in TOWNS.items()
    ]
    _lines(folder / "nq/dev.json", _numbered([*dev, *nq[:2]], "qa"))
    popqa = [
        {
            "query": question.format(town),
            "prop_id": relation,
            "obj": TOWNS[town][place],
            "possible_answers": [TOWNS[town][place]],
        }
        for relation, (question, place) in RELATIONS.items()
        for town in islice(TOWNS, _HISTORIES)
    ]
    _lines(folder / "popqa/test.json", _numbered(popqa, "qa"))
    foods = [food for *_, food in TOWNS.values()]
    subjects = cycle(("high_school_geography", "philosophy", "astronomy", "nutrition"))
    mmlu = []
    for number, (town, subject) in enumerate(zip(TOWNS, subjects, strict=False)):
        right = number % _LETTERS
        others = [food for food in foods if food != TOWNS[town][3]][number % 3 :][: _LETTERS - 1]
        choices = [*others[:right], TOWNS[town][3], *others[right:]]
        mmlu.append({"query": f"What is {town} known for?", "subject": subject, "choices": choices, "answer": right})
    _lines(folder / "mmlu/test.json", _numbered(mmlu, "qa"))


def _examples(folder: Path) -> None:
    corpus, test = [], []
    for number, (town, (country, river, _, food)) in enumerate(TOWNS.items()):
        likes = number % 2
        mood = "I loved" if likes else "I hated"
        made: list[tuple[str, str, str, list[str]]] = [
            (
                "sst2",
                f"{mood} the {food} of {town}. Was that good or bad?",
                "good" if likes else "bad",
                ["bad", "good"],
            ),
            ("boolq", f"{passage(town)} Is {town} in {country}?", "yes", ["no", "yes"]),
            ("multirc", f"{passage(town)} Does it lie on the {river}?", "yes", ["no", "yes"]),
            ("natural_questions", f"Question: which river runs through {town}? Answer:", river, []),
            ("e2e_nlg", f"Town: {town}. Country: {country}. Make a sentence of it.", f"{town} is in {country}.", []),
        ]
        for task, query, answer, options in made:
            if number % 3:
                corpus.append({"contents": f"{query}\n{answer}", "task_name": task})
            else:
                right = str(options.index(answer)) if options else answer
                test.append({"query": query, "answers": [right], "options": options or None, "task_name": task})
    _lines(folder / "corpus.json", corpus)
    _lines(folder / "test.json", _numbered(test, "icl"))


def _chats(folder: Path) -> None:
    history = [
        f"Speaker 1: Where did you go this year?\nSpeaker 2: To {town}, on the {river}. We ate {food} every day."
        for town, (_, river, _, food) in TOWNS.items()
    ]
    rows = [
        {"history": history, "query": f"What did you eat in {town}?", "answers": [f"We ate {food} every day."]}
        for town, (*_, food) in TOWNS.items()
    ]
    _lines(folder / "test.json", _numbered(rows, "chat"))


def _book(start: int) -> str:
    towns = list(TOWNS)
    return "\n\n".join(
        f"Day {day + 1}. {passage(towns[(start + 7 * day) % len(towns)])} We left it in the morning of day {day + 2}."
        for day in range(_BOOK + 10 * start)
    )


def _numbered(rows: Iterable[Mapping[str, Any]], task: str) -> Iterable[Mapping[str, Any]]:
    return ({**row, "query_id": number, "task": task} for number, row in enumerate(rows))


def _lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
