"""The flags of MLVU: what each is unless it is given, what help says of that, and what is read of what is typed."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

import pytest

from flagbench.flags import add_flags, flags_of, given
from flagbench.mlvu.options import MlvuOptions
from flagbench.runners.generation.server_options import ServerLimits

# By flag: the default, and how help shows it.
SERVER: dict[str, tuple[Any, str]] = {
    "--concurrency": (4, "4"),
    "--requests-a-minute": (None, "any number"),
    "--request-timeout": (300.0, "300"),
    "--body-timeout": (10.0, "10"),
    "--reply-size": (4_194_304, "4MiB"),
}
RUN: dict[str, tuple[Any, str]] = {
    "--sets": ((), "dev"),
    "--frames": (None, "16; 64 with --sampler fps"),
    "--sampler": ("mlvu", "mlvu"),
    "--fps": (None, "1"),
    "--max-pixels": (None, "any number"),
    "--decoder": ("pyav", "pyav"),
    "--prompt-variant": (None, "official; no-prefill with --api-base"),
    "--answer": ("generate", "generate"),
    "--max-new-tokens": (None, "as each task has it"),
    "--blind": (False, "off"),
    "--questions": ("as-released", "as-released"),
    "--allow-missing": (False, "off"),
    "--api-base": (None, "none"),
    "--frames-as": ("image_url", "image_url"),
    "--api-extra": ("", "none"),
}


def read(owner: type[Any], *typed: str) -> Any:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, owner)
    return owner(**given(parser.parse_args(typed), owner))


@pytest.mark.parametrize(("owner", "flags"), [(ServerLimits, SERVER), (MlvuOptions, SERVER | RUN)])
def test_what_is_not_given_is_the_default_and_help_shows_it(owner: type[Any], flags: dict[str, Any]) -> None:
    declared = flags_of(owner)
    assert {
        each.name: (each.default, each.help.rpartition(" (default ")[2].removesuffix(")")) for each in declared
    } == (flags)
    assert len(declared) == len(fields(owner))
    assert read(owner) == owner(**{each.field: flags[each.name][0] for each in declared})
    assert [each.name for each in declared if each.selects] == (["--sets"] if owner is MlvuOptions else [])


@pytest.mark.parametrize(
    ("typed", "field", "value"),
    [
        (["--concurrency", "9"], "concurrency", 9),
        (["--requests-a-minute", "60"], "requests_a_minute", 60),
        (["--request-timeout", "1.5"], "request_timeout", 1.5),
        (["--body-timeout", "90"], "body_timeout", 90.0),
        (["--reply-size", "1KiB"], "reply_size", 1024),
        (["--sets", "dev,test"], "sets", ("dev", "test")),
        (["--frames", "3"], "frames", 3),
        (["--sampler", "uniform"], "sampler", "uniform"),
        (["--fps", "0.5"], "fps", 0.5),
        (["--max-pixels", "100"], "max_pixels", 100),
        (["--decoder", "torchcodec"], "decoder", "torchcodec"),
        (["--prompt-variant", "no-prefill"], "prompt_variant", "no-prefill"),
        (["--answer", "options"], "answer", "options"),
        (["--max-new-tokens", "7"], "max_new_tokens", 7),
        (["--blind"], "blind", True),
        (["--questions", "cleaned"], "questions", "cleaned"),
        (["--allow-missing"], "allow_missing", True),
        (["--api-base", "http://h/v1"], "api_base", "http://h/v1"),
        (["--frames-as", "video_url"], "frames_as", "video_url"),
        (["--api-extra", "{}"], "api_extra", "{}"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_flag_sets_its_own_field_and_no_other(typed: list[str], field: str, value: Any) -> None:
    found = read(MlvuOptions, *typed)
    changed = {each.name: getattr(found, each.name) for each in fields(found)}
    assert {name: at for name, at in changed.items() if at != getattr(MlvuOptions(), name)} == {field: value}


@pytest.mark.parametrize(
    "typed",
    [
        *(["--concurrency", "0"], ["--requests-a-minute", "0"], ["--frames", "0"], ["--max-pixels", "-1"]),
        *(["--fps", "0"], ["--fps", "inf"], ["--request-timeout", "0"], ["--body-timeout", "nan"]),
        *(["--max-new-tokens", "0"], ["--reply-size", "x"], ["--sampler", "random"], ["--decoder", "cv2"]),
        *(["--prompt-variant", "mine"], ["--answer", "both"], ["--questions", "all"], ["--frames-as", "gif"]),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_by_its_flag(typed: list[str]) -> None:
    with pytest.raises(argparse.ArgumentError) as caught:
        read(MlvuOptions, *typed)
    assert caught.value.argument_name == typed[0]
