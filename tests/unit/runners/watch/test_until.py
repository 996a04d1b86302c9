"""The end of a watch, as people write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flagbench.runners.watch.until import Until, parse_until


@pytest.mark.parametrize(
    ("text", "until"),
    [
        ("0", Until(step=0)),
        ("12000", Until(step=12000)),
        ("90s", Until(seconds=90)),
        ("1.5h", Until(seconds=5400)),
        ("2h30m", Until(seconds=9000)),
        ("1d12h5min", Until(seconds=129900)),
        ("done", Until(file=Path("done"))),
        ("runs/12h.txt", Until(file=Path("runs/12h.txt"))),
        ("./10km", Until(file=Path("10km"))),
        ("./10 m", Until(file=Path("10 m"))),
        ("٣", Until(file=Path("٣"))),
    ],
)
def test_steps_times_and_files(text: str, until: Until) -> None:
    assert parse_until(text) == until


@pytest.mark.parametrize("text", ["", "9" * 17, "10km", "10k", "10 m", "1_000", "2.5", "3H"])
def test_neither(text: str) -> None:
    with pytest.raises(ValueError, match="expected a step"):
        parse_until(text)


def test_each_ends_by_its_own(tmp_path: Path) -> None:
    assert [Until(step=100).reached(step, 1e9) for step in (-1, 99, 100, 101)] == [False, False, True, True]
    assert [Until(seconds=5).reached(10**6, seconds) for seconds in (4.9, 5.0)] == [False, True]
    until = Until(file=tmp_path / "done")
    assert not until.reached(10**6, 1e9)
    (tmp_path / "done").touch()
    assert until.reached(-1, 0)


@pytest.mark.parametrize(
    ("until", "said"),
    [
        (Until(step=1000), "until step 1,000"),
        (Until(seconds=90), "for 90 s"),
        (Until(file=Path("done")), "until done exists"),
    ],
)
def test_in_words(until: Until, said: str) -> None:
    assert str(until) == said
