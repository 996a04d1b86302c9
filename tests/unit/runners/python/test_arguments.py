"""Keywords as flags: against what the command's own parser makes of a line that a person would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flagbench import BadInput, UnknownName
from flagbench.runners.commands import cli
from flagbench.runners.python.arguments import arguments_of, value_in


def parsed(arguments: list[str]) -> dict[str, Any]:
    return vars(cli._parser().parse_args(arguments))


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({}, ""),
        ({"max_length": 512}, "--max-length 512"),
        ({"mini": True, "overwrite": False, "no_store": True}, "--mini --no-store"),
        ({"normalize": False, "lowercase": True}, "--no-normalize --lowercase"),
        ({"normalize": None, "device": None}, ""),
        ({"tasks": ["STSB", "AFQMC"], "types": "sts"}, "--tasks STSB,AFQMC --types sts"),
        ({"tasks": ("STSB",)}, "--tasks STSB"),
        ({"query_mix_weights": [0.5, 0.5]}, "--query-mix-weights 0.5,0.5"),
        ({"adapter": ["a", Path("b")]}, "--adapter a --adapter b"),
        ({"adapter": "a"}, "--adapter a"),
        ({"query_instruction": ""}, "--query-instruction="),
        ({"query_instruction": "--no"}, "--query-instruction=--no"),
        ({"output": Path("somewhere"), "profile": "quick"}, "--output somewhere --profile quick"),
        ({"store_size": "50GB", "rope_theta": 1e6}, "--store-size 50GB --rope-theta 1000000.0"),
    ],
)
def test_keywords_are_flags(keywords: dict[str, Any], line: str) -> None:
    expected = parsed(["evaluate", "org/m", "--benchmark", "cmteb", *line.split()])
    assert parsed(arguments_of("org/m", "cmteb", keywords)) == expected


def test_the_flags_of_a_benchmark_are_keywords() -> None:
    made = arguments_of("org/m", "longctx", {"lengths": [1000, 2000], "rows": 3})
    assert parsed(made) == parsed(
        ["evaluate", "org/m", *["--benchmark", "longctx", "--lengths", "1000,2000", "--rows", "3"]]
    )


def test_a_model_may_be_called_as_a_flag() -> None:
    assert parsed(arguments_of("--mini", "cmteb", {}))["models"] == ["--mini"]
    assert not parsed(arguments_of("--mini", "cmteb", {}))["mini"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"max_lenght": 3}, "unknown keyword 'max_lenght'; did you mean max_length"),
        ({"max-length": 3, "taks": 1}, "unknown keyword"),
        ({"help": True}, "unknown keyword 'help'"),
        ({"dry_run": True}, "unknown keyword 'dry_run'"),
        ({"no_normalize": True}, "unknown keyword 'no_normalize'; did you mean normalize"),
        ({"models": ["a"]}, "unknown keyword 'models'"),
        ({"context_length": 5}, "--context-length belongs to --benchmark longctx"),
        ({"max_length": "x"}, "argument --max-length: expected a whole number above 0, not 'x'"),
        ({"max_length": True}, "max_length takes a text, a number or a path, not True"),
        ({"max_length": [1, 2]}, "max_length takes one value, not a list of 2"),
        ({"max_length": {}}, "max_length takes a text, a number or a path"),
        ({"mini": "yes"}, "mini is True or False, not 'yes'"),
        ({"mini": 1}, "mini is True or False, not 1"),
        ({"tasks": ["a,b"]}, "'a,b' has a comma in it"),
        ({"output": "a\0b"}, "has a character 0 in it"),
        ({"profile": "tiny"}, "argument --profile: invalid choice: 'tiny'"),
        ({"store": "x", "no_store": True}, "not allowed with argument"),
        ({"cutoff_layers": [8, 12]}, "these settings make 2 runs"),
        ({"dims": [8, 16]}, "these settings make 2 runs"),
        ({"dims": [8, 16], "vectors": "fp32,int8"}, "these settings make 4 runs"),
        ({"mix": "0:1:0.5"}, "--mix is a series of mixtures of two models"),
        ({"name": "nameless"}, "expected the form org/name"),
    ],
)
def test_wrong_keywords_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as raised:
        arguments_of("org/m", "cmteb", keywords)
    assert message in str(raised.value)


def test_several_tables_of_a_settings_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "runs.toml").write_text("[[run]]\nmini = true\n[[run]]\nmax-length = 8\n", encoding="utf-8")
    with pytest.raises(BadInput, match="these settings make 2 runs"):
        arguments_of("org/m", "cmteb", {"config": tmp_path / "runs.toml"})


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown benchmark 'cmtebb'; did you mean cmteb"):
        arguments_of("org/m", "cmtebb", {})


def test_a_value_is_found_again() -> None:
    made = arguments_of("org/m", "cmteb", {"output": "a=b"})
    assert value_in(made, "--output") == "a=b"
    assert value_in(made, "--data") is None
