"""The rules of a gate: what a file says, and that what it cannot mean is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench import BadInput
from flagbench.results.gate.rules import OF_MODEL, Rules, read_rules

_RULE = '[[rule]]\ntasks = ["A"]\nmax-drop = 1\n'


def rules_of(tmp_path: Path, text: str) -> Rules:
    file = tmp_path / "gate.toml"
    file.write_text(text, encoding="utf-8")
    return read_rules(file)


def test_a_file_as_people_write_it(tmp_path: Path) -> None:
    found = rules_of(
        tmp_path,
        """
alpha = 0.01
[defaults]
min-effect = 0.3
any-machine = true
[[rule]]
name = "no task falls"
tasks = ["LCQMC", "T2*"]
types = ["STS"]
max-drop = 0.5
no-significant-drop = true
[[rule]]
averages = ["average"]
must-beat = true
max-latency-ratio = 1.2
any-machine = false
""",
    )
    first, second = found.rules
    assert (found.alpha, first.label, second.label) == (0.01, "no task falls", "rule 2")
    assert first.select == {"tasks": ("LCQMC", "T2*"), "types": ("STS",)}
    assert first.checks == {"max-drop": 0.5, "no-significant-drop": None}
    assert (first.min_effect, first.any_machine) == (0.3, True)
    assert second.checks == {"must-beat": None, "max-latency-ratio": 1.2}
    assert second.any_machine is False


def test_a_file_with_a_byte_order_mark_is_the_same_file(tmp_path: Path) -> None:
    """As editors of Windows save it."""
    plain = rules_of(tmp_path, _RULE)
    assert rules_of(tmp_path, f"\ufeff{_RULE}") == plain


def test_what_is_not_said(tmp_path: Path) -> None:
    found = rules_of(tmp_path, _RULE)
    assert (found.alpha, found.rules[0].min_effect, found.rules[0].any_machine) == (0.05, 0.0, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]\n", "is not TOML"),
        ("\x00", "is not TOML"),
        ("", "there is no [[rule]]"),
        ("alpha = 0.1\nrule = []\n", "there is no [[rule]]"),
        ("[rule]\nmax-drop = 1\n", "two brackets"),
        ("rule = [1]\n", "two brackets"),
        ("[[rules]]\n", "unknown key 'rules'; did you mean rule?"),
        ("alhpa = 1\n" + _RULE, "unknown key 'alhpa'; did you mean alpha?"),
        ("alpha = 0\n" + _RULE, "alpha must be a number from"),
        ("defaults = 1\n" + _RULE, "[defaults]"),
        ("[defaults]\nmin_effect = 1\n" + _RULE, "[defaults]: unknown key 'min_effect'; did you mean min-effect?"),
        ("[defaults]\nany-machine = 1\n" + _RULE, "any-machine must be true or false"),
        (_RULE + "max-dorp = 1\n", "rule 1: unknown key 'max-dorp'; did you mean max-drop?"),
        (_RULE + '"x\\n\\u001b" = 1\n', "unknown key"),
        (_RULE + "[[rule]]\nmax-drop = 1\n", "rule 2: it selects nothing"),
        (_RULE + '[[rule]]\ntasks = ["A"]\n', "rule 2: it has no check"),
        (_RULE + "name = 1\n", "rule 1: name must be a text"),
        (_RULE + 'name = "falls"\nmin-score = "60"\n', "rule 1 (falls): min-score must be a number from -100 to 100"),
        (_RULE + f"min-score = {10**400}\n", "rule 1: min-score must be a number from -100 to 100"),
        ('[[rule]]\ntasks = "A"\nmax-drop = 1\n', "tasks must be a list of names"),
        ("[[rule]]\ntasks = []\nmax-drop = 1\n", "tasks must be a list of names"),
        ("[[rule]]\ntasks = [1]\nmax-drop = 1\n", "tasks must be a list of names"),
        ('[[rule]]\ntypes = ["A", ""]\nmax-drop = 1\n', "rule 1: types must be a list of names, such as types = ["),
        ('[[rule]]\ntasks = ["A"]\nmax-drop = -1\n', "max-drop must be a number from 0 to 200 (points of the score"),
        ('[[rule]]\ntasks = ["A"]\nmax-drop = nan\n', "max-drop must be a number"),
        ('[[rule]]\ntasks = ["A"]\nmax-drop = inf\n', "max-drop must be a number"),
        ('[[rule]]\ntasks = ["A"]\nmax-drop = true\n', "max-drop must be a number"),
        ('[[rule]]\ntasks = ["A"]\nmax-unparseable = 101\n', "from 0 to 100 (percent of the answers)"),
        ('[[rule]]\ntasks = ["A"]\nmax-latency-ratio = 0\n', "max-latency-ratio must be a number"),
        ('[[rule]]\ntasks = ["A"]\nmust-beat = false\n', "must-beat can only be true"),
        (_RULE + "min-effect = 1\n", "min-effect belongs to no-significant-drop"),
        (_RULE + "any-machine = true\n", "any-machine belongs to max-latency-ratio"),
    ],
)
def test_what_it_cannot_mean(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        rules_of(tmp_path, text)
    (line,) = str(error.value).splitlines()
    assert line.startswith(str(tmp_path / "gate.toml"))
    assert said in line
    assert "\x1b" not in line


_RANGES = {
    "max-drop": (0, 200, "points of the score in percent"),
    "max-relative-drop": (0, 100, "percent of the baseline's score"),
    "min-score": (-100, 100, "percent"),
    "max-unparseable": (0, 100, "percent of the answers"),
    "max-latency-ratio": (0.001, 1000, "the candidate's time by the baseline's"),
    "server-matches": (0, 1, "the least cosine of a server's vectors with the checkpoint's"),
}


@pytest.mark.parametrize("check", _RANGES)
def test_each_number_from_its_least_to_its_most(tmp_path: Path, check: str) -> None:
    least, most, unit = _RANGES[check]
    select = "" if check in OF_MODEL else 'tasks = ["A"]\n'
    for good in (least, most):
        (rule,) = rules_of(tmp_path, f"[[rule]]\n{select}{check} = {good}\n").rules
        assert rule.checks == {check: good}
    for bad in (least - 0.0001, most + 0.0001):
        with pytest.raises(BadInput) as error:
            rules_of(tmp_path, f"[[rule]]\n{select}{check} = {bad!r}\n")
        assert str(error.value) == (
            f"{tmp_path / 'gate.toml'}: rule 1: {check} must be a number from {least} to {most} ({unit}), not {bad!r}"
        )


@pytest.mark.parametrize(
    ("key", "least", "most"), [("min-effect", "0", "200"), ("alpha", "0.000001", "0.5"), ("alpha", "1e-6", "0.50")]
)
def test_each_setting_from_its_least_to_its_most(tmp_path: Path, key: str, least: str, most: str) -> None:
    rule = '[[rule]]\ntasks = ["A"]\nno-significant-drop = true\n'
    for good in (least, most):
        found = rules_of(tmp_path, f"alpha = {good}\n{rule}" if key == "alpha" else f"{rule}{key} = {good}\n")
        assert (found.alpha if key == "alpha" else found.rules[0].min_effect) == float(good)
    for bad in (repr(float(least) - 1e-7), repr(float(most) + 1e-7)):
        with pytest.raises(BadInput, match=f"{key} must be a number from"):
            rules_of(tmp_path, f"alpha = {bad}\n{rule}" if key == "alpha" else f"{rule}{key} = {bad}\n")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, said in ((tmp_path / "gone.toml", "does not exist"), (tmp_path, "is not a regular file")):
        with pytest.raises(BadInput, match=said):
            read_rules(path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is not UTF-8"):
        read_rules(tmp_path / "bytes.toml")
