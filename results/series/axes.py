"""Which runs are a series: those that differ in one setting, its axis, or in two, of which one has a curve a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flagbench import first_few, printable
from flagbench.results.compare.settings import changes
from flagbench.results.runs import Run
from flagbench.results.series.setups import DIMS, FULL, MIX, STEP, VECTORS, WEIGHT, Setup, Value, setup_of

_LENGTHS = ("query_max_length", "passage_max_length")
_NAMES: Mapping[str, tuple[str, str]] = {
    STEP: ("training step", ""),
    DIMS: ("dimensions", ""),
    VECTORS: ("vectors", ""),
    MIX: ("weight of the generation", ""),
    "cutoff_layer": ("cutoff layer", ""),
    "max_length": ("max length", "tokens"),
    "query_max_length": ("query max length", "tokens"),
    "passage_max_length": ("passage max length", "tokens"),
    "top_k": ("passages re-ranked", ""),
}
"""Name and unit of axes by their keys; others have the names of their settings."""

_SMALLEST_FIRST = ("binary", "binary+rescore", "int8", "fp32")
"""Precisions of vectors, by what they cost."""

_MOST_AXES = 2


@dataclass(frozen=True)
class Axis:
    """What runs differ in.

    Attributes:
        key: Of the setting.
        name: For people, in English.
        unit: Of its values; empty for none.
        values: In order, the smallest first.
        counted: Whether all values are numbers.
    """

    key: str
    name: str
    unit: str
    values: tuple[Value, ...]
    counted: bool


@dataclass(frozen=True)
class Series:
    """Runs that differ in one setting, or in two.

    Attributes:
        axis: The setting that curves are drawn over.
        other: The second one, which has a curve for each of its values; None where there is no second.
        places: Value of the axis, and of the other (None without one), by place of the run among those given.
    """

    axis: Axis
    other: Axis | None
    places: Mapping[int, tuple[Value, Value | None]]

    @property
    def order(self) -> tuple[int, ...]:
        """Places of the runs along the axis, those of a curve after those of the one before it."""
        others = self.other.values if self.other else (None,)
        along = {(value, other): at for at, (value, other) in self.places.items()}
        found = (along.get((value, other)) for other in others for value in self.axis.values)
        return tuple(at for at in found if at is not None)


@dataclass(frozen=True)
class Layout:
    """The series among some runs.

    Attributes:
        series: Each of two runs or more.
        undrawn: A line on each set of runs of one model that differ in too much for a curve.
        left_out: Labels of runs that are on no curve, though others are, each with the reason.
    """

    series: tuple[Series, ...] = ()
    undrawn: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


Member = tuple[int, Setup]


def find_series(runs: Sequence[Run]) -> Layout:
    """The series among some runs.

    Args:
        runs: In any order.
    """
    setups, reasons = _setups(runs)
    buckets: dict[str, list[Member]] = {}
    for at, setup in setups.items():
        buckets.setdefault(setup.key, []).append((at, setup))
    found: list[Series] = []
    undrawn: list[str] = []
    for members in _joined(list(buckets.values())):
        axes = _axes(members)
        series, without = _series(axes, members, runs) if axes else (None, {})
        if series is not None:
            found.append(series)
            reasons |= without
        elif axes:
            undrawn.append(_undrawn([runs[at].label for at, _ in members], axes))
            reasons |= dict.fromkeys((at for at, _ in members), "")
    drawn = {at for series in found for at in series.places}
    for at in [at for at in setups if found and at not in drawn and at not in reasons]:
        reasons[at] = _unlike(setups[next(iter(found[0].places))], setups[at])
    left_out = ((runs[at].label, reasons[at]) for at in sorted(reasons) if found and reasons[at])
    return Layout(tuple(found), tuple(undrawn), tuple(left_out))


def _setups(runs: Sequence[Run]) -> tuple[dict[int, Setup], dict[int, str]]:
    """The settings of runs by their places, and of the others why they are not known."""
    known: dict[int, Setup] = {}
    reasons: dict[int, str] = {}
    for at, run in enumerate(runs):
        setup = setup_of(run)
        if isinstance(setup, Setup):
            known[at] = setup
        else:
            reasons[at] = setup
    return known, reasons


def _undrawn(labels: Sequence[str], axes: Sequence[Axis]) -> str:
    """Why there is no curve of some runs."""
    return (
        f"no curve is drawn of {first_few(labels, 3)}: they differ in {len(axes)} settings "
        f"({', '.join(axis.name for axis in axes)}); name runs that differ in one of these, or in two of which each "
        "value has several of the other"
    )


def _unlike(first: Setup, other: Setup) -> str:
    """Why a run is on no curve of another one."""
    model = first.common.get("model")
    end = isinstance(model, list) and other.source in model
    if model != other.common.get("model") and not end:
        return "it is of another model"
    phrases = list(changes({**first.common, "model": ""}, {**other.common, "model": ""}))
    return f"other settings: {first_few(phrases, 3)}"


def _joined(buckets: list[list[Member]]) -> Iterator[list[Member]]:
    """Members that are at the end of an axis: the models of a mixture themselves, and queries that are not mixed."""
    homes: dict[int, list[tuple[int, Mapping[str, Value]]]] = {}
    commons = [members[0][1].common for members in buckets]
    mixed = [at for at, common in enumerate(commons) if isinstance(common.get("model"), list) or MIX in common]
    for at, members in enumerate(buckets):
        for home in mixed:
            others = buckets[home]
            if home != at and (ends := _ends(members[0][1], others[0][1])) is not None:
                homes.setdefault(at, []).append((home, ends))
    joined = [list(members) for members in buckets]
    for at, found in homes.items():
        if len(found) == 1:
            home, ends = found[0]
            joined[home] += [(run, replace(setup, places={**setup.places, **ends})) for run, setup in buckets[at]]
            joined[at] = []
    yield from filter(None, joined)


def _ends(plain: Setup, mixed: Setup) -> Mapping[str, Value] | None:
    """The places of a run on the axes of a mixture that it is one end of; None where it is none."""
    sources = mixed.common.get("model")
    if isinstance(sources, list) and plain.source in sources:
        if {**plain.common, "model": sources} != mixed.common:
            return None
        keys = [key for key in mixed.places if key.startswith(WEIGHT)]
        return {key: float(key == f"{WEIGHT}{plain.source}") for key in keys}
    if MIX in mixed.common and {**plain.common, MIX: mixed.common[MIX]} == mixed.common and MIX not in plain.common:
        return {MIX: 0.0}
    return None


def _axes(members: Sequence[Member]) -> list[Axis]:
    """The settings that differ between members which say something of them."""
    values: dict[str, dict[Value, None]] = {}
    for _, setup in members:
        for key, value in setup.places.items():
            values.setdefault(key, {})[value] = None
    keys = [key for key, its in values.items() if len(its) > 1]
    pairs = {tuple(setup.places.get(key) for key in _LENGTHS) for _, setup in members}
    if set(_LENGTHS) <= set(keys) and len(pairs) == len(values[_LENGTHS[1]]):
        keys.remove(_LENGTHS[0])  # it follows the other, as one flag sets both
        return [axis_of(key, values[key], "max_length" if key == _LENGTHS[1] else key) for key in keys]
    return [axis_of(key, values[key], key) for key in keys]


def axis_of(key: str, values: Iterable[Value], known_as: str) -> Axis:
    """An axis with its values in order: numbers, and after them ``full``; precisions by what they cost."""
    words = dict(zip(_SMALLEST_FIRST, range(len(_SMALLEST_FIRST)), strict=True))
    given = list(values)

    def place(value: Value) -> tuple[bool, float, str]:
        number = words.get(value, len(words)) if isinstance(value, str) else value
        return isinstance(value, str), number if value != FULL else float("inf"), str(value)

    prefix = "reranker " if known_as.startswith("reranker ") else ""
    known_as = known_as.removeprefix(prefix)
    name, unit = _NAMES.get(known_as, (printable(known_as).replace("_", " "), ""))
    if known_as.startswith(WEIGHT):
        name = known_as.rpartition("@")[0] or known_as  # the revision is the same for all
    counted = not any(isinstance(value, str) for value in given)
    whose = " of the reranker" if prefix and known_as != "top_k" else ""
    return Axis(key, f"{name}{whose}", unit, tuple(sorted(given, key=place)), counted)


def _series(
    axes: Sequence[Axis], members: Sequence[Member], runs: Sequence[Run]
) -> tuple[Series | None, dict[int, str]]:
    """A series over one axis or two, and why members are not in it; None where no curve has two points.

    The axis that is drawn across is not the precision, where there is another, and has the more values.
    """
    if len(axes) > _MOST_AXES:
        return None, {}
    ordered = sorted(axes, key=lambda axis: (axis.key == VECTORS, -len(axis.values)))
    for across, other in zip(ordered, reversed(ordered), strict=True):
        second = other if other is not across else None
        series, without = _placed(across, second, members, runs)
        curves = Counter(place for _, place in series.places.values())
        if max(curves.values(), default=0) > 1:
            return series, without
    return None, {}


def _placed(
    across: Axis, other: Axis | None, members: Sequence[Member], runs: Sequence[Run]
) -> tuple[Series, dict[int, str]]:
    places: dict[int, tuple[Value, Value | None]] = {}
    taken: dict[tuple[Value, Value | None], str] = {}
    without: dict[int, str] = {}
    for at, setup in members:
        lacking = [axis.name for axis in (across, other) if axis and axis.key not in setup.places]
        if lacking:
            without[at] = f"its settings do not say its {lacking[0]}"
            continue
        place = setup.places[across.key], setup.places[other.key] if other else None
        if place in taken:
            without[at] = f"it has the same settings as {taken[place]}"
            continue
        taken[place] = runs[at].label
        places[at] = place
    return Series(across, other, places), without
