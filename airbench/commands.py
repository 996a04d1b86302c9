"""``flagbench score air-bench`` and ``flagbench submit air-bench``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, counted, first_few
from flagbench.paths import near_by
from flagbench.runners.arguments import add_examples, any_path, names
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.airbench.registry import Dataset
    from flagbench.airbench.scores import Scores
    from flagbench.airbench.submission import Checked, Form
    from flagbench.runners.data.snapshots import Snapshots


def add_score(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench score air-bench``."""
    add_examples(
        parser,
        "flagbench score air-bench results",
        "flagbench score air-bench results --metrics ndcg_at_10,recall_at_10 --markdown scores.md",
    )
    parser.add_argument(
        "paths", nargs="+", type=any_path, metavar="PATH", help="folder with search results, of any depth, or a .zip"
    )
    _add_data_options(parser)
    parser.add_argument(
        "--rule",
        choices=("compat", "strict"),
        default="compat",
        help="metric rules: compat as air-benchmark computes, strict where missing queries count 0 and ties are as "
        "in trec_eval (default compat)",
    )
    parser.add_argument(
        "--metrics",
        type=names,
        metavar="A,B",
        help="metrics of --markdown and --per-query (default ndcg_at_10,recall_at_10)",
    )
    parser.add_argument(
        "--json",
        type=any_path,
        metavar="FILE",
        help="file for all metrics, as air-benchmark's evaluate_dev writes (default: none)",
    )
    parser.add_argument(
        "--markdown",
        type=any_path,
        metavar="FILE",
        help="file for tables, as air-benchmark's evaluate_dev writes (default: none)",
    )
    parser.add_argument(
        "--per-query", type=any_path, metavar="FILE", help="file for the values per query, as JSON (default: none)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace these files if they exist (default off)")
    parser.set_defaults(run=_score)


def add_submit(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench submit air-bench``."""
    add_examples(
        parser,
        "flagbench submit air-bench results --model-name my-model --model-url https://huggingface.co/org/my-model",
        "flagbench submit air-bench results --model-name my-model --anonymous --allow-partial",
    )
    parser.add_argument("root", type=any_path, metavar="DIR", help="folder with search results, of any depth")
    form = parser.add_argument_group("the leaderboard's form")
    form.add_argument("--model-name", required=True, metavar="NAME", help="name of the retriever")
    form.add_argument(
        "--model-url",
        default="",
        metavar="URL",
        help="address of the retriever; needed unless --anonymous (default none)",
    )
    form.add_argument("--reranker-name", metavar="NAME", help="name of the reranker (default: that of its folder)")
    form.add_argument(
        "--reranker-url",
        default="",
        metavar="URL",
        help="address of the reranker; needed with one, unless --anonymous (default none)",
    )
    form.add_argument("--anonymous", action="store_true", help="have the leaderboard hide the submission (default off)")
    choice = parser.add_argument_group("which results, where DIR holds several")
    choice.add_argument("--retriever", metavar="NAME", help="folder of the model (default: the only one)")
    choice.add_argument(
        "--reranker", metavar="NAME", help="folder of the reranker, or NoReranker (default: the only one)"
    )
    choice.add_argument(
        "--benchmark-version", metavar="V", help="version of the benchmark, 24.05 or 24.04 (default: the only one)"
    )
    parser.add_argument(
        "--output", type=any_path, default=Path(), metavar="DIR", help="folder of the archive (default: here)"
    )
    parser.add_argument(
        "--allow-partial", action="store_true", help="pack the results although datasets are missing (default off)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the archive if it exists (default off)")
    _add_data_options(parser)
    parser.set_defaults(run=_submit)


def _add_data_options(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--data", type=any_path, metavar="DIR", help="folder of local snapshots DIR/<org>/<repo>/ (default the hub)"
    )
    where.add_argument(
        "--mini", action="store_true", help="use the miniature data that ships with FlagBench (default off)"
    )


def _score(options: argparse.Namespace) -> int:
    from flagbench.airbench.scores import MAIN_METRICS, check_metrics, score
    from flagbench.results.store import write_atomic

    metrics = options.metrics or MAIN_METRICS
    check_metrics(metrics)
    targets = {"--json": options.json, "--markdown": options.markdown, "--per-query": options.per_query}
    files = {flag: path for flag, path in targets.items() if path is not None}
    _check_targets(files, overwrite=options.overwrite)
    if options.data is None and not options.mini:
        paths = " ".join(shlex.quote(str(path)) for path in options.paths)
        _refuse_mini(options.paths, "_dev.json", f"flagbench score air-bench {paths} --mini")
    snapshots, over = _data(options)
    keep = metrics if options.per_query else ()
    scores = score(options.paths, snapshots, options.rule, over=over, keep=keep)
    texts = {
        "--json": scores.to_reference_json,
        "--markdown": lambda: scores.to_reference_markdown(metrics),
        "--per-query": scores.per_query_json,
    }
    for flag, path in files.items():
        write_atomic(path, texts[flag]())
    _show_scores(scores, list(files.values()), console())
    return 0


def _check_targets(files: dict[str, Path], *, overwrite: bool) -> None:
    """See that files can be written, before the work.

    Raises:
        BadInput: One is there already, has no folder, or is asked for twice.
    """
    from flagbench.results.store import check_target

    for flag, path in files.items():
        twins = [other for other, its in files.items() if its.resolve() == path.resolve() and other != flag]
        if twins:
            raise BadInput(f"{flag} and {twins[0]} name the same file {path}: give each its own")
        check_target(flag, path, overwrite=overwrite)


def _show_scores(scores: Scores, files: Sequence[Path], out: Console) -> None:
    from flagbench.results.data_state import footnotes

    for table in scores.render():
        out.print(table)
    say(out, *scores.incomplete())
    for line in footnotes(each.state for each in scores.scored):
        say(out, line)
    if scores.left_out:
        say(out, f"left out  {counted(scores.left_out, 'file')} of the test split, whose labels are private")
    for path in files:
        say(out, f"written   {path}")


def _submit(options: argparse.Namespace) -> int:
    from flagbench.airbench.search_results import NO_RERANKER
    from flagbench.airbench.submission import Form, archive_name, check, check_model, check_target, choose, write_zip

    candidate = choose(
        options.root, retriever=options.retriever, reranker=options.reranker, version=options.benchmark_version
    )
    form = Form(
        model_name=options.model_name,
        model_url=options.model_url,
        reranker_name=options.reranker_name if options.reranker_name is not None else candidate.reranker,
        reranker_url=options.reranker_url,
        version=f"AIR-Bench_{candidate.version}",
        anonymous=options.anonymous,
    )
    form.check(candidate.reranker)
    check_model(candidate, form)
    target = options.output / archive_name(candidate, mini=options.mini)
    check_target(target, candidate.folder, overwrite=options.overwrite)
    if options.data is None and not options.mini:
        its = f"{shlex.quote(str(candidate.folder))} --benchmark-version {candidate.version}"
        name = shlex.quote(options.model_name)
        _refuse_mini(
            [candidate.folder], ".json", f"flagbench submit air-bench {its} --model-name {name} --anonymous --mini"
        )
    snapshots, over = _data(options)
    expected = [row for row in over if row.version == candidate.version and "test" in row.splits]
    checked = check(candidate, expected, snapshots, allow_partial=options.allow_partial)
    if checked.short and not (options.mini or options.allow_partial):
        raise BadInput(
            f"{candidate.folder} cannot be submitted: {first_few(checked.short)} do not have results of as many "
            "queries as are published; evaluate the official data, or use --allow-partial"
        )
    digest = write_zip(checked, target, overwrite=options.overwrite)
    reranked = candidate.reranker != NO_RERANKER
    _show_submission(checked, form, target, digest, mini=options.mini, reranked=reranked)
    return 0


def _show_submission(checked: Checked, form: Form, target: Path, digest: str, *, mini: bool, reranked: bool) -> None:
    from flagbench.airbench.submission import LEADERBOARD

    out = console()
    its = checked.candidate
    say(out, f"results   {its.folder}")
    say(
        out,
        f"checked   {counted(checked.datasets, 'dataset')} of AIR-Bench {its.version}, "
        f"{checked.queries:,} test queries, {counted(checked.hits, 'hit')}",
    )
    if checked.missing:
        total = checked.datasets + len(checked.missing)
        say(out, f"PARTIAL   {len(checked.missing)} of {total} datasets are missing: {first_few(checked.missing)}")
        say(out, "          the leaderboard leaves every average blank that misses a dataset")
    if checked.short and not mini:
        say(out, f"PARTIAL   not of as many queries as are published: {first_few(checked.short)}")
    if checked.left_out:
        say(out, f"left out  {counted(len(checked.left_out), 'file')} of the dev split or of another version")
    say(out, f"archive   {target}, {target.stat().st_size:,} bytes, md5 {digest}")
    if mini:
        say(out, "MINI      a mini archive, of the miniature data: it is no submission, do not upload it")
        return
    say(out, f"submit    by hand at {LEADERBOARD}, tab 'Submit here!':")
    for label, value in form.lines():
        if value or not label.startswith("Reranking") or reranked:
            say(out, f"          {label}: {value}")


def _refuse_mini(roots: Iterable[Path], ending: str, command: str) -> None:
    """See that no results are those of a run over the miniature data, which is not what the hub has.

    Args:
        roots: Folders, files or archives with results; archives do not say what they are over.
        ending: Of the names of the files that are read.
        command: The whole command that reads them.

    Raises:
        BadInput: There are such results.
    """
    from flagbench.airbench.benchmark import MINI
    from flagbench.airbench.guard import over_mini
    from flagbench.airbench.search_results import find

    for root in roots:
        files = find(root) if root.is_dir() else ()
        if over_mini((path for path in files if path.name.endswith(ending)), MINI):
            raise BadInput(f"{root} holds results of the miniature data, which the hub does not have: use {command}")


def _data(options: argparse.Namespace) -> tuple[Snapshots, tuple[Dataset, ...]]:
    """The source of the data, and the datasets that are expected there."""
    from flagbench.airbench.benchmark import MINI, mini_datasets
    from flagbench.airbench.registry import datasets
    from flagbench.runners.data.snapshots import Snapshots

    if options.mini:
        return Snapshots(MINI), mini_datasets()
    if options.data is not None and not options.data.is_dir():
        near = near_by(options.data, folders=True)
        raise BadInput(f"--data {options.data} is not a folder{near}; it must hold snapshots as <org>/<repo>/")
    return Snapshots(options.data), datasets()
