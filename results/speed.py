"""speed.json as values: what a model costs in use, how that was measured, and where."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, Strict

from flagbench import BadInput, in_one_line, printable
from flagbench.evidence import is_of_server
from flagbench.results.migrations import SCHEMA_VERSION, current
from flagbench.results.record import MACHINE, RunRecord
from flagbench.results.runs import Run
from flagbench.results.server_match import other_setting
from flagbench.results.shapes import CLOSED, Count, Seconds, Text, Truth, check_shape

FILE = "flagbench/speed.json"
"""In the folder of a run."""

FEWEST_FOR_P99 = 100
"""Requests; of fewer, a 99th percentile is not much else than the slowest of them."""

_NO_MATTER = frozenset({"name", "licence", "similarity", "query_mix", "retrieval", "weights", "candidates"})
"""Settings of a model that name it, or rank its vectors, which costs it nothing."""

Loop = Literal["closed", "open"]
Amount = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=0, le=1e12)]
"""Seconds, bytes, texts a second: of what was measured, or 0 of nothing."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval over the repeats."""

    __pydantic_config__ = CLOSED

    value: Amount
    low: Amount
    high: Amount


@dataclass(frozen=True)
class Level:
    """What was measured under one load.

    Attributes:
        concurrency: Requests at the same time, of a closed loop; of an open one, those that may be.
        batch: Texts, or pairs, of a request at most.
        rate: Requests that came in a second, of an open loop; None for a closed one.
        requests: Requests that ended well, whose latencies these are.
        failed: Requests that did not.
        retries: Requests that were sent again, in the time of the one that they are of.
        p50: Median latency of a request, in seconds.
        p90: Likewise.
        p99: Likewise.
        texts_per_second: Texts, or pairs, whose request ended well.
        units_per_second: Tokens, or characters, of these.
        processors: Processors that this process kept busy, on average; of a server it is the client alone.
        failure: What the first failed request ended with; empty for none.
    """

    __pydantic_config__ = CLOSED

    concurrency: Count
    batch: Count
    rate: Amount | None
    requests: Count
    failed: Count
    retries: Count
    p50: Estimate
    p90: Estimate
    p99: Estimate
    texts_per_second: Estimate
    units_per_second: Estimate
    processors: Amount
    failure: Text = ""


@dataclass(frozen=True)
class Texts:
    """The texts that were sent.

    Attributes:
        kind: Texts, or pairs of a query and a passage.
        role: Of the texts: ``query``, ``passage`` or ``symmetric``; ``all`` for any.
        asked: How many a run of the tasks asks for.
        drawn: How many of these there were to send.
        unit: Of their lengths.
        median: Length.
        p95: Length, below which 95% are.
        longest: Length.
        cut: Tokens at which they count as cut; 0 for nowhere.
    """

    __pydantic_config__ = CLOSED

    kind: Literal["texts", "pairs"]
    role: Text
    asked: Count
    drawn: Count
    unit: Literal["tokens", "characters"]
    median: Amount
    p95: Amount
    longest: Count
    cut: Count = 0


@dataclass(frozen=True)
class Memory:
    """Peaks of memory in bytes, while it was measured; None for what cannot be seen, such as a server's."""

    __pydantic_config__ = CLOSED

    host: Count | None
    gpu: Count | None


@dataclass(frozen=True)
class Speed:
    """One speed.json.

    Attributes:
        model: ``org/model``.
        revision: Commit or hash of files.
        spec: Effective model settings.
        benchmark: Name of the benchmark that the texts are of.
        tasks: Names of its tasks.
        data: Whether these are the miniature ones, those of the hub, or of a folder.
        texts: What was sent.
        loop: ``closed``: the next request goes when one has ended; ``open``: whatever has ended.
        seconds: Of each repeat.
        repeats: Of each level.
        levels: What was measured, in the order in which it was asked for.
        memory: Of this machine.
        served: Whether the model is behind a server, which the machine of ``environment`` only asks.
        environment: Versions, machine, device, threads.
        other_load: Load of each processor of this machine in the minute before (its load average by their number); None
            where that is not known.
        finished: UTC time, ISO 8601.
        url: Address of the server, as ``--api-base`` names it, without a slash at its end; empty for a model here, and
            in files of before it was noted.
        schema_version: Of this layout.
    """

    __pydantic_config__ = CLOSED

    model: Text
    revision: Text
    spec: Mapping[str, Any]
    benchmark: Text
    tasks: tuple[Text, ...]
    data: Literal["mini", "hub", "folder"]
    texts: Texts
    loop: Loop
    seconds: Seconds
    repeats: Count
    levels: tuple[Level, ...]
    memory: Memory
    served: Truth
    environment: Mapping[str, Any]
    other_load: Amount | None
    finished: Text
    url: Text = ""
    schema_version: int = SCHEMA_VERSION

    @property
    def saturation(self) -> Level:
        """The level with the most tokens, or characters, in a second."""
        return max(self.levels, key=lambda level: level.units_per_second.value)

    @property
    def rising(self) -> bool:
        """Whether a higher level than the last may be faster still: the last is, by its interval, the fastest."""
        *before, last = self.levels
        most = max((level.units_per_second.value for level in before), default=0.0)
        return last.failed == 0 and last.units_per_second.low > most

    @property
    def failed(self) -> int:
        """Requests that failed, at any level."""
        return sum(level.failed for level in self.levels)

    @property
    def peak(self) -> int | None:
        """Peak of the memory that the model is in: of the GPU where it runs on one; None where it cannot be seen."""
        return self.memory.host if self.memory.gpu is None else self.memory.gpu

    def at(self, concurrency: int) -> Level | None:
        """The level of a closed loop with so many requests at the same time; None where there is none."""
        return next((each for each in self.levels if each.rate is None and each.concurrency == concurrency), None)

    @property
    def like(self) -> tuple[Any, ...]:
        """What has to be equal for the times of two models to compare: texts, loop and machine."""
        machine = tuple((part, self.environment.get(part)) for part in MACHINE)
        texts = (self.texts.kind, self.texts.role, self.texts.unit)
        return (self.benchmark, self.tasks, self.data, texts, self.loop, self.served, machine)

    def to_json(self) -> str:
        """Text of the file."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | Mapping[str, Any]) -> Speed:
        """Read the text of a file.

        Raises:
            ValueError: It is none, or one of a later version.
        """
        document = current(text, {})
        lists = {name: tuple(document[name]) for name in ("tasks", "levels") if isinstance(document.get(name), list)}
        check_shape(cls, document | lists)
        levels = tuple(_level(each) for each in document["levels"])
        if not levels:
            raise ValueError("it has no levels")
        made = {"texts": Texts(**document["texts"]), "memory": Memory(**document["memory"]), "levels": levels}
        return cls(**document | lists | made)


def _level(document: Mapping[str, Any]) -> Level:
    """A level whose numbers fit together.

    Raises:
        ValueError: They do not.
    """
    estimates = {name: Estimate(**value) for name, value in document.items() if isinstance(value, dict)}
    for name, each in estimates.items():
        if not each.low <= each.value <= each.high:
            raise ValueError(f"{name} {each.value:g} is not within its interval, {each.low:g} to {each.high:g}")
    level = Level(**{**document, **estimates})
    if not level.p50.value <= level.p90.value <= level.p99.value:
        raise ValueError("its percentiles do not rise")
    if not level.requests or not level.batch or not level.concurrency:
        raise ValueError("a level has no requests, none at a time, or no texts in one")
    return level


def speed_of(run: Run) -> Speed | None:
    """What ``flagbench speed`` measured of the model of a run; None where that was not done.

    Raises:
        BadInput: The file is damaged, of a later version, or of another model.
    """
    path = run.folder / FILE
    if run.kept is not None or not os.path.lexists(path):
        return None
    fix = "measure again with flagbench speed, or remove it"
    try:
        found = Speed.from_json(run.text(FILE, fix))
    except ValueError as error:
        raise BadInput(f"{path} cannot be read ({in_one_line(error)}): {fix}") from error
    if (found.model, found.revision) != (run.record.model, run.record.revision):
        other = printable(f"{found.model} at {found.revision}")
        raise BadInput(f"{path} is of {other}, and the run of {printable(run.record.model_at)}: {fix}")
    return found


def own_speed_of(run: Run) -> Speed | None:
    """The same, of what ran: None also where other settings or another server were measured.

    Raises:
        BadInput: See ``speed_of``.
    """
    found = speed_of(run)
    return None if found is None or unlike(found, run.record, "the run") else found


def unlike(measured: Speed, record: RunRecord, run: str) -> str:
    """Why what was measured is not what ran, in a sentence; empty where it is.

    Args:
        measured: Of the model of the run.
        record: Of the run.
        run: What it is called.
    """
    if differs := other_setting(measured.spec, record.spec, but=_NO_MATTER):
        return f"speed.json is of other settings than {run}'s ({differs}): measure with these"
    if measured.served is not ("served" in record.spec):
        where = ("behind a server", "on this machine")
        one, other = where if measured.served else where[::-1]
        return f"speed.json is of a model {one}, and {run} ran {other}: measure it as it ran"
    if not measured.served:
        return ""
    if not measured.url:
        return "speed.json does not say of which server it is: measure again with flagbench speed"
    if not any(is_of_server(line, measured.url) for line in record.evidence):
        return f"speed.json is of the server at {printable(measured.url)}, and {run} of another: measure that one"
    return ""
