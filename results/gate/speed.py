"""Checks of what ``flagbench speed`` measured of a candidate: limits of a model in use, which have no task.

A limit is that of a machine: the one that the baseline was measured or evaluated on. A figure is held against it with
its interval, and is inconclusive where the limit lies within that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flagbench import printable
from flagbench.results.gate.checks import CheckResult, same_machine
from flagbench.results.gate.known import Unknown
from flagbench.results.gate.rules import Check, Rule
from flagbench.results.runs import Run
from flagbench.results.speed import FEWEST_FOR_P99, Estimate, Speed, own_speed_of, speed_of, unlike


def _max_latency_p99(baseline: Run, candidate: Run, rule: Rule, limit: float) -> CheckResult:
    before, after = _measured(baseline, candidate, rule)
    level = after.at(rule.concurrency)
    if level is None:
        loops = ", ".join(f"{each.concurrency}" for each in after.levels if each.rate is None)
        there = f"at {loops}" if loops else "an open loop"
        raise Unknown(
            f"nothing was measured at concurrency {rule.concurrency}, but {there}: "
            f"measure it with flagbench speed --concurrency {rule.concurrency}"
        )
    if level.requests < FEWEST_FOR_P99:
        raise Unknown(
            f"{level.requests} requests at concurrency {rule.concurrency} are too few for a p99: measure longer, with "
            "more --seconds"
        )
    earlier = before.at(rule.concurrency) if before else None
    seconds = limit / 1000
    holds = _clear(level.p99, seconds, f"p99 {_ms(level.p99)} is not clear of {limit:g} ms")
    said = f"p99 {_ms(level.p99)} at concurrency {rule.concurrency}, {limit:g} ms are allowed"
    return CheckResult(holds, said, level.p99.value, earlier.p99.value if earlier else None, "seconds")


def _min_tokens_per_second(baseline: Run, candidate: Run, rule: Rule, limit: float) -> CheckResult:
    before, after = _measured(baseline, candidate, rule)
    if after.texts.unit != "tokens":
        raise Unknown(f"{after.texts.unit} were counted and no tokens: measure again with the model's --tokenizer")
    most = after.saturation.units_per_second
    figures = f"{most.value:,.0f} tokens a second [{most.low:,.0f}, {most.high:,.0f}]"
    holds = not _clear(most, limit, f"{figures} is not clear of {limit:,g}", equal=False)
    number = before.saturation.units_per_second.value if before and before.texts.unit == "tokens" else None
    said = f"{figures}, at least {limit:,g} are required"
    return CheckResult(holds, said, most.value, number, "tokens per second")


def _max_peak_memory(baseline: Run, candidate: Run, rule: Rule, limit: float) -> CheckResult:
    before, after = _measured(baseline, candidate, rule)
    if after.peak is None:
        raise Unknown("the memory of the model was not seen: it runs on a server")
    where = "host" if after.memory.gpu is None else "GPU"
    said = f"{after.peak / 1e6:,.0f} MB of the {where} at the peak, {limit:,g} MB are allowed"
    number = float(before.peak) if before and before.peak is not None else None
    return CheckResult(after.peak <= 1e6 * limit, said, float(after.peak), number, "bytes")


SPEED_CHECKS: Mapping[Check, Callable[[Run, Run, Rule, float], CheckResult]] = {
    "max-latency-p99": _max_latency_p99,
    "min-tokens-per-second": _min_tokens_per_second,
    "max-peak-memory": _max_peak_memory,
}
"""Each takes baseline, candidate, the rule, and the limit of this check; it raises Unknown where none can be said."""


def _measured(baseline: Run, candidate: Run, rule: Rule) -> tuple[Speed | None, Speed]:
    """What was measured of both, of the baseline where it was and is of what ran.

    Raises:
        Unknown: Nothing was measured of the candidate, requests failed, or it was another machine or server.
        BadInput: A file is damaged.
    """
    before, after = own_speed_of(baseline), speed_of(candidate)
    if after is None:
        model = printable(candidate.record.model)
        raise Unknown(
            f"the candidate has no speed.json: measure {model} with flagbench speed, and the --output of its run"
        )
    if said := unlike(after, candidate.record, "the candidate"):
        raise Unknown(said)
    if after.failed:
        raise Unknown(f"{after.failed:,} requests of the measurement failed: see the server, and measure again")
    if not rule.any_machine:
        same_machine(before.environment if before else baseline.record.environment, after.environment)
    return before, after


def _clear(figure: Estimate, limit: float, unclear: str, *, equal: bool = True) -> bool:
    """Whether a figure with its interval is below a limit; True for one that is equal, where that is below.

    Raises:
        Unknown: The limit is within the interval.
    """
    if figure.high < limit or (equal and figure.high == limit):
        return True
    if figure.low > limit or (not equal and figure.low == limit):
        return False
    raise Unknown(f"{unclear}: measure longer")


def _ms(figure: Estimate) -> str:
    return f"{1000 * figure.value:,.4g} ms [{1000 * figure.low:,.4g}, {1000 * figure.high:,.4g}]"
