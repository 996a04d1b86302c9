"""What ``flagbench match`` found: how far a server's vectors or scores are from a checkpoint's, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from flagbench import UNTOLD, BadInput, printable
from flagbench.evidence import is_of_model
from flagbench.files import as_number, read_json
from flagbench.paths import check_there
from flagbench.results.compare.settings import word
from flagbench.results.record import RunRecord

VERSION = 1
"""Of the file. Another one is not read."""

FILE = "match.json"
"""Name of the file beside the run.json that it belongs to."""

Measure = Literal["cosine", "score"]

_LARGEST = 1 << 20
_NO_MATTER = frozenset(
    {"name", "licence", "similarity", "dtype", "attention", "query_mix", "view", "served"}
) | frozenset({"retrieval", "weights", "candidates"})
"""Settings of a model that name it, rank its vectors, or are its number format, which a match looks for."""

_FIX = "write it again with flagbench match --json"


@dataclass(frozen=True)
class Group:
    """The texts of one kind.

    Attributes:
        name: The kind.
        count: Texts, or pairs.
        worst: Least cosine, or largest difference of a score as a part of 1 + the score.
        median: The same of the middle one.
    """

    name: str
    count: int
    worst: float
    median: float


@dataclass(frozen=True)
class Cause:
    """Something that the server does otherwise, tested true.

    Attributes:
        kind: ``pooling``, ``cut``, and so on.
        said: It in a sentence without a full stop.
    """

    kind: str
    said: str


@dataclass(frozen=True)
class Served:
    """A model behind a server.

    Attributes:
        url: Address of the server.
        interface: As ``--api-kind`` names it.
        model: Its name there.
        revision: Of its weights, where it is known; ``server`` where not.
    """

    url: str
    interface: str
    model: str
    revision: str


@dataclass(frozen=True)
class ServerMatch:
    """A comparison of a server with a checkpoint.

    Attributes:
        name: Of the checkpoint.
        revision: Of the checkpoint.
        served: The other side.
        measure: What is compared.
        tolerance: What a cosine may lack of 1, or a score differ by as a part of 1 + the score.
        groups: By kind of text.
        worst: Of all groups.
        lengths_differ: Whether vectors have other lengths than the checkpoint's, or another number of dimensions.
        unusable: Whether the server's replies are no model's: unlike each other for one text, or one for all pairs.
        same: Whether the server gives what the checkpoint gives, within the tolerance.
        settings: Of the checkpoint.
        asked: Fields of the requests to the server, as settings have them.
        causes: Why it does not, or what is left to see within the tolerance; empty where nothing, or nothing known.
        left: The worst of all where the checkpoint does as the causes say; None where there are none.
        unexplained: What nothing explains, in a sentence; empty where all is explained.
        notes: Remarks, a sentence each.
        texts: Texts that were sent.
        requests: In how many requests.
        finished: When, in ISO 8601.
    """

    name: str
    revision: str
    served: Served
    measure: Measure
    tolerance: float
    groups: tuple[Group, ...]
    worst: float
    lengths_differ: bool
    same: bool
    unusable: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    causes: tuple[Cause, ...] = ()
    left: float | None = None
    unexplained: str = ""
    notes: tuple[str, ...] = ()
    texts: int = 0
    requests: int = 0
    finished: str = field(default="", compare=False)

    def to_json(self) -> str:
        """The text of its file."""
        values = {"version": VERSION, **asdict(self)}
        return json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def outdated(report: ServerMatch, record: RunRecord) -> str:
    """Why a report says nothing of a run, in a sentence; empty where it does.

    A run of a checkpoint must be of the one that was compared, a run of a served model of that server.

    Args:
        report: What was compared.
        record: Of the run.
    """
    revision = str(record.spec.get("revision", record.revision))
    if "served" not in record.spec:
        if revision != report.revision:
            return (
                f"the report of flagbench match is of {report.name} at {report.revision}, and this run of {revision}: "
                "run it again with this checkpoint"
            )
        return _other_settings(other_setting(report.settings, record.spec, but=_NO_MATTER))
    served = report.served
    if not any(is_of_model(line, served.url, served.interface, served.model) for line in record.evidence):
        return (
            f"the report of flagbench match is of {served.model} at {served.url}, and this run of another server or "
            "model: run it again with that one"
        )
    if revision != served.revision:
        named = "without --api-revision" if revision == UNTOLD else f"with --api-revision {printable(revision)}"
        how = "" if served.interface == "tei" else f" {named}, if it is this model"  # tei says it itself
        return (
            f"the report of flagbench match is of revision {served.revision} on the server, and this run of "
            f"{printable(revision)}: run it again{how}"
        )
    asked = record.spec["served"]
    return _other_settings(other_setting(report.asked, asked if isinstance(asked, Mapping) else {}))


def other_setting(one: Mapping[str, Any], other: Mapping[str, Any], *, but: Set[str] = frozenset()) -> str:
    """The first setting that both have and that differs, with both values; empty for none.

    Args:
        one: Settings by name.
        other: The same of another.
        but: Names that do not matter.
    """
    names = [name for name in sorted(one.keys() & other.keys() - but) if one[name] != other[name]]
    return printable(f"{word(names[0])} {one[names[0]]!r:.60} against {other[names[0]]!r:.60}") if names else ""


def _other_settings(differs: str) -> str:
    if not differs:
        return ""
    return f"the report of flagbench match is of other settings than this run ({differs}): run it again with these"


def read_match(path: Path) -> ServerMatch:
    """Read a file of ``flagbench match --json``.

    Args:
        path: The file.

    Raises:
        BadInput: It cannot be read, is damaged or of another version.
    """
    check_there(path, "name a report of flagbench match --json")
    value = read_json(path, _FIX, largest=_LARGEST)
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise BadInput(f"{path} is no report of this version of flagbench match: {_FIX}")
    try:
        return _match(value)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({printable(str(error))}): {_FIX}") from error


def _match(value: Mapping[str, Any]) -> ServerMatch:
    served = Served(*(_typed(value["served"], each.name, str) for each in fields(Served)))
    groups = tuple(
        Group(
            _typed(each, "name", str),
            _typed(each, "count", int),
            _number(each["worst"], "worst"),
            _number(each["median"], "median"),
        )
        for each in _typed(value, "groups", list)
    )
    causes = tuple(
        Cause(_typed(each, "kind", str), _typed(each, "said", str)) for each in _typed(value, "causes", list)
    )
    if value["measure"] not in ("cosine", "score") or not groups:
        raise ValueError("nothing is measured in it")
    worst = _number(value["worst"], "worst")
    if worst != (min if value["measure"] == "cosine" else max)(group.worst for group in groups):
        raise ValueError("its groups and the worst of them contradict one another")
    tolerance = _number(value["tolerance"], "tolerance")
    _check_numbers(value["measure"], groups, tolerance)
    within = worst >= 1 - tolerance if value["measure"] == "cosine" else worst <= tolerance
    if value["same"] is not (within and value["lengths_differ"] is False and value["unusable"] is False):
        raise ValueError("its numbers and that it is the same contradict one another")
    return ServerMatch(
        **{name: _typed(value, name, str) for name in ("name", "revision", "measure", "unexplained", "finished")},
        **{name: _typed(value, name, bool) for name in ("lengths_differ", "same", "unusable")},
        **{name: _typed(value, name, int) for name in ("texts", "requests")},
        served=served,
        settings=_typed(value, "settings", dict),
        asked=_typed(value, "asked", dict),
        tolerance=tolerance,
        groups=groups,
        worst=worst,
        causes=causes,
        left=None if value["left"] is None else _number(value["left"], "left"),
        notes=tuple(_texts(value["notes"])),
    )


def _check_numbers(measure: Measure, groups: Sequence[Group], tolerance: float) -> None:
    """See that numbers are of what they are called.

    Raises:
        ValueError: One cannot be.
    """
    if not 0 <= tolerance < 1 or any(group.count < 1 for group in groups):
        raise ValueError("a tolerance is from 0 to 1, and a group has a text or more")
    for group in groups:
        if measure == "cosine" and not -1.0001 <= group.worst <= group.median <= 1:
            raise ValueError(f"{group.worst:g} and {group.median:g} are no least and median cosine")
        if measure == "score" and not 0 <= group.median <= group.worst:
            raise ValueError(f"{group.worst:g} and {group.median:g} are no largest and median difference")


def _typed(value: Any, name: str, kind: type[Any]) -> Any:
    found = value[name]
    if type(found) is not kind:
        raise TypeError(f"{name} is no {kind.__name__}")
    return found


def _number(value: Any, name: str) -> float:
    number = as_number(value)
    if number is None:
        raise TypeError(f"{name} is no number")
    return number


def _texts(value: Any) -> Sequence[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError("notes are no texts")
    return value
