"""``flagbench score mlvu`` and ``flagbench submit mlvu``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flagbench import BadInput
from flagbench.files import inside
from flagbench.flags import add_flags, given
from flagbench.paths import near_by
from flagbench.runners.arguments import add_examples, any_path
from flagbench.runners.generation.server_options import ServerLimits
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.mlvu.judge import Judge
    from flagbench.mlvu.judgements import Judged, JudgeItem
    from flagbench.mlvu.registry import Set
    from flagbench.mlvu.report import RunScores
    from flagbench.mlvu.saved import Saved
    from flagbench.results.record import RunRecord


def add_score(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench score mlvu``."""
    add_examples(
        parser,
        "flagbench score mlvu results",
        "flagbench score mlvu results --judge gpt-4o --judge-base https://api.openai.com/v1 --dry-run",
        "flagbench score mlvu results --data hub-snapshots --json scores.json",
    )
    parser.add_argument("paths", nargs="+", type=any_path, metavar="DIR", help="folder with results, of any depth")
    parser.add_argument(
        "--data",
        type=any_path,
        metavar="DIR",
        help="folder of local snapshots, whose DIR/MLVU/MLVU_Test/test-ground-truth/ has the labels of answers to the "
        "test set that were saved without (default: none are added)",
    )
    parser.add_argument(
        "--json", type=any_path, metavar="FILE", help="file for all scores, with intervals (default: none)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace this file if it exists (default off)")
    judge = parser.add_argument_group("the open tasks")
    judge.add_argument(
        "--judge",
        metavar="MODEL",
        help="judge of the open tasks: a model on a server, or a folder or hub id (default none)",
    )
    judge.add_argument(
        "--judge-base",
        metavar="URL",
        help="address of the judge's server, up to and with /v1 (default: none, the judge is local)",
    )
    add_flags(judge, ServerLimits)
    judge.add_argument(
        "--dry-run", action="store_true", help="show what judging would send, without sending it (default off)"
    )
    parser.set_defaults(run=_score)


def add_submit(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench submit mlvu``."""
    add_examples(
        parser,
        "flagbench submit mlvu results --output mlvu_test.json",
    )
    parser.add_argument("root", type=any_path, metavar="DIR", help="folder of one run over the test set")
    parser.add_argument(
        "--output",
        type=any_path,
        default=Path("mlvu_test.json"),
        metavar="FILE",
        help="file to write (default mlvu_test.json)",
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="write the file although answers are missing, and list them (default off)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists (default off)")
    parser.set_defaults(run=_submit)


def _record(folder: Path) -> RunRecord | None:
    """The record of a run; None where its answers lie without one."""
    from flagbench.results.runs import find_run

    file = folder / "flagbench" / "run.json"
    return find_run(file).record if os.path.lexists(file) else None


def _score(options: argparse.Namespace) -> int:
    from flagbench.mlvu.judge import Judge
    from flagbench.mlvu.registry import SETS
    from flagbench.mlvu.report import RunScores, as_dict, show
    from flagbench.mlvu.saved import find_saved, read_saved
    from flagbench.models.contract import Closable
    from flagbench.results.store import check_target, write_atomic
    from flagbench.runners.data.snapshots import Snapshots

    check_target("--json", options.json, overwrite=options.overwrite)
    if (options.judge_base or options.dry_run) and not options.judge:
        raise BadInput("--judge-base and --dry-run need --judge MODEL")
    if options.data is not None and not options.data.is_dir():
        near = near_by(options.data, folders=True)
        raise BadInput(f"--data {options.data} is not a folder{near}; it must hold MLVU/MLVU_Test/")
    data = Snapshots(options.data) if options.data is not None else None
    runs = {
        folder: [saved.with_labels(data) if data else saved for saved in map(read_saved, paths)]
        for root in options.paths
        for folder, paths in find_saved(root).items()
    }
    model = _judge_model(options) if options.judge else None
    scores: list[RunScores] = []
    try:
        for folder, saved in runs.items():
            judged: dict[Set, Judged] = {}
            if model is not None:
                cache = inside(folder, "flagbench/judgements.jsonl", "remove the link")
                judge, items = Judge(model, cache), {each: _items(saved, each) for each in SETS}
                if options.dry_run:
                    _say_plan(folder, judge, [item for its in items.values() for item in its])
                    continue
                judged = _judged(judge, items)
            scores.append(RunScores.of(folder, saved, judged, _record(folder)))
    finally:
        if isinstance(model, Closable):
            model.close()
    if options.dry_run:
        return 0
    show(scores, console())
    if options.json:
        write_atomic(options.json, json.dumps(as_dict(scores), ensure_ascii=False, indent=1, allow_nan=False) + "\n")
        say(console(), f"written   {options.json}")
    return 0


def _judge_model(options: argparse.Namespace) -> Any:
    """The judge, loaded; for a dry run only its name and settings."""
    from flagbench.models.video import VideoSettings
    from flagbench.runners.generation.judge import load_judge

    blind = VideoSettings(frames=0, prompt="no-prefill", sampler="mlvu")
    if options.judge_base:
        from flagbench.mlvu.find_model import server_model

        device = "cpu"
        limits = ServerLimits(**given(options, ServerLimits))
        found: Any = server_model(options.judge, options.judge_base, blind, limits=limits)
    else:
        from flagbench.models.device import resolve_device
        from flagbench.models.loading.overrides import Overrides
        from flagbench.models.loading.resolve import resolve_generator

        device = resolve_device("auto")
        found = resolve_generator(
            options.judge,
            None,
            blind,
            Overrides(),
            trust_remote_code=False,
            allow_pickle=False,
            on_cpu=lambda: device == "cpu",
        )
    return load_judge(found, device, dry_run=options.dry_run)


def _items(saved: Sequence[Saved], of: Set) -> list[JudgeItem]:
    """The answers to open questions of a set."""
    from flagbench.mlvu.judgements import JudgeItem

    return [
        JudgeItem(
            id=question.id,
            task="summary" if each.row.summary else "subPlot",
            question=question.question,
            reference=question.answer,
            scoring_points=question.points,
            response=each.answers[question.id],
        )
        for each in saved
        if each.row.kind == "open" and each.row.set == of
        for question in each.questions
        if question.id in each.answers and question.labelled
    ]


def _judged(judge: Judge, items: Mapping[Set, Sequence[JudgeItem]]) -> dict[Set, Judged]:
    """Grades by set, of those that have answers to judge."""
    from flagbench.runners.progress import progress_for

    with progress_for(console(stderr=True), 1) as progress:
        progress.task("open tasks")
        progress.stage(f"judging by {judge.name}", sum(map(len, items.values())))
        return {of: judge.score(its, lambda _: progress.advance(1)) for of, its in items.items() if its}


def _say_plan(folder: Path, judge: Judge, items: Sequence[JudgeItem]) -> None:
    plan = judge.plan(items)
    text = (
        f"{folder}: {plan.calls:,} calls of {judge.name}, about {plan.prompt_tokens:,} tokens of prompts and "
        f"{plan.reply_tokens:,} of replies (4 characters a token); {plan.cached:,} items are judged already"
    )
    say(console(), text)


def _submit(options: argparse.Namespace) -> int:
    from flagbench.mlvu.saved import find_saved, read_saved
    from flagbench.mlvu.submission import check, check_target, lacking, write

    check_target(options.output, overwrite=options.overwrite)
    runs = find_saved(options.root)
    if len(runs) > 1:
        raise BadInput(f"{options.root} holds several runs; name one of {', '.join(map(str, sorted(runs)))}")
    ((folder, paths),) = runs.items()
    saved = [each for each in map(read_saved, paths) if each.row.set == "test" and each.row.kind == "multiple-choice"]
    if not saved:
        raise BadInput(f"{folder} has no answers to the test set: flagbench evaluate --benchmark mlvu --sets test")
    questions = [question for each in saved for question in each.questions]
    answers = {key: text for each in saved for key, text in each.answers.items()}
    checked = check(questions, answers, allow_partial=options.allow_partial)
    write(checked, options.output, overwrite=options.overwrite)
    out = console()
    lines = [f"results   {folder}", f"written   {options.output}, {len(checked.predictions):,} predictions"]
    lines += [f"PARTIAL   {line}" for line in lacking(checked, len(questions))]
    for line in lines:
        say(out, line)
    return 0
