"""Comparison of a run with a model's published scores, task by task, and likely causes of differences."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal

from flagbench import BadInput, counted, first_few, known_name
from flagbench.results.compare.settings import settings_mixed
from flagbench.results.data_state import ACCEPT_COUNTS, DataState
from flagbench.results.figures import scale_of
from flagbench.results.kinds import FITTED, RANKED
from flagbench.results.published.scores import Doubt, Published, PublishedTable
from flagbench.results.published.variant import OTHER_SETTINGS, variant
from flagbench.results.record import RunRecord, TaskRecord
from flagbench.results.versions import mteb_of, ties

if TYPE_CHECKING:
    from rich.table import Table

TOLERANCE = 0.0005
NEAR = 0.005

Verdict = Literal["OK", "near", "FAIL", "missing", "not compared", "not judged"]

_NAMED = 5
"""Tasks whose names a line has."""

# What makes a pattern of the differences: a guess is made of these, never a verdict.
_MANY = 0.8  # share of the tasks that is nearly all of them
_SMALL = 0.02
_LARGE = 0.05
_DECIMALS = 9  # beyond the noise of subtracting


@dataclass(frozen=True)
class Checked:
    """One task.

    Attributes:
        task: Its name.
        kind: Its type.
        verdict: ``FAIL`` and ``missing`` (from the run) fail the whole, and so does ``not compared``, over data that is
            not known to be the official data; ``not judged`` has nothing published.
        ours: Score of the run, over the published splits; None without one.
        published: The published score; None without one.
        note: Note for the user.
        metric: Main score of the run's task, or the published one where the run lacks it; empty where none is known.
    """

    task: str
    kind: str
    verdict: Verdict
    ours: float | None
    published: float | None
    note: str = ""
    metric: str = ""

    @property
    def difference(self) -> float | None:
        """The run's score less the published one."""
        if self.ours is None or self.published is None:
            return None
        return round(self.ours - self.published, _DECIMALS)


@dataclass(frozen=True)
class Verification:
    """A run compared with published scores.

    Attributes:
        model: Model of the run.
        against: The published scores, with their model.
        source: Where it was read.
        tolerance: Difference that is OK.
        near: Difference that is near.
        tasks: Each task.
        hints: Where to look first when something is off.
    """

    model: str
    against: Published
    source: str
    tolerance: float
    near: float
    tasks: Sequence[Checked]
    hints: Sequence[str]

    @property
    def passed(self) -> bool:
        """True when every judged task is OK or near."""
        return not any(each.verdict in ("FAIL", "missing", "not compared") for each in self.tasks)

    def counts(self) -> dict[Verdict, int]:
        """The number of tasks by verdict."""
        verdicts = [each.verdict for each in self.tasks]
        order: tuple[Verdict, ...] = ("OK", "near", "FAIL", "missing", "not compared", "not judged")
        return {verdict: verdicts.count(verdict) for verdict in order if verdict in verdicts}

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "model": self.model,
            "against": self.against.model,
            "published_revision": self.against.revision,
            "source": self.source,
            "tolerance": self.tolerance,
            "near": self.near,
            "passed": self.passed,
            "counts": self.counts(),
            "tasks": [asdict(each) | {"difference": each.difference} for each in self.tasks],
            "hints": list(self.hints),
        }


def verify(
    record: RunRecord,
    against: Published,
    table: PublishedTable,
    *,
    tolerance: float = TOLERANCE,
    near: float = NEAR,
    only: Collection[str] = (),
    accept_counts: bool = False,
) -> Verification:
    """Compare a run with published scores.

    Args:
        record: The run.
        against: The published scores.
        table: The table that this is from.
        tolerance: A score that differs by no more is OK.
        near: One that differs by no more is near; beyond, it fails.
        only: Tasks to judge; empty for all.
        accept_counts: Compare tasks as well over data of which only the counts agree with the official data.

    Raises:
        BadInput: The tolerances are not in order, a task is unknown, there is nothing to judge, or the run is a point
            of a series or a mixture, which no published score is of.
    """
    if not (0 <= tolerance <= near < 1):
        raise BadInput(f"--tolerance {tolerance} and --near {near}: expected 0 <= tolerance <= near < 1")
    kinds = table.kinds
    hint = f"see flagbench tasks --benchmark {shlex.quote(table.benchmark)}"
    only = {known_name("task", name, kinds, hint) for name in only}
    if not record.tasks.keys() & kinds.keys():
        ran = ", ".join(list(record.tasks)[:3]) or "no task"
        raise BadInput(
            f"this run (of {record.benchmark}: {ran}) has no task of {table.title}, whose published scores these are"
        )
    chosen = {task: kind for task, kind in kinds.items() if not only or task in only}
    if not any(task in against.scores for task in chosen):
        raise BadInput(f"nothing is published of {against.model} for {', '.join(chosen)}: choose other --tasks")
    if words := variant(record, chosen):
        name = shlex.quote(f"published:{against.model}")
        raise BadInput(
            f"this run has {OTHER_SETTINGS}: {words}; so it reproduces none: evaluate {against.model} without "
            f"that, or see how far from them it is with flagbench check --baseline {name}"
        )
    others = {} if only else {name: its.kind for name, its in record.tasks.items() if name not in kinds}
    checked = [
        _of_the_same(
            _check(record.tasks.get(task), task, kind, against.scores.get(task, {}), (tolerance, near), accept_counts),
            record.tasks.get(task),
            table,
        )
        for task, kind in {**chosen, **others}.items()
        if task in against.scores or task in record.tasks
    ]
    hints = tuple(_hints(record, against, table.doubts, checked))
    return Verification(record.model, against, table.source, tolerance, near, checked, hints)


def _of_the_same(checked: Checked, its: TaskRecord | None, table: PublishedTable) -> Checked:
    """The task with its metric, which is not compared where its score is of something else than the published one, and
    a note where that is of another revision of the data.
    """
    if its is None:
        return replace(checked, metric=table.metrics.get(checked.task, ""))
    checked = replace(checked, metric=its.main_score)
    if checked.verdict not in ("OK", "near", "FAIL"):
        return checked
    if other := table.other_subsets(its.name, its.scores) or table.other_metric(its):
        return replace(checked, verdict="not compared", published=None, note=other)
    notes = [checked.note, table.other_revisions([its]).get(its.name, "")]
    return replace(checked, note="; ".join(filter(None, notes)))


def _check(
    its: TaskRecord | None,
    task: str,
    kind: str,
    published: Mapping[str, float],
    limits: tuple[float, float],
    accept_counts: bool,
) -> Checked:
    if its is None:
        return Checked(task, kind, "missing", None, fmean(published.values()), "not in the run")
    if not published:
        return Checked(task, kind, "not judged", its.score, None, "no score is published")
    theirs = fmean(published.values())
    if its.status == "error":
        return Checked(task, kind, "FAIL", None, theirs, f"failed: {its.error}")
    # Some models have published one split of a task that has two: only the same splits are compared.
    absent = [split for split in published if not its.scores.get(split)]
    if absent:
        return Checked(task, kind, "missing", None, theirs, f"the run lacks the split {', '.join(absent)}")
    ours = fmean(fmean(its.scores[split].values()) for split in published)
    if its.status == "partial":
        return Checked(task, kind, "FAIL", ours, theirs, "scored on a part of the data")
    if its.later_error:
        return Checked(task, kind, "FAIL", ours, theirs, f"failed when it was last evaluated: {its.later_error}")
    notes = [f"only {', '.join(published)} is published"] if len(published) < len(its.scores) else []
    state = DataState.of(its.data)
    if aside := state.set_aside(accept_counts=accept_counts):
        return Checked(task, kind, "not compared", ours, theirs, "; ".join([*notes, aside]))
    notes += [] if state.comparable() else [state.words]
    off = round(abs(ours - theirs), _DECIMALS)
    verdict: Verdict = "OK" if off <= limits[0] else "near" if off <= limits[1] else "FAIL"
    return Checked(task, kind, verdict, ours, theirs, "; ".join(notes))


def _hints(record: RunRecord, against: Published, doubts: Sequence[Doubt], checked: Sequence[Checked]) -> Iterator[str]:
    """Hints on the cause, by the pattern of the tasks that are off, with the run's settings to compare."""
    theirs = against.mteb
    if (version := mteb_of(record)) and theirs and not set(version.split("+")) <= set(theirs.split("+")):
        yield f"the run was scored with mteb {version}, the published scores with mteb {theirs}"
    if mixed := settings_mixed((record.tasks[each.task] for each in checked if each.task in record.tasks), record.spec):
        yield f"between tasks of this run: {mixed}"
    compared = [each for each in checked if each.difference is not None]
    by_state: dict[DataState, list[str]] = {}
    for each in compared:
        state = DataState.of(record.tasks[each.task].data)
        if each.verdict != "OK" and not state.comparable():
            by_state.setdefault(state, []).append(each.task)
    for state, rows in by_state.items():
        if state is DataState.COUNTS_AGREE:
            yield f"{state.words} in {first_few(rows, 3)}: rows of other content would be a cause as well"
        else:
            yield f"first: the data of {first_few(rows, 3)}: {state.words}; fix the data before anything else"
    off = [each for each in compared if each.verdict in ("near", "FAIL")]
    if not off:
        return
    its = [record.tasks[each.task] for each in off]
    whole = [each for each in off if record.tasks[each.task].status == "success"]
    if any("reranker" in each.settings for each in its):
        yield "first: the run re-ranks with a second model, which the published scores may not; evaluate without it"
    if not whole:
        return
    guesses = [
        *_ranked_alone(record, compared, whole),
        *_fitted_alone(whole, compared),
        *_together(record, compared, whole),
        *_instructed_alone(record, against, whole),
    ]
    kinds = {each.kind for each in whole}
    if version and theirs and (changed := ties(version, theirs, kinds)):
        guesses.append(changed)
    guesses += [
        f"{against.made_by} made the published scores: {doubt.why}"
        for doubt in doubts
        if against.made_by.startswith(doubt.made_by) and kinds == doubt.kinds
    ]
    if not guesses and by_state.keys() <= {DataState.COUNTS_AGREE}:
        guesses = ["no usual pattern; compare the settings in run.json with those that the model's card states"]
    yield from (f"guess: {guess}" for guess in guesses)


def _ranked_alone(record: RunRecord, compared: Sequence[Checked], off: Sequence[Checked]) -> Iterator[str]:
    """Instructions stand before queries of retrieval and reranking: these are off, and others are not."""
    fine = {each.kind for each in compared if each.verdict == "OK"} - RANKED
    if fine and {each.kind for each in off} <= RANKED:
        yield (
            "only retrieval and reranking are off: the query instruction may be another; "
            f"the run's is {_setting(record, off, 'instruction', ('query', 'passage'))} (--query-instruction)"
        )


def _fitted_alone(off: Sequence[Checked], compared: Sequence[Checked]) -> Iterator[str]:
    """Those that fit a probe or clusters to samples of the rows, which other tasks do not."""
    fine = {each.kind for each in compared if each.verdict == "OK"} - FITTED
    small = all(abs(each.difference or 0) <= _SMALL for each in off)
    if fine and small and {each.kind for each in off} <= FITTED:
        yield (
            "only tasks that fit a probe or clusters are off, by little: they draw samples and fit, "
            "which versions of mteb and scikit-learn do not do alike"
        )


def _instructed_alone(record: RunRecord, against: Published, off: Sequence[Checked]) -> Iterator[str]:
    """mteb's own code has instructions for queries and for passages, so that texts which are neither get none (e5)."""
    before = {
        str(text)
        for each in off
        if isinstance(instruction := record.tasks[each.task].settings.get("instruction"), Mapping)
        and (text := instruction.get("symmetric"))
    }
    if before and against.made_by.startswith("mteb 2") and not {each.kind for each in off} & RANKED:
        yield (
            f"only tasks without queries are off, and the run puts {first_few(map(repr, sorted(before)), 2)} before "
            f"their texts: {against.made_by} made the published scores, and puts instructions before queries and "
            "passages alone"
        )


def _together(record: RunRecord, compared: Sequence[Checked], off: Sequence[Checked]) -> Iterator[str]:
    """Nearly every task is off, of more than one type: something that all texts go through."""
    if len(off) < max(3, math.ceil(_MANY * len(compared))) or len({each.kind for each in off}) < 2:
        return
    sizes = [abs(each.difference or 0) for each in off]
    if max(sizes) <= _SMALL:
        names = ("query_max_length", "passage_max_length", "dtype")
        fp16 = any("store" in record.tasks[each.task].settings for each in off)
        yield (
            "nearly all tasks are off by a little: the length of texts or the precision may be another; "
            f"the run's: {_setting(record, off, 'model', names)} (--max-length, --dtype)"
            + ("; its vectors were cached in half precision (--store-fp16)" if fp16 else "")
        )
    elif median(sizes) > _LARGE:
        yield (
            "nearly all tasks are far off: the pooling, the normalisation or the weights may be others; "
            f"the run's: {_setting(record, off, 'model', ('pooling', 'normalize', 'revision'))} "
            "(--pooling, --normalize, --revision)"
        )


def _setting(record: RunRecord, off: Sequence[Checked], part: str, names: Sequence[str]) -> str:
    """Settings of the tasks that are off, as far as the record has them."""
    found: dict[str, dict[str, None]] = {name: {} for name in names}
    for each in off:
        settings = record.tasks[each.task].settings.get(part)
        for name in names:
            if isinstance(settings, Mapping) and name in settings:
                found[name][f"'{value}'" if isinstance(value := settings[name], str) else str(value)] = None
    settings_shown = [f"{name} {first_few(values, 3)}" for name, values in found.items() if values]
    return ", ".join(settings_shown) or "not in its record"


def render(verification: Verification) -> Table:
    """A Rich table. Scores are in percent where they have no unit behind them, differences in points of it."""
    from rich.markup import escape
    from rich.table import Table

    title = f"{escape(verification.model)} against the published scores of {escape(verification.against.model)}"
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("task", "type", "run", "published", "difference", "verdict", "note"):
        table.add_column(heading, justify="right" if heading in ("run", "published", "difference") else "left")
    styles = {"OK": "green", "near": "yellow", "FAIL": "bold red", "missing": "bold red", "not compared": "yellow"}
    for each in verification.tasks:
        style = styles.get(each.verdict)
        verdict = f"[{style}]{each.verdict}[/]" if style else each.verdict
        scale = scale_of(each.metric)
        numbers = (scale.figure(each.ours, 3), scale.figure(each.published, 3), scale.gain(each.difference, 3))
        table.add_row(escape(each.task), each.kind, *numbers, verdict, escape(each.note))
    return table


def remarks(verification: Verification) -> list[str]:
    """The verdict as a whole, and the hints, a line each."""
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verification.counts().items())
    small, large = 100 * verification.tolerance, 100 * verification.near
    against = verification.against
    return [
        f"{'reproduced' if verification.passed else 'NOT reproduced'}: {counts} "
        f"(OK within {small:g} points, near within {large:g})",
        f"published: {verification.source}, revision {against.revision or 'unknown'}"
        + (f", by {against.made_by}" if against.made_by else ""),
        *verification.hints,
        *_flags(verification),
    ]


def _flags(verification: Verification) -> Iterator[str]:
    """The last line, where nothing failed: the flags that leave out or compare what keeps it from a verdict."""
    of = {name: [each for each in verification.tasks if each.verdict == name] for name in verification.counts()}
    absent, aside = of.get("missing", []), of.get("not compared", [])
    ran = [each.task for each in verification.tasks if each.verdict in ("OK", "near", "not compared")]
    if "FAIL" in of or not ran or any(ACCEPT_COUNTS not in each.note for each in aside):
        return
    parts = []
    if absent:
        names = ",".join(ran) if len(ran) <= _NAMED else "with their names"
        parts.append(f"--tasks {names} compares the {counted(len(ran), 'task')} of this run alone")
    if aside:
        parts.append(f"--accept-counts compares {counted(len(aside), 'task')} of which only the counts agree")
    if parts:
        yield f"to decide: {'; '.join(parts)}"
