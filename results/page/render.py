"""The text of a page: the template filled, and what a browser may do with it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

import flagbench
from flagbench import in_bytes
from flagbench.results.compare.compare import ALPHA, too_few
from flagbench.results.effective_length import effective_length_of
from flagbench.results.figures import Ends, Scale, percent
from flagbench.results.intervals import LEVEL
from flagbench.results.kinds import JUDGED, unit_of
from flagbench.results.page import Language, curve_plot, facts, history_plot, plot
from flagbench.results.page.commands import Command, CommandOf, no_command, version_of
from flagbench.results.page.curves import axis_name, label_of, setting_of, value_of
from flagbench.results.page.downloads import downloads
from flagbench.results.page.grids import AXES, shade
from flagbench.results.page.heat import LEAST, shaded
from flagbench.results.page.marks import is_any_marked, marked_states, marked_tasks
from flagbench.results.page.place import ALONE, Site
from flagbench.results.page.symbols import SHAPES, symbol
from flagbench.results.page.view import Group, RunView
from flagbench.results.page.words import words
from flagbench.results.readable import Unreadable
from flagbench.results.series.text import shown

_HERE = Path(__file__).parent

# Controls and halves of surrogate pairs: no valid text of a page. Overrides of direction: they show a name reversed.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202d\u202e\ud800-\udfff\ufffe\uffff]")

_IMAGE = re.compile(r"\[image ([^\[\]]+)\]\s*$")
"""Where the line of an input has the name of its image (``models/inputs.py``)."""

_MINUS = "\N{MINUS SIGN}"

_BARS = 4
"""Runs whose means by type are drawn as bars; of more there is the heat map alone."""

_CARDED = 6
"""Runs whose scores and settings are cards on a phone; of more the table is moved sideways."""


def page(
    groups: Sequence[Group],
    language: Language,
    *,
    unreadable: Sequence[Unreadable] = (),
    version: str = "",
    site: Site = ALONE,
    command_of: CommandOf = no_command,
) -> str:
    """The page of some runs.

    Args:
        groups: The runs.
        language: Of the fixed words.
        unreadable: Runs that are named and not shown.
        version: State of these files as ``/version`` of the server names it; empty for a page that is a file.
        site: The pages that it is one of.
        command_of: Gives the commands that are shown.

    Returns:
        HTML that needs no other file and no network, but for the version that a server is asked for; it may lead to
        other pages of its site.
    """
    says = words(language)
    runs = [each for group in groups for each in group.runs]
    if site.title:
        title = site.title
    elif version:
        title = says("title_board")
    elif len(runs) == 1:
        title = runs[0].run.label
    else:
        title = says("title_compared", count=len(runs))
    script, style = _asset("page.js"), _asset("page.css")
    return (
        _environment(language)
        .get_template("page.html")
        .render(
            title=title,
            groups=groups,
            runs=runs,
            unreadable=unreadable,
            version=version,
            site=site,
            script=Markup(script),
            style=Markup(style),
            policy=policy(served=bool(version)),
            placed=_placing(),
            command_of=command_of,
            finished=max((each.finished for each in (site.index.shown if site.index else runs)), default=""),
        )
    )


def _placing() -> Callable[[str], tuple[str, bool]]:
    """Gives each picture of a page its id, and whether it is new: its bytes are there once, and SVG refers to them."""
    places: dict[str, str] = {}

    def placed(data: str) -> tuple[str, bool]:
        first = data not in places
        return places.setdefault(data, f"picture-{len(places) + 1}"), first

    return placed


def policy(*, served: bool) -> str:
    """Content-Security-Policy of a page: its one script and its one style, no more.

    Args:
        served: It may ask its server for the version as well.
    """
    rules = [
        "default-src 'none'",
        f"script-src '{_digest(_asset('page.js'))}'",
        f"style-src '{_digest(_asset('page.css'))}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        *(["connect-src 'self'"] if served else []),
    ]
    return "; ".join(rules)


@cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _environment(language: Language) -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_fit,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    says = words(language)
    made.globals |= {
        "t": says,
        "flagbench": flagbench.__version__,
        "alpha": ALPHA,
        "level": f"{LEVEL:.0%}",
        "plot": plot,
        "scatter": plot,
        "history_plot": history_plot,
        "curve_plot": curve_plot,
        "shapes": SHAPES,
        "symbol": symbol,
        "downloads": downloads,
        "version_of": version_of,
        "with_commands": _with_commands,
        "shaded": shaded,
        "too_few": too_few,
        "least": LEAST,
        "is_any_marked": is_any_marked,
        "marked_tasks": marked_tasks,
        "marked_states": marked_states,
        "axis_name": partial(axis_name, says),
        "label_of": partial(label_of, says),
        "setting_of": partial(setting_of, says),
        "value_of": value_of,
        "bars": _BARS,
        "carded": _CARDED,
        "axes": AXES,
    }
    made.globals |= {
        "mapping": facts.mapping,
        "number": facts.number,
        "verdict": facts.verdict,
        "verdicts_known": facts.VERDICTS,
        "judged": JUDGED,
        "without_vectors": lambda views: all(facts.answers(view.run) for view in views),
        "effective": effective_length_of,
        "unit_of": unit_of,
    }
    made.filters |= {
        "figure": figure,
        "without_unit": lambda score, scale: minus(scale.number(score)),
        "sides": sides,
        "minus": minus,
        "whole": lambda score: percent(score, 0),
        "shade": shade,
        "attr_at": lambda values, at: values[at],
        "gain": gain,
        "direction": direction,
        "breaks": _breaks,
        "humps": _humps,
        "image_name": lambda text: found[1] if (found := _IMAGE.search(text)) else "",
        "short": _short,
        "place": shown,
        "in_bytes": in_bytes,
        "cut": lambda text, most: text if len(text) <= most else f"{text[: most - 1]}…",
        "duration": says.duration,
        "kind": says.kind,
        "setting": says.setting,
        "p": lambda p: f"{p:.4f}" if p >= 0.0001 else "<0.0001",
        "amount": lambda number: f"{number:,.0f}" if number >= 10 else f"{number:,.1f}",
        "grouped": lambda number: f"{number:,}" if isinstance(number, int | float) else number,
    }
    return made


def _with_commands(views: Sequence[RunView], command_of: CommandOf) -> list[tuple[RunView, Command]]:
    """The runs that have a command, each with it."""
    return [(view, command) for view in views if (command := command_of(view.run))]


def figure(score: float | None, scale: Scale) -> str:
    """A score as it is read; empty for none."""
    return minus(scale.figure(score))


def sides(score: float, ends: Ends, scale: Scale) -> str:
    """The interval of a score, with the unit of both."""
    return minus(" ".join(filter(None, (scale.sides(score, ends), scale.unit))))


def minus(text: str) -> str:
    """Figures with the sign that is as wide as a plus."""
    return text.replace("-", _MINUS)


def gain(delta: float | None, scale: Scale) -> str:
    """A difference of scores with its sign; empty for none."""
    return minus(scale.gain(delta))


def direction(delta: float, scale: Scale) -> str:
    """How a difference of scores looks: ``gain``, ``loss`` or, where it rounds to nothing, ``even``."""
    rounded = scale.rounded(delta)
    return "gain" if rounded > 0 else "loss" if rounded < 0 else "even"


def _fit(value: Any) -> Any:
    """Turn any value into text that a page may have, before it is escaped."""
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", value) if type(value) is str else value


def _breaks(name: str) -> Markup:
    """A name that may be broken after slashes, underscores and at-signs."""
    return Markup("").join(
        Markup("{}<wbr>").format(part) if part in "/_@" else escape(part)
        for part in re.split("([/_@])", str(_fit(name)))
        if part
    )


def _humps(name: str) -> Markup:
    """A name that may be broken before capitals as well, as names of tasks in narrow columns."""
    parts = re.split("(?<=[a-z0-9])(?=[A-Z])", str(_fit(name)))
    return Markup("<wbr>").join(_breaks(part) for part in parts)


def _short(number: float) -> str:
    """A number as a user would say it: 22.7M; what rounds to 1,000 of a unit is 1 of the next."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= 0.9995 * size:
            return f"{number / size:.3g}{unit}"
    return f"{number:g}"
