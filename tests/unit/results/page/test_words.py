"""The fixed words of the page, in both languages."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest

from flagbench.results.data_state import DataState
from flagbench.results.figures import PERCENT
from flagbench.results.kinds import Unit
from flagbench.results.page import LANGUAGES, Language
from flagbench.results.page.cost import CHARACTERS, LATENCY, TOKENS
from flagbench.results.page.facts import VERDICTS
from flagbench.results.page.render import figure, gain
from flagbench.results.page.words import Words, words
from tests.conftest import ROOT
from tests.unit.page_runs import page_run, page_task
from tests.unit.page_views import made, tasks_of

_FOLDER = ROOT / "results" / "page"


def strings() -> dict[str, dict[str, Any]]:
    return tomllib.loads((_FOLDER / "strings.toml").read_text(encoding="utf-8"))


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_languages_have_the_same_keys_with_the_same_parts() -> None:
    tables = strings()
    assert set(tables) == set(LANGUAGES)
    one, other = (tables[language] for language in LANGUAGES)
    assert list(one) == list(other)
    assert list(one["kinds"]) == list(other["kinds"])
    for key in one.keys() - {"kinds"}:
        assert fields_of(one[key]) == fields_of(other[key]), key
    alike = {key for key in one.keys() - {"kinds"} if one[key] == other[key]}
    assert alike == {"delta", "tally_significant", "verdict_", "value", "not_set"}


def test_every_string_is_used() -> None:
    texts = [file.read_text(encoding="utf-8") for file in _FOLDER.iterdir() if file.suffix in (".html", ".py")]
    said = set(re.findall(r"""["']([a-z_]+)["']""", " ".join(texts)))
    built = {f"{unit}_{end}" for unit in ("texts", "answers", "parameters") for end in ("axis", "per_second")}
    built |= {f"{measure}_axis" for measure in (LATENCY, TOKENS, CHARACTERS)}
    built |= {f"{verdict}_{each}" for verdict in ("verdict", "verdicts") for each in (*VERDICTS, "")}
    built |= {f"items_{each}" for each in get_args(Unit)}
    assert strings()["en"].keys() - {"kinds"} <= said | built


def test_a_page_in_chinese(tmp_path: Path) -> None:
    run = page_run(tmp_path, "org/one", page_task("A"), page_task("B", kind="STS"), page_task("C", kind="Odd"))
    tree, _ = made([run], "zh")
    assert tree.one("html").attributes["lang"] == "zh-CN"
    assert [each.words for each in tree.all("h2")] == ["概览", "按任务类型", "任务", "模型设置", "运行环境"]
    kinds = [body.one("small", class_="narrow").words for body in tasks_of(tree).values()]
    assert kinds == ["检索", "语义相似度", "Odd"]
    english = {text for key, text in strings()["en"].items() if key != "kinds" and len(text) > 4 and "{" not in text}
    said = {part.strip() for each in tree.all() for part in each.inside if isinstance(part, str)}
    assert not said & english


def test_numbers_in_words() -> None:
    en, zh = words("en"), words("zh")
    assert [en.duration(each) for each in (None, 0.04, 9.9, 59, 90, 5400)] == [
        *("unknown", "< 0.1 s", "9.9 s", "59 s", "1.5 min", "1.5 h"),
    ]
    assert zh.duration(5400) == "1.5 小时"
    assert [gain(each, PERCENT) for each in (None, 0.0, -0.0, -0.00001, 0.125, -0.5)] == [
        *("", "+0.00", "+0.00", "+0.00", "+12.50", "−50.00"),
    ]
    assert [figure(each, PERCENT) for each in (None, 0.0, 1.0, -0.018707)] == ["", "0.00", "100.00", "−1.87"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "unknown"),
        (0.049, "instant"),
        (0.2, "0.2 s"),
        (9.9, "9.9 s"),
        (10, "10 s"),
        (59, "59 s"),
        (60, "1.0 min"),
        (3599, "60.0 min"),
        (3600, "1.0 h"),
        (4_320_000, "1,200.0 h"),
    ],
)
def test_a_time_is_said_in_the_unit_that_fits(seconds: float | None, said: str) -> None:
    units = {"short_seconds": "{number} s", "minutes": "{number} min", "hours": "{number} h"}
    assert Words(units | {"unknown": "unknown", "instant": "instant"}, {}).duration(seconds) == said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", DataState)
def test_every_state_of_data_has_its_words(language: Language, state: DataState) -> None:
    name = state.name.lower()
    assert words(language)(f"verdict_{name}")
    assert words(language)(f"verdicts_{name}", count=7).endswith("7")
