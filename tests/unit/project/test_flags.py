"""Settings that are flags."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import pytest

from flagbench.flags import add_flags, flag, flags_of, given, numbers, positive


@dataclass(frozen=True)
class Settings:
    top_k: int = flag(100, "passages per query", metavar="N", parse=int)
    weights: tuple[float, ...] | None = flag(None, "weights", shown="1,0.3,1", parse=lambda t: tuple(map(float, t)))
    kind: str = flag("a", "kind of thing, 100% sure", name="--what-kind", choices=("a", "b"))
    blind: bool = flag(False, "sees nothing")
    normalize: bool | None = flag(None, "normalised vectors", negatable=True)
    inner: int = 3


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_flags(parser, Settings)
    return parser.parse_args(arguments)


def test_what_is_given_and_nothing_else() -> None:
    assert given(parsed(), Settings) == {}
    options = parsed("--top-k", "7", "--what-kind", "b", "--blind", "--no-normalize", "--weights", "12")
    values = given(options, Settings)
    assert values == {"top_k": 7, "kind": "b", "blind": True, "normalize": False, "weights": (1.0, 2.0)}
    assert Settings(**values).inner == 3


def test_help_says_every_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Settings)
    parser.print_help()
    text = " ".join(capsys.readouterr().out.split())
    for line in (
        "--top-k N passages per query (default 100)",
        "--weights WEIGHTS weights (default 1,0.3,1)",
        "--what-kind {a,b} kind of thing, 100% sure (default a)",
        "--blind sees nothing",
        "--normalize, --no-normalize normalised vectors",
    ):
        assert line in text
    assert "inner" not in text


def test_hidden_flags_are_understood(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser, Settings, hidden=True)
    parser.print_help()
    assert "--top-k" not in capsys.readouterr().out
    assert given(parser.parse_args(["--top-k", "2"]), Settings) == {"top_k": 2}


def test_flags_are_in_the_order_of_the_fields() -> None:
    assert [each.name for each in flags_of(Settings)] == [
        "--top-k",
        "--weights",
        "--what-kind",
        "--blind",
        "--normalize",
    ]


def test_numbers_count_once_in_the_order_in_which_they_first_come() -> None:
    """A layer that is named twice would be one more result of the same name, or one more averaging."""
    assert numbers("24,8,24, 16,8") == (24, 8, 16)


@pytest.mark.parametrize("text", ["", "8,", "8,,9", "0", "8,-1", "8;9", "1.5"])
def test_what_is_no_whole_number_above_0_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a whole number above 0"):
        numbers(text)


@pytest.mark.parametrize(
    ("default", "shown", "help_"),
    [
        (None, None, "what it is"),
        ("", None, "what it is"),
        ((), None, "what it is"),
        (False, None, "what it is"),
        (True, None, "what it is (default True)"),
        (7, None, "what it is (default 7)"),
        (7, "seven", "what it is (default seven)"),
        (7, "", "what it is"),
        (None, "none", "what it is (default none)"),
    ],
)
def test_the_default_of_a_flag_is_said_where_it_is_one(default: object, shown: str | None, help_: str) -> None:
    @dataclass(frozen=True)
    class Owner:
        one: object = flag(default, "what it is", shown=shown)

    (made,) = flags_of(Owner)
    assert (made.help, made.default, made.field, made.name) == (help_, default, "one", "--one")
    assert replace(made, shown=f"as {made.shown}, or less").help == f"what it is (default as {made.shown}, or less)"


def test_a_flag_that_is_applied_and_forgotten_makes_no_difference() -> None:
    @dataclass(frozen=True)
    class Owner:
        told: int = flag(1, "x", parse=int)
        forgotten: int = flag(1, "x", parse=int, kept=False)
        lists: bool = flag(False, "x", selects=True)

    assert Owner(forgotten=2) == Owner()
    assert Owner(told=2) != Owner()
    assert [each.selects for each in flags_of(Owner)] == [False, False, True]


def test_a_truth_value_that_is_written_out_is_a_flag_with_a_value() -> None:
    @dataclass(frozen=True)
    class Owner:
        plain: bool = flag(True, "x")
        parsed: bool = flag(True, "x", parse=lambda text: text == "yes")
        chosen: object = flag(True, "x", choices=("yes", "no"))

    plain, parsed_, chosen = flags_of(Owner)
    assert plain.parse is None
    assert parsed_.parse is not None
    assert (parsed_.parse("no"), chosen.choices) == (False, ("yes", "no"))
    assert chosen.parse is str


def test_what_is_no_number_is_named() -> None:
    assert positive("12") == 12
    for text in ("0", "-3", "x", "1.0", ""):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            positive(text)
        assert str(caught.value) == f"expected a whole number above 0, not '{text}'"


def test_a_flag_sets_its_field_whatever_it_is_called() -> None:
    @dataclass(frozen=True)
    class Owner:
        blind: bool = flag(False, "x", name="--no-sight")
        cased: bool | None = flag(None, "x", name="--upper", negatable=True)
        depth: int = flag(3, "x", name="--how-deep", parse=int)

    parser = argparse.ArgumentParser()
    add_flags(parser, Owner)
    given_ = parser.parse_args(["--no-sight", "--no-upper", "--how-deep", "5"])
    assert given(given_, Owner) == {"blind": True, "cased": False, "depth": 5}
    assert [each.negatable for each in flags_of(Owner)] == [False, True, False]
    with pytest.raises(SystemExit):
        parser.parse_args(["--no-no-sight"])
