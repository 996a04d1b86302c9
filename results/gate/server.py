"""The check of what ``flagbench match`` found: whether the candidate's server gives what its checkpoint gives."""

from __future__ import annotations

from flagbench.results.gate.checks import CheckResult
from flagbench.results.gate.known import Unknown
from flagbench.results.runs import Run
from flagbench.results.server_match import FILE, ServerMatch, outdated


def server_matches(matched: ServerMatch | None, candidate: Run, limit: float) -> CheckResult:
    """Check a server by the least cosine of its vectors with the checkpoint's, or the largest difference of its scores.

    Args:
        matched: The report on it; None where there is none.
        candidate: The run.
        limit: The least cosine, or what 1 less the largest difference must be.

    Raises:
        Unknown: There is no report, or it is of another checkpoint or server.
    """
    if matched is None:
        raise Unknown(
            "there is no report of flagbench match: write one with --json, and name it with --match or put it beside "
            f"run.json as {FILE}"
        )
    if said := outdated(matched, candidate.record):
        raise Unknown(said)
    of_vectors = matched.measure == "cosine"
    worst = matched.worst if of_vectors else 1 - matched.worst
    holds = worst >= limit and not matched.lengths_differ and not matched.unusable
    causes = "; ".join(cause.said for cause in matched.causes) or matched.unexplained
    what = "least cosine" if of_vectors else "1 less the largest difference of a score"
    lengths = ", and vectors of other lengths" if matched.lengths_differ else ""
    said = f"{what} {worst:.6f}{lengths}, at least {limit:g} is required"
    # What was not compared is said of a pass too: it may be that the texts were too short to be cut.
    beside = causes if not holds else "; ".join(matched.notes)
    return CheckResult(holds, said + (f": {beside}" if beside else ""), worst, unit="cosine")
