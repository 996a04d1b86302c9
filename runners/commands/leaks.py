"""``flagbench leaks``: the texts of a benchmark in training data. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput, NoHub, in_one_line
from flagbench.flags import real
from flagbench.runners.arguments import add_examples, any_path, folder, names
from flagbench.runners.commands.interrupt import ends_in_order
from flagbench.runners.commands.leaks_model import COSINE, add_model_flags, check_model_flags, encoder_of
from flagbench.runners.commands.notice import notice
from flagbench.runners.commands.parser import Parser
from flagbench.runners.terminal import console, encodable, say

if TYPE_CHECKING:
    from rich.console import Console

    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.data.task_texts import TaskTexts
    from flagbench.runners.data.verdict import Content
    from flagbench.runners.leaks.find import Found
    from flagbench.runners.leaks.report import Share
    from flagbench.runners.leaks.training import TrainingFile
    from flagbench.runners.leaks.untouched import Untouched
    from flagbench.runners.progress import Progress
    from flagbench.runners.request import RunRequest

_JACCARD = 0.7
_EXAMPLES_SHOWN = 5
_MOST_EXAMPLES = 1_000

_EXAMPLES = (
    "train/*.jsonl --benchmark {}",
    "train.jsonl.gz --benchmark {} --types retrieval --output leaked.jsonl",
    "train.parquet --columns anchor,positive --benchmark {}",
    "train.jsonl --benchmark {} --model BAAI/bge-m3 --cosine 0.95",
    "train.jsonl --benchmark {} --run results/BAAI__bge-m3/5617a9f6",
)


def add_leaks(parser: Parser, arguments: Sequence[str]) -> None:
    """Add the flags of ``flagbench leaks``."""
    from flagbench.runners.commands.selection import add_benchmark_flags, add_selection_flags, benchmark_of

    benchmark = benchmark_of(arguments)
    named = shlex.quote(benchmark.name)
    add_examples(parser, *(f"flagbench leaks {example.format(named)}" for example in _EXAMPLES))
    parser.add_argument(
        "training",
        nargs="+",
        type=any_path,
        metavar="TRAIN",
        help="training data: files or folders of them; JSON lines with query, pos and neg, plain text with a text in "
        "each line, parquet, CSV or TSV, also with gzip",
    )
    where = add_selection_flags(parser, arguments).add_mutually_exclusive_group()
    where.add_argument(
        "--data", type=folder, metavar="DIR", help="folder with <org>/<repo>/ for each dataset (default: the hub)"
    )
    where.add_argument("--mini", action="store_true", help="the miniature data that ships with FlagBench (default off)")
    how = parser.add_argument_group("how to look")
    how.add_argument(
        "--columns",
        type=names,
        default=(),
        metavar="A,B",
        help="columns of texts in the training data, the first two of which are a pair (default query,pos,neg, or "
        "other usual names)",
    )
    near = how.add_mutually_exclusive_group()
    near.add_argument(
        "--jaccard",
        type=_similarity,
        default=_JACCARD,
        metavar="X",
        help=f"Jaccard similarity of near duplicates, at least, from 0.3 to 1 (default {_JACCARD})",
    )
    near.add_argument("--no-near", action="store_true", help="look for equal texts alone (default off)")
    add_model_flags(parser)
    _add_outputs(parser)
    add_benchmark_flags(parser, arguments, benchmark)
    parser.set_defaults(run=_leaks)


def _add_outputs(parser: Parser) -> None:
    what = parser.add_argument_group("what comes of it")
    what.add_argument(
        "--run",
        dest="evaluated",
        type=any_path,
        metavar="RUN",
        help="results of evaluate, whose scores are shown without the items that are in the training data "
        "(default none)",
    )
    what.add_argument(
        "--examples",
        type=_count,
        default=_EXAMPLES_SHOWN,
        metavar="N",
        help=f"items shown with the training text (default {_EXAMPLES_SHOWN})",
    )
    what.add_argument(
        "--output", type=any_path, metavar="FILE", help="file for the items that were found, JSON lines (default none)"
    )
    what.add_argument(
        "--rows",
        type=any_path,
        metavar="FILE",
        help="file for the training rows that hold such texts, JSON lines, to train without them (default none)",
    )
    what.add_argument("--json", type=any_path, metavar="FILE", help="file for the counts as JSON (default none)")
    what.add_argument("--overwrite", action="store_true", help="replace these files if they exist (default off)")


def _leaks(options: argparse.Namespace) -> int:
    from flagbench.results.runs import find_run
    from flagbench.results.store import check_target
    from flagbench.runners.commands.selection import selection_of
    from flagbench.runners.progress import progress_for
    from flagbench.runners.registry import find_benchmark
    from flagbench.runners.request import RunRequest

    check_model_flags(options)
    benchmark = find_benchmark(options.benchmark)
    root = benchmark.mini_data() if options.mini else options.data
    if options.mini and root is None:
        raise BadInput(f"{benchmark.title} has no miniature data: drop --mini, or give a folder with --data")
    for flag, path in _targets(options):
        check_target(flag, path, overwrite=options.overwrite)
    for (flag, path), (other, its) in combinations(_targets(options), 2):
        if path and path == its:
            raise BadInput(f"{flag} and {other} are both {path}: give them different files")
    request = RunRequest(model="", data=root, mini=options.mini, **selection_of(options))
    run = find_run(options.evaluated) if options.evaluated else None
    err = console(stderr=True)
    with notice(f"looking at training data and tasks: {benchmark.title}"):
        from flagbench.runners.leaks.near import check_rensa
        from flagbench.runners.leaks.report import shares
        from flagbench.runners.leaks.training import training_files
        from flagbench.runners.leaks.untouched import untouched

        check_texts(benchmark)
        if not options.no_near:
            check_rensa()
        files = training_files(options.training, options.columns)
        _check_apart(options, [file.rows.path for file in files])
        tasks = benchmark.select(request)
    contents: dict[str, Mapping[str, Content]] = {}
    with ends_in_order():
        with progress_for(err, len(tasks) + 1) as progress:
            found, faults = _found(options, benchmark, request, files, contents, progress)
        for fault in faults:
            say(err, f"flagbench: {in_one_line(fault)}")
        rows = untouched(run, found, contents) if run else None
        counts = shares(found)
        _show(found, counts, rows, run.label if run else "", options, console())
        _write(found, counts, rows, options)
    return BadInput.exit_code if faults and options.tasks else 0  # what is named has to be there


def _targets(options: argparse.Namespace) -> Sequence[tuple[str, Path | None]]:
    """The files that are written."""
    return ("--output", options.output), ("--rows", options.rows), ("--json", options.json)


def _check_apart(options: argparse.Namespace, training: Sequence[Path]) -> None:
    """See that no file of training data would be replaced.

    Raises:
        BadInput: One would.
    """
    there = {path.resolve() for path in training}
    for flag, path in _targets(options):
        if path and path.resolve() in there:
            raise BadInput(f"{flag} {path} is training data, which it would replace: use another file")


def check_texts(benchmark: Benchmark) -> None:
    """See that a benchmark has texts to look for.

    Raises:
        BadInput: It has none.
    """
    from flagbench.runners.benchmark import Benchmark
    from flagbench.runners.registry import benchmarks_that

    if type(benchmark).texts is Benchmark.texts:
        those = benchmarks_that(lambda other: type(other).texts is not Benchmark.texts)
        raise BadInput(f"the tasks of {benchmark.title} have no texts that are looked for: use --benchmark {those}")


def _found(
    options: argparse.Namespace,
    benchmark: Benchmark,
    request: RunRequest,
    files: Sequence[TrainingFile],
    contents: dict[str, Mapping[str, Content]],
    progress: Progress,
) -> tuple[Found, list[BadInput]]:
    """What is found, and the faults of tasks whose data is not there, as a user has some of a benchmark's data.

    The content of the data is noted in ``contents``, by task.
    """
    from flagbench.runners.leaks.collected import collect
    from flagbench.runners.leaks.find import find
    from flagbench.runners.leaks.near import NearDuplicates
    from flagbench.runners.leaks.semantic import SemanticDuplicates

    faults: list[BadInput] = []
    with encoder_of(options, progress) as encoder:  # what is wrong with it is said before the data is read
        collected = collect(_texts(benchmark, request, progress, faults, contents))
        if not collected.parts:
            raise faults[0] if faults else BadInput(f"{benchmark.title} has no texts in these tasks: choose others")
        progress.task("training data")
        near = None
        if not options.no_near:
            progress.stage("indexing the texts of the tasks", 1)
            near = NearDuplicates(collected, options.jaccard)
        semantic = SemanticDuplicates(collected, encoder, options.cosine or COSINE) if encoder else None
        return find(collected, files, near, semantic, progress), faults


def _texts(
    benchmark: Benchmark,
    request: RunRequest,
    progress: Progress,
    faults: list[BadInput],
    contents: dict[str, Mapping[str, Content]],
) -> Iterator[tuple[str, Iterator[TaskTexts]]]:
    from flagbench.runners.data.snapshots import Snapshots

    snapshots = Snapshots(request.data)
    for task in benchmark.select(request):
        progress.task(task.name)
        progress.stage("loading data", 1)
        try:
            loaded = benchmark.load(task, snapshots, request)
            texts, contents[task.name] = benchmark.texts(loaded), loaded.data.content
            del loaded
        except NoHub:
            raise
        except BadInput as error:
            faults.append(error)
            continue
        yield task.name, texts
        del texts  # with the rows of the task, before the next one is read


def _show(
    found: Found,
    rows: Sequence[Share],
    untouched: Sequence[Untouched] | None,
    label: str,
    options: argparse.Namespace,
    out: Console,
) -> None:
    from flagbench.runners.leaks.near import Bands
    from flagbench.runners.leaks.report import examples, remarks, table

    near = not options.no_near
    if any(row.leaked for row in rows):
        out.print(table(rows, near=near, semantic=bool(options.model)))
    say(out, *remarks(found, rows, "" if options.rows else "; --rows FILE lists them"))
    if near:
        cut = Bands.of(options.jaccard)
        say(
            out,
            f"near: Jaccard similarity {cut.bound:g} or more, counted exactly; of pairs at that bound "
            f"{100 * cut.missed(cut.bound):.1g}% are missed, and fewer above it",
        )
    if options.model:
        say(out, f"semantic: a cosine of {options.cosine or COSINE:g} or more by {options.model}")
    if lines := list(examples(found, options.examples)):
        say(out, "", "examples", *lines)
    if untouched:
        from flagbench.runners.leaks.untouched import render, verdicts

        out.print()
        out.print(render(untouched, label))
        say(out, *verdicts(untouched))


def _write(
    found: Found, rows: Sequence[Share], untouched: Sequence[Untouched] | None, options: argparse.Namespace
) -> None:
    from flagbench.results.store import write_atomic
    from flagbench.runners.leaks.report import count_training_rows, leak_as_dict, leaks, training_rows

    if options.output:
        _write_lines(options.output, (leak_as_dict(found, leak) for leak in leaks(found)))
    if options.rows:
        _write_lines(options.rows, training_rows(found))
    if options.json:
        values = {
            "benchmark": options.benchmark,
            "training": [str(file.rows.path) for file in found.files],
            "training_rows": found.ledger.rows,
            "training_rows_without_text": found.ledger.silent.total(),
            "training_rows_with_texts_of_tasks": count_training_rows(found),
            "training_texts": found.ledger.training_texts,
            "jaccard": None if options.no_near else options.jaccard,
            "model": options.model,
            "cosine": (options.cosine or COSINE) if options.model else None,
            "shares": [row.as_dict() for row in rows],
            "run": [row.as_dict() for row in untouched] if untouched else None,
        }
        write_atomic(options.json, encodable(json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False)) + "\n")
        say(console(), f"written: {options.json}")


def _write_lines(path: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines, whole or not at all."""
    from flagbench.results.store import replacing

    with replacing(path) as unfinished, Path(unfinished).open("w", encoding="utf-8") as file:
        for value in values:
            file.write(encodable(json.dumps(value, ensure_ascii=False)) + "\n")
    say(console(), f"written: {path}")


def _similarity(text: str) -> float:
    try:
        value = real(text)
    except ValueError:
        value = -1.0
    if not 0.3 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a similarity from 0.3 to 1, such as 0.8, not '{text:.40}'")
    return value


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or int(text) > _MOST_EXAMPLES:
        raise argparse.ArgumentTypeError(f"expected a number of items up to {_MOST_EXAMPLES:,}, not '{text:.40}'")
    return int(text)
