"""Mixtures as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.models.loading.mixture_terms import Term, is_mixture, terms_of, written


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("0.6*BAAI/bge-m3+0.4*./tuned", [(0.6, "BAAI/bge-m3"), (0.4, "./tuned")]),
        ('0.6*"./a+b"+0.4*\'c*"d\'', [(0.6, "./a+b"), (0.4, 'c*"d')]),
        (" 0.5 * a + 0.5 * b ", [(0.5, "a"), (0.5, "b")]),
        ("1e-1*a+9e-1*b", [(0.1, "a"), (0.9, "b")]),
        ("1e+0*a+0*b", [(1.0, "a"), (0.0, "b")]),
        ("0.3333*a+0.3333*b+0.3333*a", [(0.3333, "a"), (0.3333, "b"), (0.3333, "a")]),
    ],
)
def test_models_and_weights_are_read_and_written(text: str, terms: list[tuple[float, str]]) -> None:
    found = terms_of(f"cocktail:{text}", any_weights=False)
    assert [(term.weight, term.model) for term in found] == terms
    assert terms_of(written(found), any_weights=False) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no models"),
        ("  ", "names no models"),
        ("0.5*", "names no model after the weight 0.5"),
        ("0.5*a+", "what comes after [+] is no term"),
        ("0.5*a*b+0.5*c", "is no term"),
        ('0.5*"a+0.5*b', "is no term"),
        ("nan*a+1*b", "'nan' of 'a' is no finite number"),
        ("1e309*a+1*b", "'1e309' of 'a' is no finite number"),
        ("inf*a+1*b", "no finite number"),
        ("1_0*a+1*b", "no finite number"),
        ("*a+1*b", "'' of 'a' is no finite number"),
        ("0.5*a+0.4*b", "sum to 0.9"),
        ("-0.5*a+1.5*b", "the weight -0.5 of a is negative"),
        ("0*a+0*b", "all weights of the mixture are 0"),
        ("1*a", "two models or more"),
        ("0.5*a+0.5*'cocktail:0.5*b+0.5*c'", "a mixture in a mixture"),
        ("0.5*a+0.5*b.gguf", "GGUF"),
        ("+".join(["0.0099*a"] * 101), "more than 100"),
        ("BAAI/bge-m3", "has no weights"),
        ("absent.toml", "absent.toml does not exist: name a TOML file"),
        ("*" * 10_000, "no finite number|no term"),
    ],
)
def test_what_is_no_mixture_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as raised:
        terms_of(f"cocktail:{text}", any_weights=False)
    assert "\n" not in str(raised.value)


def test_any_weights_may_be_negative_and_sum_to_anything() -> None:
    found = terms_of("cocktail:-0.5*a+2*b", any_weights=True)
    assert [term.weight for term in found] == [-0.5, 2.0]


def test_a_file_has_a_line_for_each_model(tmp_path: Path) -> None:
    path = tmp_path / "a*b.toml"
    path.write_text('"BAAI/bge-m3" = 0.6\n"./a+b" = 0.4\n')
    assert terms_of(f"cocktail:{path}", any_weights=False) == (Term(0.6, "BAAI/bge-m3"), Term(0.4, "./a+b"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "names no models"),
        ("a = ", "is not TOML"),
        ("a = [" * 20_000, "is not TOML"),
        ("bge.m3 = 1", "no finite number as the weight of 'bge'"),
        ("a = nan", "no finite number"),
        ("a = true", "no finite number"),
        ("a = 1\na = 1", "is not TOML"),
        ('"" = 0.5\nb = 0.5', "names no model after"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "mix.toml"
    path.write_text(content)
    with pytest.raises(BadInput, match=said):
        terms_of(f"cocktail:{path}", any_weights=False)


def test_only_the_prefix_makes_a_mixture() -> None:
    assert is_mixture("cocktail:x")
    assert not is_mixture("./cocktail")
    with pytest.raises(BadInput, match="both kinds of quotation marks"):
        written([Term(1.0, "a\"'b")])
