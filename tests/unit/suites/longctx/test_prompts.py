"""The shipped prompts: whole, with the places that their kinds fill, and with their sources named."""

from __future__ import annotations

import string

import pytest

from flagbench.suites.longctx.prompts import filled, prompts


def _places(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_longbench_has_its_21_tasks() -> None:
    tasks = prompts("longbench")
    assert len(tasks) == 21
    assert all("context" in _places(task["prompt"]) for task in tasks.values())
    assert sum(task["max_new_tokens"] for task in tasks.values()) == 3168


def test_infinitebench_has_two_prompts_for_each_of_its_12_tasks() -> None:
    content = prompts("infinitebench")
    assert set(content["mistral"]) == set(content["gpt4"]) == set(content["max_new_tokens"])
    assert len(content["mistral"]) == 12


@pytest.mark.parametrize("section", ["longbench", "infinitebench", "ruler", "needle", "needle_original", "passkey"])
def test_each_section_names_its_source(section: str) -> None:
    assert prompts("sources")[section].startswith("https://github.com/")


def test_a_value_with_braces_stays_as_it_is() -> None:
    assert filled("a {context} b", context="{x} {{y}}") == "a {x} {{y}} b"
    with pytest.raises(KeyError):
        filled("a {context}", other="")


def test_the_noise_of_passkeys_is_as_published() -> None:
    assert prompts("passkey")["noise"] == (
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
    )
