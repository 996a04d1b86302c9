"""mteb's tasks as rows: which have a language, a domain or a subset, and which cannot be evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from flagbench import BadInput, UnknownName
from flagbench.runners.task import Task
from flagbench.suites.mteb.catalogue import (
    Entry,
    _why_not,
    in_domains,
    in_languages,
    in_modalities,
    in_subsets,
    reasons,
    refuse_those_that_cannot_run,
)


def entry(
    name: str, scripts: Mapping[str, Sequence[str]], domains: Sequence[str] | None = None, why_not: str = ""
) -> Entry:
    row = Task(name, "STS", "o/d", "1", ("test", "dev"), "main", "mteb", tuple(scripts))
    about = SimpleNamespace(hf_subsets_to_langscripts=scripts, domains=domains, modalities=["text", "audio"])
    return Entry(row, about, why_not)


_PLAIN = entry("plain", {"default": ["cmn-Hans"]}, ["Legal", "Web"])
_PAIRS = entry("pairs", {"zh-en": ["cmn-Hans", "eng-Latn"], "fr": ["fra-Latn"], "zh": ["cmn-Hans"]}, ["Medical"])
_OTHER = entry("other", {"en": ["eng-Latn"], "de": ["deu-Latn"]}, None)
_ALL = [_PLAIN, _PAIRS, _OTHER]


def test_an_entry_has_each_of_its_languages_once_and_shows_the_first() -> None:
    assert _PAIRS.languages == ("cmn", "eng", "fra")
    assert _PAIRS.cells == ["pairs", "STS", "text", "cmn, eng, fra", "test, dev", "main", "yes"]
    many = entry(
        "many", {each: [f"{each}-Latn"] for each in ("fra", "deu", "spa", "ita")}, why_not="data is not public"
    )
    assert many.cells[3:] == ["fra, deu, spa and 1 more", "test, dev", "main", "data is not public"]


@pytest.mark.parametrize("language", ["zh", "cmn", "cmn-Hans"])
def test_a_language_goes_by_each_of_its_names_and_leaves_the_subsets_that_have_it(language: str) -> None:
    found = in_languages(_ALL, [language], "")
    assert {each.row.name: each.row.subsets for each in found} == {"plain": ("default",), "pairs": ("zh-en", "zh")}


def test_any_of_several_languages_will_do_and_each_must_be_one() -> None:
    found = in_languages(_ALL, ["de", "fra"], "")
    assert {each.row.name: each.row.subsets for each in found} == {"pairs": ("fr",), "other": ("de",)}
    for unknown in (["xx"], ["de", "xx"]):
        with pytest.raises(UnknownName, match=r"unknown language 'xx'.*; see there"):
            in_languages(_ALL, unknown, "see there")


def test_the_name_of_a_language_leads_to_its_code() -> None:
    taken = "expected a code of ISO 639 that a task has, such as zh or cmn; see there"
    for name, said in (
        ("Chinese", f"unknown language 'Chinese'; did you mean cmn (Mandarin Chinese)?; {taken}"),
        ("german", f"unknown language 'german'; did you mean deu (German)?; {taken}"),
        ("hnx", f"unknown language 'hnx'; {taken}"),
        ("klingon", f"unknown language 'klingon'; {taken}"),
    ):
        with pytest.raises(UnknownName) as raised:
            in_languages(_ALL, [name], "see there")
        assert str(raised.value) == said


def test_a_domain_goes_by_its_name_in_any_letters() -> None:
    assert [each.row.name for each in in_domains(_ALL, ["MEDICAL", "web"], "")] == ["plain", "pairs"]
    with pytest.raises(UnknownName, match=r"unknown domain 'law'.*; see there"):
        in_domains(_ALL, ["legal", "law"], "see there")


def test_tasks_with_images_are_chosen_and_tasks_without() -> None:
    def of(name: str, kind: str, *modalities: Any) -> Entry:
        about = SimpleNamespace(hf_subsets_to_langscripts={"default": []}, domains=None)
        return Entry(replace(_PLAIN.row, name=name, kind=kind, modalities=modalities), about)

    every = [
        of("texts", "Retrieval", "text"),
        of("pages", "Retrieval", "text", "image"),
        of("t2t", "Any2AnyRetrieval", "text"),
        of("t2i", "Any2AnyRetrieval", "text", "image"),
        of("probe", "ImageClassification", "image"),
    ]

    def left(*modalities: str, kinds: Sequence[str] = ()) -> list[str]:
        return [each.row.name for each in in_modalities(every, modalities, kinds)]

    assert left("text") == ["texts", "t2t"]
    assert left("image") == ["pages", "t2i", "probe"]
    assert left("image", "text") == ["texts", "pages", "t2t", "t2i", "probe"]
    # Without any, images come where a type is asked for that has no others.
    assert left() == left(kinds=["retrieval", "sts"]) == ["texts", "t2t"]
    assert left(kinds=["image-classification"]) == ["texts", "t2t", "probe"]
    assert left(kinds=["Any2AnyRetrieval", "imageclassification"]) == ["texts", "t2t", "t2i", "probe"]
    assert every[3].cells[:4] == ["t2i", "Any2AnyRetrieval", "text and images", ""]


def test_subsets_keep_the_order_of_the_task_and_one_of_all_data_stays() -> None:
    plain, pairs = in_subsets([_PLAIN, _PAIRS], ["zh", "zh-en"], "")
    assert plain is _PLAIN
    assert pairs.row.subsets == ("zh-en", "zh")
    with pytest.raises(UnknownName, match=r"unknown subset 'zh'.*; of other, which has en, de$"):
        in_subsets([_OTHER, _PAIRS], ["zh"], "")
    for found in ([_PLAIN], [_PLAIN, _PAIRS]):
        with pytest.raises(UnknownName, match=r"unknown subset 'nope'.*known: default.*; see there$"):
            in_subsets(found, ["nope"], "see there")


def test_what_cannot_run_is_said_by_its_reason() -> None:
    found = [entry(name, {}, why_not=why) for name, why in (("a", "w"), ("b", ""), ("c", "v"), ("d", "w"))]
    assert reasons(found) == ("a, d cannot be evaluated: w", "c cannot be evaluated: v")
    with pytest.raises(BadInput, match=r"^a, d cannot be evaluated: w; c cannot be evaluated: v: drop them$"):
        refuse_those_that_cannot_run(found, "drop them")
    refuse_those_that_cannot_run(found[1:2], "drop them")


@pytest.mark.parametrize(
    ("modalities", "public", "why"),
    [
        (["text"], True, ""),
        (["text"], None, ""),
        (["text"], False, "data is not public"),
        (["text", "image"], True, ""),
        (["image"], None, ""),
        (["image"], False, "data is not public"),
        (["audio", "text"], False, "inputs have audio, and only text and images are read here"),
        (["video", "image", "audio"], True, "inputs have audio and video, and only text and images are read here"),
    ],
)
def test_texts_and_images_that_anybody_may_read_can_be_evaluated(modalities: list[str], public: Any, why: str) -> None:
    assert _why_not(SimpleNamespace(modalities=modalities, is_public=public)) == why
