"""``flagbench check`` and ``flagbench baseline``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, UnknownName, counted, printable
from flagbench.files import as_number, open_to_add, user_path
from flagbench.runners.arguments import add_accept_counts, add_examples, add_run_argument, any_path, by_name, named_path
from flagbench.runners.commands.compare import seed
from flagbench.runners.commands.outputs import attempt, written
from flagbench.runners.commands.published import published_table
from flagbench.runners.terminal import console, encodable, say

if TYPE_CHECKING:
    from flagbench.results.gate.judge import Report
    from flagbench.results.gate.means import Means
    from flagbench.results.gate.rules import Rules
    from flagbench.results.runs import Run
    from flagbench.results.server_match import ServerMatch

_PUBLISHED = "published:"


def add_check(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench check``."""
    add_examples(
        parser,
        "flagbench check --baseline baseline.json --candidate results --rules gate.toml",
        "flagbench check --baseline baseline.json --candidate results --rules gate.toml --junit gate.xml --github",
    )
    parser.add_argument(
        "--baseline",
        required=True,
        metavar="BASE",
        help="baseline: run.json, the folder of a run, an --output folder with one run, a file of flagbench baseline, "
        "or published:org/model for its published scores of the run's benchmark",
    )
    parser.add_argument(
        "--candidate",
        type=any_path,
        metavar="CAND",
        help="run to check, as --baseline; --power needs none (default none)",
    )
    parser.add_argument(
        "--rules", required=True, type=any_path, metavar="FILE", help="TOML file with the rules (docs/ci.md)"
    )
    parser.add_argument(
        "--release",
        action="append",
        default=[],
        type=named_path,
        metavar="NAME=RUN",
        help="release that rules with since = NAME compare with, as --baseline; as often as there are (default: none)",
    )
    parser.add_argument(
        "--junit", type=any_path, metavar="FILE", help="file for the verdicts as JUnit XML (default: none)"
    )
    parser.add_argument(
        "--markdown",
        type=any_path,
        metavar="FILE",
        help="file for the verdicts as Markdown: the one comment of a pull request, with a hidden last line by which "
        "it is found again (default: none)",
    )
    parser.add_argument(
        "--json", type=any_path, metavar="FILE", help="file for the whole report as JSON (default: none)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these files if they exist (default off)")
    parser.add_argument(
        "--github",
        action="store_true",
        default=os.environ.get("GITHUB_ACTIONS") == "true",
        help="print annotations, and append to the file $GITHUB_STEP_SUMMARY (default: within GitHub Actions)",
    )
    parser.add_argument(
        "--match",
        type=any_path,
        metavar="FILE",
        help="report of flagbench match on the candidate's server, for the rule server-matches (default: match.json "
        "beside its run.json)",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="show each check that passes, in Markdown unfolded (default: one line for all of them)",
    )
    parser.add_argument(
        "--power",
        type=_points,
        nargs="?",
        const=0.0,
        metavar="POINTS",
        help="show the smallest drop that each rule sees with a power of 80%%, and which profile would see one of "
        "POINTS; nothing is judged (default: off)",
    )
    add_accept_counts(parser)
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the significance tests (default 0)")
    parser.set_defaults(run=_check, verdict=True)


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``flagbench baseline``."""
    add_examples(
        parser,
        "flagbench baseline results --output baseline.json",
    )
    add_run_argument(parser)
    parser.add_argument(
        "--output", required=True, type=any_path, metavar="FILE", help="file to write, such as baseline.json"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    parser.set_defaults(run=_baseline)


def _check(options: argparse.Namespace) -> int:
    from flagbench.results.gate.ci import to_annotations, to_junit
    from flagbench.results.gate.comment import to_comment
    from flagbench.results.gate.outputs import render, to_json, to_markdown
    from flagbench.results.gate.rules import read_rules

    targets = {"--junit": options.junit, "--markdown": options.markdown, "--json": options.json}
    inputs = {user_path(options.baseline): "--baseline", options.rules: "--rules"}
    if options.candidate is not None:
        inputs[options.candidate] = "--candidate"
    inputs |= {path: f"--release {name}" for name, path in by_name(options.release, "--release").items()}
    inputs |= {options.match: "--match"} if options.match else {}
    _check_targets(targets, inputs, overwrite=options.overwrite)
    if options.power is not None:
        return _power(read_rules(options.rules), options)
    if options.candidate is None:
        raise BadInput("--candidate is missing: name the run to check")
    report = _report(read_rules(options.rules), options)
    markdown = partial(to_comment, passes=options.all)
    made: dict[str, Callable[[Report], str]] = {"--junit": to_junit, "--markdown": markdown, "--json": to_json}
    writes = [partial(_write, target, made[flag](report)) for flag, target in targets.items() if target is not None]
    out = console()
    table, lines = render(report, passes=options.all, width=out.width)
    with _no_commands() if options.github else nullcontext():
        if table is not None:
            out.print(table)
        for line in lines:
            out.print(line, soft_wrap=True)
    if options.github:
        print("\n".join(to_annotations(report)))
        attempt(
            partial(_append_summary, to_markdown(report, passes=options.all))
        )  # GitHub's extra: the verdict is not moved by it
    return written(writes, report.exit_code)


@contextmanager
def _no_commands() -> Iterator[None]:
    """Have GitHub's runner take nothing for a command that is printed meanwhile: it looks for some within lines."""
    until = secrets.token_hex(16)
    print(f"::stop-commands::{until}", flush=True)
    try:
        yield
    finally:
        print(f"::{until}::", flush=True)


def _points(text: str) -> float:
    """A drop in points."""
    value = as_number(float(text)) if text.replace(".", "", 1).isdigit() else None
    if value is None or not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no drop: points from 0 to 100 are needed, such as 1.0")
    return value


def _power(rules: Rules, options: argparse.Namespace) -> int:
    """Show what a gate can see."""
    from flagbench.results.gate.known import refuse_itself
    from flagbench.results.gate.power import power, render, to_json
    from flagbench.results.runs import find_run, labelled
    from flagbench.runners.sample_sizes import SIZES

    if options.baseline.startswith(_PUBLISHED):
        raise BadInput(
            "--power needs a run as --baseline: published scores have no values, so their spread is not known"
        )
    if options.junit or options.markdown:
        raise BadInput("--power judges nothing: leave out --junit and --markdown, --json has its figures")
    paths = [user_path(options.baseline), *([options.candidate] if options.candidate else [])]
    runs = labelled([find_run(path) for path in paths])
    if len(runs) > 1:
        refuse_itself(runs[0], runs[1])
    kinds = {name: record.kind for name, record in runs[0].record.tasks.items()}
    sizes = {
        str(profile): {name: size.sets if kind == "Clustering" else size.items for name, kind in kinds.items()}
        for profile, size in SIZES.items()
    }
    sights = power(rules, runs, _means(runs), sizes, options.power)
    if not sights:
        raise BadInput(
            f"--power has nothing to show: no rule of {rules.file} limits a drop from --baseline; those with since are "
            "shown with their release as --baseline, in a file of their own without since"
        )
    paired, out = len(runs) > 1, console()
    table, lines = render(sights, wanted=options.power, paired=paired)
    out.print(table)
    say(out, *lines)
    if any(rule.since for rule in rules.rules):
        say(
            out,
            "rules with since are left out: give their release as --baseline, with these rules in a file of its own",
        )
    text = to_json(sights, wanted=options.power, paired=paired)
    return written([partial(_write, options.json, text)] if options.json else [], 0)


def _report(rules: Rules, options: argparse.Namespace) -> Report:
    """The verdicts by all rules: each is judged against the baseline, or the release that it names."""
    from flagbench.results.gate.since import check_releases, judge_by_release
    from flagbench.results.runs import find_run

    paths = by_name(options.release, "--release")
    check_releases(rules, paths)
    candidate = find_run(options.candidate)
    releases = {name: find_run(path) for name, path in paths.items()}
    matched = _matched(rules, options.match, candidate)

    def judge_part(part: Rules, since: str) -> Report:
        if since:
            return _against_run(part, releases[since], candidate, seed=options.seed, since=since)
        return _against_baseline(part, candidate, matched, options)

    return judge_by_release(rules, judge_part)


def _against_baseline(rules: Rules, candidate: Run, matched: ServerMatch | None, options: argparse.Namespace) -> Report:
    from flagbench.results.gate.judge import judge
    from flagbench.results.gate.published import as_baseline
    from flagbench.results.published.means import with_means
    from flagbench.results.runs import find_run

    if options.baseline.startswith(_PUBLISHED):
        table, name = published_table(candidate.record), options.baseline.removeprefix(_PUBLISHED)
        model = table.of_model(name, "--baseline published:MODEL names one of them")
        candidate = replace(candidate, record=with_means(candidate.record, table))
        baseline, part = as_baseline(model, table, candidate, accept_counts=options.accept_counts)
        known = table.other_revisions(candidate.record.tasks.values())
        means = _means([candidate])
        return judge(
            rules,
            baseline,
            candidate,
            published_part=part,
            means=means,
            known=known,
            matched=matched,
            seed=options.seed,
        )
    if options.accept_counts:
        raise BadInput(
            "--accept-counts needs --baseline published:MODEL: the data of two runs is compared by its content"
        )
    return _against_run(rules, find_run(user_path(options.baseline)), candidate, matched=matched, seed=options.seed)


def _against_run(
    rules: Rules,
    baseline: Run,
    candidate: Run,
    *,
    matched: ServerMatch | None = None,
    seed: int,
    since: str = "",
) -> Report:
    """The verdicts against a run: the baseline, or the release of a name."""
    from flagbench.results.gate.judge import judge
    from flagbench.results.gate.known import refuse_itself
    from flagbench.results.runs import labelled

    baseline, candidate = labelled([baseline, candidate])
    refuse_itself(baseline, candidate, f"--release {since}" if since else "--baseline")
    means = _means([baseline, candidate])
    return judge(rules, baseline, candidate, means=means, matched=matched, seed=seed, since=since)


def _matched(rules: Rules, file: Path | None, candidate: Run) -> ServerMatch | None:
    """The report on the candidate's server; None where there is none, or no rule asks for it.

    Raises:
        BadInput: It cannot be read, or was given and no rule asks for it.
    """
    from flagbench.results.server_match import FILE, read_match

    if not any("server-matches" in rule.checks for rule in rules.rules):
        if file is not None:
            raise BadInput(
                f"--match is for the rule server-matches, which {rules.file} has none of: drop it, or add one"
            )
        return None
    beside = candidate.folder / "flagbench" / FILE
    return read_match(file or beside) if file is not None or beside.is_file() else None


def _means(runs: Sequence[Run]) -> Means:
    """The averages of the benchmark that runs are of; none where that is not known here, so that its runs compare."""
    from flagbench.results.gate.means import Means, means_of
    from flagbench.runners.facts import facts_for

    try:
        facts = facts_for(runs[-1].record.benchmark, [run.record for run in runs])
    except UnknownName:
        return Means()
    return means_of(runs, facts.averages_of, facts.takes)


def _baseline(options: argparse.Namespace) -> int:
    from flagbench.results.contradictions import contradicted
    from flagbench.results.runs import find_run, saved

    _check_targets({"--output": options.output}, {}, overwrite=options.overwrite)
    baseline = saved(find_run(options.path))
    _write(options.output, baseline.to_json())
    tasks = baseline.record.tasks
    tested = f"{len(baseline.values)} with values per query"
    say(console(), f"written   {options.output}: {baseline.record.model}, {counted(len(tasks), 'task')}, {tested}")
    for name, record in tasks.items():
        if said := contradicted(record, baseline.values.get(name)):
            say(console(), f"warning   no gate passes {printable(name)}: {said}; evaluate it with --overwrite")
    return 0


def _check_targets(targets: Mapping[str, Path | None], inputs: Mapping[Path, str], *, overwrite: bool) -> None:
    """See that each file can be written, and is neither another one nor what is read."""
    from flagbench.results.store import check_target

    seen = {path.resolve(): flag for path, flag in inputs.items()}
    for flag, path in targets.items():
        check_target(flag, path, overwrite=overwrite)
        if path is not None and seen.setdefault(path.resolve(), flag) != flag:
            raise BadInput(f"{seen[path.resolve()]} and {flag} name the same file {path}: give each its own")


def _write(path: Path, text: str) -> None:
    from flagbench.results.store import write_atomic

    write_atomic(path, encodable(text))


def _append_summary(text: str) -> None:
    """Add to the page that GitHub shows of a step.

    Raises:
        BadInput: It cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    fix = "set $GITHUB_STEP_SUMMARY to a file that can be written, or unset it"
    try:
        with os.fdopen(open_to_add(Path(path), fix), "r+b") as file:
            file.seek(0, os.SEEK_END)
            file.write(encodable(text).encode())
    except OSError as error:
        raise BadInput(f"cannot write {path} ({error.strerror}): {fix}") from error
