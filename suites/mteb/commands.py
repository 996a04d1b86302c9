"""``flagbench submit mteb``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import counted, first_few, printable
from flagbench.runners.arguments import add_examples, add_run_argument, any_path
from flagbench.runners.terminal import console, say

if TYPE_CHECKING:
    from flagbench.suites.mteb.submission import Checked

_ADDING_A_MODEL = "https://embeddings-benchmark.github.io/mteb/contributing/adding_a_model/"


def add_submit(parser: argparse.ArgumentParser) -> None:
    """The options of ``flagbench submit mteb``."""
    add_examples(
        parser,
        "flagbench submit mteb results --model-name org/model --revision 0123abc",
        "flagbench submit mteb results/org__model/main --model-card card.md",
    )
    add_run_argument(parser)
    model = parser.add_argument_group("model, for a checkpoint in a folder")
    model.add_argument(
        "--model-name", metavar="NAME", help="name of the model on the hub, org/name (default: that of the run)"
    )
    model.add_argument(
        "--revision",
        metavar="COMMIT",
        help="commit of the model on the hub, 40 hexadecimal digits (default: that of the run)",
    )
    parser.add_argument(
        "--output",
        type=any_path,
        default=Path(),
        metavar="DIR",
        help="folder in which results/<org>__<model>/<commit>/ is written, such as a clone of the results repository "
        "(default: here)",
    )
    parser.add_argument(
        "--model-card",
        type=any_path,
        metavar="FILE",
        help="file for the scores as the top of a hub README (default: none)",
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="write an incomplete benchmark, without what cannot go in (default off)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the folder and the card if they exist (default off)"
    )
    parser.set_defaults(run=_submit)


def _submit(options: argparse.Namespace) -> int:
    from flagbench.results.runs import find_run
    from flagbench.results.store import check_target as check_file
    from flagbench.results.store import write_atomic
    from flagbench.runners.mteb.bridge import quiet
    from flagbench.suites.mteb.model_card import model_card
    from flagbench.suites.mteb.submission import check, check_target, folder_of, write
    from flagbench.suites.mteb.submitted_model import filled_in, identify

    run = find_run(options.path)
    output, card = options.output.expanduser(), options.model_card
    with quiet():
        identity = identify(run.record, options.model_name, options.revision)
        check_target(output, identity, run, overwrite=options.overwrite)
        check_file("--model-card", card, overwrite=options.overwrite)
        checked = check(run, identity, allow_partial=options.allow_partial)
        checked = replace(checked, meta=filled_in(checked.meta, folder_of(identity, output)))
        text = model_card(checked) if card is not None else ""
        folder = write(checked, output, overwrite=options.overwrite)
    if card is not None:
        write_atomic(card, text)
    out = console()
    for line in _lines(checked, folder, card):
        say(out, line)
    return 0


def _lines(checked: Checked, folder: Path, card: Path | None) -> Iterator[str]:
    """Print what was done, and what is left to do by hand."""
    from flagbench.suites.mteb.submission import REPOSITORY, by_reason, lacking
    from flagbench.suites.mteb.submitted_model import in_mteb, left_open

    its = checked.identity
    yield f"results   {checked.run.folder}"
    yield f"model     {its.name} at {its.revision}"
    yield f"checked   {counted(len(checked.entries), 'task')}, read back by mteb's own loader"
    for each in checked.standings:
        if not each.missing:
            yield f"complete  {each.benchmark}: {counted(each.tasks, 'task')}"
        else:
            yield f"PARTIAL   {lacking(each)}"
            yield "          the leaderboard gives no mean to a model that lacks a task"
    for line in by_reason(checked.left_out):
        yield f"left out  {line}"
    for state, names in checked.unsure.items():
        yield f"unproven  {state.words}: {first_few(map(printable, names))}"
    yield f"written   {folder}, {counted(len(list(folder.iterdir())), 'file')}"
    if card is not None:
        yield f"card      {card}: for the top of the model's README on the hub"
    todo = []
    if fields := left_open(checked.meta):
        todo.append(f"fill in, in model_meta.json: {', '.join(fields)}")
    if not its.published:
        todo.append(f"see that {its.revision} is a commit of https://huggingface.co/{its.name}")
    if not in_mteb(its.name):
        todo.append(f"add {its.name} to mteb, or its results are not shown: {_ADDING_A_MODEL}")
    todo.append(f"open a pull request at {REPOSITORY} with the folder results/, and say that FlagBench made them")
    for number, line in enumerate(todo):
        yield f"{'' if number else 'by hand':10}{line}"
