"""What ``flagbench speed`` prints: the texts, each level, and what there is to know of the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from flagbench import counted, in_bytes
from flagbench.results.speed import FEWEST_FOR_P99, Estimate, Level, Speed, Texts
from flagbench.runners.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

_DATA = {"mini": "miniature data", "hub": "data of the hub", "folder": "data of a folder"}
_BUSY = 0.7
"""Of a processor: a client in Python that is so busy adds to what it measures."""

_LOADED = 0.5
"""Load of each processor before the measurement, from which on a line says that others had work for them."""

_AGAIN = 3
"""Times that a text is sent, of more than these a line says so."""


def show_speed(found: Speed, benchmark: str, console: Console) -> None:
    """Show a measurement.

    Args:
        found: It.
        benchmark: Title of the benchmark that the texts are of.
        console: Where.
    """
    table = Table(title=Text(f"{found.model}: latency and throughput"), title_justify="left")
    rows = found.levels
    open_loop = found.loop == "open"
    unit = "tokens/s" if found.texts.unit == "tokens" else "chars/s"
    for heading in [_load_heading(found), "sent", "p50", "p90", "p99", f"{found.texts.kind}/s", unit]:
        table.add_column(heading, justify="right")
    for level in rows:
        load = f"{level.rate:g}" if open_loop else f"{level.concurrency:,}"
        times = (_latency(each) for each in (level.p50, level.p90, level.p99))
        speeds = (_per_second(each) for each in (level.texts_per_second, level.units_per_second))
        table.add_row(*map(Text, (load, f"{level.requests:,}", *times, *speeds)))
    console.print(table)
    say(console, *lines(found, benchmark))


def lines(found: Speed, benchmark: str) -> Iterator[str]:
    """What is said below the table, a line each.

    Args:
        found: The measurement.
        benchmark: Title of the benchmark that the texts are of.
    """
    tasks = counted(len(found.tasks), "task")
    yield f"texts     {texts_line(found.texts)}; {tasks} of {benchmark}, {_DATA[found.data]}"
    yield f"load      {_load_line(found)}"
    repeats = f"{found.repeats} repeats of {found.seconds:.3g} s"
    yield f"intervals 95% over {repeats}, of percentiles by bootstrap, of rates by Student's t; warm-up is not counted"
    most = found.saturation
    end = "; the last level is the fastest, so that a higher one may be faster still" if found.rising else ""
    yield f"most      {most.units_per_second.value:,.0f} {found.texts.unit} a second, {_at(most)}{end}"
    yield f"memory    {_memory(found)}"
    environment = found.environment
    threads = f"{environment.get('threads')} threads, OMP_NUM_THREADS {environment.get('OMP_NUM_THREADS') or 'not set'}"
    asked = "asked from " if found.served else ""
    yield f"machine   {asked}{environment.get('device_name')}, {threads}"
    yield from (f"warning   {line}" for line in _warnings(found))


def texts_line(texts: Texts) -> str:
    """How many texts there are, and how long."""
    drawn = f"{texts.drawn:,} {texts.kind}" + (f" drawn of {texts.asked:,}" if texts.drawn < texts.asked else "")
    role = "" if texts.role == "all" else f" ({texts.role})"
    cut = f", cut at {texts.cut:,}" if texts.cut else ""
    return (
        f"{drawn}{role}, {texts.median:,.0f} {texts.unit} at the median, {texts.p95:,.0f} at p95, "
        f"{texts.longest:,} at most{cut}"
    )


def level_line(level: Level, texts: Texts) -> str:
    """A level in a line."""
    failed = f", {level.failed:,} failed" if level.failed else ""
    return (
        f"{_at(level)}: p50 {_ms(level.p50.value)}, p99 {_ms(level.p99.value)}, "
        f"{level.texts_per_second.value:,.4g} {texts.kind} a second{failed}"
    )


def _at(level: Level) -> str:
    return f"{level.rate:g} requests a second" if level.rate is not None else f"{level.concurrency:,} at the same time"


def _load_heading(found: Speed) -> str:
    if found.loop == "open":
        return "rate\n/s"
    return "at\nonce" if found.served else "batch"


def _load_line(found: Speed) -> str:
    if found.loop == "open":
        how = "open loop: requests come at random times, latency counts from when each was due"
    elif found.served:
        how = "closed loop: each client sends when its answer has come, latency counts from then to the last byte"
    else:
        how = "closed loop: one batch after the other, latency is that of the batch, from its texts to the result"
    batch = max(level.batch for level in found.levels)
    return how + (f"; {batch:,} {found.texts.kind} a request" if found.served and batch > 1 else "")


def _memory(found: Speed) -> str:
    if found.served:
        return "of the server: not seen from here"
    host = f"host {in_bytes(found.memory.host)}" if found.memory.host is not None else "host not known"
    return f"peak: {host}" + (f", GPU {in_bytes(found.memory.gpu)}" if found.memory.gpu is not None else "")


def _warnings(found: Speed) -> Iterator[str]:
    if found.other_load is not None and found.other_load > _LOADED:
        yield f"this machine had other work (load {found.other_load:.1f} of each processor), which is in these figures"
    few = [_at(level) for level in found.levels if level.requests < FEWEST_FOR_P99]
    if few:
        yield f"fewer than {FEWEST_FOR_P99} requests, too few for a p99: {', '.join(few)}; allow more --seconds"
    retried = sum(level.retries for level in found.levels)
    if retried:
        yield f"{retried:,} requests were sent again, as the server asked or failed; latencies have the time of it"
    if found.served and (busy := [_at(level) for level in found.levels if level.processors > _BUSY]):
        yield (
            f"this client was busy itself, {', '.join(busy)}: the server may be faster than these figures; "
            "--api-format base64 or more texts a request spare it"
        )
    sent = sum(level.requests * level.batch for level in found.levels)
    if found.served and sent > _AGAIN * found.texts.drawn:
        times = sent / found.texts.drawn
        yield f"each text was sent about {times:,.0f} times: a cache before the model would show in these figures"


def _latency(each: Estimate) -> str:
    return f"{_ms(each.value)}\n{_ms(each.low)[:-3]}–{_ms(each.high)[:-3]}"


def _ms(seconds: float) -> str:
    milliseconds = 1000 * seconds
    return f"{milliseconds:,.0f} ms" if milliseconds >= 99.95 else f"{milliseconds:.3g} ms"


def _per_second(each: Estimate) -> str:
    return f"{_figure(each.value)}\n{_figure(each.low)}–{_figure(each.high)}"


def _figure(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
