"""A key is found in whatever form it stands in a text, and nothing else is."""

from __future__ import annotations

import base64
import copy
import html
import json
import pickle
from urllib.parse import quote

import pytest

from flagbench.models.servers.secret import Secret

KEY = "sk-SECRET0123456789abc+XYZ/tail&'x"


def escaped(form: str, key: str = KEY) -> str:
    """Every character of a key as an escape."""
    return "".join(form.format(ord(each)) for each in key)


FORMS = {
    "plain": KEY,
    "upper case": KEY.upper(),
    "JSON": json.dumps(KEY),
    "JSON with every sign escaped": escaped("\\u{:04x}"),
    "the same in capitals": escaped("\\u{:04X}"),
    "JSON with slashes escaped": KEY.replace("/", "\\/"),
    "JSON in JSON in JSON": json.dumps(json.dumps(escaped("\\u{:04x}"))),
    "long escapes": escaped("\\u{{{:x}}}"),
    "longer escapes": escaped("\\u{{{:010X}}}"),
    "repr": repr(KEY),
    "repr of bytes": repr(KEY.encode()),
    "bytes by number": escaped("\\x{:02x}"),
    "bytes by number in capitals": escaped("\\x{:02X}"),
    "octal": escaped("\\{:03o}"),
    "percent": quote(KEY, safe=""),
    "percent everywhere": escaped("%{:02X}"),
    "percent in small letters": escaped("%{:02x}"),
    "percent twice": quote(quote(KEY, safe=""), safe=""),
    "percent four times": quote(quote(quote(escaped("%{:02X}")))),
    "HTML": html.escape(KEY),
    "HTML by number": escaped("&#{};"),
    "HTML by number, hexadecimal": escaped("&#x{:X};"),
    "HTML by number, without semicolons": "&#115" + KEY[1:],
    "HTML twice": html.escape(html.escape(KEY)),
    "HTML of percent": html.escape(escaped("&#{};", quote(KEY, safe=""))),
    "percent of JSON": quote(escaped("\\u{:04x}")),
    "hexadecimal": KEY.encode().hex(),
    "wrapped": f"{KEY[:9]}\r\n  {KEY[9:]}",
    "UTF-16 read as UTF-8": KEY.encode("utf-16-le").decode(),
    "with soft hyphens": "\N{SOFT HYPHEN}".join(KEY),
    "with marks that do not show": f"{KEY[:9]}\u200b\u200f{KEY[9:12]}\u2028\u202e{KEY[12:20]}\x7f\ufeff{KEY[20:]}",
    "cut at its end": KEY[: len(KEY) // 2 + 3],
    "cut at its beginning": KEY[-len(KEY) // 2 - 3 :],
}
CODED = [
    encode((before + KEY + after).encode()).decode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode)
    for before in ("", "u", "us", "user:", "Bearer ")
    for after in ("", "!", " and more")
]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_key_is_hidden_and_all_beside_it_stays(form: str) -> None:
    shown = Secret(KEY).hide(f"before {form} and {form} after")

    beside = str.maketrans("", "", "'\"\\\0")  # quotes and the like
    assert shown.translate(beside).replace("b***", "***") == "before *** and *** after"


@pytest.mark.parametrize("coded", [*CODED, *map(json.dumps, CODED), *(quote(each, safe="") for each in CODED)])
def test_its_base64_is_hidden_wherever_it_begins(coded: str) -> None:
    shown = Secret(KEY).hide(f"got {coded} here")

    assert "***" in shown
    assert shown.startswith("got ")
    assert shown.endswith(" here")
    for start in range(len(coded) - 12):
        part = coded[start : start + 12]
        assert part not in shown or KEY.encode()[:3] not in base64.b64decode(part + "==", validate=False)
    assert len(shown) < 45


def test_wrapped_base64_is_hidden() -> None:
    coded = base64.b64encode(KEY.encode()).decode()

    assert Secret(KEY).hide(f"{coded[:20]}\r\n{coded[20:]}").startswith("***")


@pytest.mark.parametrize("key", ["abc%41def\\u0041/x", "a b  c d e f", "&amp;lt;0123", "\\\\n\\\\n\\\\n", "%%%%%%%%"])
def test_a_key_that_looks_like_escapes_is_hidden_as_it_is(key: str) -> None:
    assert Secret(key).hide(f"x {key} y") == "x *** y"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "\\",
        "&",
        "%",
        "\\u12",
        "&;&#;&#x;",
        "%zz",
        "\\u{fffffff}",
        "\\u{110000}",
        "\\777",
        "\ud800",
        "因此选D。",
        "sk-",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Secret(KEY).hide(text) == text
    assert Secret("").hide(text) == text


def test_a_placeholder_is_no_word_that_answers_lose() -> None:
    assert Secret("EMPTY").hide_in_answer("The box is EMPTY") == "The box is EMPTY"
    assert Secret("EMPTY").hide("bad key EMPTY") == "bad key ***"
    assert Secret("abcdef").hide_in_answer("abcdef") == "***"


def test_a_key_with_blanks_is_hidden_where_its_lines_end_elsewhere() -> None:
    assert Secret("ab cd efgh").hide("x ab\r\n cd\tefgh y") == "x *** y"


@pytest.mark.parametrize(("key", "coded", "shown"), [("abc", "616263", "***"), ("ab", "6162", "6162")])
def test_a_coded_key_is_hidden_from_six_characters_on(key: str, coded: str, shown: str) -> None:
    assert Secret(key).hide(f"x {coded} y") == f"x {shown} y"


@pytest.mark.parametrize("key", ["abcdef0123456789", "abcdef0123456789X"])
def test_just_half_a_key_is_hidden_and_less_is_not(key: str) -> None:
    secret = Secret(key)
    for text, shown in (
        (f"{key[:8]} x", "*** x"),
        (f"x {key[:7]}", f"x {key[:7]}"),
        (f"x {key[-8:]}", "x ***"),
        (f"{key[-7:]} x", f"{key[-7:]} x"),
        (f"{key[-10:]} x", "*** x"),
        (f"{key[:8]}{key[8:10]}?{key[:8]}", "***?***"),
    ):
        assert secret.hide(text) == shown


def test_a_key_that_holds_its_second_half_twice_is_hidden_whole() -> None:
    """The half is found in the middle as well, and what is found inside a place ends none."""
    key = "bcd" + 14 * "a"
    assert Secret(key).hide(f"x {key} y") == "x *** y"


def test_every_text_of_a_value_is_looked_at() -> None:
    value = {"a": [1, None, {KEY: f"x{KEY}"}], "b": KEY, "c": True}

    assert Secret(KEY).hide_in_json(value) == {"a": [1, None, {"***": "x***"}], "b": "***", "c": True}


def test_a_key_is_not_printed_formatted_copied_or_pickled() -> None:
    secret = Secret(KEY)

    assert f"{secret} {secret!r} {secret!s:>5} {[secret]}".replace(" ", "") == "*********[***]"
    for write in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not written"):
            write(secret)
    assert not hasattr(secret, "__dict__")
    assert (bool(secret), bool(Secret("")), secret.reveal()) == (True, False, KEY)
