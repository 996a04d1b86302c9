"""``flagbench submit mteb``. Imported for every --help: nothing heavy here."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flagbench import BadInput, counted, first_few, printable
from flagbench.runners.arguments import add_examples, add_run_argument, any_path
from flagbench.runners.terminal import console, encodable, say

if TYPE_CHECKING:
    from flagbench.models.servers.secret import Secret
    from flagbench.suites.mteb.hub import Found
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
        "--model-meta",
        type=any_path,
        metavar="FILE",
        help="file for the model's ModelMeta as Python, for models/model_implementations/ of mteb (default: none)",
    )
    sending = parser.add_argument_group("sending, with what is sent said before")
    sending.add_argument(
        "--create-pr",
        action="store_true",
        help="open the draft of a pull request at the results repository from a fork of yours, with the token in "
        "$GH_TOKEN or $GITHUB_TOKEN (default off)",
    )
    sending.add_argument(
        "--push-card",
        action="store_true",
        help="open a pull request at the model on the hub with the scores in its README.md, with the token of "
        "huggingface_hub (default off)",
    )
    sending.add_argument(
        "--dry-run", action="store_true", help="check everything, write nothing and send nothing (default off)"
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="write an incomplete benchmark, without what cannot go in (default off)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the folder and the files if they exist (default off)"
    )
    parser.set_defaults(run=_submit)


@dataclass(frozen=True)
class _Plan:
    """What is written and sent.

    Attributes:
        checked: The results.
        output: Folder in which theirs is written.
        files: Texts by the file of the user.
        token: For the results repository; None where nothing is sent there.
        on_hub: The model on the hub; None where it was not looked for.
        card: Text of its card there; empty where none is sent.
        has_scores: Address of what has these scores already, where none is sent for that.
    """

    checked: Checked
    output: Path
    files: Mapping[Path, str]
    token: Secret | None = None
    on_hub: Found | None = None
    card: str = ""
    has_scores: str = ""


def _submit(options: argparse.Namespace) -> int:
    from flagbench.runners.mteb.bridge import quiet
    from flagbench.suites.mteb.submission import folder_of, write

    with quiet():
        plan = _planned(options)
        if not options.dry_run:
            write(plan.checked, plan.output, overwrite=options.overwrite)
    out = console()
    folder = folder_of(plan.checked.identity, plan.output)
    for line in _checked_lines(plan.checked, read_back=not options.dry_run):
        say(out, line)
    if options.dry_run:
        say(out, f"writes    {folder}, {counted(len(plan.checked.entries) + 2, 'file')}")
        for file in plan.files:
            say(out, f"writes    {file}")
    else:
        say(out, f"written   {folder}, {counted(len(list(folder.iterdir())), 'file')}")
        for file, text in plan.files.items():
            _write(file, text)
            of = "the top of the model's README on the hub" if file == options.model_card else "mteb's models"
            say(out, f"{'card' if file == options.model_card else 'model':<10}{file}: for {of}")
    for number, line in enumerate(_by_hand(plan, sent=bool(plan.token))):
        say(out, f"{'' if number else 'by hand':10}{line}")
    _send(plan, dry_run=options.dry_run)
    if plan.has_scores:
        say(out, f"card      {plan.has_scores} has these scores already")
    if options.dry_run:
        say(out, "dry run   nothing was written and nothing was sent")
    return 0


def _planned(options: argparse.Namespace) -> _Plan:
    """Check all that can be known before anything is written or sent."""
    from flagbench.results.runs import find_run
    from flagbench.results.store import check_target as check_file
    from flagbench.suites.mteb.hub import find
    from flagbench.suites.mteb.model_card import model_card
    from flagbench.suites.mteb.model_file import model_file
    from flagbench.suites.mteb.pull_request import refuse_what_reviewers_refuse, token
    from flagbench.suites.mteb.submission import check, check_target, folder_of
    from flagbench.suites.mteb.submitted_model import filled_in, identify

    run, output = find_run(options.path), options.output.expanduser()
    identity = identify(run.record, options.model_name, options.revision)
    check_target(output, identity, run, overwrite=options.overwrite)
    targets = {"--model-card": options.model_card, "--model-meta": options.model_meta}
    for flag, file in targets.items():
        check_file(flag, file, overwrite=options.overwrite)
    if options.model_card and options.model_card == options.model_meta:
        raise BadInput(f"--model-card and --model-meta name the same file {options.model_card}: give each its own")
    checked = check(run, identity, allow_partial=options.allow_partial)
    checked = replace(checked, meta=filled_in(checked.meta, folder_of(identity, output)))
    made = {"--model-card": model_card, "--model-meta": model_file}
    files = {file: made[flag](checked) for flag, file in targets.items() if file is not None}
    plan = _Plan(checked, output, files)
    if options.create_pr:
        refuse_what_reviewers_refuse(checked)
        plan = replace(plan, token=token())
    if options.create_pr or options.push_card:
        plan = replace(plan, on_hub=find(identity))
    if options.create_pr and plan.on_hub and plan.on_hub.private:
        raise BadInput(f"{identity.name} is private on the hub, and reviewers must be able to read it: make it public")
    return _with_card(plan, plan.on_hub) if options.push_card and plan.on_hub else plan


def _with_card(plan: _Plan, on_hub: Found) -> _Plan:
    """The plan with the card to be sent, or the address of what has these scores already.

    Raises:
        BadInput: A pull request with other scores is open: two of them could not both be merged.
    """
    from flagbench.suites.mteb.hub import card_with, open_requests, read_card

    its = plan.checked.identity
    before = read_card(its, on_hub)
    after = card_with(before, plan.checked)
    if after == before:
        return replace(plan, has_scores=f"https://huggingface.co/{its.name}")
    there = open_requests(its)
    for request in there:
        text = read_card(its, request)
        if card_with(text, plan.checked) == text:
            return replace(plan, has_scores=request.address)
    if there:
        raise BadInput(f"{there[0].address} is open with other scores: merge or close it, then run this again")
    return replace(plan, card=after)


def _send(plan: _Plan, *, dry_run: bool) -> None:
    """Say what is sent, and send it."""
    from flagbench.suites.mteb.hub import push_card
    from flagbench.suites.mteb.pull_request import GitHub, branch_of, files_of, open_pull_request
    from flagbench.suites.mteb.submission import REPOSITORY, folder_of

    out, its = console(), plan.checked.identity
    if plan.token:
        folder = folder_of(its, Path())
        say(out, f"sends     {folder} to {REPOSITORY}, as the draft of a pull request")
        say(out, f"          from branch {branch_of(plan.checked)} of your fork")
        if not dry_run:
            files = files_of(folder_of(its, plan.output), plan.output)
            say(out, f"opened    {open_pull_request(plan.checked, files, GitHub(plan.token))}")
            say(out, "          answer the check list there, then mark it ready for review")
    if plan.card and plan.on_hub:
        say(out, f"sends     README.md to https://huggingface.co/{its.name}, as a pull request")
        if not dry_run:
            say(out, f"opened    {printable(push_card(its, plan.on_hub, plan.card))}")


def _write(path: Path, text: str) -> None:
    from flagbench.results.store import write_atomic

    write_atomic(path, encodable(text))


def _checked_lines(checked: Checked, *, read_back: bool) -> Iterator[str]:
    """What was checked."""
    from flagbench.suites.mteb.submission import by_reason, lacking

    its = checked.identity
    yield f"results   {checked.run.folder}"
    yield f"model     {its.name} at {its.revision}"
    by_mteb = ", read back by mteb's own loader" if read_back else ""
    yield f"checked   {counted(len(checked.entries), 'task')}{by_mteb}"
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


def _by_hand(plan: _Plan, *, sent: bool) -> Iterator[str]:
    """What is left to do by hand."""
    from flagbench.suites.mteb.submission import REPOSITORY
    from flagbench.suites.mteb.submitted_model import in_mteb, left_open

    its = plan.checked.identity
    if fields := left_open(plan.checked.meta):
        yield f"fill in, in model_meta.json: {', '.join(fields)}"
    if not its.published and plan.on_hub is None:
        yield f"see that {its.revision} is a commit of https://huggingface.co/{its.name}"
    if not in_mteb(its.name):
        yield f"add {its.name} to mteb, or its results are not shown: {_ADDING_A_MODEL}"
    if not sent:
        yield f"open a pull request at {REPOSITORY} with the folder results/, and say that FlagBench made them"
