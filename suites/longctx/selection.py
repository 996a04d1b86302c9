"""Which tasks a run has, by whose rules, and which of its options these read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from flagbench import BadInput, first_few
from flagbench.flags import flags_of
from flagbench.runners.generation.server_options import ServerOptions
from flagbench.runners.request import RunRequest, options_of
from flagbench.runners.task import Task, pick_of_groups
from flagbench.suites.longctx.options import OF_ALL, OF_KIND, SPREAD, LongContextOptions
from flagbench.suites.longctx.registry import Row, kind_of, protocol_of, row_of, rows
from flagbench.suites.longctx.ruler.settings import TASKS, Needles

HINT = "see flagbench tasks --benchmark longctx"


def select(request: RunRequest) -> tuple[Task, ...]:
    """The tasks of a run, in the order of the table, each by its protocol.

    Without names, the tasks of the groups asked for, or of the first, that have the protocol asked for.

    Raises:
        BadInput: A task that was named, or all of a group, have no such protocol; or no task reads an option.
    """
    options = options_of(request, LongContextOptions)
    chosen = _chosen(request)
    having = [row for row in chosen if _has(row, options.protocol)]
    if request.tasks and len(having) < len(chosen):
        raise _no_protocol(str(options.protocol), [row for row in chosen if row not in having])
    for group in dict.fromkeys(row.group for row in chosen):
        its = [row for row in chosen if row.group == group]
        if not any(row in having for row in its):
            raise _no_protocol(str(options.protocol), its)
    _check_read(options, having)
    return tuple(row.task(protocol_of(row, options.protocol)) for row in having)


def left_out(request: RunRequest) -> Sequence[str]:
    """A line where tasks of a group have no such protocol as is asked for."""
    protocol = options_of(request, LongContextOptions).protocol
    without = [row for row in _chosen(request) if not _has(row, protocol)]
    return [f"{_having(without)}: no protocol {protocol}"] if without else []


def reads(row: Row) -> frozenset[str]:
    """The options that move a score of a task, by their fields."""
    its = {*OF_ALL, *OF_KIND[row.kind]}
    settings = TASKS[row.part] if row.kind == "ruler" else None
    if settings and not (isinstance(settings, Needles) and settings.haystack == "essay"):
        its.discard("haystack")
    return frozenset(its)


def resolved(task: Task, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a task as they are where only those are given that change something.

    What its kind does not read is as if it was not given, or left out; and so is what its protocol has of its own, such
    as the published lengths written out.

    Args:
        task: One of ``select``.
        options: All of a run.
    """
    row, protocol = row_of(task.name), task.splits[0]
    its = reads(row)
    defaults = {each.field: each.default for each in flags_of(LongContextOptions)}
    own = {"protocol": row.protocols[0], **kind_of(row).published(row, protocol, str(options["template"]))}
    kept = {
        name: defaults[name] if name not in its or (name in own and value == own[name]) else value
        for name, value in options.items()
    }
    if row.kind in SPREAD and kept["rows"] is not None and kept["rows"] >= len(kept["depths"] or own["depths"]):
        kept["rows"] = None
    return {name: value for name, value in kept.items() if name in its or value}


def _chosen(request: RunRequest) -> list[Row]:
    tasks = tuple(row.task(row.protocols[0]) for row in rows())
    groups = options_of(request, LongContextOptions).groups
    chosen = pick_of_groups(tasks, names=request.tasks, kinds=request.types, groups=groups, hint=HINT)
    return [row_of(task.name) for task in chosen]


def _has(row: Row, protocol: str | None) -> bool:
    return not protocol or protocol in row.protocols


def _no_protocol(protocol: str, without: Sequence[Row]) -> BadInput:
    """What is said of tasks that have no such protocol."""
    have = "has" if len(without) == 1 else "have"
    return BadInput(
        f"{_having(without)} {have} no protocol '{protocol}': choose one of these with --protocol, or other tasks with "
        "--tasks"
    )


def _having(without: Sequence[Row]) -> str:
    """Tasks, each with the protocols that it has; those with the same ones together."""
    by_protocols: dict[tuple[str, ...], list[str]] = {}
    for row in without:
        by_protocols.setdefault(row.protocols, []).append(row.name)
    return first_few((f"{first_few(names)} ({', '.join(its)})" for its, names in by_protocols.items()), between="; ")


def _check_read(options: LongContextOptions, chosen: Collection[Row]) -> None:
    """Refuse options that none of the chosen tasks reads.

    Raises:
        BadInput: There are such.
    """
    said = list(_unread(options, frozenset(name for row in chosen for name in reads(row))))
    if said:
        raise BadInput(
            f"no chosen task reads {'; '.join(said)}: drop what is not read, or choose such tasks with --tasks or "
            "--groups"
        )


def _unread(options: LongContextOptions, read: Collection[str]) -> Iterator[str]:
    """Each option that is given and not read, with the groups of tasks that read it."""
    of_servers = {each.field for each in flags_of(ServerOptions)}
    for each in flags_of(LongContextOptions):
        if each.selects or each.field in of_servers or each.field in read:
            continue
        if getattr(options, each.field) != each.default:
            groups = dict.fromkeys(row.group for row in rows() if each.field in reads(row))
            yield f"{each.name} (of {', '.join(groups)})"
